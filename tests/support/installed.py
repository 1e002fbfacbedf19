"""A run of an installed program, out of sight of the checkout that it was built in."""

import os
import shlex
import subprocess
from collections.abc import Iterable
from pathlib import Path

from pyarrow import Table, parquet

from support.program import ROOT

HIDDEN = ("build", "python", "src", "tools")  # .venv stays: torch is there


def can_hide() -> bool:
    return subprocess.run([*_namespace(), "true"], capture_output=True).returncode == 0


def _namespace() -> list[str]:
    return ["unshare", "--mount"] if os.geteuid() == 0 else ["unshare", "--user", "--map-root-user", "--mount"]


def run_hidden(words: Iterable[str | Path], folder: Path, **settings: str) -> subprocess.CompletedProcess[str]:
    """In a namespace of its own, where the folders of the checkout are empty. ANNEAL_ settings of ours are left out."""
    hide = " && ".join(f"mount -t tmpfs none {shlex.quote(str(ROOT / name))}" for name in HIDDEN)
    environment = {name: value for name, value in os.environ.items() if not name.startswith("ANNEAL_")} | settings
    command = [*_namespace(), "sh", "-c", f'{hide} && exec "$@"', "sh", *map(str, words)]
    return subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True)


def prepare_and_train(program: list[str | Path], model: Path, folder: Path) -> None:
    """Rows of a Parquet file become data, and two steps of training an adapter."""
    rows = [{"question": f"{n} and {n}?", "answer": f"{2 * n}."} for n in range(40)]
    parquet.write_table(Table.from_pylist(rows), folder / "rows.parquet")
    data = ("--hf_model_id", model, "--hfdc_dataset_name", "rows.parquet", "--hfdc_input_template", "{question}\\n",
            "--hfdc_output_template", "{answer}", "--offline")  # fmt: skip
    for words in (("prepare", *data, "--show", "1"), ("train", *data, "--max_steps", "2")):
        done = run_hidden([*program, *words], folder)
        assert done.returncode == 0, done.stdout + done.stderr
    (checkpoint,) = folder.glob("results/*/checkpoint-2")
    assert (checkpoint / "adapter_model.safetensors").exists()
