"""The plate, moved as the driver's camera moves, with a guess beyond the picture's edges."""

from __future__ import annotations

from itertools import pairwise

import cv2
import numpy as np

from magicpose_cli.arrays import Floats, softly_limited
from magicpose_cli.warping.camera_motion import CameraMotion
from magicpose_cli.warping.interpolation import upsample

CAMERA_DEAD_ZONE_PX = 0.3  # a smaller motion is ignored, and one of twice the size is taken wholly
MAX_CAMERA_SHIFT = 0.25  # of the frame's width and height, which no motion reaches
FREE_CAMERA_SHIFT = 0.12  # up to which it is taken wholly
BEYOND_EDGE_BLUR = 1 / 24  # of the short side: standard deviation, at the furthest
EDGE_LINE_PX = 2  # at a picture's edges, where many have a line that must not come into the frame
MAP_STEP_PX = 16  # between places at which a motion is looked up
_BLURS = (0.0, 0.15, 0.4, 1.0)  # of the strongest one, that are blended


class MovablePlate:
    """A plate that can be moved; beyond its edges it is mirrored, and blurred the more the further.

    Args:
        plate: (H, W, n) float32 in 0..255.
    """

    def __init__(self, plate: Floats) -> None:
        self._height, self._width = plate.shape[:2]
        self._pad = tuple(int(MAX_CAMERA_SHIFT * side) + 2 for side in (self._width, self._height))
        self._extended = self._extend(plate)

    def moved(self, camera: CameraMotion) -> tuple[Floats, Floats] | None:
        """Move the plate into a frame.

        Returns:
            The plate, (H, W, n) float32 in 0..255, and by how many pixels it has moved, (H, W)
            float32; None where the camera stands still.
        """
        steps = (-(-side // MAP_STEP_PX) + 1 for side in (self._width, self._height))
        ends = (self._width - 1, self._height - 1)
        lines = (np.linspace(0, end, n) for end, n in zip(ends, steps, strict=True))
        further = camera.displacements(np.stack(np.meshgrid(*lines), axis=-1))
        further *= limited_share(further, (self._width, self._height))
        if not further.any():
            return None
        field = upsample(further.astype(np.float32), (self._width, self._height))
        x = field[..., 0] + np.arange(self._width, dtype=np.float32) + self._pad[0]
        y = field[..., 1] + np.arange(self._height, dtype=np.float32)[:, None] + self._pad[1]
        plate = cv2.remap(
            self._extended, x, y, cv2.INTER_CUBIC, borderMode=cv2.BORDER_REFLECT_101
        ).reshape(self._height, self._width, -1)
        return plate.astype(np.float32), np.abs(field).max(axis=2)

    def _extend(self, plate: Floats) -> Floats:
        """Mirror the plate at its edges, uint8."""
        across, down = self._pad
        cut = EDGE_LINE_PX
        ends = (down + cut, down + cut, across + cut, across + cut)
        whole = plate[cut:-cut, cut:-cut]
        wide = cv2.copyMakeBorder(whole, *ends, cv2.BORDER_REFLECT_101)
        wide = wide.reshape(*wide.shape[:2], -1)
        inside = np.zeros(wide.shape[:2], np.uint8)
        inside[down : down + self._height, across : across + self._width] = 1
        away = cv2.distanceTransform(1 - inside, cv2.DIST_L2, 5)[..., None]
        wanted = np.clip(away / (MAX_CAMERA_SHIFT * min(self._width, self._height)), 0, 1)
        most = BEYOND_EDGE_BLUR * min(self._width, self._height)
        shown = np.asarray(wide, np.float32)
        for less, more in pairwise(_BLURS):
            blurred = cv2.GaussianBlur(wide, (0, 0), max(0.3, more * most)).reshape(wide.shape)
            shown = shown + np.clip((wanted - less) / (more - less), 0, 1) * (blurred - shown)
        return np.clip(np.rint(shown), 0, 255).astype(np.uint8)


def limited_share(further: Floats, size: tuple[int, int]) -> float:
    """Return how much of a motion is shown: nothing of a tremble, and less of what goes too far.

    Args:
        further: (..., 2) pixels, the motion all over the frame.
        size: (width, height) of the frame.

    Returns:
        0 to 1. The largest motion that is left comes near to MAX_CAMERA_SHIFT, but smoothly.
    """
    length = float(np.hypot(further[..., 0], further[..., 1]).max())
    share = float(np.clip((length - CAMERA_DEAD_ZONE_PX) / CAMERA_DEAD_ZONE_PX, 0, 1))
    part = float((np.abs(further) / size).max())
    if part > FREE_CAMERA_SHIFT:
        share *= float(softly_limited(part, FREE_CAMERA_SHIFT, MAX_CAMERA_SHIFT)) / part
    return share
