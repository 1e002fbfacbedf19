"""Oracle: log.jsonl, under the names that transformers' rewrite_logs gives; for what a resumed run does again, by hand."""

import json
import os
import signal
import struct
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from transformers.integrations.integration_utils import rewrite_logs

from support.program import BUILD, ROOT, anneal, write_rows

Scalar = tuple[str, int, float]  # name, step, value
UNREACHABLE = "http://127.0.0.1:9"  # the port of `discard`: nothing listens


@pytest.fixture(autouse=True)
def _offline(monkeypatch: pytest.MonkeyPatch, tmp_path: Path):
    settings = {"ANNEAL_PYTHON": sys.executable, "WANDB_MODE": "offline", "DO_NOT_TRACK": "true", "OMP_NUM_THREADS": "1",
                "MLFLOW_TRACKING_URI": f"sqlite:///{tmp_path}/mlflow.db"}  # fmt: skip
    for name in ("WANDB_PROJECT", "WANDB_NAME", "WANDB_DIR", "MLFLOW_EXPERIMENT_NAME", "MLFLOW_EXPERIMENT_ID", "MLFLOW_RUN_NAME"):
        monkeypatch.delenv(name, raising=False)
    for name, value in settings.items():
        monkeypatch.setenv(name, value)


@pytest.fixture
def command(tiny, tmp_path: Path) -> Callable[..., list[str]]:
    """The arguments of a training of tmp_path/<run_name>."""
    rows = [{"input": f"Say {n % 7}.\n", "output": f"The number {n % 7}."} for n in range(40)]
    write_rows(tmp_path / "data" / "training.jsonl", rows[:32])
    write_rows(tmp_path / "data" / "validation.jsonl", rows[32:])

    def make(report_to: str, max_steps: int = 2, run_name: str = "run") -> list[str]:
        return ["train", "--hf_model_id", str(tiny("llama")[0]), "--data_dir", str(tmp_path / "data"), "--results_dir",
                str(tmp_path), "--run_name", run_name, "--max_seq_length", "64", "--logging_steps", "1", "--eval_steps", "2",
                "--max_steps", str(max_steps), "--report_to", report_to]  # fmt: skip

    return make


def _logged(run: Path) -> list[Scalar]:
    scalars: list[Scalar] = []
    for line in (run / "log.jsonl").read_text().splitlines():
        event = json.loads(line)
        step = event.pop("step")
        del event["wall_time"]
        scalars += [(name, step, value) for name, value in rewrite_logs(event).items() if value is not None]
    return sorted(scalars)


def _without_epoch(scalars: list[Scalar]) -> list[Scalar]:
    return [scalar for scalar in scalars if scalar[0] != "train/epoch"]


def _wandb_records(file: Path) -> Iterator[Any]:
    """A .wandb file is LevelDB's log format over protobuf messages: fragments in blocks of 32 KiB, with a header of 7 bytes."""
    from wandb.proto import wandb_internal_pb2

    content, offset, message = file.read_bytes(), 7, b""
    while offset + 7 <= len(content):
        left = 32768 - offset % 32768
        if left < 7:
            offset += left
            continue
        size, kind = struct.unpack("<HB", content[offset + 4 : offset + 7])
        message += content[offset + 7 : offset + 7 + size]
        offset += 7 + size
        if kind in (1, 4):  # a whole message, or the last fragment of one
            yield wandb_internal_pb2.Record.FromString(message)
            message = b""


def _in_wandb(run: Path) -> tuple[list[Scalar], list[dict[str, Any]]]:
    """The scalars of all files of a run, and the configuration in each."""
    scalars: list[Scalar] = []
    configurations, rows = [], []
    for file in sorted((run / "logs" / "wandb").glob("offline-run-*/*.wandb")):
        for record in _wandb_records(file):
            if record.HasField("run"):
                configurations.append({item.key: json.loads(item.value_json) for item in record.run.config.update})
            if not record.HasField("history"):
                continue
            row = {item.key or "/".join(item.nested_key): json.loads(item.value_json) for item in record.history.item}
            rows.append(row["_step"])
            step = row["train/global_step"]
            scalars += [(name, step, value) for name, value in row.items() if name[0] != "_" and name != "train/global_step"]
    assert rows == sorted(set(rows)), "a run's rows have one order over all its files"
    return sorted(scalars), configurations


def _in_mlflow(tmp_path: Path) -> tuple[list[Scalar], Any]:
    from mlflow import MlflowClient

    client = MlflowClient(f"sqlite:///{tmp_path}/mlflow.db")
    (run,) = client.search_runs([client.get_experiment_by_name("anneal").experiment_id])
    histories = [client.get_metric_history(run.info.run_id, name) for name in run.data.metrics]
    return sorted((metric.key, metric.step, metric.value) for history in histories for metric in history), run


