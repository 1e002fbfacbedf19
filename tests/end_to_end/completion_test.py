"""Oracle: the shells themselves, and `anneal docs --json`, the list of options."""

import json
import shutil
import subprocess
from pathlib import Path

import pytest

from support.program import BUILD, anneal, assert_refused

SHELLS = ("bash", "zsh", "fish")


@pytest.fixture(scope="module")
def flags() -> dict[str, list[str]]:
    options = json.loads(anneal("docs", "--json").stdout)
    return {command: [f"--{option['name']}" for option in listed] for command, listed in options.items()}


@pytest.fixture(params=SHELLS)
def shell(request: pytest.FixtureRequest) -> str:
    if shutil.which(request.param) is None:
        pytest.skip(f"{request.param} is not installed")
    return request.param


def _bash(line: str, folder: Path) -> list[str]:
    """What bash offers at the end of the line."""
    script = """source <("$1" completion bash); read -ra COMP_WORDS <<<"$2"; [ "${2: -1}" = ' ' ] && COMP_WORDS+=('')
    COMP_CWORD=$((${#COMP_WORDS[@]} - 1)); _anneal; printf '%s\\n' "${COMPREPLY[@]}" """
    done = subprocess.run(["bash", "-c", script, "bash", BUILD / "anneal", line], capture_output=True, text=True, cwd=folder)
    assert done.returncode == 0, done.stderr
    return [word for word in done.stdout.splitlines() if word]


def _fish(line: str, folder: Path) -> list[str]:
    script = f"{BUILD / 'anneal'} completion fish | source; complete -C {json.dumps(line)}"
    done = subprocess.run(["fish", "--no-config", "-c", script], capture_output=True, text=True, cwd=folder)
    assert done.returncode == 0 and not done.stderr, done.stderr
    return [word.split("\t")[0] for word in done.stdout.splitlines()]


def _zsh(line: str, folder: Path) -> list[str]:
    """It completes in an editor alone, so one runs in a terminal of its own."""
    setup = folder / "setup.zsh"
    setup.write_text(
        "PROMPT=ready:\nautoload -Uz compinit && compinit -u -D\n"
        f"source <({BUILD / 'anneal'} completion zsh)\n"
        "list() { print -rl -- '<<<' $compadd_words '>>>' }\n"
        "compadd() { [[ ${@[(I)-(O|A|D)]} -gt 0 ]] || { local -a offered; builtin compadd -O offered \"$@\";"
        " compadd_words+=($offered) }; builtin compadd \"$@\" }\n"
        "typeset -ga compadd_words\n"
        "complete-and-show() { compadd_words=(); zle complete-word; print -rl -- '<<<' $compadd_words '>>>' > $OFFERED; exit }\n"
        "zle -C complete-word complete-word _main_complete\nzle -N complete-and-show\nbindkey '^I' complete-and-show\n"
    )
    offered = folder / "offered"
    program = f"""
import os, pty, select, sys, time
child, terminal = pty.fork()
if child == 0:
    os.environ.update(TERM="dumb", OFFERED={str(offered)!r}, ZDOTDIR={str(folder)!r})
    os.chdir({str(folder)!r})
    os.execvp("zsh", ["zsh", "-f", "-i"])
def wait(text):
    seen = b""
    while text not in seen:
        assert select.select([terminal], [], [], 60)[0], seen
        seen += os.read(terminal, 4096)
os.write(terminal, b"source ./setup.zsh\\n")
wait(b"ready:")
os.write(terminal, {(line + chr(9)).encode()!r})
try:
    while os.read(terminal, 4096): pass
except OSError: pass
"""
    subprocess.run(["python3", "-c", program], check=True, timeout=120)
    return offered.read_text().split("<<<\n")[1].split(">>>")[0].split()


def _offered(shell: str, line: str, folder: Path) -> list[str]:
    return {"bash": _bash, "zsh": _zsh, "fish": _fish}[shell](line, folder)


def test_commands_are_offered(shell: str, flags: dict[str, list[str]], tmp_path: Path):
    assert set(flags) <= set(_offered(shell, "anneal ", tmp_path))


def test_every_flag_of_every_command_is_offered(flags: dict[str, list[str]], tmp_path: Path):
    for command, names in flags.items():
        assert set(_bash(f"anneal {command} --", tmp_path)) == {*names, "--config", "--print_config", "--help"}, command


def test_flags_choices_and_files(shell: str, flags: dict[str, list[str]], tmp_path: Path):
    (tmp_path / "rows.jsonl").touch()
    assert set(flags["train"]) <= set(_offered(shell, "anneal train --", tmp_path))
    choices = {"auto", "on", "off"}
    assert set(_offered(shell, "anneal train --gradient_checkpointing ", tmp_path)) == choices
    assert "rows.jsonl" in _offered(shell, "anneal score --data ro", tmp_path)
    assert set(_offered(shell, "anneal completion ", tmp_path)) >= {"bash", "zsh", "fish"}


def test_the_script_is_sound(shell: str, tmp_path: Path):
    script = tmp_path / "script"
    script.write_text(anneal("completion", shell).stdout)
    done = subprocess.run([shell, "-n", script], capture_output=True, text=True)
    assert done.returncode == 0 and not done.stderr, done.stderr


def test_bad_input():
    assert_refused(anneal("completion", check=False), 2, "no shell is given", "bash, zsh or fish")
    assert_refused(anneal("completion", "tcsh", check=False), 2, "tcsh", "bash, zsh, fish")


def test_a_misspelt_command_or_model_is_guessed(tiny, tmp_path: Path):
    assert_refused(anneal("trian", check=False), 2, 'did you mean "train"?')
    model = tmp_path / "Qwen3-0.6B"
    model.mkdir()
    done = anneal("train", "--hf_model_id", tmp_path / "Qwen-0.6B", check=False)
    assert_refused(done, 2, f"did you mean {model}?")
    assert_refused(anneal("test", "--base_model", tmp_path / "qwen3-0.6b", check=False), 2, f"did you mean {model}?")
