"""A plate that follows a camera, up to its edges and beyond."""

from dataclasses import replace

import numpy as np
import pytest

from magicpose_cli.warping.camera_motion import CameraMotion
from magicpose_cli.warping.moved_plate import (
    CAMERA_DEAD_ZONE_PX,
    EDGE_LINE_PX,
    MAX_CAMERA_SHIFT,
    MovablePlate,
)
from tests.warping.moving_camera import textured_wall

SIZE = (160, 120)


@pytest.fixture(scope="module")
def plate() -> np.ndarray:
    return textured_wall()[:120, :160].astype(np.float32)


@pytest.fixture(scope="module")
def movable(plate) -> MovablePlate:
    return MovablePlate(plate)


def panned(x: float, y: float = 0.0) -> CameraMotion:
    return replace(CameraMotion.none(SIZE), shift=complex(x, y))


@pytest.mark.parametrize("x", [0.0, 0.2, -0.99 * CAMERA_DEAD_ZONE_PX])
def test_a_camera_that_hardly_moves_moves_nothing(movable, x):
    assert movable.moved(panned(x)) is None


def test_it_goes_where_the_camera_goes(movable, plate):
    moved, further = movable.moved(panned(7, -5))
    assert moved.shape == plate.shape and moved.dtype == np.float32
    assert np.allclose(further, 7)
    edge = EDGE_LINE_PX
    inner = np.abs(moved[5 + edge :, : -7 - edge] - plate[edge:-5, 7:-edge])
    assert inner.max() <= 1  # whole levels


def test_beyond_the_edge_it_goes_on(movable, plate):
    moved, _ = movable.moved(panned(10))
    seam = np.abs(moved[:, -10] - moved[:, -11]).mean()
    assert seam < 2 * np.abs(np.diff(plate, axis=1)).mean()
    assert moved[:, -10:].min() > plate.min() - 10 and moved[:, -10:].std() > 5


def test_a_line_at_the_edge_does_not_come_in(plate):
    framed = plate.copy()
    framed[:, :1] = framed[:, -1:] = framed[:1] = framed[-1:] = 0
    assert plate.min() > 0
    moved, _ = MovablePlate(framed).moved(panned(10, -10))
    assert moved.min() > plate.min() / 2


def test_no_motion_goes_beyond_the_limit(movable):
    reached = [movable.moved(panned(x))[1].max() for x in (10, 20, 30, 40, 60, 100, 1000)]
    assert reached[0] == pytest.approx(10) and np.all(np.diff(reached) >= 0)
    assert reached[-1] <= MAX_CAMERA_SHIFT * SIZE[0] + 1e-3
    assert reached[3] < 40 and reached[2] > 20


def test_a_gray_plate_keeps_its_channel(plate):
    gray = MovablePlate(plate[..., :1])
    assert gray.moved(panned(3))[0].shape == (120, 160, 1)
