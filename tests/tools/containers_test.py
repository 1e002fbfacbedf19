"""Oracle: hadolint; the rules of this project for containers (pinned, two stages, no root, every step a script that others run
too); and, as no container engine runs here, what those scripts leave in a folder."""

import os
import re
import shlex
import subprocess
import sys
from pathlib import Path

import pytest
import torch

from support.installed import can_hide, prepare_and_train
from support.program import ROOT, copy_model

FILES = [ROOT / "containers" / name for name in ("Dockerfile", "Dockerfile.cpu")]
PLAIN = {"useradd", "rm"}  # commands of every Debian
COMMAND_OF_SEED = "docker run --gpus all -it --rm -v $(pwd):/app --shm-size=32g"


def instructions(file: Path) -> list[tuple[str, str]]:
    lines = [line for line in file.read_text().splitlines() if line and not line.startswith("#")]
    return [tuple(line.split(maxsplit=1)) for line in lines]


def steps(file: Path) -> list[list[str]]:
    """The words of each command that RUN gives."""
    return [shlex.split(part) for name, text in instructions(file) if name == "RUN" for part in text.split("&&")]


@pytest.mark.parametrize("file", FILES, ids=lambda file: file.name)
def test_the_rules(file: Path):
    linted = subprocess.run([Path(sys.executable).with_name("hadolint"), file], capture_output=True, text=True)
    assert linted.returncode == 0, linted.stdout
    given = instructions(file)
    bases = [text for name, text in given if name == "FROM"]
    assert len(bases) == 2 and bases[0].endswith(" AS build")
    assert all(re.match(r"debian:\d+\.\d+-slim", base) for base in bases)
    assert all(name != "ADD" for name, _ in given)
    last_stage = given[max(index for index, (name, _) in enumerate(given) if name == "FROM") :]
    (user,) = (text for name, text in last_stage if name == "USER")
    assert user.isdigit() and int(user) > 0
    # What is run after it has no root either.
    assert [name for name, _ in last_stage][-3:] == ["USER", "WORKDIR", "CMD"] and ("WORKDIR", "/app") in last_stage


def test_the_usage_is_that_of_the_seed():
    assert f"{COMMAND_OF_SEED} anneal" in FILES[0].read_text()


@pytest.mark.parametrize("file", FILES, ids=lambda file: file.name)
def test_each_step_is_a_script_that_others_run_too(file: Path):
    """tools/setup, tools/build and make wheel are what every build goes through; the others are tested below, or by `make install`."""
    scripts = {words[0].removeprefix("tools/") for words in steps(file)} - PLAIN
    assert scripts == {"setup", "build", "make", "make_environment", "setup_runtime"}
    makefile = (ROOT / "Makefile").read_text()
    assert all(f"tools/{name}" in makefile for name in ("setup", "build", "install")) and "\nwheel: build\n" in makefile
    assert "tools/make_environment " in (ROOT / "tools" / "install").read_text()
    for name in scripts - {"make"}:
        checked = subprocess.run(["bash", "-n", ROOT / "tools" / name], capture_output=True, text=True)
        assert os.access(ROOT / "tools" / name, os.X_OK) and checked.returncode == 0, checked.stderr


def test_what_the_build_is_given():
    """Nothing that a build has made on this machine, and all that git holds of what the steps name."""
    ignored = [line for line in (ROOT / ".dockerignore").read_text().splitlines() if line and not line.startswith("#")]
    assert {".git", ".venv", "build"} <= set(ignored)
    for file in FILES:
        for name, text in instructions(file):
            if name == "COPY" and "--from" not in text:
                assert all((ROOT / source).exists() for source in text.split()[:-1]), text


def test_the_last_stage_asks_apt_for_python(tmp_path: Path):
    apt = tmp_path / "apt-get"
    apt.write_text(f'#!/bin/sh\necho "$@" >>{tmp_path}/asked\n')
    apt.chmod(0o755)
    environment = os.environ | {"PATH": f"{tmp_path}:{os.environ['PATH']}"}
    subprocess.run([ROOT / "tools" / "setup_runtime"], env=environment, check=True)
    updated, installed = (tmp_path / "asked").read_text().splitlines()
    assert updated.endswith("update") and installed.split()[-2:] == ["python3", "ca-certificates"]


def test_an_environment_without_cuda(tmp_path: Path):
    """pip is one that only notes what it is asked for: all of CUDA goes but the two libraries that torch's own asks for."""
    python = tmp_path / "bin" / "python3"
    python.parent.mkdir()
    frozen = "numpy==2.0\nnvidia-cublas==13.4\nnvidia-cuda-cupti==13.2\nnvidia-cuda-runtime==13.2\ntriton==3.9\n"
    python.write_text(f"""#!/bin/sh
case "$*" in
  "-m venv "*) mkdir -p "$3/bin" && cp "$0" "$3/bin" ;;
  *freeze*) printf '{frozen}' ;;
  *) echo "$@" >>{tmp_path}/asked ;;
esac
""")
    python.chmod(0o755)
    environment = os.environ | {"PATH": f"{python.parent}:{os.environ['PATH']}"}
    make = [ROOT / "tools" / "make_environment", "--without-cuda", tmp_path / "made", "a.whl", "-r", "list.txt"]
    subprocess.run(make, env=environment, check=True)
    installed, removed = (tmp_path / "asked").read_text().splitlines()
    assert installed.endswith(" a.whl -r list.txt") and "--constraint" in installed
    assert removed.split()[-2:] == ["nvidia-cublas", "triton"] and "uninstall" in removed


@pytest.fixture
def site_without_cuda(tmp_path: Path) -> Path:
    """Links to the packages of this environment, but for what --without-cuda removes."""
    installed, site = Path(torch.__file__).parents[1], tmp_path / "site"
    (site / "torch" / "lib").mkdir(parents=True)
    for folder in ("", "torch", "torch/lib"):
        for path in (installed / folder).iterdir():
            link = site / folder / path.name
            if not link.exists() and not path.name.startswith(("nvidia", "triton")):
                link.symlink_to(path)
    for library in ("libcudart*", "libcupti*"):
        for path in installed.glob(f"nvidia/cu*/lib/{library}"):
            link = site / path.relative_to(installed)
            link.parent.mkdir(parents=True, exist_ok=True)
            link.symlink_to(path)
    return site


def test_the_program_needs_no_more(tiny, site_without_cuda: Path, tmp_path: Path):
    if not can_hide():
        pytest.skip("no mount namespaces here: the checkout cannot be hidden")
    prefix = tmp_path / "prefix"
    install = ["cmake", "--install", ROOT / "build" / "release", "--component", "program", "--prefix", prefix]
    subprocess.run(install, check=True, capture_output=True)
    environment = prefix / "lib" / "anneal" / "venv"
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", environment], check=True)
    (packages,) = environment.glob("lib/python3*/site-packages")
    (packages / "links.pth").write_text(f"{site_without_cuda}\n")
    imported = subprocess.run([environment / "bin" / "python3", "-c", "import torch"], capture_output=True, text=True)
    assert imported.returncode != 0, "CUDA's libraries are still found: this shows nothing"
    (tmp_path / "work").mkdir()
    prepare_and_train([prefix / "lib" / "anneal" / "anneal"], copy_model(tiny("qwen3")[0], tmp_path / "model"), tmp_path / "work")
