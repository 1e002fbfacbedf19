"""Oracle: the contract of errors, by hand: what is wrong, where, a remedy, and the right exit code."""

import json
import shutil
from pathlib import Path

import pytest
from safetensors.torch import load_file, save_file

from support.program import anneal, assert_refused, copy_model, write_rows

ROWS = [{"input": f"Say {n}.\n", "output": f"The number {n}."} for n in range(20)]
USAGE, DATA, MODEL = 2, 3, 4


@pytest.fixture
def model(tiny, tmp_path: Path) -> Path:
    return copy_model(tiny("llama")[0], tmp_path / "model")


@pytest.fixture
def data(tmp_path: Path) -> Path:
    write_rows(tmp_path / "data" / "training.jsonl", ROWS)
    return tmp_path / "data"


def _train(model: Path, data: Path, *flags: str):
    return anneal("train", "--hf_model_id", model, "--data_dir", data, "--results_dir", model.parent / "results",
                  "--max_steps", "1", "--max_seq_length", "512", *flags, check=False)  # fmt: skip


def test_the_undamaged_run_works(model: Path, data: Path):
    assert _train(model, data).returncode == 0
    assert sorted(path.name for path in (model.parent / "results" / "model").glob("checkpoint-*")) == ["checkpoint-1"]


def test_missing_weights(model: Path, data: Path):
    (model / "model.safetensors").unlink()
    assert_refused(_train(model, data), MODEL, "model.safetensors", str(model))


def test_truncated_weights(model: Path, data: Path):
    path = model / "model.safetensors"
    path.write_bytes(path.read_bytes()[:-1000])
    assert_refused(_train(model, data), MODEL, "model.safetensors", "tensor '", "download or copy the file again")


def test_missing_tensor_and_wrong_shape(model: Path, data: Path):
    path = model / "model.safetensors"
    tensors = load_file(path)
    name = "model.layers.1.mlp.up_proj.weight"
    save_file({key: tensor for key, tensor in tensors.items() if key != name}, path)
    assert_refused(_train(model, data), MODEL, f"tensor '{name}' is missing")
    save_file(tensors | {name: tensors[name][:-1].contiguous()}, path)
    assert_refused(_train(model, data), MODEL, f"tensor '{name}'", "[159, 64]", "[160, 64]", "model.safetensors")


def _edit(path: Path, **changes) -> None:
    path.write_text(json.dumps(json.loads(path.read_text()) | changes))


def test_unknown_architecture_and_options(model: Path, data: Path):
    _edit(model / "config.json", architectures=["MambaForCausalLM"])
    assert_refused(_train(model, data), MODEL, "MambaForCausalLM", "LlamaForCausalLM", "config.json")
    _edit(model / "config.json", architectures=["LlamaForCausalLM"], hidden_act="gelu")
    assert_refused(_train(model, data), MODEL, "hidden_act", "gelu")


def test_unknown_tokenizer_component(model: Path, data: Path):
    _edit(model / "tokenizer.json", normalizer={"type": "Klingon"})
    assert_refused(_train(model, data), MODEL, "Klingon", "tokenizer.json")


def test_case_23_ids_beyond_the_embedding(model: Path, data: Path):
    """The tiny model's last row belongs to the last id, which trains (above): one token more, and nothing is loaded."""
    rows = json.loads((model / "config.json").read_text())["vocab_size"]
    tokenizer = json.loads((model / "tokenizer.json").read_text())
    flags = {"single_word": False, "lstrip": False, "rstrip": False, "normalized": False, "special": True}
    for more in (1, 2):
        new = [flags | {"id": rows + index, "content": f"<new {index}>"} for index in range(more)]
        _edit(model / "tokenizer.json", added_tokens=[*tokenizer["added_tokens"], *new])
        score = anneal("score", "--hf_model_id", model, "--data", data / "training.jsonl", check=False)
        for done in (_train(model, data), score):
            message = f"the tokenizer has the id {rows + more - 1}, the embedding only {rows} rows"
            assert_refused(done, MODEL, message, "tokenizer.json")
    assert not (model.parent / "results").exists()


