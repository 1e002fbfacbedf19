"""HF's Trainer on a model of one weight whose evaluations return given losses: all that it decides is transformers' own."""

from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from transformers import EarlyStoppingCallback, Trainer, TrainingArguments
from transformers.trainer_callback import PrinterCallback
from transformers.trainer_utils import EvalLoopOutput


@dataclass
class Decision:
    """Where a run stands when it is done with an evaluation and what follows from it."""

    step: int
    loss: float
    counter: int | None  # of EarlyStoppingCallback; None without one
    best_step: int | None
    best_metric: float
    kept: list[int] = field(default_factory=list)  # steps of the checkpoints on disk


class _OneWeight(torch.nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.weight = torch.nn.Parameter(torch.ones(()))

    def forward(self, x: torch.Tensor) -> dict[str, torch.Tensor]:
        return {"loss": (self.weight * x).square().mean()}


class ScriptedTrainer(Trainer):
    """patience 0: no early stopping. `arguments` are those of TrainingArguments."""

    def __init__(
        self, folder: Path, losses: Iterable[float], patience: int, threshold: float, samples: int, **arguments: Any
    ) -> None:
        self.losses = iter(losses)
        self.decisions: list[Decision] = []
        examples = [{"x": torch.tensor(1.0)}] * samples
        super().__init__(
            model=_OneWeight(),
            args=TrainingArguments(
                output_dir=str(folder),
                eval_strategy="steps",
                metric_for_best_model="eval_loss",
                greater_is_better=False,
                save_only_model=True,
                report_to=[],
                disable_tqdm=True,
                use_cpu=True,
                **arguments,
            ),
            train_dataset=examples,
            eval_dataset=examples[:1],
            callbacks=[EarlyStoppingCallback(patience, threshold)] if patience > 0 else [],
        )
        self.remove_callback(PrinterCallback)

    @property
    def stopping(self) -> EarlyStoppingCallback | None:
        """Asked for anew: Trainer puts another in its place when it resumes."""
        return next((one for one in self.callback_handler.callbacks if isinstance(one, EarlyStoppingCallback)), None)

    def evaluation_loop(self, *args: Any, metric_key_prefix: str = "eval", **kwargs: Any) -> EvalLoopOutput:
        return EvalLoopOutput(None, None, {f"{metric_key_prefix}_loss": next(self.losses)}, num_samples=1)

    def _maybe_log_save_evaluate(self, *args: Any, **kwargs: Any) -> None:
        evaluates = self.control.should_evaluate
        super()._maybe_log_save_evaluate(*args, **kwargs)
        if evaluates:
            self.decisions.append(self._decision())

    def _decision(self) -> Decision:
        loss = next(event["eval_loss"] for event in reversed(self.state.log_history) if "eval_loss" in event)
        counter = self.stopping.early_stopping_patience_counter if self.stopping else None
        kept = sorted(int(path.name.removeprefix("checkpoint-")) for path in Path(self.args.output_dir).glob("checkpoint-*"))
        return Decision(self.state.global_step, loss, counter, self.state.best_global_step, self.state.best_metric, kept)
