"""Oracle: the table of bad inputs, by hand: exit code, message, and the files that are written. Cases of data alone."""

import json
import os
import re
import subprocess

import pytest

from support.prepare import BINARY, FILES, files_of, prepare
from support.program import copy_model, write_rows

pytestmark = pytest.mark.skipif(not BINARY.exists(), reason=f"{BINARY} is not built")
USAGE, DATA, MODEL = 2, 3, 4
FLAGS = ("--hfdc_input_template", "{q}", "--hfdc_output_template", "{a}", "--hfdc_dataset_name")
ROWS = [{"q": f"q{row}", "a": f"a{row}"} for row in range(20)]


def refused(folder, code, texts, *flags):
    done = prepare(folder, *flags, code=code)
    for text in (*texts, "try:"):
        assert text in done.stderr, f"{text!r} is not in: {done.stderr}"
    assert "internal error" not in done.stderr
    assert not list(folder.rglob(".data_ready")), "a refused command leaves nothing that looks ready"
    return done.stderr


def offset_in(message):
    return int(re.search(r"\(byte (\d+)\)", message)[1])


@pytest.mark.parametrize("line", ['{"q": "x", "a": ', "\0\0\0", '["q", "a"]'], ids=["half", "nul", "array"])
def test_case_14_a_corrupt_line(tmp_path, line):
    path = write_rows(tmp_path / "rows.jsonl", ROWS)
    good = path.read_text().splitlines(keepends=True)
    path.write_text("".join(good[:3]) + line + "\n" + "".join(good[3:]))
    message = refused(tmp_path, DATA, ["rows.jsonl:4"], *FLAGS, path)
    assert len("".join(good[:3])) <= offset_in(message) <= len("".join(good[:3]) + line)
    done = prepare(tmp_path, *FLAGS, path, "--skip_bad_rows", 1)
    assert "skipped: 1 rows" in done.stdout and "rows.jsonl:4" in done.stderr


def test_case_15_bytes_that_are_no_text(tmp_path):
    path = tmp_path / "rows.jsonl"
    for bad in (b'{"q": "\xff", "a": "x"}\n', b'{"q": "\\ud800", "a": "x"}\n'):
        path.write_bytes(b'{"q": "x", "a": "x"}\n' + bad)
        message = refused(tmp_path, DATA, ["rows.jsonl:2"], *FLAGS, path)
        assert 28 <= offset_in(message) <= 34, "line 2 begins at byte 21, its bad text at 28"
    path.write_bytes(b'\xef\xbb\xbf{"q": "1\xe2\x80\xa8", "a": "x"}\r\n{"q": "2", "a": "y"}')
    prepare(tmp_path, *FLAGS, path, "--data_dir", "data", "--hfdc_train_split_ratio", 1)
    lines = (tmp_path / "data/training.jsonl").read_bytes().decode().split("\n")
    assert sorted(json.loads(line)["input"] for line in lines if line) == ["1\u2028", "2"]


def test_case_16_templates_and_mapping(tmp_path):
    path = write_rows(tmp_path / "rows.jsonl", ROWS)
    name = ("--hfdc_dataset_name", path)
    refused(tmp_path, DATA, ['"b"', '"q", "a"'], *name, "--hfdc_input_template", "{q}", "--hfdc_output_template", "{b}")
    refused(tmp_path, USAGE, ["--hfdc_input_template", "column 3"], *name, "--hfdc_input_template", "ab{q",
            "--hfdc_output_template", "{a}")  # fmt: skip
    refused(tmp_path, USAGE, ["--hfdc_field_mapping"], *FLAGS, path, "--hfdc_field_mapping", '{"q": ')
    refused(tmp_path, USAGE, ["--hfdc_field_mapping"], *FLAGS, path, "--hfdc_field_mapping", '{"q": 1}')


def test_case_17_values_that_are_no_text(tmp_path):
    path = write_rows(tmp_path / "rows.jsonl", [{"q": value, "a": "x"} for value in (None, 1.5, [1, "b"], True)])
    done = prepare(tmp_path, *FLAGS, path, "--data_dir", "data", "--hfdc_train_split_ratio", 1)
    rows = [json.loads(line) for line in (tmp_path / "data/training.jsonl").read_text().splitlines()]
    assert sorted(row["input"] for row in rows) == ["", "1.5", '[1,"b"]', "true"]
    assert "empty: 1 values that are null or missing" in done.stdout


def test_case_18_datasets_of_no_one_and_two_rows(tmp_path):
    path = write_rows(tmp_path / "none.jsonl", [])
    refused(tmp_path, DATA, ["no rows", "none.jsonl"], *FLAGS, path)
    for count, split in ((1, "1 training, 0 validation, 0 test"), (2, "1 training, 1 validation, 0 test")):
        path = write_rows(tmp_path / f"{count}.jsonl", ROWS[:count])
        done = prepare(tmp_path, *FLAGS, path)
        assert split in done.stdout and ("no validation rows" in done.stdout) == (count == 1)


@pytest.mark.parametrize("ratio", ["0", "1.5", "nan", "-0.1"])
def test_case_19_ratios(tmp_path, ratio):
    path = write_rows(tmp_path / "rows.jsonl", ROWS)
    refused(tmp_path, USAGE, ["--hfdc_train_split_ratio"], *FLAGS, path, f"--hfdc_train_split_ratio={ratio}")
    done = prepare(tmp_path, *FLAGS, path, "--hfdc_train_split_ratio", 1)
    assert "20 training, 0 validation, 0 test" in done.stdout


