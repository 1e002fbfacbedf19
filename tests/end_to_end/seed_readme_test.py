"""Every command line that the user's README prints, as it is printed: its ids are models and a dataset of a Hub on the
loopback interface. Only the length is cut, by --max_steps at the end. The first training runs under the real Ray; the others
by `anneal train`, which the script starts with their flags, unless ANNEAL_TEST_FULL is set: Ray takes half a minute for each."""

import json
import os
import re
import shlex
import subprocess
import sys
from pathlib import Path

import pytest

from reference import tiny_models
from support.hub_server import Hub, running_hub
from support.program import BUILD, ROOT, SHARED
from support.ray_run import WAIT_SECONDS, ray_environment, started_cluster

README = SHARED / "seed-readme.md"
# Commands of other programs.
OTHERS = {"cd", "git", "docker", "ray"}
# id -> family of tiny_models
MODELS = {"Qwen/Qwen3-8B": "qwen3", "meta-llama/Llama-3-8B": "llama"}
SHORT = ("--max_steps", "2", "--dataloader_num_workers", "0")


def printed_lines() -> list[list[str]]:
    """The words of each line of the README's bash blocks."""
    blocks = re.findall(r"```bash\n(.*?)```", README.read_text(), re.DOTALL)
    lines = "\n".join(blocks).replace("\\\n", " ").splitlines()
    return [words for line in lines if (words := shlex.split(line, comments=True))]


def test_the_list_is_complete():
    if not README.exists():
        pytest.skip(f"{README} is absent: its command lines are not run")
    lines = printed_lines()
    scripts = [words for words in lines if words[0] == "python"]
    fragments = [words for words in lines if words[0].startswith("--")]
    assert len(scripts) == 10 and len(fragments) == 4
    assert {words[0] for words in lines} - {"python"} - {words[0] for words in fragments} == OTHERS


class Machine:
    """With a folder for each command. `environment` is also that of the cluster: workers look for models too."""

    def __init__(self, folder: Path, environment: dict[str, str]) -> None:
        self.folder, self.environment = folder, environment

    def run(self, place: str, words: list[str]) -> str:
        work = self.folder / place
        work.mkdir(exist_ok=True)
        done = subprocess.run(words, cwd=work, env=self.environment, capture_output=True, text=True, timeout=WAIT_SECONDS)
        assert done.returncode == 0, f"{shlex.join(words)}\n{done.stdout}{done.stderr}"
        return done.stdout

    def script(self, place: str, words: list[str], *flags: str) -> str:
        return self.run(place, [sys.executable, str(ROOT / words[1]), *words[2:], *flags])


def model_files(folder: Path, family: str) -> dict[str, bytes]:
    # Long enough for --max_seq_length 4096.
    made = tiny_models.write_folder(folder, family, tiny_models.NAMES[family][1] | {"max_position_embeddings": 8192})
    return {file.name: file.read_bytes() for file in made.iterdir()}


@pytest.fixture(scope="module")
def machine(tmp_path_factory: pytest.TempPathFactory):
    if not README.exists():
        pytest.skip(f"{README} is absent: its command lines are not run")
    folder = tmp_path_factory.mktemp("seed")
    rows = [{"instruction": f"Say {n}.", "input": "", "output": f"The number {n}."} for n in range(60)]
    with running_hub() as hub, pytest.MonkeyPatch.context() as machine:
        for name, family in MODELS.items():
            hub.repositories[name] = model_files(folder / family, family)
        hub.repositories["datasets/cognitivecomputations/dolphin"] = {
            "flan1m-alpaca-uncensored.jsonl": "".join(json.dumps(row) + "\n" for row in rows).encode(),
            "README.md": b"---\nconfigs:\n- config_name: flan1m-alpaca-uncensored\n  data_files: flan1m-alpaca-uncensored.jsonl\n---\n",
        }
        for name, value in {"HF_ENDPOINT": hub.endpoint, "HF_HOME": str(folder / "hf_home"), "HF_HUB_DISABLE_XET": "1",
                            "ANNEAL_PYTHON": sys.executable}.items():  # fmt: skip
            machine.setenv(name, value)
        for name in ("HF_HUB_OFFLINE", "HF_TOKEN", "HF_HUB_CACHE"):
            machine.delenv(name, raising=False)
        with started_cluster(num_cpus=2) as cluster:
            yield Machine(folder, ray_environment(cluster))


def test_every_training_runs(machine: Machine):
    """Each ends, and leaves what the README's "Project Structure" shows."""
    trainings = [words for words in printed_lines() if words[:2] == ["python", "ray_train_sft.py"]]
    for index, words in enumerate(trainings):
        place = f"training-{index}"
        if index == 0 or os.environ.get("ANNEAL_TEST_FULL"):
            machine.script(place, words, *SHORT)
        else:
            machine.run(place, [str(BUILD / "anneal"), "train", *words[2:], *SHORT])
        model = words[words.index("--hf_model_id") + 1] if "--hf_model_id" in words else "Qwen/Qwen3-8B"
        run = machine.folder / place / "results" / model.replace("/", "-")
        (checkpoint,) = run.glob("checkpoint-*")
        is_full = "--full_ft" in words
        assert (checkpoint / ("model.safetensors" if is_full else "adapter_config.json")).exists(), words
        assert any((run / "logs").iterdir())
        data = machine.folder / place / "datasets/cognitivecomputations_dolphin/flan1m-alpaca-uncensored/train=90%-val=5%-test=5%"
        assert {"training.jsonl", "validation.jsonl", "test.jsonl", ".data_ready"} <= {file.name for file in data.iterdir()}


def test_checkpoints_are_tested_and_converted(machine: Machine):
    lines = printed_lines()
    place = "training-0"  # of the first of them, Qwen/Qwen3-8B
    if not (machine.folder / place).exists():
        machine.script(place, ["python", "ray_train_sft.py"], *SHORT)
    (test,) = (words for words in lines if words[:2] == ["python", "test_checkpoint.py"])
    machine.script(place, test, "--max_tokens", "8")
    run = machine.folder / place / "results" / "Qwen-Qwen3-8B"
    (predictions,) = run.glob("**/predictions.jsonl")
    assert len(predictions.read_text().splitlines()) == 3  # a tenth of the rows, halved
    (convert,) = (words for words in lines if words[:2] == ["python", "convert_checkpoint_to_hf.py"])
    said = machine.script(place, convert)
    assert any((machine.folder / place).glob("**/model.safetensors")), said


def test_the_flags_of_its_troubleshooting(machine: Machine):
    for words in printed_lines():
        if words[0].startswith("--"):
            dry = machine.run("dry", [str(BUILD / "anneal"), "train", *words, "--dry_run"])
            assert "all is ready for step 1" in dry, words
