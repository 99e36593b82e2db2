"""A walk whose truth is known, laid onto a person and filmed from several sides."""

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from scipy.spatial.transform import Rotation
from typer.testing import CliRunner

from magicpose_cli.body.model import Body
from magicpose_cli.body.motion_files.files import write_motion_file
from magicpose_cli.body.skeletal_motion import SkeletalMotion
from magicpose_cli.cli.app import app
from magicpose_cli.config.preset import Preset
from magicpose_cli.errors import InputError
from magicpose_cli.motion.driver import open_driver
from magicpose_cli.motion.motion_driver import film_mean_person, lay_motion, read_driving_motion
from magicpose_cli.pose.clip import PeopleClip, PoseClip
from magicpose_cli.pose.files.read_write import read_clip, write_people
from magicpose_cli.pose.keypoints import BODY_JOINTS, Pose
from tests.body.motion import dance, seen_poses
from tests.body.skeletons import BODY, MIXAMO, bvh_text, walk

ANKLES = [BODY_JOINTS.index(f"{side}_ankle") for side in ("left", "right")]
LEFT, RIGHT = BODY_JOINTS.index("left_shoulder"), BODY_JOINTS.index("right_shoulder")


def settings(**options):
    return Preset().with_options(**{f"motion__{k}": v for k, v in options.items()}).motion


@pytest.fixture(scope="module")
def target():
    """A known body that nearly faces the camera, whole in the picture."""
    body = Body.load()
    shape, rotations, root = dance(body, 1, facing_deg=0.0)
    return seen_poses(body, shape, rotations, root)[0]


@pytest.fixture(scope="module")
def steps():
    """Eight frames of a walk."""
    return walk(8, fps=10)


@pytest.fixture(scope="module")
def front(steps, target):
    return lay_motion(steps, target, settings())


def across(poses: PoseClip) -> np.ndarray:
    """(F,) pixels from the right to the left shoulder, in the picture's x."""
    return poses.points[:, LEFT, 0] - poses.points[:, RIGHT, 0]


def test_the_person_stands_where_the_reference_does(front, target):
    poses = front.retargeted.poses
    assert (poses.width, poses.height) == (target.width, target.height)
    assert front.retargeted.mode == "chain"
    lowest = np.nanmax(poses.points[:, ANKLES, 1], axis=1)
    height = np.ptp(target.body[:, 1])
    assert abs(np.median(lowest) - target.body[ANKLES, 1].max()) < 0.06 * height
    tall = lowest - poses.points[:, BODY_JOINTS.index("nose"), 1]
    own = target.body[ANKLES, 1].max() - target.body[0, 1]
    assert np.median(tall) == pytest.approx(own, rel=0.12)


@pytest.mark.slow
def test_a_view_from_the_side_and_from_behind(steps, target, front):
    wide = np.median(across(front.retargeted.poses))
    assert wide > 0  # before the person, their left is at the picture's right

    def seen(view):
        return lay_motion(steps, target, settings(camera=view)).retargeted.poses

    side, behind = seen("azimuth=90"), seen("azimuth=180")
    assert abs(np.median(across(side))) < 0.5 * wide
    assert np.median(across(behind)) < -0.7 * wide
    assert not (behind.scores[:, 18:86] > 0).any() and not (behind.scores[:, 0] > 0).any()
    assert (front.retargeted.poses.scores[:, 18:86] > 0).all()
    far = seen("distance=2")
    assert np.median(across(far)) == pytest.approx(wide / 2, rel=0.15)
    orbit = seen("orbit=0.5")
    assert across(orbit)[0] > 0.5 * wide and abs(across(orbit)[5]) < 0.5 * wide


@pytest.mark.slow
def test_who_would_walk_through_the_camera_stays_in_place(target):
    far = walk(12, fps=4)  # three meters forward
    assert not lay_motion(far, target, settings(follow=False)).is_followed
    kept = lay_motion(far, target, settings())
    assert kept.is_followed and "kept in place" in kept.notes[0]
    width = np.ptp(kept.retargeted.poses.points[:, BODY_JOINTS.index("neck")], axis=0)
    assert width.max() < 0.15 * target.height


