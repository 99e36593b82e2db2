"""A reference whose background goes with a camera, under the person who is moved by the points."""

from dataclasses import replace

import numpy as np
import pytest

from magicpose_cli.warping.camera_motion import CameraMotion
from magicpose_cli.warping.warp import ReferenceWarp
from tests.warping.moving_camera import camera_matrix, seen_by, textured_wall
from tests.warping.people import matte_of, quality, shifted

SIZE = (256, 256)


@pytest.fixture(scope="module")
def wall() -> np.ndarray:
    return textured_wall()


@pytest.fixture(scope="module")
def before_wall(standing, wall) -> tuple[np.ndarray, ReferenceWarp]:
    picture = seen_by(wall, camera_matrix(), standing)
    return picture, ReferenceWarp(picture, standing.pose, matte_of(picture, standing.shown))


def panned(x: float, y: float = 0.0) -> CameraMotion:
    return replace(CameraMotion.none(SIZE), shift=complex(x, y))


def test_a_camera_that_stands_still_changes_no_bit(before_wall, raised):
    _, warp = before_wall
    off = warp(raised.pose).picture
    assert np.array_equal(off, warp(raised.pose, camera=CameraMotion.none(SIZE)).picture)
    assert np.array_equal(off, warp(raised.pose, camera=panned(0.25, -0.1)).picture)
    assert not np.array_equal(off, warp(raised.pose, camera=panned(2)).picture)


def test_a_camera_that_pans_takes_the_background_along(before_wall, standing, wall):
    """The person goes with it, as their points do."""
    picture, warp = before_wall
    pose = shifted(standing.pose, -6, 0)
    moved = warp(pose, camera=panned(6)).picture
    assert np.abs(moved[2:-2, :40] - picture[2:-2, 6:46]).max() <= 1
    truth = picture[:, 6:]
    assert quality(moved[:, :-6], truth) > quality(warp(pose).picture[:, :-6], truth) + 8
    assert quality(moved[:, :-6], truth) > 32


def test_nothing_of_the_unmoved_picture_shines_through(before_wall, standing):
    """Around a person who stands still before a background that moves."""
    picture, warp = before_wall
    moved = warp(standing.pose, camera=panned(9))
    inside = moved.cover > 0.99
    assert quality(moved.picture[inside], picture[inside]) > 32
    assert np.abs(moved.picture - picture)[:, :40].mean() > 10
    again = warp(standing.pose).picture
    assert quality(again, picture) > 45
