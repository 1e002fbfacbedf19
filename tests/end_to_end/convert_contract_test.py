"""Oracle: the contract of `anneal convert`, by hand: what is refused, what stays, and that nothing half done is seen."""

import json
import os
import shutil
import signal
import subprocess
import time
from pathlib import Path

import pytest
import torch

from support.convert import bytes_of, change_config, change_tensors, make_checkpoint
from support.program import BUILD, anneal, assert_refused, copy_model

USAGE, MODEL, RESOURCES = 2, 4, 6
Q_PROJ = "base_model.model.model.layers.1.self_attn.q_proj"


@pytest.fixture
def base(tiny, tmp_path: Path) -> Path:
    return copy_model(tiny("llama-untied")[0], tmp_path / "base")


@pytest.fixture
def checkpoint(tiny, base: Path, tmp_path: Path) -> Path:
    return make_checkpoint(tmp_path / "run" / "checkpoint-7", base, tiny("llama-untied")[1])


def convert(base: Path, checkpoint: Path, *flags, check: bool = True):
    return anneal("convert", "--base_model", base, "--checkpoint", checkpoint, *flags, check=check)


def siblings(checkpoint: Path) -> list[str]:
    return sorted(path.name for path in checkpoint.parent.iterdir())


def only_checkpoint(checkpoint: Path) -> bool:
    return siblings(checkpoint) == ["checkpoint-7"]


# --- what does not fit


def test_another_base(checkpoint: Path, tiny):
    done = convert(tiny("qwen3")[0], checkpoint, check=False)
    assert_refused(done, MODEL, "q_proj", "[64, 64]", "[128, 64]", "and 4 more like these")
    assert only_checkpoint(checkpoint)


def test_a_target_that_the_base_lacks(base: Path, checkpoint: Path):
    change_tensors(checkpoint / "adapter_model.safetensors", lambda tensors: {
        name.replace("layers.1.", "layers.9."): tensor for name, tensor in tensors.items()})  # fmt: skip
    assert_refused(convert(base, checkpoint, check=False), MODEL, "no tensor 'model.layers.9.self_attn.k_proj.weight'")


def test_an_adapter_that_has_lost_tensors(base: Path, checkpoint: Path):
    change_tensors(checkpoint / "adapter_model.safetensors", lambda tensors: {
        name: tensor for name, tensor in tensors.items() if not name.startswith(Q_PROJ + ".lora_B")})  # fmt: skip
    assert_refused(convert(base, checkpoint, check=False), MODEL, f"'{Q_PROJ}.lora_B.weight' is missing")
    change_tensors(checkpoint / "adapter_model.safetensors", lambda tensors: {
        name: tensor for name, tensor in tensors.items() if not name.startswith(Q_PROJ)})  # fmt: skip
    assert_refused(convert(base, checkpoint, check=False), MODEL, "targets 'model.layers.1.self_attn.q_proj', but")


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_values_that_are_not_finite(base: Path, checkpoint: Path, value: float):
    def spoil(tensors):
        tensors[Q_PROJ + ".lora_B.weight"][1, 2] = value
        return tensors

    change_tensors(checkpoint / "adapter_model.safetensors", spoil)
    for flags in ([], ["--no_merge"]):
        assert_refused(convert(base, checkpoint, *flags, check=False), MODEL, f"'{Q_PROJ}.lora_B.weight' holds", "not finite")


def test_a_sum_beyond_the_range(base: Path, checkpoint: Path):
    def grow(tensors):
        tensors[Q_PROJ + ".lora_B.weight"] *= 1e7
        return tensors

    change_tensors(checkpoint / "adapter_model.safetensors", grow)
    done = convert(base, checkpoint, "--dtype", "fp16", check=False)
    assert_refused(done, MODEL, "'model.layers.1.self_attn.q_proj.weight' holds", "bf16")
    assert only_checkpoint(checkpoint)


@pytest.mark.parametrize("change, text", [
    ({"use_dora": True}, "lora_magnitude_vector' is missing"), ({"bias": "all"}, "bias"), ({"modules_to_save": ["lm_head"]}, "modules_to_save"),
    ({"peft_type": "IA3"}, "IA3"), ({"r": 5}, "at rank 5"), ({"fan_in_fan_out": True}, "k_proj"),
])  # fmt: skip
def test_adapters_that_are_not_supported(base: Path, checkpoint: Path, change: dict, text: str):
    change_config(checkpoint, **change)
    assert_refused(convert(base, checkpoint, check=False), MODEL, text)


def test_a_tied_head_is_not_merged_into(tiny, tmp_path: Path):
    model, adapter = tiny("llama")
    checkpoint = make_checkpoint(tmp_path / "checkpoint-7", model, adapter)
    change_tensors(checkpoint / "adapter_model.safetensors", lambda tensors: tensors | {
        "base_model.model.lm_head.lora_A.weight": torch.rand(4, 64),
        "base_model.model.lm_head.lora_B.weight": torch.rand(512, 4)})  # fmt: skip
    assert_refused(convert(model, checkpoint, check=False), MODEL, "lm_head")


