"""What runs in each of Ray's workers."""

import os
import secrets
import socket
import tempfile
import time
from pathlib import Path
from typing import Any

import ray
import ray.train
from ray.train.collective import broadcast_from_rank_zero

from anneal_ray.child import Child
from anneal_ray.failure import INTERRUPTED, PEERS, TERMINATED, WorkerFailed, end_text, exit_code
from anneal_ray.job import Job
from anneal_ray.state_pointer import describe_pointers, write_pointer

POLL_SECONDS = 0.2


def train_worker(config: dict[str, Any]) -> None:
    job: Job = config["job"]
    rank = ray.train.get_context().get_world_rank()
    require_shared_folder(job, rank, job.shared_folder_timeout)
    meeting = broadcast_from_rank_zero(_meeting_point(job) if rank == 0 else None)
    if rank == 0:
        _say_restart(job)
    child = Child(job, rank, _environment(job, meeting))
    for event in child.reports():
        _forward(event, rank, meeting["token"])
    ended = child.wait()
    code = exit_code(ended)
    if code == 0 or (code in (INTERRUPTED, TERMINATED) and job.stop_file.exists()):
        return
    raise WorkerFailed(rank, _node(), code, end_text(ended), child.last_lines())


def require_shared_folder(job: Job, rank: int, timeout: float) -> None:
    """Every node must see the same results: states, logs and the request to stop lie there."""
    problem, end = "", time.monotonic() + timeout
    while True:
        try:
            if job.token_file.read_text() == job.token:
                break
            problem = "holds another run's token"
        except OSError as error:
            problem = str(error.strerror)
        if time.monotonic() > end:
            remedy = "try: a --results_dir on a disk that all nodes share, under the same path"
            raise WorkerFailed(rank, _node(), PEERS, f"does not see the driver's results: {job.token_file}: {problem}", remedy)
        time.sleep(POLL_SECONDS)
    if not os.path.isdir(job.working_folder):
        remedy = "try: start the driver in a folder that all nodes share"
        raise WorkerFailed(rank, _node(), PEERS, f"does not have the driver's folder {job.working_folder}", remedy)


def _node() -> str:
    return f"{socket.gethostname()} ({ray.util.get_node_ip_address()})"


def _meeting_point(job: Job) -> dict[str, str]:
    """Where the ranks meet: on rank 0's node, at a port that is free there."""
    address = job.master_addr or ray.util.get_node_ip_address()
    if job.master_port is not None:
        port = job.master_port
    else:
        with socket.socket(socket.AF_INET6 if ":" in address else socket.AF_INET) as probe:
            probe.bind(("", 0))
            port = probe.getsockname()[1]
    return {"address": address, "port": str(port), "token": secrets.token_hex(16)}


def _say_restart(job: Job) -> None:
    """To the user, where Ray starts the workers again."""
    if not job.output_file(0).exists():
        return
    checkpoint, known = ray.train.get_checkpoint(), "Ray has no checkpoint"
    if checkpoint is not None:
        with checkpoint.as_directory() as folder:
            known = describe_pointers(Path(folder))
    with job.output_file(0).open("a") as output:
        output.write(f"ray: the workers are started again; {known}; the run goes on from its newest state that holds\n")


def _environment(job: Job, meeting: dict[str, str]) -> dict[str, str]:
    context = ray.train.get_context()
    threads = os.cpu_count() // context.get_local_world_size() if job.use_gpu else job.cpus_per_worker
    return os.environ | {"OMP_NUM_THREADS": str(max(1, threads))} | job.environment | {
        "RANK": str(context.get_world_rank()),
        "WORLD_SIZE": str(context.get_world_size()),
        "LOCAL_RANK": str(context.get_local_rank()),
        "LOCAL_WORLD_SIZE": str(context.get_local_world_size()),
        "NODE_RANK": str(context.get_node_rank()),
        "MASTER_ADDR": meeting["address"],
        "MASTER_PORT": meeting["port"],
        "ANNEAL_RUN_TOKEN": meeting["token"],
        "ANNEAL_LAUNCH_ID": job.launch_id,
    }  # fmt: skip


def _forward(event: dict[str, Any], rank: int, token: str) -> None:
    """A barrier: every rank reports the same sequence. `token`: of this start, since a step may be saved again after one."""
    metrics = {"step": event["step"], **event["metrics"]}
    if event["checkpoint"] is None:
        ray.train.report(metrics)
        return
    saved = Path(event["checkpoint"])
    with tempfile.TemporaryDirectory() as folder:
        is_there = write_pointer(saved, rank, Path(folder))
        checkpoint = ray.train.Checkpoint.from_directory(folder) if is_there else None
        ray.train.report(metrics, checkpoint=checkpoint, checkpoint_dir_name=f"{saved.name}-{token[:8]}")
