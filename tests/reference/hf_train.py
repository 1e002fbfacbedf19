"""HF Trainer + PEFT on the same examples in the same order: the peer that anneal's training is compared with.

Use `train(...)`, or `python -m reference.hf_train JOB.json RESULT.json` with the arguments of `train` as JSON keys.
bf16 means: base weights loaded as bf16, adapters fp32, bf16 autocast. Full fine-tuning keeps fp32 master weights.
"""

import argparse
import json
import math
import os
import resource
import sys
import tempfile
import time
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import torch
from peft import LoraConfig, PeftConfig, PeftModel, get_peft_model
from torch.utils.data import DataLoader, Dataset
from transformers import AutoModelForCausalLM, Trainer, TrainerCallback, TrainingArguments, set_seed
from transformers.utils import logging as hf_logging

from reference.examples import IGNORED, Example, ExampleMaker, read_rows
from reference.order import micro_batches

ALL_TARGETS = ("q_proj", "k_proj", "v_proj", "o_proj", "gate_proj", "up_proj", "down_proj")


@dataclass
class Recipe:
    steps: int
    batch: int = 2
    accumulation: int = 4
    learning_rate: float = 5e-5
    min_learning_rate: float = 1e-6
    warmup_ratio: float = 0.03
    weight_decay: float = 0.01
    max_grad_norm: float = 1.0
    rank: int = 32
    alpha: float = 32
    dropout: float = 0.0
    targets: list[str] = field(default_factory=lambda: list(ALL_TARGETS))
    rslora: bool = False
    dora: bool = False
    full_ft: bool = False
    dtype: str = "fp32"
    gradient_checkpointing: bool = False
    attention: str = "sdpa"  # eager where scores are capped, which sdpa leaves out
    seed: int = 16257
    max_seq_length: int = 2048
    total_steps: int | None = None  # length of the schedule, when only its first `steps` are run
    eval_every: int = 0  # 0: never; otherwise also before the first and after the last step
    threads: int = 2
    by_length: bool = False  # samples of a step are sorted by length before they are cut into batches


@dataclass
class Result:
    steps: list[dict[str, float]]  # step, loss, learning_rate, grad_norm, tokens, seconds
    evals: list[dict[str, float]]  # step, eval_loss, tokens
    tokens_per_second: float  # real (unpadded) tokens, median over the steps but the first
    peak_rss_gb: float
    first_step_at: float  # seconds since 1970, when the first step began


class _Examples(Dataset):
    def __init__(self, examples: list[Example]) -> None:
        self.examples = examples

    def __len__(self) -> int:
        return len(self.examples)

    def __getitem__(self, index: int) -> Example:
        return self.examples[index]


class _EpochBatches:
    """A batch sampler that walks through the given order, one epoch each time it is iterated from its start."""

    def __init__(self, examples: list[Example], recipe: Recipe) -> None:
        self.examples, self.recipe, self.epoch = examples, recipe, 0

    def __len__(self) -> int:
        return math.ceil(len(self.examples) / self.recipe.batch)

    def __iter__(self):
        recipe, count = self.recipe, len(self.examples)
        if not recipe.by_length:
            return iter(micro_batches(count, self.epoch, recipe.seed, recipe.batch))
        batches = []
        for pool in micro_batches(count, self.epoch, recipe.seed, recipe.batch * recipe.accumulation):
            pool.sort(key=lambda row: len(self.examples[row].ids))
            batches += [pool[start : start + recipe.batch] for start in range(0, len(pool), recipe.batch)]
        return iter(batches)


class _Recorder(TrainerCallback):
    def __init__(self, run: "_ReferenceTrainer") -> None:
        self.run = run

    def on_epoch_begin(self, args, state, control, **kwargs):
        self.run.batches.epoch = round(state.epoch or 0)

    def on_step_end(self, args, state, control, **kwargs):
        self.run.end_step(state.global_step)
        if self.run.recipe.total_steps and state.global_step >= self.run.recipe.steps:
            control.should_training_stop = True


