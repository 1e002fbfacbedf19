"""Oracle: the `tokenizers` library. `anneal tokenize` gives the same ids and pieces on fuzzed text.

ANNEAL_TEST_FULL=1 makes the fuzz some thirty times larger; ANNEAL_BINARY names another binary than build/release/anneal.
"""
import json
import os
import pathlib
import random
import subprocess
import sys

import pytest
from tokenizers import Tokenizer
from tokenizers.decoders import DecodeStream

sys.path.insert(0, str(pathlib.Path(__file__).parent))
import fuzz_text  # noqa: E402
import small_tokenizers  # noqa: E402

ROOT = pathlib.Path(__file__).resolve().parents[2]
SHARED = ROOT.parent / "shared"
BINARY = pathlib.Path(os.environ.get("ANNEAL_BINARY", ROOT / "build/release/anneal"))
FULL = os.environ.get("ANNEAL_TEST_FULL") == "1"
COUNT = 5000 if FULL else 200  # of each tokenizer: 504,000 texts and 20,000 in all
SMALL = small_tokenizers.all_tokenizers()

pytestmark = pytest.mark.skipif(not BINARY.exists(), reason=f"{BINARY} is not built")


def answers(folder, lines, *flags):
    given = "".join(json.dumps(line) + "\n" for line in lines)
    done = subprocess.run([BINARY, "tokenize", "--hf_model_id", folder, *flags], input=given.encode(), capture_output=True, timeout=600)
    assert done.returncode == 0, done.stderr.decode()
    rows = [json.loads(line) for line in done.stdout.decode().split("\n")[:-1]]
    assert len(rows) == len(lines)
    return rows


def anneal(folder, texts, *flags):
    """A (ids, pieces) pair a text."""
    return [(row["ids"], row["pieces"]) for row in answers(folder, texts, "--json_lines", *flags)]


def assert_equal(folder, reference, texts, add_special_tokens=True, special_in_text=True):
    reference.no_truncation()
    reference.no_padding()
    reference.encode_special_tokens = not special_in_text
    flags = [f"--add_special_tokens={str(add_special_tokens).lower()}",
             f"--special_in_text={str(special_in_text).lower()}"]
    ours = anneal(folder, texts, *flags)
    for text, (ids, pieces) in zip(texts, ours):
        wanted = reference.encode(text, add_special_tokens=add_special_tokens)
        assert ids == wanted.ids, f"{text!r}"
        assert pieces == [reference.id_to_token(i) for i in ids]


def assert_decodes_equal(folder, reference, texts, seed):
    """Also a token at a time, and ids in no order: bytes that make no character."""
    chance = random.Random(seed)
    encoded = [reference.encode(text, add_special_tokens=False).ids for text in texts]
    mixed = [chance.sample(ids, len(ids))[:200] for ids in encoded]
    for number, (ids, row) in enumerate(zip(encoded + mixed, answers(folder, encoded + mixed, "--decode"))):
        whole = reference.decode(ids, skip_special_tokens=False)
        assert row["text"] == whole, ids
        stream = DecodeStream(skip_special_tokens=False)
        *parts, rest = row["parts"]
        for id, part in zip(ids, parts, strict=True):
            try:
                assert part == (stream.step(reference, id) or ""), ids
            except Exception as error:  # the library gives up where bytes spoil a character that it has given
                assert "Invalid prefix" in str(error) and number >= len(encoded), error
                break
        assert number >= len(encoded) or "".join(parts) + rest == whole, ids


@pytest.mark.parametrize("line", ["1", '"a"', "[1.5]", "[-1]", "[2147483648]", '["1"]', "[1"])
def test_lines_that_are_no_ids(line, tmp_path):
    (tmp_path / "tokenizer.json").write_text(json.dumps(SMALL["gpt2"]))
    command = [BINARY, "tokenize", "--decode", "--hf_model_id", tmp_path]
    done = subprocess.run(command, input=f"[1]\n{line}\n", capture_output=True, text=True)
    assert done.returncode == 3 and "standard input, line 2" in done.stderr and "try:" in done.stderr, done.stderr