def test_quantized_and_missing_bases(base: Path, checkpoint: Path):
    change_tensors(base / "model.safetensors", lambda tensors: {
        name: tensor.to(torch.uint8) if "q_proj" in name else tensor for name, tensor in tensors.items()})  # fmt: skip
    assert_refused(convert(base, checkpoint, check=False), MODEL, "q_proj.weight' is of dtype U8", "unquantized")
    shutil.rmtree(base)
    assert_refused(convert(base, checkpoint, check=False), USAGE, "neither a folder nor the id")


def test_checkpoints_that_are_not_complete(base: Path, checkpoint: Path):
    assert_refused(convert(base, checkpoint, "--full_ft", check=False), MODEL, "holds a LoRA adapter, not all weights")
    (checkpoint / "adapter_model.safetensors").write_bytes(b"short")
    assert_refused(convert(base, checkpoint, check=False), MODEL, "is not a complete checkpoint", "adapter_model.safetensors")
    done = anneal("convert", "--base_model", base, "--checkpoints_dir", checkpoint.parent, check=False)
    assert_refused(done, MODEL, "checkpoint-7 is not complete", "there is no complete checkpoint", "checkpoint_*/checkpoint")


def test_another_base_than_the_run_was_trained_on(base: Path, checkpoint: Path):
    (checkpoint.parent / "run_config.json").write_text(json.dumps({"base_config_sha256": "0" * 64}))
    assert_refused(convert(base, checkpoint, check=False), MODEL, "is not the config.json that the run was trained with")
    assert "warning: config.json of the base model is not" in convert(base, checkpoint, "--force").stdout


def test_warnings(base: Path, checkpoint: Path):
    change_config(checkpoint, base_model_name_or_path="some/other-model")
    out = convert(base, checkpoint, "--lora_rank", "16", "--lora_alpha", "8", "--lora_target_modules", "q_proj").stdout
    assert f"warning: the adapter was trained on some/other-model, --base_model is {base}" in out
    assert "warning: --lora_rank is not used; the checkpoint says 4" in out
    assert "warning: --lora_target_modules is not used" in out
    assert "--lora_alpha" not in out, "the same as in the checkpoint"


def test_usage(base: Path, checkpoint: Path):
    assert_refused(convert(base, checkpoint, "--max_shard_size", "lots", check=False), USAGE, "--max_shard_size", "5GB")
    assert_refused(convert(base, checkpoint, "--dtype", "int8", check=False), USAGE, "--dtype")
    assert_refused(anneal("convert", "--checkpoint", checkpoint, check=False), USAGE, "--base_model")


# --- where it goes


def test_up_to_date_and_overwrite(base: Path, checkpoint: Path):
    output = checkpoint.parent / "checkpoint-7.hf_model"
    convert(base, checkpoint)
    first, written_at = bytes_of(output), (output / "model.safetensors").stat().st_mtime_ns
    assert "up to date: " in convert(base, checkpoint).stdout
    assert (output / "model.safetensors").stat().st_mtime_ns == written_at
    assert_refused(convert(base, checkpoint, "--dtype", "bf16", check=False), USAGE, "differs (dtype)", "--overwrite")
    assert bytes_of(output) == first
    assert "replacing " in convert(base, checkpoint, "--dtype", "bf16", "--overwrite").stdout
    assert "up to date: " in convert(base, checkpoint, "--dtype", "bf16").stdout
    assert "up to date: " not in convert(base, checkpoint, "--overwrite").stdout
    assert bytes_of(output) == first
    assert siblings(checkpoint) == ["checkpoint-7", "checkpoint-7.hf_model"]


def test_other_inputs_and_lost_files(base: Path, checkpoint: Path):
    output = checkpoint.parent / "checkpoint-7.hf_model"
    convert(base, checkpoint)
    change_tensors(base / "model.safetensors", lambda tensors: tensors | {"lm_head.weight": tensors["lm_head.weight"] * 2})
    assert_refused(convert(base, checkpoint, check=False), USAGE, "differs (weights/model.safetensors)")
    convert(base, checkpoint, "--overwrite")
    (output / "tokenizer.json").unlink()
    assert_refused(convert(base, checkpoint, check=False), USAGE, "differs (tokenizer.json)")


def test_verify_looks_at_a_folder_that_is_up_to_date_too(base: Path, checkpoint: Path):
    convert(base, checkpoint)
    assert "equal bit for bit" in convert(base, checkpoint, "--verify").stdout
    weights = checkpoint.parent / "checkpoint-7.hf_model" / "model.safetensors"
    content = bytearray(weights.read_bytes())
    content[-1000] ^= 1  # in the last merged tensor; behind it stands only the norm of 256 bytes
    weights.write_bytes(content)
    assert_refused(convert(base, checkpoint, "--verify", check=False), MODEL, "v_proj.weight' is not what was written")


