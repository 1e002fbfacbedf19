#!/usr/bin/env python3
"""Writes goldens.json: small tokenizers with the ids and texts that the `tokenizers` library gives for them."""
import json
import pathlib
import sys

import tokenizers
from tokenizers import Tokenizer

HERE = pathlib.Path(__file__).resolve().parent
sys.path.insert(0, str(HERE.parents[1] / "tokenizer"))
import fuzz_text  # noqa: E402
import small_tokenizers  # noqa: E402

NAMES = ["gpt2", "qwen2", "llama3", "marks", "o200k", "flags", "flags_nfkd", "roberta", "post_sequence", "spm",
         "spm_unk_each", "spm_some_bytes", "metaspace", "metaspace_first", "metaspace_first_strip", "replace_regex",
         "pattern_2_inverted", "bert", "bert_cased", "bert_no_accents"]
SEED = 7
TEXTS = 12


def cases(tokenizer):
    extra = [token.content for token in tokenizer.get_added_tokens_decoder().values()]
    chosen = [t for t in fuzz_text.texts(SEED, TEXTS, extra) if len(t) < 300]
    for text in chosen:
        ids = tokenizer.encode(text).ids
        tokenizer.encode_special_tokens = True
        plain = tokenizer.encode(text, add_special_tokens=False).ids
        tokenizer.encode_special_tokens = False
        # Starts inside of a character, and has an id of no token; golden_test.cpp makes the same.
        some = ids[1:] + [10**6] + ids[: len(ids) // 2]
        yield dict(text=text, ids=ids, without_specials=plain,
                   decoded=tokenizer.decode(ids, skip_special_tokens=False),
                   skipped=tokenizer.decode(ids, skip_special_tokens=True),
                   some_decoded=tokenizer.decode(some, skip_special_tokens=False))


def main():
    small = small_tokenizers.all_tokenizers()
    # Equal models are stored once; a tokenizer names its model's place.
    models, goldens = [], []
    for name in NAMES:
        made = small[name]
        tokenizer = Tokenizer.from_str(json.dumps(made))
        if made["model"] not in models:
            models.append(made["model"])
        rest = {k: v for k, v in made.items() if k != "model"}
        goldens.append(dict(name=name, model=models.index(made["model"]), tokenizer=rest, cases=list(cases(tokenizer))))
    lines = ['{"models": ['] + [json.dumps(m, ensure_ascii=False) + "," * (i + 1 < len(models)) for i, m in enumerate(models)]
    lines += ['], "goldens": ['] + [json.dumps(g, ensure_ascii=False) + "," * (i + 1 < len(goldens)) for i, g in enumerate(goldens)] + ["]}"]
    (HERE / "goldens.json").write_text("\n".join(lines) + "\n", encoding="utf-8")
    origin = dict(tokenizers=tokenizers.__version__, python=sys.version.split()[0], seed=SEED, made_by="make.py")
    (HERE / "origin.json").write_text(json.dumps(origin, indent=2) + "\n")


if __name__ == "__main__":
    main()
