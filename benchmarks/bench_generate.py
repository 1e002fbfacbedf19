"""Batched greedy generation: anneal against transformers' `generate` and, where it is installed, vLLM on the CPU.

Model: the Qwen3-0.6B shape with random weights, bf16. Prompts: gsm8k questions with the real Qwen tokenizer. All prompts
run as one batch, prefill included; every sequence gets the same number of new tokens. Tokens/s count new tokens; loading,
and vLLM's warm-up and compilation, are not timed. The programs take turns; all in one run.
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
VLLM = ROOT / "build" / "vllm"  # of tools/setup_vllm
VLLM_BLOCK = 128  # tokens; its default on CPUs


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


def vllm_peer(model: str, ids_file: str, new_tokens: int) -> None:
    """In a process of vLLM's environment: prints tokens/s. The cache has the blocks that the prompts need, and no more."""
    from vllm import LLM, SamplingParams

    ids = json.loads(Path(ids_file).read_text())
    config = json.loads((Path(model) / "config.json").read_text())
    token_bytes = 2 * 2 * config["num_hidden_layers"] * config["num_key_value_heads"] * config["head_dim"]  # K and V, bf16
    blocks = [-(-(len(one) + new_tokens) // VLLM_BLOCK) for one in ids]
    llm = LLM(model, dtype="bfloat16", max_num_seqs=len(ids), max_model_len=max(blocks) * VLLM_BLOCK,
              kv_cache_memory_bytes=(sum(blocks) + 2) * VLLM_BLOCK * token_bytes)  # fmt: skip

    def generated(prompts: list[list[int]], length: int) -> int:
        sampling = SamplingParams(temperature=0, max_tokens=length, min_tokens=length, ignore_eos=True, detokenize=False)
        done = llm.generate([{"prompt_token_ids": one} for one in prompts], sampling, use_tqdm=False)
        return sum(len(one.outputs[0].token_ids) for one in done)

    generated([one[::-1] for one in ids], 4)  # reversed: the prefix cache has none of it later
    started = time.perf_counter()
    tokens = generated(ids, new_tokens)
    print(json.dumps({"rate": tokens / (time.perf_counter() - started)}))


def run_vllm(model: Path, ids: list[list[int]], new_tokens: int) -> dict:
    (WORK / "ids.json").write_text(json.dumps(ids))
    command = [VLLM / "bin/python", __file__, "--vllm_peer", model, WORK / "ids.json", "--new_tokens", new_tokens]
    # The best of what was tried on two cores. One process, as a scheduler of its own would take one of them (and hide
    # its memory from `run_process`); no binding, as `auto` keeps a core free; compiled; Intel's OpenMP, as its manual says.
    environment = {"VLLM_ENABLE_V1_MULTIPROCESSING": "0", "VLLM_CPU_OMP_THREADS_BIND": "nobind", "OMP_NUM_THREADS": "2",
                   "LD_PRELOAD": str(VLLM / "lib/libiomp5.so"), "VLLM_CACHE_ROOT": str(WORK / "vllm-cache"),
                   "HF_HUB_OFFLINE": "1", "VLLM_NO_USAGE_STATS": "1"}  # fmt: skip
    peak, wall = run_process(command, WORK / "vllm.log", environment)
    lines = [line for line in (WORK / "vllm.log").read_text().splitlines() if line.startswith('{"rate"')]
    return json.loads(lines[-1]) | {"peak_gb": peak, "wall": wall}


def table(runs: dict[str, list[dict]]) -> str:
    lines = ["| program | new tokens/s | anneal is | peak GB | anneal's share |", "|---|---|---|---|---|"]
    rates = {name: statistics.median(run["rate"] for run in done) for name, done in runs.items()}
    peaks = {name: max(run["peak_gb"] for run in done) for name, done in runs.items()}
    for name in runs:
        ratios = ("", "")
        if name != "anneal":
            ratios = (f"{rates['anneal'] / rates[name]:.2f}x", f"{peaks['anneal'] / peaks[name]:.2f}")
        lines.append(f"| {name} | {rates[name]:.1f} | {ratios[0]} | {peaks[name]:.2f} | {ratios[1]} |")
    return "\n".join(lines)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--layers", type=int, default=28)
    parser.add_argument("--prompts", type=int, default=64)
    parser.add_argument("--new_tokens", type=int, default=64)
    parser.add_argument("--rounds", type=int, default=2)
    parser.add_argument("--only", choices=["anneal"], help="leave the peers out")
    parser.add_argument("--peer", nargs=2, help=argparse.SUPPRESS)
    parser.add_argument("--vllm_peer", nargs=2, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.peer:
        return peer(*arguments.peer, arguments.new_tokens)
    if arguments.vllm_peer:
        return vllm_peer(*arguments.vllm_peer, arguments.new_tokens)
    for path in (SHAPE, GSM8K):
        if not path.exists():
            print(f"bench: skipped, {path} is not there")
            return
    WORK.mkdir(parents=True, exist_ok=True)
    model = make_model(arguments.layers)
    ids = prompts(arguments.prompts, model)
    print(f"bench: {len(ids)} prompts of {sum(map(len, ids))} tokens, {arguments.new_tokens} new ones each", flush=True)
    series = {"anneal": run_anneal}
    if not arguments.only:
        series["HF generate"] = run_peer
        if (VLLM / ".version").exists():
            series["vLLM"] = run_vllm
        else:
            print("bench: vLLM is left out; `make bench-generate VLLM=1` installs it first (about 8 GB)", flush=True)
    runs: dict[str, list[dict]] = {name: [] for name in series}
    for number in range(arguments.rounds):
        for name, run in series.items():
            runs[name].append(run(model, ids, arguments.new_tokens))
            last = runs[name][-1]
            print(f"bench: round {number + 1}, {name}: {last['rate']:.1f} new tokens/s, peak {last['peak_gb']:.2f} GB, "
                  f"{last['wall']:.0f} s in all", flush=True)  # fmt: skip
    print(f"\n{table(runs)}")


if __name__ == "__main__":
    main()
