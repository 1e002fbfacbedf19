"""Oracles: transformers and PEFT load what `anneal convert` writes, without a word, and compute the same."""

import hashlib
import json
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from safetensors import safe_open
from safetensors.torch import load_file
from transformers import AutoModelForCausalLM, GPT2Config, GPT2LMHeadModel

from reference import experts, hf_train, tiny_models
from support.convert import bytes_of, change_config, change_tensors, load_merged, load_with_adapter, logits, make_checkpoint
from support.program import ROOT, anneal, write_rows

ULPS = {"lora": 1, "dora": 4}  # the latter multiplies the sum with a quotient of lengths, each rounded
FAMILIES = ["llama", "llama-untied", "mixtral", "phi3", "qwen2", "qwen3", "qwen3-untied", "qwen3-moe"]


def convert(model: Path, checkpoint: Path, *flags: str, **options):
    return anneal("convert", "--base_model", model, "--checkpoint", checkpoint, *flags, **options)


def merged_by_peft(model: Path, adapter: Path, dtype: torch.dtype) -> dict[str, torch.Tensor]:
    """The weights after merge_and_unload, by their names in files. A tied head is not among those."""
    network = load_with_adapter(model, adapter, dtype).merge_and_unload()
    weights = dict(experts.unfused(network.config.model_type, list(network.state_dict().items())))
    if network.config.tie_word_embeddings:
        del weights["lm_head.weight"]
    return weights


def tensors_of(folder: Path) -> dict[str, torch.Tensor]:
    return {name: tensor for path in folder.glob("*.safetensors") for name, tensor in load_file(path).items()}


def ulps(a: torch.Tensor, b: torch.Tensor) -> float:
    """The largest distance in units in the last place of float32."""
    spacing = torch.finfo(torch.float32).eps * torch.maximum(a.abs(), b.abs()).clamp_min(2**-126)
    return float(((a.double() - b.double()).abs() / spacing.double()).max())


@pytest.mark.parametrize(
    ("family", "kind"), [*((family, "lora") for family in FAMILIES), ("llama-untied", "dora"), ("qwen3", "dora")]
)
@pytest.mark.parametrize("sharded", [False, True])
def test_merged_float32(tiny, tmp_path: Path, family: str, kind: str, sharded: bool):
    model, adapter = tiny(family, sharded=sharded, kind=kind)
    checkpoint = make_checkpoint(tmp_path / "checkpoint-7", model, adapter)
    done = convert(model, checkpoint, "--verify", *(["--max_shard_size", "150KB"] if sharded else []))
    output = tmp_path / "checkpoint-7.hf_model"
    assert (output / "model.safetensors.index.json").exists() == sharded
    written, wanted = tensors_of(output), merged_by_peft(model, adapter, torch.float32)
    assert written.keys() == wanted.keys()
    worst = max(ulps(written[name], wanted[name]) for name in wanted)
    assert worst <= ULPS[kind], worst
    expected = logits(load_with_adapter(model, adapter))
    assert (logits(load_merged(output)) - expected).abs().max() <= 1e-5 * expected.abs().max()
    assert (logits(AutoModelForCausalLM.from_pretrained(model)) - expected).abs().max() > 1e-2, "the adapter is at work"
    assert "largest logit difference to base + adapter over 32 tokens" in done.stdout
    assert "equal bit for bit: " in done.stdout


@pytest.mark.parametrize(("family", "kind"), [("llama-untied", "lora"), ("qwen3", "lora"), ("qwen3", "dora")])
@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
def test_half_precision_is_rounded_once(tiny, tmp_path: Path, family: str, kind: str, dtype: torch.dtype):
    model, adapter = tiny(family, dtype, kind=kind)
    checkpoint = make_checkpoint(tmp_path / "checkpoint-7", model, adapter)
    convert(model, checkpoint)
    written = tensors_of(tmp_path / "checkpoint-7.hf_model")
    exact = merged_by_peft(model, adapter, torch.float32)
    assert written.keys() == exact.keys()
    for name, tensor in written.items():
        assert tensor.dtype == dtype
        # A float32 value that lies half-way may go either way by its last bits, so units of float32 are allowed.
        unit = ULPS[kind] * torch.finfo(torch.float32).eps * exact[name].abs()
        low, high = ((exact[name] + sign * unit).to(dtype) for sign in (-1, 1))
        assert ((tensor == exact[name].to(dtype)) | (tensor == low) | (tensor == high)).all(), name
    network = load_merged(tmp_path / "checkpoint-7.hf_model")
    assert network.dtype == dtype
    rounded = AutoModelForCausalLM.from_pretrained(model, dtype=dtype)
    rounded.load_state_dict({name: tensor.to(dtype) for name, tensor in exact.items()}, strict=False)
    assert (logits(network) - logits(rounded)).abs().max() <= 2e-2


