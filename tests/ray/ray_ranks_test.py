"""Several ranks on the real Ray, whose program is a scripted one. Oracle: the contract of ranks, of retries and of exit codes,
by hand."""

import json
import re
import shutil
from pathlib import Path
from typing import Any

from support.program import BUILD, ROOT
from support.ray_run import RayRun, wait_until

VARIABLES = ("RANK", "WORLD_SIZE", "LOCAL_RANK", "LOCAL_WORLD_SIZE", "NODE_RANK")


class ScriptedRun(RayRun):
    """`script`: what each rank does in each attempt; the last entry counts for all further ones."""

    def __init__(self, work: Path, cluster: Path, script: dict[int, list[dict[str, Any]]]) -> None:
        (work / "model").mkdir()
        super().__init__(work / "ray", work / "model", cluster, "--num_workers", "2")
        shutil.copytree(ROOT / "python", work / "own", ignore=shutil.ignore_patterns("__pycache__"))
        (work / "bin").mkdir()
        shutil.copy(ROOT / "tests" / "support" / "scripted_program.py", work / "bin" / "anneal")
        self.script = work / "own" / "ray_train_sft.py"
        self.environment |= {"PATH": f"{work / 'bin'}:{self.environment['PATH']}", "ANNEAL_TEST_PROGRAM": str(BUILD / "anneal")}
        (self.work / "script.json").write_text(json.dumps(script))

    def given(self, rank: int, attempt: int) -> dict[str, Any]:
        return json.loads((self.work / f"given-{rank}-{attempt}.json").read_text())

    def attempts(self) -> int:
        """Of rank 1; rank 0 may be ended before its program starts."""
        return len(list(self.work.glob("given-1-*.json")))


def test_each_rank_knows_its_place_and_failures_are_mended(cluster: Path, tmp_path: Path):
    fails_once = [{"reports": 2, "exit": 6, "stderr": "the disk is full"}, {"reports": 3, "exit": 0}]
    run = ScriptedRun(tmp_path, cluster, {0: [{"reports": 1, "exit": 7}, {"reports": 3, "exit": 0}], 1: fails_once})
    done = run.start()
    assert done.returncode == 0, done.stdout + done.stderr
    assert run.attempts() == 2 and done.stdout.count("the workers are started again; Ray has no checkpoint") == 1
    tokens = set()
    for attempt in range(2):
        ranks = [run.given(rank, attempt) for rank in range(2)]
        places = [[given["environment"][name] for name in VARIABLES] for given in ranks]
        assert places == [["0", "2", "0", "2", "0"], ["1", "2", "1", "2", "0"]]
        for name in ("MASTER_ADDR", "MASTER_PORT", "ANNEAL_RUN_TOKEN", "ANNEAL_LAUNCH_ID", "OMP_NUM_THREADS"):
            assert ranks[0]["environment"][name] == ranks[1]["environment"][name]
        assert all(given["group"] for given in ranks) and "--num_workers" not in ranks[0]["arguments"]
        tokens.add(ranks[0]["environment"]["ANNEAL_RUN_TOKEN"])
    assert len(tokens) == 2
    assert run.given(0, 0)["environment"]["ANNEAL_LAUNCH_ID"] == run.given(0, 1)["environment"]["ANNEAL_LAUNCH_ID"]


def test_what_fails_each_time_ends_with_its_own_code(cluster: Path, tmp_path: Path):
    run = ScriptedRun(tmp_path, cluster, {0: [{"waits": True, "exit": 0}], 1: [{"exit": 6, "stderr": "no space left\n  try: less"}]})
    done = run.start()
    assert done.returncode == 6 and run.attempts() == 3
    assert re.search(r"ray: rank 1 on .* ended with exit code 6:\nno space left\n  try: less\n", done.stderr), done.stderr


def test_a_mistake_on_one_rank_is_not_tried_again(cluster: Path, tmp_path: Path):
    run = ScriptedRun(tmp_path, cluster, {0: [{"waits": True, "exit": 0}], 1: [{"exit": 5, "stderr": "not finite"}]})
    done = run.start()
    assert done.returncode == 5 and run.attempts() == 1
    assert re.search(r"ray: rank 1 on .* ended with exit code 5:\nnot finite\n", done.stderr), done.stderr
    wait_until(lambda: not run.programs(), "the end of the rank that was waiting")


def test_a_killed_driver_leaves_nothing_running(cluster: Path, tmp_path: Path):
    run = ScriptedRun(tmp_path, cluster, {0: [{"waits": True, "exit": 0}], 1: [{"waits": True, "exit": 0}]})
    driver = run.popen()
    wait_until(lambda: len(run.programs()) == 2 or driver.poll() is not None, "both ranks")
    assert driver.poll() is None, run.said()
    driver.kill()
    driver.wait()
    wait_until(lambda: not run.programs(), "the end of both ranks")
