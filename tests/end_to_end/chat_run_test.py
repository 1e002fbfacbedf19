"""Oracle: transformers renders the same chats, and generates from them; by hand, the contract of errors."""

import json
from pathlib import Path

import pytest
import torch
from peft import PeftModel
from transformers import AutoModelForCausalLM, AutoTokenizer

from support import chats
from support.program import anneal, assert_refused, steps_of, write_rows

KIND = chats.OWN["thinking"]
TOOL_USE = "{{ tools | tojson }}" + chats.THINKING


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = chats.make_model(tmp_path_factory.mktemp("chat") / "model", KIND)
    (folder / "additional_chat_templates").mkdir()
    (folder / "additional_chat_templates" / "tool_use.jinja").write_text(TOOL_USE)
    return folder


def _sharegpt(row: chats.Chat) -> dict:
    names = {"user": "human", "assistant": "gpt", "system": "system"}
    return {"conversations": [{"from": names[m["role"]], "value": m["content"]} for m in row["messages"]]}


def test_from_a_dataset_to_predictions(model: Path, tmp_path: Path) -> None:
    rows = [chats.random_row(seed, KIND) for seed in range(40)]
    source = tmp_path / "chats.json"
    source.write_text(json.dumps([_sharegpt(row) for row in rows]))
    anneal(
        "train", "--hf_model_id", model, "--hfdc_dataset_name", source, "--hfdc_messages_field", "conversations",
        "--data_dir", tmp_path / "data", "--results_dir", tmp_path / "results", "--max_steps", "2", "--max_seq_length", "512",
        "--lora_rank", "4", "--eval_steps", "2",
    )  # fmt: skip
    tests = [json.loads(line)["messages"] for line in (tmp_path / "data" / "test.jsonl").read_text().splitlines()]
    assert len(tests) == 2
    out = tmp_path / "out"
    anneal("test", "--base_model", model, "--checkpoints_dir", tmp_path / "results" / "model", "--output_dir", out, "--engine",
           "native", "--temperature", "0", "--dtype", "float32", "--no_bertscore", "--max_tokens", "12")  # fmt: skip

    tokenizer = AutoTokenizer.from_pretrained(model)
    run = tmp_path / "results" / "model"
    manifest = json.loads((run / "checkpoint-2" / "manifest.json").read_text())
    assert "additional_chat_templates/tool_use.jinja" in manifest["files"]
    assert not (run / "resume" / "step-2" / "additional_chat_templates").exists(), "a state needs no tokenizer"
    for _ in range(2):
        converted = anneal("convert", "--base_model", model, "--checkpoint", run / "checkpoint-2")
    assert "up to date" in converted.stdout
    for folder in (run / "checkpoint-2", run / "checkpoint-2.hf_model"):
        assert AutoTokenizer.from_pretrained(folder).chat_template == {"default": chats.THINKING, "tool_use": TOOL_USE}
    network = AutoModelForCausalLM.from_pretrained(model, dtype=torch.float32)
    network = PeftModel.from_pretrained(network, run / (run / "best").read_text().strip()).eval()
    stops = [tokenizer.eos_token_id, tokenizer.convert_tokens_to_ids("<|im_end|>")]
    predictions = [json.loads(line) for line in (out / "predictions.jsonl").read_text().splitlines()]
    for messages, row in zip(tests, predictions, strict=True):
        last = max(place for place, message in enumerate(messages) if message["role"] == "assistant")
        assert row["input"] == tokenizer.apply_chat_template(messages[:last], add_generation_prompt=True, tokenize=False)
        assert row["label"] == "<think>\n\n</think>\n\n" + messages[last]["content"]
        ids = tokenizer.apply_chat_template(messages[:last], add_generation_prompt=True, return_tensors="pt")["input_ids"]
        out = network.generate(input_ids=ids, max_new_tokens=12, do_sample=False, eos_token_id=stops, pad_token_id=2)
        new = out[0, ids.shape[1] :].tolist()
        assert row["prompt_tokens"] == ids.shape[1] and row["generated_tokens"] == len(new)
        assert row["prediction"] == tokenizer.decode([id for id in new if id not in stops])


