"""`magicpose poses` as a shell meets it."""

import json

import numpy as np
import pytest
from typer.testing import CliRunner

from magicpose_cli.cli.app import app
from magicpose_cli.pose.clip import PeopleClip
from magicpose_cli.pose.files.read_write import read_clip, write_clip, write_people
from magicpose_cli.pose.keypoints import Pose
from magicpose_cli.video import probe


@pytest.fixture
def run(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)

    def command(*arguments):
        return CliRunner().invoke(app, ["poses", *map(str, arguments)])

    return command


@pytest.fixture
def saved(people, tmp_path):
    """Two files of the same eight poses."""
    write_clip(tmp_path / "dance.json", people.poses(), 8)
    write_clip(tmp_path / "ref.json", people.poses()[:1], None)
    return tmp_path


def last(result):
    """The last event: what the command was asked for."""
    return json.loads(result.stdout.splitlines()[-1])


@pytest.mark.slow
def test_a_film_end_to_end(shell, media, tmp_path):
    options = ["--end", 0.5, "--plot", "p.png", "--overlay", "o.mp4"]
    run = shell("poses", media / "dance.mp4", *options, cwd=tmp_path)
    assert run.returncode == 0, run.stderr
    assert sorted(p.name for p in tmp_path.iterdir()) == ["dance.poses.json", "o.mp4", "p.png"]
    last = run.stderr.splitlines()[-1]
    assert last == "dance.poses.json: 4 frames at 8 fps of 256x256, a person found in 4"
    rows = {line.split("  ")[0].strip(): line.split() for line in run.stdout.splitlines()}
    assert rows["person"][1:3] == ["100.0", "%"]
    assert {"body", "face", "left hand", "right hand"} <= rows.keys()


def test_a_file_is_summarized_and_nothing_is_written(run, saved):
    before = sorted(saved.iterdir())
    result = run("dance.json")
    assert result.exit_code == 0, result.output
    assert "right hand" in result.stdout
    assert "dance.json: 8 frames at 8 fps of 256x256, a person found in 8" in result.stderr
    assert sorted(saved.iterdir()) == before


def test_json_alone_on_stdout(run, saved):
    result = run("dance.json", "--json", "-o", "b.npz")
    told = last(result)
    assert (told["event"], told["input"], told["output"], told["frames"]) == (
        "result",
        "dance.json",
        "b.npz",
        8,
    )
    assert told["tracked"] is None and told["retargeted"] is None and told["notes"] == []
    assert set(told["parts"]) == {"body", "face", "left_hand", "right_hand"}
    assert result.stderr == ""


def test_quiet_says_nothing(run, saved):
    result = run("dance.json", "-o", "b.npz", "-q")
    assert (result.exit_code, result.output) == (0, "") and (saved / "b.npz").exists()


@pytest.mark.parametrize("target", ["b.npz", "b.npy", "b.dwpose.npz", "b", "b.json"])
def test_formats_are_told_by_the_name(run, saved, target):
    assert run("dance.json", "-o", target).exit_code == 0
    one, other = (read_clip(saved / n, canvas=(256, 256)) for n in ("dance.json", target))
    assert all(a.equals(b) for a, b in zip(one.largest, other.largest, strict=True))


def test_retargeting_alone(run, saved):
    result = run("dance.json", "--retarget-to", "ref.json", "--retarget", "align", "-o", "m.json",
                 "--anchor", "0", "--json")  # fmt: skip
    assert result.exit_code == 0, result.output
    told = last(result)["retargeted"]
    assert (told["mode"], told["anchor"]) == ("align", 0)
    one, other = (read_clip(saved / n).largest for n in ("dance.json", "m.json"))
    assert np.nanmax(abs(one[3].body - other[3].body)) < 1  # onto oneself


def test_following_is_asked_for_by_its_options(run, saved, people):
    rng = np.random.default_rng(0)
    noisy = [p.map_points(lambda xy: xy + rng.normal(0, 2, xy.shape), 256, 256)
             for p in people.poses()[:1] * 24]  # fmt: skip
    write_clip(saved / "noisy.json", noisy, 24)

    def tracked(*options):
        return last(run("noisy.json", *options, "--json"))["tracked"]

    assert tracked() is None and tracked("--raw") is None
    told = tracked("--track")
    assert told["jitter_after"] < 0.5 * told["jitter_before"]
    for option in (["--max-gap", "1"], ["--person", "left"]):  # what is in a file is meant so
        told = tracked(*option)
        assert told["jitter_after"] == told["jitter_before"]
    told = tracked("--smooth", "1")
    assert told["jitter_after"] < 0.5 * told["jitter_before"]


