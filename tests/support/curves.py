"""Trainings of ours beside those of HF Trainer + PEFT on the same samples in the same order."""

import random
from pathlib import Path

import pytest

from support.program import anneal, evals_of, steps_of, write_rows
from reference import hf_train

CURVE_FP32 = 1e-4  # relative, each step
RATE = 1e-9  # relative; both reckon in double
STEPS = 50


def sums() -> list[dict[str, str]]:
    """Short original sums; lengths differ, so that batches are padded in the reference."""
    generator = random.Random(11)
    things = ["apples", "old letters", "Zürich maps", "baskets of pears", "books"]
    made = []
    for _ in range(130):
        a, b, thing = generator.randrange(2, 90), generator.randrange(2, 90), generator.choice(things)
        filler = " and some string" * generator.randrange(4)
        made.append({"input": f"Ada has {a} {thing}{filler} and buys {b} more.\n", "output": f"{a} + {b} = {a + b} {thing}."})
    return made


def recipe_of(**changes) -> hf_train.Recipe:
    return hf_train.Recipe(steps=STEPS, learning_rate=2e-3, min_learning_rate=1e-5, warmup_ratio=0.1, eval_every=25, **changes)


def anneal_train(folder: Path, root: Path, rows: list[dict[str, str]], recipe: hf_train.Recipe, *flags: str) -> Path:
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


def assert_curves(run: Path, reference: hf_train.Result) -> None:
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
