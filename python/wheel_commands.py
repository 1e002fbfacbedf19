"""The commands of the wheel, in which this file is the package `anneal`: its folder holds the program and its parts."""

import os
import runpy
import sys
from pathlib import Path

FOLDER = Path(__file__).resolve().parent


def _name_python() -> None:
    """The program's children are run by the Python that the wheel is installed for."""
    os.environ.setdefault("ANNEAL_PYTHON", sys.executable)


def anneal() -> None:
    _name_python()
    program = str(FOLDER / "anneal")
    os.execv(program, [program, *sys.argv[1:]])


def anneal_ray() -> None:
    """Ray tells the workers the folder of the script."""
    _name_python()
    sys.argv[0] = str(FOLDER / "ray_train_sft.py")
    sys.path.insert(0, str(FOLDER))
    runpy.run_path(sys.argv[0], run_name="__main__")
