"""Oracle: no input ends a reader otherwise than by a UserError, and what was read keeps its properties (tests/fuzz/*.cpp).

`tools/test` builds the fuzzers. ANNEAL_TEST_FULL=1 gives each ten minutes, as `make fuzz` does.
"""

import os
import subprocess
from pathlib import Path

import pytest

from support.program import BUILD

CORPUS = Path(__file__).parent / "corpus"
TARGETS = sorted(path.name for path in CORPUS.iterdir())
LENGTH = ("--seconds", "600") if os.environ.get("ANNEAL_TEST_FULL") == "1" else ("--count", "1000")


@pytest.mark.parametrize("target", TARGETS)
def test_mutations_of_the_corpus(tmp_path, target):
    program = BUILD / f"fuzz_{target}"
    if not program.exists():
        pytest.skip(f"{program} is not built: cmake --build --preset release --target fuzzers")
    done = subprocess.run([program, "--corpus", CORPUS / target, "--work", tmp_path, *LENGTH], capture_output=True, text=True)
    assert done.returncode == 0, f"the input lies in {tmp_path}: {done.stderr[-6000:]}"
    assert "new ways through the code" in done.stdout
