"""The painted inside of a mouth, on a mesh of lips, eyes and cheeks alone."""

from collections.abc import Iterable
from itertools import pairwise

import cv2
import numpy as np
import pytest

from magicpose_cli.warping.mouth import LOWER_LIP, UPPER_LIP, Mouth

SIZE, CENTER, WIDTH = 200, (99.5, 110.0), 70.0
SKIN = (205.0, 160.0, 135.0)


def mesh_of(
    opening: float, wide: float = 1.0, center: tuple[float, float] = CENTER, turn: float = 0.0
) -> np.ndarray:
    """(478, 3). opening: in widths of the mouth. wide: its width in WIDTH. turn: how much farther
    the left half reaches than the right."""
    mesh = np.zeros((478, 3))
    across = np.linspace(-1, 1, len(UPPER_LIP))
    x = WIDTH * wide / 2 * across * (1 + turn * np.sign(across))
    bow = WIDTH * wide * opening * (1 - across**2)
    mesh[list(UPPER_LIP), :2] = np.stack([x, -0.4 * bow], 1)
    mesh[list(LOWER_LIP[1:-1]), :2] = np.stack([x, 0.6 * bow], 1)[1:-1]
    mesh[[33, 263], :2] = (-WIDTH, -90), (WIDTH, -90)
    mesh[[50, 280, 205, 425], :2] = (-60, -30), (60, -30), (-50, -10), (50, -10)
    mesh[:, :2] += center
    return mesh


def painted(
    mesh: np.ndarray, still: float = 0.0, corner: tuple[int, int] = (0, 0), size: int = SIZE
) -> np.ndarray:
    """A face of flat color in the pose of a mesh, whose reference has an opening `still`."""
    picture = np.full((SIZE, SIZE, 3), SKIN, np.float32)
    colors = picture[:size, :size].copy()
    Mouth(mesh_of(still), picture).paint(colors, mesh, corner)
    return colors


def lips_of(mesh: np.ndarray, margin: int) -> np.ndarray:
    mask = np.zeros((SIZE, SIZE), np.uint8)
    outline = np.rint(mesh[[*UPPER_LIP, *LOWER_LIP[::-1]], :2]).astype(np.int32)
    cv2.fillPoly(mask, [outline], (1,))
    return cv2.dilate(mask, np.ones((2 * margin + 1,) * 2, np.uint8)) > 0


def largest_step(pictures: Iterable[np.ndarray]) -> float:
    return max(float(np.abs(b - a).max()) for a, b in pairwise(pictures))


@pytest.mark.parametrize(
    ("opening", "still"), [(0.0, 0.0), (0.04, 0.0), (0.3, 0.28), (0.4, 0.2), (0.6, 0.3)]
)
def test_a_mouth_that_does_not_open_keeps_its_pixels(opening, still):
    assert (painted(mesh_of(opening), still) == np.float32(SKIN)).all()


@pytest.mark.parametrize("wide", [0.8, 1.0, 1.3])
def test_only_the_mouth_is_painted(wide):
    mesh = mesh_of(0.3, wide)
    colors = painted(mesh)
    assert (colors[~lips_of(mesh, 5)] == np.float32(SKIN)).all()
    assert np.isfinite(colors).all()
    assert colors.min() >= 0 and colors.max() <= 255
    assert np.abs(colors - np.float32(SKIN)).max() > 80


@pytest.mark.parametrize("wide", [0.8, 1.3])
def test_it_opens_without_a_jump(wide):
    pictures = (painted(mesh_of(opening, wide)) for opening in np.arange(0.04, 0.4, 0.002))
    assert largest_step(pictures) < 25


def test_it_widens_without_a_jump():
    pictures = (painted(mesh_of(0.22, wide)) for wide in np.arange(1.0, 1.4, 0.002))
    assert largest_step(pictures) < 25


@pytest.mark.parametrize("wide", [0.8, 1.4])
@pytest.mark.parametrize("turn", [0.0, 0.25])
def test_a_mirrored_face_has_the_mirrored_mouth(wide, turn):
    one = painted(mesh_of(0.3, wide, turn=turn))
    other = painted(mesh_of(0.3, wide, turn=-turn))[:, ::-1]
    assert np.abs(one - other).max() < 0.01


def test_teeth_are_bright_and_warm_and_the_back_is_dark_and_red():
    mesh = mesh_of(0.45)
    colors = painted(mesh)
    x, top, ground = round(mesh[13, 0]), mesh[13, 1], mesh[14, 1]
    teeth = colors[round(top + 4), x - 8 : x + 9].mean(0)
    back = colors[round(top + 0.45 * (ground - top)), x - 8 : x + 9].mean(0)
    assert teeth.min() > back.max() + 40
    assert abs(teeth.max() - max(SKIN)) < 40
    assert teeth[0] > teeth[1] > teeth[2] > 0.6 * teeth[0]
    assert back[0] < 0.55 * SKIN[0] and back[0] > 1.5 * max(back[1], back[2])


def test_teeth_keep_their_size_while_the_mouth_opens():
    def height(opening: float) -> int:
        mesh = mesh_of(opening)
        column = painted(mesh)[:, round(mesh[13, 0]) - 6, 1]
        return int((column[round(mesh[13, 1]) : round(mesh[14, 1])] > 110).sum())

    assert abs(height(0.3) - height(0.5)) <= 1


def test_a_grin_bares_the_lower_teeth():
    def ground(wide: float) -> np.ndarray:
        mesh = mesh_of(0.24, wide)
        x, y = round(mesh[14, 0]), round(mesh[14, 1])
        return painted(mesh)[y - 5 : y - 2, x - 20 : x + 20, 1].mean()

    assert ground(1.4) > ground(1.0) + 40


def test_a_small_opening_is_a_thin_dark_line():
    mesh = mesh_of(0.1)
    colors = painted(mesh)
    assert colors.max() == max(SKIN)  # no bright teeth
    assert colors[lips_of(mesh, 0)].mean(0)[1] < 0.8 * SKIN[1]


@pytest.mark.parametrize("center", [(2, 2), (-34, 110), (230, 110), (99, 199), (-300, 50)])
def test_a_mouth_partly_outside_of_the_picture(center):
    mesh = mesh_of(0.4, center=center)
    inside = painted(mesh)
    assert np.isfinite(inside).all()
    if center[0] > -100:
        assert (inside != np.float32(SKIN)).any()


def test_a_part_of_the_frame_is_painted_as_the_whole_is():
    mesh = mesh_of(0.4)
    part = painted(mesh, corner=(50, 60), size=140)
    whole = painted(mesh)[60:, 50:190]
    assert np.abs(part - whole).max() < 1e-2


def test_a_face_without_extent_does_not_fail():
    mesh = np.full((478, 3), 50.0)
    mesh[14, 1] += 5
    picture = np.full((SIZE, SIZE, 3), SKIN, np.float32)
    Mouth(mesh_of(0.0), picture).paint(picture, mesh, (0, 0))
    assert np.isfinite(picture).all()
