"""Mixtures of experts: transformers 5 and PEFT hold all experts of a layer in one tensor; files hold each on its own.

Shapes: X experts, E hidden size, F intermediate size, R rank of the adapter.
"""

import json
from pathlib import Path

import torch
from safetensors.torch import load_file, save_file
from transformers import AutoConfig

NAMES_IN_FILES = {  # model_type -> (block, gate, up, down)
    "mixtral": ("block_sparse_moe", "w1", "w3", "w2"),
    "qwen3_moe": ("mlp", "gate_proj", "up_proj", "down_proj"),
}


def unfused(model_type: str, named: list[tuple[str, torch.Tensor]]) -> list[tuple[str, torch.Tensor]]:
    """Weights, or their gradients, by the names that files have."""
    if model_type not in NAMES_IN_FILES:
        return named
    block, gate, up, down = NAMES_IN_FILES[model_type]
    parts: list[tuple[str, torch.Tensor]] = []
    for name, tensor in named:
        layer, separator, _ = name.rpartition(".mlp.experts.")
        prefix = f"{layer}.{block}.experts"
        if separator and name.endswith("gate_up_proj"):
            for expert, both in enumerate(tensor):
                for part, half in zip((gate, up), both.chunk(2)):
                    parts.append((f"{prefix}.{expert}.{part}.weight", half))
        elif separator:
            parts.extend((f"{prefix}.{expert}.{down}.weight", one) for expert, one in enumerate(tensor))
        else:
            parts.append((name.replace(".mlp.gate.", f".{block}.gate."), tensor))
    return parts


def unfused_adapter(model_type: str, named: list[tuple[str, torch.Tensor]]) -> list[tuple[str, torch.Tensor]]:
    """The same of an adapter. gate and up are one adapter of rank 2 R there: A [X * 2R, E], B [2F, 2R * X]."""
    if model_type not in NAMES_IN_FILES:
        return named
    block, gate, up, down = NAMES_IN_FILES[model_type]
    shapes = {name: tensor.shape for name, tensor in named}
    parts: list[tuple[str, torch.Tensor]] = []
    for name, tensor in named:
        layer, separator, rest = name.rpartition(".mlp.experts.")
        if not separator:
            parts.append((name, tensor))
            continue
        prefix = f"{layer}.{block}.experts"
        is_both = rest.startswith("base_layer.")
        half = rest.removeprefix("base_layer.")  # lora_A.weight or lora_B.weight
        rows = shapes[f"{layer}.mlp.experts.{rest.replace('lora_B', 'lora_A')}"][0]
        experts = expert_count(layer, shapes)
        rank = rows // experts
        for expert in range(experts):
            if half.startswith("lora_A"):
                own = tensor.view(experts, rank, -1)[expert]
            else:
                own = tensor.view(tensor.shape[0], rank, experts)[:, :, expert]
            if not is_both:
                parts.append((f"{prefix}.{expert}.{down}.{half}", own))
                continue
            for index, part in enumerate((gate, up)):
                cut = slice(index * rank // 2, (index + 1) * rank // 2)
                width = own.shape[0] // 2
                piece = own[cut] if half.startswith("lora_A") else own[index * width : (index + 1) * width, cut]
                parts.append((f"{prefix}.{expert}.{part}.{half}", piece))
    return parts


def expert_count(layer: str, shapes: dict[str, torch.Size]) -> int:
    """From the ranks of the two adapters of a layer: that of gate and up is twice that of down, and 2F that of F."""
    down_b = shapes[f"{layer}.mlp.experts.lora_B.weight"]
    attention = next(shape for name, shape in shapes.items() if name.endswith("self_attn.q_proj.lora_A.weight"))
    return down_b[1] // attention[0]


def add_expert_adapters(adapter: Path, model: Path, seed: int = 4, scale: float = 0.05) -> None:
    """Gives an adapter folder of PEFT's random adapters of every expert, as transformers 4 and PEFT wrote them."""
    config = AutoConfig.from_pretrained(model)
    names = NAMES_IN_FILES.get(config.model_type)
    if names is None:
        return
    block, gate, up, down = names
    path = adapter / "adapter_config.json"
    said = json.loads(path.read_text())
    rank, generator = said["r"], torch.Generator().manual_seed(seed)
    wide = getattr(config, "moe_intermediate_size", None) or config.intermediate_size
    tensors = load_file(adapter / "adapter_model.safetensors")
    for layer in range(config.num_hidden_layers):
        for expert in range(config.num_local_experts):
            for part in (gate, up, down):
                sizes = (wide, config.hidden_size) if part == down else (config.hidden_size, wide)
                prefix = f"base_model.model.model.layers.{layer}.{block}.experts.{expert}.{part}"
                tensors[f"{prefix}.lora_A.weight"] = scale * torch.randn(rank, sizes[0], generator=generator)
                tensors[f"{prefix}.lora_B.weight"] = scale * torch.randn(sizes[1], rank, generator=generator)
    save_file(tensors, adapter / "adapter_model.safetensors")
    said["target_modules"] = sorted({*said["target_modules"], gate, up, down})
    path.write_text(json.dumps(said, indent=2))
