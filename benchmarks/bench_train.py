"""LoRA training speed and peak memory: anneal against HF Trainer + PEFT, same data, model and flags, in one run.

Model: Qwen3-0.6B widths with a few layers and random weights. Data: gsm8k, question -> answer. Recipe: gradient
checkpointing and padding in the peer, 2 x 4 samples a step, rank 32 on seven targets, dropout 0.1, bf16. The two take
turns; a figure is the median of real tokens/s over all steps but the first of each run.
"""

import argparse
import datetime
import json
import os
import platform
import statistics
import subprocess
import sys
import time
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[1]
SHARED = ROOT.parent / "shared"
SHAPE = SHARED / "models" / "qwen3-0.6b-shape"
GSM8K = SHARED / "data" / "gsm8k" / "train.jsonl"
WORK = ROOT / "build" / "bench-train"
RESULTS = ROOT / "benchmarks" / "results"
ROWS = 512
SEED = 16257
TARGETS = ["q_proj", "k_proj", "v_proj", "o_proj", "gate_proj", "up_proj", "down_proj"]


@dataclass
class Run:
    """Of one program in one round: tokens/s of each step but the first, and what its process used."""

    rates: list[float]
    peak_gb: float
    wall_seconds: float
    losses: list[float]


@dataclass
class Series:
    name: str
    runs: list[Run] = field(default_factory=list)

    @property
    def rate(self) -> float:
        return statistics.median([rate for run in self.runs for rate in run.rates])

    @property
    def peak_gb(self) -> float:
        return max(run.peak_gb for run in self.runs)

    @property
    def wall_seconds(self) -> float:
        return statistics.median([run.wall_seconds for run in self.runs])


def make_model(layers: int) -> Path:
    """A folder with random weights; made once."""
    folder = WORK / f"qwen3-0.6b-{layers}-layers"
    if (folder / "tokenizer.json").exists():
        return folder
    print(f"bench: writing {folder.relative_to(ROOT)}", flush=True)
    code = (
        "import sys, torch; from transformers import AutoConfig, AutoModelForCausalLM;"
        "from transformers.utils import logging; logging.disable_progress_bar();"
        "torch.manual_seed(1); config = AutoConfig.from_pretrained(sys.argv[1]);"
        "config.num_hidden_layers = int(sys.argv[3]); config.layer_types = ['full_attention'] * int(sys.argv[3]);"
        "AutoModelForCausalLM.from_config(config, dtype=torch.bfloat16).save_pretrained(sys.argv[2])"
    )
    subprocess.run([sys.executable, "-c", code, SHAPE, folder, str(layers)], check=True)
    for path in (SHAPE / "chat_template.jinja", SHAPE / "tokenizer_config.json", SHAPE / "tokenizer.json"):
        (folder / path.name).write_bytes(path.read_bytes())  # tokenizer.json last: it marks the folder as whole
    return folder


def make_data() -> Path:
    folder = WORK / "data"
    folder.mkdir(parents=True, exist_ok=True)
    rows = [json.loads(line) for line in GSM8K.read_text(encoding="utf-8").splitlines()[: ROWS + 4]]
    lines = [json.dumps({"input": row["question"] + "\n", "output": row["answer"]}) + "\n" for row in rows]
    for name, part in (("training", lines[:ROWS]), ("validation", lines[ROWS : ROWS + 2]), ("test", lines[ROWS + 2 :])):
        (folder / f"{name}.jsonl").write_text("".join(part), encoding="utf-8")
    return folder


def run_process(command: list[Any], log: Path, environment: dict[str, str]) -> tuple[float, float]:
    """Peak resident GB and wall seconds of the command; its output goes to `log`."""
    started = time.perf_counter()
    with log.open("w") as file:
        process = subprocess.Popen(
            [str(part) for part in command], stdout=file, stderr=subprocess.STDOUT, env=os.environ | environment
        )
        _, status, usage = os.wait4(process.pid, 0)
        process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode != 0:
        print(log.read_text()[-4000:], file=sys.stderr)
        raise SystemExit(f"{command[0]} ended with {process.returncode}; the whole output: {log}")
    return usage.ru_maxrss / 1024**2, time.perf_counter() - started


def run_anneal(model: Path, data: Path, steps: int, name: str) -> Run:
    command: list[Any] = [ROOT / "build/release/anneal", "train", "--hf_model_id", model, "--data_dir", data]
    command += ["--results_dir", WORK / "runs", "--run_name", name, "--max_steps", steps, "--seed", SEED]
    command += ["--per_device_train_batch_size", 2, "--gradient_accumulation_steps", 4, "--lora_rank", 32]
    command += ["--lora_alpha", 32, "--lora_dropout", 0.1, "--lora_target_modules", ",".join(TARGETS)]
    command += ["--compute_dtype", "bf16", "--base_dtype", "bf16", "--logging_steps", 1, "--eval_steps", steps]
    subprocess.run(["rm", "-rf", WORK / "runs" / name], check=True)
    peak, wall = run_process(command, WORK / f"{name}.log", {"OMP_NUM_THREADS": "2"})
    events = [json.loads(line) for line in (WORK / "runs" / name / "log.jsonl").read_text().splitlines()]
    logged = [event for event in events if "loss" in event and "tokens_per_second" in event]
    if len(logged) != steps:
        raise SystemExit(f"{WORK / 'runs' / name}/log.jsonl has {len(logged)} steps; {steps} are wanted")
    return Run([event["tokens_per_second"] for event in logged[1:]], peak, wall, [event["loss"] for event in logged])


