"""Gaps that a segmentation closes: the background between two legs, or between an arm and the body.

The segmentation sees 256x256 pixels and rounds such gaps off. The network that tells a person's
parts knows where the limbs are, and so what lies between them. Before a plain background the color
tells the gaps, too: it is the background's and not that of the limbs beside them.
"""

from __future__ import annotations

import cv2
import numpy as np

from magicpose_cli.arrays import Floats, Mask, Picture
from magicpose_cli.pose.height import body_height
from magicpose_cli.pose.keypoints import BODY_JOINTS, Pose
from magicpose_cli.pose.region import HEAD_NAMES, person_region
from magicpose_cli.warping.interpolation import push_pull
from magicpose_cli.warping.structuring import square_element
from magicpose_cli.warping.warp_points import BODY_SIDES

_HEAD_JOINTS = [BODY_JOINTS.index(name) for name in HEAD_NAMES]

LIKE_BACKGROUND = 14.0  # levels of 255 apart, the most of the three channels
UNLIKE_PERSON = 30.0  # levels of 255
SURE_WIDTHS = 0.3  # of the widths that limbs may have with clothes on
BONE_WIDTHS = 0.1  # likewise, of what lies along the bones alone
RARE = 0.05  # share of it that may look like the background where somebody's colors are their own
HAIR_REACH = 0.16  # body heights around the head's middle, in which hair is not told from a wall
HEAD_REACH = 0.2  # likewise, in which the part network does not know hair
SEGMENTED, SEEN_BY_PARTS = 0.5, 0.1  # values of the segmentation and of the part network's person
STRANGE_CLOTHES = 0.01  # of what is segmented: with more unseen by the part network it errs
HAND_BEYOND, HAND_RADIUS = 0.4, 0.06  # of the forearm behind the wrist; body heights
MIN_GAP = 2e-4  # body heights squared: a smaller piece is a highlight or a shadow
GAP_EROSION_PX = 5  # side of the square by which a gap is eroded: its edge is found by matting
GAP_EROSION_OF = 512  # short side in pixels of the picture that this is meant for


def find_gaps_beside_limbs(mask: Floats, seen: Floats, pose: Pose) -> Mask:
    """Find background beside limbs that a segmentation is not sure of, nor the part network.

    That network has seen no wide skirts and capes: where it takes what is segmented for background,
    it is not asked.

    Args:
        mask: The segmentation, (H, W) float32, 0 to 1, of the pose's size.
        seen: The same as the part network sees it.
        pose: Of the person.

    Returns:
        (H, W) bool.
    """
    height = body_height(pose) or 0.0
    sure = mask > SEGMENTED
    missed = (seen < SEEN_BY_PARTS) & ~around_head(pose)
    if (missed & sure).sum() > STRANGE_CLOTHES * sure.sum():
        return np.zeros(mask.shape, bool)
    found = missed & ~sure & ~_limbs_and_hands(pose, height)
    square = square_element(GAP_EROSION_PX * min(mask.shape) / GAP_EROSION_OF)
    return cv2.erode(found.astype(np.uint8), square) > 0


def _limbs_and_hands(pose: Pose, height: float) -> Mask:
    """Tell what lies along the bones, and around the hands, seen or not, (H, W)."""
    core = person_region(pose, SURE_WIDTHS, skirt=False)
    for side in BODY_SIDES:
        elbow, wrist = (
            pose.body[BODY_JOINTS.index(f"{side}_{joint}")] for joint in ("elbow", "wrist")
        )
        if np.isfinite([elbow, wrist]).all():
            middle = np.rint(wrist + HAND_BEYOND * (wrist - elbow)).astype(int).tolist()
            cv2.circle(core, middle, round(HAND_RADIUS * height), (1,), -1)
    return core > 0


def around_head(pose: Pose, reach: float = HEAD_REACH) -> Mask:
    """Tell what lies around the head's middle, (H, W); nothing where no head is seen.

    reach: body heights; by default those in which the part network does not know hair.
    """
    radius = reach * (body_height(pose) or 0.0)
    near = np.zeros((pose.height, pose.width), np.uint8)
    head = pose.body[_HEAD_JOINTS]
    head = head[np.isfinite(head).all(1)]
    if len(head):
        cv2.circle(near, np.rint(head.mean(0)).astype(int).tolist(), round(radius), (1,), -1)
    return near > 0


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
    return (core > 0) | around_head(pose, HAIR_REACH)
