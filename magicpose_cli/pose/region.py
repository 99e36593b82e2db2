"""Where a person may be, told from their points: body, clothes, hair and all."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import product

import cv2
import numpy as np

from magicpose_cli.arrays import Floats, Integers, Picture
from magicpose_cli.pose.height import BONE_SHARES, body_height
from magicpose_cli.pose.keypoints import BODY_JOINTS, Pose

# Half widths in body heights, clothes included, and how far a limb goes on beyond its last joint.
# Of drawn people the region misses 2 % of the pixels, and covers half as many again as they fill.
LIMB_WIDTHS = (
    ("shoulder", "elbow", 0.05, 0.0),
    ("elbow", "wrist", 0.045, 0.7),
    ("hip", "knee", 0.065, 0.0),
    ("knee", "ankle", 0.05, 0.25),
)
TORSO_MARGIN, HEAD_RADIUS, HAIR_RADIUS, POINTS_MARGIN = 0.06, 0.10, 0.085, 0.03
BOTH_SIDES = ("right", "left")
# Where a joint that is not seen is taken to be: straight below another, by the length of a bone.
BELOW = (
    ("hip", "shoulder", ("neck", "right_hip")),
    ("knee", "hip", ("right_hip", "right_knee")),
    ("ankle", "knee", ("right_knee", "right_ankle")),
)
TORSO = ("right_shoulder", "left_shoulder", "left_hip", "right_hip")
LEGS = ("right_hip", "right_knee", "left_hip", "left_knee")
HEAD_NAMES = ("nose", "right_eye", "left_eye", "right_ear", "left_ear")


def person_region(pose: Pose, widths: float = 1.0, *, skirt: bool = True) -> Picture:
    """(height, width) uint8, 1 where the person of `pose` may be; all 1 where nothing is known.

    What lies below the last joint that is seen counts as theirs, as clothes hide joints.

    widths: factor of all widths; below 1 for less than what clothes and hair may fill.
    skirt: whether what lies between the thighs counts as theirs.
    """
    height = body_height(pose)
    if height is None:
        return np.ones((pose.height, pose.width), np.uint8)
    joints, unit = _joints(pose, height), widths * height
    region = np.zeros((pose.height, pose.width), np.uint8)
    for (upper, lower, width, beyond), side in product(LIMB_WIDTHS, BOTH_SIDES):
        root, end = joints.get(f"{side}_{upper}"), joints.get(f"{side}_{lower}")
        if root is not None and end is not None:
            _line(region, root, end + beyond * (end - root), width * unit)
    torso, legs, head = (
        [joints[name] for name in names if name in joints] for names in (TORSO, LEGS, HEAD_NAMES)
    )
    fill_hull(region, torso, TORSO_MARGIN * unit)
    if skirt:
        fill_hull(region, legs, 0.0)
    for point in head:
        cv2.circle(region, _pixel(point), round(HEAD_RADIUS * unit), (1,), -1)
    if head and torso:  # hair that falls on the shoulders
        _line(region, np.mean(head, 0), np.mean(torso[:2], 0), HAIR_RADIUS * unit)
    for part in ("face", "left_hand", "right_hand"):
        points = getattr(pose, part)
        fill_hull(region, list(points[np.isfinite(points).all(1)]), POINTS_MARGIN * unit)
    return region


def _joints(pose: Pose, height: float) -> dict[str, Floats]:
    """Seen joints by name, and those below them that are not."""
    joints = {
        name: point
        for name, point in zip(BODY_JOINTS, pose.body, strict=True)
        if np.isfinite(point).all()
    }
    for (lower, upper, bone), side in product(BELOW, BOTH_SIDES):
        name, above = f"{side}_{lower}", f"{side}_{upper}"
        if name not in joints and above in joints:
            joints[name] = joints[above] + (0, BONE_SHARES[bone] * height)
    return joints


def _line(region: Integers, start: Floats, end: Floats, half_width: float) -> None:
    cv2.line(region, _pixel(start), _pixel(end), (1,), max(1, round(2 * half_width)))


def fill_hull(region: Integers, points: Sequence[Floats] | Floats, margin: float) -> None:
    """Set what lies inside the points' hull, and `margin` pixels around it, to 1, in place."""
    if len(points) < 3:
        return
    hull = cv2.convexHull(np.rint(np.clip(points, -4096, 8192)).astype(np.int32))
    cv2.fillConvexPoly(region, hull, (1,))
    if margin >= 0.5:
        cv2.polylines(region, [hull], True, (1,), max(1, round(2 * margin)))


def _pixel(point: Floats) -> tuple[int, int]:
    """Whole pixels; far outside of the picture is near enough."""
    x, y = np.rint(np.clip(point, -4096, 8192)).astype(int).tolist()
    return x, y
