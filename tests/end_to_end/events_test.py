"""Oracle: what log.jsonl and the run's folders say of the same run; the contract of errors by hand."""

import json
import os
import subprocess
from pathlib import Path

import pytest

from support.faulty_run import FaultyRun
from support.program import assert_refused

USAGE = 2


@pytest.fixture
def run(tiny, tmp_path: Path) -> FaultyRun:
    return FaultyRun(tmp_path / "run", tiny("llama")[0])


def test_what_the_program_that_started_a_run_reads(run: FaultyRun):
    read_end, write_end = os.pipe()
    process = subprocess.Popen(run.command("--events_fd", str(write_end)), cwd=run.work, pass_fds=[write_end], stdout=subprocess.PIPE)
    os.close(write_end)
    with open(read_end) as lines:
        events = [json.loads(line) for line in lines]
    process.communicate()
    assert process.returncode == 0
    assert [event["seq"] for event in events] == list(range(len(events))) and {event["type"] for event in events} == {"report"}
    logged = [json.loads(line) for line in (run.run / "log.jsonl").read_text().splitlines()]
    figures = [{"step": event["step"], **event["metrics"]} for event in events if event["checkpoint"] is None]
    assert figures == [{key: value for key, value in event.items() if key != "wall_time"} for event in logged]
    saved = [event for event in events if event["checkpoint"] is not None]
    steps = [event["step"] for event in logged if "eval_loss" in event]
    expected = [(step, str(run.run / name)) for step in steps for name in (f"checkpoint-{step}", f"resume/step-{step}")]
    assert [(event["step"], event["checkpoint"]) for event in saved] == expected
    assert saved[-1]["metrics"]["train_loss"] == logged[-1]["train_loss"]
    assert saved[-1]["metrics"]["eval_loss"] == logged[-2]["eval_loss"]


def test_a_descriptor_that_cannot_be_written_is_refused(run: FaultyRun):
    assert_refused(run.start("--events_fd", "77"), USAGE, "--events_fd", "descriptor 77 is not open for writing")
    assert_refused(run.start("--events_fd", "1"), USAGE, "--events_fd", "at least 3")
    read_end, write_end = os.pipe()
    command = run.command("--events_fd", str(read_end))
    done = subprocess.run(command, cwd=run.work, pass_fds=[read_end], capture_output=True, text=True)
    assert_refused(done, USAGE, f"descriptor {read_end} is not open for writing")
    os.close(read_end)
    os.close(write_end)
    assert not run.run.exists()


def test_a_reader_that_goes_away_does_not_end_the_run(run: FaultyRun):
    read_end, write_end = os.pipe()
    os.close(read_end)
    command = run.command("--events_fd", str(write_end))
    done = subprocess.run(command, cwd=run.work, pass_fds=[write_end], capture_output=True, text=True)
    os.close(write_end)
    assert done.returncode == 0 and done.stdout.count("nobody reads --events_fd any more") == 1
    assert "done: 7 steps" in done.stdout
