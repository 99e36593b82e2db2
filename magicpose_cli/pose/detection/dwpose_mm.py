"""Pose detection with the estimator of `controlnet_aux.dwpose` itself, where OpenMMLab runs.

OpenMMLab's packages install on few machines by now; where they do, this is what ControlNet's tools
use, with weights that OpenMMLab's loader fetches itself. Everywhere else `dwpose` is the same
network from a file.
"""

from __future__ import annotations

import numpy as np

from magicpose_cli.arrays import Floats, Picture
from magicpose_cli.pose.detection.detect import largest_first
from magicpose_cli.pose.detection.dwpose import MIN_DWPOSE_SCORE
from magicpose_cli.pose.keypoints import Pose

# controlnet_aux puts the neck in and the body in OpenPose's order; 18 to 23 are the feet.
PARTS_OF_134 = {
    "body": slice(0, 18),
    "face": slice(24, 92),
    "left_hand": slice(92, 113),
    "right_hand": slice(113, 134),
}


class DWPoseMM:
    """PoseDetector; takes every picture by itself."""

    def __init__(self, *, still: bool = False) -> None:
        del still
        import torch
        from controlnet_aux.dwpose.wholebody import Wholebody

        self._estimator = Wholebody(device="cuda" if torch.cuda.is_available() else "cpu")

    def detect(self, frame: Picture) -> list[Pose]:
        """Everybody; where nobody is, what it reads off the whole picture is hardly ever seen."""
        height, width = frame.shape[:2]
        people = self._estimator(np.ascontiguousarray(frame[..., ::-1]))
        return largest_first(
            pose_from_134(width, height, *person) for person in zip(*people, strict=True)
        )

    def close(self) -> None:
        """Give the models back."""
        del self._estimator


def pose_from_134(width: int, height: int, points: Floats, scores: Floats) -> Pose:
    """A person's (134, 2) pixels and (134,) scores as controlnet_aux gives them."""
    scored = np.column_stack([points, np.where(scores > MIN_DWPOSE_SCORE, scores, 0.0)])
    parts = {part: scored[where] for part, where in PARTS_OF_134.items()}
    return Pose.of(width, height, **parts)
