"""What is reported to Ray in place of a saved folder: where it lies, and the hash of its manifest.json.

The run's own rotation owns the folder; what Ray keeps and deletes are these small files, one a rank.
"""

import hashlib
import json
from pathlib import Path


def _manifest_sha256(folder: Path) -> str:
    return hashlib.sha256((folder / "manifest.json").read_bytes()).hexdigest()


def write_pointer(saved: Path, rank: int, into: Path) -> bool:
    """False where the rotation has deleted the folder meanwhile."""
    try:
        pointer = {"path": str(saved), "manifest_sha256": _manifest_sha256(saved)}
    except FileNotFoundError:
        return False
    (into / f"rank-{rank}.json").write_text(json.dumps(pointer) + "\n")
    return True


def describe_pointers(folder: Path) -> str:
    """What Ray gives back after a failure, held against the disk. The program itself hashes every file of its states."""
    pointers = [json.loads(path.read_text()) for path in sorted(folder.glob("rank-*.json"))]
    if not pointers:
        return "Ray's checkpoint names no state"
    if any(pointer != pointers[0] for pointer in pointers):
        return "Ray's checkpoint names different states on different ranks"
    saved = Path(pointers[0]["path"])
    try:
        is_same = _manifest_sha256(saved) == pointers[0]["manifest_sha256"]
    except FileNotFoundError:
        return f"Ray's checkpoint, {saved}, is not there any more"
    return f"Ray's checkpoint is {saved}" if is_same else f"Ray's checkpoint, {saved}, is another one now"
