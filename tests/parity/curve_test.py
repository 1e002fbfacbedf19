"""Oracle: HF Trainer + PEFT on the same samples in the same order: loss, learning rate and gradient norm of every step."""

from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file

from support.curves import anneal_train, assert_curves, recipe_of, sums
from support.program import evals_of, probe, steps_of
from reference import adapter_check, experts, hf_train, tiny_models

CUT_FP32 = 1e-5  # loss and gradient norm of another cut of the same steps


@pytest.fixture(scope="module")
def rows() -> list[dict[str, str]]:
    return sums()


@pytest.mark.parametrize(
    ("name", "kind"),
    # Not of adapters of experts: where transformers 5 joins gate and up, PEFT also trains the zeros between the two.
    [("llama", "lora"), ("qwen3-moe-dense", "lora"), ("phi3", "lora"), ("qwen3", "lora"), ("llama", "rslora"), ("qwen3", "dora")],
)
def test_lora_curve_equals_peft(name: str, kind: str, tiny, rows: list[dict[str, str]], tmp_path: Path):
    folder, adapter = tiny(name, kind=kind)
    recipe = recipe_of()
    reference = hf_train.train(folder, rows[:100], recipe, adapter, rows[100:], save=tmp_path / "theirs")
    run = anneal_train(folder, tmp_path, rows, recipe, "--init_adapter", str(adapter))
    assert_curves(run, reference)
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
    recipe = recipe_of(full_ft=True)
    reference = hf_train.train(folder, rows[:100], recipe, None, rows[100:])
    run = anneal_train(folder, tmp_path, rows, recipe, "--full_ft")
    assert_curves(run, reference)
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
    recipe = recipe_of()
    flags = ("--init_adapter", str(adapter), "--lora_dropout", "0.1")
    whole = steps_of(anneal_train(folder, tmp_path, rows, recipe, *flags, "--gradient_checkpointing", "off"))
    again = steps_of(anneal_train(folder, tmp_path, rows, recipe, *flags, "--gradient_checkpointing", "on"))
    assert [(s["loss"], s["grad_norm"]) for s in whole] == [(s["loss"], s["grad_norm"]) for s in again]
    for tokens in ("240", "120", "1"):
        cut = steps_of(anneal_train(folder, tmp_path, rows, recipe, *flags, "--micro_batch_tokens", tokens))
        for mine, theirs in zip(cut, whole, strict=True):
            assert mine["loss"] == pytest.approx(theirs["loss"], rel=CUT_FP32)
            assert mine["grad_norm"] == pytest.approx(theirs["grad_norm"], rel=CUT_FP32)
