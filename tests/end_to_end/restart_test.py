"""Oracle: the undisturbed run. A launcher that starts its command again, under the same ANNEAL_LAUNCH_ID, goes on with
what it has begun, whatever the flags say that chose it."""

import shutil
import socket
from pathlib import Path

import pytest

from support.faulty_run import FaultyRun
from support.program import assert_refused, wait_for_line

OK, USAGE = 0, 2
LONG = ("--max_steps", "60", "--save_steps", "1000", "--eval_steps", "1000", "--logging_steps", "5")
ENDED = "resume/step-60/adapter_model.safetensors"


@pytest.fixture(scope="module")
def begun(tiny, tmp_path_factory):
    run = FaultyRun(tmp_path_factory.mktemp("restart") / "run", tiny("llama")[0])
    assert run.start().returncode == OK
    return run, shutil.copytree(run.work / "out", run.work / "done")


@pytest.fixture
def run(begun) -> FaultyRun:
    """Where a run of 7 steps lies, done."""
    shutil.rmtree(begun[0].work / "out")
    shutil.copytree(begun[1], begun[0].work / "out", symlinks=True)
    return begun[0]


def _kill_at(run: FaultyRun, text: str, *flags: str) -> None:
    with run.popen(*flags) as process:
        wait_for_line(process.stdout, text)
        process.kill()
        process.communicate()


def _weights(folder: Path) -> bytes:
    return (folder / ENDED).read_bytes()


def test_a_run_that_a_launch_has_begun_is_gone_on_with(run: FaultyRun, monkeypatch):
    results = run.run.parent
    assert run.start(*LONG, "--new_run").returncode == OK
    undisturbed = _weights(results / "run-2")
    monkeypatch.setenv("ANNEAL_LAUNCH_ID", "one")
    _kill_at(run, "step 20/60", *LONG, "--new_run", "--save_steps", "7")
    again = run.start(*LONG, "--new_run", "--save_steps", "7")
    assert again.returncode == OK and "run-3/resume/step-" in again.stdout, again.stderr
    assert _weights(results / "run-3") == undisturbed
    assert not (results / "run-4").exists()
    monkeypatch.setenv("ANNEAL_LAUNCH_ID", "two")
    assert run.start("--max_steps", "1", "--new_run").returncode == OK
    assert (results / "run-4" / "best").exists(), "another launch makes another run"


def test_what_was_begun_afresh_is_gone_on_with(run: FaultyRun, monkeypatch):
    flags = (*LONG, "--run_name", "fresh", "--resume", "none", "--save_steps", "7")
    monkeypatch.setenv("ANNEAL_LAUNCH_ID", "one")
    _kill_at(run, "step 20/60", *flags)
    again = run.start(*flags)
    assert again.returncode == OK and "fresh/resume/step-" in again.stdout, again.stderr
    monkeypatch.delenv("ANNEAL_LAUNCH_ID")
    assert_refused(run.start(*flags), USAGE, "a run lies there already")


@pytest.mark.parametrize("saves", ["1000", "7"])
def test_what_began_with_a_named_state(run: FaultyRun, saves: str):
    """Also before it has saved anything of its own, and also without a launcher."""
    flags = (*LONG, "--resume", "out/results/run/resume/step-6", "--learning_rate", "5e-3", "--save_steps", saves)
    assert run.start(*flags, "--run_name", "whole").returncode == OK
    _kill_at(run, "step 20/60", *flags, "--run_name", "killed")
    again = run.start(*flags, "--run_name", "killed")
    assert again.returncode == OK, again.stderr
    assert ("run/resume/step-6" if saves == "1000" else "killed/resume/step-") in again.stdout
    assert _weights(run.run.parent / "killed") == _weights(run.run.parent / "whole")


def test_a_named_state_that_the_run_has_replaced(run: FaultyRun, monkeypatch):
    shutil.rmtree(run.run / "resume" / "step-7")
    for checkpoint in run.run.glob("checkpoint-7"):
        shutil.rmtree(checkpoint)
    flags = (*LONG, "--resume", "out/results/run/resume/step-6", "--learning_rate", "5e-3", "--save_steps", "3")
    monkeypatch.setenv("ANNEAL_LAUNCH_ID", "one")
    _kill_at(run, "step 30/60", *flags)
    assert not (run.run / "resume" / "step-6").exists()
    again = run.start(*flags)
    assert again.returncode == OK, again.stderr
    monkeypatch.delenv("ANNEAL_LAUNCH_ID")
    assert_refused(run.start(*flags), USAGE, "--resume")


def test_a_refused_command_starts_no_rank(run: FaultyRun):
    """Every rank would say it again."""
    for flags, texts in (
        (("--num_workers", "0"), ("--num_workers: \"0\" is not a value of at least 1",)),
        (("--num_workers", "2", "--lora_rnk", "4"), ("--lora_rnk",)),
        (("--num_workers", "2", "--max_failures", "-1"), ("--max_failures",)),
        (("--num_nodes", "2", "--node_rank", "2", "--master_addr", "a", "--master_port", "1"),
         ("--node_rank: is 2, and --num_nodes is 2",)),
        (("--num_nodes", "2"), ("--node_rank: is needed", "--master_addr: is needed", "--master_port: is needed")),
    ):  # fmt: skip
        done = run.start(*flags)
        assert_refused(done, USAGE, *texts)
        assert done.stderr.count("try:") == len(texts) and "[rank" not in done.stderr


def test_a_rank_that_contradicts_its_environment(run: FaultyRun, monkeypatch):
    monkeypatch.setenv("RANK", "2")
    assert_refused(run.start(), USAGE, "RANK: is 2, and WORLD_SIZE is not set")
    monkeypatch.setenv("WORLD_SIZE", "2")
    assert_refused(run.start(), USAGE, "RANK: is 2, and WORLD_SIZE is 2")
    monkeypatch.setenv("RANK", "1")
    assert_refused(run.start(), USAGE, "MASTER_ADDR: is not set", "MASTER_PORT: is not set")


def test_a_port_that_is_in_use(run: FaultyRun):
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = str(server.getsockname()[1])
        assert_refused(run.start("--num_workers", "2", "--master_port", port), 7, "--master_port", port)
