"""Every file of configs/ is a run that the program takes; the tiny ones are run."""

import json
from pathlib import Path

import pytest

from support.program import ROOT, anneal, evals_of, steps_of, write_rows

CONFIGS = sorted((ROOT / "configs").glob("*.json"))


@pytest.mark.parametrize("path", CONFIGS, ids=lambda path: path.stem)
def test_the_program_takes_each(path: Path, tiny):
    wanted = json.loads(path.read_text())
    done = anneal("train", "--hf_model_id", tiny("llama")[0], "--config", path, "--print_config")
    resolved = json.loads(done.stdout)
    assert {key: resolved[key] for key in wanted} == wanted


@pytest.mark.parametrize("path", [path for path in CONFIGS if path.stem.startswith("tiny")], ids=lambda path: path.stem)
def test_tiny_runs_learn(path: Path, tiny, tmp_path: Path):
    rows = [{"input": f"Say {n % 7}.\n", "output": f"The number {n % 7}."} for n in range(60)]
    write_rows(tmp_path / "data" / "training.jsonl", rows[:50])
    write_rows(tmp_path / "data" / "validation.jsonl", rows[50:])
    anneal("train", "--config", path, "--hf_model_id", tiny("llama")[0], "--data_dir", tmp_path / "data",
           "--results_dir", tmp_path, "--run_name", "run")  # fmt: skip
    losses = [step["loss"] for step in steps_of(tmp_path / "run")]
    assert len(losses) == 12 and losses[-1] < 0.9 * losses[0]
    assert [event["step"] for event in evals_of(tmp_path / "run")] == [6, 12]
