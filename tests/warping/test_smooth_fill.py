"""What both sides of a hole agree on goes on through it."""

import numpy as np
import pytest

from magicpose_cli.warping.smooth_fill import smooth_fill

HEIGHT, WIDTH = 90, 120
WALL, FLOOR = np.float32([200, 190, 180]), np.float32([60, 90, 40])
HOLE = np.s_[20:, 45:80]  # somebody who stands on the floor


def known_beside(hole=HOLE) -> np.ndarray:
    known = np.ones((HEIGHT, WIDTH), np.float32)
    known[hole] = 0
    return known


@pytest.fixture
def room() -> np.ndarray:
    """A wall above a floor; the boundary is lower than the middle of the hole."""
    colors = np.empty((HEIGHT, WIDTH, 3), np.float32)
    colors[:65], colors[65:] = WALL, FLOOR
    return colors


def test_a_floor_goes_on_behind_who_stands_on_it(room):
    known = known_beside()
    filled = smooth_fill(room * known[..., None], known, HEIGHT)
    assert np.abs(filled[20:60] - WALL).max() < 12
    assert np.abs(filled[70:] - FLOOR).max() < 12
    assert np.abs(filled - room)[known > 0].max() < 1e-3


def test_stripes_from_top_to_bottom_go_on_as_well(room):
    curtain = np.ascontiguousarray(np.swapaxes(room, 0, 1))
    known = np.ones(curtain.shape[:2], np.float32)
    known[45:80, 20:70] = 0
    filled = smooth_fill(curtain * known[..., None], known, HEIGHT)
    assert np.abs(filled[:, 20:60] - WALL).max() < 12


def test_sides_that_differ_are_not_joined(room):
    """Wall to the left, floor's color to the right: what is above tells more."""
    room[:] = WALL
    room[20:, 80:] = FLOOR
    known = known_beside()
    filled = smooth_fill(room * known[..., None], known, HEIGHT)
    assert np.abs(filled[25:40, 47:60] - WALL).mean() < 25


def test_a_hole_to_the_edge_is_filled(room):
    known = known_beside(np.s_[:, 60:])
    filled = smooth_fill(room * known[..., None], known, HEIGHT)
    assert np.isfinite(filled).all()
    assert np.abs(filled[5:40, 60:70] - WALL).mean() < 12


def test_a_mirrored_picture_is_filled_as_its_mirror_image(room):
    room += np.random.default_rng(1).uniform(-20, 20, room.shape).astype(np.float32)
    known = known_beside()
    filled = smooth_fill(room, known, HEIGHT)
    mirrored = smooth_fill(room[:, ::-1].copy(), known[:, ::-1].copy(), HEIGHT)
    assert np.abs(mirrored[:, ::-1] - filled).max() < 0.05
