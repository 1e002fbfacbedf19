"""Writes the tables of docs/sizing.md from `anneal plan`; `--check` fails when the file differs from it."""

import json
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
DOC = ROOT / "docs" / "sizing.md"
BEGIN, END = "<!-- begin: made by tools/make_docs -->\n", "<!-- end: made by tools/make_docs -->\n"


def sizes(hidden: int, wide: int, layers: int, heads: int, kv: int, vocab: int) -> list[str]:
    names = ("hidden_size", "intermediate_size", "num_hidden_layers", "num_attention_heads", "num_key_value_heads", "vocab_size")
    return [word for name, size in zip(names, (hidden, wide, layers, heads, kv, vocab)) for word in (f"--{name}", str(size))]


# class, model, sizes, samples of a device, accumulation: as the user's README has them
MODELS = [
    ("1 to 13 B", "Mistral-7B", sizes(4096, 14336, 32, 32, 8, 32000), 2, 4),
    ("1 to 13 B", "Llama-3.1-8B", sizes(4096, 14336, 32, 32, 8, 128256), 2, 4),
    ("13 to 34 B", "Llama-2-13B", sizes(5120, 13824, 40, 40, 40, 32000), 1, 8),
    ("13 to 34 B", "Yi-34B", sizes(7168, 20480, 60, 56, 8, 64000), 1, 8),
    ("34 to 100 B", "Llama-3.1-70B", sizes(8192, 28672, 80, 64, 8, 128256), 1, 16),
]
GPUS = {"a100-40": "A100 40GB", "a100-80": "A100 80GB", "h100": "H100", "h200": "H200", "b200": "B200"}


def plan(*flags: str) -> dict:
    done = subprocess.run([str(ROOT / "build/release/anneal"), "plan", "--json", *flags], capture_output=True, text=True, check=True)
    return json.loads(done.stdout)


def smallest_table(kind: str) -> str:
    lines = ["| class | model | " + " | ".join(GPUS.values()) + " |", "|---" * (len(GPUS) + 2) + "|"]
    for group, name, shape, batch, accumulation in MODELS:
        flags = [*shape, "--per_device_train_batch_size", str(batch), "--gradient_accumulation_steps", str(accumulation)]
        found = {one["hardware"]: one for one in plan(*flags, *(["--full_ft"] if kind == "full" else []))["smallest"]}
        cells = [f"{found[gpu]['devices']} x {found[gpu]['total_bytes'] / 1e9:.0f} GB" if gpu in found else "-" for gpu in GPUS]
        lines.append(f"| {group} | {name} | " + " | ".join(cells) + " |")
    return "\n".join(lines)


def parts_table() -> str:
    columns = [("LoRA", []), ("LoRA, all recomputed", ["--gradient_checkpointing", "on"]),
               ("all weights, 8 GPUs", ["--full_ft", "--devices", "8"])]  # fmt: skip
    plans = [plan(*MODELS[1][2], "--hardware", "h100", *(flags if "--devices" in flags else [*flags, "--devices", "1"])) for _, flags in columns]
    lines = ["| part | " + " | ".join(name for name, _ in columns) + " |", "|---" * (len(columns) + 1) + "|"]
    for part in plans[0]["memory"]:
        lines.append(f"| {part} | " + " | ".join(f"{one['memory'][part] / 1e9:.2f} GB" for one in plans) + " |")
    lines.append("| together | " + " | ".join(f"{one['total_bytes'] / 1e9:.2f} GB" for one in plans) + " |")
    lines.append("| largest micro-batch of 2048-token samples | " + " | ".join(str(one["most_samples_recomputed"]) for one in plans) + " |")
    return "\n".join(lines)


def main() -> None:
    text = DOC.read_text()
    before, rest = text.split(BEGIN)
    after = rest.split(END)[1]
    made = (f"\nThe fewest GPUs (1, 2, 4, ... 64) that a LoRA of rank 32 fits on, samples of 2048 tokens, and what each holds:\n\n"
            f"{smallest_table('lora')}\n\nThe same with `--full_ft`, sharded where it has to be:\n\n{smallest_table('full')}\n\n"
            f"Where the memory goes, Llama-3.1-8B on H100s, the defaults of `anneal train`:\n\n{parts_table()}\n\n")  # fmt: skip
    whole = before + BEGIN + made + END + after
    if "--check" not in sys.argv[1:]:
        DOC.write_text(whole)
    elif whole != text:
        sys.exit("docs/sizing.md is out of date; run tools/make_docs")


if __name__ == "__main__":
    main()
