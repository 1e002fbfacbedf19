"""Prints the summary of one score, or of two side by side: `show.py BEFORE.log [AFTER.log]`."""

import json
import sys
from pathlib import Path


def summary(path: str) -> dict[str, float]:
    """The last line that a score printed."""
    return json.loads(Path(path).read_text().strip().splitlines()[-1])


def main() -> None:
    scores = [summary(path) for path in sys.argv[1:]]
    if len(scores) == 2:
        print(f"{'':26}{'before':>10}{'after':>10}")
    rows = {
        "loss of a trained token": [f"{score['mean_nll']:.4f}" for score in scores],
        "perplexity": [f"{score['perplexity']:.2f}" for score in scores],
        f"exact rows, of {scores[0]['samples']}": [f"{score['exact']:.0f}" for score in scores],
    }
    for name, values in rows.items():
        print(f"{name:26}" + "".join(f"{value:>10}" for value in values))


if __name__ == "__main__":
    main()
