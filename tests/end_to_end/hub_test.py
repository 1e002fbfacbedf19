"""Oracle: the `hf` client of huggingface_hub itself, against a Hub on the loopback interface; `datasets` for the rows."""

import json
import os
import pty
import shutil
import subprocess
import sys
import time
from pathlib import Path

import pyarrow
import pytest
from pyarrow import parquet

from support.convert import make_checkpoint
from support.hub_server import TOKEN, Hub, running_hub
from support.prepare import expected_files, files_of, load
from support.program import BUILD, assert_refused, write_rows

TEMPLATES = ["--hfdc_input_template", "{q}", "--hfdc_output_template", "{a}"]
ROWS = [{"q": f"q{number}", "a": f"a{number}"} for number in range(40)]
CARD = b"""---
configs:
- config_name: main
  default: true
  data_files:
  - split: train
    path: rows/*.jsonl
  - split: extra
    path: more.csv
- config_name: big
  data_files: big/*.parquet
---
"""


@pytest.fixture
def hub():
    with running_hub() as one:
        yield one


def lines(rows) -> bytes:
    return "".join(json.dumps(row) + "\n" for row in rows).encode()


def parquet_of(rows) -> bytes:
    sink = pyarrow.BufferOutputStream()
    parquet.write_table(pyarrow.Table.from_pylist(rows), sink)
    return sink.getvalue().to_pybytes()


class Machine:
    """A machine with an empty cache of its own, which knows one Hub."""

    def __init__(self, folder: Path, hub: Hub) -> None:
        self.folder, self.hub = folder, hub
        self.environment = os.environ | {
            "HF_ENDPOINT": hub.endpoint,
            "HF_HOME": str(folder / "hf_home"),
            "HF_HUB_DISABLE_XET": "1",
            "ANNEAL_PYTHON": sys.executable,
        }
        for name in ("HF_HUB_OFFLINE", "HF_TOKEN", "HF_HUB_CACHE"):
            self.environment.pop(name, None)

    def run(self, *arguments, code: int | None = 0, stdin: str = "", **environment: str) -> subprocess.CompletedProcess[str]:
        self.hub.asked.clear()
        done = subprocess.run([BUILD / "anneal", *map(str, arguments)], cwd=self.folder, capture_output=True, text=True,
                              input=stdin, env=self.environment | environment)  # fmt: skip
        assert code is None or done.returncode == code, done.stdout + done.stderr
        return done

    def prepare(self, name: str, *flags, code: int = 0, **environment: str):
        shutil.rmtree(self.folder / "data", ignore_errors=True)
        return self.run("prepare", "--hfdc_dataset_name", name, "--data_dir", "data", *TEMPLATES, *flags, code=code, **environment)

    def prepared(self) -> list[bytes]:
        return files_of(self.folder / "data")

    def downloaded(self) -> list[str]:
        return sorted(line.split("/resolve/")[1].split("/", 1)[1] for line in self.hub.asked if line.startswith("GET ") and "/resolve/" in line)


@pytest.fixture
def machine(tmp_path: Path, hub: Hub) -> Machine:
    (tmp_path / "machine").mkdir()
    return Machine(tmp_path / "machine", hub)


def expected(rows):
    return expected_files(rows, "{q}", "{a}", {"q": "q", "a": "a"})


def test_a_dataset_by_its_card(machine: Machine):
    files = {"README.md": CARD, "rows/2.jsonl": lines(ROWS[20:]), "rows/1.jsonl": lines(ROWS[:20]), "more.csv": b"q,a\n1,2\n3,4\n"}
    files |= {f"big/{number}.parquet": parquet_of(ROWS[number::2]) for number in range(2)} | {"picture.png": b"x" * 100_000}
    machine.hub.repositories["datasets/org/set"] = files
    done = machine.prepare("org/set")
    assert machine.prepared() == expected(ROWS)
    assert machine.downloaded() == ["README.md", "rows/1.jsonl", "rows/2.jsonl"], "no more than the split needs"
    assert done.stderr.count("hub: downloading the dataset org/set") == 1 and "Fetching" not in done.stderr
    machine.prepare("org/set")
    assert machine.hub.asked == [], "the second run makes no request"
    machine.prepare("org/set", "--hfdc_dataset_config", "big")
    assert machine.prepared() == expected(ROWS[0::2] + ROWS[1::2])
    assert machine.downloaded() == ["big/0.parquet", "big/1.parquet"]
    machine.prepare("org/set", "--hfdc_split", "extra", "--hfdc_train_split_ratio", 1)
    assert machine.downloaded() == ["more.csv"]
    assert_refused(machine.prepare("org/set", "--hfdc_dataset_config", "none", code=3), 3, "name one of: main, big")
    assert_refused(machine.prepare("org/set", "--hfdc_split", "none", code=3), 3, "name one of: train, extra")