@pytest.mark.slow
def test_whose_head_would_leave_the_picture_stays_in_place():
    body = Body.load()
    shape, rotations, root = dance(body, 1, facing_deg=0.0)
    high = seen_poses(body, shape, rotations, root + torch.tensor([0.0, 0.35, 0.0]))[0]
    near = replace(walk(12, fps=4), root_m=walk(12, fps=4).root_m * [0.3, 1, 0.3])
    assert lay_motion(near, high, settings()).is_followed
    low = seen_poses(body, shape, rotations, root)[0]
    assert not lay_motion(near, low, settings()).is_followed


def test_a_motion_on_nobody_is_filmed_as_a_mean_person(steps):
    poses = film_mean_person(steps, settings(canvas="200x300"))
    assert (poses.width, poses.height, len(poses), poses.fps) == (200, 300, 8, 10)
    assert (poses.scores[:, BODY_JOINTS.index("neck")] > 0).all()


def test_the_driver_has_the_frames_that_are_asked_for(tmp_path):
    path = tmp_path / "walk.bvh"
    path.write_text(bvh_text(walk(40, fps=20), MIXAMO))
    assert open_driver(path, settings()).kind == "motion"
    driver = open_driver(path, settings(start_s=0.5, end_s=1.5, every=2))
    assert (driver.frame_count, driver.rate) == (10, 10)
    whole = open_driver(path, settings()).motion
    np.testing.assert_allclose(driver.motion.root_m, whole.root_m[10:30:2], atol=1e-9)
    between = open_driver(path, settings(fps=40)).motion
    assert len(between) == 80
    assert not np.allclose(between.rotations[1], between.rotations[2])


def test_a_jump_from_the_rest_pose_is_left_out(tmp_path):
    motion = walk(20, fps=60, bones=[*BODY, "leftLittleProximal"])
    start = motion.rotations.copy()
    start[0] = [0, 0, 0, 1]
    little = motion.names.index("leftLittleProximal")
    start[0, little] = [0.4, 0, 0, np.sqrt(1 - 0.4**2)]  # fingers of a rest pose may be bent
    path = tmp_path / "jump.npz"
    write_motion_file(path, replace(motion, rotations=start))
    read = read_driving_motion(path, settings())
    assert len(read) == 19 and "rest pose" in read.notes[-1]
    write_motion_file(path, motion, overwrite=True)
    assert len(read_driving_motion(path, settings())) == 20


def test_what_moves_no_person_is_refused_in_one_line(tmp_path):
    rotations = np.tile([0.0, 0, 0, 1], (2, 3, 1))
    snake = SkeletalMotion(
        ("head", "belly", "tail"), np.array([-1, 0, 1]), np.ones((3, 3)), rotations,
        np.zeros((2, 3)), 30,
    )  # fmt: skip
    write_motion_file(tmp_path / "snake.npz", snake)
    with pytest.raises(InputError, match=r"snake.npz: its joints \(head, belly, tail\)"):
        open_driver(tmp_path / "snake.npz", settings())
    (tmp_path / "face.csv").write_text("time,jawOpen\n0,0.1\n0.1,0.2\n")
    assert open_driver(tmp_path / "face.csv", settings()).is_face


def test_a_reference_without_a_body_has_none_to_move(steps):
    assert lay_motion(steps, Pose.of(64, 64), settings()) is None


def test_fingers_are_the_references_where_the_motion_has_none(target, front):
    """The hand's shape in the picture, but for its turn, is the reference's."""

    def bends(points):
        lines = np.diff(points[1:].reshape(5, 4, 2), axis=1)
        angles = np.arctan2(lines[..., 1], lines[..., 0])
        return np.abs(np.diff(angles, axis=1))

    seen = front.retargeted.poses.part("left_hand")
    known = np.isfinite(seen).all(axis=(1, 2))
    assert known.any() and np.median([bends(hand) for hand in seen[known]]) < 1.0