@pytest.mark.parametrize("name, dtype", [("bf16", torch.bfloat16), ("fp16", torch.float16), ("fp32", torch.float32)])
def test_dtype(tiny, tmp_path: Path, name: str, dtype: torch.dtype):
    model, adapter = tiny("qwen3", torch.bfloat16)
    convert(model, make_checkpoint(tmp_path / "c", model, adapter), "--dtype", name)
    written = tensors_of(tmp_path / "c.hf_model")
    assert {tensor.dtype for tensor in written.values()} == {dtype}
    exact = merged_by_peft(model, adapter, torch.float32)
    if dtype == torch.float32:
        assert max(ulps(written[name], exact[name]) for name in exact) <= 1
    assert load_merged(tmp_path / "c.hf_model").dtype == dtype


@pytest.mark.parametrize("kind", ["lora", "dora"])
def test_rslora_and_patterns(tiny, tmp_path: Path, kind: str):
    model, adapter = tiny("qwen3", kind=kind)
    checkpoint = make_checkpoint(tmp_path / "c", model, adapter)
    change_config(checkpoint, use_rslora=True, alpha_pattern={"layers.1.self_attn.q_proj": 3, "[qk]_proj": 24},
                  rank_pattern={"layers.2.mlp.down_proj": 2})  # fmt: skip

    def cut_rank(tensors):
        name = "base_model.model.model.layers.2.mlp.down_proj"
        tensors[f"{name}.lora_A.weight"] = tensors[f"{name}.lora_A.weight"][:2]
        tensors[f"{name}.lora_B.weight"] = tensors[f"{name}.lora_B.weight"][:, :2]
        return tensors

    change_tensors(checkpoint / "adapter_model.safetensors", cut_rank)
    done = convert(model, checkpoint, "--verify")
    written, wanted = tensors_of(tmp_path / "c.hf_model"), merged_by_peft(model, checkpoint, torch.float32)
    assert max(ulps(written[name], wanted[name]) for name in wanted) <= ULPS[kind]
    # The same rules where our own model has the adapter attached.
    line = next(line for line in done.stdout.splitlines() if line.startswith("largest logit difference"))
    assert float(line.split(": ")[1].split(" ")[0]) < 1e-4, line


@pytest.mark.parametrize("kind", ["lora", "dora"])
def test_a_family_that_is_not_known(tmp_path: Path, kind: str):
    """GPT-2: Conv1D weights that lie transposed, names of its own, and buffers; nothing of it is in the program."""
    torch.manual_seed(3)
    config = GPT2Config(vocab_size=512, n_positions=64, n_embd=32, n_layer=2, n_head=2, tie_word_embeddings=True)
    model = tmp_path / "gpt2"
    GPT2LMHeadModel(config).save_pretrained(model)
    tiny_models.make_tokenizer("qwen3").save_pretrained(model)
    recipe = hf_train.Recipe(steps=1, rank=4, alpha=8, targets=["c_attn", "c_proj"], dora=kind == "dora")
    network = hf_train.add_adapter(hf_train.load_base(model, recipe), recipe)
    tiny_models.random_adapter(network)
    network.save_pretrained(tmp_path / "adapter")
    assert json.loads((tmp_path / "adapter" / "adapter_config.json").read_text())["fan_in_fan_out"]
    checkpoint = make_checkpoint(tmp_path / "c", model, tmp_path / "adapter")
    done = convert(model, checkpoint)
    assert "logits: not compared, as this program does not run the model" in done.stdout
    written, wanted = tensors_of(tmp_path / "c.hf_model"), merged_by_peft(model, checkpoint, torch.float32)
    assert written.keys() == tensors_of(model).keys()
    assert max(ulps(written[name], wanted[name]) for name in written) <= ULPS[kind]
    expected = logits(load_with_adapter(model, checkpoint))
    assert (logits(load_merged(tmp_path / "c.hf_model")) - expected).abs().max() <= 1e-5 * expected.abs().max()


def test_every_tensor_is_kept_but_a_tied_head(tiny, tmp_path: Path):
    model, adapter = tiny("llama")
    base = tmp_path / "base"
    base.mkdir()
    for path in model.iterdir():
        if path.is_file():
            (base / path.name).write_bytes(path.read_bytes())
    extra = {"model.rotary.inv_freq": torch.rand(4), "steps": torch.tensor([3, 4]), "mask": torch.ones(3, dtype=torch.bool)}
    change_tensors(base / "model.safetensors",
                   lambda tensors: tensors | extra | {"lm_head.weight": tensors["model.embed_tokens.weight"].clone()})  # fmt: skip
    convert(base, make_checkpoint(tmp_path / "c", model, adapter), "--dtype", "bf16")
    written = tensors_of(tmp_path / "c.hf_model")
    assert written.keys() == tensors_of(model).keys() | extra.keys()
    assert torch.equal(written["steps"], extra["steps"]) and torch.equal(written["mask"], extra["mask"])


