"""Command lines that a newcomer may type, each answered by one message that helps: what is wrong, where, what to do."""

import json
import shutil
import subprocess
from pathlib import Path

import pytest

from support.program import BUILD, assert_refused, write_rows
from support.troubleshooting import is_listed

TEMPLATES = ["--hfdc_input_template", "{question}", "--hfdc_output_template", "{answer}"]
TRAIN = ["train", "--hf_model_id", "model"]
ROWS = ["--hfdc_dataset_name", "rows.jsonl", *TEMPLATES]
USAGE, DATA, MODEL, RESOURCES = 2, 3, 4, 6

# command line -> exit code, what the answer says of it, and the remedy
WRONG: list[tuple[list[str], int, str, str]] = [
    (["trian"], USAGE, 'there is no command "trian"', 'did you mean "train"?'),
    (["--train"], USAGE, 'there is no command "--train"', 'did you mean "train"?'),
    ([*TRAIN, "--max_step", "5"], USAGE, "--max_step: unknown flag", "did you mean --max_steps?"),
    ([*TRAIN, "--epochs", "3"], USAGE, "--epochs: unknown flag", "did you mean --num_train_epochs?"),
    ([*TRAIN, "--batch_size", "4"], USAGE, "--batch_size: unknown flag", "did you mean --per_device_train_batch_size?"),
    ([*TRAIN, "-max_steps", "5"], USAGE, '"-max_steps" is not a flag', "did you mean --max_steps?"),
    ([*TRAIN, "--max_steps", "five"], USAGE, '--max_steps: "five" is not a whole number', "give a whole number"),
    ([*TRAIN, "--max_steps"], USAGE, "--max_steps: a value is missing", "--max_steps VALUE"),
    ([*TRAIN, "--learning_rate", "-1"], USAGE, "--learning_rate", "at least 0"),
    ([*TRAIN, "--lr_scheduler_type", "cosin"], USAGE, '"cosin" is not one of', "did you mean cosine?"),
    ([*TRAIN, "--lora_target_modules", "q_proj,,v_proj"], USAGE, "--lora_target_modules: has an empty name", "single commas"),
    ([*TRAIN, *ROWS, "--lora_target_modules", "c_attn"], USAGE, '"c_attn" hits no linear layer', "q_proj, k_proj"),
    ([*TRAIN, *ROWS, "--max_seq_length", "100000"], USAGE, "100000 is above the model's limit of 512", "at most the model's limit"),
    (["train", "--hf_model_id", "modle", *ROWS, "--offline"], USAGE, '"modle"', "did you mean model, which is here? If not, download"),
    (["train", "--hf_model_id", "./modle"], USAGE, "neither a folder nor the id", "did you mean ./model?"),
    (["train", "--hf_model_id", "model/config.json"], USAGE, "is a file", "the folder that holds config.json"),
    ([*TRAIN, "--hfdc_dataset_name", "row.jsonl"], USAGE, "row.jsonl: there is no such file", "did you mean rows.jsonl?"),
    ([*TRAIN, *ROWS[:2], "--hfdc_input_template", "{question", "--hfdc_output_template", "{answer}"], USAGE,
     "--hfdc_input_template, column 1: the brace is not closed", "{name} for a column"),
    ([*TRAIN, *ROWS[:2]], DATA, 'need the column "input", "instruction", "output"', 'the columns are "question", "answer"'),
    ([*TRAIN, *ROWS, "--hfdc_field_mapping", "question"], USAGE, "--hfdc_field_mapping: not valid JSON", '{"placeholder": "column"}'),
    ([*TRAIN, *ROWS, "--hfdc_train_split_ratio", "90"], USAGE, '--hfdc_train_split_ratio: "90"', "at most 1"),
    ([*TRAIN, *ROWS, "--device", "cuda"], RESOURCES, "--device: no GPU can be used here", "--device cpu"),
    ([*TRAIN, "--config", "run.json"], USAGE, "run.json: cannot read the file", "check the path"),
    ([*TRAIN, "--device", "gpu"], USAGE, '--device: "gpu" is not one of auto, cpu, cuda', "give one of auto, cpu, cuda"),
    ([*TRAIN, "--offline"], USAGE, "is no local file or folder", "name another, such as a file, with --hfdc_dataset_name"),
    (["plan", "--offline"], USAGE, "is no folder here", "or name the folder of a model"),
    (["completion", "tcsh"], USAGE, '"tcsh" is not one of bash, zsh, fish', "give one of bash, zsh, fish"),
    (["test"], USAGE, "--base_model: is needed", "name the folder or the id"),
    (["convert", "--base_model", "model"], MODEL, "there is no complete checkpoint", "--checkpoints_dir"),
    (["report"], USAGE, "no run is given", "results/<run_name>"),
    (["report", "results/none"], USAGE, "results/none: there is no such folder", "name a run's folder"),
    (["score", "--hf_model_id", "model", "--data", "rows.jsonl"], DATA, 'rows.jsonl:1 (byte 0): the key "input" is missing', "correct the line"),
    (["plan", "--hf_model_id", "model", "--hardware", "h10"], USAGE, '"h10" is not one of', "did you mean h100?"),
    (["plan", "--hf_model_id", "rows.jsonl"], USAGE, '"rows.jsonl" is a file', "the folder that holds config.json"),
]  # fmt: skip


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory, tiny) -> Path:
    folder = tmp_path_factory.mktemp("newcomer")
    shutil.copytree(tiny("llama")[0], folder / "model", ignore=shutil.ignore_patterns("adapter"))
    write_rows(folder / "rows.jsonl", [{"question": f"{n}?", "answer": f"{n}!"} for n in range(20)])
    return folder


@pytest.mark.parametrize("wrong", WRONG, ids=lambda wrong: " ".join(wrong[0]))
def test_the_answer_helps(place: Path, wrong: tuple[list[str], int, str, str]):
    words, code, problem, remedy = wrong
    if "cuda" in words and Path("/dev/nvidia0").exists():
        pytest.skip("there is a GPU here: --device cuda is no mistake")
    done = subprocess.run([BUILD / "anneal", *words], cwd=place, capture_output=True, text=True)
    assert_refused(done, code, problem, remedy)
    message = done.stderr.removeprefix("warning: ")
    assert message.count("try:") == 1 and len(message.splitlines()) <= 3, message
    told = message.split("try:")
    assert problem in told[0] and remedy in told[1], message
    assert is_listed(told[0]), f"docs/troubleshooting.md does not have: {message}"


def test_nothing_is_left_behind(place: Path):
    """All of them were refused before a run or data were made."""
    assert {path.name for path in place.iterdir()} <= {"model", "rows.jsonl", "datasets", "results"}
    assert not list(place.glob("results/**/checkpoint-*")) and not list(place.glob("results/**/run_config.json"))


def test_the_same_as_json(place: Path):
    done = subprocess.run([BUILD / "anneal", "train", "--max_step", "5", "--log_format", "json"], cwd=place, capture_output=True, text=True)
    (problem,) = json.loads(done.stderr)["problems"]
    assert problem["where"] == "--max_step" and "did you mean --max_steps?" in problem["remedy"]
