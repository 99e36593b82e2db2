"""The plate: the reference without its person, with a guess where they stand."""

from __future__ import annotations

import cv2
import numpy as np

from magicpose_cli.arrays import Floats, Integers, Picture
from magicpose_cli.warping.interpolation import push_pull

MIN_HOLE_ALPHA = 0.03  # where the matte has more, a color is not the background's own
HOLE_GROWTH_PX = 7  # around such pixels, at a short side of 512
HOLE_FADE_PX = 4  # into the hole, at a short side of 512


def make_plate(picture: Picture, alpha: Floats) -> tuple[Floats, Integers]:
    """Fill the place of the picture's person smoothly from its surroundings.

    Texture that is made up would be sharper and further from the truth.

    Args:
        picture: (H, W, 3) uint8 RGB.
        alpha: (H, W) float32, 0 to 1, the person's matte.

    Returns:
        The plate, (H, W, 3) float32 in 0..255, and the hole that was filled, (H, W) uint8, 0 or 1.
        Outside of the hole the plate is the picture, exactly.
    """
    unit = min(alpha.shape) / 512
    side = max(3, round(HOLE_GROWTH_PX * unit) | 1)
    person = (alpha > MIN_HOLE_ALPHA).astype(np.uint8)
    hole = np.asarray(cv2.dilate(person, np.ones((side, side), np.uint8)), np.uint8)
    filled = push_pull(picture.astype(np.float32), 1 - hole.astype(np.float32))
    depth = cv2.distanceTransform(hole, cv2.DIST_L2, 3) / max(1.0, HOLE_FADE_PX * unit)
    inside = np.clip(depth, 0, 1)[..., None]
    return picture + inside * (filled - picture), hole
