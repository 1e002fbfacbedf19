"""Oracle: the undisturbed run, and the contract of errors by hand: exit code, message, and what is left on disk."""

import json
import os
import shutil
from pathlib import Path

import pytest

from support.faulty_run import FaultyRun, digests
from support.program import assert_refused

OK, USAGE, MODEL = 0, 2, 4
SAME = ("tensors", "log", "scalars", "results", "pointers", "leftovers")


@pytest.fixture(scope="module")
def undisturbed(tiny, tmp_path_factory):
    run = FaultyRun(tmp_path_factory.mktemp("resume") / "run", tiny("llama")[0])
    assert run.start().returncode == OK
    return run, run.outcome(), shutil.copytree(run.work / "out", run.work / "done")


@pytest.fixture
def done(undisturbed) -> FaultyRun:
    """The run after its end."""
    run, _, finished = undisturbed
    shutil.rmtree(run.work / "out")
    shutil.copytree(finished, run.work / "out", symlinks=True)
    return run



def assert_same(run: FaultyRun, outcome: dict, but: tuple[str, ...] = ()) -> None:
    found = run.outcome()
    for name in SAME:
        if name not in but:
            assert found[name] == outcome[name], f"{name} differs"


def damage(path: Path, how: str) -> None:
    content = bytearray(path.read_bytes())
    if how == "truncated":
        path.write_bytes(content[:-7])
    else:
        content[len(content) // 2] ^= 1
        path.write_bytes(content)


def test_case_2_pointers_are_mended(done: FaultyRun, undisturbed):
    (done.run / "best").unlink()
    (done.run / "latest").write_text("checkpoint-99\n")
    assert done.start().returncode == OK
    assert_same(done, undisturbed[1])


def test_case_3_half_deleted_folders_are_swept(done: FaultyRun, undisturbed):
    shutil.copytree(done.run / "checkpoint-7", done.run / ".trash-checkpoint-4")
    shutil.copytree(done.run / "resume" / "step-7", done.run / "resume" / "step-8.tmp-12345")
    (done.run / "resume" / "step-8.tmp-12345" / "manifest.json").unlink()
    (done.run / "best.partial.777").write_text("check")
    assert done.start().returncode == OK
    assert_same(done, undisturbed[1])


@pytest.mark.parametrize("how", ["truncated", "flipped"])
@pytest.mark.parametrize("name", ["adapter_model.safetensors", "optimizer-1-of-1.safetensors", "trainer_state.json"])
def test_cases_10_and_45_a_damaged_state_is_passed_over(done: FaultyRun, undisturbed, name: str, how: str):
    newest = done.run / "resume" / "step-7"
    damage(newest / name, how)
    refused = done.start("--resume", str(newest.relative_to(done.work)), "--run_name", "other")
    assert_refused(refused, MODEL, name, "step-7")
    again = done.start()
    assert again.returncode == OK, again.stderr
    assert "step-7 is damaged and is passed over" in again.stdout and name in again.stdout
    assert "resuming from out/results/run/resume/step-6" in again.stdout
    assert_same(done, undisturbed[1])


def test_case_45_a_missing_file_is_damage(done: FaultyRun, undisturbed):
    (done.run / "resume" / "step-7" / "trainer_state.json").unlink()
    again = done.start()
    assert again.returncode == OK and "trainer_state.json" in again.stdout
    assert_same(done, undisturbed[1])


def test_case_10_where_all_states_are_damaged_nothing_is_touched(done: FaultyRun):
    for state in (done.run / "resume").iterdir():
        damage(state / "adapter_model.safetensors", "flipped")
    before = digests(done.run)
    assert_refused(done.start(), MODEL, "every state to resume from is damaged", "--new_run", "--init_adapter")
    assert digests(done.run) == before


def test_case_26_a_second_run_is_refused(done: FaultyRun):
    done.reset()
    with done.popen("--max_steps", "400") as first:
        for line in first.stdout:
            if "step 5/400" in line:
                break
        assert_refused(done.start("--max_steps", "400"), USAGE, "another run is working there", "host ", f"process {first.pid}")
        first.kill()
        first.communicate()
    assert (done.run / ".lock").read_text().endswith(f"process {first.pid}")
    taken_over = done.start()
    assert taken_over.returncode == OK, taken_over.stderr


CHANGES = {
    "lora_rank": ("--lora_rank", "8"),
    "use_dora": ("--use_dora",),
    "lora_target_modules": ("--lora_target_modules", "q_proj"),
    "learning_rate": ("--learning_rate", "2e-2"),
    "seed": ("--seed", "3"),
    "max_seq_length": ("--max_seq_length", "256"),
    "per_device_train_batch_size": ("--per_device_train_batch_size", "4"),
    "full_ft": ("--full_ft",),
}


@pytest.mark.parametrize("option", CHANGES)
def test_case_30_another_recipe_is_refused(done: FaultyRun, option: str):
    before = digests(done.run)
    data = () if option != "seed" else ("--data_dir", "out/data")
    refused = done.start(*CHANGES[option], *data)
    assert_refused(refused, USAGE, f"{option}: ", " there, ", " now", "--new_run", "--resume out/results/run/resume/step-7")
    assert digests(done.run) == before


def test_case_30_other_data_are_refused(done: FaultyRun):
    rows = (done.work / "rows.jsonl").read_text()
    (done.work / "other.jsonl").write_text(rows.replace("Say", "Tell"))
    refused = done.start("--hfdc_dataset_name", "other.jsonl", "--data_dir", "out/other")
    assert_refused(refused, USAGE, "other data", "--new_run")


def test_case_30_another_model_is_refused(done: FaultyRun, tiny):
    refused = done.start("--hf_model_id", str(tiny("qwen3")[0]))
    assert_refused(refused, USAGE, "another model", "--run_name")


def test_case_30_a_new_run_touches_nothing(done: FaultyRun):
    before = digests(done.run)
    new = done.start("--lora_rank", "8", "--new_run")
    assert new.returncode == OK and (done.run.parent / "run-2" / "best").exists(), new.stderr
    assert digests(done.run) == before
    assert_refused(done.start("--resume", "none"), USAGE, "a run lies there already", "--new_run")


def test_case_30_what_does_not_shape_the_training_may_differ(done: FaultyRun):
    more = done.start("--max_steps", "9", "--save_steps", "3", "--eval_steps", "5", "--logging_steps", "2",
                      "--per_device_train_batch_size", "4", "--gradient_accumulation_steps", "2")  # fmt: skip
    assert more.returncode == OK, more.stderr
    assert "resume/step-7" in more.stdout and (done.run / "resume" / "step-9").exists()


def test_case_30_a_named_state_may_go_on_with_another_recipe(done: FaultyRun):
    before = digests(done.run)
    on = done.start("--resume", "out/results/run/resume/step-6", "--learning_rate", "5e-3", "--run_name", "on", "--max_steps", "8")
    assert on.returncode == OK, on.stderr
    assert "changed: learning_rate: 0.01 there, 0.005 now" in on.stdout
    assert digests(done.run) == before


def test_a_checkpoint_is_a_state_too(done: FaultyRun, undisturbed):
    state = done.run / undisturbed[1]["pointers"][0].strip()
    assert (state / "optimizer-1-of-1.safetensors").exists()
    again = done.start("--resume", str(done.run / "resume" / "step-6"), "--run_name", "again")
    assert again.returncode == OK, again.stderr
    other = done.run.parent / "again"
    for name in ("adapter_model.safetensors", "optimizer-1-of-1.safetensors"):
        assert (other / "resume/step-7" / name).read_bytes() == (done.run / "resume/step-7" / name).read_bytes()


def test_case_31_a_foreign_checkpoint_is_left_alone(done: FaultyRun, undisturbed):
    for name in ("checkpoint-9000", "resume/step-9000"):
        source = done.run / ("checkpoint-7" if "check" in name else "resume/step-7")
        shutil.copytree(source, done.run / name)
        path = done.run / name / "manifest.json"
        path.write_text(json.dumps(json.loads(path.read_text()) | {"run_id": "0" * 32, "step": 9000}))
    before = digests(done.run / "checkpoint-9000") | digests(done.run / "resume/step-9000")
    again = done.start()
    assert again.returncode == OK and "belongs to another run and is passed over" in again.stdout
    assert digests(done.run / "checkpoint-9000") | digests(done.run / "resume/step-9000") == before
    for name in ("checkpoint-9000", "resume/step-9000"):
        shutil.rmtree(done.run / name)
    assert_same(done, undisturbed[1])


def test_case_32_a_run_that_is_done_changes_nothing(done: FaultyRun):
    before = digests(done.run)
    again = done.start()
    assert again.returncode == OK and "the run is done: 7 steps, max_steps" in again.stdout
    assert digests(done.run) == before


def test_case_32_short_runs(done: FaultyRun):
    for steps in ("1", "3"):
        short = done.start("--max_steps", steps, "--eval_steps", "100", "--save_steps", "0", "--run_name", f"short{steps}")
        assert short.returncode == OK, short.stderr
        run = done.run.parent / f"short{steps}"
        assert (run / "best").read_text() == f"checkpoint-{steps}\n" and (run / "resume" / f"step-{steps}").exists()
        events = [json.loads(line) for line in (run / "log.jsonl").read_text().splitlines()]
        assert [event["step"] for event in events if "eval_loss" in event] == [int(steps)]
        assert events[0]["learning_rate"] == 0.0  # the warm-up's first update


@pytest.mark.parametrize("shift", [0, 10**9])
def test_case_34_times_of_files_do_not_count(done: FaultyRun, undisturbed, shift: int):
    shutil.rmtree(done.run / "resume" / "step-7")
    for path in sorted(done.run.rglob("*"), reverse=True):
        os.utime(path, (1_700_000_000 + shift, 1_700_000_000 + shift))
    again = done.start()
    assert again.returncode == OK and "resuming from out/results/run/resume/step-6" in again.stdout
    assert_same(done, undisturbed[1])


def test_case_41_torn_logs(done: FaultyRun, undisturbed):
    shutil.rmtree(done.run / "resume" / "step-7")
    damage(done.run / "log.jsonl", "truncated")
    damage(next((done.run / "logs").glob("events*")), "truncated")
    assert done.start().returncode == OK
    assert_same(done, undisturbed[1])


def test_case_45_an_adapter_of_another_program_gives_its_weights(done: FaultyRun, tiny):
    on = done.start("--resume", str(tiny("llama")[1]), "--run_name", "foreign")
    assert on.returncode == OK, on.stderr
    assert "holds no optimizer state: its weights are taken" in on.stdout
