"""Oracle: the same run without Ray and without disturbance: equal weights, log, scalars and results, bit for bit."""

import json
import os
import re
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from support.faulty_run import FaultyRun, digests
from support.program import BUILD, ROOT, assert_refused, evals_of
from support.ranks import free_port, rank_environment
from support.ray_run import RayRun, cluster_folder, wait_until

OK, USAGE, DATA, RESOURCES, INTERRUPTED = 0, 2, 3, 6, 130
SAME = ("tensors", "log", "states", "scalars", "results", "pointers", "leftovers")
# Long enough to be disturbed, with few reports.
LONG = ("--max_steps", "300", "--save_steps", "50", "--eval_steps", "150", "--logging_steps", "100")
TWO = ("--num_workers", "2")


@pytest.fixture(scope="module")
def model(tiny) -> Path:
    return tiny("llama")[0]


def undisturbed(folder: Path, model: Path, *flags: str) -> dict:
    run = FaultyRun(folder, model, *flags)
    assert run.start().returncode == OK
    return run.outcome()


def undisturbed_pair(folder: Path, model: Path, *flags: str) -> dict:
    """By two processes, started as torchrun would."""
    run, port = FaultyRun(folder, model, *flags), free_port()
    ranks = [subprocess.Popen(run.command(), cwd=run.work, env=rank_environment(rank, 2, port, "pair")) for rank in range(2)]
    assert [rank.wait() for rank in ranks] == [OK, OK]
    return run.outcome()


def assert_same(run: FaultyRun, outcome: dict) -> None:
    found = run.outcome()
    for name in SAME:
        assert found[name] == outcome[name], f"{name} differs"


def snapshot(run: RayRun) -> list[dict]:
    """What Ray keeps of a run: the pointers and their metrics."""
    return json.loads((run.storage() / "checkpoint_manager_snapshot.json").read_text())["checkpoint_results"]


def pointed_at(run: RayRun) -> list[str]:
    files = sorted(run.storage().glob("*/rank-0.json"), key=lambda path: path.stat().st_mtime_ns)
    return [json.loads(path.read_text())["path"] for path in files]


def test_a_whole_run_on_a_local_ray(model: Path, tmp_path: Path):
    outcome = undisturbed(tmp_path / "plain", model)
    with cluster_folder() as folder:
        run = RayRun(tmp_path / "ray", model, folder)
        done = run.start()
        assert done.returncode == OK, done.stderr
    assert_same(run, outcome)
    lines = done.stdout.splitlines()
    assert re.fullmatch(r"ray: 1 worker with \d+ CPUs?; Ray's files are in .*/out/results/.ray/run-[0-9a-f]{8}", lines[0])
    assert sum(line.startswith("step ") for line in lines) == 7 and sum(line.startswith("eval step") for line in lines) == 4
    result = json.loads(lines[-1].removeprefix("ray: result "))
    best = json.loads((run.run / "all_results.json").read_text())
    assert result["step"] == 7 and result["eval_loss"] == best["eval_loss"] and result["train_loss"] == best["train_loss"]
    # Ray keeps two pointers, our rotation the folders.
    assert pointed_at(run) == [str(run.run / "checkpoint-7"), str(run.run / "resume" / "step-7")]
    assert len(snapshot(run)) == 2
    assert done.stderr == ""


def test_two_runs_of_a_model_do_not_touch_each_other(cluster: Path, model: Path, tmp_path: Path):
    run = RayRun(tmp_path / "ray", model, cluster)
    assert run.start().returncode == OK
    first = digests(run.run)
    again = run.start("--new_run", "--seed", "3", "--data_dir", "out/other")
    assert again.returncode == OK and "run: out/results/run-2" in again.stdout
    assert digests(run.run) == first
    losses = {json.loads((run.run.parent / name / "all_results.json").read_text())["train_loss"] for name in ("run", "run-2")}
    assert len(losses) == 2
    assert [path.name.rpartition("-")[0] for path in (run.run.parent / ".ray").iterdir()] == ["run", "run"]


