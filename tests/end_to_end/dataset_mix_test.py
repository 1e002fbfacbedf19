"""Training on several datasets: which rows, how often, and the same bits when it is resumed."""

import json
from collections import Counter
from pathlib import Path

import torch
from safetensors.torch import load_file

from support.program import anneal, assert_refused, write_rows

USAGE = 2


def _train(model: Path, root: Path, steps: int, run: str, *names: str, check: bool = True):
    data = [word for name in names for word in ("--data", str(root / name))]
    return anneal(
        "train", "--hf_model_id", model, *data, "--data_dir", root / "data", "--results_dir", root, "--run_name", run,
        "--hfdc_train_split_ratio", "0.8", "--max_steps", steps, "--save_steps", "2", "--max_seq_length", "512",
        "--lora_rank", "4", "--learning_rate", "1e-3", "--lr_scheduler_type", "constant", "--eval_steps", "100",
        "--hfdc_input_template", "{input}", "--hfdc_output_template", "{output}", check=check,
    )  # fmt: skip


def test_weights_are_shares_and_a_resumed_run_goes_on_in_the_mix(tiny, tmp_path: Path):
    model, _ = tiny("llama")
    for name, count in (("apples", 60), ("pears", 20)):
        write_rows(tmp_path / f"{name}.jsonl", [{"input": f"{name} {index}\n", "output": f"{index} {name}"} for index in range(count)])
    names = ("apples.jsonl:1", "pears.jsonl:3")
    _train(model, tmp_path, 6, "whole", *names)
    (training,) = (tmp_path / "data").rglob("training.jsonl")
    rows = [json.loads(line) for line in training.read_text().splitlines()]
    kinds = Counter(row["input"].split()[0] for row in rows)
    assert len(rows) == 64 and kinds == {"apples": 16, "pears": 48}  # 0.8 x 80 rows, in shares of 1 and 3
    _train(model, tmp_path, 4, "parts", *names)
    assert "resuming from" in _train(model, tmp_path, 6, "parts", *names).stdout
    whole, parts = (load_file(tmp_path / run / "resume/step-6/adapter_model.safetensors") for run in ("whole", "parts"))
    assert all(torch.equal(whole[key], parts[key]) for key in whole)


def test_one_weight_of_two_is_refused(tiny, tmp_path: Path):
    model, _ = tiny("llama")
    for name in ("a", "b"):
        write_rows(tmp_path / f"{name}.jsonl", [{"input": name, "output": name}] * 4)
    assert_refused(_train(model, tmp_path, 1, "run", "a.jsonl:1", "b.jsonl", check=False), USAGE, "--data", "b.jsonl")
