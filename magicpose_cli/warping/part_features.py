"""What the part segmentation network sees and tells: a person, with their bones drawn in."""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np

from magicpose_cli.arrays import Floats, Picture
from magicpose_cli.warping.boxes import bounding_box
from magicpose_cli.warping.parts import (
    HAND_LENGTH,
    PART_JOINTS,
    erase_hull,
    mirrored_part,
    shows_trunk,
    trunk_outline,
)
from magicpose_cli.warping.warp_points import BODY_SIDES, WarpPoints, is_known

FEATURE_SIDE_PX = 160  # of the square that the network sees
MARGIN = 0.06  # of the square's side, around the person
BONE_RADIUS = 0.06  # body heights, over which a bone's trace fades to 1 / e
PERSON_ALPHA = 0.5  # of the matte, from which on a pixel counts for the square
TRACES = (*PART_JOINTS, *(f"{side}_hand" for side in BODY_SIDES), "trunk", "face")
FEATURE_CHANNELS = 4 + len(TRACES)
"""Color, matte, and how near each of TRACES is."""
SEGMENTED_PARTS = (
    "background", "head", "trunk",
    "right_upper_arm", "right_forearm", "right_hand",
    "left_upper_arm", "left_forearm", "left_hand",
    "right_thigh", "right_shin", "left_thigh", "left_shin",
)  # fmt: skip
"""The network's classes; hair is of the head, a foot of its shin, a garment of what it covers."""
MIRRORED_CHANNELS = [0, 1, 2, 3, *(4 + TRACES.index(mirrored_part(name)) for name in TRACES)]
"""Of each channel that which it becomes in a mirrored picture."""


@dataclass(frozen=True)
class FeatureSquare:
    """Where the network looks: a square of a picture.

    Attributes:
        matrix: (2, 3) from the picture's pixels to the square's.
    """

    matrix: Floats

    @classmethod
    def around(cls, alpha: Floats) -> FeatureSquare | None:
        """Find the square around a person, by their matte (H, W); None where nobody is."""
        box = bounding_box(alpha > PERSON_ALPHA)
        if box is None:
            return None
        rows, columns = box
        center = np.array([columns.start + columns.stop - 1, rows.start + rows.stop - 1]) / 2
        side = max(rows.stop - rows.start, columns.stop - columns.start) * (1 + 2 * MARGIN)
        scale = FEATURE_SIDE_PX / side
        shift = (FEATURE_SIDE_PX - 1) / 2 - scale * center
        return cls(np.column_stack([scale * np.eye(2), shift]))

    @property
    def scale(self) -> float:
        """Pixels of the square in one of the picture."""
        return float(np.sqrt(abs(np.linalg.det(self.matrix[:, :2]))))

    def look(self, picture: Floats) -> Floats:
        """Sample a picture (H, W) or (H, W, n) in the square; beyond its edges it is 0."""
        size = (FEATURE_SIDE_PX, FEATURE_SIDE_PX)
        if self.scale < 0.7:  # what is made smaller is averaged first
            blur = 0.4 / self.scale
            picture = np.asarray(cv2.GaussianBlur(picture, (0, 0), blur), np.float32)
        return np.asarray(cv2.warpAffine(picture, self.matrix, size, flags=cv2.INTER_LINEAR))

    def back(self, found: Floats, picture: Picture) -> Floats:
        """Carry the square's values (s, s) back to the place of the picture's pixels, (H, W)."""
        flags = cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP
        size = picture.shape[1], picture.shape[0]
        return np.asarray(cv2.warpAffine(found, self.matrix, size, flags=flags))

    def place(self, points: Floats) -> Floats:
        """Carry points (n, 2) into the square."""
        placed: Floats = points @ self.matrix[:, :2].T + self.matrix[:, 2]
        return placed


def part_features(
    picture: Picture, alpha: Floats, reference: WarpPoints, height: float, square: FeatureSquare
) -> Floats:
    """Make the network's input.

    Args:
        picture: (H, W, 3) uint8 RGB.
        alpha: (H, W) float32, 0 to 1, the person's matte.
        reference: The person's points.
        height: Of the whole body, in pixels of the picture.
        square: Where the network looks.

    Returns:
        (FEATURE_CHANNELS, s, s) float32: the color about 0, the matte, how near each limb's bone,
        each hand's points, the trunk and the face are, 0 to 1; 0 where they are not known.
    """
    colors = square.look(picture.astype(np.float32)) / 127.5 - 1
    matte = square.look(alpha.astype(np.float32))
    traces = [_trace(shape, square, height) for shape in _shapes(reference, height)]
    features: Floats = np.stack([*np.moveaxis(colors, 2, 0), matte, *traces])
    return features.astype(np.float32)


def _shapes(reference: WarpPoints, height: float) -> list[Floats | None]:
    """Return each trace's points, (n, 2), a line or a hull; None where it is not known."""
    shapes: list[Floats | None] = []
    for start, end in PART_JOINTS.values():
        known = reference.has(start, end)
        shapes.append(np.array([reference.joint(start), reference.joint(end)]) if known else None)
    for side in BODY_SIDES:
        hand = reference.hands[side]
        if reference.has_hand(side):
            shapes.append(hand[is_known(hand)])
        elif reference.has(f"{side}_elbow", f"{side}_wrist"):
            elbow, wrist = reference.joint(f"{side}_elbow"), reference.joint(f"{side}_wrist")
            shapes.append(np.array([wrist, wrist + HAND_LENGTH * (wrist - elbow)]))
        else:
            shapes.append(None)
    shapes.append(trunk_outline(reference, height) if shows_trunk(reference) else None)
    shapes.append(reference.outline() if reference.has_face else None)
    return shapes


def _trace(shape: Floats | None, square: FeatureSquare, height: float) -> Floats:
    """Return exp(-distance / BONE_RADIUS) to a hull of points, (s, s)."""
    side = FEATURE_SIDE_PX
    if shape is None or not np.isfinite(shape).all():
        return np.zeros((side, side), np.float32)
    fraction = 4
    points = np.rint(square.place(shape) * (1 << fraction)).clip(-30000, 30000).astype(np.int32)
    room = side // 4  # what lies a little outside leaves its trace as well
    away = np.ones((side + 2 * room,) * 2, np.uint8)
    erase_hull(away, points + (room << fraction), fraction)
    if away.all():
        return np.zeros((side, side), np.float32)
    distance = cv2.distanceTransform(away, cv2.DIST_L2, 3)[room : room + side, room : room + side]
    radius = max(1.0, BONE_RADIUS * height * square.scale)
    return np.asarray(np.exp(-distance / radius), np.float32)
