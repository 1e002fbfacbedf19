"""Trainings by several processes, started as torchrun starts them."""

import json
import os
import socket
import subprocess
import uuid
from pathlib import Path
from typing import Any

from support.program import BUILD, write_rows

GLOBAL_BATCH = 8


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def rank_environment(rank: int, size: int, port: int, token: str) -> dict[str, str]:
    variables = {"RANK": rank, "WORLD_SIZE": size, "LOCAL_RANK": rank, "LOCAL_WORLD_SIZE": size, "MASTER_ADDR": "127.0.0.1",
                 "MASTER_PORT": port, "ANNEAL_RUN_TOKEN": token, "OMP_NUM_THREADS": 1}  # fmt: skip
    return os.environ | {name: str(value) for name, value in variables.items()}


class RankedTraining:
    """One training on `work`/rows.jsonl, whose steps have the same samples at any number of ranks."""

    def __init__(self, work: Path, model: Path, *flags: Any) -> None:
        self.work, self.model, self.flags = work, model, list(map(str, flags))
        rows = [{"input": f"Say {'again ' * (n % 5)}{n}.\n", "output": f"The number {n}." * (1 + n % 3)} for n in range(60)]
        write_rows(work / "data" / "training.jsonl", rows[:40])
        write_rows(work / "data" / "validation.jsonl", rows[40:])

    def command(self, name: str, size: int, *flags: Any) -> list[str]:
        return [str(BUILD / "anneal"), "train", "--hf_model_id", str(self.model), "--data_dir", str(self.work / "data"),
                "--results_dir", str(self.work / "results"), "--run_name", name, "--per_device_train_batch_size", "2",
                "--gradient_accumulation_steps", str(GLOBAL_BATCH // 2 // size), "--logging_steps", "1",
                "--early_stopping_patience", "0", *self.flags, *map(str, flags)]  # fmt: skip

    def popen(self, name: str, size: int, *flags: Any) -> list[subprocess.Popen[str]]:
        port, token = free_port(), uuid.uuid4().hex
        environments = [rank_environment(rank, size, port, token) for rank in range(size)]
        if size == 1:
            environments = [os.environ | {"OMP_NUM_THREADS": "1"}]
        return [subprocess.Popen(self.command(name, size, *flags), env=environment, stdout=subprocess.PIPE,
                                 stderr=subprocess.PIPE, text=True) for environment in environments]  # fmt: skip

    def start(self, name: str, size: int, *flags: Any) -> Path:
        """Runs to the end, in order; the run's folder."""
        ranks = self.popen(name, size, *flags)
        outputs = [rank.communicate(timeout=300) for rank in ranks]
        assert [rank.returncode for rank in ranks] == [0] * size, outputs
        return self.work / "results" / name

    def log(self, name: str) -> list[dict[str, float]]:
        lines = (self.work / "results" / name / "log.jsonl").read_text().splitlines()
        return [json.loads(line) for line in lines]
