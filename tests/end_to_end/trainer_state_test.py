"""Oracle: trainer_state.json of HF's Trainer in a run of the same lengths, rates and evaluation losses, and its classes."""

import dataclasses
import json
import re
from pathlib import Path
from typing import Any

import pytest
from transformers import EarlyStoppingCallback, TrainerControl, TrainerState

from reference.examples import ExampleMaker, read_rows
from reference.order import step_pools
from reference.scripted_trainer import ScriptedTrainer
from support.program import anneal, evals_of, write_rows

STEPS, EVAL_STEPS, SAVE_STEPS, LOGGING_STEPS = 17, 3, 4, 2
SAMPLES, BATCH, ACCUMULATION = 11, 2, 2  # an epoch has six micro-batches and three steps; the last is short
SEED, RATE, FLOOR, WARMUP = 5, 1e-2, 1e-6, 0.1
# Gains fall below the threshold while the loss still falls: the run stops at a step that is the best.
EARLY, NEVER = (3, 0.6), (0, 0.6)
KEYS = {
    "best_global_step", "best_metric", "best_model_checkpoint", "epoch", "eval_steps", "global_step",
    "is_hyper_param_search", "is_local_process_zero", "is_world_process_zero", "log_history", "logging_steps",
    "max_steps", "num_input_tokens_seen", "num_train_epochs", "save_steps", "stateful_callbacks", "total_flos",
    "train_batch_size", "trial_name", "trial_params",
}  # fmt: skip
# Compared by hand: HF counts no tokens and no operations here, saves at every step, and has absolute paths.
OTHERWISE = {"log_history", "save_steps", "num_input_tokens_seen", "total_flos", "best_model_checkpoint"}


@dataclasses.dataclass
class Run:
    folder: Path
    hf: ScriptedTrainer
    tokens: list[int]  # of the samples of each step

    def states(self) -> dict[str, dict[str, Any]]:
        """Of all saved folders, by the folder's name."""
        files = [*self.folder.glob("checkpoint-*/trainer_state.json"), *self.folder.glob("resume/step-*/trainer_state.json")]
        return {file.parent.name: json.loads(file.read_text()) for file in files}

    def hf_state(self, step: int) -> dict[str, Any]:
        return json.loads((Path(self.hf.args.output_dir) / f"checkpoint-{step}" / "trainer_state.json").read_text())


def _tokens(model: Path, rows: Path) -> list[int]:
    lengths = [len(example.ids) for example in ExampleMaker(model, 256).examples(read_rows(rows))]
    pools = step_pools(SAMPLES, SEED, BATCH * ACCUMULATION)
    return [sum(lengths[row] for row in next(pools)) for _ in range(STEPS)]


def _hf_run(folder: Path, losses: list[float], patience: int, threshold: float) -> ScriptedTrainer:
    return ScriptedTrainer(
        folder, losses, patience, threshold, SAMPLES, max_steps=STEPS, eval_steps=EVAL_STEPS, save_strategy="steps",
        save_steps=1, logging_steps=LOGGING_STEPS, logging_first_step=True, per_device_train_batch_size=BATCH,
        gradient_accumulation_steps=ACCUMULATION, learning_rate=RATE, lr_scheduler_type="cosine_with_min_lr",
        lr_scheduler_kwargs={"min_lr": FLOOR}, warmup_steps=WARMUP, restore_callback_states_from_checkpoint=True,
    )  # fmt: skip


@pytest.fixture(scope="module", params=[EARLY, NEVER], ids=["early", "never"])
def run(request: pytest.FixtureRequest, tiny, tmp_path_factory: pytest.TempPathFactory) -> Run:
    patience, threshold = request.param
    root, model = tmp_path_factory.mktemp("trainer_state"), tiny("llama")[0]
    rows = [
        {"input": f"Say {n}.\n", "output": f"The number {n}." + " more" * (n % 4)} for n in range(SAMPLES + 4)
    ]
    training = write_rows(root / "data" / "training.jsonl", rows[:SAMPLES])
    write_rows(root / "data" / "validation.jsonl", rows[SAMPLES:])
    anneal("train", "--hf_model_id", model, "--data_dir", root / "data", "--results_dir", root, "--run_name", "run",
           "--max_steps", STEPS, "--eval_steps", EVAL_STEPS, "--save_steps", SAVE_STEPS, "--logging_steps", LOGGING_STEPS,
           "--per_device_train_batch_size", BATCH, "--gradient_accumulation_steps", ACCUMULATION, "--learning_rate", RATE,
           "--min_learning_rate", FLOOR, "--warmup_ratio", WARMUP, "--seed", SEED, "--save_total_limit", 9, "--lora_rank", 4,
           "--max_seq_length", 256, "--early_stopping_patience", patience, "--early_stopping_threshold", threshold)  # fmt: skip
    hf = _hf_run(root / "hf", [event["eval_loss"] for event in evals_of(root / "run")], patience, threshold)
    hf.train()
    return Run(root / "run", hf, _tokens(model, training))


def test_the_run_stops_where_hf_stops(run: Run):
    last = run.hf.state.global_step
    assert last == (15 if run.hf.stopping else STEPS)
    assert [event["step"] for event in evals_of(run.folder)] == [decision.step for decision in run.hf.decisions]
    gains = {f"checkpoint-{decision.step}" for decision in run.hf.decisions if decision.step == decision.best_step}
    assert len(gains) > 2
    assert run.states().keys() == gains | ({"step-12", "step-15"} if run.hf.stopping else {"step-16", "step-17"})
    results = json.loads((run.folder / "train_results.json").read_text())
    assert results["best_metric"] == run.hf.state.best_metric and results["best_step"] == run.hf.state.best_global_step
    assert results["stop_reason"] == ("early_stopping" if run.hf.stopping else "max_steps")


