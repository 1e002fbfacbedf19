"""Oracle: HF Trainer + PEFT on chats that transformers has rendered and masked: loss and gradient norm of every step."""

import json
from pathlib import Path

import pytest
from transformers import AutoTokenizer

from reference import hf_train
from reference.examples import IGNORED, Example
from support import chats
from support.program import anneal, evals_of, steps_of, write_rows

CURVE_FP32 = 1e-4  # relative, each step
STEPS = 6


def _examples(model: Path, rows: list[chats.Chat]) -> list[Example]:
    tokenizer = AutoTokenizer.from_pretrained(model)
    examples = []
    for index, row in enumerate(rows):
        made = tokenizer.apply_chat_template(row["messages"], return_assistant_tokens_mask=True)
        labels = [id if trained else IGNORED for id, trained in zip(made["input_ids"], made["assistant_masks"])]
        examples.append(Example(index, made["input_ids"], labels))
    return examples


def test_the_curve_of_chats_equals_peft(tmp_path: Path) -> None:
    kind = chats.OWN["marked"]
    model = chats.make_model(tmp_path / "model", kind)
    rows = [chats.random_row(seed, kind) for seed in range(40)]
    examples = _examples(model, rows)
    assert any(sum(before < after for before, after in zip(e.labels, e.labels[1:])) > 1 for e in examples), "several turns"
    recipe = hf_train.Recipe(steps=STEPS, learning_rate=2e-3, min_learning_rate=1e-5, warmup_ratio=0.1, eval_every=STEPS)
    reference = hf_train.train(model, examples[:32], recipe, model / "adapter", examples[32:])

    # The same template without marks: where the turns are has to be found.
    bare = kind.template.replace("{% generation %}", "").replace("{% endgeneration %}", "")
    (model / "chat_template.jinja").write_text(bare)
    write_rows(tmp_path / "data" / "training.jsonl", rows[:32])
    validation = write_rows(tmp_path / "data" / "validation.jsonl", rows[32:])
    anneal(
        "train", "--hf_model_id", model, "--data_dir", tmp_path / "data", "--results_dir", tmp_path / "results",
        "--max_steps", STEPS, "--learning_rate", recipe.learning_rate, "--min_learning_rate", recipe.min_learning_rate,
        "--warmup_ratio", recipe.warmup_ratio, "--lora_dropout", "0", "--compute_dtype", "fp32", "--eval_steps", STEPS,
        "--logging_steps", "1", "--init_adapter", model / "adapter", "--max_seq_length", "512",
    )  # fmt: skip
    run = tmp_path / "results" / "model"
    for mine, theirs in zip(steps_of(run), reference.steps, strict=True):
        assert mine["loss"] == pytest.approx(theirs["loss"], rel=CURVE_FP32)
        assert mine["grad_norm"] == pytest.approx(theirs["grad_norm"], rel=CURVE_FP32)
    mine, theirs = evals_of(run)[-1], reference.evals[-1]
    assert mine["eval_loss"] == pytest.approx(theirs["eval_loss"], rel=CURVE_FP32) and mine["eval_tokens"] == theirs["tokens"]

    checkpoint = run / (run / "best").read_text().strip()
    done = anneal("score", "--hf_model_id", model, "--adapter", checkpoint, "--data", validation, "--compute_dtype", "fp32")
    scored = json.loads(done.stdout.splitlines()[-1])
    assert scored["tokens"] == theirs["tokens"] and scored["samples"] == len(rows[32:])
    assert scored["mean_nll"] == pytest.approx(mine["eval_loss"], rel=CURVE_FP32)
