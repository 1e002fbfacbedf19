"""Oracle: the `datasets` library reads the same files, str.format fills the templates, Python splits and writes.

ANNEAL_BINARY names another binary than build/release/anneal.
"""
import json
import resource
import signal
import subprocess
import time

import pytest

from support.prepare import BINARY, SHARED, expected_files, files_of, load, needs_shared, prepare

pytestmark = pytest.mark.skipif(not BINARY.exists(), reason=f"{BINARY} is not built")


@needs_shared
def test_jsonl_with_mapping(tmp_path, monkeypatch):
    path = SHARED / "data/gsm8k/train.jsonl"
    prepare(tmp_path, "--hfdc_dataset_name", path, "--hfdc_input_template", r"Question: {q}\n{{}}\n",
            "--hfdc_output_template", "{a}", "--hfdc_field_mapping", '{"q": "question", "a": "answer"}',
            "--data_dir", "data", "--seed", 5, "--hfdc_train_split_ratio", 0.95)
    rows = load(tmp_path, monkeypatch, "json", data_files=str(path), split="train")
    columns = {"q": "question", "a": "answer"}
    assert files_of(tmp_path / "data") == expected_files(rows, "Question: {q}\n{{}}\n", "{a}", columns, 0.95, seed=5)


@needs_shared
def test_json_array_with_default_templates(tmp_path, monkeypatch):
    path = SHARED / "data/instruction/alpaca_tiny.json"
    prepare(tmp_path, "--hfdc_dataset_name", path)
    (ready,) = (tmp_path / "datasets").rglob(".data_ready")
    assert ready.parent.name == "train=90%-val=5%-test=5%" and ready.parent.parent.name == "default"
    rows = load(tmp_path, monkeypatch, "json", data_files=str(path), split="train")
    columns = {name: name for name in ("instruction", "input", "output")}
    assert files_of(ready.parent) == expected_files(
        rows, "### Instruction:\n{instruction}\n### Input:\n{input}\n", "### Response:\n{output}", columns)


@needs_shared
def test_csv(tmp_path, monkeypatch):
    path = SHARED / "data/instruction/TruthfulQA.csv"
    prepare(tmp_path, "--hfdc_dataset_name", path, "--hfdc_input_template", "{Type}/{question} ",
            "--hfdc_output_template", "{answer}", "--data_dir", "data",
            "--hfdc_field_mapping", '{"question": "Question", "answer": "Best Answer"}')
    rows = load(tmp_path, monkeypatch, "csv", data_files=str(path), split="train", keep_default_na=False)
    columns = {"Type": "Type", "question": "Question", "answer": "Best Answer"}
    assert files_of(tmp_path / "data") == expected_files(rows, "{Type}/{question} ", "{answer}", columns)


@pytest.mark.parametrize("split", ["train", "test", "validation"])
def test_names_of_files_tell_splits_apart(tmp_path, monkeypatch, split):
    source = tmp_path / "source"
    source.mkdir()
    names = ("train-00001", "train-00000", "my_test", "contest", "val.a", "dev_2")
    for number, name in enumerate(names):
        lines = [json.dumps({"q": f"{name} {row}", "a": number}) + "\n" for row in range(30)]
        (source / f"{name}.jsonl").write_text("".join(lines))
    prepare(tmp_path, "--hfdc_dataset_name", "source", "--hfdc_split", split, "--data_dir", "data",
            "--hfdc_input_template", "{q}", "--hfdc_output_template", "{a}")
    rows = sorted(load(tmp_path, monkeypatch, source, split=split), key=lambda row: row["q"])
    written = [json.loads(line) for part in files_of(tmp_path / "data") for line in part.splitlines()]
    assert sorted(row["input"] for row in written) == [row["q"] for row in rows]


