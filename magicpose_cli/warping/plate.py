"""What is behind the person: the reference itself, and a guess where they stand."""

from __future__ import annotations

import cv2
import numpy as np

from magicpose_cli.warping.interpolation import push_pull

TOUCHED = 0.03  # of alpha: what has more is not the background's own color
GROWN = 7  # pixels at a short side of 512, around what is touched
FADE = 4  # pixels at 512, into the hole


def make_plate(picture: np.ndarray, alpha: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The picture without its person, (H, W, 3) float32, and the hole (H, W) uint8 that was filled.

    Outside of the hole it is the picture, exactly; inside it is smooth, for texture that is made up
    is sharper and further from the truth.
    """
    unit = min(alpha.shape) / 512
    side = max(3, round(GROWN * unit) | 1)
    hole = cv2.dilate((alpha > TOUCHED).astype(np.uint8), np.ones((side, side), np.uint8))
    filled = push_pull(picture.astype(np.float32), 1 - hole.astype(np.float32))
    depth = cv2.distanceTransform(hole, cv2.DIST_L2, 3) / max(1.0, FADE * unit)
    inside = np.clip(depth, 0, 1)[..., None]
    return picture + inside * (filled - picture), hole