def test_files_and_index(tiny, tmp_path: Path):
    model, adapter = tiny("qwen3-untied", torch.bfloat16)
    checkpoint = make_checkpoint(tmp_path / "c", model, adapter)
    (checkpoint / "chat_template.jinja").write_bytes(b"{{ x }}\r\n")
    convert(model, checkpoint, "--max_shard_size", "40KB")
    output = tmp_path / "c.hf_model"
    for name in ("config.json", "generation_config.json"):
        assert (output / name).read_bytes() == (model / name).read_bytes()
    for name in ("tokenizer.json", "tokenizer_config.json", "chat_template.jinja"):
        assert (output / name).read_bytes() == (checkpoint / name).read_bytes()
    assert not list(output.glob("adapter_*"))
    index = json.loads((output / "model.safetensors.index.json").read_text())
    tensors = tensors_of(output)
    assert index["metadata"] == {"total_parameters": sum(t.numel() for t in tensors.values()),
                                 "total_size": sum(t.nbytes for t in tensors.values())}  # fmt: skip
    for path in output.glob("*.safetensors"):
        with safe_open(path, "pt") as file:
            names = list(file.keys())
            assert file.metadata() == {"format": "pt"}
        assert all(index["weight_map"][name] == path.name for name in names)
        assert len(names) == 1 or sum(tensors[name].nbytes for name in names) <= 40_000
    load_merged(output)


@pytest.mark.parametrize("kind", ["lora", "dora"])
def test_no_merge(tiny, tmp_path: Path, kind: str):
    model, adapter = tiny("llama-untied", kind=kind)
    checkpoint = make_checkpoint(tmp_path / "c", model, adapter, tokenizer=False)
    done = convert(model, checkpoint, "--no_merge")
    output = tmp_path / "c.hf_peft"
    assert (output / "base_model.txt").read_text() == f"{model}\n"
    for name in ("adapter_config.json", "adapter_model.safetensors"):
        assert (output / name).read_bytes() == (checkpoint / name).read_bytes()
    assert (output / "tokenizer.json").read_bytes() == (model / "tokenizer.json").read_bytes(), "the base's"
    assert ("--max-lora-rank 8 " if kind == "lora" else "vLLM: serves no DoRA adapter") in done.stdout
    assert torch.equal(logits(load_with_adapter(model, output)), logits(load_with_adapter(model, adapter)))


@pytest.mark.parametrize("flags", [[], ["--full_ft"], ["--full_ft", "--no_merge"]])
def test_full_fine_tune(tiny, tmp_path: Path, flags: list[str]):
    model, _ = tiny("qwen3", torch.bfloat16)
    data = tmp_path / "data"
    write_rows(data / "training.jsonl", [{"input": f"Say {n}.\n", "output": f"The number {n}."} for n in range(20)])
    anneal("train", "--hf_model_id", model, "--data_dir", data, "--results_dir", tmp_path / "results", "--full_ft",
           "--max_steps", "2", "--warmup_ratio", "0", "--learning_rate", "1e-3", "--max_seq_length", "64",
           "--run_name", "run")  # fmt: skip
    run = tmp_path / "results" / "run"
    done = anneal("convert", "--base_model", model, "--checkpoints_dir", run, *flags)
    output = run / "checkpoint-2.hf_model"
    assert "checkpoint-2 (all weights)" in done.stdout
    written, trained = tensors_of(output), tensors_of(run / "checkpoint-2")
    assert all(torch.equal(written[name], trained[name]) for name in trained) and written.keys() == trained.keys()
    assert torch.equal(logits(load_merged(output)), logits(load_merged(run / "checkpoint-2")))


def test_bytes_are_the_same_each_time(tiny, tmp_path: Path):
    model, adapter = tiny("qwen3", torch.bfloat16)
    for name in ("a", "b"):
        convert(model, make_checkpoint(tmp_path / name, model, adapter), "--max_shard_size", "60KB")
    assert bytes_of(tmp_path / "a.hf_model") == bytes_of(tmp_path / "b.hf_model")


def test_the_script_finds_the_run_by_the_name_of_its_model(tiny, tmp_path: Path):
    """As the documentation has it: train, then convert with --base_model alone, in the same folder."""
    model, _ = tiny("qwen3")
    data = write_rows(tmp_path / "data" / "training.jsonl", [{"input": "Say 1.\n", "output": "The number 1."}] * 20).parent
    anneal("train", "--hf_model_id", model, "--data_dir", data, "--results_dir", tmp_path / "results", "--max_steps", "3",
           "--warmup_ratio", "0", "--learning_rate", "1e-2", "--max_seq_length", "64", "--lora_rank", "4")  # fmt: skip
    script = [sys.executable, ROOT / "convert_checkpoint_to_hf.py", "--base_model", model]
    done = subprocess.run(script, cwd=tmp_path, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
    trained = tmp_path / "results" / model.name / "checkpoint-3"
    run_config = json.loads((trained.parent / "run_config.json").read_text())
    assert run_config["base_config_sha256"] == hashlib.sha256((model / "config.json").read_bytes()).hexdigest()
    expected = logits(load_with_adapter(model, trained))
    assert (logits(load_merged(trained.with_suffix(".hf_model"))) - expected).abs().max() <= 1e-5 * expected.abs().max()
    assert (logits(AutoModelForCausalLM.from_pretrained(model)) - expected).abs().max() > 1e-3, "the adapter is at work"
    assert subprocess.run([*script, "--nonsense"], cwd=tmp_path, capture_output=True).returncode == 2