def test_values_that_are_no_text(tmp_path):
    values = [1, -2.50, 1e16, 1e-5, True, None, ["a", {"b": "\u00e9\u2028"}], {"z": 1, "a": []}, 2**64 - 1, "x"]
    text = "".join(json.dumps({"q": value, "a": "o"}) + "\n" for value in values)
    (tmp_path / "rows.jsonl").write_text(text)
    prepare(tmp_path, "--hfdc_dataset_name", "rows.jsonl", "--hfdc_input_template", "<{q}>",
            "--hfdc_output_template", "{a}", "--data_dir", "data", "--hfdc_train_split_ratio", 1)
    written = [json.loads(line)["input"] for line in (tmp_path / "data/training.jsonl").read_text().split("\n")[:-1]]

    def rendered(value):
        if value is None or isinstance(value, str):
            return value or ""
        return json.dumps(value, ensure_ascii=False, separators=(",", ":"))

    assert sorted(written) == sorted(f"<{rendered(value)}>" for value in values)


@pytest.mark.parametrize("flags, code, message", [
    (["--hfdc_dataset_name", "rows.jsonl", "--hfdc_output_template", "{b}"], 3, 'the columns are "q", "a"'),
    (["--hfdc_dataset_name", "rows.jsonl", "--hfdc_input_template", "ab{"], 2, "--hfdc_input_template, column 3"),
    (["--hfdc_dataset_name", "rows.jsonl", "--hfdc_field_mapping", "{"], 2, "not valid JSON"),
    (["--hfdc_dataset_name", "rows.jsonl", "--hfdc_train_split_ratio", "1.5"], 2, "--hfdc_train_split_ratio"),
    (["--hfdc_dataset_name", "rows.jsonl", "--hfdc_split", "train[:10%]"], 2, "--hfdc_split"),
    (["--hfdc_dataset_name", "rows.jsonl", "--hfdc_split", "test"], 3, "name one of: train"),
    (["--hfdc_dataset_name", "missing.jsonl"], 2, "no such file"),
    (["--hfdc_dataset_name", "org/name", "--offline"], 2, "the network is off"),
    (["--hfdc_dataset_name", "rows.parquet"], 3, "the file is empty"),
    (["--hfdc_dataset_name", "broken.jsonl"], 3, "broken.jsonl:2 (byte 25)"),
])
def test_mistakes(tmp_path, flags, code, message):
    (tmp_path / "rows.jsonl").write_text('{"q": "1", "a": "2"}\n')
    (tmp_path / "broken.jsonl").write_text('{"q": "1", "a": "2"}\n{"q"\n')
    (tmp_path / "rows.parquet").write_text("")
    before = sorted(path.name for path in tmp_path.iterdir())
    defaults = ["--hfdc_input_template", "{q}", "--hfdc_output_template", "{a}", "--data_dir", "data"]
    done = prepare(tmp_path, *defaults, *flags, code=code)
    assert message in done.stderr
    assert sorted(path.name for path in tmp_path.iterdir() if path.name != "data.lock") == before


def test_samples_are_marked(tmp_path):
    (tmp_path / "rows.jsonl").write_text('{"q": "one", "a": "two"}\n')
    flags = ["--hfdc_dataset_name", "rows.jsonl", "--hfdc_input_template", "{q}:", "--hfdc_output_template", "{a}"]
    done = prepare(tmp_path, *flags, "--data_dir", "data", "--show", 2)
    assert "one:[[two]]" in done.stdout and "1 training" in done.stdout


@needs_shared
def test_samples_are_shown_as_tokens(tmp_path):
    from transformers import AutoTokenizer

    model = SHARED / "data/tokenizers/tiny-qwen-regex"
    theirs = AutoTokenizer.from_pretrained(model)
    (tmp_path / "rows.jsonl").write_text('{"q": "one", "a": "two"}\n' * 3)
    flags = ["--hfdc_dataset_name", "rows.jsonl", "--hfdc_input_template", "{q}:", "--hfdc_output_template", "{a}"]
    flags += ["--data_dir", "data", "--hf_model_id", model, "--show", 1, "--no_add_eos"]
    pieces = [theirs.convert_ids_to_tokens(theirs(text)["input_ids"]) for text in ("one:", "two")]
    done = prepare(tmp_path, *flags)
    assert f"tokens: {' '.join(pieces[0])} [[{' '.join(pieces[1])}]]" in done.stdout
    assert f"trained: {2 * len(pieces[1])} of {2 * (len(pieces[0]) + len(pieces[1]))} tokens" in done.stdout
    assert "cut at max_seq_length 2048: 0 (0.0 %)" in done.stdout and "lengths: median" in done.stdout