def test_a_dataset_by_the_names_of_its_files(machine: Machine, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    files = {f"data/train-0000{number}-of-00002.parquet": parquet_of(ROWS[number::2]) for number in range(2)}
    machine.hub.repositories["datasets/org/set"] = files | {"data/test-00000-of-00001.parquet": parquet_of(ROWS[:4])}
    machine.prepare("org/set")
    for name, content in files.items():
        path = tmp_path / "theirs" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)
    assert machine.prepared() == expected(load(tmp_path, monkeypatch, tmp_path / "theirs", split="train"))
    assert machine.downloaded() == sorted(files)
    # Half of a split in the cache, as another program may leave it, is not taken for all of it.
    (snapshot,) = (machine.folder / "hf_home/hub").glob("datasets--*/snapshots/*/data/train-00001*")
    snapshot.unlink()
    shutil.rmtree(next((machine.folder / "hf_home/hub").glob("datasets--*/trees")))
    assert_refused(machine.prepare("org/set", "--offline", code=2), 2, "the network is off")
    machine.prepare("org/set")
    assert machine.prepared() == expected(ROWS[0::2] + ROWS[1::2])


def test_a_revision(machine: Machine):
    machine.hub.repositories["datasets/org/set"] = {"train.jsonl": lines(ROWS)}
    machine.hub.branches["datasets/org/set", "v1"] = {"train.jsonl": lines(ROWS[:20])}
    machine.prepare("org/set", "--hfdc_revision", "v1")
    assert machine.prepared() == expected(ROWS[:20])
    machine.prepare("org/set")
    assert machine.prepared() == expected(ROWS)
    machine.prepare("org/set", "--hfdc_revision", "v1", "--offline")
    assert machine.prepared() == expected(ROWS[:20])
    assert_refused(machine.prepare("org/set", "--hfdc_revision", "v2", code=2), 2, "has no revision v2")
    assert_refused(machine.prepare("org/set", "--hfdc_revision", "../x", code=2), 2, "--hfdc_revision")


def test_a_dataset_with_a_program_of_its_own(machine: Machine, tmp_path: Path):
    proof = tmp_path / "executed"
    machine.hub.repositories["datasets/org/set"] = {"set.py": f"open({str(proof)!r}, 'w')".encode(), "README.md": b""}
    assert_refused(machine.prepare("org/set", code=3), 3, "set.py, which is never run", "refs/convert/parquet")
    machine.hub.branches["datasets/org/set", "refs/convert/parquet"] = {"default/train/0000.parquet": parquet_of(ROWS)}
    machine.prepare("org/set", "--hfdc_revision", "refs/convert/parquet")
    assert machine.prepared() == expected(ROWS) and not proof.exists()


def test_an_unusual_dataset_goes_through_the_library(machine: Machine):
    card = b"---\nconfigs:\n- config_name: one\n  data_files: x.json\n  field: data\n---\n"
    machine.hub.repositories["datasets/org/set"] = {"README.md": card, "x.json": json.dumps({"data": ROWS}).encode()}
    assert machine.prepare("org/set").stderr.count("through the `datasets` library") == 1
    assert machine.prepared() == expected(ROWS)
    machine.prepare("org/set")
    assert machine.hub.asked == []


def model_files(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in folder.iterdir() if path.is_file()}


@pytest.fixture
def model(tiny, machine: Machine) -> Path:
    folder, _ = tiny("qwen3", sharded=True)
    extra = {"original/model.safetensors": b"x", "pytorch_model.bin": b"x", "consolidated.safetensors": b"x"}
    machine.hub.repositories["org/model"] = model_files(folder) | extra
    return folder


def train_flags(machine: Machine):
    write_rows(machine.folder / "rows.jsonl", ROWS)
    return ["--hfdc_dataset_name", "rows.jsonl", *TEMPLATES, "--max_steps", 2, "--lora_rank", 2, "--max_seq_length", 64]


def test_a_model_by_its_id(machine: Machine, model: Path):
    flags = ["--hf_model_id", "org/model", *train_flags(machine)]
    machine.run("train", *flags)
    assert set(machine.downloaded()) == {name for name in model_files(model) if name.endswith((".json", ".safetensors", ".jinja", ".txt"))}
    run = machine.folder / "results/org-model"
    (checkpoint,) = run.glob("checkpoint-*")
    assert json.loads((checkpoint / "adapter_config.json").read_text())["base_model_name_or_path"] == "org/model"
    machine.run("train", *flags, "--new_run")
    assert machine.hub.asked == [], "the second run makes no request"
    machine.run("test", "--base_model", "org/model", "--max_samples", 1, "--max_tokens", 2, "--no_bertscore")
    machine.run("convert", "--base_model", "org/model")
    assert (checkpoint.parent / f"{checkpoint.name}.hf_model/config.json").exists()
    data = next(machine.folder.glob("datasets/**/training.jsonl"))
    machine.run("score", "--hf_model_id", "org/model", "--data", data, "--offline")
    assert machine.hub.asked == []


