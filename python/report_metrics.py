"""Sends a run's log.jsonl to wandb and mlflow while it grows: the child of `anneal train --report_to wandb,mlflow`.

What the program is to say to its user is a line "report CLIENT TEXT" on standard output. SIGTERM asks for an end: what
log.jsonl holds then is sent first. The clients and their settings are those of the environment.
"""

import argparse
import fcntl
import importlib.util
import json
import os
import re
import signal
import sys
import threading
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

POLL_SECONDS = 0.3
RETRY_SECONDS = 30.0
FINISH_SECONDS = 10.0  # the program waits for 15
EVENTS_A_BATCH = 50  # mlflow takes 1000 numbers at once
PARAMS_A_BATCH = 100  # so does it with parameters,
PARAM_CHARACTERS = 6000  # of this length at most
NOT_METRICS = ("step", "wall_time")


def say(client: str, text: str) -> None:
    print(f"report {client} {' '.join(text.split())}", flush=True)


class Stop:
    """Set by a signal handler, for which threading's locks are no place."""

    is_set = False

    def wait(self, seconds: float) -> None:
        end = time.monotonic() + seconds
        while not self.is_set and time.monotonic() < end:
            time.sleep(0.05)


@dataclass
class Event:
    line: int  # of log.jsonl, from 1
    kind: str
    step: int
    wall_time: float
    metrics: dict[str, float]


def tag_of(key: str) -> str:
    """As Hugging Face's Trainer names them."""
    for group in ("eval", "test"):
        if key.startswith(group + "_"):
            return f"{group}/{key[len(group) + 1 :]}"
    return f"train/{key}"


def event_of(line: int, fields: dict[str, Any]) -> Event:
    is_evaluation = any(key.startswith("eval_") for key in fields)
    kind = "evaluation" if is_evaluation else "end" if "train_runtime" in fields else "step"
    numbers = {key: value for key, value in fields.items() if isinstance(value, (int, float)) and key not in NOT_METRICS}
    metrics = {tag_of(key): value for key, value in numbers.items()}
    return Event(line, kind, fields["step"], fields.get("wall_time", 0.0), metrics)


class LogReader:
    """The file as it was opened: a run that is resumed meanwhile has another one."""

    def __init__(self, path: Path):
        self._file = path.open("rb")
        self._offset = 0
        self._lines = 0

    def read(self) -> list[Event]:
        """The events of the whole lines that are new."""
        self._file.seek(self._offset)
        whole = self._file.read().rpartition(b"\n")
        self._offset += len(whole[0] + whole[1])
        events = []
        for line in whole[0].splitlines():
            self._lines += 1
            events.append(event_of(self._lines, json.loads(line)))
        return events


class Run:
    def __init__(self, folder: Path):
        self.folder = folder.resolve()
        self.name = self.folder.name
        self.logs = self.folder / "logs"
        record = json.loads((folder / "run_config.json").read_text(encoding="utf-8"))
        self.id: str = record["run_id"]
        self.options: dict[str, Any] = record["options"]


class Client:
    """`reported` holds the last step of each kind of event that the client has. A resumed run does the steps since its
    saved state again; they are the same steps, and are not sent twice."""

    name = ""
    remedy = ""  # for a client that cannot start or fails
    rest = ""  # what sends that which it did not take before the end

    def __init__(self, run: Run):
        self.run = run
        self.state_path = run.logs / f"{self.name}.json"
        self.state: dict[str, Any] = {"run_id": run.id, "reported": {}}
        if self.state_path.exists():
            saved = json.loads(self.state_path.read_text())
            if saved.get("run_id") == run.id:
                self.state = saved

    def save_state(self) -> None:
        partial = self.state_path.with_suffix(".json.partial")
        partial.write_text(json.dumps(self.state) + "\n")
        partial.replace(self.state_path)

    def send(self, events: list[Event]) -> None:
        """May be called again with events that it failed with."""
        reported = self.state["reported"]
        new = [event for event in events if event.step > reported.get(event.kind, -1)]
        for start in range(0, len(new), EVENTS_A_BATCH):
            batch = new[start : start + EVENTS_A_BATCH]
            self.log(batch)
            reported.update({event.kind: event.step for event in batch})
            self.save_state()

    def start(self) -> str:
        """Where the run is to be found."""
        raise NotImplementedError

    def log(self, events: list[Event]) -> None:
        raise NotImplementedError

    def finish(self, has_ended: bool) -> None:
        raise NotImplementedError


