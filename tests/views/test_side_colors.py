"""What the back of a head is taken to look like."""

import cv2
import numpy as np
import pytest

from magicpose_cli.views.side_colors import back_colors
from magicpose_cli.views.solid import build_solid

SKIN = np.array([220.0, 180.0, 155.0])
MOUTH = np.array([200.0, 40.0, 40.0])


@pytest.mark.parametrize(
    "hair", [(40, 30, 25), (215, 175, 140), (225, 185, 150)], ids=["dark", "blond", "as the skin"]
)
def test_no_face_is_seen_from_behind(subject, hair):
    """Whatever the hair's color is, and however near it is to that of the skin."""
    solid = build_solid(subject)
    pad = solid.grid.pad
    front = np.full((*solid.head.shape, 3), hair, np.float32)
    side = round(0.1 * solid.face_height) | 1
    around = cv2.dilate(solid.face, np.ones((side, side), np.uint8)) > 0
    front[around] = SKIN
    rows, columns = np.nonzero(solid.face)
    low = rows.min() + 3 * np.ptp(rows) // 4
    middle = int(columns.mean())
    mouth = np.s_[low - 3 : low + 4, middle - 8 : middle + 9]
    front[mouth] = MOUTH
    alpha = np.pad(subject.matte.alpha, pad, mode="edge")
    back = back_colors(front, alpha, solid, SKIN)
    apart = np.linalg.norm(back - MOUTH, axis=2)[solid.head > 0.9]
    assert apart.min() > 60
    top = back[rows.min() + np.ptp(rows) // 4, middle]
    np.testing.assert_allclose(top, hair, atol=12)
