"""`anneal plan`, and a training that is refused by the same figures. Oracle: the numbers that Qwen3-8B is published with, and
spec.md's estimates of it."""

import json
import re
from pathlib import Path

import pytest
import torch

from reference.tiny_models import write_folder
from support.faulty_run import FaultyRun
from support.program import BUILD, anneal, assert_refused, peak_anonymous_bytes, write_rows

QWEN3_8B = {"architectures": ["Qwen3ForCausalLM"], "vocab_size": 151936, "hidden_size": 4096, "intermediate_size": 12288,
            "num_hidden_layers": 36, "num_attention_heads": 32, "num_key_value_heads": 8, "head_dim": 128,
            "max_position_embeddings": 40960, "rope_theta": 1e6, "torch_dtype": "bfloat16"}  # fmt: skip


@pytest.fixture
def qwen(tmp_path: Path) -> Path:
    """Config.json alone."""
    (tmp_path / "qwen").mkdir()
    (tmp_path / "qwen" / "config.json").write_text(json.dumps(QWEN3_8B))
    return tmp_path / "qwen"


def plan(*flags: str) -> dict:
    return json.loads(anneal("plan", "--json", *flags).stdout)


def test_json_has_the_published_numbers(qwen: Path):
    found = plan("--hf_model_id", str(qwen), "--hardware", "a100-80", "--devices", "8")
    assert found["parameters"] == 8_190_735_360 and found["trained_parameters"] == 87_293_952
    assert found["memory"]["weights"] == 2 * 8_190_735_360 and found["memory"]["optimizer"] == 8 * 87_293_952
    assert sum(found["memory"].values()) == found["total_bytes"] <= found["device_bytes"]
    assert (found["hardware"], found["devices"], found["sharding"], found["fits"]) == ("a100-80", 8, "none", True)
    assert found["tokens_per_step"] == 8 * 2 * 4 * 2048
    full = plan("--hf_model_id", str(qwen), "--hardware", "h100", "--devices", "8", "--full_ft")
    states = sum(full["memory"][part] for part in ("weights", "float32 masters", "gradients", "optimizer"))
    assert full["sharding"] == "full" and abs(states / (16 * 8_190_735_360 / 8) - 1) < 1e-6


def test_text_says_what_fits(qwen: Path):
    text = anneal("plan", "--hf_model_id", str(qwen)).stdout
    for part in ("8.19 B parameters; trained: 87.3 M", "weights              16.38 GB", "fits", "smallest set-ups that fit:",
                 "A100 40GB", "A100 80GB", "H100 80GB", "H200", "B200", "tokens/s", "largest within 90 %"):  # fmt: skip
        assert part in text, part
    small = anneal("plan", "--hf_model_id", str(qwen), "--full_ft", "--hardware", "a100-40", "--devices", "2").stdout
    assert "does not fit" in small and "leave out --full_ft" in small


def test_a_model_of_sizes_alone():
    """Llama-2-7B by its sizes: 6,738,415,616 parameters."""
    sizes = ("--hidden_size", "4096", "--intermediate_size", "11008", "--num_hidden_layers", "32", "--vocab_size", "32000")
    assert plan(*sizes)["parameters"] == 6_738_415_616
    assert_refused(anneal("plan", "--vocab_size", "32000", check=False), 2, "--vocab_size", "--hidden_size")


def test_every_flag_of_train_is_taken(qwen: Path):
    longer = plan("--hf_model_id", str(qwen), "--hardware", "h100", "--max_seq_length", "4096", "--lora_rank", "64",
                  "--hfdc_dataset_name", "some/data", "--max_steps", "50", "--gradient_checkpointing", "on")  # fmt: skip
    assert longer["trained_parameters"] == 2 * 87_293_952 and longer["kept_layers"] == 0 and longer["steps"] == 50
    assert_refused(anneal("plan", "--hf_model_id", str(qwen), "--max_seq_length", "50000", check=False), 2, "--max_seq_length", "40960")
    assert_refused(anneal("plan", "--hf_model_id", str(qwen), "--lora_target_modules", "c_attn", check=False), 2, "c_attn")
    assert_refused(anneal("plan", "--hf_model_id", str(qwen), "--device_memory", "lots", check=False), 2, "--device_memory")


def test_train_refuses_what_cannot_fit(tiny, tmp_path: Path):
    """More memory than machines have: a micro-batch of a billion tokens. The plan is of the samples there are, so that
    only what is held can be out of reach: all weights of a model of 10^12 parameters, whose config.json is enough."""
    run = FaultyRun(tmp_path / "work", tiny("llama")[0])
    config = json.loads((tiny("llama")[0] / "config.json").read_text())
    huge = tmp_path / "huge"
    huge.mkdir()
    for file in tiny("llama")[0].glob("*"):
        if file.is_file():
            (huge / file.name).symlink_to(file)
    (huge / "config.json").unlink()
    (huge / "config.json").write_text(json.dumps(config | {"hidden_size": 32768, "num_hidden_layers": 96,
                                                           "intermediate_size": 114688, "num_attention_heads": 256,
                                                           "head_dim": 128, "num_key_value_heads": 256}))  # fmt: skip
    run.model = huge
    refused = run.start("--full_ft")
    assert_refused(refused, 6, "what is held of the model and its optimizer needs about", "leave out --full_ft", "--force")
    assert re.search(r"needs about [0-9.]+ TB, [0-9.]+ [GM]B are there", refused.stderr)
    assert not (run.work / "out" / "results").exists()
    forced = run.start("--full_ft", "--force")
    assert forced.returncode == 4 and "warning: memory: what is held" in forced.stdout, forced.stdout + forced.stderr


def test_the_peak_is_what_a_training_takes(tmp_path: Path):
    """Oracle: the kernel's count of this process's pages. `make bench-plan` does the same with larger models."""
    sizes = {"hidden_size": 256, "intermediate_size": 256, "num_hidden_layers": 1, "vocab_size": 40_000, "tie_word_embeddings": True}
    model = write_folder(tmp_path / "model", "llama", sizes, dtype=torch.bfloat16)
    write_rows(tmp_path / "data" / "training.jsonl", [{"input": f"{n}", "output": f"{n * n}"} for n in range(8)])
    (tmp_path / "data" / "validation.jsonl").write_text("")
    flags = ["--hf_model_id", str(model), "--device", "cpu", "--full_ft", "--max_seq_length", "64", "--max_steps", "1"]
    taken = peak_anonymous_bytes([str(BUILD / "anneal"), "train", *flags, "--data_dir", str(tmp_path / "data"), "--results_dir",
                                  str(tmp_path / "results"), "--report_to", "none", "--force"])  # fmt: skip
    planned = plan(*flags)["peak_bytes"]
    assert abs(planned / taken - 1) < 0.08, f"{planned} planned, {taken} taken"  # the tokenizer is smaller than its 40,000 entries
