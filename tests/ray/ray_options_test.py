"""Oracle: the contract of the driver's options, of the dataclasses and of what a cluster has room for, by hand."""

import dataclasses
import hashlib
import importlib
import json
import sys
from pathlib import Path

import pytest

from anneal_ray.cluster import Share, choose_share
from anneal_ray.failure import PEERS, RESOURCES, DriverError, WorkerFailed, exit_code, root_cause
from anneal_ray.job import Job
from anneal_ray.options import RayOptions, edited_options, take_ray_options
from anneal_ray.state_pointer import describe_pointers, write_pointer
from anneal_ray.worker import require_shared_folder
from support.program import ROOT, anneal


@pytest.fixture
def config():
    return importlib.import_module("ray_train_sft").Config()


@pytest.fixture(scope="module")
def defaults() -> dict:
    return {option["name"]: option["default"] for option in json.loads(anneal("docs", "--json").stdout)["train"]}


def test_the_drivers_own_options_are_taken_out():
    options, rest = take_ray_options(
        ["--seed", "3", "--num-workers=4", "--full_ft", "--placement_strategy", "spread", "--hfdc_split=--num_workers", "--lr", "-1"]
    )
    assert options == RayOptions(num_workers=4, placement_strategy="SPREAD")
    assert rest == ["--seed", "3", "--full_ft", "--hfdc_split=--num_workers", "--lr", "-1"]


@pytest.mark.parametrize("arguments", [["--num_workers"], ["--num_workers", "0"], ["--num_workers=two"], ["--placement_strategy=ANY"]])
def test_wrong_values_name_the_flag(arguments):
    with pytest.raises(DriverError, match=arguments[0].split("=")[0]):
        take_ray_options(arguments)


def test_every_option_is_documented():
    page = (ROOT / "docs" / "ray.md").read_text()
    assert [option.name for option in dataclasses.fields(RayOptions) if f"`--{option.name}`" not in page] == []


def test_every_option_of_the_program_is_a_field(config, defaults):
    names = {option.name for option in dataclasses.fields(config)} | {
        f"hfdc_{option.name}" for option in dataclasses.fields(config.hf_dataset_config)
    }
    assert names - {"hf_dataset_config"} == defaults.keys() - {"events_fd"}


def test_nothing_is_edited_as_it_comes(config, defaults):
    assert edited_options(config, defaults, []) == {}


def test_edited_defaults(config, defaults):
    config.learning_rate, config.run_name, config.hf_dataset_config.num_proc = 1e-3, "mine", 2
    assert edited_options(config, defaults, []) == {"learning_rate": 1e-3, "run_name": "mine", "hfdc_num_proc": 2}


def test_another_dataset_is_described_as_a_whole(config, defaults):
    config.hf_dataset_config = type(config.hf_dataset_config)(dataset_name="my/rows", input_template="{a}\\n")
    edited = edited_options(config, defaults, [])
    assert edited["hfdc_dataset_name"] == "my/rows" and edited["hfdc_input_template"] == "{a}\\n"
    assert edited["hfdc_dataset_config"] == "" and edited["hfdc_field_mapping"] == "{}" and edited["hfdc_split"] == "train"
    of_another = edited_options(config, defaults, ["--hfdc-dataset-name=other"])
    assert edited.keys() - of_another.keys() == {"hfdc_dataset_config", "hfdc_field_mapping"}


def test_a_field_that_is_no_option_reaches_the_program(config, defaults):
    config.__class__ = dataclasses.make_dataclass("Config", [("lerning_rate", float, 1.0)], bases=(type(config),))
    config.lerning_rate = 1.0
    assert edited_options(config, defaults, []) == {"lerning_rate": 1.0}


# nodes, workers and CPUs asked for, device -> workers, CPUs, GPU
SHARES = [
    ([{"CPU": 8}], None, None, "auto", Share(1, 8, False)),
    ([{"CPU": 8}], 3, None, "auto", Share(3, 2, False)),
    ([{"CPU": 8}, {"CPU": 3}], 3, None, "cpu", Share(3, 3, False)),
    ([{"CPU": 8, "GPU": 4}, {"CPU": 8, "GPU": 4}], None, None, "auto", Share(8, 1, True)),
    ([{"CPU": 8, "GPU": 4}], 2, 3, "cuda", Share(2, 3, True)),
    ([{"CPU": 8, "GPU": 4}], None, 8, "cpu", Share(1, 8, False)),
]


