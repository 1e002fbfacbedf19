"""Oracle: vLLM itself, in float32. `make test-vllm` installs it and sets ANNEAL_VLLM to its program."""

import json
import os
import subprocess
from pathlib import Path

import pytest

from reference import hf_train, tiny_models
from support.program import BUILD, write_rows

PROGRAM = os.environ.get("ANNEAL_VLLM")
pytestmark = pytest.mark.skipif(PROGRAM is None, reason="ANNEAL_VLLM names no vllm program; see make test-vllm")
PROMPTS = ["The capital of France is", "Once upon a time", "def add(a, b):\n", "Water boils at", "1, 2, 3, 4,",
           "My favourite colour", "The three largest countries are", "Zürich liegt"]  # fmt: skip


@pytest.fixture(scope="module")
def adapter(smollm2: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A random adapter, large enough to change the texts."""
    folder = tmp_path_factory.mktemp("vllm") / "adapter"
    recipe = hf_train.Recipe(steps=1, rank=12, alpha=24)
    network = hf_train.add_adapter(hf_train.load_base(smollm2, recipe), recipe)
    tiny_models.random_adapter(network, scale=0.02)
    network.save_pretrained(folder)
    return folder


def _predictions(smollm2: Path, checkpoint: Path, folder: Path, *flags: str) -> list[tuple]:
    data = write_rows(folder / "test.jsonl", [{"input": text, "output": "-"} for text in PROMPTS])
    command = [BUILD / "anneal", "test", "--base_model", smollm2, "--checkpoint", checkpoint, "--test_path", data,
               "--output_dir", folder / "out", "--dtype", "float32", "--temperature", "0", "--max_tokens", "24",
               "--max_model_len", "512", "--no_bertscore", *flags]  # fmt: skip
    environment = os.environ | {"VLLM_CPU_KVCACHE_SPACE": "1", "HF_HUB_OFFLINE": "1"}
    done = subprocess.run(list(map(str, command)), capture_output=True, text=True, env=environment)
    assert done.returncode == 0, done.stdout + done.stderr
    rows = [json.loads(line) for line in (folder / "out" / "predictions.jsonl").read_text(encoding="utf-8").splitlines()]
    return [(row["prediction"], row["finish_reason"], row["generated_tokens"]) for row in rows]


def test_greedy_texts_equal_vllm(smollm2: Path, adapter: Path, tmp_path: Path):
    base = _predictions(smollm2, smollm2, tmp_path / "base", "--engine", "native")
    native = _predictions(smollm2, adapter, tmp_path / "native", "--engine", "native")
    assert native != base, "the adapter is at work"
    vllm = ("--engine", "vllm", "--vllm_path", str(PROGRAM))
    assert _predictions(smollm2, adapter, tmp_path / "merged", *vllm, "--merge_adapter", "on") == native
    assert _predictions(smollm2, adapter, tmp_path / "lora", *vllm, "--merge_adapter", "off") == native
