"""The process that the user starts: checks the options, places the workers, shows what rank 0 says, and gives its exit code."""

import json
import os
import re
import secrets
import signal
import subprocess
import sys
import tempfile
import threading
from pathlib import Path
from typing import Any, BinaryIO

from anneal_program import program_path

# Before Ray is imported: no figures to its makers, and no notice about it.
os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
os.environ.setdefault("RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO", "0")

import ray
import ray.train
from ray.train.v2.api.data_parallel_trainer import DataParallelTrainer
from ray.train.v2.api.exceptions import TrainingFailedError

from anneal_ray.cluster import Share, choose_share, join_or_start, living_nodes
from anneal_ray.failure import PEERS, DriverError, StopsWhatARestartDoesNotMend, WorkerFailed, cause_of
from anneal_ray.job import Job
from anneal_ray.options import RayOptions, edited_options, help_text, take_ray_options
from anneal_ray.rank_backend import RankBackendConfig
from anneal_ray.worker import train_worker

POINTERS_KEPT = 2
PLACEMENT_TRIES = 2
POLL_SECONDS = 0.3
REPORT_SECONDS = "0.2"  # Ray takes one report of each worker so often; its default of 2 would lag behind short steps
# Of the driver's environment, what is meant for the program and its children; a cluster that runs has another one.
FOR_THE_PROGRAM = ("ANNEAL_", "HF_", "OMP_", "NCCL_", "TORCH_", "PYTORCH_", "WANDB_", "MLFLOW_")


def main(config: Any) -> int:
    """`config`: the dataclass of ray_train_sft.py, with the user's defaults."""
    arguments = sys.argv[1:]
    program = program_path()
    if "--help" in arguments or "-h" in arguments:
        print(f"Options of Ray Train:\n{help_text()}\n", flush=True)
        return subprocess.run([program, "train", "--help"]).returncode
    try:
        return _run(config, program, arguments)
    except DriverError as error:
        print(f"{Path(sys.argv[0]).name}: {error}", file=sys.stderr)
        return error.code
    finally:
        ray.shutdown()


def _run(config: Any, program: str, arguments: list[str]) -> int:
    options, arguments = take_ray_options(arguments)
    edited = edited_options(config, _program_defaults(program), arguments)
    checked = _ask_program(program, edited, arguments)
    if checked.returncode != 0 or any(argument.replace("-", "_") == "__print_config" for argument in arguments):
        sys.stdout.write(checked.stdout)
        return checked.returncode
    settings = json.loads(checked.stdout)
    os.environ["RAY_TRAIN_WORKER_GROUP_START_TIMEOUT_S"] = str(options.start_timeout)
    os.environ["RAY_TRAIN_WORKER_HEALTH_CHECK_TIMEOUT_S"] = str(options.health_timeout)
    os.environ.setdefault("RAY_TRAIN_HEALTH_CHECK_INTERVAL_S", REPORT_SECONDS)
    join_or_start(options.num_cpus)
    # 1 is what the program takes where nobody says anything.
    workers = options.num_workers or (settings["num_workers"] if settings["num_workers"] != 1 else None)
    share = choose_share(living_nodes(), workers, options.cpus_per_worker, settings["device"])
    job = _make_job(program, edited, arguments, settings, options, share)
    return _follow(job, share, _trainer(job, options, share, settings["max_failures"]))


def _program_defaults(program: str) -> dict[str, Any]:
    listed = subprocess.run([program, "docs", "--json"], stdout=subprocess.PIPE, text=True, check=True)
    return {option["name"]: option["default"] for option in json.loads(listed.stdout)["train"]}


def _ask_program(program: str, edited: dict[str, Any], arguments: list[str]) -> subprocess.CompletedProcess[str]:
    """Its own check of all options, before anything is started; what it says about mistakes is shown."""
    with tempfile.TemporaryDirectory() as folder:
        command = [program, "train", *_config_flags(edited, Path(folder) / "the defaults of Config"), *arguments]
        return subprocess.run([*command, "--print_config"], stdout=subprocess.PIPE, text=True)


def _config_flags(edited: dict[str, Any], path: Path) -> list[str]:
    """In front of the user's own flags and files, which count more."""
    if not edited:
        return []
    path.write_text(json.dumps(edited, default=str))
    return ["--config", str(path)]


