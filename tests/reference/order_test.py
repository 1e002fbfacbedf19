"""Oracle: the formula of the order, in Python integers."""

from itertools import islice

from reference.order import epoch_order, micro_batches, step_pools

MASK = (1 << 64) - 1


def finalizer(z: int) -> int:
    z = ((z ^ (z >> 30)) * 0xBF58476D1CE4E5B9) & MASK
    z = ((z ^ (z >> 27)) * 0x94D049BB133111EB) & MASK
    return z ^ (z >> 31)


def by_integers(count: int, epoch: int, seed: int) -> list[int]:
    def key(row: int) -> tuple[int, int]:
        return finalizer((seed + (epoch + 1) * 0xD1B54A32D192ED03 + (row + 1) * 0x9E3779B97F4A7C15) & MASK), row

    return sorted(range(count), key=key)


def test_order_follows_the_formula():
    for seed in (0, 16257, MASK):
        for epoch in (0, 1, 7):
            assert epoch_order(1000, epoch, seed) == by_integers(1000, epoch, seed)
    assert epoch_order(8, 0, 16257) != epoch_order(8, 1, 16257)


def test_no_pool_spans_two_epochs():
    pools = list(islice(step_pools(10, 3, 4), 6))
    assert [len(pool) for pool in pools] == [4, 4, 2, 4, 4, 2]
    assert sorted(sum(pools[:3], [])) == sorted(sum(pools[3:], [])) == list(range(10))
    assert sum(micro_batches(10, 1, 3, 3), []) == sum(pools[3:], [])
