"""Oracles: transformers + PEFT for what a checkpoint writes; by hand, what `anneal test` promises of its files and errors."""

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
import torch
from peft import PeftModel
from transformers import AutoModelForCausalLM, AutoTokenizer

from reference import bert_scores, tiny_models
from support.program import BUILD, ROOT, assert_refused, write_rows
from support.supervised import ranks_of, wait_until

USAGE, DATA, MODEL, RESOURCES = 2, 3, 4, 6
ROWS = [{"input": f"Zürich sold {n} apples.\n" * (1 + n % 3), "output": f"The number {n}."} for n in range(9)]
GREEDY = ("--engine", "native", "--temperature", "0", "--dtype", "float32", "--no_bertscore")


def _test(*flags, check: bool = True, **options) -> subprocess.CompletedProcess[str]:
    done = subprocess.run(list(map(str, [BUILD / "anneal", "test", *flags])), capture_output=True, text=True, **options)
    assert not check or done.returncode == 0, done.stdout + done.stderr
    return done


def _rows(out: Path) -> list[dict]:
    return [json.loads(line) for line in (out / "predictions.jsonl").read_text(encoding="utf-8").splitlines()]


@pytest.fixture
def setting(tiny, tmp_path: Path):
    """Flags for a base model with its adapter as the checkpoint, and where the results go."""
    model, adapter = tiny("llama")
    data = write_rows(tmp_path / "test.jsonl", ROWS)
    out = tmp_path / "out"
    return [*GREEDY, "--base_model", model, "--checkpoint", adapter, "--test_path", data, "--output_dir", out], out


def _reference(model: Path, adapter: Path | None, new_tokens: int, stop_ids: list[int]) -> list[tuple[str, list[int]]]:
    network = AutoModelForCausalLM.from_pretrained(model, dtype=torch.float32)
    network = PeftModel.from_pretrained(network, adapter).eval() if adapter else network.eval()
    tokenizer = AutoTokenizer.from_pretrained(model)
    texts = []
    for row in ROWS:
        ids = torch.tensor([tokenizer(row["input"])["input_ids"]])
        with torch.no_grad():
            out = network.generate(ids, attention_mask=torch.ones_like(ids), max_new_tokens=new_tokens, do_sample=False,
                                   eos_token_id=stop_ids, pad_token_id=2)  # fmt: skip
        new = out[0, ids.shape[1] :].tolist()
        text = new[:-1] if new[-1] in stop_ids else new  # as vLLM, which leaves out the token that stopped it
        texts.append((tokenizer.decode(text, skip_special_tokens=True), new))
    return texts


@pytest.mark.parametrize("merge", ["on", "off"])
@pytest.mark.parametrize("kind", tiny_models.ADAPTER_KINDS)
def test_greedy_texts_equal_transformers(kind: str, merge: str, tiny, tmp_path: Path):
    source, adapter = tiny("llama", kind=kind)
    third = _reference(source, adapter, 3, [1])[0][1][2]
    model = tmp_path / "model"  # generation_config.json names a second token to stop at, which the texts reach
    shutil.copytree(source, model, ignore=shutil.ignore_patterns("adapter"))
    (model / "generation_config.json").write_text(json.dumps({"eos_token_id": [1, third]}))
    data = write_rows(tmp_path / "test.jsonl", ROWS)
    _test(*GREEDY, "--base_model", model, "--checkpoint", adapter, "--test_path", data, "--output_dir", tmp_path / "out",
          "--merge_adapter", merge, "--max_tokens", "16")  # fmt: skip
    rows = _rows(tmp_path / "out")
    assert [row["index"] for row in rows] == list(range(len(ROWS)))
    expected = _reference(source, adapter, 16, [1, third])
    assert any(new[-1] == third for _, new in expected) and any(len(new) == 16 for _, new in expected)
    for row, source_row, (text, new) in zip(rows, ROWS, expected, strict=True):
        assert list(row) == ["input", "label", "prediction", "index", "finish_reason", "prompt_tokens", "generated_tokens"]
        assert (row["input"], row["label"]) == (source_row["input"], source_row["output"])
        assert (row["prediction"], row["generated_tokens"]) == (text, len(new))
        assert row["finish_reason"] == ("stop" if new[-1] in (1, third) else "length")
    assert "Zürich" in (tmp_path / "out" / "predictions.jsonl").read_text(encoding="utf-8"), "UTF-8 stays raw"


