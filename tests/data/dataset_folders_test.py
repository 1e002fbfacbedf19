"""Folders of data. Oracle: the `datasets` library on the same folders, str.format for the templates."""

import json
import lzma
import os

import pyarrow
import pytest
from pyarrow import parquet

from support.prepare import BINARY, expected_columns, load, prepare, prepare_columns, written

pytestmark = pytest.mark.skipif(not BINARY.exists(), reason=f"{BINARY} is not built")


def make_folder(folder, names):
    for number, name in enumerate(names):
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        rows = [{"q": f"{name} {row}", "a": str(row)} for row in range(3)]
        if name.endswith(".parquet"):
            parquet.write_table(pyarrow.Table.from_pylist(rows), path)
        elif name.endswith(".arrow"):
            written(pyarrow.Table.from_pylist(rows), path, "stream")
        elif name.endswith(".csv"):
            path.write_text("q,a\n" + "".join(f"{row['q']},{row['a']}\n" for row in rows))
        elif not name.endswith("README.md"):
            path.write_text("".join(json.dumps(row) + "\n" for row in rows))


CARD = """---
license: mit
configs:
- config_name: first
  data_files: "b/*.jsonl"
- config_name: second
  default: true
  data_files:
  - split: train
    path: [c.jsonl, "b/x*"]
  - split: other_split
    path: "**/a.jsonl"
- config_name: third
  data_dir: b
---
# configs: none of this counts
"""

LAYOUTS = {
    "shards": ["data/train-00001-of-00002.parquet", "data/train-00000-of-00002.parquet", "data/holdout-00000-of-00001.parquet",
               "data/train.jsonl", "README.md", "test.parquet"],
    "shards_with_hash": ["data/train-00000-of-00001-0123456789abcdef.parquet"],
    "file_names": ["train-1.jsonl", "a_train.jsonl", "validation.jsonl", "my-dev-2.jsonl", "test_0.jsonl", "contest.jsonl"],
    "all_words": ["training.csv", "valid.csv", "val 1.csv", "evaluation.csv", "eval.2.csv", "testing-x.csv"],
    "folder_names": ["train/b.jsonl", "train/sub/a.jsonl", "x/my_test/c.jsonl", "dev/d.jsonl", "train.jsonl"],
    "plain": ["b.jsonl", "a.jsonl", "sub/c.jsonl", ".hidden/x.jsonl", "sub/.y.jsonl", "__pycache__/z.jsonl"],
    "kinds": ["a.jsonl", "b.csv", "c.csv", "d.json"],
    "a_draw": ["a.jsonl", "b.csv", "c.parquet"],
    "arrow": ["train.arrow", "test.arrow"],
    "packed": ["train.jsonl", "dataset_info.json", "config.json"],
}  # fmt: skip


@pytest.mark.parametrize("layout", LAYOUTS)
def test_folders(tmp_path, monkeypatch, layout):
    make_folder(tmp_path / "source", LAYOUTS[layout])
    (tmp_path / "source/README.md").write_text("# no front matter\n")
    theirs = load(tmp_path, monkeypatch, tmp_path / "source")
    for split, rows in theirs.items():
        assert prepare_columns(tmp_path, "source", ["q", "a"], "--hfdc_split", split) == expected_columns(rows, ["q", "a"])
    done = prepare(tmp_path, "--hfdc_dataset_name", "source", "--hfdc_split", "nowhere", "--data_dir", "other", code=3)
    assert sorted(done.stderr.split("name one of: ")[1].split("\n")[0].split(", ")) == sorted(theirs)


@pytest.mark.parametrize("config", ["", "first", "second", "third"])
def test_subsets_of_a_card(tmp_path, monkeypatch, config):
    make_folder(tmp_path / "source", ["a.jsonl", "c.jsonl", "b/x1.jsonl", "b/x2.jsonl", "b/test.jsonl"])
    (tmp_path / "source/README.md").write_text(CARD)
    for split, rows in load(tmp_path, monkeypatch, tmp_path / "source", *([config] if config else [])).items():
        flags = ["--hfdc_split", split] + (["--hfdc_dataset_config", config] if config else [])
        assert prepare_columns(tmp_path, "source", ["q", "a"], *flags) == expected_columns(rows, ["q", "a"])


