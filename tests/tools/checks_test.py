"""Oracle: hand-made trees with one fault each. The gates must see it."""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[2] / "tools"))

import check_includes  # noqa: E402
import check_sizes  # noqa: E402


def make_tree(root: Path, files: dict[str, str]) -> Path:
    for name, text in files.items():
        path = root / "src" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    return root


def test_forbidden_includes_are_named(tmp_path: Path):
    root = make_tree(
        tmp_path,
        {
            "base/CMakeLists.txt": "anneal_library(base LIBRARIES fmt::fmt)",
            "base/log.h": '#include "nn/linear.h"\n',
            "nn/CMakeLists.txt": "anneal_library(nn LINKS base)  # not: train",
            "nn/linear.cpp": '#include "nn/linear.h"\n#include "base/log.h"\n#include <ATen/ops/linear.h>\n',
            "nn/loss.cpp": '\n#include "train/loss.h"\n',
            "train/CMakeLists.txt": "anneal_library(train\n  LINKS\n    base\n    nn\n  LIBRARIES data)",
            "train/loop.cpp": '#include "nn/linear.h"\n#include "data/rows.h"\n',
            "data/CMakeLists.txt": "anneal_library(data LINKS base)",
            "data/rows.h": "",
            "eval/score.cpp": "",
        },
    )
    assert [problem.split("(")[0].strip() for problem in check_includes.check(root)] == [
        "src/base/log.h:1: base may not include nn",
        "src/eval: no anneal_library",
        "src/nn/loss.cpp:2: nn may not include train",
        "src/train/loop.cpp:2: train may not include data",
    ]


def test_long_files_need_a_reason_and_have_a_limit(tmp_path: Path):
    reason = "// A table; long because it holds every case.\n"
    root = make_tree(
        tmp_path,
        {
            "a/short.cpp": "\n" * 400,
            "a/reasonless.cpp": "\n" * 401,
            "a/table.cpp": reason + "\n" * 500,
            "a/huge.cpp": reason + "\n" * 600,
            "a/generated.inc": "\n" * 9000,
        },
    )
    problems = check_sizes.check(root)
    assert [problem.split(":")[0] for problem in problems] == ["src/a/huge.cpp", "src/a/reasonless.cpp"]