def test_case_19_no_validation_and_no_test(model: Path, tmp_path: Path):
    """Trains without evaluation, with a warning; the tester has nothing to test."""
    source = write_rows(tmp_path / "rows.jsonl", ROWS)
    flags = ("--hfdc_dataset_name", source, "--hfdc_input_template", "{input}", "--hfdc_output_template", "{output}",
             "--hfdc_train_split_ratio", "1", "--early_stopping_patience", "2", "--eval_steps", "1")  # fmt: skip
    done = _train(model, tmp_path / "made", *flags)
    assert done.returncode == 0, done.stderr
    assert "no validation samples; no evaluation, no early stopping" in done.stdout
    log = [json.loads(line) for line in (tmp_path / "results" / "model" / "log.jsonl").read_text().splitlines()]
    assert [line["loss"] for line in log if "loss" in line] and not any("eval_loss" in line for line in log)
    done = anneal("test", "--checkpoints_dir", tmp_path / "results" / "model", "--base_model", model, "--test_path",
                  tmp_path / "made" / "test.jsonl", "--engine", "native", check=False)  # fmt: skip
    assert_refused(done, DATA, "no samples", "test.jsonl")


def test_case_21_samples_without_trained_tokens(model: Path, tmp_path: Path):
    """They never reach a step, and are counted: the losses of the rest stay finite."""
    empty = [{"input": f"Say nothing, {n}.", "output": ""} for n in range(20)]
    flags = ("--no_add_eos", "--max_steps", "4", "--per_device_train_batch_size", "2", "--logging_steps", "1")
    write_rows(tmp_path / "data" / "training.jsonl", [row for pair in zip(empty, ROWS) for row in pair])
    done = _train(model, tmp_path / "data", *flags)
    assert done.returncode == 0 and "20 dropped (empty)" in done.stdout, done.stdout + done.stderr
    log = [json.loads(line) for line in (tmp_path / "results" / "model" / "log.jsonl").read_text().splitlines()]
    losses = [line["loss"] for line in log if "loss" in line]
    assert len(losses) == 4 and all(0 < loss < 20 for loss in losses)
    write_rows(tmp_path / "data" / "training.jsonl", empty)
    assert_refused(_train(model, tmp_path / "data", *flags, "--new_run"), DATA, "none of 20 rows", "empty 20")


def test_malformed_line_names_file_line_and_byte(model: Path, data: Path):
    path = data / "training.jsonl"
    good = path.read_text().splitlines(keepends=True)
    path.write_text("".join(good[:3]) + '{"input": "a", "output": \n' + "".join(good[3:]))
    offset = len("".join(good[:3]))
    done = _train(model, data)
    assert_refused(done, DATA, "training.jsonl", "4")
    assert any(str(offset + within) in done.stderr for within in range(30)), done.stderr
    assert _train(model, data, "--skip_bad_rows", "1").returncode == 0


def test_missing_template_field_lists_the_columns(model: Path, tmp_path: Path):
    source = tmp_path / "rows.jsonl"
    source.write_text("".join(json.dumps({"question": "q", "answer": "a"}) + "\n" for _ in range(9)))
    done = anneal("train", "--hf_model_id", model, "--hfdc_dataset_name", source, "--hfdc_input_template", "{questoin}",
                  "--hfdc_output_template", "{answer}", "--data_dir", tmp_path / "made", "--max_seq_length", "512",
                  "--results_dir", tmp_path / "results", check=False)  # fmt: skip
    assert_refused(done, DATA, "questoin", "question", "answer")


def test_empty_dataset_and_nothing_to_train(model: Path, data: Path):
    (data / "training.jsonl").write_text("")
    assert_refused(_train(model, data), DATA, "training.jsonl")
    write_rows(data / "training.jsonl", [{"input": "a", "output": ""}])
    assert_refused(_train(model, data, "--no_add_eos"), DATA, "training.jsonl")


def test_over_long_prompt(model: Path, data: Path):
    write_rows(data / "training.jsonl", [*ROWS, {"input": "many words " * 200, "output": "x"}])
    assert_refused(_train(model, data, "--long_prompt", "error", "--max_seq_length", "64"), DATA, "21")
    done = _train(model, data, "--max_seq_length", "64")
    assert done.returncode == 0 and "1 dropped (long_prompt)" in done.stdout


def test_explicit_length_above_the_model(model: Path, data: Path):
    assert_refused(_train(model, data, "--max_seq_length", "4096"), USAGE, "4096", "512")


