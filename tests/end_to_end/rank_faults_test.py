"""Oracle: the contract of faults (spec.md 11.2, 5, 38, 39): who is told what, exit code 7, and that the same command again ends
as an undisturbed run does.

ANNEAL_TEST_FULL=1 kills a rank at every call on files of its saves, and 40 times at random.
"""

import os
import random
import re
import shutil
import signal
import socket
import subprocess
import time
import uuid

import pytest

from support.program import BUILD
from support.ranks import RankedTraining, free_port, rank_environment

FULL = os.environ.get("ANNEAL_TEST_FULL") == "1"
FLAGS = ("--max_seq_length", 512, "--max_steps", 12, "--learning_rate", 1e-3, "--compute_dtype", "fp32", "--eval_steps", 4,
         "--save_steps", 4, "--full_ft", "--sharding", "full")  # fmt: skip
LOST = 7


@pytest.fixture(scope="module")
def training(tiny, tmp_path_factory) -> RankedTraining:
    made = RankedTraining(tmp_path_factory.mktemp("faults"), tiny("qwen3")[0], *FLAGS)
    made.start("undisturbed", 2)
    return made


def rank_of(training: RankedTraining, rank: int, port: int, *flags: object, size: int = 2, **more: object) -> subprocess.Popen[str]:
    environment = rank_environment(rank, size, port, "token") | {name: str(value) for name, value in more.items()}
    return subprocess.Popen(training.command("alone", size, *flags), env=environment, stdout=subprocess.PIPE,
                            stderr=subprocess.PIPE, text=True)  # fmt: skip


def tensors(training: RankedTraining, name: str) -> dict[str, bytes]:
    state = training.work / "results" / name / "resume" / "step-12"
    return {path.name: path.read_bytes() for path in sorted(state.glob("*.safetensors"))}


def test_case_38_a_rank_that_never_joins_is_named(training):
    with rank_of(training, 0, free_port(), "--rendezvous_timeout", 3, size=3) as root:
        _, err = root.communicate(timeout=60)
    assert root.returncode == LOST
    assert "of 3 ranks these have not come within 3 s: 1, 2" in err and "try:" in err


def test_case_38_nobody_at_the_address(training):
    with rank_of(training, 1, free_port(), "--rendezvous_timeout", 3) as rank:
        _, err = rank.communicate(timeout=60)
    assert rank.returncode == LOST
    assert "rank 1 does not reach rank 0" in err and "try:" in err


def test_case_38_a_port_that_is_taken(training):
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        with rank_of(training, 0, port) as root:
            _, err = root.communicate(timeout=60)
    assert root.returncode == LOST
    assert "cannot open the port" in err and str(port) in err


