"""`--engine transformers`. Oracles: HF Trainer + PEFT on the same samples; the native engine where a model has both; the
engine itself, resumed and on two ranks."""

import os
import shutil
import subprocess
from pathlib import Path

import pytest
import torch
from peft import PeftModel
from safetensors.torch import load_file

from support.curves import anneal_train, assert_curves, recipe_of, sums
from support.program import BUILD, anneal, assert_refused, steps_of, write_rows
from reference import hf_train, tiny_models

USAGE, MODEL, RESOURCES = 2, 4, 6
EQUAL = 1e-5  # relative: loss and gradient norm of the same steps, summed in another order
BF16 = 0.02  # relative: losses in bf16 beside those in float32
ENGINE = ("--engine", "transformers")


@pytest.fixture(scope="module")
def rows() -> list[dict[str, str]]:
    return sums()


def _model(root: Path, family: str) -> Path:
    return tiny_models.write_folder(root / family, family, {})


def _adapter(folder: Path, family: str, **kind: bool) -> Path:
    """A random one on every linear layer."""
    recipe = hf_train.Recipe(steps=1, attention=_attention(family), rank=4, alpha=8, targets=tiny_models.TARGETS.get(family, list(hf_train.ALL_TARGETS)), **kind)
    network = hf_train.add_adapter(hf_train.load_base(folder, recipe), recipe)
    tiny_models.random_adapter(network)
    network.save_pretrained(folder / "adapter")
    return folder / "adapter"


def _attention(family: str) -> str:
    return "eager" if family == "gemma2" else "sdpa"


@pytest.mark.parametrize(("family", "kind"), [("gpt_neox", {}), ("gemma2", {}), ("gpt_neox", {"dora": True})])
def test_lora_curve_equals_peft(family: str, kind: dict[str, bool], rows, tmp_path: Path):
    folder = _model(tmp_path, family)
    adapter = _adapter(folder, family, **kind)
    recipe = recipe_of(attention=_attention(family))
    reference = hf_train.train(folder, rows[:100], recipe, adapter, rows[100:], save=tmp_path / "theirs")
    run = anneal_train(folder, tmp_path, rows, recipe, "--init_adapter", str(adapter), *ENGINE)
    assert_curves(run, reference)
    saved = run / (run / "best").read_text().strip()
    assert PeftModel.from_pretrained(hf_train.load_base(folder, recipe), saved).peft_config["default"].r == 4
    last = run / "resume" / f"step-{recipe.steps}"
    theirs = load_file(tmp_path / "theirs" / "adapter_model.safetensors")
    ours = load_file(last / "adapter_model.safetensors")
    assert ours.keys() == theirs.keys()
    for key, tensor in ours.items():
        assert (tensor - theirs[key]).abs().max() <= 0.05 * recipe.learning_rate, key


@pytest.mark.parametrize("family", ["gpt_neox", "gemma2"])
def test_full_curve_equals_transformers(family: str, rows, tmp_path: Path):
    folder = _model(tmp_path, family)
    recipe = recipe_of(full_ft=True, attention=_attention(family))
    reference = hf_train.train(folder, rows[:100], recipe, None, rows[100:], save=tmp_path / "theirs")
    run = anneal_train(folder, tmp_path, rows, recipe, "--full_ft", *ENGINE)
    assert_curves(run, reference)
    saved = run / (run / "best").read_text().strip()
    from transformers import AutoModelForCausalLM

    model, info = AutoModelForCausalLM.from_pretrained(saved, dtype=torch.float32, output_loading_info=True)
    assert not info["missing_keys"] and not info["unexpected_keys"]
    masters = load_file(run / "resume" / f"step-{recipe.steps}" / "master_weights-1-of-1.safetensors")
    for key, tensor in load_file(tmp_path / "theirs" / "model.safetensors").items():
        if key.endswith("query_key_value.bias"):  # softmax does not see a key's bias, and Adam steps by its rounding
            continue
        assert (masters[key] - tensor).abs().max() <= 0.05 * recipe.learning_rate, key


def test_both_engines_are_equal(tiny, rows, tmp_path: Path):
    folder, adapter = tiny("qwen3")
    flags = ("--init_adapter", str(adapter))
    native = steps_of(anneal_train(folder, tmp_path, rows, recipe_of(), *flags))
    other = steps_of(anneal_train(folder, tmp_path, rows, recipe_of(), *flags, *ENGINE))
    for mine, theirs in zip(other, native, strict=True):
        for key in ("loss", "grad_norm"):
            assert mine[key] == pytest.approx(theirs[key], rel=10 * EQUAL)


