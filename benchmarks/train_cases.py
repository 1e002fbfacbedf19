"""What the training benchmarks train: models with random weights in real shapes, data in real lengths, and recipes."""

import json
import subprocess
import sys
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[1]
SHARED = ROOT.parent / "shared"
QWEN3 = SHARED / "models" / "qwen3-0.6b-shape"
GSM8K = SHARED / "data" / "gsm8k" / "train.jsonl"
WORK = ROOT / "build" / "bench-train"
SMOLLM2 = ROOT / "build" / "models" / "SmolLM2-135M-Instruct"
ROWS = 512
TARGETS = ["q_proj", "k_proj", "v_proj", "o_proj", "gate_proj", "up_proj", "down_proj"]

# Tiny widths, eight experts, the vocabulary of SmolLM2.
MIXTRAL = {
    "hidden_size": 512,
    "intermediate_size": 1024,
    "num_hidden_layers": 4,
    "num_attention_heads": 8,
    "num_key_value_heads": 2,
    "num_local_experts": 8,
    "num_experts_per_tok": 2,
    "max_position_embeddings": 2048,
    "bos_token_id": 1,
    "eos_token_id": 2,
}

_WRITE_MODEL = """
import json, sys, torch
from transformers import AutoConfig, AutoModelForCausalLM
from transformers.utils import logging
logging.disable_progress_bar()
torch.manual_seed(1)
target, source, changes = sys.argv[1], sys.argv[2], json.loads(sys.argv[3])
kind = changes.pop("model_type", None)
config = AutoConfig.for_model(kind, **changes) if kind else AutoConfig.from_pretrained(source)
if not kind:
    for name, value in changes.items():
        setattr(config, name, value)
AutoModelForCausalLM.from_config(config, dtype=torch.bfloat16).save_pretrained(target)
"""


def _written(name: str, tokenizer: Path, changes: dict[str, Any]) -> Path:
    """A folder with random weights; made once."""
    folder = WORK / name
    if (folder / "tokenizer.json").exists():
        return folder
    print(f"bench: writing {folder.relative_to(ROOT)}", flush=True)
    subprocess.run([sys.executable, "-c", _WRITE_MODEL, folder, tokenizer, json.dumps(changes)], check=True)
    for file in ("chat_template.jinja", "tokenizer_config.json", "tokenizer.json"):  # the last marks the folder as whole
        if (tokenizer / file).exists():
            (folder / file).write_bytes((tokenizer / file).read_bytes())
    return folder


def qwen3(layers: int) -> Path:
    """Qwen3-0.6B's widths."""
    changes = {"num_hidden_layers": layers, "layer_types": ["full_attention"] * layers, "max_position_embeddings": 40960}
    return _written(f"qwen3-0.6b-{layers}-layers", QWEN3, changes)


def smollm2() -> Path:
    subprocess.run([sys.executable, ROOT / "examples/demo/make_model.py", SMOLLM2], check=True)
    return SMOLLM2


def mixtral() -> Path:
    tokenizer = smollm2()
    vocabulary = json.loads((tokenizer / "config.json").read_text())["vocab_size"]
    return _written("mixtral-tiny", tokenizer, {"model_type": "mixtral", "vocab_size": vocabulary} | MIXTRAL)


def _write_rows(folder: Path, rows: list[dict[str, str]]) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    lines = [json.dumps(row) + "\n" for row in rows]
    parts = {"training": lines[:-4], "validation": lines[-4:-2], "test": lines[-2:]}
    for name, part in parts.items():
        (folder / f"{name}.jsonl").write_text("".join(part), encoding="utf-8")
    return folder


def _gsm8k() -> list[dict[str, str]]:
    rows = map(json.loads, GSM8K.read_text(encoding="utf-8").splitlines())
    return [{"input": row["question"] + "\n", "output": row["answer"]} for row in rows]


def gsm8k() -> Path:
    return _write_rows(WORK / "data", _gsm8k()[: ROWS + 4])


def long_rows(tokens: int) -> Path:
    """Samples of a little more than `tokens` tokens, a tenth of them trained; they are cut to that by --max_seq_length."""
    from tokenizers import Tokenizer

    tokenizer = Tokenizer.from_file(str(QWEN3 / "tokenizer.json"))
    texts = iter(row["input"] + row["output"] + "\n" for row in _gsm8k())
    rows = []
    for _ in range(16):
        text, length = "", 0
        while length < tokens * 0.95:
            more = next(texts)
            text, length = text + more, length + len(tokenizer.encode(more).ids)
        cut = len(text) * 9 // 10
        rows.append({"input": text[:cut], "output": text[cut:]})
    return _write_rows(WORK / f"data-{tokens}", rows)


@dataclass
class Case:
    """One model, its data and recipe, and how the peers run it."""

    name: str
    title: str
    model: Any  # () -> Path
    data: Any  # () -> Path
    steps: int = 4
    rounds: int = 2
    batch: int = 2
    accumulation: int = 4
    full: bool = False
    max_seq_length: int = 2048
    targets: list[str] = field(default_factory=lambda: TARGETS)
    peers: dict[str, dict[str, Any]] = field(default_factory=lambda: {SEED_PEER: SEED_RECIPE})


SEED_PEER, BEST_PEER = "HF + PEFT, the seed's recipe", "HF + PEFT, at its best"
SEED_RECIPE: dict[str, Any] = {"gradient_checkpointing": True}
BEST_RECIPE: dict[str, Any] = {"gradient_checkpointing": False, "by_length": True}

CASES = [
    Case("lora-4", "LoRA, 4 layers", lambda: qwen3(4), gsm8k),
    Case("lora-8", "LoRA, 8 layers", lambda: qwen3(8), gsm8k),
    Case("lora-28", "LoRA, Qwen3-0.6B shape, 28 layers", lambda: qwen3(28), gsm8k, steps=3,
         peers={SEED_PEER: SEED_RECIPE, BEST_PEER: BEST_RECIPE}),
    Case("smollm2", "LoRA, SmolLM2-135M-Instruct", smollm2, gsm8k),
    Case("full-8", "full fine-tuning, 8 layers", lambda: qwen3(8), gsm8k, steps=3, full=True,
         peers={"HF, bf16": {"gradient_checkpointing": False}}),
    Case("long-2048", "LoRA, 4 layers, samples of 2048 tokens", lambda: qwen3(4), lambda: long_rows(2048), steps=3, batch=1,
         accumulation=2),
    Case("long-8192", "LoRA, 4 layers, samples of 8192 tokens", lambda: qwen3(4), lambda: long_rows(8192), steps=2, batch=1,
         accumulation=1, max_seq_length=8192),
    Case("mixtral", "LoRA on attention, Mixtral shape, 8 experts", mixtral, gsm8k, targets=TARGETS[:4]),
]  # fmt: skip
