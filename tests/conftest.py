"""Models, adapters and samples that tests share."""

import random
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from filelock import FileLock

from support.program import ROOT
from reference import experts, hf_train, tiny_models


@pytest.fixture(scope="session")
def tiny(tmp_path_factory: pytest.TempPathFactory):
    """tiny("qwen3") -> (folder of a tiny random model, folder of a random adapter on every linear layer)."""
    root = tmp_path_factory.mktemp("tiny")
    models: dict[tuple, Path] = {}
    made: dict[tuple, tuple[Path, Path]] = {}

    def make(
        name: str, dtype: torch.dtype = torch.float32, sharded: bool = False, kind: str = "lora"
    ) -> tuple[Path, Path]:
        if (name, dtype, sharded) not in models:
            folder = root / f"{name}-{dtype}-{sharded}".replace("torch.", "")
            models[name, dtype, sharded] = tiny_models.make_folder(folder, name, dtype, sharded)
        key = (name, dtype, sharded, kind)
        if key not in made:
            model = models[name, dtype, sharded]
            adapter = model / "adapter" if kind == "lora" else model.with_name(f"{model.name}-{kind}")
            targets, has_experts = tiny_models.targets_of(name), tiny_models.adapts_experts(name)
            recipe = hf_train.Recipe(steps=1, rank=4, alpha=8, targets=targets[:4] if has_experts else targets,
                                     **tiny_models.ADAPTER_KINDS[kind])  # fmt: skip
            network = hf_train.add_adapter(hf_train.load_base(model, recipe), recipe)
            tiny_models.random_adapter(network)
            network.save_pretrained(adapter)
            if has_experts and kind == "lora":  # PEFT takes no other kind there
                experts.add_expert_adapters(adapter, model)
            made[key] = (model, adapter)
        return made[key]

    return make


@pytest.fixture(scope="session")
def smollm2() -> Path:
    """The demo's real model; made once below build/, by one process of those that test."""
    folder = ROOT / "build" / "models" / "SmolLM2-135M-Instruct"
    folder.parent.mkdir(parents=True, exist_ok=True)
    with FileLock(folder.with_suffix(".lock")):
        subprocess.run([sys.executable, str(ROOT / "examples/demo/make_model.py"), str(folder)], check=True)
    return folder


@pytest.fixture(scope="session")
def samples() -> list[dict]:
    """Token samples of lengths that cross the tiles of the attention kernel; one is all prompt but its last token."""
    generator = random.Random(7)
    lengths = [(40, 11), (1, 0), (129, 64), (2, 1), (70, 69), (64, 0), (33, 5)]
    return [
        {"ids": [generator.randrange(3, 512) for _ in range(length)], "prompt_length": prompt}
        for length, prompt in lengths
    ]
