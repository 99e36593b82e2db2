"""Maps of the body in step with a motion: fitted, or as `magicpose poses --maps` writes them."""

import numpy as np
import pytest

from magicpose_cli.body.maps import BODY_PART_COLORS
from magicpose_cli.config.preset import Preset
from magicpose_cli.errors import InputError
from magicpose_cli.motion.body_control_maps import (
    FittedBodyMaps,
    ReadyBodyMaps,
    body_maps_of_pose,
    chosen_maps,
    films_of_maps,
)
from magicpose_cli.motion.driver import open_driver
from magicpose_cli.motion.framing import Framing
from magicpose_cli.motion.map_films import write_maps
from magicpose_cli.motion.motion import Motion
from magicpose_cli.pose.clip import PeopleClip, PoseClip
from magicpose_cli.pose.files.read_write import write_people
from magicpose_cli.pose.keypoints import PARTS, Pose
from magicpose_cli.video import write_video

SIDE = 96
NAMES = ["depth", "parts"]
WHOLE = Framing((0, 0, SIDE, SIDE), SIDE, SIDE)


@pytest.fixture(scope="module")
def poses(people) -> list[Pose]:
    return [
        pose.map_points(lambda points: points * (SIDE / 256), SIDE, SIDE)
        for pose in people.poses()[:3]
    ]


@pytest.fixture
def driver(poses, tmp_path):
    write_people(tmp_path / "dance.npz", PeopleClip.of(poses, 8))
    return open_driver(tmp_path / "dance.npz", Preset().motion)


def motion_of(poses) -> Motion:
    return Motion(PoseClip.of(poses), WHOLE)


def part_pixels(picture, name) -> np.ndarray:
    return np.abs(picture.astype(int) - BODY_PART_COLORS[name]).max(axis=2) < 3


def test_they_follow_the_poses_and_are_black_where_nobody_is(poses, driver):
    nobody = Pose.of(SIDE, SIDE, body=np.zeros((PARTS["body"], 3)))
    maps = FittedBodyMaps.of(motion_of([*poses[:2], nobody]), NAMES, driver)
    one, other, empty = maps.frames([0, 1, 2])
    assert one.shape == (SIDE, SIDE, 6) and one.dtype == np.uint8
    assert not empty.any()
    for drawn, pose in ((one, poses[0]), (other, poses[1])):
        covered = drawn[..., 3:].any(axis=2)
        assert (covered == (drawn[..., 0] > 0)).mean() > 0.99  # both show the same body
        seen = pose.body[pose.body_score > 0].astype(int).clip(0, SIDE - 1)
        assert covered[seen[:, 1], seen[:, 0]].mean() > 0.8
    assert (one != other).any()
    [again] = maps.frames([1])
    np.testing.assert_array_equal(again, other)


def test_forearms_that_are_not_seen_are_not_invented(poses):
    whole = body_maps_of_pose(poses[0], ["parts"])
    assert part_pixels(whole, "right_lower_arm").any()
    body = np.column_stack([poses[0].body, poses[0].body_score])
    body[4] = 0
    hidden = Pose.of(SIDE, SIDE, body=body)
    drawn = body_maps_of_pose(hidden, ["parts"])
    assert part_pixels(drawn, "right_upper_arm").any()
    for part in ("right_lower_arm", "right_hand"):
        assert not part_pixels(drawn, part).any()


def test_a_pose_of_too_few_points_has_black_maps():
    nobody = Pose.of(SIDE, SIDE, body=np.zeros((PARTS["body"], 3)))
    assert not body_maps_of_pose(nobody, NAMES).any()
    assert body_maps_of_pose(nobody, NAMES).shape == (SIDE, SIDE, 6)


@pytest.mark.slow
@pytest.mark.parametrize("ending", [".mov", ""])
def test_written_maps_are_those_that_are_fitted(poses, driver, tmp_path, ending):
    """A folder holds depth in 16 bits."""
    (tmp_path / "maps").mkdir()
    write_maps(driver.clip.path, tmp_path / "maps" / f"pose{ending}", Preset().motion, NAMES)
    films = films_of_maps(tmp_path / "maps", NAMES)
    assert [film.stem for film in films] == ["pose_depth", "pose_parts"]
    ready = list(ReadyBodyMaps(films, driver, WHOLE, (SIDE, SIDE)).frames([0, 2]))
    fitted = list(FittedBodyMaps.of(motion_of(poses), NAMES, driver).frames([0, 2]))
    for one, other in zip(ready, fitted, strict=True):
        assert np.abs(one.astype(int) - other).mean() < 1.5  # films do not keep every color


@pytest.mark.slow
def test_ready_maps_are_cut_as_the_driver_is(driver, poses, tmp_path):
    frames = [np.full((SIDE, SIDE, 3), 40 * n, np.uint8) for n in range(3)]
    write_video(tmp_path / "depth.mov", iter(frames), 8)
    cut = open_driver(driver.clip.path, Preset().with_options(motion__start_s=0.125).motion)
    assert cut.frame_count == 2
    maps = ReadyBodyMaps([tmp_path / "depth.mov"], cut, WHOLE, (SIDE, SIDE))
    assert [round(float(each.mean()), -1) for each in maps.frames([0, 1])] == [40, 80]


@pytest.mark.slow
@pytest.mark.parametrize(
    ("shape", "count", "said"),
    [((SIDE, SIDE), 5, "has 5 frames; expected 3"), ((64, SIDE), 3, "expected the shape of the")],
)
def test_ready_maps_that_do_not_keep_step_are_one_line(driver, tmp_path, shape, count, said):
    pictures = (np.zeros((*shape, 3), np.uint8) for _ in range(count))
    write_video(tmp_path / "depth.mov", pictures, 8)
    with pytest.raises(InputError, match=said) as caught:
        chosen_maps([tmp_path / "depth.mov"], driver, (SIDE, SIDE))
    assert "\n" not in str(caught.value)


def test_films_are_found_by_the_names_of_their_maps(tmp_path):
    for name in ("depth.mp4", "dance_normal-bae.mp4", "dance_normal.mp4"):
        (tmp_path / name).write_bytes(b"")
    (tmp_path / "parts").mkdir()
    found = films_of_maps(tmp_path, ["normal", "parts", "depth"])
    assert [path.name for path in found] == ["dance_normal.mp4", "parts", "depth.mp4"]
    (tmp_path / "other_depth.mp4").write_bytes(b"")
    with pytest.raises(InputError, match="2 in it is named depth"):
        films_of_maps(tmp_path, ["depth"])
    with pytest.raises(InputError, match="nothing in it is named silhouette"):
        films_of_maps(tmp_path, ["silhouette", "parts"])
    assert films_of_maps(tmp_path / "parts", ["silhouette"]) == [tmp_path / "parts"]
    with pytest.raises(InputError, match="no such folder"):
        films_of_maps(tmp_path / "nowhere", ["depth"])
