"""Files of every kind. Oracle: the `datasets` library on the same files, str.format for the templates."""

import csv
import datetime
import decimal
import gzip
import json
import random
import subprocess
import uuid
from pathlib import Path

import pyarrow
import pytest
from pyarrow import parquet

from support.prepare import (
    BINARY, SHARED, all_columns, expected_columns, expected_files, files_of, load, needs_shared, prepare, prepare_columns, written,
)  # fmt: skip

pytestmark = pytest.mark.skipif(not BINARY.exists(), reason=f"{BINARY} is not built")

BUILDERS = {".parquet": "parquet", ".jsonl": "json", ".json": "json", ".csv": "csv"}


def shared_files():
    folders = [SHARED / "data/formats", SHARED / "data/instruction"]
    return [path for folder in folders if folder.exists() for path in sorted(folder.iterdir())]


@needs_shared
@pytest.mark.parametrize("path", shared_files(), ids=lambda path: path.name)
def test_real_files(tmp_path, monkeypatch, path):
    kind = BUILDERS[next(suffix for suffix in path.suffixes[::-1] if suffix in BUILDERS)]
    # Texts of .csv stay as they stand there: "007" is no number and "NA" not nothing.
    texts = {}
    if kind == "csv":
        from datasets import Features, Value

        names = next(csv.reader(path.open(encoding="utf-8-sig")))
        texts = {"keep_default_na": False, "features": Features({name: Value("string") for name in names})}
    rows = load(tmp_path, monkeypatch, kind, data_files=str(path), split="train", **texts)
    assert rows.num_rows > 0
    assert prepare_columns(tmp_path, path, rows.column_names) == expected_columns(rows, rows.column_names)


def odd_table():
    day = datetime.datetime(2024, 2, 29, 23, 59, 59, 120)
    return pyarrow.table({
        "text": pyarrow.array(["a\u2028\u00e9", None, ""]),
        "large": pyarrow.array(["x", "y", None], pyarrow.large_string()),
        "view": pyarrow.array(["x", "longer than the twelve bytes inside", None], pyarrow.string_view()),
        "nothing": pyarrow.nulls(3),
        "bool": pyarrow.array([True, False, None]),
        "int8": pyarrow.array([-128, 127, None], pyarrow.int8()),
        "uint64": pyarrow.array([2**64 - 1, 0, None], pyarrow.uint64()),
        "half": pyarrow.array([1.5, float("inf"), None], pyarrow.float16()),
        "float": pyarrow.array([0.1, float("nan"), -1e-7], pyarrow.float32()),
        "double": pyarrow.array([0.1, 1e16, -1e22]),
        "decimal": pyarrow.array([decimal.Decimal("1.50"), decimal.Decimal("-0.01"), None], pyarrow.decimal128(10, 2)),
        "small": pyarrow.array([decimal.Decimal("1E-10"), decimal.Decimal("0E-10"), None], pyarrow.decimal128(20, 10)),
        "bytes": pyarrow.array([b"\x00'\xff\\", b"text", None]),
        "date": pyarrow.array([day.date(), datetime.date(1, 1, 1), None]),
        "date64": pyarrow.array([day.date(), datetime.date(1969, 12, 31), None], pyarrow.date64()),
        "time": pyarrow.array([day.time(), datetime.time(1, 2, 3), None], pyarrow.time64("us")),
        "stamp_s": pyarrow.array([day.replace(microsecond=0), datetime.datetime(1960, 1, 1), None], pyarrow.timestamp("s")),
        "stamp_us": pyarrow.array([day, datetime.datetime(1960, 1, 1), None], pyarrow.timestamp("us")),
        "stamp_ns": pyarrow.array([1, -1, 1_000_000_000], pyarrow.timestamp("ns")),
        "utc": pyarrow.array([day, day, None], pyarrow.timestamp("us", tz="UTC")),
        "zone": pyarrow.array([day, day, None], pyarrow.timestamp("us", tz="-05:30")),
        "span": pyarrow.array([datetime.timedelta(days=1, seconds=1), datetime.timedelta(microseconds=-1), None]),
        "word": pyarrow.array(["p", "q", None]).dictionary_encode(),
        "list": pyarrow.array([["a", None], [], None]),
        "deep": pyarrow.array([[{"k": [1.0, float("nan")], "b": b"\x01"}], [None], None]),
        "times": pyarrow.array([[day], [], None]),
        "fixed": pyarrow.array([[1, 2], [3, None], None], pyarrow.list_(pyarrow.int32(), 2)),
        "struct": pyarrow.array([{"a": True, "b": None}, {"a": None, "b": "\u20ac\"\n"}, None]),
        "map": pyarrow.array([[("k", 1)], [], None], pyarrow.map_(pyarrow.string(), pyarrow.int64())),
    })  # fmt: skip