class Wandb(Client):
    name = "wandb"
    remedy = "`wandb login`, or WANDB_MODE=offline and `wandb sync` later"
    rest = "`wandb sync` of its files, in <run>/logs/wandb or WANDB_DIR"

    def start(self) -> str:
        import wandb

        self.sent = wandb.init(
            id=self.run.id,
            resume="allow",
            project=os.environ.get("WANDB_PROJECT", "anneal"),
            name=os.environ.get("WANDB_NAME", self.run.name),
            dir=os.environ.get("WANDB_DIR", str(self.run.logs)),
            config=self.run.options,
            allow_val_change=True,
            settings=wandb.Settings(console="off"),
        )
        self.sent.define_metric("train/global_step")
        self.sent.define_metric("*", step_metric="train/global_step", step_sync=True)
        return self.sent.url or f"offline; to send it: wandb sync {Path(self.sent.dir).parent}"

    def log(self, events: list[Event]) -> None:
        for event in events:
            # wandb's own step must grow from row to row, over all files of a run. A step of training may have several
            # events, so that their ordinal takes its place; charts go by train/global_step, as with HF's Trainer.
            row = max(event.line, self.sent.step)
            self.sent.log(event.metrics | {"train/global_step": event.step}, step=row, commit=True)

    def finish(self, has_ended: bool) -> None:
        self.sent.finish(exit_code=0 if has_ended else 1)


