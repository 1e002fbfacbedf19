"""Oracles: a terminal of our own, no-color.org, and JSON's own reader."""

import fcntl
import json
import os
import pty
import re
import select
import signal
import struct
import subprocess
import termios
from pathlib import Path

import pytest

from support.program import BUILD, write_rows

COLUMNS = 60
ROWS = [{"input": f"Say {n}.\n", "output": f"The number {n}." + " more" * (n % 4)} for n in range(40)]


@pytest.fixture(scope="module")
def work(tiny, tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("terminal")
    (root / "model").symlink_to(tiny("llama")[0])
    write_rows(root / "data" / "training.jsonl", ROWS)
    write_rows(root / "data" / "validation.jsonl", ROWS[:8])
    write_rows(root / "data" / "test.jsonl", ROWS[:8])
    _run(root, *_train("run"))
    return root


def _train(name: str, steps: int = 4) -> list[str]:
    return ["train", "--hf_model_id", "model", "--data_dir", "data", "--results_dir", "results", "--run_name", name,
            "--max_steps", str(steps), "--logging_steps", "2", "--eval_steps", "2", "--max_seq_length", "128", "--lora_rank", "4",
            "--early_stopping_patience", "0"]  # fmt: skip


TEST = ["test", "--base_model", "model", "--checkpoints_dir", "results/run", "--test_path", "data", "--max_tokens", "8",
        "--dtype", "float32", "--no_bertscore"]  # fmt: skip
CONVERT = ["convert", "--base_model", "model", "--checkpoints_dir", "results/run", "--overwrite"]
SCORE = ["score", "--hf_model_id", "model", "--data", "data/training.jsonl", "--max_seq_length", "128"]
PREPARE = ["prepare", "--data_dir", "data", "--hf_model_id", "model", "--max_seq_length", "128"]
REPORT = ["report", "results/run"]


def _run(folder: Path, *command: str, **environment: str) -> subprocess.CompletedProcess[str]:
    done = subprocess.run([str(BUILD / "anneal"), *command], cwd=folder, capture_output=True, text=True,
                          env=os.environ | environment, stdin=subprocess.DEVNULL, timeout=120)  # fmt: skip
    assert done.returncode == 0, done.stdout + done.stderr
    return done


def _on_terminal(folder: Path, *command: str, **environment: str) -> str:
    """All that a terminal of so many columns gets."""
    child, terminal = pty.fork()
    if child == 0:
        os.chdir(folder)
        os.environ.update({"TERM": "xterm", **environment})
        fcntl.ioctl(0, termios.TIOCSWINSZ, struct.pack("HHHH", 24, COLUMNS, 0, 0))
        os.execv(str(BUILD / "anneal"), ["anneal", *command])
    seen = b""
    while select.select([terminal], [], [], 60)[0]:
        try:
            seen += os.read(terminal, 1 << 16)
        except OSError:  # it has ended
            break
    os.close(terminal)
    os.waitpid(child, 0)
    return seen.decode()


def _progress(seen: str) -> list[str]:
    """The lines that were replaced."""
    return re.findall(r"\r\x1b\[K([^\r\n]+)(?=\r\x1b)", seen)


def test_a_terminal_shows_progress_that_fits(work: Path):
    seen = _on_terminal(work, *_train("on-terminal", 12))
    lines = _progress(seen)
    assert any(re.fullmatch(r"step \d+/12 loss .* left \d+s", line) for line in lines), lines
    assert any(line.startswith("loading model") for line in lines)
    assert all(len(line) < COLUMNS for line in lines)
    assert "done: 12 steps" in seen
    assert "loading" in "".join(_progress(_on_terminal(work, *SCORE)))


def test_elsewhere_there_is_no_progress_line(work: Path):
    for command in (_train("plain"), SCORE, TEST, CONVERT, PREPARE, REPORT):
        done = _run(work, *command)
        assert "\r" not in done.stdout + done.stderr and "\x1b" not in done.stdout + done.stderr, command


def test_colours_are_for_terminals_that_want_them(work: Path):
    """The tiny data set has no validation here, which is warned about."""
    write_rows(work / "bare" / "training.jsonl", ROWS)
    command = ["prepare", "--data_dir", "bare", "--show", "1"]
    assert "\x1b[33mwarning: \x1b[0mno validation rows" in _on_terminal(work, *command)
    assert "\x1b[32m" in _on_terminal(work, *command)  # trained text
    assert "\x1b[32m" in _on_terminal(work, *command, NO_COLOR="")
    for environment in ({"NO_COLOR": "1"}, {"TERM": "dumb"}):
        seen = _on_terminal(work, *command, **environment)
        assert "\x1b[3" not in seen and "warning: no validation rows" in seen and "[[" in seen
    assert "\x1b[31manneal:\x1b[0m" in _on_terminal(work, "trian")
    assert "\x1b" not in _on_terminal(work, "trian", NO_COLOR="1")


@pytest.mark.parametrize("command", [_train("quiet"), TEST, CONVERT, PREPARE, REPORT], ids=lambda command: command[0])
def test_quiet_says_nothing_when_all_is_well(work: Path, command: list[str]):
    done = _run(work, *command, "--quiet")
    assert done.stdout == "" and done.stderr == ""
    assert _on_terminal(work, *command, "--quiet") == ""


def test_quiet_keeps_results_warnings_and_errors(work: Path):
    assert json.loads(_run(work, *SCORE, "--quiet").stdout.splitlines()[-1])["samples"] == len(ROWS)
    done = _run(work, "prepare", "--data_dir", "data", "--show", "1", "--quiet")
    assert "--- row 0" in done.stdout and "rows:" not in done.stdout
    write_rows(work / "bare" / "training.jsonl", ROWS)
    assert _run(work, "prepare", "--data_dir", "bare", "--quiet").stdout.startswith("warning: no validation rows")
    failed = subprocess.run([BUILD / "anneal", "report", "nowhere", "--quiet"], cwd=work, capture_output=True, text=True)
    assert failed.returncode == 2 and "nowhere" in failed.stderr


@pytest.mark.parametrize("command", [_train("json"), TEST, CONVERT, PREPARE, REPORT], ids=lambda command: command[0])
def test_json_is_one_object_a_line(work: Path, command: list[str]):
    for text in (_run(work, *command, "--log_format", "json").stdout, _on_terminal(work, *command, "--log_format", "json")):
        lines = [json.loads(line) for line in text.splitlines()]
        assert lines and all(line["level"] in ("info", "notice", "warning", "figures") for line in lines)
        assert all(isinstance(line["time"], float) for line in lines)
        assert all(isinstance(line["message"], str) for line in lines if line["level"] != "figures")


def test_json_has_the_figures_of_the_log(work: Path):
    done = _run(work, *_train("figures"), "--log_format", "json")
    figures = [line for line in map(json.loads, done.stdout.splitlines()) if line.pop("level") == "figures"]
    for line in figures:
        line.pop("time")
    logged = [json.loads(line) for line in (work / "results" / "figures" / "log.jsonl").read_text().splitlines()]
    assert figures == [event for event in logged if "loss" in event or "eval_loss" in event]


def test_several_processes_speak_json_too(work: Path):
    """More of them than cores are warned about, by the process that watches over them."""
    done = _run(work, *_train("ranks"), "--num_workers", "3", "--log_format", "json")
    lines = [json.loads(line) for line in done.stdout.splitlines()]
    assert sum(line["level"] == "figures" and "loss" in line for line in lines) == 3
    asides = [json.loads(line) for line in done.stderr.splitlines()]
    cores = os.cpu_count() or 1
    assert [line["level"] for line in asides] == (["warning"] if cores < 3 else [])


def test_json_errors_have_their_parts(work: Path):
    command = [BUILD / "anneal", "train", "--hf_model_id", "./modle", "--lora_rank", "0", "--log_format", "json"]
    failed = subprocess.run(command, cwd=work, capture_output=True, text=True)
    error = json.loads(failed.stderr)
    assert failed.returncode == error["exit_code"] == 2 and error["level"] == "error"
    assert [problem["where"] for problem in error["problems"]] == ["--lora_rank", "--hf_model_id"]
    assert "did you mean ./model?" in error["problems"][1]["remedy"]
    command = [BUILD / "anneal", *SCORE[:3], "--data", "rows", "--log_format", "json", "--max_seq_length", "128"]
    failed = subprocess.run(command, cwd=work, capture_output=True, text=True)  # in the engine
    error = json.loads(failed.stderr.splitlines()[-1])
    assert (error["command"], error["exit_code"]) == ("score", failed.returncode) and error["problems"][0]["remedy"]


@pytest.mark.parametrize(("flags", "read"), [((), str), (("--log_format", "json"), json.loads)], ids=["text", "json"])
def test_an_interrupted_command_says_what_is_safe(work: Path, flags: tuple[str, ...], read):
    with subprocess.Popen([BUILD / "anneal", "tokenize", "--hf_model_id", "model", *flags], cwd=work, stdin=subprocess.PIPE,
                          stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:  # fmt: skip
        process.stdin.write("one\n" * 5000)  # more than it holds back before it writes
        process.stdin.flush()
        process.stdout.readline()
        process.send_signal(signal.SIGINT)
        _, error = process.communicate(timeout=60)
    assert process.returncode == 130 and "no half-written file is left" in str(read(error))
