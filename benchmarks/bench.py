"""Every speed and memory goal of training, in one run: writes benchmarks/results/<date>_<machine>.json and the table of
docs/performance.md between its marks.

Each row says what the machine's own limit allows: a step cannot be faster than its multiplications at the rate that torch's
own linear layers reach here, so a ratio over a peer cannot exceed (limit / peer).
"""

import argparse
import datetime
import json
import os
import re
import statistics
import subprocess
import sys
import time
from dataclasses import dataclass
from importlib import metadata
from typing import Any

from bench_train import RESULTS, ROOT, Measured, as_json, cases_named, cpu_name, is_possible, measure

PAGE = ROOT / "docs" / "performance.md"
BEGIN, END = "<!-- measured by make bench -->\n", "<!-- end -->\n"
ORDER = ["lora-28", "smollm2", "full-8", "long-2048", "long-8192", "mixtral"]
ROWS_OF_RATE = 2048
SHAPES = [(2048, 1024), (1024, 1024), (1024, 1024), (1024, 2048), (3072, 1024), (3072, 1024), (1024, 3072)]


@dataclass
class Row:
    work: str
    peer: str
    value: str
    required: str
    met: bool
    limit: str = ""  # what the ratio would be at the limit of the machine


def linear_rate() -> float:
    """bf16 FLOP/s of torch's linear at the seven weight shapes of Qwen3-0.6B, weighted by FLOPs."""
    import torch

    seconds = flops = 0.0
    for outputs, inputs in SHAPES:
        x, weight = torch.randn(ROWS_OF_RATE, inputs).bfloat16(), torch.randn(outputs, inputs).bfloat16()
        times = []
        for _ in range(12):
            started = time.perf_counter()
            torch.nn.functional.linear(x, weight)
            times.append(time.perf_counter() - started)
        seconds += statistics.median(times[2:])
        flops += 2.0 * ROWS_OF_RATE * outputs * inputs
    return flops / seconds


def help_seconds() -> float:
    times = []
    for _ in range(7):
        started = time.perf_counter()
        subprocess.run([ROOT / "build/release/anneal", "--help"], check=True, stdout=subprocess.DEVNULL)
        times.append(time.perf_counter() - started)
    return statistics.median(times)


def ratio_row(one: Measured, peer: int, required: float, rate: float) -> Row:
    """tokens/s over the peer's; `rate` is the machine's FLOP/s, which bounds it."""
    series = one.series[peer]
    ratio = one.ours.rate / series.rate
    bound = ratio * rate / one.ours.flops
    return Row(one.case.title, series.name, f"{ratio:.2f}x", f"{required:g}x", ratio >= required, f"{bound:.1f}x")


def memory_row(one: Measured) -> Row:
    ours, peer = (one.series[place].peak_gb - one.states_gb for place in (0, 1))
    return Row(f"memory above weights and optimizer: {one.case.title}", one.series[1].name, f"{ours / peer:.2f}", "0.33",
               ours / peer <= 1 / 3)  # fmt: skip


def start_row(one: Measured) -> Row:
    ours, peer = one.ours.start_seconds, one.series[1].start_seconds
    return Row(f"command to the first step: {one.case.title}", one.series[1].name,
               f"{ours:.1f} s of {peer:.1f} s, {ours / peer:.2f}", "0.1", ours / peer <= 0.1)  # fmt: skip


def rows_of(measured: dict[str, Measured], rate: float) -> list[Row]:
    lora, smollm2, full = measured["lora-28"], measured["smollm2"], measured["full-8"]
    share = lora.ours.flops / rate
    help_time = help_seconds()
    rows = [
        ratio_row(lora, 1, 6, rate),
        ratio_row(lora, 2, 4, rate),
        Row(lora.case.title, "the rate of torch's linear", f"{share:.0%} (the log says {lora.ours.limit_share:.0%})", "75%",
            share >= 0.75),
        ratio_row(full, 1, 4, rate),
        memory_row(lora),
        ratio_row(smollm2, 1, 6, rate),
        ratio_row(measured["long-2048"], 1, 4, rate),
        ratio_row(measured["long-8192"], 1, 4, rate),
        start_row(lora),
        Row("anneal --help", "", f"{help_time:.3f} s", "0.1 s", help_time <= 0.1),
        ratio_row(measured["mixtral"], 1, 6, rate),
    ]  # fmt: skip
    return rows


def table(rows: list[Row]) -> str:
    lines = ["| work | against | measured | required | met | at the machine's limit |", "|---|---|---|---|---|---|"]
    lines += [f"| {r.work} | {r.peer} | {r.value} | {r.required} | {'yes' if r.met else 'no'} | {r.limit} |" for r in rows]
    return "\n".join(lines)


def speeds(measured: dict[str, Measured]) -> str:
    lines = ["| work | program | tokens/s | peak GB | GB of weights and optimizer | to the first step, s |", "|---|---|---|---|---|---|"]
    for one in measured.values():
        for series in one.series:
            lines.append(f"| {one.case.title} | {series.name} | {series.rate:.0f} | {series.peak_gb:.2f} | {one.states_gb:.2f} "
                         f"| {series.start_seconds:.1f} |")  # fmt: skip
    return "\n".join(lines)


def machine(now: str, rate: float) -> str:
    flags = re.search(r"^flags\s*: (.*)$", open("/proc/cpuinfo").read(), re.MULTILINE)
    known = [name for name in ("avx2", "avx512f", "avx512_bf16", "amx_bf16") if flags and name in flags[1].split()]
    versions = ", ".join(f"{name} {metadata.version(name)}" for name in ("torch", "transformers", "peft"))
    commit = subprocess.run(["git", "rev-parse", "--short", "HEAD"], cwd=ROOT, capture_output=True, text=True).stdout.strip()
    return (f"{now}, commit {commit}; {cpu_name()}, {os.cpu_count()} cores ({', '.join(known)}); {versions}; torch's linear: "
            f"{rate / 1e9:.0f} GFLOP/s in bf16.")  # fmt: skip


def write_page(text: str) -> None:
    before, rest = PAGE.read_text(encoding="utf-8").split(BEGIN)
    PAGE.write_text(before + BEGIN + text + END + rest.split(END)[1], encoding="utf-8")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, help="of every case, instead of its own number")
    arguments = parser.parse_args()
    if not is_possible():
        sys.exit(0)
    rates = [linear_rate()]
    measured = {case.name: measure(case, arguments.rounds) for case in cases_named(ORDER)}
    rates.append(linear_rate())
    rate = statistics.mean(rates)
    now = datetime.datetime.now().isoformat(timespec="seconds")
    rows = rows_of(measured, rate)
    report: dict[str, Any] = {"machine": machine(now, rate), "linear_flops": rates, "rows": [vars(row) for row in rows]}
    RESULTS.mkdir(parents=True, exist_ok=True)
    path = RESULTS / f"{now.replace(':', '')}_{re.sub('[^A-Za-z0-9]+', '-', cpu_name())}.json"
    path.write_text(json.dumps(report | {"cases": as_json(list(measured.values()))}, indent=1))
    write_page(f"\n{machine(now, rate)}\n\n{table(rows)}\n\n{speeds(measured)}\n\n")
    print(f"\n{table(rows)}\n\nbench: written to {path.relative_to(ROOT)} and docs/performance.md")


if __name__ == "__main__":
    main()