class _ReferenceTrainer(Trainer):
    """Trainer that records the unrounded loss, learning rate, norm and time of every step, and changes nothing."""

    def __init__(self, recipe: Recipe, examples: list[Example], eval_examples: list[Example], **arguments: Any) -> None:
        self.recipe, self.examples_in_order = recipe, examples
        self.batches = _EpochBatches(examples, recipe)
        self.eval_examples = eval_examples
        self.steps: list[dict[str, float]] = []
        self.evals: list[dict[str, float]] = []
        self.loss, self.tokens, self.norm, self.rate = 0.0, 0, 0.0, 0.0
        super().__init__(**arguments)
        self.add_callback(_Recorder(self))
        self.clock, self.first_step_at = time.perf_counter(), time.time()

    def get_train_dataloader(self) -> DataLoader:
        return DataLoader(_Examples(self.examples_in_order), batch_sampler=self.batches, collate_fn=collate)

    def training_step(self, model, inputs, num_items_in_batch=None):
        tokens = int(inputs["attention_mask"].sum())
        loss = super().training_step(model, inputs, num_items_in_batch)
        self.loss += loss.double().item()
        self.tokens += tokens
        return loss

    def _get_grad_norm(self, model, grad_norm=None):
        norm = super()._get_grad_norm(model, grad_norm=grad_norm)
        self.norm = float(norm)
        self.rate = self._get_learning_rate()  # before the scheduler moves: the rate that this update uses
        return norm

    def end_step(self, step: int) -> None:
        now = time.perf_counter()
        self.steps.append(
            {
                "step": step,
                "loss": self.loss,
                "learning_rate": self.rate,
                "grad_norm": self.norm,
                "tokens": self.tokens,
                "seconds": now - self.clock,
            }
        )
        self.loss, self.tokens = 0.0, 0
        every = self.recipe.eval_every
        if every and (step % every == 0 or step == self.recipe.steps):
            self.evaluate_now(step)
        self.clock = time.perf_counter()

    def evaluate_now(self, step: int) -> None:
        mean, tokens = mean_nll(self.model, self.eval_examples, self.recipe.batch, self.recipe.dtype == "bf16")
        self.evals.append({"step": step, "eval_loss": mean, "tokens": tokens})


def collate(examples: list[Example]) -> dict[str, torch.Tensor]:
    """Pads on the right to the longest example; padding is masked by length and never trained."""
    longest = max(len(example.ids) for example in examples)
    ids = torch.zeros(len(examples), longest, dtype=torch.long)
    mask = torch.zeros_like(ids)
    labels = torch.full_like(ids, IGNORED)
    for row, example in enumerate(examples):
        length = len(example.ids)
        ids[row, :length] = torch.tensor(example.ids)
        mask[row, :length] = 1
        labels[row, :length] = torch.tensor(example.labels)
    return {"input_ids": ids, "attention_mask": mask, "labels": labels}


def sample_nlls(model: torch.nn.Module, examples: list[Example], batch: int = 8, bf16: bool = False) -> list[float]:
    """The sum of NLL over the trained tokens of each example; dropout off."""
    was_training = model.training
    model.eval()
    sums: list[float] = []
    with torch.no_grad(), torch.autocast("cpu", torch.bfloat16, enabled=bf16):
        for start in range(0, len(examples), batch):
            inputs = collate(examples[start : start + batch])
            labels = inputs.pop("labels")[:, 1:]
            logits = model(**inputs, use_cache=False).logits[:, :-1].float()
            losses = torch.nn.functional.cross_entropy(
                logits.transpose(1, 2), labels, ignore_index=IGNORED, reduction="none"
            )
            sums.extend(losses.double().sum(dim=1).tolist())
    model.train(was_training)
    return sums


def mean_nll(model: torch.nn.Module, examples: list[Example], batch: int, bf16: bool) -> tuple[float, int]:
    """NLL per trained token over all examples, and the number of those tokens."""
    tokens = sum(example.trained for example in examples)
    return math.fsum(sample_nlls(model, examples, batch, bf16)) / tokens, tokens


def load_base(folder: Path | str, recipe: Recipe) -> torch.nn.Module:
    half = recipe.dtype == "bf16" and not recipe.full_ft
    model = AutoModelForCausalLM.from_pretrained(
        folder, dtype=torch.bfloat16 if half else torch.float32, attn_implementation=recipe.attention
    )
    model.config.use_cache = False
    return model


