"""Holes are filled with the texture and the lines around them."""

from __future__ import annotations

import cv2
import numpy as np
import pytest

from magicpose_cli.warping.interpolation import push_pull
from magicpose_cli.warping.patch_fill import MIN_SOURCES, fill_by_patches, fill_hole
from magicpose_cli.warping.smooth_fill import smooth_fill

HOLE = np.zeros((96, 110), bool)
HOLE[30:66, 40:74] = True


def _stripes(width_px: int, turned: bool) -> np.ndarray:
    """Stripes of 60 and 200, across or down."""
    shape = (110, 96) if turned else (96, 110)
    along = np.arange(shape[1]) // width_px % 2
    picture = np.broadcast_to((60 + 140 * along)[:, None], (*shape, 3)).astype(np.float32)
    return picture.swapaxes(0, 1) if turned else picture


def _error(filled: np.ndarray, truth: np.ndarray, hole: np.ndarray) -> float:
    return float(np.abs(filled - truth)[hole].mean())


@pytest.mark.parametrize("turned", [False, True])
@pytest.mark.parametrize("width_px", [3, 8])
def test_stripes_go_on(width_px, turned):
    truth = _stripes(width_px, turned)
    spoiled = np.where(HOLE[..., None], np.float32(255), truth)
    filled = fill_by_patches(spoiled, HOLE)
    smooth = push_pull(spoiled, 1 - HOLE.astype(np.float32))
    assert _error(filled, truth, HOLE) < 12 < _error(smooth, truth, HOLE) / 2


def test_an_edge_goes_through():
    truth = np.full((*HOLE.shape, 3), 40, np.float32)
    truth[:50] = (220, 180, 90)
    filled = fill_by_patches(np.where(HOLE[..., None], 0, truth).astype(np.float32), HOLE)
    assert _error(filled, truth, HOLE) < 8


def test_what_is_known_stays_and_what_the_hole_has_does_not_matter():
    random = np.random.default_rng(1)
    picture = random.integers(0, 255, (*HOLE.shape, 3)).astype(np.float32)
    filled = fill_by_patches(picture, HOLE)
    assert (filled[~HOLE] == picture[~HOLE]).all()
    other = np.where(HOLE[..., None], 255 - picture, picture)
    assert (fill_by_patches(other, HOLE) == filled).all()


def test_a_mirrored_picture_is_filled_with_the_mirrored_result():
    random = np.random.default_rng(2)
    picture = random.integers(0, 255, (*HOLE.shape, 3)).astype(np.float32)
    filled = fill_by_patches(picture, HOLE)
    mirrored = fill_by_patches(picture[:, ::-1], HOLE[:, ::-1])
    assert (mirrored[:, ::-1] == filled).all()


def test_without_a_hole_it_is_the_picture():
    picture = _stripes(5, False)
    assert fill_by_patches(picture, np.zeros_like(HOLE)) is picture


def test_a_hole_that_leaves_no_patch_is_filled_smoothly():
    hole = np.ones_like(HOLE)
    hole[:4] = False
    picture = _stripes(5, False)
    assert hole.size > MIN_SOURCES
    filled = fill_by_patches(picture, hole)
    assert (filled == push_pull(picture, 1 - hole.astype(np.float32))).all()


@pytest.mark.parametrize("rows", [np.s_[:, :30], np.s_[:, -30:], np.s_[-20:], np.s_[:20, :20]])
def test_a_hole_may_reach_the_edge(rows):
    hole = np.zeros_like(HOLE)
    hole[rows] = True
    truth = _stripes(4, False)
    filled = fill_by_patches(np.where(hole[..., None], 0, truth).astype(np.float32), hole)
    assert np.isfinite(filled).all() and filled[hole].std() > 35  # stripes, in whatever phase


@pytest.mark.parametrize("shape", [(1, 1), (1, 7), (5, 2), (20, 9), (9, 200)])
@pytest.mark.parametrize("share", [0.0, 0.3, 1.0])
def test_pictures_of_any_size_are_filled(shape, share):
    random = np.random.default_rng(4)
    colors = random.integers(0, 255, (*shape, 3)).astype(np.float32)
    known = (random.random(shape) >= share).astype(np.float32)
    filled = fill_hole(colors, known, 512)
    assert np.isfinite(filled).all() and (filled[known > 0] == colors[known > 0]).all()


def test_smooth_shading_is_filled_smoothly_and_texture_is_not():
    shading = np.broadcast_to(np.linspace(90, 130, 110)[:, None], (96, 110, 3)).astype(np.float32)
    known = 1 - HOLE.astype(np.float32)
    assert (fill_hole(shading, known, 512) == smooth_fill(shading, known, 512)).all()
    stripes = _stripes(4, False)
    assert _error(fill_hole(stripes, known, 512), stripes, HOLE) < 12


def _blots(shape: tuple[int, int]) -> np.ndarray:
    """Blots of 40 and 200, as wide as a hand's fingers."""
    noise = np.random.default_rng(0).normal(0, 1, shape)
    blots = np.where(cv2.GaussianBlur(noise, (0, 0), 3) > 0, 200, 40)
    return np.repeat(blots[..., None], 3, 2).astype(np.float32)


def test_a_pattern_goes_on_to_the_edge_of_what_has_it():
    truth, columns = _blots((96, 140)), np.arange(140)
    known = np.broadcast_to(columns < 70, (96, 140)).copy()
    known[34:58, 52:] = False
    wanted = ~known & (columns < 70)
    spoiled = np.where(known[..., None], truth, np.float32(0))
    filled = fill_by_patches(spoiled, ~known, wanted)
    assert (filled[known] == truth[known]).all()
    # Where nothing but this cloth is known, all the rest would be filled with one color.
    lost = fill_by_patches(spoiled, ~known)
    assert filled[wanted].std() > 0.8 * truth[wanted].std() > 1.5 * lost[wanted].std()


def test_of_a_narrow_surrounding_the_texture_is_taken_too():
    truth = _stripes(3, turned=False)
    known, hole = np.zeros((2, *HOLE.shape), bool)
    known[20:76, 30:42] = True
    hole[40:56, 42:50] = True
    spoiled = np.where(known[..., None], truth, np.float32(0))
    filled = fill_by_patches(spoiled, ~known, hole)
    assert filled[hole].std() > 0.8 * truth[hole].std()
