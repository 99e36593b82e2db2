"""What is read off the pictures of a film: the person's pose, and where they are."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from magicpose_cli.arrays import Mask, Picture
from magicpose_cli.evaluation.pose_following import PoseReader
from magicpose_cli.pose.keypoints import Pose


@dataclass(frozen=True)
class Reading:
    """Who is in a picture, as far as it can be read.

    Attributes:
        pose: Of the detector, in the picture's pixels; None without a detector.
        person: Where the person is, eight pixels a byte; None where that is not known.
    """

    pose: Pose | None
    person: bytes | None

    def mask(self, picture: Picture) -> Mask | None:
        """Where the person is, (H, W), in the picture that was read."""
        if self.person is None:
            return None
        height, width = picture.shape[:2]
        bits = np.unpackbits(np.frombuffer(self.person, np.uint8), count=height * width)
        return bits.reshape(height, width).astype(bool)


def read_person(picture: Picture, reader: PoseReader | None) -> Reading:
    """Read pose and mask off a picture (H, W, 3) uint8 RGB; None of both without a reader."""
    if reader is None:
        return Reading(None, None)
    pose = reader.read(picture)
    mask = widened_person_mask(picture, pose)
    return Reading(pose, None if mask is None else np.packbits(mask).tobytes())


def widened_person_mask(picture: Picture, pose: Pose) -> Mask | None:
    """Find where the person and all that may be theirs is, (H, W).

    A network segments the picture, or where MediaPipe has none the region around the pose counts;
    the mask is widened as far as the matte of a reference reaches at most.

    Returns:
        None for an empty pose.
    """
    import cv2

    from magicpose_cli.pose.region import person_region
    from magicpose_cli.warping.matte import DILATED_PX, MATTING_SIDE_PX, SURE_BACKGROUND
    from magicpose_cli.warping.person_segmentation import REGION_GROWTH, segment

    if pose.is_empty or not person_region(pose, REGION_GROWTH).any():
        return None
    found = segment(picture, pose)
    mask = person_region(pose, REGION_GROWTH) if found is None else found > SURE_BACKGROUND
    side = round(DILATED_PX * min(picture.shape[:2]) / MATTING_SIDE_PX) | 1
    widened = cv2.dilate(mask.astype(np.uint8), np.ones((side, side), np.uint8))
    return np.asarray(widened, bool)