def test_the_second_run_renders_and_tokenizes_nothing(model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write_rows(tmp_path / "training.jsonl", [chats.random_row(seed, KIND) for seed in range(8)])
    first = _train(model, tmp_path)
    assert first.returncode == 0 and "tokens of" not in first.stdout, first.stderr
    assert "notice: the samples end in <|im_end|>" in first.stdout, "the tokenizer's own end is another"
    (kept,) = [path for path in (tmp_path / "tokens").iterdir() if path.suffix != ".lock"]
    before = (kept.stat().st_ino, kept.read_bytes())
    monkeypatch.setenv("ANNEAL_PYTHON", "/nowhere/python3")  # what renders chats
    for flags in ([], ["--num_workers", "2"]):
        again = _train(model, tmp_path, "--new_run", *flags)
        assert again.returncode == 0 and f"tokens of {tmp_path / 'training.jsonl'} from {kept}" in again.stdout, again.stderr
    losses = [steps_of(tmp_path / "results" / run)[0]["loss"] for run in ("model", "model-2")]
    assert losses[0] == losses[1]
    assert (kept.stat().st_ino, kept.read_bytes()) == before
    kept.write_bytes(kept.read_bytes()[:-1])
    assert_refused(_train(model, tmp_path, "--new_run"), 6, "/nowhere/python3")


def test_the_token_that_closes_turns_ends_texts(model: Path, tmp_path: Path) -> None:
    row = {"messages": [{"role": "user", "content": "Hi"}, {"role": "assistant", "content": "Yes."}]}
    data = write_rows(tmp_path / "test.jsonl", [row])
    flags = ["--base_model", model, "--checkpoint", model / "adapter", "--test_path", data, "--engine", "native", "--temperature", "0",
             "--dtype", "float32", "--no_bertscore", "--max_tokens", "8"]  # fmt: skip
    anneal("test", *flags, "--output_dir", tmp_path / "out")
    metrics = json.loads((tmp_path / "out" / "metrics.json").read_text())
    assert metrics["sampling"]["stop_ids"] == [AutoTokenizer.from_pretrained(model).convert_tokens_to_ids("<|im_end|>")]


def _train(model: Path, data: Path, *flags: str):
    return anneal("train", "--hf_model_id", model, "--data_dir", data, "--results_dir", data / "results", "--max_steps", "1",
                  "--max_seq_length", "512", *flags, check=False)  # fmt: skip


def test_a_model_without_a_template(tiny, tmp_path: Path) -> None:
    write_rows(tmp_path / "training.jsonl", [chats.random_row(1, KIND)])
    folder, _ = tiny("qwen3")
    assert_refused(_train(folder, tmp_path), 4, "the model has no chat template", str(folder))


def test_rows_without_messages_or_roles(model: Path, tmp_path: Path) -> None:
    good = chats.random_row(1, KIND)
    write_rows(tmp_path / "training.jsonl", [good] * 3 + [{"messages": [{"role": "user"}, {"role": "assistant", "content": "x"}]}])
    assert_refused(_train(model, tmp_path), 3, "training.jsonl:4 ", "'dict object' has no attribute 'content'")
    done = _train(model, tmp_path, "--skip_bad_rows", "1")
    assert done.returncode == 0 and "1 bad lines skipped" in done.stdout
    assert_refused(_train(model, tmp_path, "--skip_bad_rows", "1", "--no_special_in_text", "--new_run"), 2, "--no_special_in_text")


def test_a_test_row_without_an_assistant(model: Path, tmp_path: Path) -> None:
    data = write_rows(tmp_path / "test.jsonl", [{"messages": [{"role": "user", "content": "Hi"}]}])
    done = anneal("test", "--base_model", model, "--checkpoint", model / "adapter", "--test_path", data, "--engine", "native",
                  "--output_dir", tmp_path / "out", "--no_bertscore", check=False)  # fmt: skip
    assert_refused(done, 3, "no assistant turn", f"{data}:1")