def test_what_no_conversion_has_written_stays(base: Path, checkpoint: Path, tmp_path: Path):
    mine = tmp_path / "mine"
    mine.mkdir()
    convert(base, checkpoint, "--output_dir", mine)
    other = tmp_path / "other"
    other.mkdir()
    (other / "thesis.txt").write_text("years of work")
    assert_refused(convert(base, checkpoint, "--output_dir", other, "--overwrite", check=False), USAGE, "no conversion has written")
    assert bytes_of(other) == {"thesis.txt": b"years of work"}
    for source in (base, checkpoint):
        assert_refused(convert(base, checkpoint, "--output_dir", source, "--overwrite", check=False), USAGE, "is what is to be conv")
    (tmp_path / "file").write_text("x")
    assert_refused(convert(base, checkpoint, "--output_dir", tmp_path / "file", check=False), USAGE, "file")
    # An earlier conversion may itself be converted from, but not into.
    assert_refused(anneal("convert", "--base_model", base, "--checkpoint", mine, "--output_dir", mine, "--overwrite", check=False),
            USAGE, "is what is to be converted")  # fmt: skip


def test_folders_that_cannot_be_written(base: Path, checkpoint: Path, tmp_path: Path):
    (tmp_path / "file").write_text("x")
    assert_refused(convert(base, checkpoint, "--output_dir", tmp_path / "file" / "out", check=False), USAGE, "cannot make the folder")


def test_a_full_disk(base: Path, checkpoint: Path, tmp_path: Path):
    """A disk of 1 MB, in a mount namespace of its own."""
    disk = tmp_path / "disk"
    disk.mkdir()
    command = f"mount -t tmpfs -o size=1m none {disk} && exec {BUILD}/anneal convert --base_model {base} " \
              f"--checkpoint {checkpoint} --output_dir {disk}/out"  # fmt: skip
    if subprocess.run(["unshare", "-rm", "mount", "-t", "tmpfs", "none", str(disk)], capture_output=True).returncode:
        pytest.skip("this machine gives no mount namespace")
    done = subprocess.run(["unshare", "-rm", "sh", "-c", command], capture_output=True, text=True)
    assert_refused(done, RESOURCES, "are needed", "are free", "--output_dir")


# --- kills


def _kill_when(arguments: list[str], ready) -> bool:
    """Kills the program as soon as ready() holds; False where it had ended before."""
    with subprocess.Popen([str(BUILD / "anneal"), *map(str, arguments)], stdout=subprocess.DEVNULL) as program:
        while program.poll() is None:
            if ready():
                program.send_signal(signal.SIGKILL)
                program.wait()
                return True
            time.sleep(0.0002)
        return False


def test_kills_leave_nothing_half_done(base: Path, checkpoint: Path):
    output = checkpoint.parent / "checkpoint-7.hf_model"
    flags = ["convert", "--base_model", base, "--checkpoint", checkpoint, "--max_shard_size", "20KB"]

    def staged(enough) -> bool:
        for folder in checkpoint.parent.glob("*.tmp-*"):
            try:
                names = os.listdir(folder)
            except FileNotFoundError:
                continue
            return enough(names)
        return False

    moments = [
        lambda names: True,
        lambda names: any(".partial." in name for name in names),
        lambda names: "model-00005-of-" in str(names),
        lambda names: "model.safetensors.index.json" in names,
        lambda names: "config.json" in names,
        lambda names: "tokenizer.json" in names,
        lambda names: any(name.startswith("anneal_conversion.json") for name in names),
    ]
    kills = 0
    for moment in moments:
        if _kill_when(flags, lambda: staged(moment)):
            kills += 1
            left = [name for name in siblings(checkpoint) if ".tmp-" not in name]
            assert left == ["checkpoint-7"] or (output / "anneal_conversion.json").exists(), left
    assert kills >= 5, "too few of the moments were met for the test to mean anything"
    anneal(*flags)
    assert siblings(checkpoint) == ["checkpoint-7", "checkpoint-7.hf_model"], "leftovers are swept"
    first = bytes_of(output)
    shutil.rmtree(output)
    anneal(*flags)
    assert bytes_of(output) == first
    # While an earlier conversion is replaced, there is always a whole one.
    kills = 0
    for moment in (moments[2], moments[-1]):
        kills += _kill_when([*flags, "--dtype", "bf16", "--overwrite"], lambda: staged(moment))
        names = {path.name for path in output.iterdir()}
        assert set(json.loads((output / "anneal_conversion.json").read_text())["files"]) <= names
    assert kills > 0
    anneal(*flags, "--overwrite")
    assert siblings(checkpoint) == ["checkpoint-7", "checkpoint-7.hf_model"]


def test_a_running_conversion_is_not_swept(base: Path, checkpoint: Path):
    """Two at once: each has a folder of its own, and one of them wins."""
    command = [str(BUILD / "anneal"), "convert", "--base_model", str(base), "--checkpoint", str(checkpoint),
               "--max_shard_size", "20KB"]  # fmt: skip
    both = [subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True) for _ in range(2)]
    ended = [(program.communicate()[1], program.returncode) for program in both]
    assert all(code == 0 for _, code in ended), ended
    assert siblings(checkpoint) == ["checkpoint-7", "checkpoint-7.hf_model"]