@pytest.mark.parametrize("kind", ["parquet", "file", "stream"])
def test_values_of_every_arrow_type(tmp_path, kind):
    """Oracle: str() of what pyarrow gives Python, which is what `datasets` passes on."""
    table = odd_table()
    source = written(table, tmp_path / ("x.parquet" if kind == "parquet" else "x.arrow"), kind)
    read = parquet.read_table(source) if kind == "parquet" else table
    assert prepare_columns(tmp_path, source, table.column_names) == expected_columns(read.to_pylist(), table.column_names)


def test_types_as_datasets_has_them(tmp_path, monkeypatch):
    names = ["text", "bool", "int8", "float", "double", "date", "stamp_us", "utc", "list", "deep", "struct", "bytes", "word"]
    source = written(odd_table().select(names), tmp_path / "x.parquet", "parquet")
    rows = load(tmp_path, monkeypatch, "parquet", data_files=str(source), split="train")
    assert prepare_columns(tmp_path, source, names) == expected_columns(rows, names)


def test_a_type_without_a_text_is_refused(tmp_path):
    table = pyarrow.table({"when": pyarrow.array([0], pyarrow.timestamp("s", tz="Europe/Berlin")), "x": ["y"]})
    parquet.write_table(table, tmp_path / "x.parquet")
    flags = ["--hfdc_dataset_name", "x.parquet", "--hfdc_input_template", "{when}", "--hfdc_output_template", "{x}"]
    done = prepare(tmp_path, *flags, "--data_dir", "data", code=3)
    assert 'the column "when" holds the type timestamp' in done.stderr and "Europe/Berlin" in done.stderr
    prepare(tmp_path, *flags[:3], "{x}", *flags[4:], "--data_dir", "data")


@pytest.mark.parametrize("name", ["x.jsonl", "x.parquet"])
def test_values_inside_a_column(tmp_path, name):
    rows = [{"answer": {"text": [f"t{number}", "u"][: number % 3], "n": number}, "answer.n": str(-number), "q": "q"} for number in range(30)]
    if name == "x.jsonl":
        (tmp_path / name).write_text("".join(json.dumps(row) + "\n" for row in rows))
    else:
        parquet.write_table(pyarrow.Table.from_pylist(rows), tmp_path / name)
    done = prepare(tmp_path, "--hfdc_dataset_name", name, "--hfdc_input_template", "{q}{answer.text.0}{answer.n}",
                   "--hfdc_output_template", "{a}", "--hfdc_field_mapping", '{"a": "answer.text.1"}', "--data_dir", "data",
                   "--keep_empty_output")  # fmt: skip
    first = [(row["answer"]["text"] + ["", ""])[:2] for row in rows]
    flat = [{"i": "q" + texts[0] + row["answer.n"], "o": texts[1]} for row, texts in zip(rows, first)]
    assert files_of(tmp_path / "data") == expected_files(flat, "{i}", "{o}", {"i": "i", "o": "o"})
    assert "empty: 30 values" in done.stdout
    flags = ["--hfdc_dataset_name", name, "--hfdc_input_template", "{answer.txet.0}", "--hfdc_output_template", "{q}"]
    assert 'need the column "answer.txet.0"' in prepare(tmp_path, *flags, "--data_dir", "other", code=3).stderr


