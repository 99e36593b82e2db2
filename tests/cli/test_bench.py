"""`magicpose bench`, at a small size."""

import json

import cv2
import pytest
import torch
from typer.testing import CliRunner

from magicpose_cli.benchmarks import pose_benchmark, warp_benchmark
from magicpose_cli.cli.bench import app


@pytest.fixture
def small(monkeypatch):
    monkeypatch.setattr(pose_benchmark, "DETECTED_PICTURE_PX", 192)
    monkeypatch.setattr(pose_benchmark, "FILM_FRAMES", 6)
    monkeypatch.setattr(pose_benchmark, "MIN_S", 0.01)


@pytest.mark.slow
def test_poses_as_a_table_and_as_json(small):
    arguments = ["poses", "-n", "2", "--films", "1", "--detector", "auto"]
    table = CliRunner().invoke(app, arguments)
    assert table.exit_code == 0, table.output
    for word in ("pictures", "films", "face error (p95)", "jitter", "retarget, align", "pose maps"):
        assert word in table.output
    printed = CliRunner().invoke(app, [*arguments, "--json", "--quiet"])
    measured = json.loads(printed.stdout)
    (detector,) = measured["detectors"]
    assert measured["people"] == 2 and measured["versions"]["magicpose"]
    assert detector["name"] != "auto" and detector["lack"] == ""
    assert detector["pictures"]["people_found"] > 0 and detector["frames_per_s"] > 0
    assert abs(measured["tracking"]["lag_frames"]) < 1


def test_an_unknown_detector_is_one_line_and_exit_1():
    run = CliRunner().invoke(app, ["poses", "--detector", "nonsense"])
    assert run.exit_code == 1 and "'nonsense' is not known" in run.output


def test_no_people_are_wrong_usage():
    assert CliRunner().invoke(app, ["poses", "-n", "0"]).exit_code == 2


@pytest.mark.slow
def test_rendering_as_a_table_and_as_json(tiny_model):
    arguments = ["--model", str(tiny_model), "--compare", "exact, fast"]
    arguments += ["--frames", "2", "--repeat", "1", "--batch-size", "2", "--steps", "5"]
    table = CliRunner().invoke(app, arguments)
    assert table.exit_code == 0, table.output
    for word in (
        "exact",
        "fast",
        "matrix rate",
        "TFLOP/frame",
        "5 steps of DDIM",
        "2 steps of UniPC",
    ):
        assert word in table.output
    printed = CliRunner().invoke(app, [*arguments, "--json", "--quiet"])
    measured = json.loads(printed.stdout)
    assert [way["name"] for way in measured["ways"]] == ["exact", "fast"]
    assert measured["versions"]["torch"] and measured["width"] == 64


@pytest.mark.slow
def test_one_preset_takes_what_is_typed(tiny_model):
    arguments = ["--preset", "magicpose", "--model", str(tiny_model), "--size", "128"]
    arguments += ["--steps", "3", "--frames", "1", "--repeat", "1", "--json", "--quiet"]
    measured = json.loads(CliRunner().invoke(app, arguments).stdout)
    (way,) = measured["ways"]
    assert way["settings"]["steps"] == 3 and way["settings"]["guidance"] == 7
    assert (way["name"], measured["width"]) == ("magicpose", 128)


@pytest.mark.parametrize(
    ("arguments", "line"),
    [
        (["--compare", "exact,nonsense"], "preset 'nonsense': expected one of"),
        (["--model", "nonsense"], "model 'nonsense'"),
        (["--dtype", "nonsense"], "options: model.dtype (--dtype): 'nonsense'"),
        (["--driver", "nonsense.mp4"], "nonsense.mp4"),
        (["timeline", "none.png", "none.mp4", "--plot", "/dev/null/plot.png"], "/dev/null"),
    ],
)
def test_what_cannot_be_measured_is_one_line_and_exit_1(arguments, line, tiny_model):
    if "--model" not in arguments and "timeline" not in arguments:
        arguments = [*arguments, "--model", str(tiny_model)]
    run = CliRunner().invoke(app, arguments)
    assert run.exit_code == 1 and line in run.output, run.output
    assert len(run.output.strip().splitlines()) == 1


