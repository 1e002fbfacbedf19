"""Loads a converted folder in transformers, as anyone would, and lets it answer one held-out row.

`in_transformers.py FOLDER ROWS.jsonl`
"""

import json
import sys

import torch
from transformers import AutoModelForCausalLM, AutoTokenizer
from transformers.utils import logging


def main() -> None:
    folder, rows = sys.argv[1:]
    logging.disable_progress_bar()
    model, loading = AutoModelForCausalLM.from_pretrained(folder, output_loading_info=True)
    tokenizer = AutoTokenizer.from_pretrained(folder)
    with open(rows, encoding="utf-8") as file:
        row = json.loads(file.readline())
    prompt = tokenizer(row["input"], return_tensors="pt")
    with torch.inference_mode():
        ids = model.generate(**prompt, max_new_tokens=96, do_sample=False)[0, prompt["input_ids"].shape[1] :]
    missing, unexpected = len(loading["missing_keys"]), len(loading["unexpected_keys"])
    print(f"{type(model).__name__} in {model.dtype}: {missing} missing, {unexpected} unexpected")
    print(f"  prompt:       {row['input'].strip()!r}\n  transformers: {tokenizer.decode(ids, skip_special_tokens=True).strip()}")


if __name__ == "__main__":
    main()
