"""Oracle: transformers' own tokenizers, and hand-made cases for cutting and dropping."""

from pathlib import Path

import pytest
from transformers import AutoTokenizer

from reference import tiny_models
from reference.examples import IGNORED, ExampleMaker

SHARED = Path(__file__).resolve().parents[3] / "shared"
STORIES = SHARED / "models" / "stories260k"


@pytest.fixture(scope="module", params=["llama", "qwen3"])
def folder(request, tmp_path_factory: pytest.TempPathFactory) -> Path:
    made = tmp_path_factory.mktemp("tiny") / request.param
    tiny_models.make_folder(made, request.param)
    return made


def test_prompt_equals_transformers(folder: Path):
    theirs, maker = AutoTokenizer.from_pretrained(folder), ExampleMaker(folder)
    for text in ("", "Ada sold 12 pears", " leading", "Zürich\r\n\n 7,000", "<|eos|> inside"):
        assert maker.prompt_ids(text) == theirs(text)["input_ids"]
        assert maker.output_ids(text) == theirs(text, add_special_tokens=False)["input_ids"]
    assert maker.eos == theirs.eos_token_id


def test_only_output_and_eos_are_trained(folder: Path):
    maker = ExampleMaker(folder)
    example = maker.example({"input": "Ada sold", "output": " 12 pears"})
    prompt, output = maker.prompt_ids("Ada sold"), maker.output_ids(" 12 pears")
    assert example.ids == prompt + output + [maker.eos]
    assert example.labels == [IGNORED] * len(prompt) + output + [maker.eos]
    assert example.trained == len(output) + 1
    ended = maker.example({"input": "Ada sold", "output": " 12 pears<|eos|>"})
    assert ended.ids == example.ids


def test_lengths(folder: Path):
    row = {"input": "Ada sold", "output": " 12 pears to the market"}
    whole = ExampleMaker(folder).example(row)
    cut = ExampleMaker(folder, max_seq_length=len(whole.ids) - 1).example(row)
    assert cut.ids == whole.ids[:-1]  # what does not fit is the EOS itself
    shorter = ExampleMaker(folder, max_seq_length=len(whole.ids) - 3).example(row)
    assert shorter.ids == whole.ids[:-3] and shorter.ids[-1] != 1
    prompt = len(ExampleMaker(folder).prompt_ids(row["input"]))
    assert ExampleMaker(folder, max_seq_length=prompt + 1).example(row) is None
    assert ExampleMaker(folder, max_seq_length=prompt + 2).example(row).trained == 2


@pytest.mark.skipif(not STORIES.exists(), reason=f"{STORIES} is not there")
def test_sentencepiece_output_continues_the_prompt():
    maker = ExampleMaker(STORIES)
    pieces = lambda ids: [maker.tokenizer.id_to_token(token) for token in ids]  # noqa: E731
    assert pieces(maker.prompt_ids("Once upon")) == ["<s>", "▁Once", "▁upon"]
    assert pieces(maker.output_ids("a time")) == ["a", "▁time"]
    assert pieces(maker.output_ids(" a time")) == ["▁a", "▁time"]
