"""Where people are in a picture, as a network sees it: MediaPipe's selfie segmentation.

It sees 256x256 pixels, and was made for people before a desk. Somebody who is seen whole is looked
at twice, their upper half by itself: between a raised arm and the head lies a gap of few pixels.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from magicpose_cli.arrays import Floats, Mask, Picture
from magicpose_cli.pose.detection.quiet_stderr import native_stderr_silenced
from magicpose_cli.pose.height import body_height
from magicpose_cli.pose.keypoints import BODY_JOINTS, Pose
from magicpose_cli.pose.region import person_region
from magicpose_cli.warping.boxes import PixelBox, bounding_box

REGION_GROWTH = 1.7  # of the region around the points, beyond which somebody else is segmented
SEGMENT_MARGIN = 0.1  # of the region's larger side, around what is segmented
ABOVE_HIPS, HALVES_FADE = 0.12, 0.08
"""Body heights: where the upper half ends, above a skirt, which is seen less surely from near, and
how softly."""
MAX_UPPER_SHARE = 0.75  # of the whole one's side: a larger box would show hardly more
MIN_AGREED = 0.5  # of what it has seen there from afar: with less it takes nobody for a person
MIN_TRUNK = 0.2  # body heights from the hips up to the neck: of who does not lie or stand on hands
_NECK = BODY_JOINTS.index("neck")
_HIPS = [BODY_JOINTS.index(f"{side}_hip") for side in ("right", "left")]


def segment(picture: Picture, pose: Pose) -> Floats | None:
    """Let a network find where people are, (H, W) float32, 0 to 1.

    It sees what is around the person alone, who may be small in the picture.

    Args:
        picture: (H, W, 3) uint8 RGB of the pose's size.
        pose: Of the person.

    Returns:
        None where the installed MediaPipe has no such network.
    """
    with native_stderr_silenced():
        try:
            from mediapipe.python.solutions.selfie_segmentation import SelfieSegmentation
        except ImportError:
            return None
        region = person_region(pose, REGION_GROWTH) > 0
        box = _box_around(region)
        with SelfieSegmentation(model_selection=0) as network:
            mask = np.zeros(picture.shape[:2], np.float32)
            mask[box] = _seen_in(network, picture, box)
            share = _upper_half(pose)
            if share is None or not (upper := region & (share > 0)).any():
                return mask
            closer = _box_around(upper)
            if _side(closer) < MAX_UPPER_SHARE * _side(box):
                afar, weight = mask[closer], share[closer]
                both = np.minimum(afar, afar + weight * (_seen_in(network, picture, closer) - afar))
                if both[weight > 0].sum() > MIN_AGREED * afar[weight > 0].sum():
                    mask[closer] = both
        return mask


def _seen_in(network: Any, picture: Picture, box: PixelBox) -> Floats:
    """What the network sees in a part of the picture, in the part's size."""
    part = np.ascontiguousarray(picture[box])
    return np.asarray(network.process(part).segmentation_mask, np.float32)


def _upper_half(pose: Pose) -> Floats | None:
    """1 above the waist, 0 below, (H, W); None where neck or hips are not seen, or not upright."""
    height, neck, hips = body_height(pose), pose.body[_NECK, 1], pose.body[_HIPS, 1]
    if not height or not np.isfinite(hips).any():
        return None
    hip = float(np.nanmean(hips))
    if not hip - neck > MIN_TRUNK * height:  # an unseen neck is NaN
        return None
    end = hip - ABOVE_HIPS * height
    rows = (end - np.arange(pose.height)) / (HALVES_FADE * height)
    return np.broadcast_to(rows.clip(0, 1)[:, None], (pose.height, pose.width)).astype(np.float32)


def _box_around(region: Mask) -> PixelBox:
    """Return rows and columns of a square around a region, with the room the network is used to."""
    box = bounding_box(region)
    assert box is not None  # the callers have looked
    side = (1 + 2 * SEGMENT_MARGIN) * _side(box)
    parts = []
    for part, length in zip(box, region.shape, strict=True):
        middle = (part.start + part.stop) / 2
        parts.append(slice(max(0, int(middle - side / 2)), min(length, int(middle + side / 2) + 1)))
    return parts[0], parts[1]


def _side(box: PixelBox) -> int:
    return max(int(part.stop - part.start) for part in box)