def check(folder, reference, count, seed):
    extra = [token.content for token in reference.get_added_tokens_decoder().values()]
    assert_equal(folder, reference, fuzz_text.texts(seed, count, extra))
    few = fuzz_text.texts(seed + 1, count // 5, extra)
    assert_equal(folder, reference, few, add_special_tokens=False)
    assert_equal(folder, reference, few, special_in_text=False)
    assert_decodes_equal(folder, reference, [text[:300] for text in few], seed)


def shared_tokenizers():
    found = sorted(SHARED.glob("data/tokenizers/*/tokenizer.json")) + sorted(SHARED.glob("models/*/tokenizer.json"))
    return [path.parent for path in found]


def load_reference(folder):
    try:
        return Tokenizer.from_file(str(folder / "tokenizer.json"))
    except Exception:  # the library throws nothing more specific
        return None


@pytest.mark.parametrize("name", SMALL)
def test_small_tokenizers(name, tmp_path):
    text = json.dumps(SMALL[name])
    (tmp_path / "tokenizer.json").write_text(text)
    check(tmp_path, Tokenizer.from_str(text), COUNT, seed=1)


@pytest.mark.parametrize("name", ["gpt2", "qwen2", "llama3", "numbers", "marks", "cl100k", "o200k", "han", "whitespace",
                                  "digits", "flags", "flags_nfkd", "metaspace_first_strip", "bert", "bert_cased",
                                  "bert_no_accents"])
def test_every_code_point(name, tmp_path):
    text = json.dumps(SMALL[name])
    (tmp_path / "tokenizer.json").write_text(text)
    texts = list(fuzz_text.all_code_points())
    assert_equal(tmp_path, Tokenizer.from_str(text), texts if FULL else texts[:20] + texts[20:140:8] + texts[140::40])


@pytest.mark.skipif(not SHARED.exists(), reason="../shared is absent: only small tokenizers are compared")
@pytest.mark.parametrize("folder", shared_tokenizers(), ids=lambda folder: folder.name)
def test_shared_tokenizers(folder):
    reference = load_reference(folder)
    if reference is None:  # refused by the library too
        done = subprocess.run([BINARY, "tokenize", "--hf_model_id", folder], input=b"a\n", capture_output=True)
        assert done.returncode == 4, done.stderr.decode()
        assert str(folder / "tokenizer.json") in done.stderr.decode()
        return
    check(folder, reference, 2 * COUNT, seed=2)


VECTORS = {"gpt-2": "data/tokenizers/roberta-base", "qwen2": "models/qwen3-0.6b-shape",
           "llama-spm": "data/tokenizers/phi-3-mini", "bert-bge": "data/tokenizers/bert-base-uncased"}


def gpt2_ids(merges):
    """GPT-2 numbers the 256 byte characters, printable ones first, then the merges in order."""
    printable = [*range(33, 127), *range(161, 173), *range(174, 256)]
    characters = [chr(b) for b in printable] + [chr(256 + i) for i in range(256 - len(printable))]
    merged = [line.replace(" ", "") for line in merges.read_text().split("\n") if line.count(" ") == 1][1:]
    return {piece: i for i, piece in enumerate(characters + merged)}


@pytest.mark.skipif(not SHARED.exists(), reason="../shared is absent: its vectors are not compared")
@pytest.mark.parametrize("name", VECTORS)
def test_vectors_of_another_program(name, tmp_path):
    """Oracle: ids that llama.cpp keeps for these vocabularies."""
    folder = SHARED / "data/tokenizer_vectors"
    texts = (folder / f"{name}.inp").read_bytes().decode().split("\n__ggml_vocab_test__\n")
    wanted = [[int(i) for i in line.split()] for line in (folder / f"{name}.out").read_text().split("\n")]
    ours = anneal(SHARED / VECTORS[name], texts, "--add_special_tokens=false")
    if name == "gpt-2":  # RoBERTa has the same merges but numbers the tokens otherwise
        ids = gpt2_ids(SHARED / VECTORS[name] / "merges.txt")
        ours = [([ids[piece] for piece in pieces], pieces) for _, pieces in ours]
    different = [(t, ids, w) for t, (ids, _), w in zip(texts, ours, wanted) if ids != w]
    assert not different, different[:3]
