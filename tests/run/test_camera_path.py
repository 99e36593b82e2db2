"""The camera of a film, from an anchor frame in its middle on."""

from dataclasses import replace

import numpy as np
import pytest

from magicpose_cli.config.preset import Preset
from magicpose_cli.motion.driver import open_driver
from magicpose_cli.motion.framing import Framing
from magicpose_cli.motion.motion import Motion
from magicpose_cli.pose.clip import PoseClip
from magicpose_cli.run import camera_path
from magicpose_cli.run.camera_path import CameraPath, find_camera_path
from magicpose_cli.video import write_video
from magicpose_cli.warping.camera_motion import CameraMotion
from magicpose_cli.warping.camera_tracking import CameraTracker
from tests.warping.conftest import both, standing  # noqa: F401
from tests.warping.moving_camera import camera_matrix, error_px, seen_by, textured_wall

WAY = (-20, -12, -6, 0, 5, 9)
ANCHOR = 3


@pytest.fixture(scope="module")
def film(standing, tmp_path_factory):  # noqa: F811
    """pan.mp4, six frames a second."""
    path = tmp_path_factory.mktemp("film") / "pan.mp4"
    wall = textured_wall()
    write_video(path, (seen_by(wall, camera_matrix(x=x), standing) for x in WAY), 6, crf=4)
    return path


@pytest.fixture
def motion(standing) -> Motion:  # noqa: F811
    poses = PoseClip.of([standing.pose] * len(WAY))
    whole = Framing((0, 0, 256, 256), 256, 256)
    return Motion(poses, whole, anchor=ANCHOR, tracked=poses)


def test_it_is_followed_from_the_anchor_to_both_ends(film, motion, standing, monkeypatch):  # noqa: F811
    monkeypatch.setattr(camera_path, "READ_AT_ONCE", 2)
    told = []
    path = find_camera_path(open_driver(film, Preset().motion), motion, told.append)
    assert len(path.motions) == len(WAY) and not path.lost and not path.notes
    for x, found in zip(WAY, path.motions, strict=True):
        assert error_px(found, camera_matrix(x=float(x)), standing.shown) < 0.5
    assert [(p.stage, p.done) for p in told] == [("camera", k) for k in range(2, len(WAY) + 1)]


def test_it_moves_as_much_less_as_the_person_is_smaller(film, motion):
    smaller = replace(motion, shown=Framing((0, 0, 256, 256), 128, 128))
    path = find_camera_path(open_driver(film, Preset().motion), smaller)
    places = np.array([[[10.0, 10.0], [100.0, 20.0]]])
    found = path.motions[0].displacements(places)
    assert np.allclose(found, (-10, 0), atol=0.5)


@pytest.mark.slow
def test_a_moment_in_which_the_camera_is_lost_is_bridged(film, motion, monkeypatch):
    follow = CameraTracker.follow
    lost = iter((False, True, False, False, False))

    def blind(tracker, picture, pose):
        found = follow(tracker, picture, pose)
        return (CameraMotion.none((256, 256)), False) if next(lost) else found

    monkeypatch.setattr(CameraTracker, "follow", blind)
    path = find_camera_path(open_driver(film, Preset().motion), motion)
    assert path.lost == (5,) and path.motions[5].shift == 0  # at the end there is nothing beyond
    lost = iter((True, False, False, False, False))
    path = find_camera_path(open_driver(film, Preset().motion), motion)
    middle = path.motions[4].come_from(np.array([[[128.0, 20.0]]])) - (128, 20)
    assert path.lost == (4,) and np.allclose(middle, (4.5, 0), atol=0.3)


def test_without_a_film_there_is_none(film, motion):
    driver = open_driver(film, Preset().motion)
    assert find_camera_path(driver, replace(motion, anchor=None)) is None
    assert find_camera_path(driver, replace(motion, tracked=PoseClip.empty(256, 256))) is None


def test_frames_in_which_it_is_lost_are_told_once():
    path = CameraPath([CameraMotion.none((64, 64))] * 8, (2, 5))
    [note] = path.notes
    assert "2 of 8 frames" in note and "frame 2" in note
