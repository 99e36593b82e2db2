"""What is filled smoothly gets the grain of what is around it."""

import numpy as np
import pytest

from magicpose_cli.warping.grain import grain_like
from magicpose_cli.warping.patch_fill import fill_hole

SIDE = 192
KNOWN = np.ones((SIDE, SIDE), np.float32)
KNOWN[60:140, 70:130] = 0
HOLE = KNOWN == 0


def noisy(strength: float) -> np.ndarray:
    """A slope with noise."""
    random = np.random.default_rng(2)
    slope = np.linspace(80, 140, SIDE)[:, None, None]
    return (slope + random.normal(0, strength, (SIDE, SIDE, 3))).astype(np.float32)


@pytest.mark.parametrize("strength", [0.7, 2.0])
def test_it_is_as_strong_as_around(strength):
    picture = noisy(strength)
    grain = grain_like(picture, KNOWN, SIDE)
    assert (grain[~HOLE] == 0).all()
    assert grain[HOLE].std() == pytest.approx(strength, rel=0.15)
    assert abs(grain[HOLE].mean()) < 0.2 * strength


def test_it_follows_where_it_is_stronger():
    picture = noisy(1.0)
    picture[:, : SIDE // 2] += 4 * (picture[:, : SIDE // 2] - noisy(0.0)[:, : SIDE // 2])
    grain = grain_like(picture, KNOWN, SIDE)
    assert grain[60:140, 70:85].std() > 2 * grain[60:140, 115:130].std()


def test_an_edge_nearby_is_no_grain():
    picture = noisy(1.0)
    picture[:, 140:] += 90
    picture[52:56, :60] -= 70
    assert np.abs(grain_like(picture, KNOWN, SIDE)[HOLE]).max() < 8


def test_a_filled_hole_has_it_and_what_is_asked_to_be_smooth_has_not():
    picture = noisy(1.5)
    for smooth, low, high in ((False, 1.0, 2.0), (True, 0.0, 0.3)):
        filled = fill_hole(picture, KNOWN, SIDE, smooth=smooth)
        fine = np.diff(filled[64:136, 74:126], axis=0).std() / np.sqrt(2)
        assert low <= fine < high
        assert np.array_equal(filled[~HOLE], picture[~HOLE])


def test_a_mirrored_picture_has_the_mirrored_grain():
    picture, known = noisy(1.5), KNOWN.copy()
    known[:, 60:70] = 0  # off the middle
    filled = fill_hole(picture, known, SIDE)
    mirrored = fill_hole(picture[:, ::-1].copy(), known[:, ::-1].copy(), SIDE)
    assert np.allclose(mirrored[:, ::-1], filled, atol=1e-3)


def test_where_nothing_is_known_there_is_none():
    assert not grain_like(noisy(2.0), np.zeros_like(KNOWN), SIDE).any()