@pytest.mark.parametrize("name", ["../outside", "a/b", "..", ""])
def test_a_run_stays_in_its_results_folder(name: str, model: Path, data: Path):
    assert_refused(_train(model, data, "--run_name", name), USAGE, f'"{name}" is not the name of one folder', "--results_dir")


def test_all_configuration_errors_at_once(model: Path, data: Path):
    done = _train(model, data, "--learning_rte", "1e-4", "--lora_rank", "0", "--warmup_ratio", "two", "--lora_dropout", "1",
                  "--lr_scheduler_type", "square", "--micro_batch_tokens", "some", "--resume", "nowhere")  # fmt: skip
    assert_refused(done, USAGE, "--learning_rte", "did you mean --learning_rate", "--lora_rank", "--warmup_ratio",
                    "--lora_dropout", "--lr_scheduler_type", "--micro_batch_tokens", "--resume")  # fmt: skip
    assert not (model.parent / "results").exists(), "a refused command makes nothing"


def test_target_without_a_hit(model: Path, data: Path):
    done = _train(model, data, "--lora_target_modules", "q_proj,qkv_proj")
    assert_refused(done, USAGE, "qkv_proj", "gate_proj", "--allow_missing_targets")


def test_adapters_of_another_kind(model: Path, data: Path, tiny):
    """A folder says what its adapter is; flags that ask for more, and full fine-tuning with flags of adapters, are mistakes."""
    plain, dora = tiny("llama")[1], tiny("llama", kind="dora")[1]
    for flag in ("--use_dora", "--use_rslora"):
        assert_refused(_train(model, data, flag, "--init_adapter", plain), USAGE, flag, "without --init_adapter")
        assert_refused(_train(model, data, flag, "--full_ft"), USAGE, flag, "--full_ft trains no adapter")
    done = _train(model, data, "--init_adapter", dora)
    assert done.returncode == 0 and "rank 4, alpha 8, DoRA" in done.stdout, done.stderr
    saved = load_file(model.parent / "results" / "model" / "checkpoint-1" / "adapter_model.safetensors")
    assert saved.keys() == load_file(dora / "adapter_model.safetensors").keys()


def test_dora_on_a_row_of_zeros(model: Path, data: Path):
    path = model / "model.safetensors"
    tensors = load_file(path)
    tensors["model.layers.1.mlp.up_proj.weight"][5] = 0
    save_file(tensors, path)
    assert _train(model, data).returncode == 0
    for flags in ([], ["--num_workers", "2", "--sharding", "full"]):
        done = _train(model, data, "--use_dora", "--new_run", *flags)
        assert_refused(done, MODEL, "row 5 is zero", "model.layers.1.mlp.up_proj.weight")


def test_config_file_and_print_config(model: Path, data: Path, tmp_path: Path):
    path = tmp_path / "run.json"
    path.write_text(json.dumps({"lora_rank": 4, "learning_rate": 0.5, "hf_model_id": str(model)}))
    done = anneal("train", "--config", path, "--learning_rate", "0.25", "--print_config")
    resolved = json.loads(done.stdout)
    assert (resolved["lora_rank"], resolved["learning_rate"], resolved["lora_alpha"]) == (4, 0.25, 32)
    path.write_text(json.dumps({"lora_rnk": 4, "learning_rate": "x"}))
    assert_refused(anneal("train", "--config", path, "--hf_model_id", model, check=False), USAGE, "lora_rnk", "learning_rate")
    for text, problem in (
        ('{"lora_rank": 4, "lora_alpha": 1, "lora_rank": 8}', 'the key "lora_rank" stands twice'),
        ('{"lora_rank": 4} // the rank', "run.json"),
        ("[4]", "run.json"),
    ):
        path.write_text(text)
        assert_refused(anneal("train", "--config", path, "--print_config", check=False), USAGE, problem)


def test_help_starts_without_torch():
    """`--help` and refused commands must not map the engine."""
    import subprocess

    from support.program import BUILD

    done = subprocess.run(["strace", "-f", "-e", "trace=openat", str(BUILD / "anneal"), "train", "--help"],
                          capture_output=True, text=True) if shutil.which("strace") else None  # fmt: skip
    linked = subprocess.run(["ldd", str(BUILD / "anneal")], capture_output=True, text=True).stdout
    assert "torch" not in linked
    assert done is None or "libtorch" not in done.stderr