def test_a_whole_model_as_the_checkpoint(tiny, tmp_path: Path):
    base, _ = tiny("llama")
    other = tiny("llama-untied")[0]  # other weights: the base's must not be used
    data = write_rows(tmp_path / "test.jsonl", ROWS)
    _test(*GREEDY, "--base_model", base, "--checkpoint", other, "--full_ft", "--test_path", data, "--output_dir",
          tmp_path / "out", "--max_tokens", "8")  # fmt: skip
    assert [row["prediction"] for row in _rows(tmp_path / "out")] == [text for text, _ in _reference(other, None, 8, [1])]


def test_a_run_from_training_to_metrics(tiny, tmp_path: Path):
    """Everything by default: the run's best checkpoint, its data's test file, its template's header."""
    source = tmp_path / "rows.jsonl"
    source.write_text("".join(json.dumps({"q": f"Say {n}.", "a": f"Number {n}."}) + "\n" for n in range(60)))
    model = tmp_path / "tiny-llama"
    shutil.copytree(tiny("llama")[0], model, ignore=shutil.ignore_patterns("adapter"))
    train = [BUILD / "anneal", "train", "--hf_model_id", model, "--hfdc_dataset_name", source, "--hfdc_input_template",
             "{q}\n", "--hfdc_output_template", "### Response:\n{a}", "--hfdc_train_split_ratio", "0.8", "--max_steps", "2",
             "--max_seq_length", "256", "--lora_rank", "4"]  # fmt: skip
    subprocess.run(list(map(str, train)), cwd=tmp_path, check=True, capture_output=True)
    done = _test("--base_model", model, "--max_tokens", "5", "--no_bertscore", cwd=tmp_path)
    run = tmp_path / "results" / "tiny-llama"
    checkpoint = (run / "best").read_text().strip()
    out = run / "eval" / checkpoint
    metrics = json.loads((out / "metrics.json").read_text())
    assert sorted(path.name for path in out.iterdir()) == ["metrics.json", "predictions.jsonl"]
    assert metrics["n"] == len(_rows(out)) == 6 and metrics["header"] == "### Response:\n"
    assert {"exact_match", "exact_match_stripped", "rougeL", "rougeL_stripped", "token_f1_stripped"} <= metrics.keys()
    assert metrics["checkpoint"] == str(run / checkpoint)
    assert metrics["generation"]["tokens"] == sum(row["generated_tokens"] for row in _rows(out))
    assert "warning" not in done.stdout and done.stdout.count("prediction:") == 3 and "tokens/s" in done.stdout
    # The same rows under another template: a warning that names what differs.
    shutil.copytree(json.loads((run / "run_config.json").read_text())["data"]["folder"], tmp_path / "other")
    other = _test("--base_model", model, "--max_tokens", "5", "--no_bertscore", "--test_path", tmp_path / "other", cwd=tmp_path)
    assert "warning" not in other.stdout, "the same recipe elsewhere"
    # A base model of the same shapes, but not the one of the run.
    config = json.loads((model / "config.json").read_text())
    shutil.copytree(model, tmp_path / "alike")
    (tmp_path / "alike" / "config.json").write_text(json.dumps(config | {"rope_theta": 77.0}))
    alike = _test("--base_model", tmp_path / "alike", "--checkpoints_dir", run, "--no_bertscore", check=False)
    assert_refused(alike, MODEL, "alike/config.json", "--base_model")
    # Without a record of the data, the newest test.jsonl below datasets is a guess, and said to be one.
    (run / "run_config.json").unlink()
    guess = _test("--base_model", model, "--max_tokens", "5", "--no_bertscore", cwd=tmp_path)
    assert "warning" in guess.stdout and "newest test.jsonl below datasets" in guess.stdout