def test_lengths_that_are_none_are_wrong_usage():
    assert CliRunner().invoke(app, ["memory", "--frames", "10,many"]).exit_code == 2
    assert CliRunner().invoke(app, ["memory", "--frames", "0"]).exit_code == 2
    assert CliRunner().invoke(app, ["workers", "--workers", "1,many"]).exit_code == 2


@pytest.mark.skipif(torch.cuda.is_available(), reason="there is CUDA")
def test_a_gpu_that_is_not_there_is_one_line(tmp_path):
    run = CliRunner().invoke(app, ["gpu", "--out", str(tmp_path / "lent")])
    assert run.exit_code == 1 and "--rehearse" in run.output
    assert len(run.output.strip().splitlines()) == 1 and not (tmp_path / "lent").exists()


def test_a_rehearsal_without_time_says_what_is_left(tmp_path):
    arguments = ["gpu", "--rehearse", "--minutes", "0.1", "--out", str(tmp_path / "lent")]
    run = CliRunner().invoke(app, arguments)
    assert run.exit_code == 0, run.output
    assert "no time was left for operations, device, batch, exact" in run.output
    assert "the same command goes on" in run.output
    told = CliRunner().invoke(app, [*arguments, "--json", "--quiet"])
    assert json.loads(told.stdout)["parts"] == {}


@pytest.mark.slow
def test_a_timeline_of_a_run(tiny_model, media, tmp_path):
    plot = tmp_path / "timeline.png"
    preset = tmp_path / "tiny.toml"
    preset.write_text(f'[model]\nname = "{tiny_model}"\n[motion]\nend_s = 0.5\n')
    arguments = ["timeline", str(media / "ref.png"), str(media / "dance.mp4"), "--plot", str(plot)]
    run = CliRunner().invoke(app, [*arguments, "--preset", str(preset), "--json", "--quiet"])
    assert run.exit_code == 0, run.output
    measured = json.loads(run.stdout)
    assert measured["frames"] == 4 and plot.stat().st_size > 1000
    assert {"poses", "render", "encode"} <= {stage for stage, _, _ in measured["spans"]}


@pytest.mark.slow
def test_the_warp_as_a_table_and_as_json(monkeypatch):
    monkeypatch.setattr(warp_benchmark, "WARPED_PICTURE_PX", 192)
    monkeypatch.setattr(warp_benchmark, "NETWORK_PICTURE_PX", 64)
    threads = cv2.getNumThreads(), torch.get_num_threads()
    arguments = ["warp", "--repeat", "2", "--detector", "none"]
    table = CliRunner().invoke(app, arguments)
    assert table.exit_code == 0, table.output
    for word in ("192x192", "once", "each frame", "secondary motion", "fusion, trusted", "trunk"):
        assert word in table.output
    printed = CliRunner().invoke(app, [*arguments, "--json", "--quiet"])
    measured = json.loads(printed.stdout)
    assert (measured["size"], measured["repeat"], measured["face_mesh"]) == (192, 2, False)
    assert list(measured["seconds"]) == [*warp_benchmark.ONCE, *warp_benchmark.EACH]
    assert all(seconds > 0 for seconds in measured["seconds"].values())
    assert {"trunk", "head"} <= set(measured["parts"]) and measured["versions"]["torch"]
    assert (cv2.getNumThreads(), torch.get_num_threads()) == threads


def test_threads_are_given_back_after_a_failure():
    threads = cv2.getNumThreads(), torch.get_num_threads()
    with pytest.raises(ValueError, match="here"), warp_benchmark.one_thread():
        assert cv2.getNumThreads() == torch.get_num_threads() == 1
        raise ValueError("here")
    assert (cv2.getNumThreads(), torch.get_num_threads()) == threads
