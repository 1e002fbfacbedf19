"""Loads the demo's adapter in PEFT, compares it with anneal, and lets transformers answer a few held-out rows.

`in_peft.py MODEL ADAPTER ROWS.jsonl LOGITS`, the last being what `anneal score --logits` wrote for the first row in fp32.
"""

import json
import sys
import textwrap
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "tests"))

import torch  # noqa: E402
from safetensors.torch import load_file  # noqa: E402

from reference import adapter_check  # noqa: E402
from reference.examples import ExampleMaker, read_rows  # noqa: E402

SHOWN = (0, 2, 5)  # rows that are printed
NEW_TOKENS = 64
TOLERANCE = 1e-5  # max|a-b| / max|b| in fp32 over 30 layers


def answer(model: torch.nn.Module, maker: ExampleMaker, prompt: str) -> str:
    """Greedy text, up to EOS, on one line."""
    ids = torch.tensor([maker.prompt_ids(prompt)])
    made = model.generate(
        input_ids=ids,
        attention_mask=torch.ones_like(ids),
        max_new_tokens=NEW_TOKENS,
        do_sample=False,
        eos_token_id=maker.eos,
        pad_token_id=maker.eos,
    )
    return " ".join(maker.tokenizer.decode(made[0, ids.shape[1] :].tolist()).split())


def show(name: str, text: str) -> None:
    print(textwrap.fill(text, 108, initial_indent=f"  {name:8}", subsequent_indent=" " * 10))


def main() -> int:
    model, adapter, rows, logits = sys.argv[1:]
    torch.set_num_threads(2)
    loaded = adapter_check.load(model, adapter)
    maker, held_out = ExampleMaker(model), read_rows(rows)
    given = load_file(logits)
    difference = adapter_check.largest_difference(given["logits"], adapter_check.logits(loaded.model, given["ids"]))
    print(
        f"adapter in PEFT: {len(loaded.missing)} missing, {len(loaded.unexpected)} unexpected, "
        f"largest logit difference {difference:.1e} (relative, fp32)"
    )
    for number in SHOWN:
        prompt, wanted = held_out[number]["input"], json.loads(held_out[number]["output"])
        with loaded.model.disable_adapter():
            before = answer(loaded.model, maker, prompt)
        after = answer(loaded.model, maker, prompt)
        print()
        show("prompt", " ".join(prompt.split()))
        show("before", before)
        show("after", after)
        show("", "(as wanted)" if after == json.dumps(wanted) else f"(wanted: {json.dumps(wanted)})")
    return 0 if not loaded.missing and not loaded.unexpected and difference <= TOLERANCE else 1


if __name__ == "__main__":
    sys.exit(main())