@needs_shared
def test_what_a_limit_would_waste_stops(tmp_path):
    (tmp_path / "rows.jsonl").write_text('{"q": "one two three four", "a": "five six seven eight nine"}\n' * 9)
    flags = ["--hfdc_dataset_name", "rows.jsonl", "--hfdc_input_template", "{q}:", "--hfdc_output_template", "{a}"]
    flags += ["--data_dir", "data", "--hf_model_id", SHARED / "data/tokenizers/tiny-qwen-regex", "--no_add_eos"]
    done = prepare(tmp_path, *flags, "--max_seq_length", 8, code=3)
    assert "100.0 % of the samples are cut off" in done.stderr and "cut at max_seq_length 8: 8 (100.0 %)" in done.stdout
    assert "warning: --max_seq_length: 100.0 %" in prepare(tmp_path, *flags, "--max_seq_length", 8, "--force").stderr


def test_the_older_spelling_of_a_folder_is_found(tmp_path):
    """Oracle: spec section 2.5: whole percentages, and only where the content is what is asked for."""
    (tmp_path / "rows.jsonl").write_text('{"q": "one", "a": "two"}\n' * 100)
    flags = ["--hfdc_dataset_name", "rows.jsonl", "--hfdc_input_template", "{q}", "--hfdc_output_template", "{a}"]
    flags += ["--hfdc_train_split_ratio", 0.95]
    prepare(tmp_path, *flags)
    parent = tmp_path / "datasets/rows.jsonl/default"
    older = parent / "train=95%-val=2%-test=3%"
    (parent / "train=95%-val=2.5%-test=2.5%").rename(older)
    assert f"ready: {older.relative_to(tmp_path)}" in prepare(tmp_path, *flags).stdout
    assert "built: " in prepare(tmp_path, *flags, "--seed", 2).stdout
    assert sorted(path.name for path in parent.iterdir() if path.is_dir()) == [older.name, "train=95%-val=2.5%-test=2.5%"]


def many_rows(path):
    path.write_text("".join(json.dumps({"q": f"q{row}" * 20, "a": f"a{row}" * 20}) + "\n" for row in range(200000)))
    return ["--hfdc_dataset_name", path.name, "--hfdc_input_template", "{q}", "--hfdc_output_template", "{a}",
            "--data_dir", "data"]


def test_a_killed_build_leaves_nothing_ready(tmp_path):
    flags = many_rows(tmp_path / "rows.jsonl")
    for seconds in (0.05, 0.15, 0.3):
        process = subprocess.Popen([BINARY, "prepare", *flags], cwd=tmp_path, stdout=subprocess.DEVNULL)
        time.sleep(seconds)
        process.send_signal(signal.SIGKILL)
        process.wait()
        present = (tmp_path / "data").exists()
        assert present == (tmp_path / "data/.data_ready").exists()
    prepare(tmp_path, *flags)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["data", "data.lock", "rows.jsonl"]
    assert sum(part.count(b"\n") for part in files_of(tmp_path / "data")) == 200000


def test_a_full_disk_is_exit_6_and_leaves_nothing(tmp_path):
    flags = many_rows(tmp_path / "rows.jsonl")
    # Python ignores SIGXFSZ and a child inherits that, so writing past the limit fails as on a full disk.
    limit = lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (1 << 20, 1 << 20))  # noqa: E731
    done = prepare(tmp_path, *flags, code=6, preexec_fn=limit, restore_signals=False)
    assert "free disk space" in done.stderr
    assert sorted(path.name for path in tmp_path.iterdir()) == ["data.lock", "rows.jsonl"]
