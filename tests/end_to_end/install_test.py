"""Oracle: `make install` leaves a program that works where the checkout cannot be seen, and only below PREFIX."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from support.installed import can_hide, prepare_and_train, run_hidden
from support.program import ROOT, copy_model


def install(prefix: Path, **settings: str) -> subprocess.CompletedProcess[str]:
    environment = os.environ | {"PREFIX": str(prefix), "PYTHON": "", "DESTDIR": ""} | settings
    return subprocess.run([ROOT / "tools" / "install"], env=environment, capture_output=True, text=True)


def test_it_works_without_the_checkout(tiny, tmp_path: Path):
    if not can_hide():
        pytest.skip("no mount namespaces here: the checkout cannot be hidden")
    prefix = tmp_path / "prefix"
    done = install(prefix, PYTHON=sys.executable)
    assert done.returncode == 0, done.stderr
    program = prefix / "bin" / "anneal"
    work = tmp_path / "work"
    work.mkdir()
    prepare_and_train([program], copy_model(tiny("qwen3")[0], tmp_path / "model"), work)
    doctor = run_hidden([program, "doctor"], work, HF_HUB_OFFLINE="1")
    assert doctor.returncode == 0 and f"in {prefix}/lib/anneal\n" in doctor.stdout, doctor.stdout + doctor.stderr
    assert f"CUDA object: {prefix}/lib/anneal/libanneal_cuda.so" in doctor.stdout
    ray = run_hidden([prefix / "bin" / "anneal-ray", "--help"], work)
    assert "--num_cpus" in ray.stdout and "--lora_rank" in ray.stdout, ray.stderr


def test_what_lies_where(tmp_path: Path):
    """DESTDIR goes before PREFIX; commands are links that a move of the whole does not break."""
    done = install(Path("/opt/anneal"), DESTDIR=str(tmp_path))
    assert done.returncode == 0 and "no Python environment" in done.stdout, done.stderr
    top = tmp_path / "opt" / "anneal"
    assert {path.name for path in tmp_path.iterdir()} == {"opt"} and {path.name for path in top.iterdir()} == {"bin", "lib", "share"}
    assert (top / "bin" / "anneal").resolve() == top / "lib" / "anneal" / "anneal"
    assert not (top / "lib" / "anneal" / "venv").exists()
    for path, text in (("bash-completion/completions/anneal", "complete "), ("zsh/site-functions/_anneal", "#compdef anneal"),
                       ("fish/vendor_completions.d/anneal.fish", "complete -c anneal"), ("doc/anneal/LICENSE", "Apache License"),
                       ("doc/anneal/docs/quickstart.md", "make demo")):  # fmt: skip
        assert text in (top / "share" / path).read_text()
    program = top / "bin" / "anneal"
    assert subprocess.run([program, "--version"], capture_output=True, text=True).stdout.startswith("anneal 0.")


def test_what_cannot_be_done_is_said(tmp_path: Path):
    relative = install(Path("somewhere"))
    assert relative.returncode != 0 and "PREFIX=somewhere is no absolute path" in relative.stderr
    (tmp_path / "lib" / "anneal" / "venv").mkdir(parents=True)
    own = install(tmp_path, PYTHON=sys.executable)
    assert own.returncode != 0 and "is an environment of its own" in own.stderr
    none = install(tmp_path / "other", PYTHON="/nowhere/python3")
    assert none.returncode != 0 and "PYTHON=/nowhere/python3 does not run" in none.stderr
