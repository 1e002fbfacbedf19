"""Oracles: log.jsonl and the run's other files, read by Python; what a browser makes of the page."""

import json
import math
import shutil
from pathlib import Path
from typing import Any

import pytest

from support.browser import CHROMIUM, Browser
from support.program import anneal, assert_refused, write_rows

USAGE, MODEL = 2, 4
STEPS = 12
HOSTILE = "</script><script>window.hacked = 1</script><img src=x onerror='window.hacked = 2'>"
CURVES = ("loss", "eval_loss", "learning_rate", "grad_norm", "tokens_per_second", "memory_gb", "limit_share")


@pytest.fixture(scope="module")
def made(tiny, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two runs that were trained, the first of them tested."""
    root, model = tmp_path_factory.mktemp("report"), tiny("llama")[0]
    rows = [{"input": f"Say {n}.\n", "output": f"The number {n}." + " more" * (n % 4)} for n in range(24)]
    write_rows(root / "data" / "training.jsonl", [*rows, {"input": "many words " * 200, "output": "x"}])
    write_rows(root / "data" / "validation.jsonl", rows[:6])
    write_rows(root / "data" / "test.jsonl", rows[6:12])
    for name, rate in (("one", "1e-3"), ("two", "1e-2")):
        anneal("train", "--hf_model_id", model, "--data_dir", root / "data", "--results_dir", root, "--run_name", name,
               "--max_steps", STEPS, "--eval_steps", 4, "--logging_steps", 1, "--learning_rate", rate, "--lora_rank", 4,
               "--max_seq_length", 64)  # fmt: skip
    anneal("test", "--base_model", model, "--checkpoints_dir", root / "one", "--test_path", root / "data", "--max_tokens", 8,
           "--no_bertscore", "--dtype", "float32")  # fmt: skip
    return root


@pytest.fixture
def root(made: Path, tmp_path: Path) -> Path:
    """A copy that a test may damage."""
    return shutil.copytree(made, tmp_path / "copy", symlinks=True)


@pytest.fixture(scope="module")
def browser():
    if CHROMIUM is None:
        pytest.skip("chromium is not installed: apt-get install chromium")
    with Browser() as opened:
        yield opened


def _events(run: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in (run / "log.jsonl").read_text().splitlines()]


def _points(run: Path, key: str) -> list[list[float]]:
    return [[event["step"], event[key]] for event in _events(run) if key in event]


# Of a chart: the points of its data, and those of its curves turned back from pixels into values.
READ_CHART = """
(() => {
  const figure = document.getElementById("chart-KEY");
  if (!figure) return null;
  const data = JSON.parse(figure.querySelector("script").textContent);
  const back = (axis, at) => {
    const share = (at - axis.from) / (axis.to - axis.from);
    return axis.log ? axis.low * (axis.high / axis.low) ** share : axis.low + share * (axis.high - axis.low);
  };
  const curves = [...figure.querySelectorAll(".series")].map((group) =>
    [...group.querySelectorAll("polyline")].flatMap((line) =>
      [...line.points].map(({ x, y }) => [back(data.x, x), back(data.y, y)])));
  return { series: data.series, curves, x: data.x, y: data.y };
})()
"""


def _assert_chart_holds(browser: Browser, key: str, runs: list[Path]) -> None:
    chart = browser.evaluate(READ_CHART.replace("KEY", key))
    wanted = {run.name: _points(run, key) for run in runs}
    assert {series["name"]: series["points"] for series in chart["series"]} == wanted, key
    height = abs(math.log(chart["y"]["high"] / chart["y"]["low"]) if chart["y"]["log"] else chart["y"]["high"] - chart["y"]["low"])
    for curve, series in zip(chart["curves"], chart["series"], strict=True):
        assert len(curve) == len(series["points"]) > 1, key
        for (x, y), (step, value) in zip(curve, series["points"], strict=True):
            assert x == pytest.approx(step, abs=0.001 * STEPS)
            assert (math.log(y / value) if chart["y"]["log"] else y - value) == pytest.approx(0, abs=height / 10000), key


def _texts(browser: Browser, selector: str) -> list[str]:
    return browser.evaluate(f"[...document.querySelectorAll({json.dumps(selector)})].map((e) => e.textContent)")


def _open(browser: Browser, page: Path, **options: Any) -> None:
    browser.errors.clear()
    browser.requests.clear()
    browser.open(page, **options)


def test_charts_hold_what_was_logged(root: Path, browser: Browser):
    run = root / "one"
    assert "report.html" in anneal("report", run).stdout
    _open(browser, run / "report.html")
    for key in CURVES:
        _assert_chart_holds(browser, key, [run])
    assert browser.errors == []
    assert set(browser.requests) == {(run / "report.html").as_uri()}, "the page asks for nothing"


def test_runs_beside_each_other(root: Path, browser: Browser):
    page = root / "both.html"
    anneal("report", root / "one", root / "two", "--output", page)
    _open(browser, page)
    for key in CURVES:
        _assert_chart_holds(browser, key, [root / "one", root / "two"])
    differ = _texts(browser, "#options > div:first-of-type tr")
    assert [row for row in differ if row.startswith("learning_rate")] == ["learning_rate0.0010.01"]
    assert not [row for row in differ if row.startswith("lora_rank")]
    assert any(row.startswith("lora_rank") for row in _texts(browser, "#options details tr"))
    assert browser.errors == []


def test_the_pointer_shows_the_values_of_a_step(root: Path, browser: Browser):
    run = root / "one"
    anneal("report", run)
    _open(browser, run / "report.html")
    corner = browser.evaluate("(({left, top, width, height}) => [left, top, width, height])"
                              "(document.querySelector('#chart-loss svg').getBoundingClientRect())")  # fmt: skip
    share = (46 + (406 - 46) * 4 / (STEPS - 1)) / 420  # step 5
    browser.move_pointer(corner[0] + corner[2] * share, corner[1] + corner[3] / 2)
    (tip,) = _texts(browser, ".tip")
    step, value = tip.split("\n")
    assert step == "step 5"
    assert float(value) == pytest.approx(dict(_points(run, "loss"))[5], rel=1e-4)
    assert browser.errors == []


def test_figures_of_the_data(root: Path, browser: Browser):
    """Oracle: samples.json of the run, whose figures tests/data holds against those by hand, and the rows made above."""
    run = root / "one"
    anneal("report", run)
    _open(browser, run / "report.html")
    samples = json.loads((run / "samples.json").read_text())["training"]
    assert samples["rows"] == 25 and samples["samples"] == 24 and samples["dropped"] == {"long_prompt": 1}
    table = "\n".join(_texts(browser, "#data tr"))
    share = 100 * samples["trained_tokens"] / samples["tokens"]
    assert f"{samples['trained_tokens']} ({share:.1f} %)" in table and "1 long_prompt" in table
    bars = json.loads(browser.evaluate("document.querySelector('#chart-lengths-0 script').textContent"))["bars"]
    assert [sum(bar["counts"]) for bar in bars] == [24, 24]
    drawn = sum(1 for bar in bars for count in bar["counts"] if count)
    assert len(_texts(browser, "#chart-lengths-0 rect")) == drawn


def test_predictions_with_their_scores(root: Path, browser: Browser):
    """Oracles: metrics.json, and rouge_score by row."""
    from rouge_score.rouge_scorer import RougeScorer

    run = root / "one"
    (folder,) = (run / "eval").iterdir()
    rows = [json.loads(line) for line in (folder / "predictions.jsonl").read_text().splitlines()]
    metrics = json.loads((folder / "metrics.json").read_text())
    anneal("report", run)
    _open(browser, run / "report.html")
    ending = "_stripped" if metrics["header"] else ""
    scores = _texts(browser, "#predictions td")
    assert scores[1:5] == ["6", *(f"{metrics[key + ending]:.4f}" for key in ("exact_match", "rougeL", "token_f1"))]
    texts = _texts(browser, "#predictions article dd")
    assert texts[:3] == [rows[0][key] for key in ("input", "label", "prediction")]
    strip = lambda text: text.removeprefix(metrics["header"])  # noqa: E731
    rouge = RougeScorer(["rougeL"], use_stemmer=False).score(strip(rows[0]["label"]), strip(rows[0]["prediction"]))["rougeL"]
    assert f"ROUGE-L {rouge.fmeasure:.2f}" in _texts(browser, "#predictions article h4")[0]


@pytest.mark.parametrize("dark", [False, True], ids=["light", "dark"])
@pytest.mark.parametrize("width", [360, 1280])
def test_readable_on_a_phone_and_in_the_dark(root: Path, browser: Browser, width: int, dark: bool):
    """Oracle: WCAG 2's contrast of 4.5 for text; nothing is wider than the screen."""
    anneal("report", root / "one")
    _open(browser, root / "one" / "report.html", width=width, dark=dark)
    assert browser.evaluate("document.documentElement.scrollWidth") <= width
    colors = browser.evaluate("['body', '.tiles dt', '.tiles div'].map((s) => getComputedStyle(document.querySelector(s)))"
                              ".map((s) => [s.color, s.backgroundColor])")  # fmt: skip
    card = colors[2][1]
    assert _contrast(colors[0][0], colors[0][1]) > 4.5 and _contrast(colors[1][0], card) > 4.5
    assert (_luminance(colors[0][1]) < 0.1) == dark
    curve = browser.evaluate("getComputedStyle(document.querySelector('.series polyline')).stroke")
    assert _contrast(curve, card) > 3


def _luminance(color: str) -> float:
    parts = [int(part) / 255 for part in color[color.index("(") + 1 : -1].split(",")[:3]]
    linear = [part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4 for part in parts]
    return sum(weight * part for weight, part in zip((0.2126, 0.7152, 0.0722), linear, strict=True))


def _contrast(a: str, b: str) -> float:
    high, low = sorted((_luminance(a), _luminance(b)), reverse=True)
    return (high + 0.05) / (low + 0.05)


def test_hostile_texts_stay_texts(root: Path, browser: Browser):
    """Whatever a model writes, or a run is called, is shown and not run."""
    run = root / "one"
    (folder,) = (run / "eval").iterdir()
    row = {"index": 0, "input": HOSTILE, "label": HOSTILE, "prediction": HOSTILE, "finish_reason": HOSTILE}
    write_rows(folder / "predictions.jsonl", [row])
    record = json.loads((run / "run_config.json").read_text())
    record["options"]["eos_token"] = HOSTILE
    (run / "run_config.json").write_text(json.dumps(record))
    named = run.rename(root / "<b onclick=x>run's \"name\"<")
    anneal("report", named)
    _open(browser, named / "report.html")
    assert browser.evaluate("window.hacked") is None and browser.errors == []
    assert HOSTILE in _texts(browser, "#predictions article dd")
    assert _texts(browser, "h1") == [named.name]
    assert HOSTILE in "".join(_texts(browser, "#options td"))


def test_a_damaged_log_is_shown_as_far_as_it_goes(root: Path, browser: Browser):
    run = root / "one"
    lines = (run / "log.jsonl").read_text().splitlines(keepends=True)
    whole = len(_points(run, "loss"))
    (run / "log.jsonl").write_text("".join([*lines[:3], "{damaged\n", '{"no": "step"}\n', *lines[3:], '{"step": 99, "lo']))
    done = anneal("report", run)
    assert "lines 4, 5 cannot be read" in done.stdout
    _open(browser, run / "report.html")
    assert any("lines 4, 5 cannot be read" in note for note in _texts(browser, ".notes li"))
    assert len(browser.evaluate(READ_CHART.replace("KEY", "loss"))["series"][0]["points"]) == whole


def test_a_loss_that_is_not_finite_is_a_gap(root: Path, browser: Browser):
    run = root / "one"
    events = _events(run)
    next(event for event in events if event.get("step") == 6)["loss"] = None
    (run / "log.jsonl").write_text("".join(json.dumps(event) + "\n" for event in events))
    anneal("report", run)
    _open(browser, run / "report.html")
    chart = browser.evaluate(READ_CHART.replace("KEY", "loss"))
    assert [6, None] in chart["series"][0]["points"] and len(chart["curves"][0]) == STEPS - 1
    assert browser.errors == []


def test_a_run_without_its_other_files(root: Path):
    """Of an older version, or just begun: the page says what is missing."""
    run = root / "one"
    for name in ("samples.json", "all_results.json", "train_results.json"):
        (run / name).unlink()
    shutil.rmtree(run / "eval")
    (run / "log.jsonl").rename(run / "kept.jsonl")
    assert "the figures are those of" in anneal("report", run).stdout
    assert "not finished" in (run / "report.html").read_text()
    for state in run.rglob("trainer_state.json"):
        state.unlink()
    assert "Nothing is logged yet" in anneal("report", run).stdout


def test_a_run_that_goes_on_says_so(root: Path):
    import fcntl

    run = root / "one"
    with (run / ".lock").open("r+") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        anneal("report", run)
        assert "going on" in (run / "report.html").read_text()
    anneal("report", run)
    assert "going on" not in (run / "report.html").read_text()


def test_foreign_files_are_not_overwritten(root: Path, tmp_path: Path):
    page = tmp_path / "page.html"
    page.write_text("<html>mine</html>")
    assert_refused(anneal("report", root / "one", "--output", page, check=False), USAGE, str(page), "--output")
    assert page.read_text() == "<html>mine</html>"
    page.unlink()
    for _ in range(2):  # a page of its own is replaced
        anneal("report", root / "one", "--output", page)
    assert_refused(anneal("report", root / "one", "--output", root, check=False), USAGE, str(root))
    nowhere = tmp_path / "no" / "page.html"
    assert_refused(anneal("report", root / "one", "--output", nowhere, check=False), USAGE, str(nowhere.parent))


def test_bad_input(root: Path):
    assert_refused(anneal("report", check=False), USAGE, "no run is given")
    assert_refused(anneal("report", root / "onw", check=False), USAGE, str(root / "onw"), f"did you mean {root / 'one'}?")
    assert_refused(anneal("report", root, check=False), USAGE, "run_config.json", str(root / "one"), str(root / "two"))
    (root / "one" / "run_config.json").write_text("{damaged")
    assert_refused(anneal("report", root / "one", check=False), MODEL, "run_config.json")
    (root / "one" / "run_config.json").write_text('{"options": 3}')
    assert_refused(anneal("report", root / "one", check=False), MODEL, "run_config.json")
    assert not (root / "one" / "report.html").exists()
