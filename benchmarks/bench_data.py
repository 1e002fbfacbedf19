"""Data: files to JSONL against `datasets` (load, batched map, to_json), and tokens against `tokenizers` (encode_batch).

Rows are grown from gsm8k and alpaca: other numbers, sentences in other orders; no two are equal. Programs take turns, each
with as many threads as there are cores. A figure is the median of its rounds. Ours counts the hash of the source, the
split, hashes of what is written and fsync; the peer neither splits nor hashes. Peak memory is that of one process.
"""

import argparse
import datetime
import hashlib
import json
import os
import random
import re
import shutil
import statistics
import subprocess
import sys
import time
from pathlib import Path

from bench_train import RESULTS, ROOT, SHARED, cpu_name

WORK = ROOT / "build" / "bench-data"
MODEL = SHARED / "models" / "qwen3-0.6b-shape"
INPUT, OUTPUT = "### Instruction:\n{instruction}\n### Input:\n{input}\n", "### Response:\n{output}"
GOALS = {"rows": 8, "tokens": 5}
MORE_MB = 64  # that ten times the rows may take
THREADS = len(os.sched_getaffinity(0))

PEER_ROWS = """
import sys, datasets
datasets.disable_progress_bars()
source, target, cache, threads = sys.argv[1:5]
INPUT, OUTPUT = sys.argv[5:7]
rows = datasets.load_dataset("json", data_files=source, split="train", cache_dir=cache)
def render(batch):
    filled = [dict(zip(batch, values)) for values in zip(*batch.values())]
    return {"input": [INPUT.format(**row) for row in filled], "output": [OUTPUT.format(**row) for row in filled]}
made = rows.map(render, batched=True, remove_columns=rows.column_names, num_proc=int(threads))
made.to_json(target, num_proc=int(threads), force_ascii=False)
"""

PEER_TOKENS = """
import sys, json, time
from tokenizers import Tokenizer
tokenizer = Tokenizer.from_file(sys.argv[1])
texts = []
for line in open(sys.argv[2], encoding="utf-8"):
    row = json.loads(line)
    texts += [row["input"], row["output"]]
started, tokens = time.perf_counter(), 0
for first in range(0, len(texts), 20000):
    tokens += sum(map(len, tokenizer.encode_batch(texts[first : first + 20000])))
print(json.dumps({"seconds": time.perf_counter() - started, "tokens": tokens}))
"""


