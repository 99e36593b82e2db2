"""Pose following: how far the pose a detector reads off a picture is from the pose asked for."""

from __future__ import annotations

import numpy as np

from magicpose_cli.arrays import Picture, Points
from magicpose_cli.evaluation.pixels import decibel
from magicpose_cli.evaluation.samples import MadeSample
from magicpose_cli.pose.detection.detect import PoseDetector, detect_one, load_detector
from magicpose_cli.pose.height import body_height
from magicpose_cli.pose.keypoints import HAND_PARTS, Pose

SHORT_SIDE = 512  # pixels to which smaller pictures are enlarged before detection
MIN_JOINTS = 3
RIGHT_EYE, LEFT_EYE, MOUTH = slice(36, 42), slice(42, 48), slice(48, 68)
MOUTH_MARGIN = 0.25  # of the mouth's width, for lips around their points and what folds beside them
MIN_MOUTH_PX = 4  # of the box's shorter side, below which there is nothing to compare


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
    return _face_distance(made, slice(None))


def mouth_error(made: MadeSample) -> float | None:
    """`face_error` of the mouth's 20 points alone."""
    return _face_distance(made, MOUTH)


def psnr_mouth(made: MadeSample) -> float | None:
    """PSNR in the box around the truth's mouth, enlarged by MOUTH_MARGIN of its width.

    None where the truth shows no mouth, or hardly any of it.
    """
    found = made.truth_found
    if found is None or not np.isfinite(found.face[MOUTH]).all():
        return None
    low, high = found.face[MOUTH].min(0), found.face[MOUTH].max(0)
    margin = MOUTH_MARGIN * float(high[0] - low[0])
    left, top = np.maximum(np.floor(low - margin), 0).astype(int)
    right, bottom = np.maximum(np.ceil(high + margin), 0).astype(int)
    inside = made.difference[top:bottom, left:right]
    if min(inside.shape[:2]) < MIN_MOUTH_PX:
        return None
    return decibel(float(np.square(inside).mean(dtype=np.float64)))


def _face_distance(made: MadeSample, part: slice) -> float | None:
    """Mean distance of some of the face points, asked for and found."""
    asked, found = made.sample.pose, made.found
    if asked is None or found is None:
        return None
    apart = np.linalg.norm(asked.face[LEFT_EYE].mean(0) - asked.face[RIGHT_EYE].mean(0))
    distances = np.linalg.norm(asked.face[part] - found.face[part], axis=1)
    distances = distances[np.isfinite(distances)]
    if not np.isfinite(apart) or apart <= 0 or len(distances) < MIN_JOINTS:
        return None
    return float(100 * distances.mean() / apart)


def found_share(made: MadeSample) -> float | None:
    """100 where the detector found a person, else 0; the mean is the share of pictures in %."""
    if made.found is None:
        return None
    return 0.0 if made.found.is_empty else 100.0


def hands_found(made: MadeSample) -> float | None:
    """Share in % of the truth's detected hands that are detected in the picture, too.

    A hand counts where its middle lies within the truth's box around it. None where the truth shows
    no hand to the detector.
    """
    if made.found is None or made.truth_found is None:
        return None
    there = []
    for side in HAND_PARTS:
        true, found = (_seen(getattr(pose, side)) for pose in (made.truth_found, made.found))
        if len(true) >= MIN_JOINTS:
            middle = found.mean(0) if len(found) >= MIN_JOINTS else np.full(2, np.inf)
            there.append(bool(((middle >= true.min(0)) & (middle <= true.max(0))).all()))
    return 100 * float(np.mean(there)) if there else None


def _seen(points: Points) -> Points:
    """Those of (n, 2) points that are known."""
    known: Points = points[np.isfinite(points).all(1)]
    return known


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
