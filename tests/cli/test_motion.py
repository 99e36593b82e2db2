"""`magicpose motion` as a shell meets it."""

import json

import pytest
from typer.testing import CliRunner

from magicpose_cli.body.model import Body
from magicpose_cli.body.motion_files.files import read_motion_file
from magicpose_cli.cli.app import app
from magicpose_cli.pose.clip import PeopleClip
from magicpose_cli.pose.files.read_write import write_people
from tests.body.motion import dance, seen_poses
from tests.body.skeletons import MIXAMO, bvh_text, walk


@pytest.fixture(scope="module")
def body_poses():
    """Six poses of a known body, as a camera sees it."""
    body = Body.load()
    return seen_poses(body, *dance(body, 6))


@pytest.fixture
def run(tmp_path, monkeypatch, body_poses):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "walk.bvh").write_text(bvh_text(walk(40), MIXAMO))
    (tmp_path / "a:b.bvh").write_text(bvh_text(walk(20), MIXAMO))
    write_people(tmp_path / "poses.npz", PeopleClip.of(body_poses, 30))
    write_people(tmp_path / "nobody.json", PeopleClip([[], []], 640, 480, 30))

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
        (["film.mp4"], "film.mp4 does not exist"),
        (["walk.bvh", "--blend", "film.mp4"], "found in films and poses by: magicpose motion"),
        (["film.mp4", "-o", "film.csv"], "film.mp4 does not exist"),
        (["nobody.json", "-o", "a.arkit.csv"], "no person was found in any of its 2 frames"),
        (["poses.npz", "--overlay", "a.mp4"], "poses.npz: a pose file has no pictures"),
        (["nobody.json", "-o", "a.bvh"], "no person was found in any of its 2 frames"),
        (["poses.npz", "-o", "a.bvh", "--start", "7"], "start at 7 s lies outside of poses.npz"),
        (["poses.npz", "-o", "a.bvh", "--fps", "0"], "motion.fps"),
        (["a.fbx"], "from .fbx, Blender exports"),
        (["walk.bvh", "-o", "walk.json"], "poses in a picture are not made of motion"),
        (["none.bvh"], "none.bvh: cannot be read"),
        (["walk.bvh", "-o", "walk.bvh"], "walk.bvh exists"),
        (["walk.bvh", "--start", "7"], "the motion lasts 1.333 s"),
        (["walk.bvh", "--fps", "0"], "fps: expected more than 0"),
        (["walk.bvh", "--fps", "nan"], "fps: expected more than 0"),
        (["walk.bvh", "--fps", "1e9"], "frames would be made"),
        (["walk.bvh", "--smooth", "-1"], "smooth: expected 0 to 100"),
    ],
)
def test_one_line_and_exit_1(run, arguments, said):
    result = run(*arguments)
    assert result.exit_code == 1
    assert result.stderr.startswith("error: ") and result.stderr.count("\n") == 1
    assert said in result.stderr


def test_poses_become_a_motion(run, tmp_path):
    result = run("poses.npz", "-o", "a.bvh", "--end", 0.1, "--mirror")
    assert result.exit_code == 0, result.output
    assert "reprojection error" in result.stdout and "height, standing" in result.stdout
    assert "note: the focal length is guessed (768 px)" in result.stderr
    assert result.stderr.endswith("a.bvh: 3 frames at 30 fps, 0.10 s\n")
    assert run("a.bvh", "-o", "a.glb", "-q").exit_code == 0
    found = read_motion_file(tmp_path / "a.bvh")
    assert found.names[0] == "hips" and len(found.names) == 104 and len(found) == 3


def test_poses_become_a_skin_with_vrms_bones(run, tmp_path):
    result = run("poses.npz", "-o", "a.glb", "--end", 0.1, "--json")
    assert result.exit_code == 0, result.output
    told = json.loads(result.stdout.splitlines()[-1])
    assert (told["event"], told["output"], told["frames"]) == ("result", "a.glb", 3)
    assert told["fit"]["reprojection_px"] < 5 and told["fit"]["bone_length_spread_mm"] < 0.01
    assert result.stderr == ""
    content = (tmp_path / "a.glb").read_bytes()
    size = int.from_bytes(content[12:16], "little")
    document = json.loads(content[20 : 20 + size])
    assert [len(document[part]) for part in ("meshes", "skins", "animations")] == [1, 1, 1]
    assert len(read_motion_file(tmp_path / "a.glb").names) == 54


def test_wrong_usage_is_2(run):
    for wrong in (["--person", "left"], ["--canvas", "9x9"], ["--overlay", "a.mp4"]):
        assert run("walk.bvh", *wrong).exit_code == 2
    assert run("walk.bvh", "--blend", "a:b.bvh:0").exit_code == 2
    assert run("walk.bvh", "--speed", "fast").exit_code == 2