def _make_job(
    program: str, edited: dict[str, Any], arguments: list[str], settings: dict[str, Any], options: RayOptions, share: Share
) -> Job:
    if settings.get("num_nodes", 1) != 1:
        raise DriverError("--num_nodes: Ray places the workers on its nodes itself", "leave the flag out")
    label = settings["run_name"] or Path(settings["hf_model_id"]).name
    run = f"{re.sub(r'[^A-Za-z0-9._=-]+', '-', label)[:100]}-{secrets.token_hex(4)}"
    folder = Path(settings["results_dir"]).absolute() / ".ray" / run / "workers"
    token = secrets.token_hex(16)
    try:
        folder.mkdir(parents=True)
        flags = _config_flags(edited, folder / "edited_defaults.json")
        (folder / "token").write_text(token)
    except OSError as error:
        raise DriverError(f"--results_dir: {folder}: {error.strerror}", "name a folder that can be written") from error
    return Job(
        program=program,
        arguments=(*flags, *arguments),
        working_folder=os.getcwd(),
        folder=folder,
        token=token,
        launch_id=secrets.token_hex(16),
        environment={name: value for name, value in os.environ.items() if name.startswith(FOR_THE_PROGRAM)},
        cpus_per_worker=share.cpus_per_worker,
        use_gpu=share.use_gpu,
        master_addr=settings.get("master_addr"),
        master_port=settings.get("master_port"),
        shared_folder_timeout=options.shared_folder_timeout,
    )


def _trainer(job: Job, options: RayOptions, share: Share, max_failures: int) -> DataParallelTrainer:
    storage = job.folder.parent
    return DataParallelTrainer(
        train_worker,
        train_loop_config={"job": job},
        backend_config=RankBackendConfig(),
        scaling_config=ray.train.ScalingConfig(
            num_workers=share.num_workers,
            use_gpu=share.use_gpu,
            resources_per_worker=share.resources(),
            placement_strategy=options.placement_strategy,
        ),
        run_config=ray.train.RunConfig(
            name=storage.name,
            storage_path=str(storage.parent),
            failure_config=ray.train.FailureConfig(max_failures=max_failures, controller_failure_limit=PLACEMENT_TRIES - 1),
            checkpoint_config=ray.train.CheckpointConfig(num_to_keep=POINTERS_KEPT),
            callbacks=[StopsWhatARestartDoesNotMend()],
        ),
    )


class _FollowedFile:
    """Shows a file while it grows. It is opened anew each time: that is when a network's file system looks again."""

    def __init__(self, path: Path, output: BinaryIO):
        self._path, self._output, self._shown = path, output, 0

    def show_new(self) -> None:
        if not self._path.exists():
            return
        with self._path.open("rb") as file:
            file.seek(self._shown)
            new = file.read()
        self._shown += len(new)
        self._output.write(new)
        self._output.flush()


class _Signals:
    """The first asks the program to save and end; the second ends everything at once."""

    def __init__(self, job: Job):
        self.received: int | None = None
        self._stop_file = job.stop_file
        for number in (signal.SIGINT, signal.SIGTERM):
            signal.signal(number, self._handle)

    def _handle(self, number: int, _frame: Any) -> None:
        if self.received is not None:
            ray.shutdown()
            os._exit(128 + number)
        self.received = number
        partial = self._stop_file.with_suffix(".partial")
        partial.write_text(str(int(number)))
        partial.replace(self._stop_file)


def _follow(job: Job, share: Share, trainer: DataParallelTrainer) -> int:
    """Runs the trainer, and shows what rank 0 says."""
    outcome: dict[str, Any] = {}

    def fit() -> None:
        try:
            outcome["result"] = trainer.fit()
        except BaseException as error:  # told by the main thread
            outcome["error"] = error

    print(f"ray: {share.describe()}; Ray's files are in {job.folder.parent}", flush=True)
    signals = _Signals(job)
    files = [_FollowedFile(job.output_file(0), sys.stdout.buffer), _FollowedFile(job.error_file(0), sys.stderr.buffer)]
    fitting = threading.Thread(target=fit, daemon=True)  # not in the main thread, where Ray would take the signals
    fitting.start()
    is_running = True
    while is_running:
        fitting.join(POLL_SECONDS)
        is_running = fitting.is_alive()
        for file in files:
            file.show_new()
    if "error" in outcome:
        return _failed(outcome["error"], signals.received)
    if signals.received is not None:
        return 128 + signals.received
    if outcome["result"].metrics:
        print(f"ray: result {json.dumps(outcome['result'].metrics)}", flush=True)
    return 0


def _failed(error: BaseException, received: int | None) -> int:
    if not isinstance(error, TrainingFailedError):
        raise error
    cause = cause_of(error)
    if received is not None:
        return 128 + received
    if isinstance(cause, WorkerFailed):
        # What rank 0 has written was shown already.
        text = str(cause).split("\n", 1)[0].rstrip(":") if cause.rank == 0 and cause.code != PEERS else str(cause)
        print(f"ray: {text}", file=sys.stderr)
        return cause.code
    print(f"ray: {cause}\n  try: the same command again; it goes on from the newest state", file=sys.stderr)
    return PEERS