def _train(folder: Path, root: Path, steps: int, *flags: str, run: str = "run", engine: tuple[str, ...] = ENGINE, **options):
    write_rows(root / "data" / "training.jsonl", sums()[:24])
    write_rows(root / "data" / "validation.jsonl", sums()[24:30])
    return anneal(
        "train", "--hf_model_id", folder, "--data_dir", root / "data", "--results_dir", root, "--run_name", run, *engine,
        "--max_steps", steps, "--lora_target_modules", "all-linear", "--lora_rank", "4", "--learning_rate", "1e-3", "--logging_steps", "1", "--eval_steps", "3",
        "--save_steps", "3", "--max_seq_length", "512", "--compute_dtype", "fp32", "--lr_scheduler_type", "constant",
        *flags, **options,
    )  # fmt: skip


@pytest.mark.parametrize("flags", [(), ("--full_ft",)])
def test_a_resumed_run_has_the_same_bits(flags: tuple[str, ...], tmp_path: Path):
    folder = _model(tmp_path, "gpt_neox")
    _train(folder, tmp_path, 6, *flags, run="whole")
    _train(folder, tmp_path, 3, *flags)
    again = _train(folder, tmp_path, 6, *flags)
    assert "resuming from" in again.stdout
    name = "master_weights-1-of-1.safetensors" if flags else "adapter_model.safetensors"
    whole, resumed = (load_file(tmp_path / run / "resume/step-6" / name) for run in ("whole", "run"))
    assert whole.keys() == resumed.keys() and all(torch.equal(whole[key], resumed[key]) for key in whole)
    assert steps_of(tmp_path / "whole")[-1]["loss"] == steps_of(tmp_path / "run")[-1]["loss"]


def test_ranks_and_recomputing_change_nothing(tmp_path: Path):
    """With dropout: its bits belong to the sample."""
    folder = _model(tmp_path, "gpt_neox")
    _train(folder, tmp_path, 4, "--per_device_train_batch_size", "4", run="one")
    _train(folder, tmp_path, 4, "--per_device_train_batch_size", "4", "--gradient_checkpointing", "on", run="again")
    _train(folder, tmp_path, 4, "--per_device_train_batch_size", "2", "--num_workers", "2", run="two")
    one, again, two = (steps_of(tmp_path / run) for run in ("one", "again", "two"))
    for mine, recomputed, shared in zip(one, again, two, strict=True):
        for key in ("loss", "grad_norm"):
            assert recomputed[key] == pytest.approx(mine[key], rel=EQUAL)
            assert shared[key] == pytest.approx(mine[key], rel=EQUAL)


def test_the_precision_is_that_of_the_flag(tmp_path: Path):
    folder = tiny_models.write_folder(tmp_path / "neox", "gpt_neox", {}, dtype=torch.bfloat16)
    _train(folder, tmp_path, 4, run="fp32")
    said = _train(folder, tmp_path, 4, "--compute_dtype", "bf16", run="bf16").stdout
    assert "transformers" in said and "bf16" in said and "LoRA targets and the modules they hit: all-linear 12" in said
    exact, rounded = (steps_of(tmp_path / run) for run in ("fp32", "bf16"))
    assert [step["loss"] for step in exact] != [step["loss"] for step in rounded]
    for mine, theirs in zip(rounded, exact, strict=True):
        assert mine["loss"] == pytest.approx(theirs["loss"], rel=BF16)


def test_what_is_refused(tiny, tmp_path: Path):
    folder = _model(tmp_path, "gpt_neox")
    native = _train(folder, tmp_path, 1, engine=(), check=False)
    assert_refused(native, MODEL, "GPTNeoXForCausalLM", "--engine transformers")
    named = _train(folder, tmp_path, 1, "--lora_target_modules", "q_proj,dense", check=False)
    assert_refused(named, USAGE, "q_proj", "query_key_value", "--lora_target_modules")
    shared = _train(folder, tmp_path, 1, "--num_workers", "2", "--sharding", "full", check=False)
    assert_refused(shared, USAGE, "--sharding", "--engine transformers")
    fused = _train(tiny("mixtral")[0], tmp_path, 1, "--full_ft", check=False)
    assert_refused(fused, MODEL, "experts", "--full_ft")
    broken = shutil.copytree(folder, tmp_path / "broken")
    (broken / "model.safetensors").write_bytes((folder / "model.safetensors").read_bytes()[:-64])
    assert_refused(_train(broken, tmp_path, 1, check=False), MODEL, "model.safetensors")


def test_a_python_without_the_packages(tmp_path: Path):
    folder = _model(tmp_path, "gpt_neox")
    write_rows(tmp_path / "data" / "training.jsonl", sums()[:8])
    command = [str(BUILD / "anneal"), "train", "--hf_model_id", str(folder), "--data_dir", str(tmp_path / "data"), *ENGINE,
               "--max_steps", "1", "--max_seq_length", "512", "--results_dir", str(tmp_path)]  # fmt: skip
    done = subprocess.run(command, capture_output=True, text=True, env=os.environ | {"ANNEAL_PYTHON": "/usr/bin/python3"})
    assert_refused(done, RESOURCES, "pip install", "ANNEAL_PYTHON")
