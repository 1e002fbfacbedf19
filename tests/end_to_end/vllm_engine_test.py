"""Oracle: vLLM's interface as its documentation says it, by hand; tests/support/fake_vllm.py stands in for the server."""

import json
import os
import signal
import subprocess
import threading
import time
from pathlib import Path

import pytest
import torch
from peft import PeftModel
from safetensors.torch import load_file
from transformers import AutoModelForCausalLM, AutoTokenizer

from support import fake_vllm
from support.program import BUILD, assert_refused, write_rows

USAGE, RESOURCES, DISTRIBUTED = 2, 6, 7
ROWS = [{"input": f"Ada sold {n} apples.\n" * (1 + n % 4), "output": f"She has {n}."} for n in range(12)]


@pytest.fixture
def setting(tiny, tmp_path: Path):
    """The base model, its adapter as the checkpoint, a test file and the stand-in for vLLM."""
    model, adapter = tiny("llama")
    data = write_rows(tmp_path / "test.jsonl", ROWS)
    program = fake_vllm.install(tmp_path)
    return model, adapter, data, program, tmp_path / "out"


def _test(setting, *flags, behaviour: dict | None = None, **options) -> subprocess.CompletedProcess[str]:
    model, adapter, data, program, out = setting
    command = [BUILD / "anneal", "test", "--base_model", model, "--checkpoint", adapter, "--test_path", data,
               "--output_dir", out, *(() if "--vllm_url" in flags else ("--engine", "vllm", "--vllm_path", program)),
               *flags]  # fmt: skip
    environment = os.environ | {"FAKE_VLLM": json.dumps(behaviour or {})}
    return subprocess.run(list(map(str, command)), capture_output=True, text=True, env=environment, **options)


def _rows(out: Path) -> list[dict]:
    return [json.loads(line) for line in (out / "predictions.jsonl").read_text(encoding="utf-8").splitlines()]


def _records(path: Path) -> list[dict]:
    return [json.loads(line) for line in path.read_text().splitlines()]


def _prompts(model: Path) -> list[list[int]]:
    tokenizer = AutoTokenizer.from_pretrained(model)
    return [tokenizer(row["input"])["input_ids"] for row in ROWS]


def _assert_predictions(out: Path, model: Path) -> None:
    rows = _rows(out)
    assert [row["index"] for row in rows] == list(range(len(ROWS)))
    for row, expected, prompt in zip(rows, ROWS, _prompts(model), strict=True):
        assert (row["input"], row["label"]) == (expected["input"], expected["output"])
        assert row["prediction"] == fake_vllm.text_for(prompt)
        assert (row["prompt_tokens"], row["generated_tokens"], row["finish_reason"]) == (len(prompt), 3, "stop")


def test_requests_and_answers(setting, tmp_path: Path):
    model, _, _, _, out = setting
    record = tmp_path / "record.jsonl"
    done = _test(setting, "--temperature", "0.7", "--top_k", "5", "--top_p", "0.9", "--max_tokens", "20", "--stop", "\n\n",
                 "--stop", "END", "--batch_size", "3", behaviour={"record": str(record)})  # fmt: skip
    assert done.returncode == 0, done.stdout + done.stderr
    _assert_predictions(out, model)
    launch, *requests = _records(record)
    bodies = [request["body"] for request in requests]
    assert sorted(body["prompt"] for body in bodies) == sorted(_prompts(model))
    assert {body["model"] for body in bodies} == {"checkpoint"}, "the adapter, not the base model"
    for body in bodies:
        wanted = {"temperature": 0.7, "top_k": 5, "top_p": 0.9, "max_tokens": 20, "stop": ["\n\n", "END"],
                  "stop_token_ids": [1], "skip_special_tokens": True, "repetition_penalty": 1.0,
                  "return_token_ids": True}  # fmt: skip
        assert {key: body[key] for key in wanted} == wanted
    assert len({body["seed"] for body in bodies}) == len(ROWS), "each prompt has a seed of its own"
    metrics = json.loads((out / "metrics.json").read_text())
    assert (metrics["n"], metrics["engine"], metrics["generation"]["tokens"]) == (12, "vllm", 36)
    assert not (out / "predictions.jsonl.partial").exists()
    with pytest.raises(ProcessLookupError):
        os.kill(launch["pid"], 0)  # the server was ended


