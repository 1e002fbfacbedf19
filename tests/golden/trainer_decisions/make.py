#!/usr/bin/env python3
"""Writes decisions.json and learning_rates.json: what transformers' trainer and schedules do on a table of cases."""

import json
import math
import random
import sys
import tempfile
from dataclasses import asdict
from pathlib import Path
from typing import Any

import torch
import transformers
from transformers import TrainingArguments, get_scheduler
from transformers.utils import logging as hf_logging

HERE = Path(__file__).resolve().parent
sys.path.insert(0, str(HERE.parents[1]))
from reference.scripted_trainer import ScriptedTrainer  # noqa: E402

SEED = 11
SEQUENCES = 240
# Powers of two: a gain of exactly the threshold is one in floating point too.
GRID = 2.0**-6
THRESHOLDS = [0.0, GRID, 4 * GRID, 0.001, 0.05]


def falling_with_noise(draw: random.Random, length: int) -> list[float]:
    return [round(3.0 * 0.9**n + draw.gauss(0, 0.2), 4) for n in range(length)]


def on_a_grid(draw: random.Random, length: int) -> list[float]:
    """Ties, and gains of exactly a threshold."""
    losses = [2.0]
    while len(losses) < length:
        losses.append(max(0.0, losses[-1] + draw.choice([-4, -2, -1, -1, 0, 0, 1, 3]) * GRID))
    return losses


def creeping(draw: random.Random, length: int) -> list[float]:
    """Gains below a threshold, which still move the best."""
    losses = [1.5]
    while len(losses) < length:
        losses.append(round(losses[-1] - draw.choice([0.0003, 0.0009, 0.0011, 0.02, 0.06]), 4))
    return losses


def falling_then_rising(draw: random.Random, length: int) -> list[float]:
    turn = draw.randrange(length)
    return [round(1.0 + 0.1 * abs(n - turn) + draw.uniform(0, 0.04), 4) for n in range(length)]


def not_finite_at_times(draw: random.Random, length: int) -> list[float]:
    """The first is finite: transformers counts one that is not as an improvement."""
    losses = on_a_grid(draw, length)
    return losses[:1] + [draw.choice([loss, loss, math.nan, math.inf]) for loss in losses[1:]]


SHAPES = [falling_with_noise, on_a_grid, creeping, falling_then_rising, not_finite_at_times]


def decisions(draw: random.Random, number: int) -> dict[str, Any]:
    length = draw.randrange(1, 16)
    losses = SHAPES[number % len(SHAPES)](draw, length)
    case = dict(patience=draw.choice([0, 1, 2, 3, 5]), threshold=draw.choice(THRESHOLDS), limit=draw.choice([1, 2, 3, 5]))
    eval_steps = draw.choice([1, 2, 5])
    # The last evaluation may come early: at the end of the run.
    max_steps = eval_steps * (length - 1) + draw.randrange(1, eval_steps + 1)
    with tempfile.TemporaryDirectory() as folder:
        run = ScriptedTrainer(
            Path(folder), losses, case["patience"], case["threshold"], samples=4, save_strategy="best",
            save_total_limit=case["limit"], eval_steps=eval_steps, max_steps=max_steps, per_device_train_batch_size=1,
        )  # fmt: skip
        run.train()
    case["stops"] = run.state.global_step < max_steps
    made = [asdict(decision) for decision in run.decisions]
    for decision in made:
        if not math.isfinite(decision["loss"]):
            decision["loss"] = str(decision["loss"])
    return case | dict(decisions=made)


def scheduler_of(name: str, floor: float) -> tuple[str, dict[str, float]]:
    """The schedule of transformers that is ours of this name with this floor."""
    if name == "cosine_with_min_lr" or (name == "cosine" and floor > 0):
        return "cosine_with_min_lr", {"min_lr": floor}
    if name in ("linear", "polynomial") and floor > 0:
        return "polynomial", {"lr_end": floor}
    return name, {}


def learning_rates(name: str, total: int, ratio: float, peak: float, floor: float) -> dict[str, Any]:
    warmup = TrainingArguments(output_dir=".", warmup_steps=ratio, use_cpu=True).get_warmup_steps(total)
    optimizer = torch.optim.AdamW([torch.nn.Parameter(torch.zeros(()))], lr=peak)
    hf_name, arguments = scheduler_of(name, floor)
    scheduler = get_scheduler(hf_name, optimizer, warmup, total, arguments)
    rates = [optimizer.param_groups[0]["lr"]]
    # Not after the last update: polynomial then divides by zero where the warm-up takes all steps.
    for _ in range(total - 1):
        optimizer.step()
        scheduler.step()
        rates.append(optimizer.param_groups[0]["lr"])
    chosen = {0, 1, warmup - 1, warmup, warmup + 1, total // 2, total - 2, total - 1} | set(range(0, total, total // 9 + 1))
    updates = sorted(k for k in chosen if 0 <= k < total)
    return dict(type=name, total_steps=total, warmup_ratio=ratio, peak=peak, floor=floor, warmup_steps=warmup,
                updates=updates, rates=[rates[k] for k in updates])  # fmt: skip


def all_learning_rates() -> list[dict[str, Any]]:
    with_floor = ["cosine", "cosine_with_min_lr", "linear", "polynomial", "constant", "constant_with_warmup"]
    without = ["inverse_sqrt", "cosine_with_restarts"]  # transformers knows no floor of these
    pairs = [(5e-5, 1e-6), (2e-4, 0.0), (1.0, 0.25), (3e-3, 0.0)]
    made = []
    for name in with_floor + without:
        for total in (1, 2, 7, 40, 333):
            for ratio in (0.0, 0.03, 0.25, 0.999):
                peak, floor = pairs[len(made) % len(pairs)]
                made.append(learning_rates(name, total, ratio, peak, floor if name in with_floor else 0.0))
    return made


def write(name: str, rows: list[dict[str, Any]]) -> None:
    text = ",\n".join(json.dumps(row, allow_nan=False) for row in rows)
    (HERE / name).write_text(f"[\n{text}\n]\n")


def main() -> None:
    hf_logging.set_verbosity_error()
    torch.set_num_threads(1)
    draw = random.Random(SEED)
    write("decisions.json", [decisions(draw, number) for number in range(SEQUENCES)])
    write("learning_rates.json", all_learning_rates())
    origin = dict(transformers=transformers.__version__, torch=torch.__version__.split("+")[0],
                  python=sys.version.split()[0], seed=SEED, made_by="make.py")  # fmt: skip
    (HERE / "origin.json").write_text(json.dumps(origin, indent=2) + "\n")


if __name__ == "__main__":
    main()
