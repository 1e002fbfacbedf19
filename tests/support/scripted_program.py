#!/usr/bin/env python3
"""Stands for `anneal` in tests of what starts it: `anneal train` ends as script.json in its working folder says, on each rank
in each attempt. What it was given is left in given-<rank>-<attempt>.json. All else is the real program's."""

import json
import os
import sys
from pathlib import Path

REAL = os.environ.get("ANNEAL_TEST_PROGRAM", "")


def report(descriptor: int, seq: int, step: int, checkpoint: str | None) -> None:
    event = {"type": "report", "seq": seq, "step": step, "metrics": {"loss": 1.0 / step}, "checkpoint": checkpoint}
    os.write(descriptor, (json.dumps(event) + "\n").encode())


def train() -> int:
    rank = os.environ["RANK"]
    attempt = len(list(Path.cwd().glob(f"given-{rank}-*.json")))
    given = {"arguments": sys.argv[1:], "environment": dict(os.environ), "group": os.getpgid(0) == os.getpid()}
    Path(f"given-{rank}-{attempt}.json").write_text(json.dumps(given))
    script = json.loads(Path("script.json").read_text())
    behaviour = script[rank][min(attempt, len(script[rank]) - 1)]
    descriptor = int(sys.argv[sys.argv.index("--events_fd") + 1])
    for seq in range(behaviour.get("reports", 0)):
        report(descriptor, seq, seq + 1, None)
    print(behaviour.get("stderr", ""), file=sys.stderr, flush=True)
    if behaviour.get("waits"):
        import signal

        signal.pause()
    return behaviour["exit"]


if __name__ == "__main__":
    if sys.argv[1] == "train" and "--print_config" not in sys.argv:
        sys.exit(train())
    os.execv(REAL, [REAL, *sys.argv[1:]])
