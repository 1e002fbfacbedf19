"""Oracle: transformers renders the same chats with the same template, tokenizes them, and makes the masks.

Its own masks need {% generation %} in a template, which stock templates lack: there the turns are found in the rendered
text by the tokens around them, and given to transformers between such marks.
"""

import json
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from transformers import AutoTokenizer, PreTrainedTokenizerFast

from support import chats
from support.program import BUILD, SHARED, assert_refused, anneal, write_rows

TEMPLATES = SHARED / "data" / "chat_templates"
PHI = SHARED / "data" / "tokenizers" / "phi-3-mini"
ROWS = 120
ODD_PARTS_MARKED = (
    "{% for part in parts %}{% if loop.index0 % 2 %}{% generation %}{{ part }}{% endgeneration %}"
    "{% else %}{{ part }}{% endif %}{% endfor %}"
)

needs_stock = pytest.mark.skipif(not TEMPLATES.exists(), reason=f"{TEMPLATES} is not there")


def probe(model: Path, data: Path, *options: int) -> tuple[list[dict[str, Any]], dict[str, Any]]:
    """Our examples, and what was counted."""
    command = [str(BUILD / "example_probe"), str(model), str(data), *map(str, options)]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    *examples, counts = map(json.loads, done.stdout.splitlines())
    return examples, counts


def expected(tokenizer: PreTrainedTokenizerFast, row: chats.Chat, turn: str) -> tuple[list[int], list[int]]:
    """transformers' ids of the chat, and its mask where the template marks what `turn` matches."""
    rendered = tokenizer.apply_chat_template(row["messages"], tools=row.get("tools"), tokenize=False)
    ids = tokenizer.apply_chat_template(row["messages"], tools=row.get("tools"))["input_ids"]
    parts, at = [], 0
    for match in re.finditer(turn, rendered, re.DOTALL):
        parts += [rendered[at : match.start(1)], match[1]]
        at = match.end(1)
    parts.append(rendered[at:])
    made = tokenizer.apply_chat_template(
        [{"role": "user", "content": ""}], chat_template=ODD_PARTS_MARKED, parts=parts, return_assistant_tokens_mask=True
    )
    assert made["input_ids"] == ids
    return ids, made["assistant_masks"]


def compare(tokenizer: PreTrainedTokenizerFast, model: Path, kind: chats.Kind, folder: Path) -> None:
    rows = [chats.random_row(seed, kind) for seed in range(ROWS)]
    examples, counts = probe(model, write_rows(folder / "chats.jsonl", rows), 100000)
    assert len(examples) == ROWS and counts["ended"] == ROWS
    turns = 0
    for row, example in zip(rows, examples):
        ids, mask = expected(tokenizer, row, kind.turn)
        length = len(example["ids"])
        assert example["ids"] == ids[:length] and sum(mask[length:]) == 0, row
        assert example["trained"] == mask[:length], row
        assert example["count"] == sum(mask) and mask[length - 1] == 1
        turns += sum(before < after for before, after in zip([0] + mask, mask))
    assert turns > ROWS


@needs_stock
@pytest.mark.parametrize("name", chats.STOCK)
def test_stock_templates(name: str, tmp_path: Path) -> None:
    kind = chats.stock_kind(name, TEMPLATES)
    model = chats.make_folder(tmp_path / "model", kind, "qwen3" if "Qwen" in name else "llama")
    compare(AutoTokenizer.from_pretrained(model), model, kind, tmp_path)


@needs_stock
def test_a_dataset_with_tools(tmp_path: Path) -> None:
    """ShareGPT rows with calls, through `anneal prepare`; shown with the turns in marks."""
    kind = chats.stock_kind("Qwen-Qwen2.5-7B-Instruct", TEMPLATES)
    model = chats.make_folder(tmp_path / "model", kind, "qwen3")
    done = anneal(
        "prepare", "--hfdc_dataset_name", SHARED / "data" / "instruction" / "glaive_toolcall_en_demo.json", "--hfdc_messages_field",
        "conversations", "--data_dir", tmp_path / "data", "--hf_model_id", model, "--show", "1", "--max_seq_length", "100000",
    )  # fmt: skip
    data = tmp_path / "data" / "training.jsonl"
    rows = [json.loads(line) for line in data.read_text(encoding="utf-8").splitlines()]
    assert len(rows) > 200 and any("tools" in row for row in rows) and any("tool_calls" in m for m in rows[0]["messages"])
    examples, counts = probe(model, data, 100000)
    tokenizer = AutoTokenizer.from_pretrained(model)
    assert len(examples) == len(rows) == counts["ended"]
    for row, example in zip(rows, examples):
        ids, mask = expected(tokenizer, row, kind.turn)
        assert example["ids"] == ids[: len(example["ids"])] and example["trained"] == mask[: len(example["ids"])]
        assert sum(mask[len(example["ids"]) :]) == 0
    shown = re.findall(r"\[\[(.*?)\]\]", done.stdout.partition("--- row 0")[2].partition("\ntokens:")[0], re.DOTALL)
    rendered = tokenizer.apply_chat_template(rows[0]["messages"], tools=rows[0].get("tools"), tokenize=False)
    assert shown == re.findall(kind.turn, rendered, re.DOTALL)


