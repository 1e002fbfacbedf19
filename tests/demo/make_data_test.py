"""Oracle: the promises of the demo's dataset, checked on every value."""

import hashlib
import json
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[2] / "examples" / "demo"))

import make_data  # noqa: E402

TRAINING_SHA256 = "eb503ceb28db6d0afff1d1e3d7a4c64986732e2c902ecb16aec094a09153bb92"
FUNCTION_WORDS = {"the"}  # in topics such as "the merger"


def rows_of(folder: Path, name: str) -> list[dict[str, str]]:
    return [json.loads(line) for line in (folder / f"{name}.jsonl").read_text().splitlines()]


def words_of(rows: list[dict[str, str]]) -> set[str]:
    """Every word and number of every value."""
    return {word for row in rows for value in json.loads(row["output"]).values() for word in str(value).split()}


def test_same_files_on_every_machine(tmp_path: Path):
    make_data.make(tmp_path)
    assert hashlib.sha256((tmp_path / "training.jsonl").read_bytes()).hexdigest() == TRAINING_SHA256


def test_held_out_rows_share_no_value(tmp_path: Path):
    make_data.make(tmp_path)
    training, validation, test = (rows_of(tmp_path, name) for name in ("training", "validation", "test"))
    assert (len(training), len(validation), len(test)) == (2000, 100, 200)
    assert words_of(training + validation) & words_of(test) == FUNCTION_WORDS
    inputs = [row["input"] for row in training + validation + test]
    assert len(set(inputs)) == len(inputs)


def test_every_value_is_in_the_sentence(tmp_path: Path):
    make_data.make(tmp_path)
    for row in rows_of(tmp_path, "test") + rows_of(tmp_path, "training")[:200]:
        for value in json.loads(row["output"]).values():
            assert all(word in row["input"] for word in str(value).split()), row