def add_adapter(model: torch.nn.Module, recipe: Recipe, initial_adapter: Path | str | None = None) -> PeftModel:
    """A fresh LoRA adapter, or the given one made trainable; the recipe's dropout holds in both cases."""
    if initial_adapter is not None:
        config = PeftConfig.from_pretrained(initial_adapter)
        config.lora_dropout = recipe.dropout
        config.inference_mode = False
        return PeftModel.from_pretrained(model, initial_adapter, is_trainable=True, config=config)
    config = LoraConfig(
        r=recipe.rank,
        lora_alpha=recipe.alpha,
        lora_dropout=recipe.dropout,
        target_modules=list(recipe.targets),
        use_rslora=recipe.rslora,
        use_dora=recipe.dora,
        task_type="CAUSAL_LM",
    )
    return get_peft_model(model, config)


def _arguments(recipe: Recipe, output: str) -> TrainingArguments:
    steps = recipe.total_steps or recipe.steps
    return TrainingArguments(
        output_dir=output,
        max_steps=steps,
        per_device_train_batch_size=recipe.batch,
        gradient_accumulation_steps=recipe.accumulation,
        learning_rate=recipe.learning_rate,
        lr_scheduler_type="cosine_with_min_lr",
        lr_scheduler_kwargs={"min_lr": recipe.min_learning_rate},
        warmup_steps=math.ceil(steps * recipe.warmup_ratio),
        weight_decay=recipe.weight_decay,
        max_grad_norm=recipe.max_grad_norm,
        optim="adamw_torch_fused",
        bf16=recipe.dtype == "bf16",
        activation_checkpointing=recipe.gradient_checkpointing,
        activation_checkpointing_kwargs={"use_reentrant": False} if recipe.gradient_checkpointing else None,
        logging_steps=1,
        save_strategy="no",
        eval_strategy="no",
        report_to=[],
        disable_tqdm=True,
        remove_unused_columns=False,
        use_cpu=True,
        seed=recipe.seed,
    )


def train(
    model: Path | str,
    rows: Path | str | list[dict[str, str]] | list[Example],
    recipe: Recipe,
    initial_adapter: Path | str | None = None,
    eval_rows: Path | str | list[dict[str, str]] | list[Example] | None = None,
    save: Path | str | None = None,
) -> Result:
    """Trains and returns the curves; the trained adapter (or model) is written to `save`."""
    torch.set_num_threads(recipe.threads)
    hf_logging.set_verbosity_error()
    hf_logging.disable_progress_bar()
    set_seed(recipe.seed)
    maker = ExampleMaker(model, recipe.max_seq_length)

    def load(source: Path | str | list[Any]) -> list[Example]:
        rows = read_rows(source) if isinstance(source, (str, Path)) else source
        return rows if rows and isinstance(rows[0], Example) else maker.examples(rows)

    network = load_base(model, recipe)
    if not recipe.full_ft:
        network = add_adapter(network, recipe, initial_adapter)
    with tempfile.TemporaryDirectory() as output:
        run = _ReferenceTrainer(
            recipe, load(rows), load(eval_rows or []), model=network, args=_arguments(recipe, output)
        )
        run.remove_callback(_printer())
        if recipe.eval_every:
            run.evaluate_now(0)
        run.clock, run.first_step_at = time.perf_counter(), time.time()
        run.train()
    if save is not None:
        network.save_pretrained(save)
    rates = sorted(step["tokens"] / step["seconds"] for step in run.steps[1:] or run.steps)
    middle = len(rates) // 2
    median = rates[middle] if len(rates) % 2 else (rates[middle - 1] + rates[middle]) / 2
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024**2
    return Result(run.steps, run.evals, median, peak, run.first_step_at)


def _printer() -> type[TrainerCallback]:
    from transformers.trainer_callback import PrinterCallback

    return PrinterCallback


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("job", type=Path, help="JSON: model, rows, recipe{}, initial_adapter, eval_rows, save")
    parser.add_argument("result", type=Path, help="JSON written here")
    arguments = parser.parse_args()
    job = json.loads(arguments.job.read_text())
    job["recipe"] = Recipe(**job["recipe"])
    result = asdict(train(**job))
    partial = arguments.result.with_suffix(".partial")
    partial.write_text(json.dumps(result, indent=1))
    os.replace(partial, arguments.result)


if __name__ == "__main__":
    sys.exit(main())
