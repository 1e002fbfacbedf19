"""Tiny random Hugging Face folders that transformers itself writes: every option of a family, a few hundred kB each.

`python -m reference.tiny_models FOLDER` writes all of NAMES below FOLDER.
"""

import argparse
import math
from pathlib import Path
from typing import Any

import torch
from tokenizers import AddedToken, Regex, Tokenizer, decoders, models, normalizers, pre_tokenizers, processors, trainers
from transformers import AutoConfig, AutoModelForCausalLM, PreTrainedTokenizerFast

# kind of adapter -> what of a Recipe makes it
ADAPTER_KINDS: dict[str, dict[str, bool]] = {"lora": {}, "rslora": {"rslora": True}, "dora": {"dora": True}}

_LLAMA3_PATTERN = (
    r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}"
    r"| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+"
)
_QWEN_PATTERN = _LLAMA3_PATTERN.replace(r"\p{N}{1,3}", r"\p{N}")

_CORPUS = [
    f"{subject} {verb} {number} {thing} to {place}, and paid ${number * 3}.{number % 10}0 for each.\n"
    for number, (subject, verb, thing, place) in enumerate(
        (subject, verb, thing, place)
        for subject in ("Ada", "The teacher", "My neighbour", "Bruno's sister", "We")
        for verb in ("sold", "carried", "sent", "didn't bring")
        for thing in ("apples", "letters", "old books", "baskets of pears")
        for place in ("the market", "school", "Zürich", "a friend")
    )
]

# family: the model_type of transformers -> what its tiny models have beside SHAPE
_LLAMA_TARGETS = ["q_proj", "k_proj", "v_proj", "o_proj", "gate_proj", "up_proj", "down_proj"]
FAMILIES: dict[str, dict[str, Any]] = {
    "llama": {"rms_norm_eps": 1e-5, "attention_bias": False, "mlp_bias": False},
    "mistral": {"rms_norm_eps": 1e-5, "sliding_window": 20},
    "mixtral": {"rms_norm_eps": 1e-5, "num_local_experts": 4, "num_experts_per_tok": 2},
    "phi3": {"rms_norm_eps": 1e-5, "sliding_window": 47},
    "qwen2": {},
    "qwen3": {"head_dim": 32, "rms_norm_eps": 1e-6},
    "qwen3_moe": {"head_dim": 32, "num_experts": 6, "num_experts_per_tok": 3, "moe_intermediate_size": 48, "norm_topk_prob": True},
}
# For `--engine transformers` alone.
OTHER_FAMILIES: dict[str, dict[str, Any]] = {
    "gpt_neox": {"rotary_pct": 0.25, "hidden_act": "gelu", "use_parallel_residual": True},
    "gemma2": {"head_dim": 32, "query_pre_attn_scalar": 24, "sliding_window": 20, "attn_logit_softcapping": 3.0, "final_logit_softcapping": 5.0},
}
TARGETS = {
    "gpt_neox": ["query_key_value", "dense", "dense_h_to_4h", "dense_4h_to_h"],
    "mixtral": ["q_proj", "k_proj", "v_proj", "o_proj", "w1", "w2", "w3"],
    "phi3": ["qkv_proj", "o_proj", "gate_up_proj", "down_proj"],
}


def adapts_experts(name: str) -> bool:
    """Whether targets_of(name) are attention's four and those of experts."""
    return name in ("mixtral", "mixtral-balanced", "qwen3-moe")


def _rope(kind: str, **parameters: Any) -> dict[str, Any]:
    return {"rope_scaling": {"rope_type": kind} | parameters}


# name -> (family, options of its config). Scaled ropes have original lengths far below those of the samples.
NAMES: dict[str, tuple[str, dict[str, Any]]] = {
    "llama": ("llama", {"tie_word_embeddings": True}),
    "llama-untied": ("llama", {"tie_word_embeddings": False, "rope_theta": 500000.0}),
    "llama-rope3": (
        "llama",
        {"tie_word_embeddings": True, "rope_theta": 500000.0}
        # An original length this short puts wavelengths into all three bands of the scaling.
        | _rope("llama3", factor=8.0, low_freq_factor=1.0, high_freq_factor=4.0, original_max_position_embeddings=64),
    ),
    "llama-mha": ("llama", {"tie_word_embeddings": False, "num_key_value_heads": 4}),
    "llama-bias": ("llama", {"attention_bias": True, "mlp_bias": True}),
    "llama-linear": ("llama", _rope("linear", factor=4.0)),
    "llama-dynamic": ("llama", {"max_position_embeddings": 50} | _rope("dynamic", factor=4.0)),
    "mistral": ("mistral", {}),
    "mistral-full": ("mistral", {"sliding_window": None, "head_dim": 32}),
    "mixtral": ("mixtral", {}),
    "mixtral-balanced": ("mixtral", {"output_router_logits": True, "router_aux_loss_coef": 0.5}),
    "phi3": ("phi3", {}),
    "phi3-partial": ("phi3", {"sliding_window": None, "partial_rotary_factor": 0.75}),
    "phi3-long": (
        "phi3",
        {"original_max_position_embeddings": 48, "sliding_window": None}
        | _rope("longrope", short_factor=[1 + 0.05 * i for i in range(8)], long_factor=[1.5 + i for i in range(8)]),
    ),
    "qwen2": ("qwen2", {"tie_word_embeddings": True}),
    "qwen2-window": ("qwen2", {"use_sliding_window": True, "sliding_window": 30, "max_window_layers": 1}),
    "qwen3": ("qwen3", {"tie_word_embeddings": True}),
    "qwen3-untied": ("qwen3", {"tie_word_embeddings": False}),
    "qwen3-yarn": ("qwen3", {"attention_bias": True} | _rope("yarn", factor=4.0, original_max_position_embeddings=40)),
    "qwen3-moe": ("qwen3_moe", {}),
    "qwen3-moe-balanced": ("qwen3_moe", {"output_router_logits": True, "router_aux_loss_coef": 0.5, "decoder_sparse_step": 2}),
    "qwen3-moe-dense": ("qwen3_moe", {"norm_topk_prob": False, "decoder_sparse_step": 2}),
}
# One of each family, for tests that need not see every option.
SOME = ["llama", "mistral", "mixtral", "phi3-long", "qwen2", "qwen3", "qwen3-moe"]
# (name, kind of adapter)
ADAPTED = [*((name, "lora") for name in NAMES), *((name, kind) for name in SOME for kind in ("rslora", "dora"))]


