"""`anneal prepare`, and what it should write.

ANNEAL_BINARY names another binary than build/release/anneal.
"""

import json
import math
import os
import subprocess
from pathlib import Path
from typing import Any

import pytest
from pyarrow import ipc, parquet

from support.program import BUILD, SHARED

BINARY = Path(os.environ.get("ANNEAL_BINARY", BUILD / "anneal"))
FILES = ("test.jsonl", "validation.jsonl", "training.jsonl")
_MASK = (1 << 64) - 1

needs_shared = pytest.mark.skipif(not SHARED.exists(), reason=f"{SHARED} is not there")


def prepare(folder, *flags, code=0, **options):
    command = [BINARY, "prepare", *map(str, flags)]
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, timeout=300, **options)
    assert done.returncode == code, done.stdout + done.stderr
    return done


def _key(seed, index):
    z = (seed + (index + 1) * 0x9E3779B97F4A7C15) & _MASK
    z = (z ^ (z >> 30)) * 0xBF58476D1CE4E5B9 & _MASK
    z = (z ^ (z >> 27)) * 0x94D049BB133111EB & _MASK
    return z ^ (z >> 31), index


def rendered(value: Any) -> str:
    """The text of a value: str() of Python, compact JSON for booleans, lists and dictionaries."""
    if value is None or isinstance(value, str):
        return value or ""
    if isinstance(value, (bool, list, tuple, dict)):
        return json.dumps(value, ensure_ascii=False, separators=(",", ":"), default=str)
    return str(value)


def expected_files(rows, input_template, output_template, columns, train=0.9, test=0.5, seed=16257):
    """The bytes of test, validation and training."""
    lines = []
    for row in rows:
        values = {name: rendered(row[column]) for name, column in columns.items()}
        pair = {"input": input_template.format(**values), "output": output_template.format(**values)}
        lines.append(json.dumps(pair, ensure_ascii=False) + "\n")
    lines = [lines[index] for index in sorted(range(len(lines)), key=lambda index: _key(seed, index))]
    held_out = len(lines) - math.floor(len(lines) * train + 1e-9)
    tests = min(math.ceil(held_out * test - 1e-9), max(held_out - 1, 0))
    parts = lines[:tests], lines[tests:held_out], lines[held_out:]
    return ["".join(part).encode() for part in parts]


def load(tmp_path, monkeypatch, *arguments, **options):
    """load_dataset() of the `datasets` library, without a network."""
    monkeypatch.setenv("HF_HOME", str(tmp_path / "hf"))
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    datasets = pytest.importorskip("datasets")
    datasets.disable_progress_bars()
    return datasets.load_dataset(*map(str, arguments), cache_dir=str(tmp_path / "cache"), **options)


def files_of(folder):
    return [(folder / name).read_bytes() for name in FILES]


def all_columns(names):
    """A template that shows every column, and the mapping and columns that go with it."""
    columns = {f"c{number}": name for number, name in enumerate(names)}
    return "|".join(f"{{{placeholder}}}" for placeholder in columns), columns


def prepare_columns(folder, source, names, *flags, **options):
    template, columns = all_columns(names)
    prepare(folder, "--hfdc_dataset_name", source, "--hfdc_input_template", template, "--hfdc_output_template", template,
            "--hfdc_field_mapping", json.dumps(columns), "--data_dir", "data", "--keep_empty_output", "--force_data", *flags,
            **options)  # fmt: skip
    return files_of(folder / "data")


def expected_columns(rows, names):
    template, columns = all_columns(names)
    rows = [row for row in rows if any(rendered(row[name]) for name in names) or len(names) > 1]
    return expected_files(rows, template, template, columns)


def written(table, path, kind):
    """`table` in pieces of one and two rows."""
    if kind == "parquet":
        parquet.write_table(table, path, row_group_size=2)
        return path
    make = ipc.new_file if kind == "file" else ipc.new_stream
    options = ipc.IpcWriteOptions(compression="zstd" if kind == "file" else None)
    with make(path, table.schema, options=options) as writer:
        for batch in table.slice(0, 1).to_batches() + table.slice(1).to_batches():
            writer.write_batch(batch)
    return path
