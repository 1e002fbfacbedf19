"""Oracle: transformers (and PEFT), one sample at a time."""

import shutil
from pathlib import Path

import pytest
import torch
from peft import PeftConfig, get_peft_model
from safetensors.torch import load_file
from transformers import AutoModelForCausalLM

from support.program import SHARED, anneal, probe, write_rows
from reference import adapter_check, tiny_models

LOGITS_FP32 = 1e-5  # max|a-b| / max|b|: rounding of float32 sums in another order
PUBLISHED = SHARED / "data" / "adapters"
BF16_SHARE = 1.5  # our error in bf16 against fp32, over that of transformers in bf16


def _all_logits(model: torch.nn.Module, samples: list[dict]) -> torch.Tensor:
    return torch.cat([adapter_check.logits(model, torch.tensor(sample["ids"])) for sample in samples])


@pytest.mark.parametrize("name", tiny_models.NAMES)
def test_logits_equal_transformers(name: str, tiny, samples: list[dict], tmp_path: Path):
    folder, _ = tiny(name)
    reference = AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32).eval()
    ours = probe(tmp_path, model=folder, samples=samples)["logits"]
    assert adapter_check.largest_difference(ours, _all_logits(reference, samples)) <= LOGITS_FP32


def test_sharded_folder_gives_the_same_logits(tiny, samples: list[dict], tmp_path: Path):
    whole, _ = tiny("llama-untied")
    parts, _ = tiny("llama-untied", sharded=True)
    assert len(list(parts.glob("model-*.safetensors"))) > 1
    first = probe(tmp_path, model=whole, samples=samples)["logits"]
    assert torch.equal(first, probe(tmp_path, model=parts, samples=samples)["logits"])


@pytest.mark.parametrize(("name", "kind"), tiny_models.ADAPTED)
def test_adapter_logits_equal_peft(name: str, kind: str, tiny, samples: list[dict], tmp_path: Path):
    folder, adapter = tiny(name, kind=kind)
    reference = adapter_check.load(folder, adapter).model
    ours = probe(tmp_path, model=folder, adapter=adapter, samples=samples)["logits"]
    assert adapter_check.largest_difference(ours, _all_logits(reference, samples)) <= LOGITS_FP32
    assert adapter_check.adapter_is_live(reference, torch.tensor(samples[0]["ids"])) > 1e-2


@pytest.mark.parametrize("kind", tiny_models.ADAPTER_KINDS)
def test_score_takes_an_adapter(kind: str, tiny, tmp_path: Path):
    folder, adapter = tiny("qwen3", kind=kind)
    rows = write_rows(tmp_path / "rows.jsonl", [{"input": "Ada sold 3 apples", "output": " to the market."}])
    anneal("score", "--hf_model_id", folder, "--adapter", adapter, "--data", rows, "--logits", tmp_path / "logits",
           "--compute_dtype", "fp32")  # fmt: skip
    ours = load_file(tmp_path / "logits")
    theirs = adapter_check.logits(adapter_check.load(folder, adapter).model, ours["ids"])
    assert adapter_check.largest_difference(ours["logits"], theirs) <= LOGITS_FP32


@pytest.mark.skipif(not PUBLISHED.exists(), reason="../shared/data/adapters is absent")
@pytest.mark.parametrize("name", ["llama-3.2-3B-rank32", "llama-3.2-3B-rank32-dora", "llama-3.2-3B-rank64-rslora"])
def test_published_configurations_mean_what_they_mean_in_peft(name: str, tiny, samples: list[dict], tmp_path: Path):
    """They name no targets: both take the defaults of the family."""
    folder, _ = tiny("llama")
    config = PeftConfig.from_pretrained(PUBLISHED / name)
    reference = get_peft_model(AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32), config).eval()
    tiny_models.random_adapter(reference)
    reference.save_pretrained(tmp_path / "adapter")
    shutil.copy(PUBLISHED / name / "adapter_config.json", tmp_path / "adapter")
    ours = probe(tmp_path, model=folder, adapter=tmp_path / "adapter", samples=samples)["logits"]
    assert adapter_check.largest_difference(ours, _all_logits(reference, samples)) <= LOGITS_FP32
    assert adapter_check.adapter_is_live(reference, torch.tensor(samples[0]["ids"])) > 1e-2


@pytest.mark.parametrize(
    ("name", "kind"),
    [*((name, None) for name in tiny_models.SOME), *((name, kind) for name in ("llama", "qwen3") for kind in tiny_models.ADAPTER_KINDS)],
)
def test_bf16_error_is_at_most_that_of_transformers(name: str, kind: str | None, tiny, samples: list[dict], tmp_path: Path):
    folder, adapter = tiny(name, dtype=torch.bfloat16, kind=kind or "lora")
    load = lambda dtype: (  # noqa: E731
        adapter_check.load(folder, adapter, dtype).model
        if kind
        else AutoModelForCausalLM.from_pretrained(folder, dtype=dtype).eval()
    )
    exact, theirs = _all_logits(load(torch.float32), samples), _all_logits(load(torch.bfloat16), samples)
    ours = probe(tmp_path, model=folder, adapter=adapter if kind else None, samples=samples, compute_dtype="bf16")["logits"]
    norm = torch.linalg.vector_norm
    assert norm(ours - exact) <= BF16_SHARE * norm(theirs - exact)


def test_real_model_logits_equal_transformers(smollm2: Path, tmp_path: Path):
    ids = torch.arange(1000, 1300).tolist()
    reference = AutoModelForCausalLM.from_pretrained(smollm2, dtype=torch.float32).eval()
    ours = probe(tmp_path, model=smollm2, samples=[{"ids": ids, "prompt_length": 0}])["logits"]
    assert adapter_check.largest_difference(ours, adapter_check.logits(reference, torch.tensor(ids))) <= LOGITS_FP32
