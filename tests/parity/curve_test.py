"""Oracle: HF Trainer + PEFT on the same samples in the same order: loss, learning rate and gradient norm of every step."""

import random
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file

from support.program import anneal, evals_of, probe, steps_of, write_rows
from reference import adapter_check, experts, hf_train, tiny_models

CURVE_FP32 = 1e-4  # relative, each step
RATE = 1e-9  # relative; both reckon in double
CUT_FP32 = 1e-5  # loss and gradient norm of another cut of the same steps
STEPS = 50


@pytest.fixture(scope="module")
def rows() -> list[dict[str, str]]:
    """Short original sums; lengths differ, so that batches are padded in the reference."""
    generator = random.Random(11)
    things = ["apples", "old letters", "Zürich maps", "baskets of pears", "books"]
    made = []
    for _ in range(130):
        a, b, thing = generator.randrange(2, 90), generator.randrange(2, 90), generator.choice(things)
        filler = " and some string" * generator.randrange(4)
        made.append({"input": f"Ada has {a} {thing}{filler} and buys {b} more.\n", "output": f"{a} + {b} = {a + b} {thing}."})
    return made


def _recipe(**changes) -> hf_train.Recipe:
    return hf_train.Recipe(steps=STEPS, learning_rate=2e-3, min_learning_rate=1e-5, warmup_ratio=0.1, eval_every=25, **changes)


def _anneal_train(folder: Path, root: Path, rows: list[dict[str, str]], recipe: hf_train.Recipe, *flags: str) -> Path:
    write_rows(root / "data" / "training.jsonl", rows[:100])
    write_rows(root / "data" / "validation.jsonl", rows[100:])
    run = root / f"run{len(list(root.glob('run*')))}"
    anneal(
        "train", "--hf_model_id", folder, "--data_dir", root / "data", "--results_dir", root, "--run_name", run.name,
        "--max_steps", recipe.steps, "--learning_rate", recipe.learning_rate, "--min_learning_rate", recipe.min_learning_rate,
        "--warmup_ratio", recipe.warmup_ratio, "--lora_dropout", "0", "--compute_dtype", "fp32", "--eval_steps", "25",
        "--logging_steps", "1", "--early_stopping_patience", "0", "--max_seq_length", "512", *flags,
    )  # fmt: skip
    return run


def _assert_curves(run: Path, reference: hf_train.Result) -> None:
    ours = steps_of(run)
    assert len(ours) == len(reference.steps) == STEPS
    for mine, theirs in zip(ours, reference.steps, strict=True):
        assert mine["step"] == theirs["step"]
        assert mine["loss"] == pytest.approx(theirs["loss"], rel=CURVE_FP32)
        assert mine["grad_norm"] == pytest.approx(theirs["grad_norm"], rel=CURVE_FP32)
        assert mine["learning_rate"] == pytest.approx(theirs["learning_rate"], rel=RATE)
    assert reference.steps[-1]["loss"] < 0.8 * reference.steps[0]["loss"], "the curve should fall, or it shows little"
    for mine, theirs in zip(evals_of(run), reference.evals[1:], strict=True):
        assert mine["eval_loss"] == pytest.approx(theirs["eval_loss"], rel=CURVE_FP32)
        assert mine["eval_tokens"] == theirs["tokens"]


@pytest.mark.parametrize(
    ("name", "kind"),
    # Not of adapters of experts: where transformers 5 joins gate and up, PEFT also trains the zeros between the two.
    [("llama", "lora"), ("qwen3-moe-dense", "lora"), ("phi3", "lora"), ("qwen3", "lora"), ("llama", "rslora"), ("qwen3", "dora")],
)
def test_lora_curve_equals_peft(name: str, kind: str, tiny, rows: list[dict[str, str]], tmp_path: Path):
    folder, adapter = tiny(name, kind=kind)
    recipe = _recipe()
    reference = hf_train.train(folder, rows[:100], recipe, adapter, rows[100:], save=tmp_path / "theirs")
    run = _anneal_train(folder, tmp_path, rows, recipe, "--init_adapter", str(adapter))
    _assert_curves(run, reference)
    # The saved adapter, as PEFT reads it, gives the logits that our program gives.
    saved = run / (run / "best").read_text().strip()
    loaded = adapter_check.load(folder, saved)
    assert (loaded.missing, loaded.unexpected) == ([], [])
    ids = list(range(3, 80))
    ours = probe(tmp_path, model=folder, adapter=saved, samples=[{"ids": ids, "prompt_length": 0}])["logits"]
    assert adapter_check.largest_difference(ours, adapter_check.logits(loaded.model, torch.tensor(ids))) <= 1e-5
    named = list(load_file(tmp_path / "theirs" / "adapter_model.safetensors").items())
    theirs = dict(experts.unfused_adapter(tiny_models.NAMES[name][0], named))
    if evals_of(run)[-1]["eval_loss"] < evals_of(run)[0]["eval_loss"]:  # then `best` is the last step
        for key, tensor in load_file(saved / "adapter_model.safetensors").items():
            assert (tensor - theirs[key]).abs().max() <= 0.05 * recipe.learning_rate, key


@pytest.mark.parametrize("name", ["llama-untied", "qwen2", "qwen3", "qwen3-moe"])
def test_full_curve_equals_transformers(name: str, tiny, rows: list[dict[str, str]], tmp_path: Path):
    folder, _ = tiny(name)
    recipe = _recipe(full_ft=True)
    reference = hf_train.train(folder, rows[:100], recipe, None, rows[100:])
    run = _anneal_train(folder, tmp_path, rows, recipe, "--full_ft")
    _assert_curves(run, reference)
    saved = run / (run / "best").read_text().strip()
    from transformers import AutoModelForCausalLM, AutoTokenizer

    model, info = AutoModelForCausalLM.from_pretrained(saved, dtype=torch.float32, output_loading_info=True)
    assert not info["missing_keys"] and not info["unexpected_keys"]
    assert AutoTokenizer.from_pretrained(saved)("a b")["input_ids"]
    ids = list(range(3, 80))
    ours = probe(tmp_path, model=saved, samples=[{"ids": ids, "prompt_length": 0}])["logits"]
    assert adapter_check.largest_difference(ours, adapter_check.logits(model.eval(), torch.tensor(ids))) <= 1e-5


def test_cuts_and_recompute_do_not_change_the_curve(tiny, rows: list[dict[str, str]], tmp_path: Path):
    """Eight samples of some 30 tokens a step: 1, 2, 4 or 8 micro-batches, recompute on and off."""
    folder, adapter = tiny("qwen3")
    recipe = _recipe()
    flags = ("--init_adapter", str(adapter), "--lora_dropout", "0.1")
    whole = steps_of(_anneal_train(folder, tmp_path, rows, recipe, *flags, "--gradient_checkpointing", "off"))
    again = steps_of(_anneal_train(folder, tmp_path, rows, recipe, *flags, "--gradient_checkpointing", "on"))
    assert [(s["loss"], s["grad_norm"]) for s in whole] == [(s["loss"], s["grad_norm"]) for s in again]
    for tokens in ("240", "120", "1"):
        cut = steps_of(_anneal_train(folder, tmp_path, rows, recipe, *flags, "--micro_batch_tokens", tokens))
        for mine, theirs in zip(cut, whole, strict=True):
            assert mine["loss"] == pytest.approx(theirs["loss"], rel=CUT_FP32)
            assert mine["grad_norm"] == pytest.approx(theirs["grad_norm"], rel=CUT_FP32)
