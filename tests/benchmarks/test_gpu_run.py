"""The prepared run on a GPU: its order, its records, and what a cut leaves."""

import json
from dataclasses import replace

import pytest
import torch

from magicpose_cli.benchmarks import gpu_run
from magicpose_cli.benchmarks.gpu_parts import REHEARSAL, GpuScale, scaled_to
from magicpose_cli.benchmarks.gpu_parts import tests_part as run_test_file
from magicpose_cli.benchmarks.gpu_run import (
    RECORDS,
    TRAINING,
    GpuRun,
    PartRecord,
    check_gpu,
    default_recipe,
    open_gpu_run,
    part_names,
    run_gpu_parts,
    waiting_parts,
    write_gpu_run,
)
from magicpose_cli.benchmarks.operations import Operations
from magicpose_cli.benchmarks.render_benchmark import VariantResult
from magicpose_cli.errors import ConfigError, DeviceError, InputError, MagicPoseError
from magicpose_cli.training.recipe import load_recipe

DONE = PartRecord("done", 1.0, {})


@pytest.fixture
def run() -> GpuRun:
    return GpuRun(REHEARSAL, "cpu", "toy")


def test_the_original_is_never_first_and_the_training_last(run):
    names = part_names(run)
    measured = ["device", "batch", "exact", "fast", "naive", "compiled", "lowvram"]
    assert [name for name in names if name in measured] == measured
    assert names[-1] == TRAINING
    tests = [name for name in names if name.startswith("tests ")]
    assert "tests tests/diffusion/test_acceleration.py" in tests
    assert "tests tests/benchmarks/test_gpu_run.py" not in tests
    assert names.index("lowvram") < names.index(tests[0])


def test_new_parts_come_before_failed_ones_and_finished_ones_never(run):
    for name in part_names(run):
        run.parts[name] = DONE
    assert waiting_parts(run) == []
    run.parts["exact"] = PartRecord("failed", 1.0, None, "out of memory")
    run.parts[TRAINING] = PartRecord("unfinished", 1.0, {"complete": False})
    del run.parts["lowvram"]
    assert waiting_parts(run) == ["lowvram", "exact", TRAINING]
    assert waiting_parts(replace(run, recipe="")) == ["lowvram", "exact"]


def test_records_are_taken_up_again(run, tmp_path):
    run.parts["device"] = PartRecord("done", 2.5, {"name": "cpu"})
    write_gpu_run(run, tmp_path)
    again = open_gpu_run(tmp_path, "cpu", rehearse=True, recipe="toy")
    assert again == run and again.value("device") == {"name": "cpu"}
    assert again.value("exact") is None


def test_the_folder_of_another_run_is_refused(run, tmp_path):
    write_gpu_run(run, tmp_path)
    with pytest.raises(ConfigError, match=r"another run .*choose another folder"):
        open_gpu_run(tmp_path, "cuda")


@pytest.mark.parametrize("text", ["{", "[]", '{"scale": {}}', '{"parts": {"device": 3}}'])
def test_damaged_records_are_one_line(tmp_path, text):
    (tmp_path / RECORDS).write_text(text)
    with pytest.raises(InputError, match="remove it"):
        open_gpu_run(tmp_path, "cuda")


@pytest.mark.skipif(torch.cuda.is_available(), reason="there is CUDA")
@pytest.mark.parametrize("device", ["cuda", "cuda:1", "cpu", "cuda:x"])
def test_without_a_gpu_one_line_says_what_to_do(device):
    with pytest.raises(DeviceError, match=f"--device {device}: .* --rehearse"):
        check_gpu(device)


def test_mini_is_trained_where_it_can_begin(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert (default_recipe(), default_recipe(rehearse=True)) == ("mini-half", "toy")
    (tmp_path / load_recipe("mini").model.grow_from).mkdir(parents=True)
    assert default_recipe() == "mini"


def test_no_part_begins_when_the_time_is_over(run, tmp_path):
    assert run_gpu_parts(run, tmp_path, minutes=0.001) == part_names(run)
    assert json.loads((tmp_path / RECORDS).read_text())["parts"] == {}


def test_denoising_grows_with_the_steps_and_decoding_does_not():
    way = VariantResult(
        name="naive", settings={"steps": 5}, frames=2, batch_size=1, frames_per_s=2.0,
        seconds={"denoise": 0.4, "decode": 0.1}, reference_s=0.1, warm_up_s=0.0, peak_memory=1,
        flops=0, reference_flops=0, share=0.0, turns_s=[1.0],
    )  # fmt: skip
    scaled = scaled_to(way, 50, Operations(82, 7), matrix_rate=100.0)
    assert scaled.seconds == {"denoise": 4.0, "decode": 0.1}
    assert scaled.frames_per_s == pytest.approx(1 / 4.1)
    assert scaled.share == pytest.approx(82 / 4.1 / 100)
    assert scaled.settings["steps"] == 50 and "5 steps and scaled to 50" in scaled.notes[0]


def test_the_full_size_is_the_released_models():
    assert (GpuScale().networks, GpuScale().size_px, GpuScale().steps) == ("magicpose", 512, 50)
    assert GpuScale().dtype == "bfloat16"


@pytest.mark.slow
def test_the_tests_of_a_file_are_counted_and_a_failure_is_named(tmp_path):
    mark = "gpu"  # apart, or this file would count as one with such tests
    good = f"import pytest\npytestmark = pytest.mark.{mark}\n"
    good += "def test_one(record_property): record_property('peak_bytes', 7)\n"
    good += "@pytest.mark.skip\ndef test_two(): pass\n"
    (tmp_path / "test_good.py").write_text(good)
    (tmp_path / "test_bad.py").write_text(f"{good}def test_three(): assert 1 == 2\n")
    told = run_test_file("test_good.py", str(tmp_path))
    assert told == {"passed": 1, "skipped": 1, "properties": {"test_one peak_bytes": "7"}}
    with pytest.raises(MagicPoseError, match=r"1 of 3 tests failed: test_three .*assert 1 == 2"):
        run_test_file("test_bad.py", str(tmp_path))


@pytest.mark.slow
def test_a_run_that_was_cut_goes_on_and_a_failed_part_loses_no_other(run, tmp_path, monkeypatch):
    monkeypatch.setitem(gpu_run._LIMITS_S, "fast", 0.1)
    told = []
    only = ("fast", "lowvram")
    left = run_gpu_parts(run, tmp_path, 10, only, lambda name, record: told.append(name))
    assert told == list(only) and left == []
    again = open_gpu_run(tmp_path, "cpu", rehearse=True, recipe="toy")
    statuses = {name: record.status for name, record in again.parts.items()}
    assert statuses == {"fast": "failed", "lowvram": "done"}
    assert "limit of 0 s" in again.parts["fast"].reason
    (lowvram,) = again.value("lowvram")["ways"]
    assert lowvram["flops"] > 0 and lowvram["settings"]["steps"] == REHEARSAL.steps
    monkeypatch.setitem(gpu_run._LIMITS_S, "fast", 120.0)
    run_gpu_parts(again, tmp_path, 10, only, lambda name, record: told.append(name))
    assert told == [*only, "fast"] and again.parts["fast"].status == "done"