def test_notes_go_to_stderr(run, tmp_path):
    points = np.random.default_rng(0).uniform(50, 300, (3, 133, 2))
    np.savez(tmp_path / "a.npz", keypoints=points, scores=np.ones((3, 133)))
    result = run("a.npz")
    assert result.exit_code == 0
    assert "note: a.npz: the canvas is not told" in result.stderr
    assert "note" not in run("a.npz", "--canvas", "640x480").output


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (["none.mp4"], "none.mp4 does not exist"),
        (["none.npz"], "none.npz: cannot be read"),
        (["a.pkl"], "a.pkl: is a pickle"),
        (["broken.json"], "broken.json: is not JSON"),
        (["dance.json", "-o", "dance.json"], "dance.json exists; choose another name"),
        (["dance.json", "-o", "out.csv"], ".csv is no kind of pose file"),
        (["dance.json", "-o", "dance.json/where.npz"], "dance.json is not a folder"),
        (["dance.json", "--overlay", "o.mp4"], "leave out --overlay"),
        (["dance.json", "--person", "somebody"], "motion.person"),
        (["dance.json", "--person", "4"], "person"),
        (["dance.json", "--smooth", "9"], "motion.smooth"),
        (["dance.json", "--start", "60"], "start at 60 s"),
        (["dance.json", "--retarget-to", "ref.json", "--retarget", "magic"], "motion.retarget"),
        (["dance.json", "--retarget-to", "none.png"], "none.png does not exist"),
        (["dance.json", "--plot", "p.pdf"], "p.pdf: a plot is written as .png"),
        (["dance.json", "-o", "m.json", "--maps", "depth"], "choose .mp4, .mov, .webm or a folder"),
        (["dance.json", "-o", "m.png"], "choose .mp4, .mov, .webm or a folder"),
        (["dance.json", "--for", "wan-animate", "--ref", "ref.json", "-o", "w"], "expected a film"),
    ],
)
def test_bad_input_is_one_line_and_exit_1(run, saved, options, said):
    (saved / "a.pkl").touch()
    (saved / "broken.json").write_text("{")
    before = {p: p.stat().st_mtime_ns for p in saved.iterdir()}
    result = run(*options)
    assert result.exit_code == 1 and said in result.stderr
    assert result.stderr.startswith("error: ") and result.stderr.count("\n") == 1
    assert {p: p.stat().st_mtime_ns for p in saved.iterdir()} == before


@pytest.mark.parametrize(
    "options",
    [
        ["--raw", "--person", "left"],
        ["--retarget", "align"],
        ["--head", "0"],
        ["-o", "m.mp4", "--maps", "heat"],
        ["-o", "m.mp4", "--maps", "depth,heat"],
        ["-o", "m.mp4", "--maps", ""],
        ["--maps", "depth"],
        ["-o", "m.mp4", "--maps", "depth", "--raw"],
        ["-o", "m.mp4", "--raw"],
        ["-o", "w", "--ref", "ref.json", "--for", "magic"],
        ["-o", "w", "--for", "wan-animate"],
        ["--ref", "ref.json", "--for", "wan-animate"],
        ["-o", "w", "--ref", "ref.json", "--for", "wan-animate", "--maps", "depth"],
        ["-o", "w", "--ref", "ref.json", "--for", "wan-animate", "--area", "1280"],
        ["--area", "1280x720"],
    ],
)
def test_wrong_usage_is_exit_2(run, saved, options):
    before = sorted(saved.iterdir())
    assert run("dance.json", *options).exit_code == 2
    assert sorted(saved.iterdir()) == before


def test_an_unknown_map_is_told_with_those_there_are(run, saved):
    said = " ".join(run("dance.json", "-o", "m.mp4", "--maps", "heat").stderr.split())
    assert "there is no map heat" in said and "silhouette" in said


@pytest.mark.slow
def test_maps_are_films_beside_the_output(run, saved):
    result = run("dance.json", "-o", "m.mp4", "--maps", "parts, depth", "--json", "--end", "0.25")
    assert result.exit_code == 0, result.output
    told = last(result)
    assert told["files"] == {"pose": "m.mp4", "parts": "m_parts.mp4", "depth": "m_depth.mp4"}
    assert told["part_colors"]["head"] == [255, 255, 0]
    assert any("depth is white at" in note for note in told["notes"])
    for name in told["files"].values():
        film = probe(saved / name)
        assert (film.frame_count, film.rate, film.width) == (2, 8, 256)
    again = run("dance.json", "-o", "m.mp4", "--maps", "parts")
    assert again.exit_code == 1 and "m.mp4 exists" in again.stderr


def test_pose_maps_alone_are_a_film(run, saved):
    result = run("dance.json", "--ref", "ref.json", "-o", "m.mp4")
    assert result.exit_code == 0, result.output
    assert probe(saved / "m.mp4").frame_count == 8


@pytest.mark.slow
def test_inputs_of_another_generator(run, media, tmp_path):
    result = run(
        media / "dance.mp4", "--ref", media / "ref.png", "--for", "wan-replace", "-o", "wan",
        "--area", "160x160", "--end", "0.2",
    )  # fmt: skip
    assert result.exit_code == 0, result.output
    assert "frames of 160x160" in result.stderr and "wan/src_mask.mp4" in result.stderr
    assert probe(tmp_path / "wan" / "src_bg.mp4").rate == 30


def test_real_files_of_others(run, tmp_path, people):
    """What OpenPose writes: 25 points, several people, zeros, no canvas; one with a torn file."""
    folder = tmp_path / "openpose"
    poses = people.poses()
    write_people(folder, PeopleClip([[pose, shrunk(pose)] for pose in poses], 256, 256, 8))
    for file in folder.iterdir():
        entry = json.loads(file.read_text())
        file.write_text(json.dumps({"version": 1.3, "people": entry["people"]}))
    result = run(
        "openpose", "--fps", "8", "--canvas", "256x256", "--person", "right", "-o", "a.json"
    )
    assert result.exit_code == 0, result.output
    back = read_clip(tmp_path / "a.json")
    assert back.fps == 8
    for pose, exact in zip(back.largest, map(shrunk, poses), strict=True):
        np.testing.assert_array_equal(pose.face, exact.face)
    torn = folder / "openpose_000000000003_keypoints.json"
    torn.write_text(torn.read_text()[:200])
    result = run("openpose")
    assert result.exit_code == 1 and "000000000003_keypoints.json: is not JSON" in result.stderr


def shrunk(pose: Pose) -> Pose:
    return pose.map_points(lambda points: points * 0.3 + (160, 0), 256, 256)
