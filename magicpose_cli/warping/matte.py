"""The matte of a picture's person: their share of each pixel, and their own color in it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import cv2
import numpy as np

from magicpose_cli.arrays import Floats, Integers, Mask, Picture
from magicpose_cli.pose.height import body_height
from magicpose_cli.pose.keypoints import Pose
from magicpose_cli.pose.region import person_region
from magicpose_cli.warping.boxes import bounding_box
from magicpose_cli.warping.matte_feet import around_feet, find_feet
from magicpose_cli.warping.matte_gaps import around_head, find_gaps, find_gaps_beside_limbs
from magicpose_cli.warping.matte_skirts import find_wide_skirt
from magicpose_cli.warping.matting import closed_form_alpha, foreground_colors
from magicpose_cli.warping.part_segmentation import find_person_share
from magicpose_cli.warping.person_segmentation import REGION_GROWTH, segment
from magicpose_cli.warping.structuring import square_element
from magicpose_cli.warping.warp_points import WarpPoints

MATTING_SIDE_PX = 512  # short side at which soft edges are found; at 1080 that takes a minute
ERODED_PX, DILATED_PX = 9, 25
"""At a short side of MATTING_SIDE_PX: what surely is the person is eroded by a square of the first
side, what may be is dilated by one of the second; alpha is found by colors in the band between."""
PARTS_ERODED_PX = 19  # likewise, the square by which what the part network sees is eroded
GAP_EDGE_PX = 13  # likewise, the square around a gap in which nothing surely is the person
SURE_PERSON, SURE_BACKGROUND = 0.9, 0.1  # values of the segmentation
SURE_MASK = 0.5  # of a segmentation, where it has to decide
MIN_COVERED = 0.5  # of the person's points: a segmentation that holds fewer has missed them
MIN_CONTRAST = 2.0  # levels of 255: a smaller standard deviation is that of an empty picture
MISSED_WIDTHS = 0.5  # of the region's widths: what is added to a film's segmentation
BONE_THICKNESS, LIMB_THICKNESS = 0.012, 0.12  # body heights that surely are limb, and that may be
DOUBTED = 0.2  # of the segmentation, where the part network is asked
CORE_WIDTHS = 0.45  # of the region's widths, in which the part network is sure
LIMB_BONES = ((2, 3), (3, 4), (5, 6), (6, 7), (8, 9), (9, 10), (11, 12), (12, 13))  # of the joints
GUIDE_RADIUS, GUIDE_SMOOTH = 4, 1e-4 * 255**2  # of the filter that brings a matte to a larger size


@dataclass(frozen=True)
class Matte:
    """How much of each pixel of a picture is its person's.

    Attributes:
        alpha: (H, W) float32, 0 to 1.
        foreground: (H, W, 3) float32 RGB in 0..255, the person's colors without what is behind
            them, where alpha is not 0.
    """

    alpha: Floats
    foreground: Floats


def find_matte(picture: Picture, pose: Pose, others: Sequence[Pose] = ()) -> Matte | None:
    """Find the matte of one person in a picture.

    A network segments the picture (MediaPipe's selfie segmentation, in its wheel); where there is
    none, or it misses the person, "GrabCut" does, which begins from the pose (Rother et al. 2004).
    The edge is found by closed-form matting (Levin et al. 2008).

    Args:
        picture: (H, W, 3) uint8 RGB of the pose's size.
        pose: Of the person.
        others: The other people of the picture; what is nearer to one of them is not the person.

    Returns:
        None where the person cannot be told from the background.
    """
    if not person_region(pose, REGION_GROWTH).any():
        return None
    mask = segment(picture, pose)
    if mask is None or _covered(mask, pose) < MIN_COVERED:
        mask = _cut_by_pose(picture, pose)
    near = _near(pose)
    if (skirt := find_wide_skirt(mask, near, pose)) is not None:
        near = np.maximum(near, skirt)
    mask = mask * near
    theirs = _nearer_to(others, pose)
    mask[theirs] = 0
    if _covered(mask, pose) < MIN_COVERED or float(picture.std(axis=(0, 1)).max()) < MIN_CONTRAST:
        return None
    trimap = _trimap(mask, pose)
    trimap[theirs] = 0
    if (seen := _seen_by_parts(picture, mask, pose)) is not None:
        trimap[_sure_by_parts(seen, mask, pose)] = 1
        _make_sure(trimap, find_gaps_beside_limbs(mask, seen, pose), 0, GAP_EDGE_PX)
    _make_sure(trimap, find_gaps(picture, trimap, pose), 0, GAP_EDGE_PX)
    _make_sure(trimap, find_feet(picture, trimap, pose), 1, ERODED_PX)
    scale = MATTING_SIDE_PX / min(picture.shape[:2])
    if scale >= 1:
        alpha = _refined(picture, trimap, mask)
    else:
        small = tuple(max(1, round(side * scale)) for side in picture.shape[1::-1])
        alpha = _refined(
            np.asarray(cv2.resize(picture, small, interpolation=cv2.INTER_AREA), np.uint8),
            np.asarray(cv2.resize(trimap, small, interpolation=cv2.INTER_NEAREST), np.float32),
            np.asarray(cv2.resize(mask, small, interpolation=cv2.INTER_AREA), np.float32),
        )
        alpha = _upscaled(alpha, picture, round(GUIDE_RADIUS / scale))
    return Matte(alpha, foreground_colors(picture, alpha))


def person_mask(picture: Picture, pose: Pose) -> Mask:
    """Find roughly where one person is, without soft edges: in a film, frame by frame.

    The network of `segment` finds the person; where it misses them, the region around the pose's
    points is taken. What lies along the pose's limbs and hands is added, as the network overlooks
    those that are raised.

    Args:
        picture: (H, W, 3) uint8 RGB of the pose's size.
        pose: Of the person.

    Returns:
        (H, W) bool; nothing where no point of the person is in the picture.
    """
    if pose.is_empty or not person_region(pose, REGION_GROWTH).any():
        return np.zeros((pose.height, pose.width), np.bool_)
    mask = segment(picture, pose)
    if mask is None or _covered(mask, pose) < MIN_COVERED:
        return np.asarray(person_region(pose) > 0)
    missed = person_region(pose, MISSED_WIDTHS)
    return np.asarray((mask * _near(pose) > SURE_MASK) | (missed > 0))


def _covered(mask: Floats, pose: Pose) -> float:
    """Return the share of the person's points inside the picture that the mask holds."""
    points = np.concatenate([pose.body, pose.face[::4]])
    points = points[np.isfinite(points).all(1)]
    height, width = mask.shape
    points = points[((points >= 0) & (points < (width, height))).all(1)].astype(int)
    return float((mask[points[:, 1], points[:, 0]] > 0.5).mean()) if len(points) else 0.0


def _near(pose: Pose) -> Floats:
    """Return 1 where the person may be with the widest clothes, else 0, (H, W) float32."""
    region = person_region(pose, REGION_GROWTH).astype(np.float32)
    return np.asarray(cv2.GaussianBlur(region, (0, 0), 3), np.float32)


def _nearer_to(others: Sequence[Pose], pose: Pose) -> Mask:
    """Return what lies outside of the person and nearer to one of the others, (H, W)."""
    own = _away_from(pose)
    nearer = np.zeros(own.shape, bool)
    for other in others:
        nearer |= _away_from(other) < own
    return nearer


def _away_from(pose: Pose) -> Floats:
    """Return the distance to a person in pixels, (H, W) float32."""
    outside = (person_region(pose) == 0).astype(np.uint8)
    return np.asarray(cv2.distanceTransform(outside, cv2.DIST_L2, 5), np.float32)


def _cut_by_pose(picture: Picture, pose: Pose) -> Floats:
    """Segment by the colors inside and outside of the pose's region, (H, W) float32, 0 or 1."""
    labels = np.where(person_region(pose) > 0, cv2.GC_PR_FGD, cv2.GC_BGD).astype(np.uint8)
    labels[(person_region(pose, 0.4) > 0) & (labels == cv2.GC_PR_FGD)] = cv2.GC_FGD
    behind, front = np.zeros((1, 65)), np.zeros((1, 65))
    if (labels == cv2.GC_BGD).any() and (labels == cv2.GC_FGD).any():
        cv2.setRNGSeed(0)
        cv2.grabCut(picture, labels, (0, 0, 1, 1), behind, front, 4, cv2.GC_INIT_WITH_MASK)
    return np.asarray(np.isin(labels, (cv2.GC_FGD, cv2.GC_PR_FGD)), np.float32)


def _trimap(mask: Floats, pose: Pose) -> Floats:
    """Return 1 where the person surely is, 0 where surely not, else a half, (H, W) float32."""
    scale = min(mask.shape) / MATTING_SIDE_PX
    trimap = np.full(mask.shape, 0.5, np.float32)
    eroded, dilated = (square_element(side * scale) for side in (ERODED_PX, DILATED_PX))
    trimap[cv2.erode((mask > SURE_PERSON).astype(np.uint8), eroded) > 0] = 1
    trimap[cv2.dilate((mask > SURE_BACKGROUND).astype(np.uint8), dilated) == 0] = 0
    # A limb that the network has missed lies around its bone, as far as the colors are the same.
    height = body_height(pose) or 0.0
    bones = _bones(pose, BONE_THICKNESS * height)
    missed = (bones > 0) & (mask < MIN_COVERED)
    if missed.any():
        around = cv2.dilate(missed.astype(np.uint8), square_element(LIMB_THICKNESS * height))
        trimap[(around > 0) & (person_region(pose) > 0) & (trimap == 0)] = 0.5
        trimap[missed] = 1
    return trimap


def _seen_by_parts(picture: Picture, mask: Floats, pose: Pose) -> Floats | None:
    """Return how much of each pixel the part network takes for the person, (H, W)."""
    height = body_height(pose)
    if not height:
        return None
    return find_person_share(picture, mask, WarpPoints.of(pose, guessed=True), height)


def _sure_by_parts(seen: Floats, mask: Floats, pose: Pose) -> Mask:
    """Tell what surely is the person because the part network says so, (H, W).

    Clothes of the wall's colors are no wall to it. It sees gaps, feet and heads too roughly.
    """
    square = square_element(PARTS_ERODED_PX * min(mask.shape) / MATTING_SIDE_PX)
    sure = cv2.erode((seen > SURE_PERSON).astype(np.uint8), square) > 0
    sure &= (mask > DOUBTED) & (person_region(pose, CORE_WIDTHS, skirt=False) > 0)
    return np.asarray(sure & ~around_feet(pose) & ~around_head(pose))


def _make_sure(trimap: Floats, where: Mask, value: int, edge_px: int) -> None:
    """Set what was found out otherwise to 0 or 1 in a trimap, in place; its edge is unknown.

    Args:
        trimap: (H, W).
        where: (H, W).
        value: 0 behind, 1 in front.
        edge_px: Side of the square around it in which the trimap tells nothing else for sure.
    """
    edge = square_element(edge_px * min(trimap.shape) / MATTING_SIDE_PX)
    near = cv2.dilate(where.astype(np.uint8), edge) > 0
    trimap[near & (trimap == 1 - value)] = 0.5
    trimap[where] = value


def _bones(pose: Pose, thickness: float) -> Integers:
    """Draw lines along the limbs whose both ends are seen, (H, W) uint8."""
    lines = np.zeros((pose.height, pose.width), np.uint8)
    for start, end in LIMB_BONES:
        one, other = pose.body[start].astype(np.float64), pose.body[end].astype(np.float64)
        if np.isfinite(one).all() and np.isfinite(other).all():
            first, last = (np.rint(one + s * (other - one)).astype(int) for s in (0.1, 0.9))
            cv2.line(lines, first.tolist(), last.tolist(), (1,), max(1, round(thickness)))
    return lines


def _refined(picture: Picture, trimap: Floats, mask: Floats) -> Floats:
    """Find alpha in the trimap's band; without a band to compare, return the mask."""
    if not (trimap == 0).any() or not (trimap == 1).any():
        return mask.astype(np.float32)
    box = bounding_box(trimap > 0, margin_px=8)
    alpha = np.zeros(mask.shape, np.float32)
    assert box is not None  # the trimap holds the person
    alpha[box] = closed_form_alpha(picture[box], trimap[box])
    return alpha


def _upscaled(alpha: Floats, picture: Picture, radius: int) -> Floats:
    """Enlarge a matte that was found on a smaller picture, its edges along the large one's."""
    large = cv2.resize(alpha, picture.shape[1::-1], interpolation=cv2.INTER_CUBIC)
    guided = cv2.ximgproc.guidedFilter(picture, large.clip(0, 1), radius, GUIDE_SMOOTH)
    return np.asarray(guided.clip(0, 1), np.float32)
