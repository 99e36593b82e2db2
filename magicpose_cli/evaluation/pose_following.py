"""Pose following: how far the pose a detector reads off a picture is from the pose asked for."""

from __future__ import annotations

import numpy as np

from magicpose_cli.arrays import Picture
from magicpose_cli.evaluation.samples import MadeSample
from magicpose_cli.pose.detection.detect import PoseDetector, detect_one, load_detector
from magicpose_cli.pose.height import body_height
from magicpose_cli.pose.keypoints import Pose

SHORT_SIDE = 512  # pixels to which smaller pictures are enlarged before detection
MIN_JOINTS = 3
RIGHT_EYE, LEFT_EYE = slice(36, 42), slice(42, 48)


class PoseReader:
    """Reads the pose off any picture; keeps the detector's models until closed."""

    def __init__(self, detector: str):
        self._detector: PoseDetector = load_detector(detector, still=True)

    def read(self, picture: Picture) -> Pose:
        """Pose in the pixels of `picture` (H, W, 3) uint8 RGB; empty where nobody was found."""
        import cv2

        height, width = picture.shape[:2]
        factor = max(1.0, SHORT_SIDE / min(width, height))
        if factor == 1.0:
            return detect_one(self._detector, picture)
        size = (round(width * factor), round(height * factor))
        enlarged = cv2.resize(picture, size, interpolation=cv2.INTER_CUBIC).astype(
            np.uint8, copy=False
        )
        found = detect_one(self._detector, enlarged)
        scale = np.array([width / size[0], height / size[1]])
        return found.map_points(lambda points: points * scale, width, height)

    def close(self) -> None:
        """Give the models back."""
        self._detector.close()


def body_error(made: MadeSample) -> float | None:
    """Mean distance of the joints seen in both poses, in % of the asked person's body height."""
    return None if made.found is None else body_distance(made.sample.pose, made.found)


def face_error(made: MadeSample) -> float | None:
    """Mean distance of the 68 face points, in % of the asked person's distance between the eyes."""
    asked, found = made.sample.pose, made.found
    if asked is None or found is None:
        return None
    apart = np.linalg.norm(asked.face[LEFT_EYE].mean(0) - asked.face[RIGHT_EYE].mean(0))
    distances = np.linalg.norm(asked.face - found.face, axis=1)
    distances = distances[np.isfinite(distances)]
    if not np.isfinite(apart) or apart <= 0 or len(distances) < MIN_JOINTS:
        return None
    return float(100 * distances.mean() / apart)


def found_share(made: MadeSample) -> float | None:
    """100 where the detector found a person, else 0; the mean is the share of pictures in %."""
    if made.found is None:
        return None
    return 0.0 if made.found.is_empty else 100.0


def body_distance(one: Pose | None, other: Pose | None) -> float | None:
    """Mean distance of the joints seen in both, in % of the first one's body height.

    None where fewer than MIN_JOINTS are seen in both.
    """
    if one is None or other is None:
        return None
    height = body_height(one)
    distances = np.linalg.norm(one.body - other.body, axis=1)
    distances = distances[np.isfinite(distances)]
    if height is None or len(distances) < MIN_JOINTS:
        return None
    return float(100 * distances.mean() / height)
