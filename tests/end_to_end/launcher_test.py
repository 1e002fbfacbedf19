"""Oracle: the undisturbed run. Two processes that train together end as one does, up to rounding; what becomes of one of
them, or of their supervisor, does not change a bit of the result.

ANNEAL_TEST_FULL=1 also loses a rank between two machines, which costs a minute of waiting.
"""

import os
import signal
import subprocess
import sys
from contextlib import ExitStack
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file

from support.faulty_run import FaultyRun
from support.program import assert_refused, steps_of, wait_for_line
from support.supervised import is_gone, ranks_of, two_nodes, wait_until

FULL = os.environ.get("ANNEAL_TEST_FULL") == "1"
LEARNING_RATE = 1e-3
FLAGS = ("--max_steps", "120", "--eval_steps", "20", "--save_steps", "15", "--logging_steps", "5",
         "--learning_rate", str(LEARNING_RATE), "--compute_dtype", "fp32")  # fmt: skip
HALF = ("--gradient_accumulation_steps", "2")  # of what one process does in a step
TWO = ("--num_workers", "2", *HALF)
KILLED = 128 + signal.SIGKILL


@pytest.fixture(scope="module")
def alone(tiny, tmp_path_factory) -> FaultyRun:
    run = FaultyRun(tmp_path_factory.mktemp("alone") / "run", tiny("llama")[0], *FLAGS)
    assert run.start().returncode == 0
    return run


@pytest.fixture(scope="module")
def undisturbed(tiny, tmp_path_factory):
    run = FaultyRun(tmp_path_factory.mktemp("ranks") / "run", tiny("llama")[0], *FLAGS)
    done = run.start(*TWO)
    assert done.returncode == 0, done.stderr
    return run, run.outcome()


def _assert_same(run: FaultyRun, outcome: dict) -> None:
    found = run.outcome()
    for name in ("tensors", "log", "scalars", "results", "pointers", "leftovers"):
        assert found[name] == outcome[name], f"{name} differs"


def _assert_like_one(alone: FaultyRun, run: Path) -> None:
    """Spec: loss and gradient norm 1e-5, weights a hundredth of the learning rate."""
    pairs = list(zip(steps_of(run), steps_of(alone.run), strict=True))
    assert len(pairs) == 25
    for ours, theirs in pairs:
        for name in ("loss", "grad_norm"):
            assert ours[name] == pytest.approx(theirs[name], rel=1e-5), f"{name} of step {theirs['step']}"
    ours, theirs = (load_file(path / "resume/step-120/adapter_model.safetensors") for path in (run, alone.run))
    assert ours.keys() == theirs.keys()
    for name, tensor in theirs.items():
        torch.testing.assert_close(ours[name], tensor, rtol=0, atol=1e-2 * LEARNING_RATE)


def test_two_processes_end_as_one(alone, undisturbed):
    _assert_like_one(alone, undisturbed[0].run)


@pytest.mark.parametrize("rank", [0, 1])
def test_case_5_a_rank_that_is_killed(undisturbed, rank: int):
    run, outcome = undisturbed
    run.reset()
    with run.popen(*TWO) as process:
        wait_for_line(process.stdout, "step 50/120")
        os.kill(ranks_of(process.pid)[rank], signal.SIGKILL)
        out, err = process.communicate(timeout=120)
    assert process.returncode == 0, err
    assert f"rank {rank} was killed by signal 9; restart 1 of 2 in 1 s" in err
    assert "resuming from out/results/run/resume/step-" in out
    _assert_same(run, outcome)


def test_case_6_a_rank_that_is_stopped(undisturbed):
    run, outcome = undisturbed
    run.reset()
    with run.popen(*TWO, "--heartbeat_timeout", "3") as process:
        wait_for_line(process.stdout, "step 50/120")
        stopped = ranks_of(process.pid)[1]
        os.kill(stopped, signal.SIGSTOP)
        _, err = process.communicate(timeout=120)
    assert process.returncode == 0, err
    assert "rank 1 hung and was killed; restart 1 of 2" in err
    assert is_gone(stopped)
    _assert_same(run, outcome)


def test_case_7_a_rank_that_fails_each_time(undisturbed):
    run, outcome = undisturbed
    run.reset()
    with run.popen(*TWO, "--max_failures", "1") as process:
        for step in ("step 30/120", "step 60/120"):
            wait_for_line(process.stdout, step)
            os.kill(ranks_of(process.pid)[1], signal.SIGKILL)
        _, err = process.communicate(timeout=120)
    assert process.returncode == KILLED, err
    assert "rank 1 was killed by signal 9; 1 of 1 restarts are used up" in err
    assert run.start(*TWO).returncode == 0
    _assert_same(run, outcome)


