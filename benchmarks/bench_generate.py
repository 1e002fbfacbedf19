"""Batched greedy generation: anneal against transformers' `generate`, same model, prompts and batch, in one run.

Model: the Qwen3-0.6B shape with random weights, bf16. Prompts: gsm8k questions with the real Qwen tokenizer. All prompts
run as one batch, prefill included; every sequence gets the same number of new tokens. Tokens/s count new tokens.
"""

import argparse
import json
import statistics
import subprocess
import sys
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT / "benchmarks"))

from bench_train import GSM8K, SHAPE, make_model, run_process  # noqa: E402

WORK = ROOT / "build" / "bench-generate"


def prompts(count: int, model: Path) -> list[list[int]]:
    from transformers import AutoTokenizer

    tokenizer = AutoTokenizer.from_pretrained(model)
    questions = [json.loads(line)["question"] for line in GSM8K.read_text(encoding="utf-8").splitlines()[:count]]
    return [tokenizer(question + "\n")["input_ids"] for question in questions]


def run_anneal(model: Path, ids: list[list[int]], new_tokens: int) -> dict:
    request = {"model": str(model), "compute_dtype": "bf16", "prompts": ids, "output": str(WORK / "anneal.json"),
               "options": {"temperature": 0.0, "max_tokens": new_tokens, "batch_size": len(ids)}}  # fmt: skip
    (WORK / "request.json").write_text(json.dumps(request))
    peak, wall = run_process([ROOT / "build/release/generate_probe", WORK / "request.json"], WORK / "anneal.log", {"OMP_NUM_THREADS": "2"})
    report = json.loads((WORK / "anneal.json").read_text())
    tokens = sum(len(one["ids"]) for one in report["completions"])
    return {"rate": tokens / report["seconds"], "peak_gb": peak, "wall": wall}


def peer(model: str, ids_file: str, new_tokens: int) -> None:
    """In a process of its own: prints tokens/s."""
    import torch
    from transformers import AutoModelForCausalLM

    torch.set_num_threads(2)
    network = AutoModelForCausalLM.from_pretrained(model, dtype=torch.bfloat16).eval()
    ids = json.loads(Path(ids_file).read_text())
    width = max(map(len, ids))
    padded = torch.tensor([[0] * (width - len(one)) + one for one in ids])
    mask = torch.tensor([[0] * (width - len(one)) + [1] * len(one) for one in ids])
    started = time.perf_counter()
    with torch.inference_mode():
        out = network.generate(padded, attention_mask=mask, max_new_tokens=new_tokens, min_new_tokens=new_tokens,
                               do_sample=False, pad_token_id=0)  # fmt: skip
    seconds = time.perf_counter() - started
    print(json.dumps({"rate": (out.shape[1] - width) * len(ids) / seconds}))


def run_peer(model: Path, ids: list[list[int]], new_tokens: int) -> dict:
    (WORK / "ids.json").write_text(json.dumps(ids))
    command = [sys.executable, __file__, "--peer", model, WORK / "ids.json", "--new_tokens", new_tokens]
    peak, wall = run_process(command, WORK / "peer.log", {"OMP_NUM_THREADS": "2", "HF_HUB_OFFLINE": "1"})
    report = json.loads((WORK / "peer.log").read_text().splitlines()[-1])
    return report | {"peak_gb": peak, "wall": wall}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--layers", type=int, default=28)
    parser.add_argument("--prompts", type=int, default=64)
    parser.add_argument("--new_tokens", type=int, default=64)
    parser.add_argument("--rounds", type=int, default=2)
    parser.add_argument("--only", choices=["anneal"], help="leave the peer out")
    parser.add_argument("--peer", nargs=2, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.peer:
        return peer(*arguments.peer, arguments.new_tokens)
    for path in (SHAPE, GSM8K):
        if not path.exists():
            print(f"bench: skipped, {path} is not there")
            return
    WORK.mkdir(parents=True, exist_ok=True)
    model = make_model(arguments.layers)
    ids = prompts(arguments.prompts, model)
    print(f"bench: {len(ids)} prompts of {sum(map(len, ids))} tokens, {arguments.new_tokens} new ones each", flush=True)
    series = {"anneal": run_anneal} | ({} if arguments.only else {"HF generate": run_peer})
    runs: dict[str, list[dict]] = {name: [] for name in series}
    for number in range(arguments.rounds):
        for name, run in series.items():
            runs[name].append(run(model, ids, arguments.new_tokens))
            last = runs[name][-1]
            print(f"bench: round {number + 1}, {name}: {last['rate']:.1f} new tokens/s, peak {last['peak_gb']:.2f} GB, "
                  f"{last['wall']:.0f} s in all", flush=True)  # fmt: skip
    ours = statistics.median(run["rate"] for run in runs["anneal"])
    for name, done in runs.items():
        rate = statistics.median(run["rate"] for run in done)
        print(f"{name}: {rate:.1f} new tokens/s, peak {max(run['peak_gb'] for run in done):.2f} GB; anneal is {ours / rate:.2f}x")


if __name__ == "__main__":
    main()
