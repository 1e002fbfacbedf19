"""Oracle: autograd through transformers and PEFT; loss = sum of NLL over the trained tokens of all samples / their number."""

from pathlib import Path

import pytest
import torch
from transformers import AutoModelForCausalLM

from support.program import probe
from reference import adapter_check, experts, hf_train, tiny_models
from reference.dropout_masks import given_masks

GRADIENT_FP32 = 1e-4  # ||a-b|| / ||b|| of each tensor
CUT_FP32 = 1e-5  # another cut of the same step: only the order of sums differs


def _labels(sample: dict) -> torch.Tensor:
    labels = torch.tensor(sample["ids"])
    labels[: sample["prompt_length"]] = -100
    return labels


def _reference_loss(model: torch.nn.Module, samples: list[dict]) -> torch.Tensor:
    """Sets the gradients; one padded batch, so that dropout masks can be given for it."""
    longest = max(len(sample["ids"]) for sample in samples)
    ids = torch.zeros(len(samples), longest, dtype=torch.long)
    mask, labels = torch.zeros_like(ids), torch.full_like(ids, -100)
    for row, sample in enumerate(samples):
        length = len(sample["ids"])
        ids[row, :length], mask[row, :length] = torch.tensor(sample["ids"]), 1
        labels[row, :length] = _labels(sample)
    logits = model(input_ids=ids, attention_mask=mask, use_cache=False).logits[:, :-1].float()
    loss = torch.nn.functional.cross_entropy(logits.transpose(1, 2), labels[:, 1:], ignore_index=-100)
    loss.backward()
    return loss.detach()


def _loss_by_samples(model: torch.nn.Module, samples: list[dict]) -> torch.Tensor:
    """The same one sample at a time, each with the rope of its own length."""
    trained = sum(int((_labels(sample)[1:] >= 0).sum()) for sample in samples)
    total = torch.zeros(())
    for sample in samples:
        adapter_check.forget_lengths(model)
        output = model(input_ids=torch.tensor(sample["ids"])[None], use_cache=False)
        logits, labels = output.logits[0, :-1].float(), _labels(sample)[1:]
        loss = torch.nn.functional.cross_entropy(logits, labels, ignore_index=-100, reduction="sum")
        if getattr(output, "aux_loss", None) is not None:  # by the tokens of the sample, as its other loss
            loss = loss + model.config.router_aux_loss_coef * output.aux_loss * (labels >= 0).sum()
        loss = loss / trained
        loss.backward()
        total += loss.detach()
    return total


def _assert_gradients(ours: dict[str, torch.Tensor], named: list[tuple[str, torch.Tensor]]) -> None:
    found = {name.removeprefix("grad."): tensor for name, tensor in ours.items() if name.startswith("grad.")}
    assert set(found) == {name for name, _ in named}
    for name, expected in named:
        error, size = torch.linalg.vector_norm(found[name] - expected), torch.linalg.vector_norm(expected)
        assert error <= GRADIENT_FP32 * size, f"{name}: {error / size:.2e}"  # no token may have gone to an expert


def _lora_gradients(network: torch.nn.Module) -> list[tuple[str, torch.Tensor]]:
    named = [(adapter_check.name_in_file(n), p.grad) for n, p in network.named_parameters() if p.requires_grad]
    return experts.unfused_adapter(network.config.model_type, named)


def _trainable(folder: Path, adapter: Path, dropout: float = 0.0) -> torch.nn.Module:
    recipe = hf_train.Recipe(steps=1, dropout=dropout)
    return hf_train.add_adapter(hf_train.load_base(folder, recipe), recipe, adapter).train()


@pytest.mark.parametrize(("name", "kind"), tiny_models.ADAPTED)
def test_lora_gradients_equal_peft(name: str, kind: str, tiny, samples: list[dict], tmp_path: Path):
    folder, adapter = tiny(name, kind=kind)
    network = _trainable(folder, adapter)
    loss = _loss_by_samples(network, samples)
    ours = probe(tmp_path, model=folder, adapter=adapter, samples=samples, gradients=True)
    assert abs(ours["loss"].item() - loss.item()) <= 1e-5 * loss.item()
    _assert_gradients(ours, _lora_gradients(network))