def test_case_27_two_at_once_give_one_build(tmp_path):
    path = write_rows(tmp_path / "rows.jsonl", ROWS * 500)
    command = [str(part) for part in (BINARY, "prepare", *FLAGS, path, "--data_dir", "data")]
    both = [subprocess.Popen(command, cwd=tmp_path, stdout=subprocess.PIPE, text=True) for _ in range(2)]
    outputs = [process.communicate(timeout=120)[0] for process in both]
    assert [process.returncode for process in both] == [0, 0]
    assert sorted("built: data" in output for output in outputs) == [False, True], outputs
    assert sorted("ready: data" in output for output in outputs) == [False, True], outputs


def test_case_28_other_flags_make_other_data(tmp_path):
    path = write_rows(tmp_path / "rows.jsonl", ROWS)
    prepare(tmp_path, *FLAGS, path, "--data_dir", "data")
    before = files_of(tmp_path / "data")
    for flags in (["--seed", 1], ["--hfdc_field_mapping", '{"q": "a"}'], ["--keep_empty_output"]):
        done = prepare(tmp_path, *FLAGS, path, "--data_dir", "data", *flags)
        assert "holds other data; this goes to data+" in done.stderr and "built: data+" in done.stdout
    assert files_of(tmp_path / "data") == before and len(list(tmp_path.glob("data+*/.data_ready"))) == 3


def test_case_33_links_and_names_of_data(tmp_path):
    strange = tmp_path / "a b%20=ü"
    path = write_rows(strange / "rows.jsonl", ROWS)
    os.symlink(strange, tmp_path / "link")
    prepare(tmp_path, *FLAGS, tmp_path / "link" / path.name, "--data_dir", "data")
    prepare(tmp_path, *FLAGS, path, "--data_dir", strange / "data")
    assert files_of(tmp_path / "data") == files_of(strange / "data")
    os.symlink("loop.jsonl", tmp_path / "loop.jsonl")
    done = prepare(tmp_path, *FLAGS, tmp_path / "loop.jsonl", code=USAGE)
    assert "loop.jsonl" in done.stderr and "try:" in done.stderr


def test_case_35_names_of_datasets_stay_below_datasets(tmp_path):
    inner = tmp_path / "inner"
    inner.mkdir()
    (tmp_path / ("x" * 240)).mkdir()
    write_rows(tmp_path / "rows.jsonl", ROWS)
    for name in (f"../{'x' * 240}/../rows.jsonl", str(tmp_path / "rows.jsonl"), "../rows.jsonl"):
        prepare(inner, *FLAGS, name)
    assert {path.name for path in inner.iterdir()} == {"datasets"}
    assert all(len(path.name.encode()) <= 200 for path in (inner / "datasets").iterdir())
    assert all((ready.parent / name).exists() for ready in inner.rglob(".data_ready") for name in FILES)


@pytest.fixture
def model(tiny, tmp_path):
    return copy_model(tiny("llama")[0], tmp_path / "model")


def with_model(folder, model, rows, *flags, code=0):
    path = write_rows(folder / "rows.jsonl", rows)
    return prepare(folder, *FLAGS, path, "--hfdc_train_split_ratio", 1, "--hf_model_id", model, *flags, code=code)


def test_case_20_prompts_and_samples_that_are_too_long(model, tmp_path):
    long = [{"q": "many words " * 200, "a": "x"}]
    done = with_model(tmp_path, model, [*ROWS, *long], "--max_seq_length", 64)
    assert "dropped: 1 (long_prompt)" in done.stdout
    done = with_model(tmp_path, model, [*ROWS, {"q": "a", "a": "many words " * 200}], "--max_seq_length", 64)
    assert "cut at max_seq_length 64: 1 " in done.stdout and "the end in 95.2 % of the samples" in done.stdout
    done = with_model(tmp_path, model, long, "--max_seq_length", 64, code=DATA)
    assert "none of 1 rows gives an example to train on (dropped: long_prompt 1)" in done.stderr and "try:" in done.stderr


def test_case_22_a_tokenizer_without_an_end_of_sequence(model, tmp_path):
    for name in ("tokenizer_config.json", "special_tokens_map.json", "generation_config.json"):
        (model / name).unlink(missing_ok=True)
    done = with_model(tmp_path, model, ROWS, code=MODEL)
    assert "the tokenizer has no end-of-sequence token" in done.stderr and "try: name one with --eos_token" in done.stderr
    with_model(tmp_path, model, ROWS, "--no_add_eos")


def test_case_22_an_end_of_sequence_is_not_doubled(model, tmp_path):
    shown = with_model(tmp_path, model, [{"q": "a", "a": "b"}], "--show", 1).stdout
    eos = re.search(r"end of sequence: \d+ \((.*)\)", shown)[1]
    again = with_model(tmp_path, model, [{"q": "a", "a": "b" + eos}], "--show", 1).stdout
    assert "special tokens in the texts of rows: 1 " in again and "in the texts" not in shown
    plain = with_model(tmp_path, model, [{"q": "a", "a": "b" + eos}], "--no_special_in_text").stdout
    assert "in the texts" not in plain
    tokens = [re.search(r"^tokens:.*", text, re.M)[0] for text in (shown, again)]
    assert tokens[0] == tokens[1] and tokens[0].count(eos) == 1


def test_case_23_a_component_that_is_not_known(model, tmp_path):
    path = model / "tokenizer.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | {"normalizer": {"type": "Klingon"}}))
    done = with_model(tmp_path, model, ROWS, code=MODEL)
    assert "Klingon" in done.stderr and str(path) in done.stderr and "try:" in done.stderr
