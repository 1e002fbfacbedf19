"""What FULL_SHARD costs and saves: memory, bytes on the wire and speed at 1, 2 and 4 ranks of this machine.

SmolLM2-135M-Instruct, full fine-tuning and LoRA, the same steps at any number of ranks. Memory is a rank's anonymous peak:
torch itself, activations, and at the end the copies that are saved are in it, about half a GB for LoRA. Beside it what
sharding answers for: parts of weights, gradients and moments, and the units that are gathered at one time.
Bytes are those of the loopback device in a network namespace of the training's own, beside the formula
of rings. Ranks on one machine share its cores: tokens/s say what sharding itself costs, not how it scales.
"""

import argparse
import json
import os
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT / "tests"))

from support.program import BUILD, anonymous_bytes, write_rows  # noqa: E402
from support.ranks import free_port, rank_environment  # noqa: E402

MODEL = ROOT / "build" / "models" / "SmolLM2-135M-Instruct"
STEPS, RANK_OF_LORA = 6, 32


def rows(count: int) -> list[dict[str, str]]:
    return [{"input": f"Count to {n}.\n", "output": " ".join(map(str, range(n % 60 + 20)))} for n in range(count)]


def loopback_bytes() -> int:
    """What the loopback device of this network namespace has sent."""
    line = next(line for line in Path("/proc/net/dev").read_text().splitlines() if line.strip().startswith("lo:"))
    return int(line.split()[9])


class Peaks:
    """The largest anonymous memory of each process, looked at every 20 ms."""

    def __init__(self, pids: list[int]) -> None:
        self.bytes = dict.fromkeys(pids, 0)
        self._stops = threading.Event()
        self._thread = threading.Thread(target=self._watch)
        self._thread.start()

    def _watch(self) -> None:
        while not self._stops.wait(0.02):
            for pid in self.bytes:
                self.bytes[pid] = max(self.bytes[pid], anonymous_bytes(pid))

    def end(self) -> list[int]:
        self._stops.set()
        self._thread.join()
        return list(self.bytes.values())


def train(work: Path, size: int, sharding: str, kind: str) -> dict:
    name = f"{kind}-{sharding}-{size}"
    flags = ["--full_ft"] if kind == "full" else ["--lora_rank", str(RANK_OF_LORA)]
    command = [str(BUILD / "anneal"), "train", "--hf_model_id", str(MODEL), "--data_dir", str(work / "data"), "--results_dir",
               str(work / "results"), "--run_name", name, "--max_steps", str(STEPS), "--logging_steps", "1", "--sharding", sharding,
               "--per_device_train_batch_size", "2", "--gradient_accumulation_steps", str(4 // size), "--save_steps", "0",
               "--eval_steps", "1000", "--gradient_checkpointing", "on", "--report_to", "none", *flags]  # fmt: skip
    port = free_port()
    environments = [rank_environment(rank, size, port, name) for rank in range(size)] if size > 1 else [dict(os.environ)]
    for environment in environments:
        environment["OMP_NUM_THREADS"] = str(max(1, (os.cpu_count() or 1) // size))
    ranks = [subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, text=True) for environment in environments]
    peaks = Peaks([rank.pid for rank in ranks])
    sent = {int(line.split("/")[0][5:]): loopback_bytes() for line in ranks[0].stdout if line.startswith("step ")}
    assert [rank.wait() for rank in ranks] == [0] * size
    events = [json.loads(line) for line in (work / "results" / name / "log.jsonl").read_text().splitlines()]
    steps = [event for event in events if "loss" in event]
    return {"kind": kind, "sharding": sharding, "ranks": size, "peak_bytes": max(peaks.end()),
            "tokens_per_second": sorted(step["tokens_per_second"] for step in steps[1:])[len(steps[1:]) // 2],
            "sent_bytes": (sent[STEPS] - sent[1]) / (STEPS - 1) / size}  # fmt: skip


def parts() -> dict[str, int]:
    """Parameters of the embedding, of one layer, and of LoRA in one layer."""
    config = json.loads((MODEL / "config.json").read_text())
    hidden, wide = config["hidden_size"], config["intermediate_size"]
    q = config["num_attention_heads"] * config.get("head_dim", hidden // config["num_attention_heads"])
    kv = q * config["num_key_value_heads"] // config["num_attention_heads"]
    shapes = [(q, hidden), (kv, hidden), (kv, hidden), (hidden, q), (wide, hidden), (wide, hidden), (hidden, wide)]
    return {"embedding": config["vocab_size"] * hidden, "layer": sum(a * b for a, b in shapes),
            "lora": sum((a + b) * RANK_OF_LORA for a, b in shapes), "layers": config["num_hidden_layers"]}  # fmt: skip


def formula_sent(kind: str, sharding: str, ranks: int) -> float:
    """Bytes that a rank sends in a step of one micro-batch: weights of bf16, gradients of float32. The embedding is gathered for
    itself and as the head, each layer forward and backward."""
    share, n = (ranks - 1) / ranks, parts()
    trained = n["embedding"] + n["layers"] * n["layer"] if kind == "full" else n["layers"] * n["lora"]
    if sharding == "none":
        return 2 * share * trained * 4
    gathered = 2 * n["embedding"] + 2 * n["layers"] * (n["layer"] + (n["lora"] if kind == "lora" else 0))
    reduced = trained + (n["embedding"] if kind == "full" else 0)  # of the head, then of the embedding
    return share * (gathered * 2 + reduced * 4)


def formula_held(kind: str, ranks: int) -> float:
    """Bytes of parts, and of two gathered layers or the embedding with the gradients that are open."""
    n = parts()
    base = n["embedding"] + n["layers"] * n["layer"]
    if kind == "full":
        return base * 16 / ranks + n["embedding"] * (2 + 4 + 4)
    return (base * 2 + n["layers"] * n["lora"] * 16) / ranks + n["embedding"] * 2


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--ranks", type=int, nargs="+", default=[1, 2, 4])
    parser.add_argument("--in_namespace", action="store_true", help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if not arguments.in_namespace:  # nobody else's bytes
        again = ["sh", "-c", 'ip link set lo up && exec "$@"', "sh", sys.executable, *sys.argv, "--in_namespace"]
        sys.exit(subprocess.run(["unshare", "--net", *again], check=False).returncode)
    subprocess.run([sys.executable, ROOT / "examples/demo/make_model.py", MODEL], check=True)
    with tempfile.TemporaryDirectory() as folder:
        work = Path(folder)
        write_rows(work / "data" / "training.jsonl", rows(200))
        (work / "data" / "validation.jsonl").write_text("")
        print("| | ranks | sharding | peak of a rank | parts and gathered units | sent a step | formula | tokens/s |\n|---|---|---|---|---|---|---|---|")
        for kind in ("lora", "full"):
            for size in arguments.ranks:
                for sharding in ("none", "full") if size > 1 else ("none",):
                    found = train(work, size, sharding, kind)
                    held = f"{formula_held(kind, size) / 1e9:.2f} GB" if sharding == "full" else ""
                    print(f"| {kind} | {size} | {sharding} | {found['peak_bytes'] / 1e9:.2f} GB | {held} | "
                          f"{found['sent_bytes'] / 1e9:.4f} GB | {formula_sent(kind, sharding, size) / 1e9:.4f} GB | "
                          f"{found['tokens_per_second']:.0f} |", flush=True)  # fmt: skip


if __name__ == "__main__":
    main()