def test_both_have_what_the_log_holds_also_after_a_resume(command, tmp_path: Path):
    done = anneal(*command("wandb,mlflow", 4))
    assert "wandb sync" in done.stdout and "mlflow: run" in done.stdout and "warning" not in done.stdout
    resumed = anneal(*command("wandb, mlflow", 8))
    assert "resuming from" in resumed.stdout
    run = tmp_path / "run"
    logged = _logged(run)
    assert {step for _, step, _ in logged} == set(range(1, 9))

    scalars, configurations = _in_wandb(run)
    assert scalars == logged
    assert [configuration["max_steps"] for configuration in configurations] == [4, 8]

    # Each event of a step has the epoch, and mlflow keeps one where number and millisecond are the same.
    scalars, mlflow_run = _in_mlflow(tmp_path)
    assert set(scalars) == set(logged)
    assert _without_epoch(scalars) == _without_epoch(logged)
    assert mlflow_run.data.params["lora_rank"] == "32"
    assert (mlflow_run.info.run_name, mlflow_run.info.status) == ("run", "FINISHED")


def _write_log(run: Path, events: list[dict[str, Any]], has_torn_end: bool = False) -> None:
    partial = run / "log.jsonl.new"
    partial.write_text("".join(json.dumps(event) + "\n" for event in events) + ('{"step": 99, "lo' if has_torn_end else ""))
    partial.rename(run / "log.jsonl")


def _report(run: Path) -> None:
    """The child by itself: told to end when it has started its client, as the program does."""
    child = [sys.executable, ROOT / "python" / "report_metrics.py", "--run_dir", run, "--report_to", "wandb"]
    with subprocess.Popen(child, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True) as process:
        assert process.stdout.readline().startswith("report wandb wandb: offline")
        process.send_signal(signal.SIGINT)  # of a terminal: not for the child
        process.terminate()
        assert process.stdout.read() == "" and process.wait() == 0


def test_steps_that_are_done_again_are_not_sent_again(tmp_path: Path):
    (tmp_path / "run_config.json").write_text(json.dumps({"run_id": "0123456789abcdef", "options": {}}))
    steps = [{"step": step, "loss": 1 / step, "wall_time": 1.5} for step in range(1, 7)]
    evaluations = [{"step": step, "eval_loss": None, "eval_runtime": 0.5, "wall_time": 1.5} for step in (4, 6)]
    _write_log(tmp_path, [*steps[:4], evaluations[0], *steps[4:]], has_torn_end=True)
    _report(tmp_path)
    # Resumed from step 4: steps 5 and 6 come again, now with the evaluation that the end had cut short.
    again = [{"step": step, "loss": 7.0, "wall_time": 2.5} for step in (5, 6)]
    _write_log(tmp_path, [*steps[:4], evaluations[0], *again, evaluations[1], {"step": 7, "loss": 1 / 7}])
    _report(tmp_path)
    wanted = [("train/loss", step, 1 / step) for step in range(1, 8)] + [("eval/runtime", step, 0.5) for step in (4, 6)]
    assert _in_wandb(tmp_path)[0] == sorted(wanted)


def _wait_for(is_so: Callable[[], Any], process: subprocess.Popen[str]) -> None:
    deadline = time.monotonic() + 60
    while not is_so():
        assert process.poll() is None and time.monotonic() < deadline
        time.sleep(0.005)


def test_a_child_killed_amid_the_run_does_not_touch_training(command, tmp_path: Path):
    anneal(*command("none", 40, "alone"))
    run = tmp_path / "run"
    with subprocess.Popen([BUILD / "anneal", *command("wandb", 40)], stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
                          text=True) as process:  # fmt: skip
        log = run / "log.jsonl"
        _wait_for(lambda: log.exists() and log.stat().st_size > 0, process)
        # Training stands still until the child has reported, so that it is killed amid the run on any machine.
        process.send_signal(signal.SIGSTOP)
        _wait_for((run / "logs" / "wandb.json").exists, process)
        (child,) = Path(f"/proc/{process.pid}/task/{process.pid}/children").read_text().split()
        os.kill(int(child), signal.SIGKILL)
        process.send_signal(signal.SIGCONT)
        output = process.stdout.read()
    assert process.returncode == 0, output
    assert output.count("(signal 9)") == 1 and "logs/report.log" in output
    assert "done: 40 steps" in output
    adapters = sorted(file.relative_to(tmp_path / "alone") for file in (tmp_path / "alone").glob("checkpoint-*/adapter_*"))
    assert len(adapters) >= 2
    for file in adapters:
        assert (run / file).read_bytes() == (tmp_path / "alone" / file).read_bytes()


def test_a_client_that_is_not_installed(command, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", tmp_path / "bare"], check=True)
    python = tmp_path / "bare" / "bin" / "python"
    monkeypatch.setenv("ANNEAL_PYTHON", str(python))
    done = anneal(*command("wandb,mlflow"))
    for client in ("wandb", "mlflow"):
        assert done.stdout.count(f"{python} -m pip install {client}") == 1
    assert "done: 2 steps" in done.stdout and "exit status" not in done.stdout


def test_no_python(command, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("ANNEAL_PYTHON", "/nowhere/python3")
    done = anneal(*command("mlflow"))
    assert done.stdout.count("warning: ") == 1 and "ANNEAL_PYTHON" in done.stdout and "/nowhere/python3" in done.stdout


def test_a_client_that_fails_leaves_the_other_alone(command, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("MLFLOW_TRACKING_URI", UNREACHABLE)
    done = anneal(*command("mlflow", 2) + ["--use_wandb"])
    assert done.stdout.count("warning: no metrics go to mlflow") == 1
    assert "MLFLOW_TRACKING_URI" in done.stdout
    assert _in_wandb(tmp_path / "run")[0] == _logged(tmp_path / "run")