def seeds() -> list[dict[str, str]]:
    rows = []
    for name in ("train", "test"):
        for line in (SHARED / "data" / "gsm8k" / f"{name}.jsonl").read_text(encoding="utf-8").splitlines():
            row = json.loads(line)
            rows.append({"instruction": row["question"], "input": "", "output": row["answer"]})
    alpaca = json.loads((SHARED / "data" / "instruction" / "alpaca_en_demo.json").read_text(encoding="utf-8"))
    # Half of what is grown is of each kind.
    return rows + alpaca * (len(rows) // len(alpaca))


def grow(path: Path, count: int) -> Path:
    """Made once; no two rows are equal."""
    if path.exists():
        return path
    print(f"bench: writing {path.relative_to(ROOT)}", flush=True)
    chance, kinds, seen = random.Random(16257), seeds(), set()
    other_number = lambda found: str(chance.randrange(10 ** len(found[0])))  # noqa: E731
    with path.with_suffix(".partial").open("w", encoding="utf-8") as file:
        while len(seen) < count:
            row = {name: re.sub(r"\d{1,9}", other_number, text) for name, text in chance.choice(kinds).items()}
            sentences = re.split(r"(?<=[.!?])\s", row["output"])
            chance.shuffle(sentences)
            row["output"] = " ".join(sentences)
            line = json.dumps(row, ensure_ascii=False)
            digest = hashlib.blake2b(line.encode(), digest_size=12).digest()
            if digest not in seen:
                seen.add(digest)
                file.write(line + "\n")
    path.with_suffix(".partial").rename(path)
    return path


def measured(command: list[object], **environment: str) -> tuple[float, float, str]:
    """Wall seconds, peak resident MB and standard output."""
    started = time.perf_counter()
    process = subprocess.Popen([str(part) for part in command], stdout=subprocess.PIPE, text=True, cwd=WORK,
                               env=os.environ | environment)  # fmt: skip
    output = process.stdout.read()
    _, status, usage = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode != 0:
        raise SystemExit(f"{command[0]} ended with {process.returncode}")
    return time.perf_counter() - started, usage.ru_maxrss / 1024, output


def prepare(source: Path, folder: Path) -> tuple[float, float]:
    command = [ROOT / "build/release/anneal", "prepare", "--hfdc_dataset_name", source, "--data_dir", folder]
    seconds, peak, _ = measured([*command, "--hfdc_input_template", INPUT, "--hfdc_output_template", OUTPUT])
    return seconds, peak


def time_rows(source: Path, count: int, rounds: int) -> dict[str, list[float]]:
    rates: dict[str, list[float]] = {"anneal": [], "datasets": []}
    for _ in range(rounds):
        shutil.rmtree(WORK / "made", ignore_errors=True)
        rates["anneal"].append(count / prepare(source, WORK / "made")[0])
        shutil.rmtree(WORK / "cache", ignore_errors=True)
        peer = [sys.executable, "-c", PEER_ROWS, source, WORK / "peer.jsonl", WORK / "cache", THREADS, INPUT, OUTPUT]
        rates["datasets"].append(count / measured(peer)[0])
    same = sum(1 for _ in (WORK / "peer.jsonl").open("rb"))
    assert same == count, f"datasets wrote {same} rows of {count}"
    return rates


def time_tokens(lines: Path, rounds: int) -> tuple[dict[str, list[float]], dict[str, float]]:
    """The training file in as many parts as there are rounds."""
    rates: dict[str, list[float]] = {"anneal": [], "tokenizers": []}
    rows = lines.read_bytes().splitlines(keepends=True)
    size, words = -(-len(rows) // rounds), {"words": 0, "hits": 0}
    for index in range(rounds):
        part = WORK / "part.jsonl"
        part.write_bytes(b"".join(rows[index * size : (index + 1) * size]))
        ours = json.loads(measured([ROOT / "build/release/encode_probe", MODEL, part, THREADS])[2])
        peer_command = [sys.executable, "-c", PEER_TOKENS, MODEL / "tokenizer.json", part]
        peer = json.loads(measured(peer_command, RAYON_NUM_THREADS=str(THREADS), TOKENIZERS_PARALLELISM="true")[2])
        assert ours["tokens"] == peer["tokens"], f"anneal makes {ours['tokens']} tokens, tokenizers {peer['tokens']}"
        rates["anneal"].append(ours["tokens"] / ours["seconds"])
        rates["tokenizers"].append(peer["tokens"] / peer["seconds"])
        for name in words:
            words[name] += ours[name]
    return rates, words


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rows", type=int, default=500_000)
    parser.add_argument("--rounds", type=int, default=5)
    arguments = parser.parse_args()
    if not (SHARED / "data" / "gsm8k").exists():
        print(f"bench: skipped, {SHARED} is not there")
        return
    WORK.mkdir(parents=True, exist_ok=True)
    source = grow(WORK / f"rows-{arguments.rows}.jsonl", arguments.rows)
    tenth = grow(WORK / f"rows-{arguments.rows // 10}.jsonl", arguments.rows // 10)
    shutil.rmtree(WORK / "tenth", ignore_errors=True)
    _, small_peak = prepare(tenth, WORK / "tenth")
    rows = time_rows(source, arguments.rows, arguments.rounds)
    again, _ = prepare(source, WORK / "made")
    shutil.rmtree(WORK / "made")
    _, peak = prepare(source, WORK / "made")
    tokens, words = time_tokens(WORK / "made" / "training.jsonl", arguments.rounds)

    table = ["| what | anneal | peer | ratio | required |", "|---|---|---|---|---|"]
    for name, rates in ("rows", rows), ("tokens", tokens):
        ours, peer = (statistics.median(found) for found in rates.values())
        table.append(f"| {name}/s | {ours:,.0f} | {peer:,.0f} | {ours / peer:.1f}x | {GOALS[name]}x |")
    table += [f"\nsecond start: {again:.2f} s",
              f"peak memory: {small_peak:.0f} MB at {arguments.rows // 10:,} rows, {peak:.0f} MB at {arguments.rows:,}: "
              f"{peak - small_peak:.0f} MB more (at most {MORE_MB})",
              f"word cache: {100 * words['hits'] / words['words']:.1f} % of {words['words']:,} words"]  # fmt: skip
    text = "\n".join(table)
    now = datetime.datetime.now().isoformat(timespec="seconds")
    heading = f"{now}, {cpu_name()}, {THREADS} cores, {arguments.rows} rows, {arguments.rounds} rounds"
    RESULTS.mkdir(parents=True, exist_ok=True)
    stem = RESULTS / f"data-{now.replace(':', '')}"
    figures = {"run": heading, "rows_per_second": rows, "tokens_per_second": tokens, "second_start_seconds": again,
               "peak_mb": [small_peak, peak]}  # fmt: skip
    stem.with_suffix(".json").write_text(json.dumps(figures))
    stem.with_suffix(".md").write_text(f"{heading}\n\n{text}\n")
    print(f"\n{text}\n\nbench: written to {stem.relative_to(ROOT)}.json and .md")


if __name__ == "__main__":
    main()
