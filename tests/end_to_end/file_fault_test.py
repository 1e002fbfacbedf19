"""Oracle: the undisturbed run. A disk that is full, fails or turns read-only at any call on files never costs what was
saved: either the run ends as if nothing had happened, or it says what is wrong and the same command ends it later.

ANNEAL_TEST_FULL=1 tries every call on files; otherwise a seeded sample.
"""

import os
import random
import subprocess
from pathlib import Path

import pytest

from support.faulty_run import FaultyRun

FULL = os.environ.get("ANNEAL_TEST_FULL") == "1"
OK, USAGE, DATA, RESOURCES = 0, 2, 3, 6


@pytest.fixture(scope="module")
def undisturbed(tiny, tmp_path_factory):
    run = FaultyRun(tmp_path_factory.mktemp("faults") / "run", tiny("llama")[0])
    assert run.start(count=run.work / "count").returncode == OK
    return run, run.outcome(), int((run.work / "count").read_text())


def assert_equal(run: FaultyRun, outcome: dict, what: str) -> None:
    """An older state that could not be written may be missing: a newer one has taken its place. All else is equal."""
    found = run.outcome()
    for name in ("log", "scalars", "results", "pointers", "data", "leftovers"):
        assert found[name] == outcome[name], f"{what}: {name} differs"
    for name in ("tensors", "states"):
        last = {path for path in outcome[name] if "step-7/" in path or "checkpoint-7/" in path}
        assert last and last <= set(found[name]), f"{what}: {last - set(found[name])} is missing"
        for path in set(found[name]) & set(outcome[name]):
            assert found[name][path] == outcome[name][path], f"{what}: {path} differs"


@pytest.mark.parametrize(
    ("kind", "lasts"),
    [("ENOSPC", 0), ("ENOSPC", 1), ("EIO", 0), ("EIO", 1), ("EROFS", 1), ("short", 0), ("short", 1)],
)
def test_fails_at_any_call(undisturbed, kind: str, lasts: int):
    run, outcome, calls = undisturbed
    some = sorted(random.Random(f"{kind}{lasts}").sample(range(1, calls + 1), 4))
    for number in range(1, calls + 1) if FULL else some:
        run.reset()
        what = f"{kind} at call {number}{' and later ones' * lasts}"
        done = run.start(at=number, kind=kind, lasts=lasts)
        assert "internal error" not in done.stderr and done.returncode >= 0, f"{what}: {done.stderr}"
        if done.returncode != OK:
            assert kind != "short", f"{what}: a short write is no error: {done.stderr}"
            assert done.returncode in (USAGE, DATA, RESOURCES), f"{what}: {done.returncode}: {done.stderr}"
            if kind == "ENOSPC":
                assert done.returncode == RESOURCES, f"{what}: {done.returncode}: {done.stderr}"
            assert "try:" in done.stderr, f"{what}: {done.stderr}"
            done = run.start()
            assert done.returncode == OK, f"{what}, then started again: {done.stderr}"
        assert_equal(run, outcome, what)


@pytest.mark.parametrize(("lock", "named"), [("out/data.lock", "out/data.lock"), ("out/results/run/.lock", "out/results/run")])
@pytest.mark.parametrize(("kind", "code"), [("ENOSPC", RESOURCES), ("EROFS", USAGE)])
def test_a_lock_that_cannot_be_made(undisturbed, lock: str, named: str, kind: str, code: int):
    run, outcome, _ = undisturbed
    run.reset()
    done = run.start(at=1, kind=kind, lasts=1, path=lock)
    assert done.returncode == code and named in done.stderr and "try:" in done.stderr, f"{done.returncode}: {done.stderr}"
    assert run.start().returncode == OK
    assert_equal(run, outcome, f"{kind} at {lock}")


def test_case_40_saves_slower_than_their_interval(undisturbed):
    """Each save takes longer than the steps up to the next one, which waits for it: nothing is left out."""
    run, outcome, _ = undisturbed
    run.reset()
    done = run.start(at=1, kind="slow", lasts=1)
    assert done.returncode == OK, done.stderr
    found = run.outcome()
    for name, value in outcome.items():
        assert found[name] == value, f"{name} differs"


def test_case_8_saving_fails_three_times(undisturbed):
    run, outcome, calls = undisturbed
    run.reset()
    done = run.start("--max_steps", "7", "--save_steps", "1", at=calls // 2, kind="ENOSPC", lasts=1)
    assert done.returncode == RESOURCES and "No space left on device" in done.stderr + done.stdout, done.stderr
    assert "saving failed 3 times in a row" in done.stderr and "could not be saved and is tried again" in done.stdout
    assert list((run.run / "resume").glob("step-*")), "what was saved stays"
    assert run.start().returncode == OK
    assert_equal(run, outcome, "a full disk")


def test_a_disk_that_is_full_for_real(undisturbed, tmp_path: Path):
    """A tmpfs too small for the run; after it has grown, the same command ends the run."""
    run, outcome, _ = undisturbed
    run.reset()
    probe = "mount -t tmpfs -o size=64k tmpfs out"
    if subprocess.run(["unshare", "-m", "true"], capture_output=True).returncode != 0:
        pytest.skip("no mount namespaces here")
    script = f"""
        {probe.replace("64k", "400k")} || exit 99
        "$@" > first.log 2>&1; echo $? > first.code
        mount -o remount,size=64m out
        "$@" > second.log 2>&1; echo $? > second.code
        cp -a out copied
    """
    done = subprocess.run(["unshare", "-m", "sh", "-c", script, "sh", *run.command()], cwd=run.work,
                          env=os.environ | {"OMP_NUM_THREADS": "1"}, capture_output=True, text=True)  # fmt: skip
    if done.returncode == 99:
        pytest.skip("no mounts here")
    first = (run.work / "first.log").read_text()
    assert int((run.work / "first.code").read_text()) == RESOURCES, first
    assert "free" in first and "try:" in first
    assert int((run.work / "second.code").read_text()) == OK, (run.work / "second.log").read_text()
    (run.work / "out").rmdir()
    (run.work / "copied").rename(run.work / "out")
    assert_equal(run, outcome, "a full disk")
