"""Points of a clip by name, as one array over the frames."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from magicpose_cli.arrays import Floats
from magicpose_cli.pose.clip import PoseClip
from magicpose_cli.pose.keypoints import BODY_JOINTS, PARTS, Pose

BODY = (*BODY_JOINTS, "mid_hip")
POINT_NAMES = (
    *BODY,
    *(f"{part}_{n}" for part in ("face", "left_hand", "right_hand") for n in range(PARTS[part])),
)
POINT_INDEX = {name: index for index, name in enumerate(POINT_NAMES)}
FACE = slice(POINT_INDEX["face_0"], POINT_INDEX["face_0"] + PARTS["face"])
HAND_POINTS = {
    side: slice(
        POINT_INDEX[f"{side}_hand_0"], POINT_INDEX[f"{side}_hand_0"] + PARTS[f"{side}_hand"]
    )
    for side in ("left", "right")
}
POINT_INDICES = [
    index for index in range(len(POINT_NAMES)) if POINT_NAMES[index] != "mid_hip"
]  # of a clip's
_HIPS = [BODY_JOINTS.index("right_hip"), BODY_JOINTS.index("left_hip")]


def named_points(poses: Sequence[Pose]) -> Floats:
    """(frames, 129, 2) float64 pixels in the order of POINT_NAMES; NaN where unseen."""
    clip = PoseClip.of(poses)
    points = np.empty((len(clip), len(POINT_NAMES), 2))
    points[:, POINT_INDICES] = clip.points
    points[:, POINT_INDEX["mid_hip"]] = points[:, _HIPS].mean(axis=1)
    return points


def foreshortenings(poses: Sequence[Pose], pairs: Sequence[tuple[str, str]]) -> Floats:
    """Apparent over true length of the lines between two points, from the points in space.

    Returns:
        (frames, pairs) from 0 to 1; NaN where the points in space are not known.
    """
    clip = PoseClip.of(poses)
    space = np.full((len(clip), len(POINT_NAMES), 3), np.nan)
    if clip.body_3d is not None:
        space[:, : len(BODY_JOINTS)] = clip.body_3d
        space[:, POINT_INDEX["mid_hip"]] = clip.body_3d[:, _HIPS].mean(axis=1)
    if clip.face_3d is not None:
        space[:, FACE] = clip.face_3d
    starts, ends = ([POINT_INDEX[pair[k]] for pair in pairs] for k in (0, 1))
    lines = space[:, starts] - space[:, ends]
    true = np.linalg.norm(lines, axis=2)
    true[true == 0] = np.nan
    apparent: Floats = np.linalg.norm(lines[..., :2], axis=2)
    shares: Floats = apparent / true
    return shares
