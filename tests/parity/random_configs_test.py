"""Oracle: transformers, on random configurations of each family: logits, loss and the gradients of all weights."""

import os
import random
from pathlib import Path
from typing import Any

import pytest
import torch
from transformers import AutoModelForCausalLM

from support.program import probe
from reference import adapter_check, experts, tiny_models

COUNT = 100 if os.environ.get("ANNEAL_TEST_FULL") == "1" else 3  # of each family
LOGITS_FP32, GRADIENT_FP32 = 1e-5, 1e-4


def rope_of(generator: random.Random, family: str, rotary_dim: int) -> dict[str, Any]:
    theta = generator.choice([10000.0, 500000.0, 1000000.0])
    kinds = ["default", "longrope"] if family == "phi3" else ["default", "linear", "dynamic", "yarn", "llama3", "longrope"]
    kind, factor = generator.choice(kinds), generator.choice([2.0, 4.0, 8.0])
    original = generator.choice([24, 40, 64])
    parameters: dict[str, Any] = {
        "default": {},
        "linear": {"factor": factor},
        "dynamic": {"factor": factor},
        "yarn": {"factor": factor, "original_max_position_embeddings": original, "beta_fast": generator.choice([8.0, 32.0]),
                 "truncate": generator.random() < 0.5},
        "llama3": {"factor": factor, "low_freq_factor": 1.0, "high_freq_factor": 4.0, "original_max_position_embeddings": original},
        "longrope": {"short_factor": [generator.uniform(1, 2) for _ in range(rotary_dim // 2)],
                     "long_factor": [generator.uniform(1, 8) for _ in range(rotary_dim // 2)],
                     "original_max_position_embeddings": original},
    }[kind]  # fmt: skip
    made: dict[str, Any] = {"rope_theta": theta, "rope_scaling": {"rope_type": kind} | parameters}
    if kind == "dynamic":
        made["max_position_embeddings"] = original
    if kind == "longrope" and family == "phi3":
        made["original_max_position_embeddings"] = original
    return made


def random_options(generator: random.Random, family: str) -> dict[str, Any]:
    kv_heads, group = generator.choice([1, 2, 3]), generator.choice([1, 2, 4])
    heads, head_dim = kv_heads * group, generator.choice([8, 16, 24, 32])
    options: dict[str, Any] = {
        "vocab_size": 512,
        "num_hidden_layers": generator.choice([1, 2, 3]),
        "num_attention_heads": heads,
        "num_key_value_heads": kv_heads,
        "hidden_size": heads * head_dim,
        "intermediate_size": generator.choice([24, 56, 100]),
        "rms_norm_eps": generator.choice([1e-5, 1e-6]),
        "tie_word_embeddings": generator.random() < 0.5,
    }
    if family not in ("phi3", "qwen2"):  # these have no other head size than hidden_size / heads
        options["head_dim"] = head_dim
        options["hidden_size"] = generator.choice([32, 48, 80])
        if family in ("llama", "mistral", "mixtral"):
            # Not below 16: of 4 channels transformers' own logits are off by 4e-5 from those in float64, ours by 2.4e-5.
            options["hidden_size"] = heads * generator.choice([16, 18])
    rotary_dim = head_dim
    if family == "phi3" and generator.random() < 0.5:
        options["partial_rotary_factor"], rotary_dim = 0.5, head_dim // 2
    window = generator.choice([None, 1, 9, 33])
    if family in ("mistral", "mixtral", "phi3"):
        options["sliding_window"] = window
    elif family != "llama" and window:
        options |= {"use_sliding_window": True, "sliding_window": window, "max_window_layers": generator.choice([0, 1, 2])}
    if family in ("llama", "qwen3", "qwen3_moe"):
        options["attention_bias"] = generator.random() < 0.5
    if family == "llama":
        options["mlp_bias"] = generator.random() < 0.5
    count = generator.choice([2, 5, 8])
    if family == "mixtral":
        options |= {"num_local_experts": count, "num_experts_per_tok": generator.choice([1, 2])}
    if family == "qwen3_moe":
        options |= {"num_experts": count, "num_experts_per_tok": generator.choice([1, 2]), "moe_intermediate_size": 24,
                    "norm_topk_prob": generator.random() < 0.5, "decoder_sparse_step": generator.choice([1, 2])}  # fmt: skip
    return options | rope_of(generator, family, rotary_dim)


def losses_and_gradients(model: torch.nn.Module, samples: list[dict]) -> tuple[float, list[tuple[str, torch.Tensor]]]:
    trained = sum(max(0, len(sample["ids"]) - max(1, sample["prompt_length"])) for sample in samples)
    total = 0.0
    for sample in samples:
        adapter_check.forget_lengths(model)
        labels = torch.tensor(sample["ids"])
        labels[: sample["prompt_length"]] = -100
        logits = model(input_ids=torch.tensor(sample["ids"])[None], use_cache=False).logits[0, :-1]
        loss = torch.nn.functional.cross_entropy(logits, labels[1:], ignore_index=-100, reduction="sum") / trained
        loss.backward()
        total += loss.item()
    named = [(name, parameter.grad) for name, parameter in model.named_parameters()]
    return total, experts.unfused(model.config.model_type, named)


@pytest.mark.parametrize("seed", range(COUNT))
@pytest.mark.parametrize("family", tiny_models.FAMILIES)
def test_a_random_configuration(family: str, seed: int, samples: list[dict], tmp_path: Path):
    options = random_options(random.Random(f"{family} {seed}"), family)
    tiny_models.write_folder(tmp_path / "model", family, options, seed=seed)
    eager = {"experts_implementation": "eager"}  # torch's grouped GEMM takes no width of 18
    model = AutoModelForCausalLM.from_pretrained(tmp_path / "model", dtype=torch.float32, **eager).eval()
    some = samples[: 1 + seed % 2] + samples[2:5]
    ours = probe(tmp_path, model=tmp_path / "model", full_ft=True, samples=some, gradients=True)
    theirs = torch.cat([adapter_check.logits(model, torch.tensor(sample["ids"])) for sample in some])
    assert adapter_check.largest_difference(ours["logits"], theirs) <= LOGITS_FP32, options
    loss, gradients = losses_and_gradients(model, some)
    assert abs(ours["loss"].item() - loss) <= 1e-5 * loss, options
    norm = torch.linalg.vector_norm
    rounding = 1e-6 * max(norm(expected) for _, expected in gradients)  # the router of one expert has no gradient
    for name, expected in gradients:
        error = norm(ours[f"grad.{name}"] - expected)
        assert error <= max(GRADIENT_FP32 * norm(expected), rounding), (name, options)
