"""The cluster: joined or started, and what of it a run takes."""

import logging
import os
from dataclasses import dataclass
from typing import Any

import ray

from anneal_ray.failure import RESOURCES, DriverError


def join_or_start(num_cpus: int | None) -> None:
    """The cluster of RAY_ADDRESS, else the one that `ray start` has started on this machine, else a local one."""
    own = {} if num_cpus is None else {"num_cpus": num_cpus}
    try:
        ray.init(include_dashboard=False, log_to_driver=False, logging_level=logging.ERROR, **own)
    except ValueError as error:
        if num_cpus is None:
            raise
        raise DriverError(f"--num_cpus: a cluster runs already ({error})", "leave the flag out, or `ray stop` first") from error
    except ConnectionError as error:
        address = os.environ.get("RAY_ADDRESS", "")
        problem = f'RAY_ADDRESS is "{address}", and no cluster answers there as it should: {error}'
        remedy = "unset it, or start the cluster; one that wants a token, as Ray's do by default, wants RAY_AUTH_MODE=token here too"
        raise DriverError(problem, remedy, RESOURCES) from error


@dataclass
class Share:
    num_workers: int
    cpus_per_worker: int
    use_gpu: bool

    def resources(self) -> dict[str, float]:
        return {"CPU": self.cpus_per_worker} | ({"GPU": 1} if self.use_gpu else {})

    def describe(self) -> str:
        """Such as "2 workers with 1 CPU and 1 GPU each"."""
        amounts = " and ".join(_counted(amount, kind) for kind, amount in self.resources().items())
        return f"{_counted(self.num_workers, 'worker')} with {amounts}{' each' if self.num_workers > 1 else ''}"


def _counted(number: float, what: str) -> str:
    return f"{int(number)} {what}{'' if number == 1 else 's'}"


def _room(nodes: list[dict[str, float]], resources: dict[str, float]) -> int:
    """How many workers fit; each lies on one node."""
    return sum(min(int(node.get(kind, 0) // amount) for kind, amount in resources.items()) for node in nodes)


def choose_share(nodes: list[dict[str, float]], workers: int | None, cpus: int | None, device: str) -> Share:
    """Refuses at once what would otherwise wait for ever to be placed."""
    gpus = int(sum(node.get("GPU", 0) for node in nodes))
    use_gpu = device == "cuda" or (device == "auto" and gpus > 0)
    share = Share(workers or (max(gpus, 1) if use_gpu else 1), cpus or 1, use_gpu)
    if cpus is None and not use_gpu:
        largest = int(max((node.get("CPU", 0) for node in nodes), default=0))
        fitting = [count for count in range(1, largest + 1) if _room(nodes, {"CPU": count}) >= share.num_workers]
        share.cpus_per_worker = max(fitting, default=1)
    room = _room(nodes, share.resources())
    if room < share.num_workers:
        has = " and ".join(_counted(sum(node.get(kind, 0) for node in nodes), kind) for kind in share.resources())
        raise DriverError(
            f"asked for: {share.describe()}; the cluster has {has}, room for {_counted(room, 'worker')}",
            "fewer --num_workers or --cpus_per_worker, or a larger cluster",
            RESOURCES,
        )
    return share


def living_nodes() -> list[dict[str, Any]]:
    return [node["Resources"] for node in ray.nodes() if node["Alive"]]
