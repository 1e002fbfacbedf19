"""The order of samples: epoch e sorts rows by a counter-based key; a step takes the next pool of the epoch."""

from collections.abc import Iterator

import numpy as np

_MULTIPLY_1 = np.uint64(0xBF58476D1CE4E5B9)
_MULTIPLY_2 = np.uint64(0x94D049BB133111EB)
_EPOCH = 0xD1B54A32D192ED03
_ROW = np.uint64(0x9E3779B97F4A7C15)
_MASK = (1 << 64) - 1


def splitmix64(z: np.ndarray) -> np.ndarray:
    """SplitMix64's finalizer on an array of uint64."""
    z = (z ^ (z >> np.uint64(30))) * _MULTIPLY_1
    z = (z ^ (z >> np.uint64(27))) * _MULTIPLY_2
    return z ^ (z >> np.uint64(31))


def epoch_order(count: int, epoch: int, seed: int) -> list[int]:
    """The rows 0..count-1 in the order of one epoch."""
    start = np.uint64((seed + (epoch + 1) * _EPOCH) & _MASK)
    keys = splitmix64(start + np.arange(1, count + 1, dtype=np.uint64) * _ROW)
    return np.argsort(keys, kind="stable").tolist()


def micro_batches(count: int, epoch: int, seed: int, batch: int) -> list[list[int]]:
    """One epoch cut into batches; the last one may be short."""
    order = epoch_order(count, epoch, seed)
    return [order[start : start + batch] for start in range(0, count, batch)]


def step_pools(count: int, seed: int, pool: int) -> Iterator[list[int]]:
    """The samples of step 1, 2, ... without end. No pool spans two epochs: the last of an epoch may be short."""
    epoch = 0
    while True:
        yield from micro_batches(count, epoch, seed, pool)
        epoch += 1
