"""Feet that a segmentation overlooks.

It was made for people before a desk: of whole bodies it often misses a shoe. Beyond an ankle what
has not the ground's color is a foot, unless it is the ground in the shade.
"""

from __future__ import annotations

from collections.abc import Sequence

import cv2
import numpy as np

from magicpose_cli.arrays import Floats, Mask, Picture
from magicpose_cli.pose.height import body_height
from magicpose_cli.pose.keypoints import Pose
from magicpose_cli.warping.interpolation import push_pull

FEET_BONES = ((9, 10), (12, 13))  # knees and ankles among the joints
FOOT_LENGTH = 0.25  # shins beyond the ankle
FOOT_MIDDLE, FOOT_WIDTH = 0.03, 0.11  # body heights: what surely is a foot, what may be
FOOT_ENDS, FOOT_ROOM = (-0.1, 0.3), 0.16  # shins beyond the ankle, body heights: with its shoe
OVERLOOKED = 0.3  # of the foot's middle: a segmentation that holds less has missed it
UNLIKE_GROUND = 40.0  # levels of 255 apart, the most of the three channels
SHADED = (0.3, 1.0)  # of the ground's brightness
SHADE_COLOR = 26.0  # levels of 255: a shadow's color is the ground's, but for so much
FOOT_OPENING_PX = 3  # side of the square that removes the ground's grain


def find_feet(picture: Picture, trimap: Floats, pose: Pose) -> Mask:
    """Find feet where a trimap does not tell them.

    Args:
        picture: (H, W, 3) uint8 RGB of the pose's size.
        trimap: (H, W) float32: 0 behind, 1 in front, a half unknown.
        pose: Of the person.

    Returns:
        (H, W) bool, what hangs together with the end of a shin.
    """
    found = np.zeros(trimap.shape, bool)
    height = body_height(pose)
    if not height:
        return found
    for shin in _shins(pose):
        middle = _beyond(shin, FOOT_MIDDLE * height, trimap.shape)
        zone = _beyond(shin, FOOT_WIDTH * height, trimap.shape)
        ground = (trimap == 0) & ~zone
        if middle.any() and (trimap[middle] == 1).mean() < OVERLOOKED and ground.any():
            found |= _largest_piece(zone & (trimap < 1) & _unlike_ground(picture, ground))
    return found


def around_feet(pose: Pose) -> Mask:
    """Tell where feet and shoes may be, with the ends of the shins, (H, W)."""
    zone = np.zeros((pose.height, pose.width), bool)
    height = body_height(pose) or 0.0
    for shin in _shins(pose):
        zone |= _beyond(shin, FOOT_ROOM * height, zone.shape, FOOT_ENDS)
    return zone


def _shins(pose: Pose) -> list[Floats]:
    """Knee and ankle, (2, 2), of each leg whose both are seen."""
    shins = [pose.body[list(bone)].astype(np.float64) for bone in FEET_BONES]
    return [shin for shin in shins if np.isfinite(shin).all()]


def _beyond(
    shin: Floats, width: float, shape: tuple[int, ...], ends: Sequence[float] = (0.0, FOOT_LENGTH)
) -> Mask:
    """Tell what lies beyond a shin's ankle, (H, W).

    Args:
        shin: Knee and ankle, (2, 2).
        width: Of the zone in pixels.
        shape: Of the picture.
        ends: Of the zone, in shins beyond the ankle.
    """
    zone = np.zeros(shape, np.uint8)
    points = np.rint(shin[1] + np.outer(ends, shin[1] - shin[0])).astype(int).tolist()
    cv2.line(zone, points[0], points[1], (1,), max(1, round(width)))
    return zone > 0


def _unlike_ground(picture: Picture, ground: Mask) -> Mask:
    """Tell what has neither the ground's color nor that of its shade, (H, W)."""
    colors = picture.astype(np.float32)
    behind = push_pull(colors, ground.astype(np.float32))
    dark = colors.mean(2) / np.maximum(behind.mean(2), 1.0)
    shaded = np.abs(colors - dark[..., None] * behind).max(2) < SHADE_COLOR
    shaded &= (dark > SHADED[0]) & (dark < SHADED[1])
    return np.asarray((np.abs(colors - behind).max(2) > UNLIKE_GROUND) & ~shaded)


def _largest_piece(mask: Mask) -> Mask:
    """Keep the largest piece that hangs together, without the ground's grain."""
    grain = np.ones((FOOT_OPENING_PX,) * 2, np.uint8)
    opened = cv2.morphologyEx(mask.astype(np.uint8), cv2.MORPH_OPEN, grain)
    _, pieces, stats, _ = cv2.connectedComponentsWithStats(opened)
    if len(stats) < 2:
        return np.zeros(mask.shape, bool)
    return np.asarray(pieces == 1 + stats[1:, cv2.CC_STAT_AREA].argmax())
