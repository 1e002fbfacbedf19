"""Oracle: pip, which installs the wheel, and auditwheel, which has checked its name; the wheel's commands work in an environment
that sees the pinned torch, without a compiler and without the checkout. Another torch is refused with both versions."""

import os
import subprocess
import sys
import zipfile
from importlib.metadata import version
from pathlib import Path

import pytest
import torch
from filelock import FileLock

from support.installed import can_hide, prepare_and_train, run_hidden
from support.program import ROOT, assert_refused, copy_model

RESOURCES = 6


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Made once, by one process of those that test."""
    base = tmp_path_factory.getbasetemp()
    folder = (base.parent if "PYTEST_XDIST_WORKER" in os.environ else base) / "wheel"
    with FileLock(folder.with_suffix(".lock")):
        if not list(folder.glob("anneal-*.whl")):
            done = subprocess.run([sys.executable, ROOT / "tools" / "make_wheel.py", folder], capture_output=True, text=True)
            assert done.returncode == 0, done.stdout + done.stderr
    (made,) = folder.glob("anneal-*.whl")
    return made


@pytest.fixture(scope="module")
def environment(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A virtual environment with the wheel, its site-packages not beside those of torch."""
    folder = tmp_path_factory.mktemp("environment") / "venv"
    make = [ROOT / "tools" / "make_environment", folder, wheel]
    subprocess.run(make, check=True, env=os.environ | {"PIP_NO_DEPS": "1"})  # torch would be downloaded
    (packages,) = folder.glob("lib/python3*/site-packages")
    (packages / "shared.pth").write_text(f"{Path(torch.__file__).parents[1]}\n")
    return folder


def within(environment: Path, *words: str | Path) -> list[str | Path]:
    """With nothing on PATH but the commands of the environment: no compiler, no shell."""
    return ["/usr/bin/env", f"PATH={environment / 'bin'}", *words]


def test_what_it_asks_for_and_holds(wheel: Path):
    assert wheel.name.endswith("-py3-none-manylinux_2_35_x86_64.whl")
    with zipfile.ZipFile(wheel) as archive:
        names = archive.namelist()
        (metadata,) = (archive.read(name).decode() for name in names if name.endswith("/METADATA"))
    for package in ("torch", "pyarrow"):
        assert f"Requires-Dist: {package}=={version(package).split('+')[0]}\n" in metadata
    libraries = [name for name in names if name.startswith("anneal.libs/")]
    assert any("libfmt" in name for name in libraries) and not any("torch" in name or "libc10" in name for name in names)
    licences = [name for name in names if ".dist-info/licenses/" in name]
    # A Debian package may give two libraries.
    assert len(libraries) * 2 / 3 < len(licences) <= len(libraries) + 1


def test_its_commands_work(environment: Path, tiny, tmp_path: Path):
    if not can_hide():
        pytest.skip("no mount namespaces here: the checkout cannot be hidden")
    command = environment / "bin" / "anneal"
    help_text = run_hidden(within(environment, command, "--help"), tmp_path)
    assert help_text.returncode == 0 and "anneal COMMAND" in help_text.stdout, help_text.stderr
    work = tmp_path / "work"
    work.mkdir()
    prepare_and_train(within(environment, command), copy_model(tiny("qwen3")[0], tmp_path / "model"), work)
    ray = run_hidden(within(environment, environment / "bin" / "anneal-ray", "--help"), tmp_path)
    assert "--num_cpus" in ray.stdout and "--lora_rank" in ray.stdout, ray.stderr
    own = tmp_path / "own_train.py"
    own.write_text("from anneal_ray.driver import main\nprint(main)\n")  # a script of the user's own
    imported = run_hidden(within(environment, environment / "bin" / "python3", own), tmp_path)
    assert imported.returncode == 0, imported.stderr


def test_another_torch_is_refused(environment: Path, tmp_path: Path):
    (packages,) = environment.glob("lib/python3*/site-packages")
    (packages / "torch").mkdir()
    (packages / "torch-1.0.0.dist-info").mkdir()
    try:
        done = subprocess.run([environment / "bin" / "anneal", "doctor", "--quiet"], cwd=tmp_path, capture_output=True, text=True)
    finally:
        (packages / "torch").rmdir()
        (packages / "torch-1.0.0.dist-info").rmdir()
    assert_refused(done, RESOURCES, f"torch 1.0.0 is here, and this program works with torch {version('torch').split('+')[0]}")
    assert len(done.stderr.splitlines()) == 2
