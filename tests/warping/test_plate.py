"""The plate is the picture, with its person replaced by what may be behind them."""

from __future__ import annotations

import numpy as np
import pytest

from magicpose_cli.warping.plate import make_plate

SIDE = 128


def _person(width: int = 40) -> np.ndarray:
    alpha = np.zeros((SIDE, SIDE), np.float32)
    alpha[30:, 44 : 44 + width] = 1
    return alpha


def _bricks() -> np.ndarray:
    rows, columns = np.indices((SIDE, SIDE)) // 8
    gray = np.where((rows + columns) % 2, 190, 70)
    return np.repeat(gray[..., None], 3, 2).astype(np.uint8)


@pytest.mark.parametrize("smooth", [False, True])
def test_outside_of_the_hole_it_is_the_picture(smooth):
    picture, alpha = _bricks(), _person()
    plate, hole = make_plate(np.where(alpha[..., None] > 0, 255, picture), alpha, smooth=smooth)
    assert (plate[hole == 0] == picture[hole == 0]).all()
    assert (hole[alpha > 0] == 1).all() and hole.mean() < 0.4


def test_texture_goes_on_behind_a_person_unless_it_is_to_be_smooth():
    picture, alpha = _bricks(), _person()
    shown = np.where(alpha[..., None] > 0, 255, picture)
    textured, hole = make_plate(shown, alpha)
    smooth, _ = make_plate(shown, alpha, smooth=True)
    assert textured[hole > 0].std() > 40 > 2 * smooth[hole > 0].std()


def test_smooth_shading_stays_smooth():
    shading = np.linspace(90, 130, SIDE)[:, None, None]
    picture = np.broadcast_to(shading, (SIDE, SIDE, 3)).astype(np.uint8)
    alpha = _person()
    plate, _ = make_plate(np.where(alpha[..., None] > 0, 0, picture).astype(np.uint8), alpha)
    smooth, _ = make_plate(picture, alpha, smooth=True)
    assert np.abs(plate - smooth).max() < 1  # steps of a level are its only grain


def test_specks_that_a_matte_leaves_inside_are_of_the_hole():
    picture, alpha = _bricks(), _person()
    alpha[80:88, 60:63] = 0
    _, hole = make_plate(picture, alpha)
    assert hole[80:88, 60:63].all()
    alpha[50:120, 52:76] = 0  # legs apart: what shows between them is the background
    _, hole = make_plate(picture, alpha)
    assert not hole[85, 64]


def _before_a_wall(length: int) -> tuple[np.ndarray, np.ndarray]:
    """A picture with a wall and a stripe beside its person that their matte has left out."""
    picture = np.full((SIDE, SIDE, 3), 120, np.uint8)
    alpha = _person()
    picture[alpha > 0] = 250
    picture[60:80, 41 - length : 41] = 200
    return picture, alpha


@pytest.mark.parametrize("smooth", [False, True])
def test_what_a_matte_leaves_beside_a_person_goes_with_them(smooth):
    picture, alpha = _before_a_wall(2)
    plate, hole = make_plate(picture, alpha, smooth=smooth)
    assert hole[60:80, 39:41].all() and np.abs(plate - 120).max() < 2


def test_a_shadow_that_goes_on_stays():
    picture, alpha = _before_a_wall(30)
    plate, hole = make_plate(picture, alpha)
    assert not hole[60:80, 11:38].any() and (plate[64:76, 11:38] == 200).all()


def test_before_a_textured_wall_a_strip_may_be_its_own():
    picture, alpha = _bricks(), _person()
    picture[60:80, 39:41] = 255
    _, hole = make_plate(picture, alpha)
    assert not hole[60:80, 39:41].any()
