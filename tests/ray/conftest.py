"""One cluster, as `ray start --head` leaves it, for the tests that need no other."""

import sys
from pathlib import Path

import pytest

from support.program import ROOT
from support.ray_run import started_cluster

sys.path.insert(0, str(ROOT / "python"))


@pytest.fixture(scope="session")
def cluster() -> Path:
    with started_cluster(num_cpus=2) as folder:
        yield folder
