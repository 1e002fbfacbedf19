"""Oracle: the same training by one process (spec.md 0.13: loss and gradient norm 1e-5, weights 1e-2 x learning rate)."""

import shutil
from pathlib import Path

import pytest
import torch
from peft import PeftModel
from safetensors.torch import load_file
from transformers import AutoModelForCausalLM

from reference import tiny_models
from support.ranks import RankedTraining

STEPS, LEARNING_RATE = 20, 1e-3
FLAGS = ("--max_seq_length", 512, "--max_steps", STEPS, "--learning_rate", LEARNING_RATE, "--compute_dtype", "fp32",
         "--eval_steps", 5, "--save_steps", 10)  # fmt: skip
KINDS = {"lora": ("--lora_rank", 4, "--lora_dropout", 0.1, "--lora_target_modules", "all-linear"), "full": ("--full_ft",),
         "dora": ("--lora_rank", 4, "--lora_dropout", 0.1, "--use_dora", "--use_rslora")}  # fmt: skip
OTHERS = [name for name in tiny_models.SOME if name not in ("llama", "qwen3")]
FIGURES = {"loss", "grad_norm", "eval_loss"}


@pytest.fixture(scope="module")
def trainings(tiny, tmp_path_factory):
    """trainings("qwen3", "lora"): a training whose undisturbed run by one process, "one", is there."""
    made: dict[tuple[str, str], RankedTraining] = {}

    def make(family: str, kind: str) -> RankedTraining:
        if (family, kind) not in made:
            work = tmp_path_factory.mktemp(f"{family}-{kind}")
            training = RankedTraining(work, tiny(family)[0], *FLAGS, *KINDS[kind])
            training.start("one", 1)
            made[family, kind] = training
        return made[family, kind]

    return make


def weights(run: Path, step: int = STEPS) -> dict[str, torch.Tensor]:
    """The float32 masters, whole, from the files of however many ranks."""
    state = run / "resume" / f"step-{step}"
    if (state / "adapter_model.safetensors").exists():
        return load_file(state / "adapter_model.safetensors")
    pieces: dict[str, list[tuple[int, torch.Tensor]]] = {}
    for path in state.glob("master_weights-*.safetensors"):
        for key, value in load_file(path).items():
            name, _, first = key.partition("@")
            pieces.setdefault(name, []).append((int(first or 0), value.flatten()))
    return {name: torch.cat([value for _, value in sorted(parts, key=lambda part: part[0])]) for name, parts in pieces.items()}


def assert_same_training(training: RankedTraining, name: str) -> None:
    wanted = [event for event in training.log("one") if FIGURES & event.keys()]
    found = [event for event in training.log(name) if FIGURES & event.keys()]
    assert len(found) == len(wanted) >= STEPS
    for event, reference in zip(found, wanted):
        assert event["step"] == reference["step"]
        for key in FIGURES & event.keys():
            assert event[key] == pytest.approx(reference[key], rel=1e-5), (event["step"], key)
    for key, value in weights(training.work / "results" / "one").items():
        other = weights(training.work / "results" / name)[key]
        assert (other.flatten() - value.flatten()).abs().max() <= 1e-2 * LEARNING_RATE, key


def assert_published_alike(training: RankedTraining, kind: str, name: str) -> None:
    """Transformers, and PEFT, read the same model out of the folders of one process and of this run."""
    folders = [run / (run / "best").read_text().strip() for run in (training.work / "results" / one for one in ("one", name))]
    assert folders[0].name == folders[1].name
    ids = torch.arange(3, 80)[None]
    logits = []
    for folder in folders:
        model = AutoModelForCausalLM.from_pretrained(folder if kind == "full" else training.model, dtype=torch.float32)
        before = model.eval()(ids).logits
        if kind != "full":
            model = PeftModel.from_pretrained(model, folder).eval()
            assert (model(ids).logits - before).abs().max() > 1e-3, "the adapter is at work"
        logits.append(model(ids).logits)
    assert (logits[0] - logits[1]).abs().max() / logits[0].abs().max() < 1e-4


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("family", ["llama-untied", "qwen3"])
@pytest.mark.parametrize(
    ("size", "sharding", "recompute"),
    [(2, "full", "off"), (2, "full", "on"), (2, "none", "off"), (4, "full", "on"), (4, "none", "on")],
)
def test_any_number_of_ranks_gives_the_same_training(trainings, family, kind, size, sharding, recompute):
    training = trainings(family, kind)
    name = f"{sharding}-{size}-{recompute}"
    training.start(name, size, "--sharding", sharding, "--gradient_checkpointing", recompute)
    assert_same_training(training, name)


@pytest.mark.parametrize("kind", ["lora", "full"])
@pytest.mark.parametrize("family", OTHERS)
def test_every_family_is_shared_and_read_again(trainings, family, kind):
    """Two ranks, and one that goes on from their middle; what they publish is what one process publishes."""
    training = trainings(family, kind)
    run = training.start("shared", 2, "--sharding", "full", "--gradient_checkpointing", "on")
    assert_same_training(training, "shared")
    shutil.rmtree(run / "resume" / f"step-{STEPS}")
    (run / "all_results.json").unlink()
    training.start("shared", 1, "--gradient_checkpointing", "on")
    assert_same_training(training, "shared")
    assert_published_alike(training, kind, run.name)


@pytest.mark.parametrize("kind", KINDS)
def test_micro_batches_that_ranks_have_unequally_many_of(trainings, kind):
    training = trainings("qwen3", kind)
    training.start("cut", 2, "--sharding", "full", "--micro_batch_tokens", 40)
    assert_same_training(training, "cut")


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize(("before", "after"), [(1, 2), (2, 4), (4, 1), (2, 1)])
def test_a_state_is_read_by_any_number_of_ranks(trainings, kind, before, after):
    training = trainings("qwen3", kind)
    name = f"from-{before}-to-{after}"
    run = training.start(name, before, "--sharding", "full")
    shutil.rmtree(run / "resume" / f"step-{STEPS}")
    (run / "all_results.json").unlink()
    ranks = training.popen(name, after, "--sharding", "full")
    said = [rank.communicate(timeout=120) for rank in ranks]
    assert [rank.returncode for rank in ranks] == [0] * after, said
    assert f"resuming from {run / 'resume' / 'step-10'}" in said[0][0]
    assert_same_training(training, name)


@pytest.mark.parametrize("sharding", ["full", "none"])
@pytest.mark.parametrize("kind", KINDS)
def test_what_ranks_publish_loads_in_peft_and_transformers(trainings, kind, sharding):
    training = trainings("qwen3", kind)
    run = training.start(f"published-{sharding}", 2, "--sharding", sharding)
    assert_published_alike(training, kind, run.name)
