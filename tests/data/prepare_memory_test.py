"""Oracle: a tenth of the rows. The memory that preparation takes does not grow with the rows, whatever the file's kind."""

import gzip
import json
import subprocess
import sys

import pyarrow
import pytest
from pyarrow import csv, parquet

from support.prepare import BINARY

pytestmark = pytest.mark.skipif(not BINARY.exists(), reason=f"{BINARY} is not built")
MORE_MB = 24  # of 135,000 rows more: 16 bytes each and buffers; the rows themselves are 80 MB, in source and result
# A process of its own: what a process had before it became another program counts for its peak.
MEASURED = "import resource, subprocess, sys; subprocess.run(sys.argv[1:], check=True, stdout=2);" \
           "print(resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss / 1024)"  # fmt: skip


@pytest.fixture(scope="module")
def sources(tmp_path_factory):
    """The folders of 15,000 and of 150,000 rows, in files of each kind."""
    made = []
    for count in (15_000, 150_000):
        folder = tmp_path_factory.mktemp(f"rows-{count}")
        rows = [{"q": f"question {row} " * 20, "a": f"answer {row} " * 20} for row in range(count)]
        lines = "".join(json.dumps(row) + "\n" for row in rows)
        (folder / "rows.jsonl").write_text(lines)
        (folder / "rows.json").write_text(json.dumps(rows))
        (folder / "rows.txt").write_text(lines)
        (folder / "rows.jsonl.gz").write_bytes(gzip.compress(lines.encode(), 1))
        table = pyarrow.Table.from_pylist(rows)
        csv.write_csv(table, folder / "rows.csv")
        parquet.write_table(table, folder / "rows.parquet", row_group_size=10_000)
        with pyarrow.ipc.new_file(folder / "rows.arrow", table.schema) as writer:
            writer.write_table(table, max_chunksize=1000)
        made.append(folder)
    return made


def peak_mb(source, folder):
    templates = ("{text}", "{text}") if source.suffix == ".txt" else ("{q}", "{a}")
    command = [BINARY, "prepare", "--hfdc_dataset_name", source, "--data_dir", folder / source.name,
               "--hfdc_input_template", templates[0], "--hfdc_output_template", templates[1]]  # fmt: skip
    done = subprocess.run([sys.executable, "-S", "-c", MEASURED, *map(str, command)], capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stderr
    return float(done.stdout)


@pytest.mark.parametrize("kind", ["jsonl", "json", "txt", "jsonl.gz", "csv", "parquet", "arrow"])
def test_memory_does_not_grow_with_the_rows(sources, tmp_path, kind):
    few, many = (peak_mb(folder / f"rows.{kind}", tmp_path / folder.name) for folder in sources)
    assert many - few < MORE_MB, f"{few:.0f} MB of 15,000 rows, {many:.0f} MB of 150,000"
