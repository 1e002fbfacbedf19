"""docs/troubleshooting.md, asked for a message."""

import re
from functools import cache

from support.program import ROOT

TELLING_LENGTH = 10  # shorter ones would match anything


@cache
def _patterns() -> list[re.Pattern[str]]:
    rows = re.findall(r"^\| (`+) ?(.*?) ?\1 \|", (ROOT / "docs" / "troubleshooting.md").read_text(), re.MULTILINE)
    texts = [text.replace("\\|", "|") for _, text in rows]
    telling = [text for text in texts if len(text.replace("…", "")) >= TELLING_LENGTH]
    # " / " stands between what a message may say.
    parts = [re.escape(text).replace("…", ".*").replace(r"\ /\ ", "|") for text in telling]
    return [re.compile(part, re.DOTALL) for part in parts]


def is_listed(message: str) -> bool:
    """Whether a line of the page shows what was said."""
    return any(pattern.search(message) for pattern in _patterns())
