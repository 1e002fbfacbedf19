"""Finds the program, and becomes it: what the scripts of this folder have in common."""

import os
import shutil
import sys
from pathlib import Path
from typing import NoReturn

HERE = Path(__file__).resolve().parent
PLACES = (HERE / "anneal", HERE / "anneal" / "anneal", HERE.parent / "build" / "release" / "anneal")  # installed, in a wheel, built


def program_path() -> str:
    """Ends the script where there is none."""
    program = next((str(place) for place in PLACES if place.is_file()), None) or shutil.which("anneal")
    if program is None:
        sys.exit(f"{Path(sys.argv[0]).name}: the program is not built\n  try: make build")
    return program


def become(command: str) -> NoReturn:
    """Replaces this process by `anneal COMMAND` with this script's arguments, so that signals and exit codes are its own."""
    program = program_path()
    os.execv(program, [program, command, *sys.argv[1:]])
