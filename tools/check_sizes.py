"""Fails on a source file over 600 lines, or over 400 without a reason ("long because ...") in its first ten lines."""

import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
FOLDERS = ("src", "tests", "python", "tools", "examples", "benchmarks", "cmake")
SUFFIXES = {".h", ".cpp", ".cu", ".py", ".sh", ".cmake"}
LIMIT, REASON_FROM = 600, 400


def check(root: Path) -> list[str]:
    problems = []
    for folder in FOLDERS:
        for path in sorted((root / folder).rglob("*")):
            if path.suffix not in SUFFIXES or not path.is_file() or "__pycache__" in path.parts:
                continue
            lines = path.read_text(errors="replace").splitlines()
            name = path.relative_to(root)
            if len(lines) > LIMIT:
                problems.append(f"{name}: {len(lines)} lines; the limit is {LIMIT}")
            elif len(lines) > REASON_FROM and not any("long because" in line for line in lines[:10]):
                problems.append(f'{name}: {len(lines)} lines; over {REASON_FROM} the file top says "long because ..."')
    return problems


if __name__ == "__main__":
    found = check(ROOT)
    print("\n".join(found) if found else "file sizes are within the limits")
    sys.exit(1 if found else 0)
