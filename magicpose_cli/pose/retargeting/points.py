"""Points of a clip by name, as one array over the frames."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from magicpose_cli.pose.keypoints import BODY_JOINTS, PARTS, Pose

BODY = (*BODY_JOINTS, "mid_hip")
NAMES = (
    *BODY,
    *(f"{part}_{n}" for part in ("face", "left_hand", "right_hand") for n in range(PARTS[part])),
)
INDEX = {name: index for index, name in enumerate(NAMES)}
FACE = slice(INDEX["face_0"], INDEX["face_0"] + PARTS["face"])
HANDS = {
    side: slice(INDEX[f"{side}_hand_0"], INDEX[f"{side}_hand_0"] + PARTS[f"{side}_hand"])
    for side in ("left", "right")
}
PLACES = {  # of a Pose's parts
    "body": slice(0, PARTS["body"]),
    "face": FACE,
    **{f"{side}_hand": hand for side, hand in HANDS.items()},
}
_HIPS = [BODY_JOINTS.index("right_hip"), BODY_JOINTS.index("left_hip")]


def named_points(poses: Sequence[Pose]) -> np.ndarray:
    """(frames, 129, 2) float64 pixels in the order of NAMES; NaN where unseen."""
    points = np.empty((len(poses), len(NAMES), 2))
    for frame, pose in zip(points, poses, strict=True):
        for part, where in PLACES.items():
            frame[where] = getattr(pose, part)
    points[:, INDEX["mid_hip"]] = points[:, _HIPS].mean(axis=1)
    return points


def foreshortenings(poses: Sequence[Pose], pairs: Sequence[tuple[str, str]]) -> np.ndarray:
    """(frames, pairs): apparent over true length of the lines between two points, 0..1, from the
    poses' points in space; NaN where those are not known."""
    shares = np.full((len(poses), len(pairs)), np.nan)
    for row, pose in zip(shares, poses, strict=True):
        space = np.full((len(NAMES), 3), np.nan)
        if pose.body_3d is not None:
            space[: len(BODY_JOINTS)] = pose.body_3d
            space[INDEX["mid_hip"]] = pose.body_3d[_HIPS].mean(axis=0)
        if pose.face_3d is not None:
            space[FACE] = pose.face_3d
        if np.isnan(space).all():
            continue
        lines = np.array([space[INDEX[a]] - space[INDEX[b]] for a, b in pairs])
        true = np.linalg.norm(lines, axis=1)
        true[true == 0] = np.nan
        row[:] = np.linalg.norm(lines[:, :2], axis=1) / true
    return shares
