"""Oracle: the contract of errors, by hand: exit code, message, and what is left on disk. Cases of one process."""

import json
import math
import resource
import shutil
import struct
import subprocess
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file

from support.program import BUILD, anneal, assert_refused, copy_model, write_rows

OK, USAGE, MODEL, NUMERICAL, RESOURCES = 0, 2, 4, 5, 6
ROWS = [{"input": f"Say {n}.\n", "output": f"The number {n}."} for n in range(24)]


@pytest.fixture
def model(tiny, tmp_path: Path) -> Path:
    return copy_model(tiny("llama")[0], tmp_path / "model")


@pytest.fixture
def data(tmp_path: Path) -> Path:
    write_rows(tmp_path / "data" / "training.jsonl", ROWS)
    write_rows(tmp_path / "data" / "validation.jsonl", ROWS[:4])
    return tmp_path / "data"


def train(model: Path, data: Path, *flags: str, steps: int = 4):
    return anneal("train", "--hf_model_id", model, "--data_dir", data, "--results_dir", data.parent / "results",
                  "--run_name", "run", "--max_steps", steps, "--max_seq_length", "512", "--logging_steps", "1", "--eval_steps",
                  "1", "--save_steps", "1", "--lora_rank", "4", *flags, check=False)  # fmt: skip


def run_of(data: Path) -> Path:
    return data.parent / "results" / "run"


def assert_saved_is_finite(run: Path) -> None:
    for path in run.rglob("*.safetensors"):
        assert all(tensor.isfinite().all() for tensor in load_file(path).values()), path
    for path in [*run.rglob("*.json"), run / "log.jsonl"]:
        for line in path.read_text().splitlines() if path.suffix == ".jsonl" else [path.read_text()]:
            json.loads(line, parse_constant=lambda name: pytest.fail(f"{name} in {path}"))


def test_case_9_the_place_of_results(model: Path, data: Path):
    (data.parent / "results").write_text("a file")
    assert_refused(train(model, data), USAGE, "results", "--results_dir")
    (data.parent / "results").unlink()
    done = train(model, data, "--results_dir", str(data.parent / "a" / "b" / "c"))
    assert done.returncode == OK and (data.parent / "a/b/c/run/best").exists()


def test_case_9_a_read_only_disk(model: Path, data: Path):
    results = data.parent / "results"
    results.mkdir()
    command = f"mount -t tmpfs -o ro tmpfs '{results}' || exit 99; exec \"$@\""
    arguments = [str(BUILD / "anneal"), "train", "--hf_model_id", model, "--data_dir", data, "--results_dir", results]
    done = subprocess.run(["unshare", "-m", "sh", "-c", command, "sh", *map(str, arguments)], capture_output=True, text=True)
    if done.returncode in (1, 99):
        pytest.skip("no mounts here")
    assert_refused(done, USAGE, "Read-only file system", str(results), "--results_dir")


def _safetensors(header: bytes, length: int | None = None, data: bytes = b"\0" * 64) -> bytes:
    return struct.pack("<Q", len(header) if length is None else length) + header + data


def _tensor(name: str, shape: list[int], begin: int, end: int, dtype: str = "F32") -> str:
    return json.dumps(name) + ":" + json.dumps({"dtype": dtype, "shape": shape, "data_offsets": [begin, end]})


HOSTILE = {
    "header_length": _safetensors(b"{}", length=2**63),
    "overlap": _safetensors(("{" + _tensor("a", [8], 0, 32) + "," + _tensor("b", [8], 16, 48) + "}").encode()),
    "negative_shape": _safetensors(("{" + _tensor("a", [-4, -4], 0, 64) + "}").encode()),
    "overflowing_shape": _safetensors(("{" + _tensor("a", [2**62, 2**62], 0, 64) + "}").encode()),
    "size": _safetensors(("{" + _tensor("a", [3], 0, 64) + "}").encode()),
    "duplicate": _safetensors(("{" + _tensor("a", [8], 0, 32) + "," + _tensor("a", [8], 32, 64) + "}").encode()),
    "deep": _safetensors(b'{"a":' + b"[" * 100_000 + b"]" * 100_000 + b"}"),
}