@pytest.mark.parametrize("nodes, workers, cpus, device, share", SHARES)
def test_what_a_run_takes_of_the_cluster(nodes, workers, cpus, device, share):
    assert choose_share(nodes, workers, cpus, device) == share


@pytest.mark.parametrize(
    "nodes, workers, cpus, device, texts",
    [
        ([{"CPU": 2}], 3, None, "auto", ("3 workers with 1 CPU each", "2 CPUs", "room for 2 workers")),
        ([{"CPU": 2}, {"CPU": 3}], 2, 3, "auto", ("2 workers with 3 CPUs each", "5 CPUs", "room for 1 worker\n")),
        ([{"CPU": 8}], None, None, "cuda", ("1 worker with 1 CPU and 1 GPU", "8 CPUs and 0 GPUs", "room for 0 workers")),
        ([{"CPU": 1, "GPU": 8}], 8, None, "auto", ("8 workers with 1 CPU and 1 GPU each", "1 CPU and 8 GPUs", "room for 1 worker\n")),
    ],
)
def test_more_than_there_is_is_refused_with_both_numbers(nodes, workers, cpus, device, texts):
    with pytest.raises(DriverError) as refused:
        choose_share(nodes, workers, cpus, device)
    assert refused.value.code == RESOURCES and "try:" in str(refused.value)
    for text in texts:
        assert text in str(refused.value)


@pytest.fixture
def saved(tmp_path: Path) -> Path:
    (tmp_path / "run" / "step-4").mkdir(parents=True)
    (tmp_path / "run" / "step-4" / "manifest.json").write_text('{"step": 4}')
    return tmp_path / "run" / "step-4"


def test_pointers_hold_the_hash_of_the_manifest(saved: Path, tmp_path: Path):
    assert write_pointer(saved, 0, tmp_path) and write_pointer(saved, 1, tmp_path)
    expected = {"path": str(saved), "manifest_sha256": hashlib.sha256(b'{"step": 4}').hexdigest()}
    assert json.loads((tmp_path / "rank-1.json").read_text()) == expected
    assert describe_pointers(tmp_path) == f"Ray's checkpoint is {saved}"


def test_pointers_to_what_has_changed(saved: Path, tmp_path: Path):
    write_pointer(saved, 0, tmp_path)
    (saved / "manifest.json").write_text('{"step": 5}')
    assert "is another one now" in describe_pointers(tmp_path)
    write_pointer(saved, 1, tmp_path)
    assert "different states on different ranks" in describe_pointers(tmp_path)
    (tmp_path / "rank-1.json").unlink()
    (saved / "manifest.json").unlink()
    assert "is not there any more" in describe_pointers(tmp_path)
    assert not write_pointer(saved, 0, tmp_path)


def make_job(folder: Path, working_folder: Path) -> Job:
    return Job("anneal", (), str(working_folder), folder, "right", "launch", {}, 1, False, None, None, 0)


def test_a_folder_that_is_not_shared_is_told(tmp_path: Path):
    job = make_job(tmp_path, tmp_path)
    with pytest.raises(WorkerFailed, match="No such file or directory") as failed:
        require_shared_folder(job, 1, timeout=0)
    assert failed.value.code == PEERS and "--results_dir" in str(failed.value)
    job.token_file.write_text("wrong")
    with pytest.raises(WorkerFailed, match="another run's token"):
        require_shared_folder(job, 1, timeout=0)
    job.token_file.write_text("right")
    require_shared_folder(job, 1, timeout=0)
    with pytest.raises(WorkerFailed, match="does not have the driver's folder"):
        require_shared_folder(make_job(tmp_path, tmp_path / "away"), 1, timeout=0)


def test_who_lost_its_peers_is_not_the_cause():
    peers, own = WorkerFailed(0, "a", PEERS, "lost"), WorkerFailed(1, "b", 3, "failed")
    assert root_cause([peers, own]) is own and root_cause([peers]) is peers
    assert root_cause([RuntimeError("of Ray"), peers]) is peers
    assert [exit_code(code) for code in (0, 3, -9, -15)] == [0, 3, 137, 143]
