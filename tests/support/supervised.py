"""Finds the ranks that a supervisor has started, and runs them in network namespaces of their own."""

import contextlib
import os
import subprocess
import time
from collections.abc import Callable, Iterator
from pathlib import Path

LIMIT_SECONDS = 120


def wait_until(is_so: Callable[[], bool], what: str) -> None:
    deadline = time.monotonic() + LIMIT_SECONDS
    while not is_so():
        assert time.monotonic() < deadline, f"not within {LIMIT_SECONDS} s: {what}"
        time.sleep(0.01)


def _environment(pid: int) -> dict[str, str]:
    """Empty where the process is gone."""
    try:
        entries = Path(f"/proc/{pid}/environ").read_text().split("\0")
    except OSError:
        return {}
    return dict(entry.split("=", 1) for entry in entries if "=" in entry)


def ranks_of(supervisor: int) -> dict[int, int]:
    """Rank -> process."""
    children = map(int, Path(f"/proc/{supervisor}/task/{supervisor}/children").read_text().split())
    ranks = {pid: _environment(pid).get("RANK") for pid in children}
    return {int(rank): pid for pid, rank in ranks.items() if rank is not None}


def is_gone(pid: int) -> bool:
    """Or a zombie, which only waits for whoever inherited it."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0] == "Z"
    except OSError:
        return True


@contextlib.contextmanager
def two_nodes() -> Iterator[tuple[list[str], list[str], str]]:
    """Two network namespaces joined by a cable: what to put before a command to run it in each, and the first's address.
    Raises OSError or CalledProcessError where they may not be made."""
    names = [f"anneal-{os.getpid()}-{number}" for number in (0, 1)]
    addresses = ("10.99.0.1", "10.99.0.2")

    def ip(*words: str) -> None:
        subprocess.run(["ip", *words], check=True, capture_output=True)

    made = []
    try:
        for name in names:
            ip("netns", "add", name)
            made.append(name)
            ip("-n", name, "link", "set", "lo", "up")
        ip("link", "add", "cable0", "netns", names[0], "type", "veth", "peer", "name", "cable1", "netns", names[1])
        for number, name in enumerate(names):
            ip("-n", name, "address", "add", f"{addresses[number]}/24", "dev", f"cable{number}")
            ip("-n", name, "link", "set", f"cable{number}", "up")
        first, second = (["ip", "netns", "exec", name] for name in names)
        yield first, second, addresses[0]
    finally:
        for name in made:
            subprocess.run(["ip", "netns", "delete", name], check=False)
