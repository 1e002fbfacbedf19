"""Runs our programs for tests in Python."""

import json
import shutil
import subprocess
import threading
from pathlib import Path
from typing import Any, TextIO

import torch
from safetensors.torch import load_file

ROOT = Path(__file__).resolve().parents[2]
BUILD = ROOT / "build" / "release"
SHARED = ROOT.parent / "shared"


def anneal(*arguments: str, check: bool = True) -> subprocess.CompletedProcess[str]:
    """`anneal ...`; a failure shows what it printed."""
    done = subprocess.run([str(BUILD / "anneal"), *map(str, arguments)], capture_output=True, text=True)
    assert not check or done.returncode == 0, done.stdout + done.stderr
    return done


def anonymous_bytes(pid: int) -> int:
    """The memory of a process that no file backs; 0 once it is gone."""
    try:
        lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    except OSError:
        return 0
    return next((int(line.split()[1]) * 1024 for line in lines if line.startswith("RssAnon")), 0)


def peak_anonymous_bytes(command: list[str]) -> int:
    """Runs it; the most anonymous memory that it had."""
    with subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True) as process:
        peak, ended = 0, threading.Event()

        def watch() -> None:
            nonlocal peak
            while not ended.wait(0.005):
                peak = max(peak, anonymous_bytes(process.pid))

        watcher = threading.Thread(target=watch)
        watcher.start()
        message = process.stderr.read()
        code = process.wait()
        ended.set()
        watcher.join()
    assert code == 0, message
    return peak


def wait_for_line(lines: TextIO, text: str) -> None:
    for line in lines:
        if text in line:
            return
    raise AssertionError(f"ended without {text!r}")


def copy_model(model: Path, folder: Path) -> Path:
    """A copy of a tiny model, without the adapter beside it, that a test may damage."""
    return shutil.copytree(model, folder, ignore=shutil.ignore_patterns("adapter"))


def assert_refused(done: subprocess.CompletedProcess[str], code: int, *texts: str) -> None:
    """The contract of errors: the exit code, what is wrong and where in the message, and a remedy."""
    message = done.stderr + done.stdout
    assert done.returncode == code, message
    for text in texts:
        assert text in message, f"{text!r} is not in: {message}"
    assert "try:" in done.stderr and "internal error" not in message


def probe(folder: Path, **request: Any) -> dict[str, torch.Tensor]:
    """model_probe's tensors; see tests/support/model_probe.cpp for the request. `folder` takes the files."""
    defaults = {"compute_dtype": "fp32", "seed": 1, "step": 0, "micro_batch_tokens": 1 << 20, "kept_layers": 1 << 20}
    output = folder / "probe.safetensors"
    request = defaults | request | {"output": str(output)}
    (folder / "probe.json").write_text(json.dumps(request, default=str))
    done = subprocess.run([str(BUILD / "model_probe"), str(folder / "probe.json")], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return load_file(output)


def generate(folder: Path, prompts: list[list[int]], stop: list[str] | None = None, **request: Any) -> list[dict[str, Any]]:
    """generate_probe's completions. Options of generation go by their names; `folder` takes the files."""
    own = {name: request.pop(name) for name in ("model", "adapter", "compute_dtype", "memory_share") if name in request}
    output = folder / "generate.json"
    whole = {"compute_dtype": "fp32", "prompts": prompts, "options": request, "stop": stop or [], "output": str(output)} | own
    (folder / "generate_request.json").write_text(json.dumps(whole, default=str))
    command = [str(BUILD / "generate_probe"), str(folder / "generate_request.json")]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return json.loads(output.read_text())["completions"]


def eval_probe(folder: Path, candidates: list[str], references: list[str], **options: Any) -> dict[str, Any]:
    """model_probe's scores of pairs of texts; see tests/support/eval_probe.h. BERTScore only where options are given."""
    request = {
        "options": options or None,
        "candidates": candidates,
        "references": references,
        "output": str(folder / "eval.json"),
    }
    (folder / "request.json").write_text(json.dumps(request, default=str))
    program = [str(BUILD / "model_probe"), "eval", str(folder / "request.json")]
    done = subprocess.run(program, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return json.loads((folder / "eval.json").read_text())


def steps_of(run: Path) -> list[dict[str, float]]:
    """The training events of a run's log."""
    events = [json.loads(line) for line in (run / "log.jsonl").read_text().splitlines()]
    return [event for event in events if "loss" in event]


def evals_of(run: Path) -> list[dict[str, float]]:
    events = [json.loads(line) for line in (run / "log.jsonl").read_text().splitlines()]
    return [event for event in events if "eval_loss" in event]


def write_rows(path: Path, rows: list[dict[str, str]]) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows), encoding="utf-8")
    return path