def test_each_command_fetches_what_it_needs(machine: Machine, model: Path, tiny):
    first = machine.run("tokenize", "--hf_model_id", "org/model", stdin="one two\n").stdout
    assert first == machine.run("tokenize", "--hf_model_id", model, stdin="one two\n").stdout
    machine.hub.asked.clear()
    write_rows(machine.folder / "scored.jsonl", [{"input": "a", "output": "b"}])
    machine.run("score", "--hf_model_id", "org/model", "--data", "scored.jsonl")
    weights = {name for name in machine.downloaded() if name.endswith(".safetensors")}
    assert weights == {name for name in model_files(model) if name.endswith(".safetensors")}, "the tokenizer alone was there before"
    make_checkpoint(machine.folder / "run/checkpoint-7", model, tiny("qwen3", sharded=True)[1])
    shutil.rmtree(machine.folder / "hf_home")
    machine.run("convert", "--base_model", "org/model", "--checkpoint", "run/checkpoint-7")
    assert "model.safetensors.index.json" in machine.downloaded()


def test_chat_templates_of_their_own_come_along(machine: Machine, model: Path):
    template = "additional_chat_templates/tool_use.jinja"
    machine.hub.repositories["org/model"] |= {template: b"{{ tools }}", "other/x.jinja": b"x"}
    machine.run("tokenize", "--hf_model_id", "org/model")
    assert template in machine.downloaded() and "other/x.jinja" not in machine.downloaded()
    machine.run("tokenize", "--hf_model_id", "org/model", HF_HUB_OFFLINE="1")
    (snapshot,) = (machine.folder / "hf_home/hub/models--org--model/snapshots").iterdir()
    assert (snapshot / template).read_bytes() == b"{{ tools }}"
    # As a program leaves it that does not know of them.
    (snapshot / template).unlink()
    done = machine.run("tokenize", "--hf_model_id", "org/model", code=2, HF_HUB_OFFLINE="1")
    assert_refused(done, 2, "not whole in the hub's cache")
    machine.run("tokenize", "--hf_model_id", "org/model")
    assert (snapshot / template).exists()


def test_several_ranks_download_once(machine: Machine, model: Path):
    machine.run("train", "--hf_model_id", "org/model", *train_flags(machine), "--num_workers", 2)
    assert len(machine.downloaded()) == len(set(machine.downloaded()))


def test_a_revision_of_a_model(machine: Machine, model: Path):
    machine.hub.branches["org/model", "v1"] = machine.hub.repositories["org/model"]
    machine.hub.repositories["org/model"] = {"config.json": b"{}"}
    write_rows(machine.folder / "scored.jsonl", [{"input": "a", "output": "b"}])
    machine.run("score", "--hf_model_id", "org/model", "--hf_model_revision", "v1", "--data", "scored.jsonl")
    machine.run("train", "--hf_model_id", "org/model", "--hf_model_revision", "v1", "--offline", *train_flags(machine))
    (adapter,) = (machine.folder / "results/org-model").glob("checkpoint-*/adapter_config.json")
    assert json.loads(adapter.read_text())["revision"] == "v1", "PEFT loads the base model of this revision"
    flags = ["--base_model", "org/model", "--base_model_revision", "v1", "--no_bertscore", "--max_samples", 1, "--max_tokens", 2]
    machine.run("test", *flags, "--offline")
    done = machine.run("score", "--hf_model_id", "org/model", "--data", "scored.jsonl", code=4)
    assert_refused(done, 4, "lacks config.json, tokenizer.json or its weights", "pickled")


def test_a_misspelt_id_gets_a_suggestion(machine: Machine, model: Path):
    """Of what is in the cache, with the network and without."""
    machine.hub.repositories["org/model"] = {file.name: file.read_bytes() for file in model.iterdir() if file.is_file()}
    machine.run("plan", "--hf_model_id", "org/model", "--device", "cpu")
    for flags in ((), ("--offline",)):
        done = machine.run("plan", "--hf_model_id", "org/modle", "--device", "cpu", *flags, code=2)
        assert_refused(done, 2, '"org/modle"' if flags else "model org/modle", "did you mean org/model, which is in the cache?")


REFUSALS = [
    ("gated", {}, 2, "is gated", "hf auth login"),
    ("gated", {"HF_TOKEN": "hf_wrong"}, 2, "is gated", "hf auth login"),
    ("missing", {}, 2, "there is no", "check the id"),
    ("model", {"HF_HUB_OFFLINE": "1"}, 2, "the network is off", "hf download"),
    ("model", {"HF_ENDPOINT": "http://127.0.0.1:9"}, 7, "the hub cannot be reached", "HF_ENDPOINT"),
    ("model", {"ANNEAL_PYTHON": "/nowhere/python3"}, 2, "`hf` is not installed", "pip install huggingface_hub"),
]  # fmt: skip


