"""Rows {input, output} -> token ids and labels, with the `tokenizers` library.

ids = P + O + E. P: the leading special tokens and the input. O: the output without special tokens, continuing the
input (no dummy prefix space). E: the EOS token, unless O ends in it or is cut. Only O and E are trained.
"""

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tokenizers import Tokenizer

IGNORED = -100


@dataclass
class Example:
    row: int  # index of the input row; rows may have been dropped before it
    ids: list[int]
    labels: list[int]

    @property
    def trained(self) -> int:
        """Tokens that enter the loss: a label at position 0 has nothing that predicts it."""
        return sum(label != IGNORED for label in self.labels[1:])


def read_rows(path: Path | str, input_key: str = "input", output_key: str = "output") -> list[dict[str, str]]:
    """The rows of a JSON-lines file; only byte 0x0A ends a line."""
    lines = Path(path).read_bytes().removeprefix(b"\xef\xbb\xbf").split(b"\n")
    rows = [json.loads(line) for line in lines if line.strip()]
    return [{"input": row[input_key], "output": row[output_key]} for row in rows]


class ExampleMaker:
    """Encodes rows with the tokenizer.json of a model folder."""

    def __init__(
        self, model: Path | str, max_seq_length: int = 2048, add_eos: bool = True, max_position: bool = True
    ) -> None:
        folder = Path(model)
        text = (folder / "tokenizer.json").read_text(encoding="utf-8")
        self.tokenizer = _plain(text)
        self.continuation = _plain(json.dumps(_without_dummy_prefix(json.loads(text))))
        self.prefix = self._leading_specials()
        self.eos = eos_id(folder, self.tokenizer)
        self.add_eos = add_eos
        limit = _read_json(folder / "config.json").get("max_position_embeddings", max_seq_length)
        self.max_seq_length = min(max_seq_length, limit) if max_position else max_seq_length

    def prompt_ids(self, text: str) -> list[int]:
        return self.prefix + self.tokenizer.encode(text, add_special_tokens=False).ids

    def output_ids(self, text: str) -> list[int]:
        return self.continuation.encode(text, add_special_tokens=False).ids

    def example(self, row: dict[str, str], index: int = 0) -> Example | None:
        """None where the prompt leaves no room or nothing would be trained."""
        prompt, output = self.prompt_ids(row["input"]), self.output_ids(row["output"])
        if len(prompt) >= self.max_seq_length - 1:
            return None
        ends = self.add_eos and not (output and output[-1] == self.eos)
        tail = output + [self.eos] if ends else output
        tail = tail[: self.max_seq_length - len(prompt)]
        made = Example(index, prompt + tail, [IGNORED] * len(prompt) + tail)
        return made if made.trained else None

    def examples(self, rows: list[dict[str, str]]) -> list[Example]:
        """The examples that remain, in the order of the rows."""
        made = (self.example(row, index) for index, row in enumerate(rows))
        return [example for example in made if example is not None]

    def _leading_specials(self) -> list[int]:
        probe = self.tokenizer.encode("a", add_special_tokens=True)
        count = 0
        while count < len(probe.ids) and probe.special_tokens_mask[count]:
            count += 1
        return probe.ids[:count]


def eos_id(folder: Path, tokenizer: Tokenizer) -> int:
    """The tokenizer's own EOS; else the (first) one of generation_config.json or config.json."""
    token = _read_json(folder / "tokenizer_config.json").get("eos_token")
    if isinstance(token, dict):
        token = token["content"]
    if token is not None:
        found = tokenizer.token_to_id(token)
        if found is not None:
            return found
    for name in ("generation_config.json", "config.json"):
        found = _read_json(folder / name).get("eos_token_id")
        if found is not None:
            return found[0] if isinstance(found, list) else found
    raise ValueError(f"{folder}: no EOS token")


def _plain(text: str) -> Tokenizer:
    tokenizer = Tokenizer.from_str(text)
    tokenizer.no_truncation()
    tokenizer.no_padding()
    return tokenizer


def _read_json(path: Path) -> dict[str, Any]:
    return json.loads(path.read_text(encoding="utf-8")) if path.exists() else {}


def _without_dummy_prefix(component: Any) -> Any:
    """The same tokenizer.json with every rule that puts a space in front of a text taken out."""
    if isinstance(component, dict):
        if component.get("type") == "Metaspace":
            component = component | {"prepend_scheme": "never"} | ({"add_prefix_space": False})
            return component
        if component.get("type") == "ByteLevel":
            return component | {"add_prefix_space": False}
        if component.get("type") == "Sequence":
            for key in ("normalizers", "pretokenizers"):
                if key in component:
                    kept = [part for part in component[key] if part.get("type") != "Prepend"]
                    component = component | {key: [_without_dummy_prefix(part) for part in kept]}
            return component
        if component.get("type") == "Prepend":
            return None
        if "model" in component:  # the whole file
            changed = {key: _without_dummy_prefix(component.get(key)) for key in ("normalizer", "pre_tokenizer")}
            return component | changed
    return component
