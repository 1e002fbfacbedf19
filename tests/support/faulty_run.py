"""A small training run that is disturbed and repeated, and what of its result must be equal to an undisturbed run's."""

import hashlib
import json
import math
import os
import re
import shutil
import subprocess
import time
from pathlib import Path
from typing import Any

from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from support.program import BUILD

FLAGS = ("--max_seq_length", "512", "--save_steps", "2", "--eval_steps", "2", "--logging_steps", "1", "--max_steps", "7",
         "--learning_rate", "1e-2", "--lora_rank", "4", "--lora_dropout", "0.1", "--save_total_limit", "2",
         "--hfdc_train_split_ratio", "0.6", "--early_stopping_patience", "0")  # fmt: skip
LEFTOVER = re.compile(r"\.tmp-|\.partial|\.trash|\.other")
MEASURED = re.compile(r"wall_time|tokens_per_second|memory_gb|sent_gb|limit_share|runtime|_per_second")


def without_measured(value: Any) -> Any:
    """The same without what is measured anew in every run."""
    if isinstance(value, dict):
        return {key: without_measured(item) for key, item in value.items() if not MEASURED.search(key)}
    return [without_measured(item) for item in value] if isinstance(value, list) else value


def scalars(folder: Path) -> dict[str, list[tuple[int, float]]]:
    """What TensorBoard's own reader finds, by tag."""
    reader = EventAccumulator(str(folder), size_guidance={"scalars": 0}).Reload()
    return {tag: [(event.step, event.value) for event in reader.Scalars(tag)] for tag in reader.Tags()["scalars"]}


def _digest(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


def digests(folder: Path) -> dict[str, str]:
    """SHA-256 of every file below the folder, but for the lock, which names who looked last."""
    files = [path for path in folder.rglob("*") if path.is_file() and path.name != ".lock"]
    return {str(path.relative_to(folder)): _digest(path) for path in files}


class FaultyRun:
    """One work folder: `rows.jsonl`, the prepared data and the results. `start` is one try of the same command."""

    def __init__(self, work: Path, model: Path, *flags: str) -> None:
        self.work, self.model, self.flags = work, model, (*FLAGS, *flags)
        self.run = work / "out" / "results" / "run"
        work.mkdir(parents=True)
        rows = [{"instruction": f"Say {n}.", "output": f"The number {n}."} for n in range(40)]
        (work / "rows.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
        (work / "out").mkdir()

    def command(self, *flags: str) -> list[str]:
        return [str(BUILD / "anneal"), "train", "--hf_model_id", str(self.model), "--hfdc_dataset_name", "rows.jsonl",
                "--hfdc_input_template", "{instruction}\n", "--hfdc_output_template", "{output}", "--data_dir", "out/data",
                "--results_dir", "out/results", "--run_name", "run", *self.flags, *flags]  # fmt: skip

    def _environment(self, fault: dict[str, Any]) -> dict[str, str]:
        settings = {f"FAULT_{name.upper()}": str(value) for name, value in fault.items()}
        preload = {"LD_PRELOAD": str(BUILD / "libfile_faults.so"), "FAULT_ROOT": str(self.work / "out")} if fault else {}
        return os.environ | {"OMP_NUM_THREADS": "1"} | preload | settings

    def start(self, *flags: str, **fault: Any) -> subprocess.CompletedProcess[str]:
        """`fault`: at, kind, lasts, path, count, as tests/support/file_faults.cpp says."""
        return subprocess.run(self.command(*flags), cwd=self.work, env=self._environment(fault), capture_output=True, text=True,
                              timeout=120)  # fmt: skip

    def popen(self, *flags: str) -> subprocess.Popen[str]:
        return subprocess.Popen(self.command(*flags), cwd=self.work, env=self._environment({}), stdout=subprocess.PIPE,
                                stderr=subprocess.PIPE, text=True)  # fmt: skip

    def start_and_kill(self, after_seconds: float) -> bool:
        """Whether it was still running then."""
        with self.popen() as process:
            time.sleep(after_seconds)
            was_running = process.poll() is None
            process.kill()
            process.communicate()
        return was_running

    def reset(self) -> None:
        shutil.rmtree(self.work / "out")
        (self.work / "out").mkdir()

    def outcome(self) -> dict[str, Any]:
        """All that must not depend on what happened on the way."""
        files = sorted(path.relative_to(self.work) for path in (self.work / "out").rglob("*") if path.is_file())
        tensors = {str(path): _digest(self.work / path) for path in files if path.suffix == ".safetensors"}
        lines = [json.loads(line) for line in (self.run / "log.jsonl").read_text().splitlines()]
        states = {path: without_measured(json.loads((self.work / path).read_text()))
                  for path in map(str, files) if path.endswith("trainer_state.json")}  # fmt: skip
        finite = [value for line in lines for value in line.values() if isinstance(value, float)]
        assert all(map(math.isfinite, finite))
        return {
            "tensors": tensors,
            "log": without_measured(lines),
            "states": states,
            "scalars": without_measured(scalars(self.run / "logs")),
            "results": without_measured(json.loads((self.run / "all_results.json").read_text())),
            "pointers": [(self.run / name).read_text() for name in ("best", "latest")],
            "data": {path.name: _digest(path) for path in sorted((self.work / "out" / "data").glob("*.jsonl"))},
            "leftovers": [str(path) for path in files if LEFTOVER.search(str(path))],
            "names": sorted({str(path) for path in files if "tfevents" not in path.name}),
        }
