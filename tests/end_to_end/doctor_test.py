"""Oracle: the state of the machine that each test makes, and the contract of `anneal doctor`: a line for each thing, the remedy
where something is missing, exit code 0 unless the program does not run here."""

import json
import os
import shutil
import subprocess
import sys
from importlib.metadata import version
from pathlib import Path

from support.program import BUILD, assert_refused

RESOURCES = 6
SUBJECTS = ["anneal", "processor", "memory", "address space", "/dev/shm", "open files", "disk of results", "disk of data",
            "disk of the hub's cache", "ports", "torch", "pyarrow", "Python", "Ray", "chat templates", "datasets library",
            "other models", "vLLM", "hub client", "hub", "kernels", "CUDA object"]  # fmt: skip


def doctor(folder: Path, program: Path = BUILD / "anneal", **settings: str) -> subprocess.CompletedProcess[str]:
    command = [program, "doctor", "--log_format", "json"]
    environment = os.environ | {"HF_HUB_OFFLINE": "1"} | settings
    return subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True, timeout=60)


def findings_of(done: subprocess.CompletedProcess[str]) -> dict[str, dict[str, str]]:
    return {line["subject"]: line for line in map(json.loads, done.stdout.splitlines())}


def test_each_thing_has_its_line(tmp_path: Path):
    done = doctor(tmp_path)
    found = findings_of(done)
    assert done.returncode == 0, done.stderr
    assert list(found)[: len(SUBJECTS)] == SUBJECTS and "connection" in found
    assert str(tmp_path / "results") in found["disk of results"]["text"]
    assert f"{len(os.sched_getaffinity(0))} of" in found["processor"]["text"]
    for subject, package in (("torch", "torch"), ("pyarrow", "pyarrow"), ("Ray", "ray"), ("other models", "peft")):
        assert version(package).split("+")[0] in found[subject]["text"]
    assert all(line["remedy"] for line in found.values() if line["state"] != "ok")
    text = subprocess.run([BUILD / "anneal", "doctor"], env=os.environ | {"HF_HUB_OFFLINE": "1"}, capture_output=True, text=True).stdout
    assert len(text.splitlines()) == len(found) and text.startswith("ok       anneal: ")


def test_a_python_without_packages(tmp_path: Path):
    """It has nothing but itself: what is lost, and how to get it."""
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", tmp_path / "bare"], check=True)
    python = tmp_path / "bare" / "bin" / "python3"
    found = findings_of(done := doctor(tmp_path, ANNEAL_PYTHON=str(python), PATH="/usr/bin:/bin"))
    assert done.returncode == 0
    for subject in ("Ray", "chat templates", "datasets library", "other models"):
        assert found[subject]["state"] == "notice" and f"{python} -m pip install" in found[subject]["remedy"]
    assert found["hub client"]["state"] == "notice" and "huggingface_hub" in found["hub client"]["remedy"]


def test_a_python_that_does_not_answer(tmp_path: Path):
    python = tmp_path / "python3"
    python.write_text("#!/bin/sh\nexec sleep 1000\n")
    python.chmod(0o755)
    found = findings_of(done := doctor(tmp_path, ANNEAL_PYTHON=str(python)))
    assert done.returncode == 0
    assert found["Python"]["state"] == "notice" and "within 2 s" in found["Python"]["text"]


def test_the_token_is_never_shown(tmp_path: Path):
    done = doctor(tmp_path, HF_TOKEN="hf_secret", HF_ENDPOINT="http://hub.test")
    hub = findings_of(done)["hub"]["text"]
    assert "http://hub.test, with a token" in hub and "HF_HUB_OFFLINE" in hub
    assert "hf_secret" not in done.stdout + done.stderr
    none = doctor(tmp_path, HF_TOKEN="", HF_HOME=str(tmp_path))
    assert "without a token" in findings_of(none)["hub"]["text"]


def test_a_hub_that_cannot_be_reached_is_no_failure(tmp_path: Path):
    done = doctor(tmp_path, HF_HUB_OFFLINE="0", TRANSFORMERS_OFFLINE="0", HF_ENDPOINT="http://127.0.0.1:9", no_proxy="127.0.0.1")
    connection = findings_of(done)["connection"]
    assert done.returncode == 0 and connection["state"] == "notice"
    assert "http://127.0.0.1:9 cannot be reached" in connection["text"] and "HF_ENDPOINT" in connection["remedy"]


def test_another_torch_is_a_problem(tmp_path: Path):
    """The line names both versions; neither doctor nor any other command goes on."""
    program = tmp_path / "site" / "anneal"
    program.mkdir(parents=True)
    shutil.copy2(BUILD / "anneal", program)
    (tmp_path / "site" / "torch").mkdir()
    (tmp_path / "site" / "torch-1.0.0.dist-info").mkdir()
    ours = version("torch").split("+")[0]
    problem = f"torch 1.0.0 is here, and this program works with torch {ours}"
    done = doctor(tmp_path, program / "anneal")
    assert done.returncode == RESOURCES
    torch = findings_of(done)["torch"]
    assert torch["state"] == "PROBLEM" and torch["text"] == problem and torch["remedy"] == f"pip install torch=={ours}"
    (tmp_path / "model").mkdir()
    (tmp_path / "rows.jsonl").write_text("{}\n")
    score = [program / "anneal", "score", "--hf_model_id", "model", "--data", "rows.jsonl"]
    done = subprocess.run(score, cwd=tmp_path, capture_output=True, text=True)
    assert_refused(done, RESOURCES, problem)
    assert len(done.stderr.splitlines()) == 2
