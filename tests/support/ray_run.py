"""Runs of ray_train_sft.py on the real Ray, each cluster in a temporary folder of its own."""

import hashlib
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from support.faulty_run import FaultyRun
from support.program import ROOT

SCRIPT = ROOT / "ray_train_sft.py"
WAIT_SECONDS = 240  # a machine that others use too


def wait_until(condition: Callable[[], bool], what: str) -> None:
    end = time.monotonic() + WAIT_SECONDS
    while not condition():
        assert time.monotonic() < end, f"{what}: not within {WAIT_SECONDS} s"
        time.sleep(0.02)


def processes_of(folder: Path) -> list[int]:
    """Those that have the cluster's folder in their environment, and are no zombies."""
    found = []
    for process in Path("/proc").glob("[0-9]*"):
        try:
            is_ours = str(folder).encode() in (process / "environ").read_bytes()
            if is_ours and (process / "stat").read_text().rpartition(")")[2].split()[0] != "Z":
                found.append(int(process.name))
        except OSError:
            continue
    return found


def end_all(folder: Path) -> None:
    for process in processes_of(folder):
        with suppress(ProcessLookupError):
            os.kill(process, signal.SIGKILL)


def ray_environment(folder: Path) -> dict[str, str]:
    return {name: value for name, value in os.environ.items() if not name.startswith("RAY_")} | {
        "RAY_TMPDIR": str(folder),
        "RAY_USAGE_STATS_ENABLED": "0",
        "RAY_AUTH_MODE": "token",
        "RAY_AUTH_TOKEN": hashlib.sha256(str(folder).encode()).hexdigest(),
        "OMP_NUM_THREADS": "1",
    }


@contextmanager
def cluster_folder() -> Iterator[Path]:
    """Short, since sockets lie in it. At its end nothing of Ray may run."""
    folder = Path(tempfile.mkdtemp(prefix="ray"))
    try:
        yield folder
        wait_until(lambda: not processes_of(folder), "the end of all processes of Ray")
    finally:
        end_all(folder)
        shutil.rmtree(folder, ignore_errors=True)


@contextmanager
def started_cluster(num_cpus: int) -> Iterator[Path]:
    """What `ray start --head` leaves to be found."""
    with cluster_folder() as folder:
        command = [str(Path(sys.executable).with_name("ray")), "start", "--head", "--port=0", f"--num-cpus={num_cpus}", "--num-gpus=0",
                   "--include-dashboard=false", "--disable-usage-stats", f"--temp-dir={folder}", "--block"]  # fmt: skip
        with (folder / "start.log").open("w") as log:
            head = subprocess.Popen(command, stdout=log, stderr=log, env=ray_environment(folder), start_new_session=True)
        address = folder / "ray_current_cluster"
        try:
            wait_until(lambda: address.exists() or head.poll() is not None, "`ray start`")
            assert head.poll() is None, (folder / "start.log").read_text()
            yield folder
        finally:
            end_all(folder)  # asked to end, it would wait for half a minute
            head.wait()


class RayRun(FaultyRun):
    """The same command as FaultyRun's, by the script. `cluster`: of cluster_folder or started_cluster."""

    def __init__(self, work: Path, model: Path, cluster: Path, *flags: str) -> None:
        super().__init__(work, model, *flags)
        self.cluster, self.script, self.environment = cluster, SCRIPT, ray_environment(cluster)

    def command(self, *flags: str) -> list[str]:
        return [sys.executable, str(self.script), *super().command(*flags)[2:]]

    def start(self, *flags: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(self.command(*flags), cwd=self.work, env=self.environment, capture_output=True, text=True,
                              timeout=WAIT_SECONDS)  # fmt: skip

    def popen(self, *flags: str) -> subprocess.Popen[str]:
        """With what it says in files: nobody reads a pipe meanwhile."""
        with (self.work / "stdout").open("w") as out, (self.work / "stderr").open("w") as err:
            return subprocess.Popen(self.command(*flags), cwd=self.work, env=self.environment, stdout=out, stderr=err)

    def said(self) -> str:
        return (self.work / "stdout").read_text() + (self.work / "stderr").read_text()

    def newest_state(self) -> int:
        """Its step; 0 before the first. Older ones are deleted soon."""
        return max((int(path.name[5:]) for path in self.run.glob("resume/step-*") if path.name[5:].isdecimal()), default=0)

    def storage(self) -> Path:
        """Ray's folder of the newest start."""
        folders = (self.work / "out" / "results" / ".ray").iterdir()
        return max(folders, key=lambda folder: folder.stat().st_ctime_ns)

    def programs(self) -> dict[int, int]:
        """The program's processes of this run that are ranks, by rank."""
        found = {}
        for process in Path("/proc").glob("[0-9]*"):
            try:
                words = (process / "cmdline").read_bytes().split(b"\0")
                if not any(word.endswith(b"/anneal") for word in words[:2]) or os.readlink(process / "cwd") != str(self.work):
                    continue
                variables = dict(entry.split(b"=", 1) for entry in (process / "environ").read_bytes().split(b"\0") if b"=" in entry)
                if b"RANK" in variables:
                    found[int(variables[b"RANK"])] = int(process.name)
            except OSError:
                continue
        return found