def test_seeds_do_not_depend_on_order_or_batch(setting, tmp_path: Path):
    seeds = []
    for number, flags in enumerate((("--batch_size", "1"), ("--batch_size", "12", "--max_samples", "7"))):
        record = tmp_path / f"record{number}.jsonl"
        assert _test(setting, *flags, behaviour={"record": str(record)}).returncode == 0
        seeds.append({tuple(entry["body"]["prompt"]): entry["body"]["seed"] for entry in _records(record)[1:]})
    assert all(seeds[0][prompt] == seed for prompt, seed in seeds[1].items())


def test_command_line_of_the_server(setting, tmp_path: Path):
    model, adapter, _, _, _ = setting
    record = tmp_path / "record.jsonl"
    assert _test(setting, "--dtype", "float32", "--max_model_len", "100", behaviour={"record": str(record)}).returncode == 0
    command = _records(record)[0]["command"]
    flags = dict(zip(command[2::2], command[3::2], strict=False))
    assert command[:2] == ["serve", str(model)]
    assert flags["--dtype"] == "float32" and flags["--max-model-len"] == "100" and flags["--host"] == "127.0.0.1"
    assert flags["--tensor-parallel-size"] == "1" and flags["--gpu-memory-utilization"] == "0.9"
    assert flags["--generation-config"] == "vllm", "the model's own sampling defaults stay out of it"
    assert command[command.index("--max-lora-rank") + 1] == "8", "the next rank above 4 that vLLM takes"
    module = json.loads(command[command.index("--lora-modules") + 1])
    assert module == {"name": "checkpoint", "path": str(adapter)} and "--enable-lora" in command


def test_a_whole_model_is_served_as_it_is(setting, tmp_path: Path):
    model, _, data, program, out = setting
    record = tmp_path / "record.jsonl"
    assert _test((model, model, data, program, out), behaviour={"record": str(record)}).returncode == 0
    launch, *requests = _records(record)
    assert launch["command"][1] == str(model) and "--enable-lora" not in launch["command"]
    assert {request["body"]["model"] for request in requests} == {"base"}


@pytest.mark.parametrize("kind", ["lora", "dora"])
def test_a_merged_copy_where_it_is_asked_for_or_needed(setting, tiny, tmp_path: Path, kind: str):
    """Oracle: PEFT's merge_and_unload. vLLM applies no DoRA adapter."""
    model, adapter = tiny("llama", kind=kind)
    _, _, data, program, out = setting
    setting = model, adapter, data, program, out
    record = tmp_path / "record.jsonl"
    left = out / "merged.tmp-1"  # of a test that was killed
    left.mkdir(parents=True)
    behaviour = {"record": str(record), "copy_model_to": str(tmp_path / "seen")}
    if kind == "dora":
        assert_refused(_test(setting, "--merge_adapter", "off"), USAGE, "--merge_adapter", "vLLM applies no DoRA adapter")
    merge = "auto" if kind == "dora" else "on"
    done = _test(setting, "--merge_adapter", merge, "--dtype", "float32", behaviour=behaviour)
    assert done.returncode == 0, done.stdout + done.stderr
    launch, *requests = _records(record)
    assert "--enable-lora" not in launch["command"] and {request["body"]["model"] for request in requests} == {"base"}
    assert launch["command"][1].startswith(str(out)) and not Path(launch["command"][1]).exists() and not left.exists()
    merged = PeftModel.from_pretrained(AutoModelForCausalLM.from_pretrained(model), adapter).merge_and_unload().state_dict()
    seen = load_file(tmp_path / "seen" / "model.safetensors")
    for name, tensor in seen.items():
        torch.testing.assert_close(tensor, merged[name], rtol=1e-5, atol=1e-6)
    assert not torch.equal(seen["model.layers.0.self_attn.q_proj.weight"],
                           load_file(model / "model.safetensors")["model.layers.0.self_attn.q_proj.weight"])  # fmt: skip


def test_passing_failures_are_tried_again(setting):
    errors = [500, "garbage", "hang up", 429, 503, "hang up", "garbage", 500]
    done = _test(setting, "--batch_size", "4", behaviour={"errors": errors})
    assert done.returncode == 0, done.stdout + done.stderr
    _assert_predictions(setting[4], setting[0])


def test_failures_that_do_not_pass_end_the_test(setting):
    done = _test(setting, "--batch_size", "1", "--max_samples", "1", behaviour={"errors": [500] * 50})
    assert done.returncode == DISTRIBUTED and "told to fail" in done.stderr and "--resume" in done.stderr


