"""`magicpose motion` as a shell meets it."""

import json

import pytest
from typer.testing import CliRunner

from magicpose_cli.body.motion_files.files import read_motion_file
from magicpose_cli.cli.app import app
from tests.body.skeletons import MIXAMO, bvh_text, walk


@pytest.fixture
def run(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "walk.bvh").write_text(bvh_text(walk(40), MIXAMO))
    (tmp_path / "a:b.bvh").write_text(bvh_text(walk(20), MIXAMO))

    def command(*arguments):
        return CliRunner().invoke(app, ["motion", *map(str, arguments)])

    return command


def test_a_file_is_summarized_and_nothing_is_written(run, tmp_path):
    before = sorted(tmp_path.iterdir())
    result = run("walk.bvh")
    assert result.exit_code == 0, result.output
    assert "known as a person's" in result.stdout and "left foot stands" in result.stdout
    assert "note: the unit is taken for centimeters" in result.stderr
    assert result.stderr.endswith("walk.bvh: 40 frames at 30 fps, 1.33 s\n")
    assert sorted(tmp_path.iterdir()) == before


@pytest.mark.parametrize("out", ["a.glb", "a.npz", "a.bvh", "a.csv", "a.arkit.csv"])
def test_a_file_of_each_kind(run, tmp_path, out):
    result = run("walk.bvh", "-o", out, "-q")
    assert (result.exit_code, result.output) == (0, "")
    assert len(read_motion_file(tmp_path / out)) == 40


def test_all_options_together(run, tmp_path):
    result = run("walk.bvh", "-o", "b.npz", "--mirror", "--speed", 2, "--start", 0.1, "--end", 1.3,
                 "--smooth", 1, "--loop", "--fps", 60, "--blend", "a:b.bvh:0.2", "--humanoid",
                 "--plot", "b.png", "--json")  # fmt: skip
    assert result.exit_code == 0, result.output
    told = json.loads(result.stdout)
    assert (told["event"], told["input"], told["output"]) == ("result", "walk.bvh", "b.npz")
    assert told["fps"] == 60 and told["bones"] == 22 and result.stderr == ""
    assert told["frames"] == len(read_motion_file(tmp_path / "b.npz"))
    assert (tmp_path / "b.png").is_file()
    assert run("walk.bvh", "--blend", "a:b.bvh", "-q").exit_code == 0


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["film.mp4"], "a body in space is not yet found in films"),
        (["walk.bvh", "-o", "walk.json"], "poses in a picture are not made of motion"),
        (["none.bvh"], "none.bvh: cannot be read"),
        (["walk.bvh", "-o", "walk.bvh"], "walk.bvh exists"),
        (["walk.bvh", "--start", "7"], "the motion lasts 1.333 s"),
        (["walk.bvh", "--fps", "0"], "fps: expected more than 0"),
        (["walk.bvh", "--fps", "nan"], "fps: expected more than 0"),
        (["walk.bvh", "--fps", "1e9"], "frames would be made"),
        (["walk.bvh", "--smooth", "-1"], "smooth: expected 0 or more"),
    ],
)
def test_one_line_and_exit_1(run, arguments, said):
    result = run(*arguments)
    assert result.exit_code == 1
    assert result.stderr.startswith("error: ") and result.stderr.count("\n") == 1
    assert said in result.stderr


def test_wrong_usage_is_2(run):
    assert run("walk.bvh", "--blend", "a:b.bvh:0").exit_code == 2
    assert run("walk.bvh", "--speed", "fast").exit_code == 2
