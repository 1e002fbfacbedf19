"""Makes PEFT's LoRA layers drop exactly what given masks say, so that gradients under dropout can be compared."""

import contextlib
from collections.abc import Iterator, Mapping, Sequence

import torch

_PREFIX = "base_model.model."


class GivenMask(torch.nn.Module):
    """Inverted dropout with a fixed mask (true: kept), instead of nn.Dropout. Identity in eval mode, as there."""

    def __init__(self, mask: torch.Tensor, probability: float) -> None:
        super().__init__()
        self.mask, self.probability = mask, probability

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        if not self.training:
            return x
        return x * self.mask.reshape(x.shape).to(x.dtype) / (1.0 - self.probability)


def padded(mask: torch.Tensor, lengths: Sequence[int]) -> torch.Tensor:
    """A mask [sum of lengths, in] of samples laid end to end -> [samples, longest, in]; padding is kept."""
    made = torch.ones(len(lengths), max(lengths), mask.shape[-1], dtype=torch.bool)
    start = 0
    for row, length in enumerate(lengths):
        made[row, :length] = mask[start : start + length]
        start += length
    if start != mask.shape[0]:
        raise ValueError(f"lengths sum to {start}, the mask has {mask.shape[0]} tokens")
    return made


@contextlib.contextmanager
def given_masks(
    model: torch.nn.Module,
    masks: Mapping[str, torch.Tensor],
    probability: float,
    lengths: Sequence[int] | None = None,
    adapter: str = "default",
) -> Iterator[None]:
    """Within the context every LoRA layer of `model` (a PeftModel) uses masks[module name].

    Names are those of the base model, such as `model.layers.0.self_attn.q_proj`. A mask is a bool tensor
    [tokens, in] or [samples, tokens, in]; with `lengths` it is laid end to end and is padded here. A layer without a
    mask, or a mask without a layer, is an error.
    """
    layers = {
        name.removeprefix(_PREFIX): module for name, module in model.named_modules() if hasattr(module, "lora_dropout")
    }
    if set(layers) != set(masks):
        raise KeyError(f"layers and masks differ in {sorted(set(layers) ^ set(masks))[:4]}")
    before = {name: layer.lora_dropout[adapter] for name, layer in layers.items()}
    try:
        for name, layer in layers.items():
            mask = masks[name] if lengths is None else padded(masks[name], lengths)
            layer.lora_dropout[adapter] = GivenMask(mask, probability).train(before[name].training)
        yield
    finally:
        for name, layer in layers.items():
            layer.lora_dropout[adapter] = before[name]
