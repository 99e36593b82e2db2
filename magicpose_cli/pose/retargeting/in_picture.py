"""A person whom a driver would carry out of the reference's picture stays inside."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from magicpose_cli.arrays import softly_limited
from magicpose_cli.pose.clip import PoseClip
from magicpose_cli.pose.keypoints import Pose
from magicpose_cli.pose.retargeting.in_place import filled
from magicpose_cli.pose.retargeting.points import POINT_INDEX, named_points

SHOULDERS_INSIDE = 0.6  # of the shoulders' width, from the neck to the picture's edge at least
MOST_MARGIN = 0.3  # of the picture's width: who fills it more than that moves a little all the same
FREE_SHARE = 0.75  # of the way from the middle to there, on which a neck goes freely


def inside_picture(poses: Sequence[Pose], target: Pose) -> PoseClip | None:
    """Move each pose sideways so that its neck comes to rest before the picture's edge.

    Args:
        poses: Laid onto the reference, in its pixels.
        target: The reference's own pose, which stays where it is.

    Returns:
        None where nobody goes so far, or no neck is known.
    """
    clip, own = PoseClip.of(poses), named_points([target])[0]
    neck = named_points(clip)[:, POINT_INDEX["neck"], :1]
    own_neck = float(own[POINT_INDEX["neck"], 0])
    if not np.isfinite(own_neck) or not np.isfinite(neck).any():
        return None
    shoulders = own[POINT_INDEX["right_shoulder"]] - own[POINT_INDEX["left_shoulder"]]
    width = np.nan_to_num(float(np.linalg.norm(shoulders)))
    margin = min(SHOULDERS_INSIDE * width, MOST_MARGIN * target.width)
    off = filled(neck)[:, 0] - target.width / 2
    most = max(target.width / 2 - margin, abs(own_neck - target.width / 2) / FREE_SHARE)
    rests = np.sign(off) * softly_limited(np.abs(off), FREE_SHARE * most, most)
    if np.array_equal(rests, off):
        return None
    return clip.shifted(np.column_stack([rests - off, np.zeros(len(off))]).astype(np.float32))