class Mlflow(Client):
    name = "mlflow"
    remedy = "see that the server of MLFLOW_TRACKING_URI runs, or `pip install mlflow` for a store in files"
    rest = "the same command again, which sends what is missing"

    def start(self) -> str:
        # This program tries again by itself; a client that waits for minutes would miss the end of the run.
        os.environ.setdefault("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "1")
        os.environ.setdefault("MLFLOW_HTTP_REQUEST_TIMEOUT", "10")
        import mlflow

        self.sent = mlflow.MlflowClient()
        place = re.sub("//[^/@]*@", "//", mlflow.get_tracking_uri())  # without a password
        if self.state.get("tracking_uri") != place or not self._go_on():
            self._create(place)
        return f"run {self.state['mlflow_run_id']} at {place}"

    def _go_on(self) -> bool:
        """Whether the run that earlier starts made is there, and takes metrics again."""
        from mlflow.exceptions import MlflowException

        try:
            known = self.sent.get_run(self.state["mlflow_run_id"])
        except MlflowException as error:
            if error.error_code == "RESOURCE_DOES_NOT_EXIST":
                return False
            raise
        if known.info.lifecycle_stage == "deleted":
            return False
        self.sent.update_run(known.info.run_id, status="RUNNING")
        return True

    def _create(self, place: str) -> None:
        from mlflow.entities import Param

        experiment = os.environ.get("MLFLOW_EXPERIMENT_ID")
        if experiment is None:
            name = os.environ.get("MLFLOW_EXPERIMENT_NAME", "anneal")
            known = self.sent.get_experiment_by_name(name)
            experiment = known.experiment_id if known else self.sent.create_experiment(name)
        name = os.environ.get("MLFLOW_RUN_NAME", self.run.name)
        created = self.sent.create_run(experiment, run_name=name, tags={"anneal.run_id": self.run.id}).info.run_id
        options = [Param(key, str(value)[:PARAM_CHARACTERS]) for key, value in self.run.options.items()]
        for start in range(0, len(options), PARAMS_A_BATCH):
            self.sent.log_batch(created, params=options[start : start + PARAMS_A_BATCH])
        self.state |= {"tracking_uri": place, "mlflow_run_id": created, "reported": {}}
        self.save_state()

    def log(self, events: list[Event]) -> None:
        from mlflow.entities import Metric

        metrics = [
            Metric(tag, value, round(1000 * event.wall_time), event.step)
            for event in events
            for tag, value in event.metrics.items()
        ]
        self.sent.log_batch(self.state["mlflow_run_id"], metrics=metrics)

    def finish(self, has_ended: bool) -> None:
        self.sent.set_terminated(self.state["mlflow_run_id"], "FINISHED" if has_ended else "KILLED")


def follow(client: Client, log: LogReader, stop: Stop) -> None:
    """Sends events to the client until the stop, then what is left."""
    pending: list[Event] = []
    has_failed = has_ended = False
    while True:
        is_last = stop.is_set  # asked before reading: whatever was logged before the stop is sent
        for event in log.read():
            pending.append(event)
            has_ended = event.kind == "end"
        try:
            client.send(pending)
            pending = []
        except Exception as error:
            if not has_failed:
                say(client.name, f"warning: {client.name} fails, and is tried again until the end: {error}; try: {client.remedy}")
            has_failed = True
        if is_last:
            break
        stop.wait(RETRY_SECONDS if pending else POLL_SECONDS)
    client.finish(has_ended)
    if pending:
        say(client.name, f"warning: {client.name} lacks the last events; try: {client.rest}")


def report(client: Client, log: LogReader, stop: Stop) -> None:
    try:
        where = client.start()
    except Exception as error:
        say(client.name, f"warning: no metrics go to {client.name}: {error}; try: {client.remedy}")
        return
    say(client.name, f"{client.name}: {where}")
    try:
        follow(client, log, stop)
    except Exception as error:
        say(client.name, f"warning: {client.name} has failed: {error}; try: {client.remedy}")


def is_installed(name: str) -> bool:
    if importlib.util.find_spec(name) is not None:
        return True
    install = f"{sys.executable} -m pip install {name}"
    say(name, f"warning: no metrics go to {name}: it is not installed; try: {install}, or name another Python in ANNEAL_PYTHON")
    return False


def main() -> None:
    stop = Stop()
    signal.signal(signal.SIGTERM, lambda *_: setattr(stop, "is_set", True))
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # of a terminal: the program finishes its step, and then asks for an end
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--run_dir", type=Path, required=True)
    parser.add_argument("--report_to", required=True, help="wandb, mlflow or both, separated by a comma")
    arguments = parser.parse_args()

    run = Run(arguments.run_dir)
    kinds = [kind for kind in (Wandb, Mlflow) if kind.name in arguments.report_to.split(",") and is_installed(kind.name)]
    logs = [LogReader(run.folder / "log.jsonl") for _ in kinds]
    run.logs.mkdir(exist_ok=True)
    # The child of a program that was killed may still be sending; what it has sent is to be known here.
    with (run.logs / "report.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        # A thread each, so that one that waits for a server does not hold up the other.
        threads = [
            threading.Thread(target=report, args=(kind(run), log, stop), daemon=True) for kind, log in zip(kinds, logs)
        ]
        for thread in threads:
            thread.start()
        while not stop.is_set and any(thread.is_alive() for thread in threads):
            time.sleep(POLL_SECONDS)
        end = time.monotonic() + FINISH_SECONDS
        for thread in threads:
            thread.join(max(0.0, end - time.monotonic()))
        for kind, thread in zip(kinds, threads):
            if thread.is_alive():
                say(kind.name, f"warning: {kind.name} was still sending after {FINISH_SECONDS:.0f} s; try: {kind.rest}")
        if any(thread.is_alive() for thread in threads):
            os._exit(0)  # the clients' own waits at exit have no limit


if __name__ == "__main__":
    main()
