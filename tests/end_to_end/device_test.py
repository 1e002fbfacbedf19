"""Oracle: the contract of --device and `anneal doctor`, and the driver that the machine has."""

import ctypes
import json
from pathlib import Path

import pytest

from support.program import anneal, assert_refused, copy_model, write_rows

ROWS = [{"input": f"Say {n}.\n", "output": f"The number {n}."} for n in range(20)]
RESOURCES = 6


def _gpus() -> int:
    try:
        driver = ctypes.CDLL("libcuda.so.1")
    except OSError:
        return 0
    count = ctypes.c_int(0)
    return count.value if driver.cuInit(0) == 0 and driver.cuDeviceGetCount(ctypes.byref(count)) == 0 else 0


def _needs_gpu() -> None:
    if _gpus() == 0:
        pytest.skip("no GPU")


@pytest.fixture
def train(tiny, tmp_path: Path):
    model = copy_model(tiny("qwen3")[0], tmp_path / "model")
    write_rows(tmp_path / "data" / "training.jsonl", ROWS)

    def run(*flags: str):
        return anneal("train", "--hf_model_id", model, "--data_dir", tmp_path / "data", "--results_dir",
                      tmp_path / "results", "--max_steps", "5", "--logging_steps", "1", "--max_seq_length", "512",
                      "--compute_dtype", "fp32", *flags, check=False)  # fmt: skip

    return run


def _losses(folder: Path) -> list[float]:
    events = map(json.loads, (folder / "model" / "log.jsonl").read_text().splitlines())
    return [event["loss"] for event in events if "loss" in event]


def test_cuda_without_a_gpu_is_refused(train, tmp_path: Path):
    if _gpus():
        pytest.skip("there is a GPU")
    assert_refused(train("--device", "cuda"), RESOURCES, "--device", "no GPU can be used here", "--device cpu")
    assert not (tmp_path / "results").exists()
    score = anneal("score", "--hf_model_id", tmp_path / "model", "--data", tmp_path / "data" / "training.jsonl",
                   "--device", "cuda", check=False)  # fmt: skip
    assert_refused(score, RESOURCES, "no GPU can be used here")


def test_auto_takes_the_processor_where_there_is_no_gpu(train, tmp_path: Path):
    if _gpus():
        pytest.skip("there is a GPU")
    done = train("--device", "auto")
    assert done.returncode == 0, done.stderr
    assert "GPU" not in done.stdout + done.stderr
    assert len(_losses(tmp_path / "results")) == 5


def test_doctor_says_what_is_there():
    done = anneal("doctor")
    assert "processor: " in done.stdout
    if _gpus():
        assert "GPU 0: " in done.stdout and "driver" in done.stdout
    else:
        assert "GPU: none can be used: " in done.stdout and "libcuda.so.1" in done.stdout
        assert_refused(anneal("doctor", "--selftest", "cuda", check=False), RESOURCES, "no GPU can be used here")


def test_selftest_of_the_processor():
    done = anneal("doctor", "--selftest", "cpu")
    assert "ok     dropout bits: error 0.0e+00" in done.stdout
    assert "ok     five LoRA steps, float32" in done.stdout
    assert "FAILED" not in done.stdout and "passed in " in done.stdout


@pytest.mark.gpu
def test_selftest_of_the_gpu():
    _needs_gpu()
    done = anneal("doctor", "--selftest", "cuda", check=False)
    assert done.returncode == 0 and "FAILED" not in done.stdout, done.stdout + done.stderr


@pytest.mark.gpu
def test_training_on_the_gpu_equals_the_processor(train, tmp_path: Path):
    _needs_gpu()
    for device in ("cpu", "cuda"):
        done = train("--device", device, "--results_dir", str(tmp_path / device))
        assert done.returncode == 0, done.stdout + done.stderr
    assert _losses(tmp_path / "cuda") == pytest.approx(_losses(tmp_path / "cpu"), rel=1e-4)
