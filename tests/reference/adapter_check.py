"""Loads a base model and our adapter in PEFT: no key may be missing or left over, and the logits must agree.

`python -m reference.adapter_check --model DIR --adapter DIR --logits FILE`, FILE being a safetensors file of our
program with `ids` [n] int64 and `logits` [n, vocab] float32.
"""

import argparse
import sys
from dataclasses import dataclass
from pathlib import Path

import torch
from peft import PeftModel
from safetensors import safe_open
from safetensors.torch import load_file
from transformers import AutoModelForCausalLM
from transformers.utils import logging as hf_logging


@dataclass
class Loaded:
    model: PeftModel
    missing: list[str]  # wanted by PEFT, not in the file
    unexpected: list[str]  # in the file, unknown to PEFT


def name_in_file(name: str) -> str:
    """The name that a parameter of a PeftModel has in its file: without the adapter's own."""
    return name.replace(".default.", ".").replace(".lora_magnitude_vector.weight", ".lora_magnitude_vector")


def load(model: Path | str, adapter: Path | str, dtype: torch.dtype = torch.float32) -> Loaded:
    """The PeftModel in eval mode, and how its adapter's names compare with those in the file."""
    hf_logging.disable_progress_bar()
    base = AutoModelForCausalLM.from_pretrained(model, dtype=dtype, attn_implementation="sdpa")
    peft_model = PeftModel.from_pretrained(base, adapter).eval()
    with safe_open(Path(adapter) / "adapter_model.safetensors", framework="pt") as file:
        in_file = {name: tuple(file.get_slice(name).get_shape()) for name in file.keys()}
    # Compared by hand: PEFT ignores names that it does not know, and get_peft_model_state_dict hides the adapter name.
    wanted = {
        name_in_file(name): tuple(parameter.shape)
        for name, parameter in peft_model.state_dict().items()
        if ".lora_" in name
    }
    missing = sorted(name for name, shape in wanted.items() if in_file.get(name) != shape)
    return Loaded(peft_model, missing, sorted(set(in_file) - set(wanted)))


def adapter_is_live(model: PeftModel, ids: torch.Tensor) -> float:
    """The largest change that the adapter makes to the logits: 0 would mean that nothing was loaded."""
    with torch.no_grad():
        adapted = model(input_ids=ids[None]).logits
        with model.disable_adapter():
            return (adapted - model(input_ids=ids[None]).logits).abs().max().item()


def forget_lengths(model: torch.nn.Module) -> None:
    """Ropes that depend on the length remember the longest sample; the oracle is a fresh model for each."""
    for module in model.modules():
        if hasattr(module, "max_seq_len_cached"):
            module.max_seq_len_cached = module.original_max_seq_len
            module.inv_freq = module.original_inv_freq.clone()


def logits(model: torch.nn.Module, ids: torch.Tensor) -> torch.Tensor:
    """[n] token ids -> [n, vocab] float32."""
    forget_lengths(model)
    with torch.no_grad():
        return model(input_ids=ids[None], use_cache=False).logits[0].float()


def largest_difference(ours: torch.Tensor, theirs: torch.Tensor) -> float:
    """max|a - b| / max|b|, the measure of every logit comparison here."""
    return ((ours - theirs).abs().max() / theirs.abs().max()).item()


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--model", type=Path, required=True)
    parser.add_argument("--adapter", type=Path, required=True)
    parser.add_argument("--logits", type=Path, help="safetensors with `ids` and `logits` from our program")
    parser.add_argument("--tolerance", type=float, default=1e-5, help="on max|a-b| / max|b|")
    parser.add_argument("--dtype", choices=("fp32", "bf16"), default="fp32")
    arguments = parser.parse_args()
    torch.set_num_threads(2)
    dtype = torch.float32 if arguments.dtype == "fp32" else torch.bfloat16
    loaded = load(arguments.model, arguments.adapter, dtype)
    line = f"{len(loaded.missing)} missing, {len(loaded.unexpected)} unexpected"
    good = not loaded.missing and not loaded.unexpected
    if arguments.logits is not None:
        given = load_file(arguments.logits)
        difference = largest_difference(given["logits"].float(), logits(loaded.model, given["ids"].long()))
        line += f", largest logit difference {difference:.1e}"
        good = good and difference <= arguments.tolerance
    print(line)
    for name in (loaded.missing + loaded.unexpected)[:4]:
        print(f"  {name}")
    return 0 if good else 1


if __name__ == "__main__":
    sys.exit(main())