@pytest.mark.parametrize("kind", HOSTILE)
def test_case_11_hostile_safetensors(model: Path, data: Path, tiny, kind: str):
    adapter = shutil.copytree(tiny("llama")[1], data.parent / "adapter")
    (adapter / "adapter_model.safetensors").write_bytes(HOSTILE[kind])
    assert_refused(train(model, data, "--init_adapter", str(adapter)), MODEL, "adapter_model.safetensors")


def test_case_12_a_shard_that_is_missing_or_cut(tiny, data: Path):
    model = copy_model(tiny("llama", sharded=True)[0], data.parent / "sharded")
    shard = sorted(model.glob("model-*.safetensors"))[-1]
    content = shard.read_bytes()
    shard.write_bytes(content[:-16])
    assert_refused(train(model, data), MODEL, shard.name)
    shard.unlink()
    assert_refused(train(model, data), MODEL, shard.name)
    shard.write_bytes(content)
    assert train(model, data).returncode == OK


def test_case_12_surplus_tensors_are_said(model: Path, data: Path):
    path = model / "model.safetensors"
    save_file(load_file(path) | {"surplus.weight": torch.zeros(2)}, path)
    done = train(model, data)
    assert done.returncode == OK and "1 tensors of the base model's files are not used: surplus.weight" in done.stdout


def test_case_13_dtypes_of_the_base(model: Path, data: Path):
    path = model / "model.safetensors"
    tensors = load_file(path)
    kinds = [torch.float32, torch.float16, torch.bfloat16]
    save_file({name: tensor.to(kinds[index % 3]) for index, (name, tensor) in enumerate(tensors.items())}, path)
    done = train(model, data)
    assert done.returncode == OK, done.stderr
    assert "weights of mixed or half precision" in done.stdout and "F16 held as fp32" in done.stdout
    shutil.rmtree(run_of(data))
    name = "model.layers.0.mlp.up_proj.weight"
    for dtype in (torch.int8, torch.float8_e4m3fn):
        save_file(tensors | {name: tensors[name].to(dtype)}, path)
        assert_refused(train(model, data), MODEL, name)


def _with_embedding(model: Path, text: str, value: float) -> None:
    """Gives the tokens of `text` an embedding of `value` alone."""
    done = subprocess.run([str(BUILD / "anneal"), "tokenize", "--hf_model_id", str(model), "--add_special_tokens", "false"], input=text, capture_output=True, text=True)
    path = model / "model.safetensors"
    tensors = load_file(path)
    tensors["model.embed_tokens.weight"][json.loads(done.stdout)["ids"]] = value
    save_file(tensors, path)


def test_case_24_numbers_that_are_not_finite_stop_the_run(model: Path, data: Path):
    done = train(model, data, "--learning_rate", "1e38", "--max_grad_norm", "0", "--warmup_ratio", "0", steps=9)
    assert_refused(done, NUMERICAL, "not finite", "bad_step-")
    bad = json.loads(next(run_of(data).glob("bad_step-*.json")).read_text())
    assert bad["rows_of_training.jsonl"] and all(0 <= row < len(ROWS) for row in bad["rows_of_training.jsonl"])
    assert bad["loss"] is None or bad["grad_norm"] is None or not math.isfinite(bad["loss"] + bad["grad_norm"])
    assert_saved_is_finite(run_of(data))


def test_case_24_a_bad_sample_may_be_skipped(tiny, data: Path):
    model = copy_model(tiny("llama-untied")[0], data.parent / "untied")
    write_rows(data / "training.jsonl", [*ROWS, {"input": "~\n", "output": "The number 1."}])
    _with_embedding(model, "~", math.nan)
    flags = ("--learning_rate", "1e-3", "--nan_policy", "skip")
    done = train(model, data, *flags, steps=8)
    assert done.returncode == OK, done.stderr
    skipped = list(run_of(data).glob("bad_step-*.json"))
    assert skipped and "skipped, see" in done.stdout
    assert all(len(ROWS) in json.loads(path.read_text())["rows_of_training.jsonl"] for path in skipped)
    assert_saved_is_finite(run_of(data))
    assert_refused(train(model, data, *flags[:2], "--new_run", steps=8), NUMERICAL, "--nan_policy skip")