def test_a_refused_request_is_not_sent_again(setting, tmp_path: Path):
    record = tmp_path / "record.jsonl"
    done = _test(setting, "--batch_size", "1", behaviour={"errors": [400], "record": str(record)})
    assert done.returncode == DISTRIBUTED and "HTTP 400" in done.stderr and "told to fail" in done.stderr
    assert len(_records(record)) == 2


def test_a_server_that_dies_and_resume(setting, tmp_path: Path):
    model, _, _, _, out = setting
    done = _test(setting, "--batch_size", "1", behaviour={"die_after": 5})
    assert done.returncode == DISTRIBUTED, done.stdout + done.stderr
    assert "fake vLLM: told to die" in done.stderr and "exit status 3" in done.stderr, done.stderr
    assert len((out / "predictions.jsonl.partial").read_text().splitlines()) == 1 + 5
    assert not (out / "predictions.jsonl").exists()
    record = tmp_path / "record.jsonl"
    done = _test(setting, "--resume", behaviour={"record": str(record)})
    assert done.returncode == 0 and len(_records(record)) == 1 + 7, "only what was missing is asked for"
    _assert_predictions(out, model)


def test_a_server_that_does_not_start(setting):
    done = _test(setting, behaviour={"refuse_to_start": True})
    assert done.returncode == RESOURCES and "the model does not fit" in done.stderr and "try:" in done.stderr


def test_vllm_is_missing(setting):
    done = _test((*setting[:3], "no-such-vllm", setting[4]))
    assert done.returncode == RESOURCES and "pip install vllm" in done.stderr and "--engine native" in done.stderr


def test_the_server_dies_with_the_program(setting, tmp_path: Path):
    model, adapter, data, program, out = setting
    record = tmp_path / "record.jsonl"
    environment = os.environ | {"FAKE_VLLM": json.dumps({"record": str(record), "seconds": 60})}
    started = subprocess.Popen([BUILD / "anneal", "test", "--base_model", model, "--checkpoint", adapter, "--test_path", data,
                                "--output_dir", out, "--engine", "vllm", "--vllm_path", program],
                               env=environment, stdout=subprocess.DEVNULL)  # fmt: skip
    deadline = time.monotonic() + 60
    while not record.exists() or len(_records(record)) < 2:
        assert time.monotonic() < deadline and started.poll() is None
        time.sleep(0.05)
    started.send_signal(signal.SIGKILL)
    started.wait()
    while True:
        try:
            os.kill(_records(record)[0]["pid"], 0)
        except ProcessLookupError:
            break
        status = Path(f"/proc/{_records(record)[0]['pid']}/stat")
        if status.exists() and status.read_text().split(")")[1].split()[0] == "Z":
            break  # ended; whoever inherited it has not asked
        assert time.monotonic() < deadline
        time.sleep(0.05)


@pytest.fixture
def server():
    models = [{"id": "base", "max_model_len": 24}, {"id": "mine", "max_model_len": 24}]
    made = fake_vllm.FakeVllm(0, models, {"seconds": 0.02})
    threading.Thread(target=made.serve_forever, daemon=True).start()
    yield made
    made.shutdown()


def test_a_server_that_runs_already(setting, server):
    model, _, _, _, out = setting
    url = f"http://127.0.0.1:{server.server_port}/"
    done = _test(setting, "--vllm_url", url)
    assert done.returncode == USAGE and "base, mine" in done.stderr and "--vllm_model" in done.stderr
    done = _test(setting, "--vllm_url", url, "--vllm_model", "yours")
    assert done.returncode == USAGE and "base, mine" in done.stderr
    done = _test(setting, "--vllm_url", url, "--vllm_model", "mine", "--batch_size", "5")
    assert done.returncode == 0, done.stdout + done.stderr
    assert 1 < server.most_at_once <= 5
    rows = _rows(out)
    long = [row for row, prompt in zip(rows, _prompts(model), strict=True) if len(prompt) >= 24]
    assert 0 < len(long) < len(rows)
    assert all(row["finish_reason"] == "prompt_too_long" and row["prediction"] == "" for row in long)
    assert json.loads((out / "metrics.json").read_text())["n_prompt_too_long"] == len(long)


def test_no_server_there(setting):
    done = _test(setting, "--vllm_url", "http://127.0.0.1:9")
    assert done.returncode == DISTRIBUTED and "http://127.0.0.1:9" in done.stderr and "try:" in done.stderr
    done = _test(setting, "--vllm_url", "localhost:8000")
    assert done.returncode == USAGE and "--vllm_url" in done.stderr