def zstd(content: bytes) -> bytes:
    sink = pyarrow.BufferOutputStream()
    with pyarrow.CompressedOutputStream(sink, "zstd") as stream:
        stream.write(content)
    return sink.getvalue().to_pybytes()


TEXTS = {
    "x.jsonl": b'{"text": "a"}\n{"text": "b\\n"}\n' * 40,
    "x.json": b'[{"text": "a"},\n {"text": "b"}]',
    "x.csv": b'n,text\n1,"a,\nb"\n2,c\n',
    "x.tsv": b'n\ttext\n1\t"a\nb"\n2\tc,d\n',
    "x.txt": b"a\r\n\nb\rlast",
}


@pytest.mark.parametrize("pack, extension", [(gzip.compress, ".gz"), (zstd, ".zst")])
@pytest.mark.parametrize("name", TEXTS)
def test_packed_texts(tmp_path, monkeypatch, name, pack, extension):
    content = TEXTS[name]
    (tmp_path / name).write_bytes(content)
    # Two members after another are one file.
    (tmp_path / (name + extension)).write_bytes(pack(content[:20]) + pack(content[20:]))
    plain = prepare_columns(tmp_path, name, ["text"])
    assert prepare_columns(tmp_path, name + extension, ["text"]) == plain
    kind = {"x.txt": "text", "x.csv": "csv", "x.tsv": "csv"}.get(name, "json")
    rows = load(tmp_path, monkeypatch, kind, data_files=str(tmp_path / name), split="train", **({"sep": "\t"} if name == "x.tsv" else {}))
    assert plain == expected_columns(rows, ["text"])


