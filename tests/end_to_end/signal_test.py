"""Oracle: the undisturbed run. A run that is asked to end finishes its step, saves, and goes on later as if nothing
had happened; one that is asked twice leaves at once, and has lost no more than a killed one."""

import json
import random
import signal
import subprocess
import time

import pytest

from support.faulty_run import FaultyRun
from support.program import wait_for_line

FLAGS = ("--max_steps", "120", "--eval_steps", "20", "--save_steps", "1000", "--logging_steps", "5")


@pytest.fixture(scope="module")
def undisturbed(tiny, tmp_path_factory):
    run = FaultyRun(tmp_path_factory.mktemp("signals") / "run", tiny("llama")[0], *FLAGS)
    assert run.start().returncode == 0
    return run, run.outcome()


def _saved_step(run: FaultyRun) -> int:
    states = sorted(run.run.glob("resume/step-*"), key=lambda path: int(path.name[5:]))
    return json.loads((states[-1] / "trainer_state.json").read_text())["global_step"]


@pytest.mark.parametrize(("number", "code"), [(signal.SIGTERM, 143), (signal.SIGINT, 130)])
def test_saves_and_goes_on(undisturbed, number: int, code: int):
    run, outcome = undisturbed
    run.reset()
    with run.popen() as process:
        wait_for_line(process.stdout, "step 30/120")
        process.send_signal(number)
        out, err = process.communicate(timeout=60)
    assert process.returncode == code, err
    assert "a second signal leaves at once" in err
    step = _saved_step(run)
    assert 30 <= step < 120 and f"resume/step-{step}" in out
    done = run.start()
    assert done.returncode == 0 and f"resume/step-{step}" in done.stdout, done.stderr
    assert run.outcome()["tensors"].items() >= {
        path: digest for path, digest in outcome["tensors"].items() if "checkpoint" in path or "step-120" in path
    }.items()
    for name in ("log", "scalars", "results", "pointers", "leftovers"):
        assert run.outcome()[name] == outcome[name], name


def test_the_second_signal_leaves_at_once(undisturbed):
    run, outcome = undisturbed
    run.reset()
    with run.popen() as process:
        wait_for_line(process.stdout, "step 40/120")
        process.send_signal(signal.SIGTERM)
        wait_for_line(process.stderr, "a second signal leaves at once")
        process.send_signal(signal.SIGTERM)
        started = time.monotonic()
        process.communicate(timeout=60)
    assert process.returncode == 143 and time.monotonic() - started < 5
    assert run.start().returncode == 0
    assert run.outcome()["log"] == outcome["log"]


def test_before_the_first_step_there_is_nothing_to_save(undisturbed):
    run, _ = undisturbed
    run.reset()
    with run.popen() as process:
        wait_for_line(process.stdout, "run: ")
        process.send_signal(signal.SIGTERM)
        process.communicate(timeout=60)
    assert process.returncode == 143


def test_at_random_moments(undisturbed):
    """In steps, evaluations and saves alike."""
    run, outcome = undisturbed
    run.reset()
    choose = random.Random(4)
    for _ in range(30):
        with run.popen() as process:
            try:
                process.communicate(timeout=choose.uniform(0.4, 0.9))
            except subprocess.TimeoutExpired:
                process.send_signal(choose.choice([signal.SIGTERM, signal.SIGINT]))
                process.communicate(timeout=60)
        if process.returncode == 0:
            break
        assert process.returncode in (130, 143)
    else:
        assert run.start().returncode == 0
    for name in ("log", "scalars", "results", "pointers", "leftovers"):
        assert run.outcome()[name] == outcome[name], name