@pytest.fixture
def run(tmp_path, monkeypatch, target):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "walk.bvh").write_text(bvh_text(walk(4, fps=10), MIXAMO))
    write_people(tmp_path / "me.npz", PeopleClip.of([target], None))

    def command(*arguments):
        return CliRunner().invoke(app, ["poses", *map(str, arguments)])

    return command


@pytest.mark.slow
def test_poses_of_a_motion_file(run, target):
    result = run("walk.bvh", "--canvas", "160x200", "--json")
    assert result.exit_code == 0, result.output
    assert json.loads(result.stdout.splitlines()[-1])["output"] == "walk.poses.json"
    clip = read_clip(Path("walk.poses.json"))
    assert (len(clip.people), clip.width, clip.height, clip.fps) == (4, 160, 200, 10)
    result = run("walk.bvh", "-o", "mine.npz", "--retarget-to", "me.npz", "--camera", "azimuth=20")
    assert result.exit_code == 0, result.output
    assert "retargeted (chain" in result.stderr
    mine = read_clip(Path("mine.npz"))
    assert (mine.width, mine.height) == (target.width, target.height)


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (("--camera", "azimuth=x"), "azimuth 'x'; expected a number from -360 to 360"),
        (("--camera", "tilt=3"), "'tilt=3'; expected some of azimuth"),
        (("--camera", "azimuth=1,azimuth=2"), "each once"),
        (("--overlay", "a.mp4"), "a motion file has no pictures"),
        (("--start", "9"), "lies outside of walk.bvh"),
    ],
)
def test_bad_options_of_a_motion_are_one_line(run, options, said):
    result = run("walk.bvh", *options)
    assert result.exit_code == 1 and said in result.stderr
    assert result.stderr.count("\n") == 1


@pytest.mark.slow
def test_the_same_turn_is_seen_from_a_turned_start(steps, target, front):
    """Where a file's person faces at first changes nothing: the camera begins before them."""
    turn = Rotation.from_euler("y", 70, degrees=True)
    rotations = steps.rotations.copy()
    rotations[:, 0] = (turn * Rotation.from_quat(rotations[:, 0])).as_quat()
    turned = replace(steps, rotations=rotations, root_m=turn.apply(steps.root_m))
    found = lay_motion(turned, target, settings()).retargeted.poses.points
    np.testing.assert_allclose(
        found[:, :18], front.retargeted.poses.points[:, :18], atol=0.5, equal_nan=True
    )


@pytest.mark.slow
def test_a_motion_drives_alike_from_every_kind_of_file(tmp_path, steps, target):
    named = replace(steps, curves={"jawOpen": np.linspace(0, 1, len(steps))})
    laid = {}
    for name in ("walk.bvh", "walk.glb", "walk.npz"):
        write_motion_file(tmp_path / name, named)
        driver = open_driver(tmp_path / name, settings())
        assert (driver.kind, driver.frame_count, float(driver.rate)) == ("motion", 8, 10)
        laid[name] = lay_motion(driver.motion, target, settings()).retargeted.poses.part("body")
    for name in ("walk.glb", "walk.npz"):
        apart = np.linalg.norm(laid[name] - laid["walk.bvh"], axis=2)
        assert np.nanmax(apart) < 0.02 * target.height, name


@pytest.mark.slow
def test_amass_drives_a_person(tmp_path, target):
    poses = np.zeros((6, 156))
    poses[:, 0] = np.pi / 2  # upright, where z is up
    poses[:, 16 * 3 + 2] = np.linspace(0, -1.2, 6)  # the left shoulder lowers the arm
    np.savez(tmp_path / "amass.npz", poses=poses, trans=np.zeros((6, 3)),
             mocap_framerate=np.array(30.0))  # fmt: skip
    driver = open_driver(tmp_path / "amass.npz", settings())
    assert (driver.kind, driver.frame_count, float(driver.rate)) == ("motion", 6, 30)
    wrist = lay_motion(driver.motion, target, settings()).retargeted.poses.joint("left_wrist")
    assert wrist[-1, 1] > wrist[0, 1] + 0.1 * target.height