@pytest.mark.skipif(not PHI.exists(), reason=f"{PHI} is not there")
def test_a_tokenizer_of_sentencepiece_kind(tmp_path: Path) -> None:
    kind = chats.STOCK["microsoft-Phi-3.5-mini-instruct"]
    compare(PreTrainedTokenizerFast.from_pretrained(PHI), PHI, kind, tmp_path)


@pytest.mark.parametrize("name", chats.OWN)
def test_templates_with_traps(name: str, tmp_path: Path) -> None:
    kind = chats.OWN[name]
    model = chats.make_folder(tmp_path / "model", kind)
    compare(AutoTokenizer.from_pretrained(model), model, kind, tmp_path)


def test_marks_of_a_template_are_those_of_transformers(tmp_path: Path) -> None:
    kind = chats.OWN["marked"]
    model = chats.make_folder(tmp_path / "model", kind)
    tokenizer = AutoTokenizer.from_pretrained(model)
    rows = [chats.random_row(seed, kind) for seed in range(20)]
    examples, _ = probe(model, write_rows(tmp_path / "chats.jsonl", rows))
    for row, example in zip(rows, examples):
        made = tokenizer.apply_chat_template(row["messages"], return_assistant_tokens_mask=True)
        mask = made["assistant_masks"]
        assert example["trained"] == mask[: len(example["ids"])] and sum(example["trained"]) == sum(mask)


CHAT = {"messages": [{"role": "user", "content": "Hi"}, {"role": "assistant", "content": "Yes."}]}


def trained_text(model: Path, example: dict[str, Any]) -> str:
    tokenizer = AutoTokenizer.from_pretrained(model)
    return tokenizer.decode([id for id, trained in zip(example["ids"], example["trained"]) if trained])


@pytest.mark.parametrize("name, template, end", [("plain", chats.PLAIN, " Yes.\n\n<|eos|>"), ("late", chats.LATE_END, "Yes.\n<|eos|>")])
def test_the_end_is_trained_once_where_turns_have_none(name: str, template: str, end: str, tmp_path: Path) -> None:
    """Oracle: by hand. One template has no end of sequence, so it is added; the other writes it behind all turns."""
    model = chats.make_folder(tmp_path / "model", chats.Kind(template, "", ()))
    (example,), counts = probe(model, write_rows(tmp_path / "chats.jsonl", [CHAT]))
    assert trained_text(model, example) == end and counts["ended"] == 1
    assert example["ids"].count(example["ids"][-1]) == 1


def test_a_turn_begins_where_its_prompt_ends(tmp_path: Path) -> None:
    """Oracle: tokens of the generation prompt alone, which is what a model gets to write the turn. The tokenizer joins
    the line ends of header and turn where it sees both at once."""
    model = chats.make_folder(tmp_path / "model", chats.OWN["marked"], "qwen3")
    tokenizer = AutoTokenizer.from_pretrained(model)
    row = {"messages": [{"role": "user", "content": "Hi"}, {"role": "assistant", "content": "\n\n  indented"}]}
    (example,), _ = probe(model, write_rows(tmp_path / "chats.jsonl", [row]))
    prompt = tokenizer.apply_chat_template(row["messages"][:1], add_generation_prompt=True)["input_ids"]
    assert example["ids"][: len(prompt)] == prompt and example["trained"].index(1) == len(prompt)
    assert trained_text(model, example) == "\n\n  indented<|im_end|>"


@pytest.mark.parametrize("place", ["config", "files", "files with another default"])
def test_named_templates(place: str, tmp_path: Path) -> None:
    """Oracle: transformers takes tool_use where there are tools, else default."""
    model = chats.make_folder(tmp_path / "model", chats.OWN["marked"])
    tool_use = chats.MARKED.replace("{%- for message", "{{- tools | tojson }}{%- for message", 1)
    templates = {"default": chats.MARKED, "tool_use": tool_use, "rag": "{{ raise_exception('never asked for') }}"}
    if place == "config":
        (model / "chat_template.jinja").unlink()
        config = json.loads((model / "tokenizer_config.json").read_text())
        config["chat_template"] = [{"name": name, "template": template} for name, template in templates.items()]
        (model / "tokenizer_config.json").write_text(json.dumps(config))
    else:
        (model / "additional_chat_templates").mkdir()
        if place == "files with another default":
            (model / "chat_template.jinja").write_text(templates["rag"])
        else:
            del templates["default"]
        for name, template in templates.items():
            (model / "additional_chat_templates" / f"{name}.jinja").write_text(template)
    tokenizer = AutoTokenizer.from_pretrained(model)
    rows = [CHAT, CHAT | {"tools": chats.TOOLS}]
    examples, _ = probe(model, write_rows(tmp_path / "chats.jsonl", rows))
    for row, example in zip(rows, examples):
        ids = tokenizer.apply_chat_template(row["messages"], tools=row.get("tools"))["input_ids"]
        assert example["ids"] == ids[: len(example["ids"])]
    assert len(examples[1]["ids"]) > len(examples[0]["ids"]) + 50