def test_a_delimiter_of_the_card_is_part_of_the_recipe(tmp_path):
    make_folder(tmp_path / "source", ["README.md"])
    (tmp_path / "source/x.csv").write_text("q;a,a\n1;2,3\n")
    flags = ["--hfdc_dataset_name", "source", "--hfdc_input_template", "x", "--hfdc_output_template", "{c}", "--data_dir", "data"]
    for separator, column, value in ((";", "a,a", "2,3"), (",", "a", "3")):
        (tmp_path / "source/README.md").write_text(f"---\nconfigs:\n- config_name: a\n  data_files: x.csv\n  sep: '{separator}'\n---\n")
        done = prepare(tmp_path, *flags, "--hfdc_field_mapping", json.dumps({"c": column}))
        folder = tmp_path / done.stdout.split("built: ")[1].split("\n")[0]
        assert json.loads((folder / "training.jsonl").read_text())["output"] == value
    same = ["--hfdc_field_mapping", '{"c": "a"}', "--force_data"]
    (tmp_path / "source/x.csv").write_text("q,a\n1;a,2\n")
    prepare(tmp_path, *flags, *same)
    (tmp_path / "source/README.md").write_text("---\nconfigs:\n- config_name: a\n  data_files: x.csv\n  sep: ';'\n---\n")
    done = prepare(tmp_path, *flags, *same[:2], code=3)
    assert "holds other data" in done.stderr and "the row has 2 fields, the header 1" in done.stderr


def test_saved_datasets(tmp_path):
    datasets = pytest.importorskip("datasets")
    rows = [{"q": f"q{row}", "a": [row, {"x": "y"}["x"]] and str(row)} for row in range(50)]
    one = datasets.Dataset.from_list(rows)
    one.select(range(40, 0, -2)).save_to_disk(tmp_path / "one", num_shards=3)
    datasets.DatasetDict({"train": one, "extra": one.select([7, 3])}).save_to_disk(tmp_path / "both")
    assert prepare_columns(tmp_path, "one", ["q", "a"]) == expected_columns(datasets.load_from_disk(tmp_path / "one"), ["q", "a"])
    for split, theirs in datasets.load_from_disk(tmp_path / "both").items():
        assert prepare_columns(tmp_path, "both", ["q", "a"], "--hfdc_split", split) == expected_columns(theirs, ["q", "a"])
    done = prepare(tmp_path, "--hfdc_dataset_name", "both", "--hfdc_split", "test", "--data_dir", "other", code=3)
    assert "name one of: train, extra" in done.stderr
    (tmp_path / "one/state.json").write_text('{"_data_files": [{"filename": "../both/train/data-00000-of-00001.arrow"}]}')
    assert "outside of its folder" in prepare(tmp_path, "--hfdc_dataset_name", "one", "--data_dir", "other", code=3).stderr


def test_a_pattern(tmp_path, monkeypatch):
    make_folder(tmp_path / "source", ["a/1.jsonl", "a/2.jsonl", "b/3.jsonl"])
    rows = load(tmp_path, monkeypatch, "json", data_files=str(tmp_path / "source/*/*.jsonl"), split="train")
    assert prepare_columns(tmp_path, "source/*/*.jsonl", ["q", "a"]) == expected_columns(rows, ["q", "a"])


def test_data_of_a_pattern_is_compared(tmp_path):
    make_folder(tmp_path / "source", ["1.jsonl"])
    flags = ["--hfdc_dataset_name", "source/*.jsonl", "--hfdc_input_template", "{q}", "--hfdc_output_template", "{a}", "--data_dir", "data"]
    prepare(tmp_path, *flags)
    assert "ready: data" in prepare(tmp_path, *flags).stdout
    make_folder(tmp_path / "source", ["2.jsonl"])
    assert "built: data+" in prepare(tmp_path, *flags).stdout


@pytest.mark.parametrize("card, name, content", [
    ("", "train.jsonl.xz", lzma.compress(b'{"q": "1", "a": "2"}\n{"q": "3", "a": "4"}\n')),
    ("---\nconfigs:\n- config_name: a\n  data_files: x.json\n  field: data\n---\n", "x.json",
     b'{"version": 1, "data": [{"q": "1", "a": "2"}, {"q": "3", "a": "4"}]}'),
])  # fmt: skip
def test_unusual_folders_go_through_the_library(tmp_path, monkeypatch, card, name, content):
    source = tmp_path / "source"
    source.mkdir()
    (source / "README.md").write_text(card)
    (source / name).write_bytes(content)
    rows = load(tmp_path, monkeypatch, source, split="train")
    assert prepare_columns(tmp_path, "source", ["q", "a"]) == expected_columns(rows, ["q", "a"])
    flags = ["--hfdc_dataset_name", "source", "--hfdc_input_template", "{q}", "--hfdc_output_template", "{a}", "--data_dir", "other"]
    assert prepare(tmp_path, *flags).stderr.count("come through the `datasets` library") == 1
    assert 'the columns are "q", "a"' in prepare(tmp_path, *flags[:3], "{x}", *flags[4:], "--force_data", code=3).stderr
    (source / name).write_bytes(content[:-20])
    done = prepare(tmp_path, *flags, "--force_data", code=3)
    assert "the `datasets` library cannot read the folder" in done.stderr and "Traceback" not in done.stderr
    without = os.environ | {"ANNEAL_PYTHON": str(tmp_path / "python3")}
    assert "there is no Python" in prepare(tmp_path, *flags, "--force_data", code=2, env=without).stderr
