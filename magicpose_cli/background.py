"""The background of the reference, kept in the made frames: the camera stands still."""

from __future__ import annotations

import cv2
import numpy as np

from magicpose_cli.pose.keypoints import Pose
from magicpose_cli.pose.region import person_region

FADE = 0.02  # of the short side, around the people
SMOOTH = 1 / 32  # of the short side: what is finer is lost in a decoder and makes no difference
SAME, OTHER = 20.0, 50.0  # levels of 255 by which frame and reference differ


class Background:
    """Puts the reference's own pixels where neither it nor the frame shows the person.

    picture: (H, W, 3) uint8 RGB, the reference as the network saw it. still: its person's pose.
    Where the frame is of another color than the reference, it stays as it was made: a shadow, hair,
    or a skirt that the points do not tell of.
    """

    def __init__(self, picture: np.ndarray, still: Pose):
        self._picture = picture.astype(np.float32)
        self._side = min(picture.shape[:2])
        self._coarse = self._smooth(self._picture)
        self._person = person_region(still)

    def keep(self, made: np.ndarray, pose: Pose) -> np.ndarray:
        """A made frame (H, W, 3) uint8 of the person in `pose`, with the background kept."""
        frame = made.astype(np.float32)
        people = np.maximum(self._person, person_region(pose))
        away = cv2.distanceTransform(1 - people, cv2.DIST_L2, 3) / (FADE * self._side)
        apart = self._smooth(np.abs(self._smooth(frame) - self._coarse).max(2))
        alike = (OTHER - apart) / (OTHER - SAME)
        share = (np.clip(away, 0, 1) * np.clip(alike, 0, 1))[..., None]
        return np.rint(frame + share * (self._picture - frame)).astype(np.uint8)

    def _smooth(self, picture: np.ndarray) -> np.ndarray:
        return cv2.GaussianBlur(picture, (0, 0), SMOOTH * self._side)
