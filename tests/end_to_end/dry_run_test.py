"""Oracle: the run that follows, and what is on disk before and after."""

from pathlib import Path

import pytest

from support.faulty_run import FaultyRun, digests
from support.program import assert_refused, wait_for_line


@pytest.fixture
def run(tiny, tmp_path: Path) -> FaultyRun:
    return FaultyRun(tmp_path / "work", tiny("llama")[0])


def test_it_says_what_the_run_says_and_makes_none(run: FaultyRun):
    dry = run.start("--dry_run")
    assert dry.returncode == 0, dry.stderr
    assert "all is ready for step 1;" in dry.stdout
    assert not (run.work / "out" / "results").exists() and (run.work / "out" / "data").exists()
    real = run.start()
    assert real.returncode == 0
    said = set(real.stdout.splitlines())
    for beginning in ("training: ", "validation: ", "trained parameters: ", "micro-batches of at most ", "LoRA targets"):
        lines = [line for line in dry.stdout.splitlines() if line.startswith(beginning)]
        assert len(lines) == 1 and lines[0] in said, beginning
    assert "8 samples; 7 steps in all" in dry.stdout
    memory = next(line for line in dry.stdout.splitlines() if line.startswith("memory of a step: "))
    assert all(f", {part} " in memory for part in ("weights", "LoRA", "gradients", "optimizer", "activations")) and "; free " in memory


def test_a_run_that_lies_there_is_not_touched(run: FaultyRun):
    assert run.start("--max_steps", "4").returncode == 0
    before = digests(run.run)
    leftover = run.run / ".trash-checkpoint-1"
    leftover.mkdir()
    dry = run.start("--dry_run")
    assert dry.returncode == 0 and "all is ready for step 5;" in dry.stdout, dry.stdout + dry.stderr
    assert digests(run.run) == before and leftover.exists()
    assert "nothing is left to train" in run.start("--dry_run", "--max_steps", "4").stdout
    assert_refused(run.start("--dry_run", "--learning_rate", "1e-3"), 2, "another recipe", "learning_rate")
    assert digests(run.run) == before


def test_mistakes_are_found_and_leave_nothing(run: FaultyRun):
    assert_refused(run.start("--dry_run", "--lora_target_modules", "qkv_proj"), 2, "qkv_proj")
    assert_refused(run.start("--dry_run", "--hfdc_input_template", "{no_such}"), 3, "no_such")
    assert not (run.work / "out" / "results").exists()


def test_folders_that_were_there_stay(run: FaultyRun):
    (run.work / "out" / "results" / "run").mkdir(parents=True)
    (run.work / "out" / "results" / "run" / "mine").write_text("x")
    assert run.start("--dry_run").returncode == 0
    assert {path.name for path in run.run.iterdir()} >= {"mine"}


def test_several_processes(run: FaultyRun):
    dry = run.start("--dry_run", "--num_workers", "2")
    assert dry.returncode == 0 and "all is ready for step 1;" in dry.stdout, dry.stderr
    assert "16 samples; 7 steps in all" in dry.stdout and not (run.work / "out" / "results").exists()


def test_a_run_that_goes_on_is_not_disturbed(run: FaultyRun):
    with run.popen("--max_steps", "4000", "--early_stopping_patience", "0", "--eval_steps", "4000") as process:
        wait_for_line(process.stdout, "step 3/4000")
        assert_refused(run.start("--dry_run"), 2, "another run is working there")
        process.terminate()
        process.communicate(timeout=60)
    assert process.returncode == 143
