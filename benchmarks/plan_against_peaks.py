"""`anneal plan` against the memory that trainings on this processor really take: three shapes, LoRA and full.

Random models of 60 to 180 million parameters, and those of --models, train for some steps on samples of full length. Measured is the peak of a
process's anonymous memory, looked at every 5 ms; the frozen weights that LoRA only maps from the files are not in it,
and the planner says how many bytes those are. What the planner says is made from config.json and the flags alone.
"""

import argparse
import itertools
import json
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT / "tests"))

import torch  # noqa: E402

from reference.tiny_models import write_folder  # noqa: E402
from support.program import BUILD, peak_anonymous_bytes, write_rows  # noqa: E402

LENGTH, STEPS = 512, 3
# name -> family, options of its config
SHAPES: dict[str, tuple[str, dict[str, Any]]] = {
    "wide": ("llama", {"hidden_size": 1024, "intermediate_size": 2816, "num_hidden_layers": 8, "num_attention_heads": 16,
                       "num_key_value_heads": 4, "vocab_size": 32000, "tie_word_embeddings": True}),
    "deep": ("qwen3", {"hidden_size": 512, "intermediate_size": 1536, "num_hidden_layers": 24, "num_attention_heads": 8,
                       "num_key_value_heads": 4, "head_dim": 64, "vocab_size": 16000, "tie_word_embeddings": True}),
    "fused": ("phi3", {"hidden_size": 768, "intermediate_size": 2048, "num_hidden_layers": 6, "num_attention_heads": 12,
                       "num_key_value_heads": 12, "vocab_size": 100000, "tie_word_embeddings": False, "sliding_window": None}),
}  # fmt: skip
# What is kept decides what counts most: activations, or states.
RUNS = {"lora": ["--gradient_checkpointing", "off"], "lora, recomputed": ["--gradient_checkpointing", "on"],
        "full": ["--full_ft", "--gradient_checkpointing", "off"]}  # fmt: skip


def fill_tokenizer(folder: Path, entries: int) -> None:
    """A tokenizer takes what its entries take: merges of letters until there are as many as real models have."""
    path = folder / "tokenizer.json"
    tokenizer = json.loads(path.read_text())
    vocabulary, merges = tokenizer["model"]["vocab"], tokenizer["model"]["merges"]
    letters = [text for text in vocabulary if len(text) == 1 and text.isalpha()]
    pairs = itertools.chain(itertools.product(letters, letters), ((a + b, c) for a, b, c in itertools.product(letters, repeat=3)))
    unused = entries - 1 - max([*vocabulary.values(), *(token["id"] for token in tokenizer["added_tokens"])])
    fresh = ((a, b) for a, b in pairs if a + b not in vocabulary)
    for left, right in itertools.islice(fresh, unused):
        vocabulary[left + right] = entries - unused
        merges.append([left, right])
        unused -= 1
    path.write_text(json.dumps(tokenizer))


def make_data(folder: Path, tokens: int) -> None:
    """Samples that are cut to the full length: every step has the same number of tokens."""
    rows = [{"input": f"{n}", "output": " ".join(str(n * k % 997) for k in range(tokens))} for n in range(64)]
    write_rows(folder / "training.jsonl", rows)
    (folder / "validation.jsonl").write_text("")


def flags_of(model: Path, batch: int, kind: str) -> list[str]:
    return ["--hf_model_id", str(model), "--device", "cpu", "--max_seq_length", str(LENGTH), "--max_steps", str(STEPS),
            "--per_device_train_batch_size", str(batch), "--gradient_accumulation_steps", "1",
            "--micro_batch_tokens", str(batch * LENGTH), *RUNS[kind]]  # fmt: skip


def predicted(flags: list[str]) -> dict[str, Any]:
    done = subprocess.run([str(BUILD / "anneal"), "plan", *flags, "--json"], capture_output=True, text=True, check=True)
    return json.loads(done.stdout)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--shapes", nargs="*", default=list(SHAPES), choices=SHAPES)
    parser.add_argument("--models", nargs="*", default=[], type=Path, help="folders of models")
    parser.add_argument("--kinds", nargs="+", default=list(RUNS), choices=RUNS)
    parser.add_argument("--batch", type=int, default=8)
    arguments = parser.parse_args()
    worst = 0.0
    print("| shape | trained | predicted | measured | |\n|---|---|---|---|---|", flush=True)
    with tempfile.TemporaryDirectory() as folder:
        work = Path(folder)
        make_data(work / "data", 2 * LENGTH)
        models = {shape: write_folder(work / shape, *SHAPES[shape], dtype=torch.bfloat16) for shape in arguments.shapes}
        for shape, model in models.items():
            fill_tokenizer(model, SHAPES[shape][1]["vocab_size"])
        models |= {folder.name: folder for folder in arguments.models}
        for shape, model in models.items():
            for kind in arguments.kinds:
                flags = flags_of(model, arguments.batch, kind)
                command = [str(BUILD / "anneal"), "train", *flags, "--data_dir", str(work / "data"), "--results_dir",
                           str(work / "results"), "--run_name", f"{shape}-{kind}", "--save_steps", "0", "--eval_steps", "1000",
                           "--report_to", "none", "--force"]  # fmt: skip
                measured = peak_anonymous_bytes(command)
                plan = predicted(flags)
                expected = plan["peak_bytes"] - plan["mapped_bytes"]
                off = expected / measured - 1
                worst = max(worst, abs(off))
                print(f"| {shape} | {kind} | {expected / 1e9:.2f} GB | {measured / 1e9:.2f} GB | {100 * off:+.1f} % |", flush=True)
    print(f"\nlargest difference: {100 * worst:.1f} %")
    sys.exit(worst > 0.05)


if __name__ == "__main__":
    main()