@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_case_4_a_request_to_end(undisturbed, number: int, code: int):
    run, outcome = undisturbed
    run.reset()
    with run.popen(*TWO) as process:
        wait_for_line(process.stdout, "step 35/120")
        process.send_signal(number)
        out, err = process.communicate(timeout=60)
    assert process.returncode == code, err
    assert "resume/step-" in out and "restart" not in err and err.count("finishing the step and saving") == 1
    assert run.start(*TWO).returncode == 0
    found = run.outcome()
    for name in ("log", "scalars", "results", "pointers", "leftovers"):
        assert found[name] == outcome[name], f"{name} differs"


def test_no_rank_outlives_its_supervisor(undisturbed):
    run, outcome = undisturbed
    run.reset()
    with run.popen(*TWO) as process:
        wait_for_line(process.stdout, "step 30/120")
        ranks = ranks_of(process.pid)
        assert sorted(ranks) == [0, 1]
        os.kill(ranks[1], signal.SIGSTOP)
        process.kill()
        process.communicate()
    for pid in ranks.values():
        wait_until(lambda: is_gone(pid), f"process {pid} ends")
    assert run.start(*TWO).returncode == 0
    _assert_same(run, outcome)


def test_a_mistake_in_the_data_is_said_once_and_not_tried_again(undisturbed):
    run, _ = undisturbed
    run.reset()
    done = run.start(*TWO, "--hfdc_output_template", "{nothing}", "--data_dir", "out/other")
    assert_refused(done, 3, "nothing", "output")
    assert "restart" not in done.stderr


def test_torchrun(alone):
    torchrun = ["-m", "torch.distributed.run", "--standalone", "--nproc_per_node", "2", "--no-python"]
    run = alone.command("--run_name", "torchrun", *HALF)
    done = subprocess.run([sys.executable, *torchrun, *run], cwd=alone.work, capture_output=True, text=True,
                          env=os.environ | {"OMP_NUM_THREADS": "1"}, timeout=120)  # fmt: skip
    assert done.returncode == 0, done.stderr
    _assert_like_one(alone, alone.run.parent / "torchrun")


def test_tasks_of_srun(alone):
    """Its variables, without SLURM."""
    with ExitStack() as stack:
        tasks = []
        for rank in (0, 1):
            place = {"SLURM_JOB_ID": str(os.getpid()), "SLURM_STEP_ID": "0", "SLURM_STEP_NUM_TASKS": "2",
                     "SLURM_PROCID": str(rank), "SLURM_LOCALID": str(rank), "SLURM_STEP_NODELIST": "localhost",
                     "OMP_NUM_THREADS": "1"}  # fmt: skip
            tasks.append(stack.enter_context(subprocess.Popen(
                alone.command("--run_name", "srun", *HALF), cwd=alone.work, env=os.environ | place, stdout=subprocess.PIPE,
                stderr=subprocess.PIPE, text=True)))  # fmt: skip
        for task in tasks:
            _, err = task.communicate(timeout=120)
            assert task.returncode == 0, err
    _assert_like_one(alone, alone.run.parent / "srun")


def _start_node(run: FaultyRun, name: str, before: list[str], number: int, address: str) -> subprocess.Popen[str]:
    place = ("--num_nodes", "2", "--node_rank", str(number), "--master_addr", address, "--master_port", "29511")
    return subprocess.Popen([*before, *run.command("--run_name", name, *place, *HALF)], cwd=run.work,
                            env=os.environ | {"OMP_NUM_THREADS": "1"}, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                            text=True)  # fmt: skip


@pytest.fixture
def nodes():
    with ExitStack() as stack:
        try:
            made = stack.enter_context(two_nodes())
        except (OSError, subprocess.CalledProcessError) as error:
            pytest.skip(f"no network namespaces may be made here: {error}")
        yield made


@pytest.mark.parametrize("loses_a_rank", [False, pytest.param(True, marks=pytest.mark.skipif(not FULL, reason="long"))])
def test_two_machines(alone, nodes, loses_a_rank: bool):
    first, second, address = nodes
    name = "nodes-lost" if loses_a_rank else "nodes"
    with _start_node(alone, name, first, 0, address) as root, _start_node(alone, name, second, 1, address) as other:
        if loses_a_rank:
            wait_for_line(root.stdout, "step 50/120")
            os.kill(ranks_of(other.pid)[1], signal.SIGKILL)
        outputs = [process.communicate(timeout=240) for process in (root, other)]
    assert (root.returncode, other.returncode) == (0, 0), outputs
    assert outputs[1][0] == "" and "rank 1 of 2" in outputs[1][1]
    if loses_a_rank:
        assert "rank 1 was killed by signal 9; restart 1 of 2" in outputs[1][1]
        assert "rank 0 ended with exit status 7; restart 1 of 2" in outputs[0][1]
    _assert_like_one(alone, alone.run.parent / name)