def test_every_field_equals_hf(run: Run):
    assert {field.name for field in dataclasses.fields(TrainerState)} == KEYS
    for name, state in run.states().items():
        hf = run.hf_state(int(name.split("-")[1]))
        assert state.keys() == hf.keys() == KEYS
        assert {key: state[key] for key in KEYS - OTHERWISE} == {key: hf[key] for key in KEYS - OTHERWISE}, name
        assert state["best_model_checkpoint"] == Path(hf["best_model_checkpoint"]).name
        assert (run.folder / state["best_model_checkpoint"]).is_dir()
        assert state["save_steps"] == SAVE_STEPS
        assert state["num_input_tokens_seen"] == sum(run.tokens[: state["global_step"]])
        assert isinstance(state["total_flos"], float) and state["total_flos"] > 0


def _events(history: list[dict[str, float]], last: int) -> list[dict[str, float]]:
    """In order, without what HF does not log: the last step's loss, unless it is a multiple of logging_steps."""
    logged = lambda event: "loss" in event and (event["step"] != last or last % LOGGING_STEPS == 0)  # noqa: E731
    return [event for event in history if "eval_loss" in event or logged(event)]


def test_the_history_has_the_events_of_hf(run: Run):
    last = run.hf.state.global_step
    for name, state in run.states().items():
        ours, theirs = state["log_history"], run.hf_state(state["global_step"])["log_history"]
        for our, their in zip(_events(ours, last), _events(theirs, last), strict=True):
            assert our.keys() >= their.keys(), name
            for key in ("step", "epoch", "eval_loss"):
                assert our.get(key) == their.get(key), name
            assert "loss" not in our or our["learning_rate"] == pytest.approx(their["learning_rate"], rel=1e-12)
    # HF's final summary comes after its last save; ours is in the last state.
    assert run.states()[f"step-{last}"]["log_history"][-1].keys() >= run.hf.state.log_history[-1].keys()


def test_the_classes_of_transformers_load_it(run: Run):
    for path in run.folder.glob("*/trainer_state.json"):
        state = TrainerState.load_from_json(str(path))
        decision = next(decision for decision in run.hf.decisions if decision.step == state.global_step)
        control = TrainerControl.from_state(state.stateful_callbacks["TrainerControl"])
        assert control.should_training_stop == (state.global_step == run.hf.state.global_step)
        assert ("EarlyStoppingCallback" in state.stateful_callbacks) == (run.hf.stopping is not None)
        if run.hf.stopping:
            stopping = EarlyStoppingCallback.from_state(state.stateful_callbacks["EarlyStoppingCallback"])
            assert (stopping.early_stopping_patience, stopping.early_stopping_threshold) == EARLY
            assert stopping.early_stopping_patience_counter == decision.counter


def test_hf_goes_on_from_it_as_if_it_were_its_own(run: Run, tmp_path: Path):
    step = 12
    places = run.folder / "resume" / f"step-{step}", run.folder / f"checkpoint-{step}"
    folder = next(path for path in places if path.is_dir())
    saved = Path(run.hf.args.output_dir) / f"checkpoint-{step}"
    (tmp_path / saved.name).mkdir()
    for path in (saved / "model.safetensors", saved / "training_args.bin", folder / "trainer_state.json"):
        (tmp_path / saved.name / path.name).write_bytes(path.read_bytes())
    left = [decision.loss for decision in run.hf.decisions if decision.step > step]
    patience, threshold = EARLY if run.hf.stopping else NEVER
    resumed = _hf_run(tmp_path, left, patience, threshold)
    resumed.train(resume_from_checkpoint=str(tmp_path / saved.name))
    assert left
    outcome = lambda decision: dataclasses.replace(decision, kept=[])  # noqa: E731
    assert [outcome(d) for d in resumed.decisions] == [outcome(d) for d in run.hf.decisions if d.step > step]


def test_the_text_is_indented_sorted_and_finite(run: Run):
    def refuse(constant: str) -> None:
        raise AssertionError(constant)

    for path in run.folder.rglob("trainer_state.json"):
        text = path.read_text()
        again = json.dumps(json.loads(text, parse_constant=refuse), indent=2, sort_keys=True) + "\n"
        without_numbers = lambda json_text: re.sub(r"-?\d[\d.e+-]*", "0", json_text)  # noqa: E731
        assert without_numbers(text) == without_numbers(again)


def test_without_validation_there_is_no_best(tiny, tmp_path: Path):
    """Oracle: HF's defaults of the three fields."""
    write_rows(tmp_path / "data" / "training.jsonl", [{"input": f"{n}\n", "output": f"Yes, {n}."} for n in range(4)])
    anneal("train", "--hf_model_id", tiny("llama")[0], "--data_dir", tmp_path / "data", "--results_dir", tmp_path,
           "--run_name", "run", "--max_steps", 2, "--max_seq_length", 256)  # fmt: skip
    state = TrainerState.load_from_json(str(tmp_path / "run" / "checkpoint-2" / "trainer_state.json"))
    assert (state.best_global_step, state.best_metric, state.best_model_checkpoint) == (None, None, None)
    assert state.global_step == 2