def test_the_cluster_of_ray_address_is_joined(cluster: Path, model: Path, tmp_path: Path):
    with cluster_folder() as nowhere:
        run = RayRun(tmp_path / "ray", model, cluster)
        address = (cluster / "ray_current_cluster").read_text().strip()
        run.environment |= {"RAY_TMPDIR": str(nowhere), "RAY_ADDRESS": address}
        done = run.start("--num_cpus", "2")
        assert_refused(done, USAGE, "--num_cpus", "a cluster runs already")
        done = run.start("--max_steps", "0")
        assert done.returncode == OK and "eval step 0" in done.stdout, done.stderr


def test_asking_for_more_than_there_is_ends_at_once(cluster: Path, model: Path, tmp_path: Path):
    run = RayRun(tmp_path / "ray", model, cluster)
    assert_refused(run.start("--num_workers", "3"), RESOURCES, "3 workers with 1 CPU each", "the cluster has 2 CPUs")
    assert_refused(run.start("--cpus_per_worker=5"), RESOURCES, "1 worker with 5 CPUs", "the cluster has 2 CPUs")
    assert not (run.work / "out" / "results").exists()


def test_mistakes_are_told_before_ray_is_started(model: Path, tmp_path: Path):
    with cluster_folder() as folder:
        run = RayRun(tmp_path / "ray", model, folder)
        assert_refused(run.start("--lerning_rate", "1"), USAGE, "--lerning_rate", "did you mean --learning_rate?")
        assert_refused(run.start("--num_workers", "none"), USAGE, "--num_workers", "none")
        assert list(folder.iterdir()) == []


def test_a_mistake_of_the_data_is_not_tried_again(cluster: Path, model: Path, tmp_path: Path):
    run = RayRun(tmp_path / "ray", model, cluster)
    refused = run.start("--hfdc_output_template", "{nothing}")
    assert_refused(refused, DATA, "nothing", "rank 0 on ", "ended with exit code 3")
    assert "started again" not in refused.stdout and refused.stderr.count("try:") == 1


def test_a_killed_program_of_two_is_started_again_and_goes_on(cluster: Path, model: Path, tmp_path: Path):
    outcome = undisturbed_pair(tmp_path / "plain", model, *LONG)
    run = RayRun(tmp_path / "ray", model, cluster, *LONG, *TWO)
    process = run.popen()
    wait_until(lambda: run.newest_state() >= 100, "a saved state")
    os.kill(run.programs()[1], signal.SIGKILL)
    assert process.wait() == OK, run.said()
    found = re.search(r"ray: the workers are started again; (.*); the run goes on", run.said())
    assert found and found[1].startswith(f"Ray's checkpoint is {run.run}/resume/step-"), run.said()
    resumed = re.search(r"resuming from \S*resume/step-(\d+)", run.said())
    assert resumed and int(resumed[1]) >= 100
    assert_same(run, outcome)


def test_a_killed_worker_takes_its_program_along(cluster: Path, model: Path, tmp_path: Path):
    run = RayRun(tmp_path / "ray", model, cluster, *LONG)
    process = run.popen()
    wait_until(lambda: run.newest_state() >= 100, "a saved state")
    program = run.programs()[0]
    worker = int(re.search(r"PPid:\s+(\d+)", Path(f"/proc/{program}/status").read_text())[1])
    os.kill(worker, signal.SIGKILL)
    wait_until(lambda: run.programs().get(0) != program, "the end of the program")
    assert process.wait() == OK, run.said()
    assert "started again" in run.said() and re.search(r"resuming from \S*resume/step-\d+", run.said())


