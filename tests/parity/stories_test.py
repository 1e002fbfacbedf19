"""Oracles: llama2.c's published greedy text of stories260K, and HF Trainer + PEFT on gsm8k."""

import json
from pathlib import Path

import pytest
import torch

from support.program import SHARED, anneal, evals_of, probe, write_rows
from reference import adapter_check, hf_train

STORIES = SHARED / "models" / "stories260k"
GSM8K = SHARED / "data" / "gsm8k"
LOSS_SHARE = 1.01  # our final validation loss over theirs
pytestmark = pytest.mark.skipif(not STORIES.exists(), reason="../shared/models/stories260k is absent")


def test_greedy_text_is_the_published_one(tmp_path: Path):
    """Every token of the text is the argmax after the tokens before it; likelihoods equal a float64 forward pass."""
    text = (STORIES / "expected_greedy_200.txt").read_text()
    reference = json.loads((STORIES / "greedy_reference.json").read_text())
    rows = write_rows(tmp_path / "rows.jsonl", [{"input": text[:4], "output": text[4:]}])
    done = anneal("score", "--hf_model_id", STORIES, "--data", rows, "--no_add_eos", "--compute_dtype", "fp32")
    line, summary = (json.loads(text) for text in done.stdout.splitlines())
    assert (line["exact"], line["tokens"], summary["exact"]) == (True, 199, 1)
    assert line["nll"] == pytest.approx(sum(reference["nll_of_chosen_tokens"][1:]), rel=1e-5)


@pytest.fixture(scope="module")
def gsm8k(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, float, float]:
    """The data's folder; the validation loss of the model and of HF + PEFT's adapter in float32."""

    def rows_of(name: str, count: int) -> list[dict[str, str]]:
        lines = (GSM8K / f"{name}.jsonl").read_text().splitlines()[:count]
        return [{"input": row["question"] + "\n", "output": row["answer"]} for row in map(json.loads, lines)]

    data = tmp_path_factory.mktemp("gsm8k")
    train, validation = rows_of("train", 3000), rows_of("test", 200)
    write_rows(data / "training.jsonl", train)
    write_rows(data / "validation.jsonl", validation)
    recipe = hf_train.Recipe(steps=300, learning_rate=1e-3, rank=8, alpha=32, dropout=0.1, max_seq_length=512, eval_every=300)
    evals = hf_train.train(STORIES, train, recipe, None, validation).evals
    return data, evals[0]["eval_loss"], evals[-1]["eval_loss"]


@pytest.mark.parametrize("dtype", ["fp32", "bf16"])
def test_gsm8k_adapter_is_as_good_as_peft(dtype: str, gsm8k: tuple[Path, float, float], tmp_path: Path):
    data, base, theirs = gsm8k
    run = tmp_path / "ours"
    anneal("train", "--hf_model_id", STORIES, "--data_dir", data, "--results_dir", tmp_path, "--run_name", run.name,
           "--max_steps", "300", "--learning_rate", "1e-3", "--lora_rank", "8", "--eval_steps", "300",
           "--max_seq_length", "512", "--compute_dtype", dtype)  # fmt: skip
    ours = evals_of(run)[-1]["eval_loss"]
    print(f"stories260k on gsm8k: base {base:.4f}, anneal in {dtype} {ours:.4f}, PEFT {theirs:.4f}")
    assert ours <= LOSS_SHARE * theirs
    saved = run / (run / "best").read_text().strip()
    loaded = adapter_check.load(STORIES, saved)
    assert (loaded.missing, loaded.unexpected) == ([], [])
    ids = list(range(3, 300))
    logits = probe(tmp_path, model=STORIES, adapter=saved, samples=[{"ids": ids, "prompt_length": 0}])["logits"]
    assert adapter_check.largest_difference(logits, adapter_check.logits(loaded.model, torch.tensor(ids))) <= 1e-5