def targets_of(name: str) -> list[str]:
    """Every linear layer that an adapter of this model can go to and that PEFT reads."""
    if name in ("qwen3-moe-dense", "qwen3-moe-balanced"):  # PEFT cannot tell its dense layers from its experts
        return ["q_proj", "k_proj", "v_proj", "o_proj"]
    return TARGETS.get(NAMES[name][0], _LLAMA_TARGETS)


def make_tokenizer(family: str) -> PreTrainedTokenizerFast:
    """A byte-level BPE of about 512 tokens. Llama puts BOS in front; Qwen has none."""
    tokenizer = Tokenizer(models.BPE())
    pattern = _LLAMA3_PATTERN if family == "llama" else _QWEN_PATTERN
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence(
        [
            pre_tokenizers.Split(Regex(pattern), behavior="isolated"),
            pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False),
        ]
    )
    tokenizer.decoder = decoders.ByteLevel()
    if family.startswith("qwen"):
        tokenizer.normalizer = normalizers.NFC()
    specials = ["<|bos|>", "<|eos|>", "<|pad|>"]
    trainer = trainers.BpeTrainer(
        vocab_size=512,
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        special_tokens=[AddedToken(text, special=True) for text in specials],
        show_progress=False,
    )
    tokenizer.train_from_iterator(_CORPUS, trainer)
    if family == "llama":
        tokenizer.post_processor = processors.Sequence(
            [
                processors.ByteLevel(trim_offsets=False),
                processors.TemplateProcessing(
                    single="<|bos|> $A", pair="<|bos|> $A <|bos|> $B", special_tokens=[("<|bos|>", 0)]
                ),
            ]
        )
    else:
        tokenizer.post_processor = processors.ByteLevel(trim_offsets=False)
    return PreTrainedTokenizerFast(
        tokenizer_object=tokenizer,
        bos_token=specials[0] if family == "llama" else None,
        eos_token=specials[1],
        pad_token=specials[2],
        clean_up_tokenization_spaces=False,
    )


def make_model(family: str, options: dict[str, Any], seed: int = 1) -> torch.nn.Module:
    """Random fp32 weights, large enough that attention and logits are far from uniform; norms are not all ones."""
    shape: dict[str, Any] = {
        "vocab_size": 512,
        "hidden_size": 64,
        "intermediate_size": 160,
        "num_hidden_layers": 3,
        "num_attention_heads": 4,
        "num_key_value_heads": 2,
        "max_position_embeddings": 512,
        "bos_token_id": 0,
        "eos_token_id": 1,
        "pad_token_id": 2,
    }
    made = AutoModelForCausalLM.from_config(AutoConfig.for_model(family, **(shape | (FAMILIES | OTHER_FAMILIES)[family] | options)))
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for name, parameter in made.named_parameters():
            noise = torch.randn(parameter.shape, generator=generator)
            if name.endswith("bias"):
                parameter.copy_(0.5 * noise)
            elif parameter.dim() == 1:
                parameter.copy_(1.0 + 0.2 * noise)
            elif "embed" in name or "lm_head" in name:
                parameter.copy_(noise * 3.0 / math.sqrt(parameter.shape[1]))
            else:
                parameter.copy_(noise * 1.5 / math.sqrt(parameter.shape[-1]))
    return made.eval()


def make_folder(
    folder: Path | str, name: str = "llama", dtype: torch.dtype = torch.float32, sharded: bool = False, seed: int = 1
) -> Path:
    """Writes the model NAMES[name]; `sharded` cuts it into several files with an index."""
    return write_folder(Path(folder), *NAMES[name], dtype=dtype, sharded=sharded, seed=seed)


def write_folder(
    folder: Path, family: str, options: dict[str, Any], dtype: torch.dtype = torch.float32, sharded: bool = False, seed: int = 1
) -> Path:
    made = make_model(family, options, seed).to(dtype)
    made.config.dtype = dtype
    made.save_pretrained(folder, max_shard_size="200KB" if sharded else "5GB")
    make_tokenizer(family).save_pretrained(folder)
    return folder


def random_adapter(model: torch.nn.Module, seed: int = 2, scale: float = 0.05) -> None:
    """Gives both LoRA factors of a PeftModel random values: with B = 0 a gradient test cannot fail. Magnitudes are moved."""
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            if ".lora_magnitude_vector" in name:
                parameter.mul_(1.0 + 0.2 * torch.randn(parameter.shape, generator=generator))
            elif ".lora_" in name:
                parameter.copy_(scale * torch.randn(parameter.shape, generator=generator))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=Path)
    folder = parser.parse_args().folder
    for name in NAMES:
        make_folder(folder / name, name)
    make_folder(folder / "qwen3-bf16", "qwen3", torch.bfloat16)
    make_folder(folder / "llama-sharded", "llama-untied", sharded=True)


if __name__ == "__main__":
    main()