def test_asked_to_end_the_run_saves_and_the_best_stays(cluster: Path, model: Path, tmp_path: Path):
    run = RayRun(tmp_path / "ray", model, cluster, "--save_total_limit", "1", *TWO)
    assert run.start("--max_steps", "4", "--eval_steps", "4").returncode == OK
    best = digests(run.run / "checkpoint-4")
    process = run.popen("--max_steps", "100000", "--eval_steps", "100000", "--logging_steps", "1", "--save_steps", "2")
    events = lambda: (run.run / "log.jsonl").read_text().splitlines()  # noqa: E731
    wait_until(lambda: len(events()) > 40, "ten more reports and states")
    process.send_signal(signal.SIGINT)
    assert process.wait() == INTERRUPTED, run.said()
    assert len(evals_of(run.run)) == 1 and (run.run / "best").read_text() == "checkpoint-4\n"
    assert digests(run.run / "checkpoint-4") == best
    last = json.loads(events()[-1])["step"]
    assert (run.run / "resume" / f"step-{last}").exists()


@pytest.fixture
def copied_script(tmp_path: Path) -> Path:
    """A user's own copy of the scripts; the program is found on PATH."""
    folder = tmp_path / "own"
    shutil.copytree(ROOT / "python", folder, ignore=shutil.ignore_patterns("__pycache__"))
    return folder


def run_of(script: Path, cluster: Path, work: Path) -> RayRun:
    run = RayRun(work, work, cluster)
    run.script = script
    run.environment["PATH"] = f"{BUILD}:{run.environment['PATH']}"
    return run


def edit(path: Path, before: str, after: str) -> None:
    text = path.read_text()
    assert text.count(before) == 1, before
    path.write_text(text.replace(before, after))


def test_edited_defaults_take_effect(tmp_path: Path, copied_script: Path, model: Path):
    edit(copied_script / "ray_train_sft.py", "learning_rate: float = 5e-05", "learning_rate: float = 0.25")
    edit(copied_script / "ray_train_sft.py", "max_steps: int = 10000", "max_steps: int = 3")
    edit(copied_script / "dataset_module.py", "val_test_split_ratio: float = 0.5", "val_test_split_ratio: float = 0.75")
    run = run_of(copied_script / "ray_train_sft.py", tmp_path, tmp_path / "ray")
    run.command = lambda *flags: [sys.executable, str(run.script), "--print_config", "--hf_model_id", str(model), *flags]
    resolved = json.loads(run.start("--max_steps", "9").stdout)
    assert (resolved["learning_rate"], resolved["max_steps"], resolved["hfdc_val_test_split_ratio"]) == (0.25, 9, 0.75)
    edit(copied_script / "ray_train_sft.py", "max_steps: int = 3", 'max_steps: str = "three"')
    assert_refused(run.start(), USAGE, "the defaults of Config", '"max_steps": "three" is not a whole number')


def test_the_readmes_snippet(cluster: Path, model: Path, tmp_path: Path, copied_script: Path):
    """As it stands there, but for the names of dataset and columns, and the subset, which a local file has not."""
    (snippet,) = re.findall(r"```python\n@dataclass\nclass Config:\n(.*?)```", (ROOT / "README.md").read_text(), re.DOTALL)
    names = {"your-org/your-dataset": "rows.jsonl", '"subset-name"': "None", "actual_column_1": "instruction",
             "actual_column_2": "output", "actual_column_3": "output"}  # fmt: skip
    for name, real in names.items():
        assert name in snippet
        snippet = snippet.replace(name, real)
    script = copied_script / "ray_train_sft.py"
    as_it_comes = re.compile(r"    hf_dataset_config: .*?\n    \)\n", re.DOTALL)
    script.write_text(as_it_comes.sub(lambda _: snippet, script.read_text(), count=1))
    run = run_of(script, cluster, tmp_path / "ray")
    run.command = lambda *flags: [sys.executable, str(script), "--hf_model_id", str(model), "--results_dir", "out/results",
                                  "--run_name", "run", "--max_steps", "2", *flags]  # fmt: skip
    done = run.start()
    assert done.returncode == OK, done.stderr
    rows = run.work / "datasets" / "rows.jsonl" / "default" / "train=90%-val=5%-test=5%" / "training.jsonl"
    first = json.loads(rows.read_text().splitlines()[0])
    number = re.search(r"Say (\d+)", first["input"])[1]
    assert first["input"] == f"Your input format: Say {number}.\nThe number {number}.\n"
    assert first["output"] == f"Your output format: The number {number}."
