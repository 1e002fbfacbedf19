"""Oracle: a plain loop over the samples of each step, one at a time, with torch's AdamW. Is the peer what we think?"""

import copy
import math
from pathlib import Path

import pytest
import torch
from transformers.models.llama.modeling_llama import LlamaMLP

from reference import hf_train, tiny_models
from reference.examples import ExampleMaker
from reference.order import step_pools

ROWS = [
    {"input": f"Ada sold {n} apples" + " to the market" * (n % 3), "output": f" for ${n * 3}" + ", and left" * (n % 4)}
    for n in range(11)  # with pools of 4: an epoch is 3 steps, the last one short and with one micro-batch only
]
RELATIVE = 2e-5  # fp32, another order of sums, over 8 updates


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tiny_models.make_folder(tmp_path_factory.mktemp("tiny") / "llama", "llama")


def recipe(**changes) -> hf_train.Recipe:
    base = {"steps": 8, "batch": 2, "accumulation": 2, "learning_rate": 1e-2, "min_learning_rate": 1e-3, "rank": 4}
    return hf_train.Recipe(**(base | {"warmup_ratio": 0.25, "eval_every": 4} | changes))


def learning_rate(made: hf_train.Recipe, done: int) -> float:
    warmup = math.ceil(made.steps * made.warmup_ratio)
    if done < warmup:
        return made.learning_rate * done / warmup
    progress = (done - warmup) / (made.steps - warmup)
    floor = made.min_learning_rate
    return floor + (made.learning_rate - floor) * 0.5 * (1 + math.cos(math.pi * progress))


def by_hand(network: torch.nn.Module, folder: Path, made: hf_train.Recipe) -> list[dict[str, float]]:
    examples = ExampleMaker(folder).examples(ROWS)
    trained = {name: p for name, p in network.named_parameters() if p.requires_grad}
    decayed = [p for name, p in trained.items() if "norm" not in name]
    rest = [p for name, p in trained.items() if "norm" in name]
    optimizer = torch.optim.AdamW(
        [{"params": decayed, "weight_decay": made.weight_decay}, {"params": rest, "weight_decay": 0.0}]
    )
    pools = step_pools(len(examples), made.seed, made.batch * made.accumulation)
    curve = []
    for step in range(made.steps):
        pool = [examples[index] for index in next(pools)]
        count = sum(example.trained for example in pool)
        total = 0.0
        for example in pool:
            logits = network(input_ids=torch.tensor([example.ids])).logits[0, :-1]
            loss = torch.nn.functional.cross_entropy(logits, torch.tensor(example.labels[1:]), reduction="sum") / count
            loss.backward()
            total += loss.item()
        norm = torch.nn.utils.clip_grad_norm_(trained.values(), made.max_grad_norm).item()
        for group in optimizer.param_groups:
            group["lr"] = learning_rate(made, step)
        optimizer.step()
        optimizer.zero_grad()
        curve.append({"loss": total, "grad_norm": norm, "learning_rate": learning_rate(made, step)})
    return curve


@pytest.mark.parametrize("full_ft", [False, True])
def test_each_step_equals_a_plain_loop(model: Path, tmp_path: Path, full_ft: bool):
    made = recipe(full_ft=full_ft, learning_rate=1e-3, min_learning_rate=1e-4) if full_ft else recipe()
    network, adapter = hf_train.load_base(model, made), None
    if not full_ft:
        network = hf_train.add_adapter(network, made)
        tiny_models.random_adapter(network)
        adapter = tmp_path / "adapter"
        network.save_pretrained(adapter)
    expected = by_hand(copy.deepcopy(network), model, made)
    result = hf_train.train(model, ROWS, made, initial_adapter=adapter, eval_rows=ROWS)
    assert [step["step"] for step in result.steps] == list(range(1, made.steps + 1))
    for ours, step in zip(expected, result.steps, strict=True):
        for key, value in ours.items():
            assert step[key] == pytest.approx(value, rel=RELATIVE, abs=1e-12), (step["step"], key)
    assert result.steps[0]["learning_rate"] == 0.0
    assert [point["step"] for point in result.evals] == [0, 4, 8]
    assert result.evals[-1]["eval_loss"] < result.evals[0]["eval_loss"]


def test_first_steps_of_a_longer_schedule_are_the_same(model: Path):
    # B starts at 0 and A is random per seed: the two runs must draw the same A.
    whole = hf_train.train(model, ROWS, recipe(eval_every=0))
    part = hf_train.train(model, ROWS, recipe(eval_every=0, steps=3, total_steps=8))
    assert [step["loss"] for step in part.steps] == [step["loss"] for step in whole.steps[:3]]
    assert [step["learning_rate"] for step in part.steps] == [step["learning_rate"] for step in whole.steps[:3]]


def test_checkpointing_and_bf16_change_rounding_only(model: Path, monkeypatch: pytest.MonkeyPatch):
    calls = 0
    forward = LlamaMLP.forward

    def counted(self, x):
        nonlocal calls
        calls += 1
        return forward(self, x)

    monkeypatch.setattr(LlamaMLP, "forward", counted)
    plain = hf_train.train(model, ROWS, recipe(eval_every=0))
    once = calls
    recomputed = hf_train.train(model, ROWS, recipe(eval_every=0, gradient_checkpointing=True))
    assert calls - once == 2 * once  # every layer runs twice, so it really is recomputed
    half = hf_train.train(model, ROWS, recipe(eval_every=0, dtype="bf16"))
    for a, b, c in zip(plain.steps, recomputed.steps, half.steps, strict=True):
        assert b["loss"] == pytest.approx(a["loss"], rel=RELATIVE)
        assert c["loss"] == pytest.approx(a["loss"], rel=3e-2)
    assert any(a["loss"] != c["loss"] for a, c in zip(plain.steps, half.steps, strict=True))
