"""Alpha and colors of a soft disc whose truth is known."""

import numpy as np
import pytest

from magicpose_cli.warping.matting import closed_form_alpha, foreground_colors

SIZE, RADIUS, SOFT = 64, 18.0, 8.0


def smooth(*corners) -> np.ndarray:
    """(64, 64, 3) from one color at the left to another at the right."""
    share = np.linspace(0, 1, SIZE)[None, :, None]
    left, right = (np.array(color, float) for color in corners)
    return np.broadcast_to(left + share * (right - left), (SIZE, SIZE, 3))


@pytest.fixture(scope="module")
def disc():
    """(picture uint8, alpha, distance to the middle, the disc's own colors)."""
    x, y = np.meshgrid(np.arange(SIZE), np.arange(SIZE))
    distance = np.hypot(x - 31.5, y - 31.5)
    alpha = np.clip((RADIUS - distance) / SOFT + 0.5, 0, 1)
    front = smooth((230, 180, 60), (200, 120, 40))
    behind = smooth((30, 60, 120), (60, 110, 150))
    picture = alpha[..., None] * front + (1 - alpha[..., None]) * behind
    return np.rint(picture).astype(np.uint8), alpha, distance, front


def trimap_of(distance: np.ndarray) -> np.ndarray:
    trimap = np.full(distance.shape, 0.5, np.float32)
    trimap[distance < RADIUS - 8] = 1
    trimap[distance > RADIUS + 8] = 0
    return trimap


def test_a_soft_disc_is_found(disc):
    picture, alpha, distance, _ = disc
    trimap = trimap_of(distance)
    found = closed_form_alpha(picture, trimap)
    assert found.shape == alpha.shape and found.dtype == np.float32
    unknown = trimap == 0.5
    assert np.abs(found - alpha)[unknown].mean() < 0.03
    assert np.array_equal(found[~unknown], trimap[~unknown])
    assert found.min() >= 0 and found.max() <= 1


def test_what_reaches_the_pictures_edge_is_found_too(disc):
    picture, alpha, distance, _ = disc
    cut = np.s_[20:, :44]
    found = closed_form_alpha(np.ascontiguousarray(picture[cut]), trimap_of(distance)[cut])
    assert np.abs(found - alpha[cut]).mean() < 0.03


def test_a_mirrored_picture_has_the_mirrored_matte(disc):
    picture, _, distance, _ = disc
    trimap = trimap_of(distance)
    found = closed_form_alpha(picture, trimap)
    flipped = closed_form_alpha(np.ascontiguousarray(picture[:, ::-1]), trimap[:, ::-1].copy())
    assert np.abs(found - flipped[:, ::-1]).max() < 1e-3


def test_what_is_behind_is_taken_out_of_the_colors(disc):
    picture, alpha, _, front = disc
    found = foreground_colors(picture, alpha.astype(np.float32))
    half = (alpha > 0.4) & (alpha < 0.6)
    assert np.abs(picture[half] - front[half]).mean() > 40
    assert np.abs(found[half] - front[half]).mean() < 15
    assert np.array_equal(found[alpha == 1], picture[alpha == 1])
    assert found.min() >= 0 and found.max() <= 255
