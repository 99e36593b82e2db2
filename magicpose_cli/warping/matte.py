"""Where the person of a picture is: alpha, and their own colors at soft edges."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import cv2
import numpy as np

from magicpose_cli.pose.detection.quiet_stderr import native_stderr_silenced
from magicpose_cli.pose.height import body_height
from magicpose_cli.pose.keypoints import Pose
from magicpose_cli.pose.region import person_region
from magicpose_cli.warping.matting import closed_form_alpha, foreground_colors

SIDE = 512  # short side in pixels at which hair is told from what is behind it; 1080 takes a minute
# The band whose alpha is found by its colors, in pixels at SIDE: what is surely the person is
# eroded by half of the first, what is surely not is left by half of the second.
INSIDE, OUTSIDE = 9, 25
SURE, SURELY_NOT = 0.9, 0.1  # of the segmentation
COVERED = 0.5  # of the person's points: a segmentation that finds fewer has missed them
PLAIN = 2.0  # levels of 255: standard deviation of a picture that shows nothing
WIDER = 1.7  # of the region around the points: beyond it, what is segmented is somebody else
ROOM = 0.1  # of the region's larger side, around what is segmented
BONE, LIMB = 0.012, 0.12  # body heights: what is surely a limb along its bone, and what may be
BONES = ((2, 3), (3, 4), (5, 6), (6, 7), (8, 9), (9, 10), (11, 12), (12, 13))  # of the joints
GUIDE_RADIUS, GUIDE_SMOOTH = 4, 1e-4 * 255**2  # of the filter that brings a matte to a larger size


@dataclass(frozen=True)
class Matte:
    """alpha: (H, W) float32 in 0..1. foreground: (H, W, 3) float32 RGB in 0..255, the person's
    colors without what is behind them, where alpha is not 0."""

    alpha: np.ndarray
    foreground: np.ndarray


def find_matte(picture: np.ndarray, pose: Pose, others: Sequence[Pose] = ()) -> Matte | None:
    """The matte of the person of `pose` in a picture, (H, W, 3) uint8 RGB of the pose's size.

    others: who else is in it; what is nearer to one of them is not the person's.

    A network segments (MediaPipe's selfie segmentation, in its wheel), or, where there is none or
    it misses the person, the pose itself (Rother et al. 2004, "GrabCut"); the edge is found by
    closed-form matting (Levin et al. 2008). None where nothing can be told from the rest.
    """
    if not person_region(pose, WIDER).any():
        return None
    mask = segment(picture, pose)
    if mask is None or _covered(mask, pose) < COVERED:
        mask = _cut_by_pose(picture, pose)
    mask = mask * _near(pose)
    theirs = _nearer_to(others, pose)
    mask[theirs] = 0
    if _covered(mask, pose) < COVERED or float(picture.std(axis=(0, 1)).max()) < PLAIN:
        return None
    trimap = _trimap(mask, pose)
    trimap[theirs] = 0
    scale = SIDE / min(picture.shape[:2])
    if scale >= 1:
        alpha = _refined(picture, trimap, mask)
    else:
        small = tuple(max(1, round(side * scale)) for side in picture.shape[1::-1])
        alpha = _refined(
            cv2.resize(picture, small, interpolation=cv2.INTER_AREA),
            cv2.resize(trimap, small, interpolation=cv2.INTER_NEAREST),
            cv2.resize(mask, small, interpolation=cv2.INTER_AREA),
        )
        alpha = _enlarged(alpha, picture, round(GUIDE_RADIUS / scale))
    return Matte(alpha, foreground_colors(picture, alpha))


def segment(picture: np.ndarray, pose: Pose) -> np.ndarray | None:
    """(H, W) float32 in 0..1 where people are; None where the wheel at hand has no such network.

    The network looks at 256x256 pixels: of the person alone, who may be small in the picture.
    """
    with native_stderr_silenced():
        try:
            from mediapipe.python.solutions.selfie_segmentation import SelfieSegmentation
        except ImportError:
            return None
        box = _room(pose)
        mask = np.zeros(picture.shape[:2], np.float32)
        with SelfieSegmentation(model_selection=0) as network:
            part = np.ascontiguousarray(picture[box])
            mask[box] = network.process(part).segmentation_mask
        return mask


def _room(pose: Pose) -> tuple[slice, slice]:
    """Rows and columns around the person, with as much room as the network is used to."""
    rows, columns = _around(person_region(pose, WIDER) > 0, 0)
    lengths = [part.stop - part.start for part in (rows, columns)]
    side = (1 + 2 * ROOM) * max(lengths)
    box = []
    for part, length in ((rows, pose.height), (columns, pose.width)):
        middle = (part.start + part.stop) / 2
        box.append(slice(max(0, int(middle - side / 2)), min(length, int(middle + side / 2) + 1)))
    return box[0], box[1]


def _covered(mask: np.ndarray, pose: Pose) -> float:
    """The share of the person's points inside the picture that the mask holds."""
    points = np.concatenate([pose.body, pose.face[::4]])
    points = points[np.isfinite(points).all(1)]
    height, width = mask.shape
    points = points[((points >= 0) & (points < (width, height))).all(1)].astype(int)
    return float((mask[points[:, 1], points[:, 0]] > 0.5).mean()) if len(points) else 0.0


def _near(pose: Pose) -> np.ndarray:
    """(H, W) float32, 1 where the person may be with the widest clothes, 0 where others are."""
    return cv2.GaussianBlur(person_region(pose, WIDER).astype(np.float32), (0, 0), 3)


def _nearer_to(others: Sequence[Pose], pose: Pose) -> np.ndarray:
    """(H, W) bool: what lies outside of the person, and nearer to one of the others."""
    own = _away_from(pose)
    nearer = np.zeros(own.shape, bool)
    for other in others:
        nearer |= _away_from(other) < own
    return nearer


def _away_from(pose: Pose) -> np.ndarray:
    """(H, W) float32: pixels to a person."""
    outside = (person_region(pose) == 0).astype(np.uint8)
    return cv2.distanceTransform(outside, cv2.DIST_L2, 5)


def _cut_by_pose(picture: np.ndarray, pose: Pose) -> np.ndarray:
    labels = np.where(person_region(pose) > 0, cv2.GC_PR_FGD, cv2.GC_BGD).astype(np.uint8)
    labels[(person_region(pose, 0.4) > 0) & (labels == cv2.GC_PR_FGD)] = cv2.GC_FGD
    behind, front = np.zeros((1, 65)), np.zeros((1, 65))
    if (labels == cv2.GC_BGD).any() and (labels == cv2.GC_FGD).any():
        cv2.setRNGSeed(0)
        cv2.grabCut(picture, labels, (0, 0, 1, 1), behind, front, 4, cv2.GC_INIT_WITH_MASK)
    return np.isin(labels, (cv2.GC_FGD, cv2.GC_PR_FGD)).astype(np.float32)


def _trimap(mask: np.ndarray, pose: Pose) -> np.ndarray:
    """(H, W) float32: 1 where the person surely is, 0 where surely not, else a half."""
    scale = min(mask.shape) / SIDE
    trimap = np.full(mask.shape, 0.5, np.float32)
    trimap[cv2.erode((mask > SURE).astype(np.uint8), _square(INSIDE * scale)) > 0] = 1
    trimap[cv2.dilate((mask > SURELY_NOT).astype(np.uint8), _square(OUTSIDE * scale)) == 0] = 0
    # A limb that the network has missed is around its bone, as far as the colors go.
    height = body_height(pose) or 0.0
    bones = _bones(pose, BONE * height)
    missed = (bones > 0) & (mask < COVERED)
    if missed.any():
        around = cv2.dilate(missed.astype(np.uint8), _square(LIMB * height))
        trimap[(around > 0) & (person_region(pose) > 0) & (trimap == 0)] = 0.5
        trimap[missed] = 1
    return trimap


def _bones(pose: Pose, thickness: float) -> np.ndarray:
    """(H, W) uint8: lines along the limbs whose both ends are seen."""
    lines = np.zeros((pose.height, pose.width), np.uint8)
    for start, end in BONES:
        one, other = pose.body[start].astype(np.float64), pose.body[end].astype(np.float64)
        if np.isfinite(one).all() and np.isfinite(other).all():
            first, last = (np.rint(one + s * (other - one)).astype(int) for s in (0.1, 0.9))
            cv2.line(lines, first.tolist(), last.tolist(), (1,), max(1, round(thickness)))
    return lines


def _refined(picture: np.ndarray, trimap: np.ndarray, mask: np.ndarray) -> np.ndarray:
    if not (trimap == 0).any() or not (trimap == 1).any():
        return mask.astype(np.float32)
    rows, columns = _around(trimap > 0, 8)
    alpha = np.zeros(mask.shape, np.float32)
    alpha[rows, columns] = closed_form_alpha(picture[rows, columns], trimap[rows, columns])
    return alpha


def _around(mask: np.ndarray, margin: int) -> tuple[slice, slice]:
    """Rows and columns of what is True, with a margin inside the picture."""
    ends = []
    for axis in (1, 0):
        where = np.flatnonzero(mask.any(axis))
        ends.append(slice(max(0, where[0] - margin), where[-1] + 1 + margin))
    return ends[0], ends[1]


def _square(side: float) -> np.ndarray:
    return np.ones((max(3, round(side) | 1),) * 2, np.uint8)


def _enlarged(alpha: np.ndarray, picture: np.ndarray, radius: int) -> np.ndarray:
    """A matte found on a smaller picture, its edges along the large one's."""
    large = cv2.resize(alpha, picture.shape[1::-1], interpolation=cv2.INTER_CUBIC)
    guided = cv2.ximgproc.guidedFilter(picture, large.clip(0, 1), radius, GUIDE_SMOOTH)
    return guided.clip(0, 1)
