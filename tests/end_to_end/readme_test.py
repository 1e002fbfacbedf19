"""Every command line that README.md, docs/quickstart.md and docs/installing.md print in a block is run as it is printed, or
stands below with the reason why not. Ids are those of a Hub on the loopback interface, folders are made where the pages say that
they are; only the length is cut, by flags at the end."""

import json
import os
import re
import shlex
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from support.hub_server import running_hub
from support.program import BUILD, ROOT, anneal, copy_model, write_rows

PAGES = ("README.md", "docs/quickstart.md", "docs/installing.md")
MODEL = "Qwen/Qwen3-0.6B"
QUICKSTART_MODEL = "build/models/SmolLM2-135M-Instruct"
TIMEOUT_SECONDS = 300
# What is not run here, by its beginning.
NOT_RUN = {
    "make demo": "it downloads and trains for minutes; tests/demo has its parts",
    "make test": "this test is a part of it",
    "make install": "install_test.py",
    "make wheel": "wheel_test.py",
    "docker ": "there is no container engine; tests/tools/containers_test.py",
}
# By the command: what makes it short.
SHORTER = {
    "train": ["--max_steps", "2", "--dataloader_num_workers", "0"],
    "test": ["--max_tokens", "8"],
    "ray_train_sft.py": ["--print_config"],  # ray_run_test.py and seed_readme_test.py start Ray
}
OF_OTHERS = {"--gpus", "--rm", "--shm-size", "--user", "--max-lora-rank"}


def printed_lines(page: str) -> list[list[str]]:
    """The words of each command line of the blocks that name no language."""
    blocks = re.findall(r"^```\n(.*?)^```", (ROOT / page).read_text(), re.DOTALL | re.MULTILINE)
    lines = "\n".join(blocks).replace("\\\n", " ").splitlines()
    is_command = re.compile(r"(make|docker|build/release/anneal|\.venv/bin/python) ")
    return [shlex.split(line, comments=True) for line in lines if is_command.match(line)]


def is_run(words: list[str]) -> bool:
    return not shlex.join(words).startswith(tuple(NOT_RUN))


def test_the_lists_are_those_of_the_pages():
    lines = [words for page in PAGES for words in printed_lines(page)]
    assert len([words for words in lines if is_run(words)]) >= 10
    for beginning in NOT_RUN:
        assert any(shlex.join(words).startswith(beginning) for words in lines), f"no page prints {beginning} any more"
    targets = {words[1] for words in lines if words[0] == "make"}
    for target in targets:
        subprocess.run(["make", "--dry-run", "--silent", target], cwd=ROOT, check=True, stdout=subprocess.DEVNULL)


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory, tiny):
    """A folder like the checkout of a user, with the files that the pages speak of."""
    folder = tmp_path_factory.mktemp("reader")
    model = tiny("qwen3")[0]
    (folder / "build" / "models").mkdir(parents=True)
    (folder / "build" / "release").symlink_to(BUILD)
    for name in (".venv", "python", "ray_train_sft.py"):
        (folder / name).symlink_to(ROOT / name)
    copy_model(model, folder / QUICKSTART_MODEL)
    copy_model(model, folder / "path" / "to" / "Qwen3-8B")
    rows = [{"question": f"What is {n} and {n}?", "answer": f"{2 * n}"} for n in range(60)]
    write_rows(folder / "path" / "to" / "train.jsonl", rows)
    write_rows(folder / "rows.jsonl", rows)
    with running_hub() as hub:
        hub.repositories[MODEL] = {file.name: file.read_bytes() for file in model.iterdir() if file.is_file()}
        environment = os.environ | {"HF_ENDPOINT": hub.endpoint, "HF_HOME": str(folder / "hf_home"), "HF_HUB_DISABLE_XET": "1",
                                    "ANNEAL_PYTHON": sys.executable}  # fmt: skip
        for name in ("HF_HUB_OFFLINE", "HF_TOKEN", "HF_HUB_CACHE"):
            environment.pop(name, None)
        yield folder, environment


@pytest.mark.parametrize(("page", "run_name"), [("README.md", MODEL.replace("/", "-")), ("docs/quickstart.md", "SmolLM2-135M-Instruct")])
def test_the_lines_work_in_their_order(place: tuple[Path, dict[str, str]], page: str, run_name: str):
    folder, environment = place
    shutil.rmtree(folder / "results", ignore_errors=True)
    shutil.rmtree(folder / "datasets", ignore_errors=True)
    for words in filter(is_run, printed_lines(page)):
        line = [*words, *SHORTER.get(words[1], [])]
        done = subprocess.run(line, cwd=folder, env=environment, capture_output=True, text=True, timeout=TIMEOUT_SECONDS)
        assert done.returncode == 0, f"{shlex.join(line)}\n{done.stdout}{done.stderr}"
    run = folder / "results" / run_name
    assert list(run.glob("checkpoint-*/adapter_model.safetensors")) and list(run.glob("**/predictions.jsonl"))
    assert list(run.glob("**/model.safetensors")), "nothing was converted"


def test_the_flags_of_the_pages_are_options():
    listed = json.loads(anneal("docs", "--json").stdout)
    options = {f"--{option['name']}" for command in listed.values() for option in command}
    options |= {f"--no_{name[2:]}" for name in options} | {"--help", "--version", "--config", "--print_config"}
    for page in PAGES:
        named = set(re.findall(r"(?<![\w-])--[a-z][a-z_-]*", (ROOT / page).read_text()))
        assert named <= options | OF_OTHERS, f"{page} names {sorted(named - options - OF_OTHERS)}"