def run_peer(model: Path, data: Path, steps: int, name: str, recompute: bool) -> Run:
    recipe = {"steps": steps, "batch": 2, "accumulation": 4, "rank": 32, "alpha": 32, "dropout": 0.1, "seed": SEED}
    recipe |= {"targets": TARGETS, "dtype": "bf16", "gradient_checkpointing": recompute, "threads": 2}
    recipe |= {"learning_rate": 5e-5, "min_learning_rate": 1e-6}
    job, result = WORK / f"{name}.job.json", WORK / f"{name}.result.json"
    job.write_text(json.dumps({"model": str(model), "rows": str(data / "training.jsonl"), "recipe": recipe}))
    environment = {"PYTHONPATH": str(ROOT / "tests"), "HF_HUB_OFFLINE": "1", "OMP_NUM_THREADS": "2"}
    command = [sys.executable, "-m", "reference.hf_train", job, result]
    peak, wall = run_process(command, WORK / f"{name}.log", environment)
    done = json.loads(result.read_text())["steps"]
    rates = [step["tokens"] / step["seconds"] for step in done[1:]]
    return Run(rates, peak, wall, [step["loss"] for step in done])


def measure(layers: int, steps: int, rounds: int, no_recompute: bool) -> list[Series]:
    model, data = make_model(layers), make_data()
    series = [Series("anneal"), Series("HF + PEFT")] + ([Series("HF + PEFT, no recompute")] if no_recompute else [])
    for number in range(rounds):
        for one in series:
            name = f"{layers}-layers-{series.index(one)}-round-{number + 1}"
            if one.name == "anneal":
                run = run_anneal(model, data, steps, name)
            else:
                run = run_peer(model, data, steps, name, recompute=one is series[1])
            one.runs.append(run)
            print(
                f"bench: {layers} layers, round {number + 1}, {one.name}: {statistics.median(run.rates):.0f} tokens/s, "
                f"peak {run.peak_gb:.2f} GB, {run.wall_seconds:.0f} s in all",
                flush=True,
            )
    return series


def table(measured: dict[int, list[Series]]) -> str:
    lines = ["| layers | program | real tokens/s | ratio | peak GB | ratio | whole run, s |", "|---|---|---|---|---|---|---|"]
    for layers, series in measured.items():
        ours = series[0]
        for one in series:
            ratios = ("", "") if one is ours else (f"{ours.rate / one.rate:.2f}x", f"{ours.peak_gb / one.peak_gb:.2f}")
            lines.append(
                f"| {layers} | {one.name} | {one.rate:.0f} | {ratios[0]} | {one.peak_gb:.2f} | {ratios[1]} "
                f"| {one.wall_seconds:.0f} |"
            )
    return "\n".join(lines)


def cpu_name() -> str:
    for line in Path("/proc/cpuinfo").read_text().splitlines():
        if line.startswith("model name"):
            return line.split(":", 1)[1].strip()
    return platform.processor()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--layers", type=int, nargs="+", default=[4, 8])
    parser.add_argument("--steps", type=int, default=4, help="optimizer steps a run; the first is not counted")
    parser.add_argument("--rounds", type=int, default=2)
    parser.add_argument("--no_recompute", action="store_true", help="a second peer without gradient checkpointing")
    arguments = parser.parse_args()
    if arguments.steps < 2:
        parser.error("--steps: at least 2, as the first is not counted")
    for path in (SHAPE, GSM8K):
        if not path.exists():
            print(f"bench: skipped, {path} is not there")
            return
    WORK.mkdir(parents=True, exist_ok=True)
    measured = {
        layers: measure(layers, arguments.steps, arguments.rounds, arguments.no_recompute) for layers in arguments.layers
    }
    RESULTS.mkdir(parents=True, exist_ok=True)
    commit = subprocess.run(["git", "rev-parse", "--short", "HEAD"], cwd=ROOT, capture_output=True, text=True).stdout.strip()
    now = datetime.datetime.now().isoformat(timespec="seconds")
    report = {
        "time": now,
        "commit": commit,
        "processor": cpu_name(),
        "cores": os.cpu_count(),
        "steps": arguments.steps,
        "rounds": arguments.rounds,
        "layers": {
            str(layers): {
                one.name: {"tokens_per_second": one.rate, "peak_gb": one.peak_gb, "runs": [asdict(run) for run in one.runs]}
                for one in series
            }
            for layers, series in measured.items()
        },
    }
    stem = RESULTS / f"train-{now.replace(':', '')}"
    text = table(measured)
    stem.with_suffix(".json").write_text(json.dumps(report, indent=1))
    stem.with_suffix(".md").write_text(f"{now}, {cpu_name()}, {os.cpu_count()} cores, commit {commit or 'none'}\n\n{text}\n")
    print(f"\n{text}\n\nbench: written to {stem.relative_to(ROOT)}.json and .md")


if __name__ == "__main__":
    main()
