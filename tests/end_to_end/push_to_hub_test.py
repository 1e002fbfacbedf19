"""Oracle: the `hf` client of huggingface_hub itself, against a Hub on the loopback interface."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from huggingface_hub import ModelCard

from support.convert import bytes_of, make_checkpoint
from support.hub_server import TOKEN, Hub, running_hub
from support.program import BUILD


@pytest.fixture
def hub():
    with running_hub() as one:
        yield one


@pytest.fixture
def run(tiny, tmp_path: Path) -> Path:
    model, adapter = tiny("qwen3")
    make_checkpoint(tmp_path / "run" / "checkpoint-7", model, adapter)
    options = {"learning_rate": 2e-4, "lora_rank": 4, "hfdc_input_template": "<|user|>{x}", "data_dir": "/home/me/secret"}
    (tmp_path / "run" / "run_config.json").write_text(json.dumps({"options": options}))
    (tmp_path / "run" / "train_results.json").write_text(json.dumps({"best_metric": 1.25, "train_loss": 1.5}))
    return tmp_path / "run"


def push(model: Path, run: Path, hub: Hub, *flags: str, token: str = TOKEN, python: str = ""):
    environment = os.environ | {"HF_ENDPOINT": hub.endpoint, "HF_TOKEN": token, "HF_HUB_DISABLE_XET": "1",
                                "HF_HOME": str(run.parent / "hf_home"),
                                "ANNEAL_PYTHON": python or sys.executable}  # fmt: skip
    environment.pop("HF_HUB_OFFLINE", None)
    return subprocess.run([BUILD / "anneal", "convert", "--base_model", model, "--checkpoints_dir", run, "--push_to_hub",
                           "tester/my-model", *flags], capture_output=True, text=True, env=environment)  # fmt: skip


@pytest.mark.parametrize("flags, folder", [([], "checkpoint-7.hf_model"), (["--no_merge"], "checkpoint-7.hf_peft")])
def test_all_files_arrive(tiny, run: Path, hub: Hub, flags: list[str], folder: str):
    for _ in range(2):  # the second finds the repository, and the folder up to date
        done = push(tiny("qwen3")[0], run, hub, *flags)
        assert done.returncode == 0, done.stdout + done.stderr
        arrived = dict(hub.repositories["tester/my-model"])
        arrived.pop(".gitattributes", None)
        assert arrived == bytes_of(run / folder)
    assert "up to date" in done.stdout


def test_the_card(tiny, run: Path, hub: Hub):
    assert push(tiny("qwen3")[0], run, hub, "--no_merge").returncode == 0
    text = hub.repositories["tester/my-model"]["README.md"].decode()
    card = ModelCard(text)
    head = card.data.to_dict()
    assert (head["library_name"], head["pipeline_tag"]) == ("peft", "text-generation")
    assert card.data.base_model is None, "a path of this machine is no name on the Hub"
    assert str(tiny("qwen3")[0].parent) not in text and "secret" not in text
    assert "| best_metric | `1.25` |" in text and "| learning_rate | `0.0002` |" in text
    assert '| hfdc_input_template | `"<\\|user\\|>{x}"` |' in text
    assert 'AutoPeftModelForCausalLM.from_pretrained("tester/my-model")' in text


def test_a_card_of_the_users_stays(tiny, run: Path, hub: Hub):
    model = tiny("qwen3")[0]
    assert push(model, run, hub).returncode == 0
    (run / "checkpoint-7.hf_model" / "README.md").write_text("mine")
    assert push(model, run, hub).returncode == 0
    assert hub.repositories["tester/my-model"]["README.md"] == b"mine"


def test_a_wrong_token(tiny, run: Path, hub: Hub):
    done = push(tiny("qwen3")[0], run, hub, token="hf_wrong")
    assert done.returncode == 6 and "hf auth login" in done.stderr
    assert (run / "checkpoint-7.hf_model" / "model.safetensors").exists(), "the conversion stays"


def test_no_client(tiny, run: Path, hub: Hub, tmp_path: Path):
    done = push(tiny("qwen3")[0], run, hub, python=str(tmp_path / "python3"))
    assert done.returncode == 2 and "`hf` is not installed" in done.stderr and "pip install huggingface_hub" in done.stderr
    assert hub.asked == []