def test_bert_score_unavailable_is_no_failure(setting, tmp_path: Path):
    flags, out = setting
    flags = [flag for flag in flags if flag != "--no_bertscore"]
    done = _test(*flags, "--max_tokens", "4", env=os.environ | {"HF_HOME": str(tmp_path), "HF_HUB_CACHE": str(tmp_path)})
    metrics = json.loads((out / "metrics.json").read_text())
    assert metrics["bertscore"]["status"] == "unavailable" and metrics["exact_match"] == 0
    assert "no BERTScore" in done.stdout
    done = _test(*flags, "--bertscore_model", tmp_path / "nowhere", check=False)
    assert done.returncode == USAGE and "row 0" not in done.stdout, "a mistake shows before anything is generated"


def test_bert_score_is_the_package_s(setting, tmp_path: Path):
    """Oracle: the package bert_score on the predictions, as they are and without the header."""
    flags, out = setting
    data = write_rows(tmp_path / "test.jsonl", [{**row, "output": "### Answer:\n" + row["output"]} for row in ROWS])
    encoder = bert_scores.make_encoder(tmp_path / "encoder", "roberta")
    flags = [flag for flag in flags if flag != "--no_bertscore"]
    done = _test(*flags, "--test_path", data, "--max_tokens", "9", "--bertscore_model", encoder, "--bertscore_layer", "2")
    metrics = json.loads((out / "metrics.json").read_text())
    rows = _rows(out)
    predictions, labels = [row["prediction"] for row in rows], [row["label"] for row in rows]
    expected = bert_scores.bert_scores(encoder, predictions, labels, 2).mean(dim=0).tolist()
    assert [metrics["bertscore"][key] for key in ("precision", "recall", "f1")] == pytest.approx(expected, abs=1e-5)
    stripped = [label.removeprefix("### Answer:\n") for label in labels]
    expected = bert_scores.bert_scores(encoder, predictions, stripped, 2).mean(dim=0).tolist()
    assert [metrics["bertscore_stripped"][key] for key in ("precision", "recall", "f1")] == pytest.approx(expected, abs=1e-5)
    assert metrics["bertscore"]["layer"] == 2 and f"{metrics['bertscore']['f1']:.4f}" in done.stdout


