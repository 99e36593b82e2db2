"""A picture in which the others are painted over, so that one person of several can be read.

A network that reads one person takes the limbs of whoever is nearest. Where people touch, each is
read with the others, as they were in the frame before, hidden behind blurred colors: a plain one
would show their shape, which is read as a person's. What may be the person's own stays.
"""

from __future__ import annotations

from collections.abc import Sequence

import cv2
import numpy as np

from magicpose_cli.arrays import Floats, Picture
from magicpose_cli.pose.draw import LIMBS
from magicpose_cli.pose.keypoints import BODY_JOINTS, Pose

# In sides of the person's region, which is a third larger than they are tall.
LIMB_REACH = 0.035  # from a bone to the end of sleeves and trousers
HEAD_REACH = 0.065  # from the middle of the face to the end of the hair
COARSE, BLUR = 0.03, 11  # the blur of what hides people: a step, and how many of them
NEAR = 0.1  # between two people from which on they may be mixed
_TORSO = [
    BODY_JOINTS.index(name) for name in ("right_shoulder", "left_shoulder", "left_hip", "right_hip")
]
_HEAD = [BODY_JOINTS.index(n) for n in ("nose", "right_eye", "left_eye", "right_ear", "left_ear")]
_BONES = [(a, b) for a, b in LIMBS if a not in _HEAD and b not in _HEAD]


def are_near(one: Pose, other: Pose, side: float) -> bool:
    """Whether the boxes around two bodies are nearer than NEAR; side: of their regions, pixels."""
    boxes = [_box(_joints(pose)) for pose in (one, other)]
    if any(box is None for box in boxes):
        return False
    (low, high), (other_low, other_high) = (box for box in boxes if box is not None)
    apart = np.maximum(np.maximum(other_low - high, low - other_high), 0.0)
    return bool(np.hypot(*apart) < NEAR * side)


def hide_others(picture: Picture, own: Pose, others: Sequence[Pose], side: float) -> Picture:
    """Return the picture with the others painted over, but for where the person may be.

    Args:
        picture: RGB.
        own: The person who is to be read, as they were a frame ago.
        others: Those who are near, as they are or were a frame ago.
        side: Of the person's region, pixels.
    """
    hidden = np.zeros(picture.shape[:2], np.uint8)
    for other in others:
        _draw(hidden, other, side, 1)
    _draw(hidden, own, side, 0)
    return _filled(picture, hidden, side)


def _filled(picture: Picture, hidden: Picture, side: float) -> Picture:
    """Return the picture with the hidden pixels in the blurred colors of what is around them."""
    high, wide = hidden.shape
    step = max(1, round(COARSE * side))
    small = (max(1, wide // step), max(1, high // step))
    colors = cv2.resize(picture, small, interpolation=cv2.INTER_AREA).astype(np.float32)
    seen = cv2.resize(255 * (1 - hidden), small, interpolation=cv2.INTER_AREA) == 255
    known = np.dstack([colors, np.ones(seen.shape, np.float32)]) * seen[..., None]
    blurred = cv2.blur(known, (BLUR, BLUR)) + 1e-3 * known.mean(axis=(0, 1))
    around = (blurred[..., :3] / np.maximum(blurred[..., 3:], 1e-6)).clip(0, 255).astype(np.uint8)
    shown = picture.copy()
    np.copyto(
        shown,
        cv2.resize(around, (wide, high), interpolation=cv2.INTER_LINEAR),
        where=hidden[..., None] > 0,
    )
    return shown


def _draw(mask: Picture, pose: Pose, side: float, value: int) -> None:
    """Draw a body's silhouette, of thick bones, into a mask."""
    joints, color = _joints(pose), (value,)
    thick = max(1, round(2 * LIMB_REACH * side))
    for start, end in _BONES:
        if np.isfinite(joints[[start, end]]).all():
            ends = [[int(value) for value in joints[joint]] for joint in (start, end)]
            cv2.line(mask, ends[0], ends[1], color, thick)
    if np.isfinite(joints[_TORSO]).all():
        cv2.fillConvexPoly(mask, cv2.convexHull(joints[_TORSO].astype(np.int32)), color)
    head = joints[_HEAD]
    head = head[np.isfinite(head).all(axis=1)]
    if len(head):
        x, y = head.mean(axis=0)
        cv2.circle(mask, (int(x), int(y)), max(1, round(HEAD_REACH * side)), color, -1)


def _joints(pose: Pose) -> Floats:
    """(18, 2) pixels: as seen, else as guessed."""
    if pose.body_guess is None:
        return pose.body
    return np.where(pose.body_score[:, None] > 0, pose.body, pose.body_guess[:, :2])


def _box(joints: Floats) -> tuple[Floats, Floats] | None:
    known = joints[np.isfinite(joints).all(axis=1)]
    return (known.min(axis=0), known.max(axis=0)) if len(known) else None
