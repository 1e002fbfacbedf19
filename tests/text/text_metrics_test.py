"""Oracles: the packages rouge_score (ROUGE-L without stemming) and torchmetrics (SQuAD's F1), Python's str.strip."""

import random
import sys
from pathlib import Path

import pytest
from rouge_score.rouge_scorer import RougeScorer
from torchmetrics.functional.text.squad import squad

from support.program import eval_probe

sys.path.insert(0, str(Path(__file__).parents[1] / "tokenizer"))
import fuzz_text  # noqa: E402

WORDS = "a an the The THE cat Cat's dog- -dog it's U.S. 3.5 3 5 naïve Straße K-2 İx snow_man ΟΔΟΣ 日本語 ½ a\u0301 don't".split()


def texts(count: int) -> tuple[list[str], list[str]]:
    chance = random.Random(3)
    drawn = [chance.choice([" ", "  ", "\n", "\u00a0", "\x1c"]).join(chance.choices(WORDS, k=chance.randrange(9)))
             for _ in range(2 * count)]
    fixed = [("", ""), ("", "x"), ("x", ""), ("the", "a"), ("the", "x"), ("日本", "日本"), ("ΟΔΟΣ", "οδος"), (" a\u2003", "a")]
    fuzzed = [(a, b + a[: len(a) // 2]) for a, b in zip(fuzz_text.texts(4, 40), fuzz_text.texts(5, 40))]
    pairs = [*zip(drawn[::2], drawn[1::2]), *fixed, *((a[:2000], b[:2000]) for a, b in fuzzed)]
    candidates, references = zip(*pairs)
    return list(candidates), list(references)


def test_equal_the_packages(tmp_path):
    candidates, references = texts(600)
    ours = eval_probe(tmp_path, candidates, references)
    scorer = RougeScorer(["rougeL"], use_stemmer=False)
    for index, (candidate, reference) in enumerate(zip(candidates, references)):
        shown = (candidate, reference)
        assert ours["rouge_l"][index] == pytest.approx(scorer.score(reference, candidate)["rougeL"].fmeasure), shown
        target = {"answers": {"answer_start": [0], "text": [reference]}, "id": "0"}
        wanted = squad({"prediction_text": candidate, "id": "0"}, target)["f1"].item() / 100
        assert ours["token_f1"][index] == pytest.approx(wanted, abs=1e-6), shown
        assert ours["exact"][index] == (candidate.strip() == reference.strip()), shown
    assert sum(0 < value < 1 for value in ours["rouge_l"]) > 200 and sum(0 < value < 1 for value in ours["token_f1"]) > 200
