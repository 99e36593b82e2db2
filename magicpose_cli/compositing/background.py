"""The background of the reference, kept in the network's frames: the camera does not move."""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np

from magicpose_cli.arrays import Floats, Picture
from magicpose_cli.pose.keypoints import Pose
from magicpose_cli.pose.region import person_region

BACKGROUND_FADE = 0.02  # of the short side, around the people


@dataclass(frozen=True)
class Bounds:
    """How near to the people, and how like the frame, the reference's pixels are taken.

    Attributes:
        reference: Width of the region of the reference's person, as a share of the widest one.
        frame: Width of the region of the frame's person, as a share of the widest one.
        smooth: Of the short side; finer differences do not count.
        same: Levels of 255 by which frame and reference may differ for all of the reference.
        other: Levels of 255 from which on nothing of the reference is taken.
    """

    reference: float
    frame: float
    smooth: float
    same: float
    other: float


AWAY_FROM_PERSON = Bounds(reference=1.0, frame=1.0, smooth=1 / 32, same=20.0, other=50.0)
BESIDE_LIMBS = Bounds(reference=0.8, frame=0.4, smooth=1 / 256, same=10.0, other=30.0)
"""Beside bare limbs the frame may show clothes, whose edge must not end in the air: there frame and
reference have to be alike pixel by pixel."""


class Background:
    """Puts the reference's own pixels where neither it nor the frame shows the person.

    Where the frame has another color than the reference, it stays as the network made it: a shadow,
    hair, or a skirt that no point lies on.

    Args:
        picture: (H, W, 3) uint8 RGB, the reference as the network saw it.
        reference_pose: Of the reference's person.
    """

    def __init__(self, picture: Picture, reference_pose: Pose) -> None:
        self._picture = picture.astype(np.float32)
        self._side = min(picture.shape[:2])
        self._known = [
            (
                bounds,
                self._smooth(self._picture, bounds),
                person_region(reference_pose, bounds.reference),
            )
            for bounds in (AWAY_FROM_PERSON, BESIDE_LIMBS)
        ]

    def keep(self, made: Picture, pose: Pose) -> Picture:
        """Put the background into one of the network's frames.

        Args:
            made: The network's frame, (H, W, 3) uint8 RGB.
            pose: Of its person.

        Returns:
            (H, W, 3) uint8 RGB.
        """
        frame = made.astype(np.float32)
        share = np.zeros(made.shape[:2], np.float32)
        for bounds, smooth, person in self._known:
            people = np.maximum(person, person_region(pose, bounds.frame))
            away = cv2.distanceTransform(1 - people, cv2.DIST_L2, 3) / (
                BACKGROUND_FADE * self._side
            )
            apart = np.abs(self._smooth(frame, bounds) - smooth).max(2)
            alike = (bounds.other - self._smooth(apart, bounds)) / (bounds.other - bounds.same)
            share = np.maximum(share, np.clip(away, 0, 1) * np.clip(alike, 0, 1))
        kept = np.rint(frame + share[..., None] * (self._picture - frame))
        return np.asarray(kept, np.uint8)

    def _smooth(self, picture: Floats, bounds: Bounds) -> Floats:
        smooth = cv2.GaussianBlur(picture, (0, 0), bounds.smooth * self._side)
        return np.asarray(smooth, np.float32)