@pytest.mark.parametrize("pack, extension", [(gzip.compress, ".GZ"), (zstd, ".zst")])
@pytest.mark.parametrize("kind", ["parquet", "file", "stream"])
def test_packed_arrow_files(tmp_path, kind, pack, extension):
    """Oracle: the same file, not packed."""
    table = pyarrow.table({"text": [f"row {number}" for number in range(5000)]})
    source = written(table, tmp_path / ("x.parquet" if kind == "parquet" else "x.arrow"), kind)
    content = source.read_bytes()
    source.with_name(source.name + extension).write_bytes(pack(content[:20]) + pack(content[20:]))
    assert prepare_columns(tmp_path, source.name + extension, ["text"]) == prepare_columns(tmp_path, source, ["text"])
    source.with_name(source.name + extension).write_bytes(pack(content[: len(content) // 2])[:-5])
    done = prepare(tmp_path, "--hfdc_dataset_name", source.name + extension, "--hfdc_input_template", "a",
                   "--hfdc_output_template", "{text}", "--data_dir", "other", code=3)  # fmt: skip
    assert f"{source.name}{extension}" in done.stderr and "the compressed data ends too early" in done.stderr


@pytest.mark.parametrize("damage, message", [
    (lambda packed: packed[:-5], "the compressed data ends too early"),
    (lambda packed: packed[:4] + b"\xff" * 8 + packed[12:], "not sound"),
    (lambda packed: b"plain text", "not sound"),
    (lambda packed: b"", "the dataset holds no rows"),
])  # fmt: skip
@pytest.mark.parametrize("pack, extension", [(gzip.compress, ".gz"), (zstd, ".zst")])
def test_damaged_packed_texts(tmp_path, pack, extension, damage, message):
    lines = "".join(f'{{"text": "{random.Random(row).random()}"}}\n' for row in range(500)).encode()
    (tmp_path / f"x.jsonl{extension}").write_bytes(damage(pack(lines)))
    done = prepare(tmp_path, "--hfdc_dataset_name", f"x.jsonl{extension}", "--hfdc_input_template", "a",
                   "--hfdc_output_template", "{text}", "--data_dir", "data", code=3)  # fmt: skip
    assert message in done.stderr and "try:" in done.stderr and not (tmp_path / "data").exists()


@pytest.mark.parametrize("kind", ["parquet", "file", "stream"])
def test_damaged_arrow_files_are_refused(tmp_path, kind):
    """Never a crash: exit 3 with one message, or rows where the damage meets no structure."""
    name = "x.parquet" if kind == "parquet" else "x.arrow"
    whole = written(odd_table(), tmp_path / name, kind).read_bytes()
    columns = ["text", "view", "decimal", "word", "deep", "struct", "map"]
    template, mapping = all_columns(columns)
    flags = ["--hfdc_dataset_name", name, "--hfdc_input_template", template, "--hfdc_output_template", template,
             "--hfdc_field_mapping", json.dumps(mapping), "--data_dir", "data", "--force_data"]  # fmt: skip

    def run(content):
        (tmp_path / name).write_bytes(content)
        return subprocess.run([BINARY, "prepare", *flags], cwd=tmp_path, capture_output=True, text=True)

    assert run(whole).returncode == 0
    for content in (b"", b"ARROW1\0\0", b"PAR1PAR1", b"x" * 1000, whole[: len(whole) // 2], whole[:-1] if kind == "parquet" else whole[:90]):
        done = run(content)
        assert done.returncode == 3 and name in done.stderr and "try:" in done.stderr, done.stderr
    chance = random.Random(kind)
    for _ in range(60):
        content = bytearray(whole)
        for _ in range(3):
            content[chance.randrange(len(content))] = chance.randrange(256)
        done = run(bytes(content))
        assert done.returncode in (0, 3), (done.returncode, done.stderr)
        assert done.returncode == 0 or "try:" in done.stderr


def test_text_that_is_not_utf8_can_be_left_out(tmp_path):
    column = pyarrow.Array.from_buffers(pyarrow.string(), 3, pyarrow.array([b"good", b"\xff\xfe", b"fine"]).buffers())
    parquet.write_table(pyarrow.table({"text": column}), tmp_path / "x.parquet")
    flags = ["--hfdc_dataset_name", "x.parquet", "--hfdc_input_template", "", "--hfdc_output_template", "{text}", "--data_dir", "data"]
    assert "x.parquet, row 2" in prepare(tmp_path, *flags, code=3).stderr
    assert "skipped: 1 rows" in prepare(tmp_path, *flags, "--skip_bad_rows", 1).stdout


def peak_of_own_memory(process):
    """Bytes of memory that is no file's, as often as it can be looked at."""
    peak = 0
    while process.poll() is None:
        try:
            status = Path(f"/proc/{process.pid}/status").read_text()
        except ProcessLookupError:
            continue
        sizes = [int(line.split()[1]) for line in status.splitlines() if line.startswith("RssAnon")]
        peak = max([peak, *sizes])
    return peak * 1024


def test_memory_stays_flat(tmp_path):
    """One row group of 200 MB of text goes through less than half of that."""
    rows, words = 20_000, "".join(f"{uuid.UUID(int=number)}" for number in range(280))
    table = pyarrow.table({"text": [f"{row} {words}" for row in range(rows)]})
    parquet.write_table(table, tmp_path / "x.parquet", row_group_size=rows, compression="zstd", use_dictionary=False)
    flags = ["--hfdc_dataset_name", "x.parquet", "--hfdc_input_template", "", "--hfdc_output_template", "{text}", "--data_dir", "data"]
    process = subprocess.Popen([BINARY, "prepare", *flags], cwd=tmp_path, stdout=subprocess.DEVNULL)
    peak = peak_of_own_memory(process)
    assert process.wait() == 0 and (tmp_path / "data/training.jsonl").stat().st_size > 150e6
    assert 1e6 < peak < 80e6


def test_only_who_reads_arrow_loads_it(tmp_path):
    linked = subprocess.run(["ldd", BINARY], capture_output=True, text=True, check=True).stdout
    assert "libarrow" not in linked and "libparquet" not in linked and "libtorch" not in linked