def test_the_script_of_the_older_name(setting):
    flags, out = setting
    script = [sys.executable, ROOT / "test_checkpoint.py", *flags, "--max_tokens", "4", "--max_samples", "2"]
    done = subprocess.run(list(map(str, script)), capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
    assert len(_rows(out)) == 2
    assert subprocess.run([*script[:2], "--nonsense"], capture_output=True).returncode == USAGE


def test_stop_strings_and_prompts_that_are_too_long(setting):
    flags, out = setting
    _test(*flags, "--max_tokens", "12")
    whole = [row["prediction"] for row in _rows(out)]
    stop = whole[0][3:5]
    _test(*flags, "--max_tokens", "12", "--stop", "never there", "--stop", stop)
    for row, text in zip(_rows(out), whole, strict=True):
        assert row["prediction"] == text.split(stop)[0]
        assert row["finish_reason"] == ("stop" if stop in text else "length")
    lengths = [row["prompt_tokens"] for row in _rows(out)]
    limit = sorted(lengths)[4]
    done = _test(*flags, "--max_tokens", "12", "--max_model_len", limit)
    metrics = json.loads((out / "metrics.json").read_text())
    for row, length, text in zip(_rows(out), lengths, whole, strict=True):
        if length >= limit:
            assert (row["prediction"], row["finish_reason"], row["generated_tokens"]) == ("", "prompt_too_long", 0)
        else:
            assert row["prompt_tokens"] + row["generated_tokens"] <= limit
            assert text.startswith(row["prediction"].rstrip("�"))
    assert metrics["n_prompt_too_long"] == sum(length >= limit for length in lengths) > 0
    assert metrics["n_empty_prediction"] >= metrics["n_prompt_too_long"]
    assert "prompts too long" in done.stdout


def test_killed_and_resumed_equals_undisturbed(setting, tmp_path: Path):
    flags, out = setting
    data = write_rows(tmp_path / "many.jsonl", [{"input": f"Row {n}.\n", "output": str(n)} for n in range(400)])
    flags = [*flags, "--test_path", data, "--temperature", "0.8", "--max_tokens", "60", "--batch_size", "4"]
    whole = tmp_path / "whole"
    _test(*flags, "--output_dir", whole)
    started = subprocess.Popen(list(map(str, [BUILD / "anneal", "test", *flags])), stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    partial = out / "predictions.jsonl.partial"
    deadline = time.monotonic() + 60
    while not partial.exists() or partial.read_bytes().count(b"\n") < 10:
        assert time.monotonic() < deadline
        time.sleep(0.005)
    started.send_signal(signal.SIGKILL)
    assert started.wait() == -signal.SIGKILL, "it was to be killed before its end"
    kept = partial.read_bytes().count(b"\n") - 1
    with partial.open("ab") as file:
        file.write(b'{"input": "torn')
    assert_refused(_test(*flags, "--resume", "--top_p", "0.5", "--seed", "3", check=False), USAGE, "seed is 3, was 16257",
                    "top_p is 0.5, was 0.95")  # fmt: skip
    done = _test(*flags, "--resume", "--batch_size", "9")
    assert f"going on from {kept} rows" in done.stdout
    assert (out / "predictions.jsonl").read_bytes() == (whole / "predictions.jsonl").read_bytes()
    assert json.loads((out / "metrics.json").read_text())["generation"]["samples_resumed"] == kept


@pytest.fixture
def many(setting, tmp_path: Path) -> tuple[list, Path, Path]:
    """Flags for 300 sampled rows; where they go; and what one undisturbed process made of them."""
    flags, out = setting
    data = write_rows(tmp_path / "many.jsonl", [{"input": f"Row {n}.\n", "output": str(n)} for n in range(300)])
    flags = [*flags, "--test_path", data, "--temperature", "0.8", "--max_tokens", "60", "--batch_size", "4"]
    _test(*flags, "--output_dir", tmp_path / "alone")
    return flags, out, tmp_path / "alone"


def _lines(folder: Path) -> int:
    return sum(path.read_bytes().count(b"\n") for path in folder.glob("predictions.jsonl.partial*"))


def test_prompts_are_divided_over_processes(many):
    """Each has its share; together they write what one writes."""
    flags, out, alone = many
    done = _test(*flags, "--num_workers", "3")
    assert (out / "predictions.jsonl").read_bytes() == (alone / "predictions.jsonl").read_bytes()
    assert sorted(path.name for path in out.iterdir()) == ["metrics.json", "predictions.jsonl"]
    ours, theirs = (json.loads((folder / "metrics.json").read_text()) for folder in (out, alone))
    assert ours["generation"]["samples"] == 300 and ours["generation"]["tokens"] == theirs["generation"]["tokens"]
    assert done.stdout.count("generated 300 rows") == 1 and done.stdout.count("checkpoint:") == 1
    refused = _test(*flags, "--num_workers", "2", "--engine", "vllm", check=False)
    assert_refused(refused, USAGE, "--num_workers", "tensor_parallel_size")


def test_a_killed_process_is_started_again_and_nothing_is_done_twice(many):
    flags, out, alone = many
    command = list(map(str, [BUILD / "anneal", "test", *flags, "--num_workers", "2"]))
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as started:
        wait_until(lambda: _lines(out) > 12, "rows of both processes")
        os.kill(ranks_of(started.pid)[1], signal.SIGKILL)
        stdout, stderr = started.communicate()
    assert started.returncode == 0, stderr
    assert "anneal test: rank 1" in stderr and "restart 1 of 2" in stderr and "going on from" in stdout
    assert (out / "predictions.jsonl").read_bytes() == (alone / "predictions.jsonl").read_bytes()
    assert json.loads((out / "metrics.json").read_text())["generation"]["samples_resumed"] >= 10


def test_one_process_goes_on_with_the_rows_of_two(many):
    flags, out, alone = many
    command = list(map(str, [BUILD / "anneal", "test", *flags, "--num_workers", "2"]))
    with subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as started:
        wait_until(lambda: _lines(out) > 12 and len(list(out.glob("*.partial*"))) == 2, "rows of both processes")
        started.send_signal(signal.SIGTERM)
    assert started.returncode == 128 + signal.SIGTERM
    kept = _lines(out) - 2
    done = _test(*flags, "--resume")
    assert f"going on from {kept} rows" in done.stdout
    assert (out / "predictions.jsonl").read_bytes() == (alone / "predictions.jsonl").read_bytes()
    assert sorted(path.name for path in out.iterdir()) == ["metrics.json", "predictions.jsonl"]


def test_damaged_test_files(setting, tmp_path: Path):
    flags, _ = setting
    bad = tmp_path / "bad.jsonl"
    bad.write_text('{"input": "a", "output": "b"}\n{"input": "a", "output": \n')
    assert_refused(_test(*flags, "--test_path", bad, check=False), DATA, "bad.jsonl:2")
    bad.write_text("")
    assert_refused(_test(*flags, "--test_path", bad, check=False), DATA, "no samples", "bad.jsonl")
    assert_refused(_test(*flags, "--test_path", tmp_path / "none.jsonl", check=False), DATA, "none.jsonl")


def test_an_empty_prompt(tiny, tmp_path: Path):
    model, adapter = tiny("qwen3")
    data = write_rows(tmp_path / "test.jsonl", [ROWS[0], {"input": "", "output": "x"}])
    done = _test(*GREEDY, "--base_model", model, "--checkpoint", adapter, "--test_path", data, "--output_dir", tmp_path / "out",
                 check=False)  # fmt: skip
    assert_refused(done, DATA, "test.jsonl:2", "prompt is empty")


def test_checkpoints_that_cannot_be_tested(setting, tiny, tmp_path: Path):
    flags, _ = setting
    adapter = tmp_path / "adapter"
    shutil.copytree(tiny("llama")[1], adapter)
    assert_refused(_test(*flags, "--base_model", tiny("llama-mha")[0], check=False), MODEL, "base model")
    config = json.loads((adapter / "adapter_config.json").read_text())
    (adapter / "adapter_config.json").write_text(json.dumps(config | {"r": 8}))
    assert_refused(_test(*flags, "--checkpoint", adapter, check=False), MODEL, "lora_A")
    (adapter / "adapter_model.safetensors").write_bytes(b"")
    assert_refused(_test(*flags, "--checkpoint", adapter, check=False), MODEL, "not a complete checkpoint")
    assert_refused(_test(*flags, "--full_ft", check=False), MODEL, "LoRA adapter")


def test_options_that_cannot_be(setting):
    flags, out = setting
    done = _test(*flags, "--tensor_parallel_size", "8", "--stop=", "--top_p", "0", "--max_samples", "0", check=False)
    assert_refused(done, USAGE, "--tensor_parallel_size", "--stop", "--top_p", "--max_samples")
    assert not out.exists(), "a refused command makes nothing"
    done = _test(*flags, "--engine", "auto", "--tensor_parallel_size", "64", check=False)
    assert_refused(done, RESOURCES, "64 GPUs", "--tensor_parallel_size")


def test_the_training_s_end_of_sequence_ends_texts(tiny, tmp_path: Path):
    """A run that trained another end of sequence than the tokenizer's is tested with it, and with its special text."""
    model, adapter = tiny("llama")
    tokenizer = AutoTokenizer.from_pretrained(model)
    text, ids = _reference(model, adapter, 12, [1])[0]
    eos = tokenizer.convert_ids_to_tokens(ids[4])
    run = tmp_path / "run"
    shutil.copytree(adapter, run / "checkpoint-1")
    (run / "run_config.json").write_text(json.dumps({"options": {"eos_token": eos}}))
    data = write_rows(tmp_path / "test.jsonl", ROWS)
    _test(*GREEDY, "--base_model", model, "--checkpoints_dir", run, "--test_path", data, "--max_tokens", "12")
    row = _rows(run / "eval" / "checkpoint-1")[0]
    assert row["generated_tokens"] == ids.index(ids[4]) + 1 and row["finish_reason"] == "stop"
