"""Oracle: PEFT itself. The checks used elsewhere must notice what they are there to notice."""

from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file

from reference import adapter_check, dropout_masks, hf_train, tiny_models


@pytest.fixture(scope="module")
def folders(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    root = tmp_path_factory.mktemp("tiny")
    model = tiny_models.make_folder(root / "qwen3", "qwen3")
    made = hf_train.Recipe(steps=1, rank=4)
    network = hf_train.add_adapter(hf_train.load_base(model, made), made)
    tiny_models.random_adapter(network)
    network.save_pretrained(root / "adapter")
    return model, root / "adapter"


def test_adapter_check_sees_missing_and_unexpected_names(folders: tuple[Path, Path], tmp_path: Path):
    model, adapter = folders
    good = adapter_check.load(model, adapter)
    assert (good.missing, good.unexpected) == ([], [])
    assert adapter_check.adapter_is_live(good.model, torch.arange(3, 40)) > 1e-3
    (tmp_path / "adapter_config.json").write_bytes((adapter / "adapter_config.json").read_bytes())
    tensors = load_file(adapter / "adapter_model.safetensors")
    first = sorted(tensors)[0]
    tensors["base_model." + first] = tensors.pop(first)
    save_file(tensors, tmp_path / "adapter_model.safetensors")
    bad = adapter_check.load(model, tmp_path)
    assert bad.missing == [first] and bad.unexpected == ["base_model." + first]


def test_given_masks_are_used_and_taken_back(folders: tuple[Path, Path]):
    model, adapter = folders
    made = hf_train.Recipe(steps=1, rank=4, dropout=0.5)
    network = hf_train.add_adapter(hf_train.load_base(model, made), made, adapter).train()
    ids = torch.arange(3, 23).reshape(2, 10)
    lengths = [10, 10]
    layers = {
        name.removeprefix("base_model.model."): module.in_features
        for name, module in network.named_modules()
        if hasattr(module, "lora_dropout")
    }
    keep = {name: torch.ones(20, width, dtype=torch.bool) for name, width in layers.items()}
    drop = {name: torch.zeros(20, width, dtype=torch.bool) for name, width in layers.items()}
    run = lambda: network(input_ids=ids).logits  # noqa: E731
    with torch.no_grad():
        with dropout_masks.given_masks(network, drop, 0.5, lengths):
            dropped = run()
        with network.disable_adapter():
            base = run()
        # Scaled by 1 / (1 - p): the same as doubling B.
        with dropout_masks.given_masks(network, keep, 0.5):
            kept = run()
        for name, parameter in network.named_parameters():
            if "lora_B" in name:
                parameter.mul_(2.0)
        network.eval()
        doubled = run()
    assert torch.equal(dropped, base)
    assert torch.allclose(kept, doubled, rtol=0, atol=1e-4) and not torch.allclose(kept, base, atol=1e-2)
    with pytest.raises(KeyError), dropout_masks.given_masks(network, {}, 0.5):
        pass
    assert all(type(m.lora_dropout["default"]) is torch.nn.Dropout for m in network.modules() if hasattr(m, "lora_dropout"))


def test_padded_puts_each_sample_in_its_row():
    mask = torch.tensor([[False], [True], [False]])
    made = dropout_masks.padded(mask, [1, 2])
    assert made[:, :, 0].tolist() == [[False, True], [True, False]]
