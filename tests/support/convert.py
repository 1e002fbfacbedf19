"""Checkpoints to convert, and the judgement of transformers and PEFT on what comes out."""

import json
import logging
import shutil
import warnings
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch
from peft import PeftModel
from safetensors.torch import load_file, save_file
from transformers import AutoModelForCausalLM, AutoTokenizer

IDS = torch.arange(3, 43).unsqueeze(0)


def make_checkpoint(folder: Path, model: Path, adapter: Path, tokenizer: bool = True) -> Path:
    """The adapter as the trainer leaves it: with the tokenizer's files."""
    folder.mkdir(parents=True)
    for name in ("adapter_config.json", "adapter_model.safetensors"):
        shutil.copy(adapter / name, folder)
    if tokenizer:
        for path in model.glob("token*"):
            shutil.copy(path, folder)
    return folder


def change_config(folder: Path, name: str = "adapter_config.json", **changes: Any) -> None:
    path = folder / name
    path.write_text(json.dumps(json.loads(path.read_text()) | changes))


def change_tensors(path: Path, change) -> None:
    """change(tensors) -> tensors"""
    save_file({name: tensor.contiguous() for name, tensor in change(load_file(path)).items()}, path, {"format": "pt"})


def bytes_of(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in sorted(folder.iterdir())}


class _Records(logging.Handler):
    def __init__(self) -> None:
        super().__init__(logging.WARNING)
        self.lines: list[str] = []

    def emit(self, record: logging.LogRecord) -> None:
        self.lines.append(record.getMessage())


@contextmanager
def no_complaints():
    """Fails where transformers or PEFT log or warn about anything."""
    records = _Records()
    loggers = [logging.getLogger(name) for name in ("transformers", "peft", "huggingface_hub")]
    for logger in loggers:
        logger.addHandler(records)
    try:
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always")
            yield
    finally:
        for logger in loggers:
            logger.removeHandler(records)
    ours = [str(one.message) for one in caught if not issubclass(one.category, (DeprecationWarning, FutureWarning))]
    # Of patterns that PEFT has made itself, for the experts whose weights transformers 5 joins.
    ours = [text for text in ours if r"['.*\\.gate_up_proj']" not in text]
    assert records.lines + ours == []


def logits(network: torch.nn.Module) -> torch.Tensor:
    with torch.no_grad():
        return network.eval()(input_ids=IDS).logits.float()


def load_merged(folder: Path, dtype: Any = "auto") -> torch.nn.Module:
    with no_complaints():
        network, info = AutoModelForCausalLM.from_pretrained(folder, dtype=dtype, output_loading_info=True)
        AutoTokenizer.from_pretrained(folder)
    for kind in ("missing_keys", "unexpected_keys", "mismatched_keys"):
        assert not info[kind], (kind, info[kind])
    return network


def load_with_adapter(model: Path, adapter: Path, dtype: Any = torch.float32) -> PeftModel:
    with no_complaints():
        return PeftModel.from_pretrained(AutoModelForCausalLM.from_pretrained(model, dtype=dtype), adapter)
