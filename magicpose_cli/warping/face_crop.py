"""The face of a person, upright and in the middle of a square."""

from __future__ import annotations

import cv2
import numpy as np

from magicpose_cli.arrays import Floats, Picture
from magicpose_cli.pose.keypoints import Pose
from magicpose_cli.warping.interpolation import similarity

_PLACES: Floats = np.array([(0.36, 0.44), (0.64, 0.44), (0.5, 0.58), (0.39, 0.72), (0.61, 0.72)])
"""Where eyes, nose and corners of the mouth go, as shares of the side: the whole head is seen."""
_PARTS = (slice(36, 42), slice(42, 48), slice(30, 31), slice(48, 49), slice(54, 55))
_MIN_SPAN_PX = 4.0  # between the eyes in the picture; less shows nobody


def upright_face(picture: Picture, pose: Pose, side: int) -> Picture | None:
    """Cut a person's face out, turned so that it stands upright.

    Args:
        picture: (H, W, 3) uint8 RGB.
        pose: The person in pixels of the picture.
        side: Of the result, in pixels.

    Returns:
        (side, side, 3) uint8 RGB, what is beyond the picture repeating its edge; None where the
        face is not seen.
    """
    found = np.stack([pose.face[part].mean(0) for part in _PARTS]).astype(np.float64)
    if not np.isfinite(found).all() or np.linalg.norm(found[1] - found[0]) < _MIN_SPAN_PX:
        return None
    return cut_square(picture, similarity(found, _PLACES * float(side)), side)


def face_or_black(picture: Picture, pose: Pose | None, side: int) -> Picture:
    """Cut a face out as `upright_face` does; a black square where it is not seen."""
    face = upright_face(picture, pose, side) if side and pose is not None else None
    return np.zeros((side, side, 3), np.uint8) if face is None else face


def cut_square(picture: Picture, matrix: Floats, side: int) -> Picture:
    """Cut a square out, (side, side, 3) uint8 RGB; beyond the picture its edge is repeated.

    Args:
        picture: (H, W, 3) uint8 RGB.
        matrix: (2, 3), from the picture's pixels to the square's without shear.
        side: In pixels.
    """
    shrinks = np.hypot(matrix[0, 0], matrix[1, 0]) < 1
    how = cv2.INTER_AREA if shrinks else cv2.INTER_CUBIC
    square = cv2.warpAffine(
        picture, matrix, (side, side), flags=how, borderMode=cv2.BORDER_REPLICATE
    )
    return square.astype(np.uint8, copy=False)
