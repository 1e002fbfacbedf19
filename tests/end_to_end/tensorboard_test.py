"""Oracle: log.jsonl, read beside TensorBoard's own reader: the same steps and values (in float32), under the tags of
transformers' trainer; over two starts of a run, and with the texts that its trainer writes."""

import json

import numpy
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from support.faulty_run import FaultyRun, scalars


def _expected(run: FaultyRun) -> dict[str, list[tuple[int, float]]]:
    tags: dict[str, list[tuple[int, float]]] = {}
    for event in map(json.loads, (run.run / "log.jsonl").read_text().splitlines()):
        for key, value in event.items():
            if key in ("step", "wall_time") or value is None:
                continue
            tag = f"eval/{key[5:]}" if key.startswith("eval_") else f"train/{key}"
            tags.setdefault(tag, []).append((event["step"], float(numpy.float32(value))))
    return tags


def test_scalars_are_those_of_the_log(tiny, tmp_path):
    run = FaultyRun(tmp_path / "run", tiny("llama")[0])
    for steps in ("4", "7"):
        assert run.start("--max_steps", steps).returncode == 0
        assert scalars(run.run / "logs") == _expected(run)
    assert len(list((run.run / "logs").glob("events*"))) == 2
    reader = EventAccumulator(str(run.run / "logs")).Reload()
    texts = {tag: reader.Tensors(tag)[0].tensor_proto.string_val[0].decode() for tag in reader.Tags()["tensors"]}
    assert '"lora_rank": 4' in texts["args/text_summary"]
    assert '"architectures"' in texts["model_config/text_summary"]


def test_a_folder_for_several_runs(tiny, tmp_path):
    run = FaultyRun(tmp_path / "run", tiny("llama")[0], "--logging_dir", "out/shared")
    for name in ("run", "other"):
        assert run.start("--run_name", name, "--max_steps", "2").returncode == 0
        assert run.start("--run_name", name, "--max_steps", "3").returncode == 0
    assert scalars(run.work / "out" / "shared" / "run") == _expected(run)
    assert {path.name for path in (run.work / "out" / "shared").iterdir()} == {"run", "other"}
