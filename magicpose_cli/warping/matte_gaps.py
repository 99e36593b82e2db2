"""Gaps that a segmentation closes: the background between two legs, or between an arm and the body.

The segmentation sees 256x256 pixels and rounds such gaps off. Before a plain background their color
tells them: it is the background's and not that of the limbs beside them.
"""

from __future__ import annotations

import cv2
import numpy as np

from magicpose_cli.arrays import Floats, Mask, Picture
from magicpose_cli.pose.height import body_height
from magicpose_cli.pose.keypoints import BODY_JOINTS, Pose
from magicpose_cli.pose.region import HEAD_NAMES, person_region
from magicpose_cli.warping.interpolation import push_pull

_HEAD_JOINTS = [BODY_JOINTS.index(name) for name in HEAD_NAMES]

LIKE_BACKGROUND = 14.0  # levels of 255 apart, the most of the three channels
UNLIKE_PERSON = 30.0  # levels of 255
SURE_WIDTHS = 0.3  # of the widths that limbs may have with clothes on
BONE_WIDTHS = 0.1  # likewise, of what lies along the bones alone
RARE = 0.05  # share of it that may look like the background where somebody's colors are their own
HAIR_REACH = 0.16  # body heights around the head's middle, in which hair is not told from a wall
MIN_GAP = 2e-4  # body heights squared: a smaller piece is a highlight or a shadow
GAP_EROSION_PX = 5  # side of the square by which a gap is eroded: its edge is found by matting


def find_gaps(picture: Picture, trimap: Floats, pose: Pose) -> Mask:
    """Find background where a trimap does not tell it.

    Args:
        picture: (H, W, 3) uint8 RGB of the pose's size.
        trimap: (H, W) float32: 0 behind, 1 in front, a half unknown.
        pose: Of the person.

    Returns:
        (H, W) bool.
    """
    height = body_height(pose)
    known = trimap == 0
    if not height or not known.any():
        return np.zeros(trimap.shape, bool)
    colors = picture.astype(np.float32)
    like_background = (
        np.abs(colors - push_pull(colors, known.astype(np.float32))).max(2) < LIKE_BACKGROUND
    )
    core = _core(pose, height, trimap, like_background) & (trimap > 0)
    if not core.any():
        return np.zeros(trimap.shape, bool)
    front = push_pull(colors, core.astype(np.float32))
    unlike_person = np.abs(colors - front).max(2) > UNLIKE_PERSON
    found = ~known & ~core & like_background & unlike_person
    opened = cv2.erode(found.astype(np.uint8), np.ones((GAP_EROSION_PX, GAP_EROSION_PX), np.uint8))
    _, pieces, stats, _ = cv2.connectedComponentsWithStats(opened)
    large = stats[:, cv2.CC_STAT_AREA] > MIN_GAP * height**2
    large[0] = False
    return np.asarray(large[pieces])


def _core(pose: Pose, height: float, trimap: Floats, like_background: Mask) -> Mask:
    """Tell what surely is the person, (H, W): trunk, bones, hands, and the head with its hair.

    Of somebody who has nothing of the background's colors less is sure, as colors tell the rest:
    an arm may be thin, and a waist narrow.
    """
    bones = (person_region(pose, BONE_WIDTHS, skirt=False) > 0) & (trimap == 1)
    core = person_region(pose, SURE_WIDTHS, skirt=False)
    if bones.any() and like_background[bones].mean() < RARE:
        core[like_background] = 0
    head = pose.body[_HEAD_JOINTS]
    head = head[np.isfinite(head).all(1)]
    if len(head):
        middle = np.rint(head.mean(0)).astype(int).tolist()
        cv2.circle(core, middle, round(HAIR_REACH * height), (1,), -1)
    return core > 0
