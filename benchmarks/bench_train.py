"""Training speed and peak memory: anneal against HF Trainer (+ PEFT), same data, model and flags, in one run.

The programs take turns; a figure is the median of real tokens/s over all steps but the first of each run. Memory is the peak
above the weights and what the optimizer holds (parameters, gradients and moments in float32), the same bytes for both.
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

from train_cases import CASES, GSM8K, QWEN3, ROOT, SHARED, WORK, Case

RESULTS = ROOT / "benchmarks" / "results"
SEED = 16257
__all__ = ["RESULTS", "ROOT", "SHARED", "cpu_name"]


@dataclass
class Run:
    """Of one program in one round: tokens/s of each step but the first, and what its process used."""

    rates: list[float]
    peak_gb: float
    wall_seconds: float
    start_seconds: float  # from the command to the start of the first step
    losses: list[float]
    flops: float = 0  # of ours: what a second of its steps computed, as the model needs it
    limit_share: float = 0  # as the log has it


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
    def start_seconds(self) -> float:
        return statistics.median([run.start_seconds for run in self.runs])

    @property
    def limit_share(self) -> float:
        return statistics.median([run.limit_share for run in self.runs])

    @property
    def flops(self) -> float:
        return statistics.median([run.flops for run in self.runs])


@dataclass
class Measured:
    case: Case
    states_gb: float  # weights, and what the optimizer holds
    series: list[Series]  # ours first

    @property
    def ours(self) -> Series:
        return self.series[0]


def run_process(command: list[Any], log: Path, environment: dict[str, str]) -> tuple[float, float, float]:
    """When the command started, its peak resident GB and wall seconds; its output goes to `log`."""
    at, started = time.time(), time.perf_counter()
    with log.open("w") as file:
        process = subprocess.Popen(
            [str(part) for part in command], stdout=file, stderr=subprocess.STDOUT, env=os.environ | environment
        )
        _, status, usage = os.wait4(process.pid, 0)
        process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode != 0:
        print(log.read_text()[-4000:], file=sys.stderr)
        raise SystemExit(f"{command[0]} ended with {process.returncode}; the whole output: {log}")
    return at, usage.ru_maxrss / 1024**2, time.perf_counter() - started


def run_anneal(case: Case, name: str) -> Run:
    run = WORK / "runs" / name
    command: list[Any] = [ROOT / "build/release/anneal", "train", "--hf_model_id", case.model(), "--data_dir", case.data()]
    command += ["--results_dir", run.parent, "--run_name", name, "--max_steps", case.steps, "--seed", SEED]
    command += ["--per_device_train_batch_size", case.batch, "--gradient_accumulation_steps", case.accumulation]
    command += ["--max_seq_length", case.max_seq_length, "--compute_dtype", "bf16", "--logging_steps", 1]
    command += ["--eval_steps", case.steps, "--save_steps", case.steps]
    if case.full:
        command += ["--full_ft"]
    else:
        command += ["--lora_rank", 32, "--lora_alpha", 32, "--lora_dropout", 0.1, "--base_dtype", "bf16"]
        command += ["--lora_target_modules", ",".join(case.targets)]
    subprocess.run(["rm", "-rf", run], check=True)
    at, peak, wall = run_process(command, WORK / f"{name}.log", {"OMP_NUM_THREADS": str(os.cpu_count())})
    events = [json.loads(line) for line in (run / "log.jsonl").read_text().splitlines()]
    steps = [event for event in events if "loss" in event and "tokens_per_second" in event]
    if len(steps) != case.steps:
        raise SystemExit(f"{run}/log.jsonl has {len(steps)} steps; {case.steps} are wanted")
    subprocess.run(["rm", "-rf", run], check=True)
    # A step's tokens are not in the log: the time from line to line is the step's.
    seconds = [after["wall_time"] - before["wall_time"] for before, after in zip(steps, steps[1:])]
    flops = next(event["total_flos"] for event in events if "total_flos" in event)
    first = statistics.median(seconds) * steps[1]["tokens_per_second"] / steps[0]["tokens_per_second"]
    return Run(
        rates=[step["tokens_per_second"] for step in steps[1:]],
        peak_gb=peak,
        wall_seconds=wall,
        start_seconds=steps[0]["wall_time"] - first - at,
        losses=[step["loss"] for step in steps],
        flops=flops / (sum(seconds) + first),
        limit_share=statistics.median([step["limit_share"] for step in steps[1:]]),
    )


def run_peer(case: Case, name: str, changes: dict[str, Any]) -> Run:
    recipe = {"steps": case.steps, "batch": case.batch, "accumulation": case.accumulation, "rank": 32, "alpha": 32}
    recipe |= {"dropout": 0 if case.full else 0.1, "seed": SEED, "targets": case.targets, "dtype": "bf16"}
    recipe |= {"full_ft": case.full, "threads": os.cpu_count(), "max_seq_length": case.max_seq_length} | changes
    job, result = WORK / f"{name}.job.json", WORK / f"{name}.result.json"
    job.write_text(json.dumps({"model": str(case.model()), "rows": str(case.data() / "training.jsonl"), "recipe": recipe}))
    environment = {"PYTHONPATH": str(ROOT / "tests"), "HF_HUB_OFFLINE": "1", "OMP_NUM_THREADS": str(os.cpu_count())}
    command = [sys.executable, "-m", "reference.hf_train", job, result]
    at, peak, wall = run_process(command, WORK / f"{name}.log", environment)
    done = json.loads(result.read_text())
    rates = [step["tokens"] / step["seconds"] for step in done["steps"][1:]]
    return Run(rates, peak, wall, done["first_step_at"] - at, [step["loss"] for step in done["steps"]])


def states_gb(case: Case) -> float:
    """Weights as they are held, and float32 parameters, gradients and two moments of what is trained."""
    model = case.model()
    sizes = [path.stat().st_size for path in model.glob("*.safetensors")]
    if case.full:
        return sum(sizes) / 2 * 16 / 1e9
    config = ["--hf_model_id", model, "--lora_rank", 32, "--lora_target_modules", ",".join(case.targets)]
    planned = subprocess.run(
        [str(part) for part in (ROOT / "build/release/anneal", "plan", *config, "--json")], capture_output=True, text=True, check=True
    )
    return sum(sizes) / 1e9 + json.loads(planned.stdout)["trained_parameters"] * 16 / 1e9


def measure(case: Case, rounds: int | None = None) -> Measured:
    series = [Series("anneal"), *(Series(peer) for peer in case.peers)]
    for number in range(rounds or case.rounds):
        for place, one in enumerate(series):
            name = f"{case.name}-{place}-round-{number + 1}"
            run = run_peer(case, name, case.peers[one.name]) if place else run_anneal(case, name)
            one.runs.append(run)
            print(
                f"bench: {case.title}, round {number + 1}, {one.name}: {statistics.median(run.rates):.0f} tokens/s, "
                f"peak {run.peak_gb:.2f} GB, {run.start_seconds:.1f} s to the first step, {run.wall_seconds:.0f} s in all",
                flush=True,
            )
    return Measured(case, states_gb(case), series)


def table(measured: list[Measured]) -> str:
    lines = ["| work | program | tokens/s | ratio | GB above weights and optimizer | ratio |", "|---|---|---|---|---|---|"]
    for one in measured:
        ours = one.ours
        for series in one.series:
            above, ours_above = series.peak_gb - one.states_gb, ours.peak_gb - one.states_gb
            ratios = ("", "") if series is ours else (f"{ours.rate / series.rate:.2f}x", f"{ours_above / above:.2f}")
            lines.append(
                f"| {one.case.title} | {series.name} | {series.rate:.0f} | {ratios[0]} | {above:.2f} | {ratios[1]} |"
            )
    return "\n".join(lines)


def as_json(measured: list[Measured]) -> dict[str, Any]:
    return {
        one.case.name: {
            "states_gb": one.states_gb,
            "programs": {
                series.name: {"tokens_per_second": series.rate, "peak_gb": series.peak_gb, "runs": [asdict(run) for run in series.runs]}
                for series in one.series
            },
        }
        for one in measured
    }


def cpu_name() -> str:
    for line in Path("/proc/cpuinfo").read_text().splitlines():
        if line.startswith("model name"):
            return line.split(":", 1)[1].strip()
    return platform.processor()


def cases_named(names: list[str]) -> list[Case]:
    known = {case.name: case for case in CASES}
    return [known[name] for name in names]


def is_possible() -> bool:
    for path in (QWEN3, GSM8K):
        if not path.exists():
            print(f"bench: skipped, {path} is not there")
            return False
    WORK.mkdir(parents=True, exist_ok=True)
    return True


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--cases", nargs="+", default=["lora-4", "lora-8"], choices=[case.name for case in CASES])
    parser.add_argument("--rounds", type=int)
    arguments = parser.parse_args()
    if not is_possible():
        return
    measured = [measure(case, arguments.rounds) for case in cases_named(arguments.cases)]
    now = datetime.datetime.now().isoformat(timespec="seconds")
    RESULTS.mkdir(parents=True, exist_ok=True)
    path = RESULTS / f"train-{now.replace(':', '')}.json"
    path.write_text(json.dumps({"time": now, "processor": cpu_name(), "cores": os.cpu_count(), "cases": as_json(measured)}, indent=1))
    print(f"\n{table(measured)}\n\nbench: written to {path.relative_to(ROOT)}")


if __name__ == "__main__":
    main()
