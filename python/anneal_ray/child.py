"""The program as the child of a worker: it lives no longer than the worker, and what it reports can be read."""

import json
import os
import queue
import subprocess
import sys
import threading
from collections import deque
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from anneal_ray.job import Job

TETHER = Path(__file__).with_name("tether.py")
STOP_POLL_SECONDS = 0.5
LAST_LINES = 30


class Child:
    """The thread that makes it must outlive it: the system kills the child when that thread ends."""

    def __init__(self, job: Job, rank: int, environment: dict[str, str]):
        self._job, self._errors = job, job.error_file(rank)
        self._errors_before = self._errors.stat().st_size if self._errors.exists() else 0  # of earlier attempts
        events, write_end = os.pipe()
        command = [sys.executable, "-S", str(TETHER), str(os.getpid()), job.program, "train", *job.arguments]
        try:
            with job.output_file(rank).open("ab") as output, self._errors.open("ab") as errors:
                self._process = subprocess.Popen(
                    [*command, "--events_fd", str(write_end)],
                    cwd=job.working_folder,
                    env=environment,
                    stdin=subprocess.DEVNULL,
                    stdout=output,
                    stderr=errors,
                    pass_fds=[write_end],
                    process_group=0,
                )
        finally:
            os.close(write_end)
        self._events: queue.SimpleQueue[dict[str, Any] | None] = queue.SimpleQueue()
        threading.Thread(target=self._read, args=(events,), daemon=True).start()
        threading.Thread(target=self._watch_for_stop, daemon=True).start()

    def _read(self, descriptor: int) -> None:
        """Never waits for Ray, so that the program never waits for its reader."""
        with open(descriptor, encoding="utf-8") as lines:
            for line in lines:
                if line.endswith("\n"):  # a killed program leaves half of one
                    self._events.put(json.loads(line))
        self._events.put(None)

    def _watch_for_stop(self) -> None:
        while True:
            try:
                self._process.wait(STOP_POLL_SECONDS)
                return
            except subprocess.TimeoutExpired:
                pass
            if self._job.stop_file.exists():
                self._process.send_signal(int(self._job.stop_file.read_text()))
                return

    def reports(self) -> Iterator[dict[str, Any]]:
        """Until the program ends; of one that has failed, none is left to wait for."""
        for event in iter(self._events.get, None):
            if self._process.poll():
                return
            yield event

    def wait(self) -> int:
        return self._process.wait()

    def last_lines(self) -> str:
        """Of what this attempt has written to standard error."""
        with self._errors.open("rb") as file:
            file.seek(self._errors_before)
            return "".join(deque((line.decode(errors="replace") for line in file), LAST_LINES)).rstrip()