@pytest.mark.parametrize("name, environment, code, problem, remedy", REFUSALS)
@pytest.mark.parametrize("kind", ["model", "dataset"])
def test_what_the_hub_refuses(machine: Machine, model: Path, kind: str, name: str, environment: dict, code: int, problem: str, remedy: str):
    for prefix in ("", "datasets/"):
        machine.hub.repositories[f"{prefix}org/gated"] = {"train.jsonl": lines(ROWS)}
        machine.hub.gated.add(f"{prefix}org/gated")
    if kind == "model":
        flags = train_flags(machine)
        done = machine.run("train", "--hf_model_id", f"org/{name}", *flags, code=code, **environment)
        assert not (machine.folder / "results").exists() and not (machine.folder / "datasets").exists()
    else:
        done = machine.prepare(f"org/{name}", code=code, **environment)
    assert_refused(done, code, problem, remedy)
    assert len(done.stderr.strip().splitlines()) <= 3, f"one clear message: {done.stderr}"
    assert "HF_HUB_OFFLINE" not in environment or machine.hub.asked == []


def test_a_token_opens_what_is_gated(machine: Machine):
    machine.hub.repositories["datasets/org/gated"] = {"train.jsonl": lines(ROWS)}
    machine.hub.gated.add("datasets/org/gated")
    machine.prepare("org/gated", HF_TOKEN=TOKEN)
    assert machine.prepared() == expected(ROWS)
    machine.prepare("org/gated", HF_HUB_OFFLINE="1")


def runs(pid: int) -> bool:
    try:
        return bool(Path(f"/proc/{pid}/cmdline").read_bytes())  # what has ended, but has no parent to say so, has none
    except OSError:
        return False


def test_two_processes_download_at_once(machine: Machine, model: Path):
    machine.hub.may_answer.clear()
    command = [BUILD / "anneal", "tokenize", "--hf_model_id", "org/model"]
    both = [subprocess.Popen(command, cwd=machine.folder, stdin=subprocess.DEVNULL, env=machine.environment) for _ in range(2)]
    machine.hub.may_answer.set()
    assert [process.wait() for process in both] == [0, 0]


def test_the_client_ends_with_the_program(machine: Machine, model: Path):
    machine.hub.may_answer.clear()
    process = subprocess.Popen([BUILD / "anneal", "tokenize", "--hf_model_id", "org/model"], cwd=machine.folder,
                               stdin=subprocess.DEVNULL, stderr=subprocess.DEVNULL, env=machine.environment)  # fmt: skip

    def clients() -> list[int]:
        listed = Path(f"/proc/{process.pid}/task/{process.pid}/children")
        return [int(pid) for pid in listed.read_text().split()]

    while not clients():
        assert process.poll() is None
    (client,) = clients()
    process.kill()
    process.wait()
    deadline = time.monotonic() + 60
    while runs(client):
        assert time.monotonic() < deadline
        time.sleep(0.05)


def test_progress_on_a_terminal(machine: Machine):
    machine.hub.repositories["datasets/org/set"] = {"train.jsonl": lines(ROWS), "train_2.jsonl": lines(ROWS)}
    ours, theirs = pty.openpty()
    command = [BUILD / "anneal", "prepare", "--hfdc_dataset_name", "org/set", *TEMPLATES]
    process = subprocess.Popen(command, cwd=machine.folder, stdout=subprocess.DEVNULL, stderr=theirs, env=machine.environment)
    os.close(theirs)
    shown = b""
    try:
        while chunk := os.read(ours, 4096):
            shown += chunk
    except OSError:  # how a terminal ends whose program has ended
        pass
    os.close(ours)
    assert process.wait() == 0 and b"hub: downloading the dataset org/set" in shown and b"100%|" in shown
    assert shown.rstrip().endswith(b"\r\x1b[K"), "the bar is wiped"


def test_names_that_are_neither(machine: Machine):
    assert_refused(machine.run("train", "--hf_model_id", "a/b/c", code=2), 2, "neither a folder nor the id")
    assert_refused(machine.run("score", "--hf_model_id", "../x", "--data", "x", code=2), 2, "neither a folder nor the id")
    assert_refused(machine.prepare("a/b/c", code=2), 2, "no such file or folder")
    missing = ["--hf_model_id", "org/model", "--hfdc_dataset_name", "missing.jsonl", *TEMPLATES]
    assert_refused(machine.run("train", *missing, code=2), 2, "missing.jsonl", "no such file or folder")
    assert machine.hub.asked == []
