"""Runs the demo's first 20 steps again in transformers + PEFT and prints the largest relative difference of the losses.

Both sides start from the same random adapter, take the samples in the same order, and compute in fp32
without dropout: what differs is only the order of floating-point sums.
"""

import json
import os
import shutil
import subprocess
import sys
import warnings
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "tests"))

OUT = ROOT / "demo-run"
MODEL = OUT / "models" / "SmolLM2-135M-Instruct"
DATA = OUT / "data"
STEPS = 20
TOLERANCE = 1e-4
RECIPE = {
    "learning_rate": 1e-3,
    "min_learning_rate": 1e-5,
    "warmup_ratio": 0.05,
    "weight_decay": 0.01,
    "max_grad_norm": 1.0,
}


def anneal(run: str, steps: int, *more: str) -> Path:
    """Trains with the demo's flags in fp32 without dropout; the run's folder."""
    shutil.rmtree(OUT / "verify" / run, ignore_errors=True)
    command = [ROOT / "build/release/anneal", "train", "--hf_model_id", MODEL, "--data_dir", DATA]
    command += ["--results_dir", OUT / "verify", "--run_name", run, "--max_steps", steps]
    command += ["--per_device_train_batch_size", 2, "--gradient_accumulation_steps", 4, "--seed", 16257]
    command += ["--lora_rank", 16, "--lora_alpha", 32, "--lora_dropout", 0, "--logging_steps", 1]
    command += ["--base_dtype", "fp32", "--compute_dtype", "fp32", "--eval_steps", max(steps, 1), *more]
    for name, value in RECIPE.items():
        command += [f"--{name}", value]
    log = OUT / "verify" / f"{run}.log"
    log.parent.mkdir(parents=True, exist_ok=True)
    with log.open("w") as file:
        done = subprocess.run([str(part) for part in command], stdout=file, stderr=subprocess.STDOUT, cwd=ROOT)
    if done.returncode != 0:
        print(log.read_text(), file=sys.stderr)
        raise SystemExit(f"anneal train ended with {done.returncode}")
    return OUT / "verify" / run


def read_steps(run: Path) -> list[dict[str, float]]:
    events = [json.loads(line) for line in (run / "log.jsonl").read_text().splitlines()]
    return [event for event in events if "loss" in event and "grad_norm" in event]


def main() -> int:
    if not (MODEL / "config.json").exists() or not (DATA / "training.jsonl").exists():
        raise SystemExit("no model or data in demo-run; run: make demo")
    os.environ["HF_HUB_OFFLINE"] = "1"
    warnings.simplefilter("ignore")  # transformers and PEFT warn about each other's old names
    from reference import hf_train, tiny_models

    print(f"verify: a random adapter as the common start, {STEPS} steps of 8 samples, fp32, no dropout", flush=True)
    hf_train.hf_logging.disable_progress_bar()
    recipe = hf_train.Recipe(steps=STEPS, rank=16, alpha=32, **RECIPE)
    start = OUT / "verify" / "initial-adapter"
    network = hf_train.add_adapter(hf_train.load_base(MODEL, recipe), recipe)
    tiny_models.random_adapter(network, scale=0.01)  # B is not zero, so that A has a gradient from the first step on
    network.save_pretrained(start)
    del network

    ours = read_steps(anneal("verify", STEPS, "--init_adapter", str(start)))
    print("verify: anneal is done; transformers + PEFT takes about a minute", flush=True)
    theirs = hf_train.train(MODEL, DATA / "training.jsonl", recipe, initial_adapter=start).steps
    if len(ours) != STEPS or len(theirs) != STEPS:
        raise SystemExit(f"{len(ours)} and {len(theirs)} steps were logged; {STEPS} are wanted")

    print(f"\n{'step':>4}{'anneal':>14}{'HF + PEFT':>14}{'difference':>13}")
    worst = {"loss": 0.0, "grad_norm": 0.0, "learning_rate": 0.0}
    for a, b in zip(ours, theirs, strict=True):
        for key in worst:
            scale = max(abs(b[key]), 1e-12)
            worst[key] = max(worst[key], abs(a[key] - b[key]) / scale)
        print(f"{b['step']:4.0f}{a['loss']:14.8f}{b['loss']:14.8f}{abs(a['loss'] - b['loss']) / b['loss']:13.1e}")
    print(
        f"\nlargest relative difference of the losses {worst['loss']:.1e}, of the gradient norms "
        f"{worst['grad_norm']:.1e}, of the learning rates {worst['learning_rate']:.1e} (allowed for the losses: {TOLERANCE:.0e})"
    )
    return 0 if worst["loss"] <= TOLERANCE else 1


if __name__ == "__main__":
    sys.exit(main())
