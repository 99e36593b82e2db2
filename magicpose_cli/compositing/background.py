"""The background of the reference, kept in the made frames: the camera stands still."""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np

from magicpose_cli.pose.keypoints import Pose
from magicpose_cli.pose.region import person_region

FADE = 0.02  # of the short side, around the people


@dataclass(frozen=True)
class Bounds:
    """How near to the people, and how like the frame, the reference's pixels are taken.

    still, moving: widths of the regions of the reference's person and of the frame's, as shares of
    what they may fill. smooth: of the short side; differences that are finer do not count. same,
    other: levels of 255 by which frame and reference differ, at most for all of the reference, at
    least for none of it.
    """

    still: float
    moving: float
    smooth: float
    same: float
    other: float


FAR = Bounds(still=1.0, moving=1.0, smooth=1 / 32, same=20.0, other=50.0)
NEAR = Bounds(still=0.8, moving=0.4, smooth=1 / 256, same=10.0, other=30.0)
"""Away from all that the points tell of, and beside the bare limbs. There the frame may show
clothes, and at a seam of the reference's the edge must not stand in the air: pixel by pixel alike.
"""


class Background:
    """Puts the reference's own pixels where neither it nor the frame shows the person.

    picture: (H, W, 3) uint8 RGB, the reference as the network saw it. still: its person's pose.
    Where the frame is of another color than the reference, it stays as it was made: a shadow, hair,
    or a skirt that the points do not tell of.
    """

    def __init__(self, picture: np.ndarray, still: Pose):
        self._picture = picture.astype(np.float32)
        self._side = min(picture.shape[:2])
        self._known = [
            (bounds, self._smooth(self._picture, bounds), person_region(still, bounds.still))
            for bounds in (FAR, NEAR)
        ]

    def keep(self, made: np.ndarray, pose: Pose) -> np.ndarray:
        """A made frame (H, W, 3) uint8 of the person in `pose`, with the background kept."""
        frame = made.astype(np.float32)
        share = np.zeros(made.shape[:2], np.float32)
        for bounds, smooth, person in self._known:
            people = np.maximum(person, person_region(pose, bounds.moving))
            away = cv2.distanceTransform(1 - people, cv2.DIST_L2, 3) / (FADE * self._side)
            apart = np.abs(self._smooth(frame, bounds) - smooth).max(2)
            alike = (bounds.other - self._smooth(apart, bounds)) / (bounds.other - bounds.same)
            share = np.maximum(share, np.clip(away, 0, 1) * np.clip(alike, 0, 1))
        return np.rint(frame + share[..., None] * (self._picture - frame)).astype(np.uint8)

    def _smooth(self, picture: np.ndarray, bounds: Bounds) -> np.ndarray:
        return cv2.GaussianBlur(picture, (0, 0), bounds.smooth * self._side)