def test_case_24_an_adapter_with_a_nan(model: Path, data: Path, tiny):
    adapter = shutil.copytree(tiny("llama")[1], data.parent / "adapter")
    path = adapter / "adapter_model.safetensors"
    tensors = load_file(path)
    name = next(iter(tensors))
    tensors[name][0, 0] = math.nan
    save_file(tensors, path)
    assert_refused(train(model, data, "--init_adapter", str(adapter)), MODEL, name, "finite")


def test_case_25_an_evaluation_that_is_not_finite(tiny, data: Path):
    model = copy_model(tiny("llama-untied")[0], data.parent / "untied")
    write_rows(data / "validation.jsonl", [*ROWS[:3], {"input": "~\n", "output": "The number 1."}])
    _with_embedding(model, "~", math.nan)
    done = train(model, data, steps=6)
    assert_refused(done, NUMERICAL, "evaluation loss was not finite 3 times in a row")
    assert not (run_of(data) / "best").exists() and not list(run_of(data).glob("checkpoint-*"))
    assert list((run_of(data) / "resume").glob("step-*")), "what was trained is not lost"
    assert_saved_is_finite(run_of(data))


def test_case_33_links_and_names(model: Path, data: Path):
    strange = data.parent / "a b%20=ü"
    strange.mkdir()
    for name, target in (("model", model), ("data", data)):
        (strange / name).symlink_to(target, target_is_directory=True)
    done = train(strange / "model", strange / "data", "--results_dir", str(strange / "out"))
    assert done.returncode == OK and (strange / "out/run/best").exists(), done.stderr
    (strange / "loop").symlink_to(strange / "loop")
    assert_refused(train(model, data, "--results_dir", str(strange / "loop")), USAGE, "loop")


def test_case_35_names_of_models(model: Path, data: Path):
    for name in (f"{model}/", f"{model.parent}/x/../model", f"../{'long' * 80}", "/", "no/such"):
        done = anneal("train", "--hf_model_id", name, "--data_dir", data, "--results_dir", data.parent / "results",
                      "--max_steps", "1", "--max_seq_length", "512", check=False)  # fmt: skip
        assert done.returncode in (OK, USAGE, MODEL) and "internal error" not in done.stderr, done.stderr
    assert {path.name for path in (data.parent / "results").iterdir()} == {"model"}


def test_case_36_memory_runs_out(model: Path, data: Path):
    """Less and less memory: the run ends well, or says what takes it; never otherwise."""
    write_rows(data / "training.jsonl", [{"input": "many words " * 16, "output": "and more of them " * 6}] * 64)
    endings, shrunk = set(), False
    for megabytes in (*range(400, 720, 40), *range(720, 800, 8)):
        shutil.rmtree(run_of(data), ignore_errors=True)
        limit = megabytes << 20
        command = [str(BUILD / "anneal"), "train", "--hf_model_id", str(model), "--data_dir", str(data), "--results_dir",
                   str(data.parent / "results"), "--run_name", "run", "--max_steps", "2", "--max_seq_length", "512",
                   "--per_device_train_batch_size", "32", "--micro_batch_tokens", "100000"]  # fmt: skip
        done = subprocess.run(command, capture_output=True, text=True,
                              preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_AS, (limit, limit)))  # fmt: skip
        endings.add(done.returncode)
        shrunk |= "going on with micro-batches" in done.stdout
        if done.returncode == RESOURCES:
            assert "memory" in done.stderr and "try:" in done.stderr, done.stderr
        assert done.returncode in (OK, RESOURCES), f"{megabytes} MiB: {done.returncode} {done.stderr}"
    assert endings == {OK, RESOURCES} and shrunk, "no limit was tight"


def test_case_44_configuration_files(model: Path, tmp_path: Path):
    path = tmp_path / "run.json"
    for text, parts in (
        ('{"lora_rank": 4, "lora_rank": 8}', ["lora_rank"]),
        ('{"lora_rank": 4, // four\n "seed": 1}', ["run.json"]),
        ("[1, 2]", ["run.json"]),
        ('{"lora_rank": "four", "learning_rat": 1, "seed": 1.5}', ["lora_rank", "learning_rat", "seed"]),
    ):
        path.write_text(text)
        assert_refused(anneal("train", "--config", path, "--hf_model_id", model, check=False), USAGE, *parts)