def test_what_is_too_long_is_cut_at_a_turn_of_the_assistant(tmp_path: Path) -> None:
    """Oracle: the uncut example. Behind the cut nothing is trained, and the end is not counted."""
    model = chats.make_folder(tmp_path / "model", chats.OWN["marked"])
    turns = [{"role": "user", "content": "Hi there"}, {"role": "assistant", "content": "Yes."}] * 3
    data = write_rows(tmp_path / "chats.jsonl", [{"messages": turns}])
    (whole,), _ = probe(model, data)
    ends = [at + 1 for at in range(len(whole["ids"])) if whole["trained"][at] > (whole["trained"] + [0])[at + 1]]
    limits = {*ends, *(end + 1 for end in ends), *range(ends[0], len(whole["ids"]), 9)}
    for limit in sorted(limit for limit in limits if limit < len(whole["ids"])):
        (cut,), counts = probe(model, data, limit)
        length = max([end for end in ends if end <= limit] + [limit if whole["trained"][limit - 1] else 0])
        assert (cut["ids"], cut["trained"]) == (whole["ids"][:length], whole["trained"][:length]), limit
        assert counts["truncated"] == 1 and counts["ended"] == 0


def test_rows_that_a_template_refuses(tmp_path: Path) -> None:
    model = chats.make_folder(tmp_path / "model", chats.OWN["strict"])
    bad = {"messages": CHAT["messages"][::-1]}
    data = write_rows(tmp_path / "chats.jsonl", [CHAT, bad, CHAT])
    done = subprocess.run([str(BUILD / "example_probe"), str(model), str(data)], capture_output=True, text=True)
    assert_refused(done, 3, "Roles must alternate", f"{data}:2 (byte ")
    examples, counts = probe(model, data, 2048, 1)
    assert [example["row"] for example in examples] == [0, 2] and counts["skipped"] == 1


@pytest.mark.parametrize(
    "template, code, texts",
    [
        (None, 4, ["the model has no chat template"]),
        ("{% if %}", 4, ["Expected an expression"]),
        ("{{ messages.__class__.__mro__ }}", 3, ["access to attribute '__class__'"]),
        ("{{ messages[0].content }}{{ messages[1].content }}", 3, ["does not show where message 1 begins"]),
    ],
)
def test_templates_that_cannot_be_used(template: str | None, code: int, texts: list[str], tmp_path: Path) -> None:
    model = chats.make_folder(tmp_path / "model", chats.Kind(template or "", ""))
    if template is None:
        (model / "chat_template.jinja").unlink()
    data = write_rows(tmp_path / "chats.jsonl", [CHAT])
    done = subprocess.run([str(BUILD / "example_probe"), str(model), str(data)], capture_output=True, text=True)
    assert_refused(done, code, *texts)


def test_a_template_without_an_end(tmp_path: Path) -> None:
    """Only its row is refused. The script as the program starts it, with less patience."""
    loops = "{% for i in range(10**5) %}{% for j in range(10**5) %}{% endfor %}{% endfor %}"
    endless = "{% if messages[0].content == 'loop' %}" + loops + "{% endif %}" + chats.PLAIN
    model = chats.make_folder(tmp_path / "model", chats.Kind(endless, ""))
    rows = [{"messages": [{"role": "user", "content": content}, CHAT["messages"][1]]} for content in ("loop", "Hi")]
    requests = [{"model": str(model), "added_tokens": []}, {"ask": "training", "rows": rows}]
    patched = "import render_chats; render_chats.ROW_SECONDS = 1; render_chats.main()"
    asked = "".join(json.dumps(request) + "\n" for request in requests)
    done = subprocess.run([sys.executable, "-c", patched], cwd=BUILD, input=asked, capture_output=True, text=True)
    ready, answer = map(json.loads, done.stdout.splitlines())
    assert ready == {} and answer["rows"][0] == {"error": "the chat template takes more than 1 s"}
    assert answer["rows"][1]["text"].endswith("Assistant: Yes.\n\n")


def test_a_python_that_cannot_render(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    model = chats.make_folder(tmp_path / "model", chats.OWN["marked"])
    data = write_rows(tmp_path / "chats.jsonl", [CHAT])
    bare = tmp_path / "python"
    bare.write_text('#!/bin/sh\nexec python3 -S -E "$@"\n')
    bare.chmod(0o755)
    for python, texts in ((bare, ["it lacks what renders chats: jinja2", "ANNEAL_PYTHON"]), ("/nowhere/python", ["is not a program"])):
        monkeypatch.setenv("ANNEAL_PYTHON", str(python))
        done = subprocess.run([str(BUILD / "example_probe"), str(model), str(data)], capture_output=True, text=True)
        assert_refused(done, 6, *texts)
