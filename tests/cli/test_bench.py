"""`magicpose bench`, at a small size."""

import json

import pytest
from typer.testing import CliRunner

from magicpose_cli.cli.bench import app
from magicpose_cli.evaluation import pose_benchmark


@pytest.fixture
def small(monkeypatch):
    monkeypatch.setattr(pose_benchmark, "SIZE", 192)
    monkeypatch.setattr(pose_benchmark, "FILM_FRAMES", 6)
    monkeypatch.setattr(pose_benchmark, "MIN_S", 0.01)


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
