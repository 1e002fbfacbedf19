"""Oracles: transformers' `generate` on every family, and llama2.c's published greedy text of stories260K."""

import json
import random
from pathlib import Path

import pytest
import torch
from peft import PeftModel
from transformers import AutoModelForCausalLM

from support.program import SHARED, copy_model, generate
from reference import adapter_check, tiny_models

STORIES = SHARED / "models" / "stories260k"
NEW_TOKENS = 24
GREEDY = {"temperature": 0.0, "max_tokens": NEW_TOKENS}


def prompts_of(count: int) -> list[list[int]]:
    """Mixed lengths around the sizes of blocks and tiles; half of them begin alike."""
    generator = random.Random(5)
    beginning = [generator.randrange(3, 500) for _ in range(70)]
    prompts = []
    for number in range(count):
        length = generator.choice([1, 2, 5, 31, 32, 33, 64, 65, 90])
        ids = [generator.randrange(3, 500) for _ in range(length)]
        prompts.append(beginning + ids if number % 2 else ids)
    return prompts


def greedy_of(model: torch.nn.Module, prompts: list[list[int]], stop_ids: list[int]) -> list[list[int]]:
    texts = []
    for ids in prompts:
        adapter_check.forget_lengths(model)
        with torch.no_grad():
            out = model.generate(torch.tensor([ids]), attention_mask=torch.ones(1, len(ids), dtype=torch.long),
                                 max_new_tokens=NEW_TOKENS, do_sample=False, eos_token_id=stop_ids, pad_token_id=0)  # fmt: skip
        texts.append(out[0, len(ids) :].tolist())
    return texts


def with_stop_ids(model: Path, folder: Path, stop_ids: list[int]) -> Path:
    copy_model(model, folder)
    (folder / "generation_config.json").write_text(json.dumps({"eos_token_id": stop_ids}))
    return folder


GREEDY_ON = [*tiny_models.SOME, "llama-dynamic", "phi3", "qwen2-window", "qwen3-yarn"]


@pytest.mark.parametrize(("name", "kind"), [*((name, "lora") for name in GREEDY_ON), ("qwen3", "dora")])
def test_greedy_tokens_equal_transformers(name: str, kind: str, tiny, tmp_path: Path):
    """Token by token, for several batch sizes, with stop ids that some prompts reach."""
    folder, adapter = tiny(name, kind=kind)
    prompts = prompts_of(64 if name in tiny_models.SOME else 24)
    network = PeftModel.from_pretrained(AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32), adapter)
    network.eval()
    free = greedy_of(network, prompts[:8], [])
    stop_ids = sorted({1, free[0][3], free[1][10], free[2][0]})
    expected = greedy_of(network, prompts, stop_ids)
    model = with_stop_ids(folder, tmp_path / "model", stop_ids)
    for batch_size in (1, 7, 32):
        completions = generate(tmp_path, prompts, model=model, adapter=adapter, batch_size=batch_size, **GREEDY)
        assert [one["ids"] for one in completions] == expected, batch_size
        for one in completions:
            stopped = one["ids"][-1] in stop_ids
            assert one["finish_reason"] == ("stop" if stopped else "length")
    assert len({len(ids) for ids in expected}) > 2  # some stop early


@pytest.mark.parametrize("dtype", ["fp32", "bf16"])
@pytest.mark.parametrize("name", tiny_models.SOME)
def test_sampled_text_depends_on_the_prompt_alone(name: str, dtype: str, tiny, tmp_path: Path):
    """Not on batch size, order or the memory for keys and values, in bits: sampling at a high temperature shows any."""
    folder, adapter = tiny(name)
    prompts = prompts_of(40)
    options = {"model": folder, "adapter": adapter, "compute_dtype": dtype, "temperature": 1.5, "top_p": 0.99,
               "max_tokens": 40, "seed": 3}  # fmt: skip
    alone = generate(tmp_path, prompts, batch_size=1, **options)
    assert generate(tmp_path, prompts, batch_size=40, **options) == alone
    assert generate(tmp_path, prompts, batch_size=7, **options) == alone
    assert generate(tmp_path, prompts, batch_size=40, **options | {"seed": 4}) != alone


def test_a_small_cache_gives_the_same_text(tiny, tmp_path: Path):
    folder, adapter = tiny("llama")
    prompts = prompts_of(30)
    options = {"model": folder, "adapter": adapter, "temperature": 1.0, "top_p": 1.0, "max_tokens": 60, "batch_size": 30}
    memory = int(next(line.split()[1] for line in Path("/proc/meminfo").read_text().splitlines() if "MemAvailable" in line))
    config = json.loads((folder / "config.json").read_text())
    block = 2 * 32 * config["num_hidden_layers"] * config["num_key_value_heads"] * config["head_dim"] * 4 / 1024
    assert generate(tmp_path, prompts, memory_share=20 * block / memory, **options) == generate(tmp_path, prompts, **options)


def test_text_ends_before_a_stop_string(tiny, tmp_path: Path):
    folder, _ = tiny("llama-untied")
    options = {"model": folder, "temperature": 1.0, "max_tokens": 60, "max_model_len": 512}
    whole = generate(tmp_path, prompts_of(12), **options)
    stop = [whole[0]["text"][20:22], whole[1]["text"][9:12]]
    for one, cut in zip(whole, generate(tmp_path, prompts_of(12), stop=stop, **options), strict=True):
        ends = [one["text"].find(text) for text in stop if text in one["text"]]
        if ends:
            assert (cut["text"], cut["finish_reason"]) == (one["text"][: min(ends)], "stop")
        else:
            assert cut == one


def test_limits_of_length(tiny, tmp_path: Path):
    folder, _ = tiny("qwen3")
    prompts = [[5] * 10, [5] * 20, [5] * 19]
    options = {"model": folder, "temperature": 2.0, "top_p": 1.0, "max_tokens": 100, "max_model_len": 20}
    first, second, third = generate(tmp_path, prompts, **options)
    assert (len(first["ids"]), first["finish_reason"]) == (10, "length")
    assert second == {"index": 1, "ids": [], "text": "", "finish_reason": "prompt_too_long"}
    assert len(third["ids"]) == 1


@pytest.mark.skipif(not STORIES.exists(), reason="../shared/models/stories260k is absent")
def test_stories_are_the_published_one(tmp_path: Path):
    reference = json.loads((STORIES / "greedy_reference.json").read_text())
    (done,) = generate(tmp_path, [[1]], model=STORIES, temperature=0.0, max_tokens=200)
    assert done["ids"] == reference["token_ids"]
    assert done["text"].strip() == (STORIES / "expected_greedy_200.txt").read_text().strip()