def test_case_38_a_stranger_on_the_port_changes_nothing(training):
    port, token = free_port(), uuid.uuid4().hex
    run = training.work / "results" / "stranger"
    root = subprocess.Popen(training.command(run.name, 2), env=rank_environment(0, 2, port, token), stdout=subprocess.PIPE,
                            stderr=subprocess.PIPE, text=True)  # fmt: skip
    strangers = []
    deadline = time.monotonic() + 60
    while not strangers and time.monotonic() < deadline:
        try:
            strangers.append(socket.create_connection(("127.0.0.1", port)))
        except OSError:
            time.sleep(0.05)
    strangers[0].sendall(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n" * 100)
    strangers.append(socket.create_connection(("127.0.0.1", port)))  # one that says nothing
    # A process of another start, that does not know the token.
    other = subprocess.Popen(training.command(run.name, 2, "--rendezvous_timeout", 3), stdout=subprocess.PIPE,
                             env=rank_environment(1, 2, port, "another start"), stderr=subprocess.PIPE, text=True)  # fmt: skip
    _, err = other.communicate(timeout=60)
    assert other.returncode == LOST and "these have not come within 3 s: 0" in err, err
    last = subprocess.Popen(training.command(run.name, 2), env=rank_environment(1, 2, port, token), stdout=subprocess.PIPE,
                            stderr=subprocess.PIPE, text=True)  # fmt: skip
    outputs = [rank.communicate(timeout=120) for rank in (root, last)]
    for stranger in strangers:
        stranger.close()
    assert (root.returncode, last.returncode) == (0, 0), outputs
    assert tensors(training, "stranger") == tensors(training, "undisturbed")


def test_case_39_ranks_that_differ_see_a_table(training):
    port = free_port()
    with rank_of(training, 0, port) as root, rank_of(training, 1, port, "--learning_rate", 2e-3) as other:
        outputs = [rank.communicate(timeout=60)[1] for rank in (root, other)]
    assert (root.returncode, other.returncode) == (LOST, LOST)
    for err in outputs:
        assert "the ranks do not agree" in err and err.count("flags:") == 2 and "on ranks 1" in err


def start_with_a_death(training: RankedTraining, name: str, **fault: object) -> list[subprocess.Popen[str]]:
    """Rank 1 dies at a call on files of the run; see tests/support/file_faults.cpp."""
    port, token = free_port(), uuid.uuid4().hex
    preload = {"LD_PRELOAD": str(BUILD / "libfile_faults.so"), "FAULT_ROOT": str(training.work / "results" / name)}
    settings = preload | {f"FAULT_{key.upper()}": str(value) for key, value in fault.items()}
    return [subprocess.Popen(training.command(name, 2), env=rank_environment(rank, 2, port, token) | (settings if rank else {}),
                             stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) for rank in (0, 1)]  # fmt: skip


def assert_goes_on(training: RankedTraining, name: str) -> None:
    training.start(name, 2)
    assert tensors(training, name) == tensors(training, "undisturbed")
    assert not [path for path in (training.work / "results" / name).rglob("*") if ".tmp-" in path.name]
    shutil.rmtree(training.work / "results" / name)


def calls_of_saves(training: RankedTraining) -> int:
    count = training.work / "calls"
    ranks = start_with_a_death(training, "counted", kind="kill", at=0, count=count)
    outputs = [rank.communicate(timeout=120) for rank in ranks]
    assert [rank.returncode for rank in ranks] == [0, 0], outputs
    shutil.rmtree(training.work / "results" / "counted")
    return int(count.read_text())


def test_case_5_a_rank_that_dies_in_a_save(training):
    calls = calls_of_saves(training)
    assert calls > 20
    for at in range(1, calls + 1, 1 if FULL else calls // 4):
        ranks = start_with_a_death(training, "dying", kind="kill", at=at)
        started = time.monotonic()
        outputs = [rank.communicate(timeout=120) for rank in ranks]
        assert ranks[1].returncode == -signal.SIGKILL, (at, outputs)
        assert ranks[0].returncode == LOST and "rank" in outputs[0][1], (at, outputs)
        assert time.monotonic() - started < 60
        assert_goes_on(training, "dying")


@pytest.mark.parametrize("victim", [0, 1])
def test_case_5_a_rank_that_dies_at_any_moment(training, victim: int):
    choose = random.Random(victim)
    places = set()
    for _ in range(20 if FULL else 3):
        ranks = training.popen("dying", 2)
        for line in ranks[0].stdout:
            if line.startswith("step 2/"):
                break
        time.sleep(choose.uniform(0, 0.4))
        ranks[victim].kill()
        outputs = [rank.communicate(timeout=60) for rank in ranks]
        if ranks[1 - victim].returncode != 0:  # the run was not over
            assert ranks[1 - victim].returncode == LOST, outputs
            places.add(re.search(r"(?:step \d+|before the first step), ([a-z ]+)", outputs[1 - victim][1])[1])
        assert_goes_on(training, "dying")
    assert not FULL or {"forward", "backward"} <= places, places


def test_case_6_a_rank_that_stops_is_named_with_its_place(training):
    ranks = training.popen("stopped", 2, "--max_steps", 20000, "--save_steps", 0, "--eval_steps", 20000, "--heartbeat_timeout", 3)
    started = time.monotonic()
    for line in ranks[0].stdout:
        if line.startswith("step ") and time.monotonic() - started > 4:  # signs come every second
            break
    ranks[1].send_signal(signal.SIGSTOP)
    _, err = ranks[0].communicate(timeout=60)
    ranks[1].kill()
    ranks[1].communicate()
    assert ranks[0].returncode == LOST
    assert "rank 1 has given no sign of life for 3 s, last seen: step " in err and "rank 0 is in: step " in err
