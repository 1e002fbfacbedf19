"""Writes the fields of the dataclasses in python/ray_train_sft.py and python/dataset_module.py from the program's own option
list; `--check` fails where a file differs from what it would write."""

import json
import pprint
import re
import subprocess
import sys
import textwrap
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parent.parent
TYPES = {"int": "int", "float": "float", "bool": "bool", "text": "str"}
PREFIX = "hfdc_"
# Of another dataset nothing is known; the default one is described where Config names it.
OF_THE_DATASET = {"dataset_name": "str", "dataset_config": "Optional[str] = None", "field_mapping": "Optional[dict[str, str]] = None"}  # fmt: skip
OF_THE_DRIVER = "events_fd"
REGION = re.compile(r"(    # begin: made by [^\n]*\n).*?(    # end: made by )", re.DOTALL)
WIDTH = 125


def comment(text: str) -> list[str]:
    return textwrap.wrap(text, WIDTH, initial_indent="    # ", subsequent_indent="    # ", break_on_hyphens=False)


def declaration(option: dict[str, Any]) -> str:
    kind, default = TYPES[option["type"]], option["default"]
    if default is None:
        return f"Optional[{kind}] = None"
    if isinstance(default, list):  # an option that may be given several times
        return f"list[{kind}] = field(default_factory=lambda: {json.dumps(default)})"
    return f"{kind} = {json.dumps(default) if kind == 'str' else repr(default)}"


def dataset_fields(options: list[dict[str, Any]]) -> list[str]:
    lines = []
    for option in options:
        if option["name"].startswith(PREFIX):
            name = option["name"].removeprefix(PREFIX)
            lines += [*comment(option["help"]), f"    {name}: {OF_THE_DATASET.get(name) or declaration(option)}"]
    return lines


def config_fields(options: list[dict[str, Any]]) -> list[str]:
    defaults = {option["name"].removeprefix(PREFIX): option["default"] for option in options}
    lines = ["    hf_dataset_config: HFDatasetConfig = field(", "        default_factory=lambda: HFDatasetConfig("]
    for name in OF_THE_DATASET:
        value = json.loads(defaults[name]) if name == "field_mapping" else defaults[name]
        lines.append(f"            {name}={pprint.pformat(value, sort_dicts=False).replace(chr(39), chr(34))},")
    lines += ["        )", "    )"]
    for option in options:
        if not option["name"].startswith(PREFIX) and option["name"] != OF_THE_DRIVER:
            lines += [*comment(option["help"]), f"    {option['name']}: {declaration(option)}"]
    return lines


def main() -> int:
    listed = subprocess.run([ROOT / "build/release/anneal", "docs", "--json"], stdout=subprocess.PIPE, text=True, check=True)
    options = json.loads(listed.stdout)["train"]
    is_stale = False
    for path, lines in (("ray_train_sft.py", config_fields(options)), ("dataset_module.py", dataset_fields(options))):
        file = ROOT / "python" / path
        before = file.read_text()
        after = REGION.sub(lambda found: found[1] + "".join(line + "\n" for line in lines) + found[2], before)
        if before != after and "--check" in sys.argv:
            print(f"python/{path} is out of date; run tools/make_docs", file=sys.stderr)
            is_stale = True
        elif before != after:
            file.write_text(after)
    return int(is_stale)


if __name__ == "__main__":
    sys.exit(main())