@pytest.mark.parametrize("name", tiny_models.NAMES)
def test_full_gradients_equal_transformers(name: str, tiny, samples: list[dict], tmp_path: Path):
    folder, _ = tiny(name)
    network = AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32).train()
    loss = _loss_by_samples(network, samples)
    ours = probe(tmp_path, model=folder, full_ft=True, samples=samples, gradients=True)
    assert abs(ours["loss"].item() - loss.item()) <= 1e-5 * loss.item()
    named = [(name, parameter.grad) for name, parameter in network.named_parameters()]
    _assert_gradients(ours, experts.unfused(network.config.model_type, named))


@pytest.mark.parametrize(
    ("name", "kind"), [("phi3", "lora"), *((name, kind) for name in ("llama", "qwen3") for kind in tiny_models.ADAPTER_KINDS)]
)
def test_dropout_gradients_equal_peft_with_our_masks(name: str, kind: str, tiny, samples: list[dict], tmp_path: Path):
    folder, adapter = tiny(name, kind=kind)
    ours = probe(tmp_path, model=folder, adapter=adapter, samples=samples, gradients=True, masks=True,
                 lora_dropout=0.25, seed=3, step=5)  # fmt: skip
    masks = {n.removeprefix("mask."): t.bool() for n, t in ours.items() if n.startswith("mask.")}
    share = torch.cat([mask.flatten() for mask in masks.values()]).float().mean()
    assert abs(share - 0.75) < 0.005
    network = _trainable(folder, adapter, dropout=0.25)
    with given_masks(network, masks, 0.25, [len(sample["ids"]) for sample in samples]):
        loss = _reference_loss(network, samples)
    assert abs(ours["loss"].item() - loss.item()) <= 1e-5 * loss.item()
    _assert_gradients(ours, _lora_gradients(network))


@pytest.mark.parametrize(("name", "kind"), [("qwen3", "lora"), ("qwen3", "dora"), ("qwen3", "full"), ("mixtral-balanced", "full")])
def test_cuts_and_recompute_change_nothing(name: str, kind: str, tiny, samples: list[dict], tmp_path: Path):
    full_ft = kind == "full"
    folder, adapter = tiny(name, kind="lora" if full_ft else kind)
    request = dict(model=folder, samples=samples, gradients=True, full_ft=full_ft, seed=3, step=5)
    if not full_ft:
        request |= dict(adapter=adapter, lora_dropout=0.25)
    whole = probe(tmp_path, **request)
    for kept in (0, 1, 2):
        again = probe(tmp_path, **request, kept_layers=kept)
        assert all(torch.equal(again[name], tensor) for name, tensor in whole.items()), f"{kept} kept layers"
    for tokens in (1, 100, 200):
        cut = probe(tmp_path, **request, micro_batch_tokens=tokens)
        for name, tensor in whole.items():
            if name.startswith("grad."):
                error = torch.linalg.vector_norm(cut[name] - tensor) / torch.linalg.vector_norm(tensor)
                assert error <= CUT_FP32, f"{tokens} tokens, {name}: {error:.2e}"


def test_only_the_lowest_trained_layers_are_reached(tiny, samples: list[dict], tmp_path: Path):
    """Adapters on a few modules above the lowest layer: what is skipped below must not change what is trained."""
    folder, _ = tiny("llama")
    recipe = hf_train.Recipe(steps=1, rank=4, targets=["layers.1.mlp.down_proj", "layers.2.self_attn.k_proj"])
    network = hf_train.add_adapter(hf_train.load_base(folder, recipe), recipe).train()
    tiny_models.random_adapter(network)
    network.save_pretrained(tmp_path / "adapter")
    _reference_loss(network, samples)
    ours = probe(tmp_path, model=folder, adapter=tmp_path / "adapter", samples=samples, gradients=True)
    _assert_gradients(ours, _lora_gradients(network))
