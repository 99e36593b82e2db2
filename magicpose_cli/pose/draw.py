"""The OpenPose-style picture of a Pose: what the network is shown.

The picture is the one ControlNet's annotator and `controlnet_aux.dwpose` draw: limbs as filled
ellipses at 0.6 of their color, joints as dots at full color, hands as lines by hue with blue dots,
the face as white dots. Sticks and dots have a fixed size in pixels, so a pose should be drawn at
the size of the film it comes from and the picture scaled afterward.
"""

from __future__ import annotations

import colorsys
import math
from typing import NamedTuple

import numpy as np

from magicpose_cli.arrays import Floats, Picture
from magicpose_cli.pose.keypoints import BODY_JOINTS, Pose

# Limbs in drawing order (later ones cover earlier ones), as pairs of joints; the color of a limb is
# that of the joint with the same index. The two ear-shoulder limbs of OpenPose are never drawn.
_LIMB_NAMES = (
    ("neck", "right_shoulder"), ("neck", "left_shoulder"),
    ("right_shoulder", "right_elbow"), ("right_elbow", "right_wrist"),
    ("left_shoulder", "left_elbow"), ("left_elbow", "left_wrist"),
    ("neck", "right_hip"), ("right_hip", "right_knee"), ("right_knee", "right_ankle"),
    ("neck", "left_hip"), ("left_hip", "left_knee"), ("left_knee", "left_ankle"),
    ("neck", "nose"), ("nose", "right_eye"), ("right_eye", "right_ear"),
    ("nose", "left_eye"), ("left_eye", "left_ear"),
)  # fmt: skip
LIMBS = tuple((BODY_JOINTS.index(a), BODY_JOINTS.index(b)) for a, b in _LIMB_NAMES)
JOINT_COLORS = (
    (255, 0, 0), (255, 85, 0), (255, 170, 0), (255, 255, 0), (170, 255, 0), (85, 255, 0),
    (0, 255, 0), (0, 255, 85), (0, 255, 170), (0, 255, 255), (0, 170, 255), (0, 85, 255),
    (0, 0, 255), (85, 0, 255), (170, 0, 255), (255, 0, 255), (255, 0, 170), (255, 0, 85),
)  # fmt: skip
# The annotators darken the whole canvas after the limbs; limbs never blend, so the colors can be
# darkened beforehand: 255, 170, 85 become 153, 102, 51.
LIMB_COLORS = tuple(tuple(int(0.6 * c) for c in color) for color in JOINT_COLORS[: len(LIMBS)])
# From the wrist to each fingertip.
HAND_EDGES = tuple(
    (0 if joint == 0 else 4 * finger + joint, 4 * finger + joint + 1)
    for finger in range(5)
    for joint in range(4)
)
HAND_COLORS = tuple(
    tuple(255.0 * c for c in colorsys.hsv_to_rgb(i / len(HAND_EDGES), 1.0, 1.0))
    for i in range(len(HAND_EDGES))
)
LIMB_HALF_WIDTH = JOINT_RADIUS = HAND_RADIUS = 4  # pixels
FACE_RADIUS = 3
HAND_LINE_WIDTH = 2


class StickSizes(NamedTuple):
    """How thick a pose is drawn, in pixels.

    Attributes:
        limb: Half the width of a limb.
        joint: Radius of a joint's dot.
        knuckle: Radius of a hand's dots.
        face: Radius of the face's dots; 0 draws none.
        hand_line: Width of a hand's lines.
    """

    limb: int = LIMB_HALF_WIDTH
    joint: int = JOINT_RADIUS
    knuckle: int = HAND_RADIUS
    face: int = FACE_RADIUS
    hand_line: int = HAND_LINE_WIDTH

    def enlarged(self, factor: float) -> StickSizes:
        """The same sizes times a factor, each at least one pixel."""
        return StickSizes(*(max(1, round(factor * size)) for size in self))


USUAL_SIZES = StickSizes()
USUAL_SIDE = 512  # pixels of the short side of an overlay whose sticks and dots have these sizes


def draw(
    pose: Pose, canvas: tuple[int, int] | None = None, sizes: StickSizes = USUAL_SIZES
) -> Picture:
    """Draw `pose` on black: (H, W, 3) uint8 RGB of the pose's own size.

    With `canvas` (width, height) the points are scaled to a picture of that size; sticks and dots
    keep their size in pixels. Unseen points (NaN) are not drawn.
    """
    if canvas is not None:
        pose = _scaled(pose, *canvas)
    picture = np.zeros((pose.height, pose.width, 3), dtype=np.uint8)
    _draw_onto(picture, pose, sizes)
    return picture


def overlay(frame: Picture, *people: Pose) -> Picture:
    """Draw people over a dimmed copy of `frame` (H, W, 3) uint8 RGB, the first in front.

    Points are scaled to the frame's size, and so are sticks and dots: for people to look at.
    """
    height, width = frame.shape[:2]
    picture = np.right_shift(frame, 1, dtype=np.uint8)
    for pose in reversed(people):
        sizes = USUAL_SIZES.enlarged(min(width, height) / USUAL_SIDE)
        _draw_onto(picture, _scaled(pose, width, height), sizes)
    return picture


def _scaled(pose: Pose, width: int, height: int) -> Pose:
    scale = np.array([width / pose.width, height / pose.height])
    return pose.map_points(lambda points: points * scale, width, height)


def _draw_onto(picture: Picture, pose: Pose, sizes: StickSizes) -> None:
    import cv2

    limb, joint, knuckle, dot, line = sizes
    body = pose.body.astype(np.float64)
    seen = np.isfinite(body).all(axis=1)
    for (a, b), color in zip(LIMBS, LIMB_COLORS, strict=True):
        if seen[a] and seen[b]:
            (xa, ya), (xb, yb) = body[a], body[b]
            center = int((xa + xb) / 2), int((ya + yb) / 2)
            axes = int(math.hypot(xa - xb, ya - yb) / 2), limb
            angle = int(math.degrees(math.atan2(ya - yb, xa - xb)))
            outline = np.asarray(cv2.ellipse2Poly(center, axes, angle, 0, 360, 1))
            cv2.fillConvexPoly(picture, outline, color)
    for (x, y), visible, color in zip(body, seen, JOINT_COLORS, strict=True):
        if visible:
            cv2.circle(picture, (int(x), int(y)), joint, color, thickness=-1)
    for hand in (pose.left_hand, pose.right_hand):
        points = _drawable(hand)
        for (a, b), hue in zip(HAND_EDGES, HAND_COLORS, strict=True):
            start, end = points[a], points[b]
            if start is not None and end is not None:
                cv2.line(picture, start, end, hue, thickness=line)
        for point in points:
            if point is not None:
                cv2.circle(picture, point, knuckle, (0, 0, 255), thickness=-1)
    for point in _drawable(pose.face) if dot else ():
        if point is not None:
            cv2.circle(picture, point, dot, (255, 255, 255), thickness=-1)


def _drawable(points: Floats) -> list[tuple[int, int] | None]:
    """Whole pixels of hand or face points; None for the unseen.

    Points left of or above the second column or row are left out as well: the annotators take them
    for "not found".
    """
    return [
        (int(x), int(y)) if x >= 1 and y >= 1 else None  # NaN compares false
        for x, y in points.tolist()
    ]
