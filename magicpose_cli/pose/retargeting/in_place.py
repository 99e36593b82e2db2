"""The clip without the person's way through the picture, be it they who walk or the camera."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from scipy.signal import savgol_filter

from magicpose_cli.arrays import Floats
from magicpose_cli.pose.clip import PoseClip
from magicpose_cli.pose.keypoints import Pose
from magicpose_cli.pose.retargeting.points import POINT_INDEX, named_points

WINDOW_S = 2.0  # what sways faster than in about this time is the person's motion, not their way
MIN_FOOT_SHARE = 0.5  # of the frames: the feet tell where the ground is if they are seen in so many


def in_place(poses: Sequence[Pose], fps: float) -> PoseClip:
    """Move each pose so that the person stays where they begin.

    The camera then seems to go along smoothly.
    Sideways their trunk tells the way. Up and down the lower foot does, where feet are seen, so
    that who sits down sinks; else the trunk.
    """
    clip = PoseClip.of(poses)
    points = named_points(clip)
    trunk = _first_known(points, ("mid_hip", "neck", "nose"))
    feet = np.fmax(*(points[:, POINT_INDEX[f"{side}_ankle"], 1] for side in ("right", "left")))
    way = np.stack([trunk[:, 0], feet if _often(feet) else trunk[:, 1]], axis=1)
    frames = 2 * round(WINDOW_S * fps / 2) + 1
    window = min(frames, len(clip) - 1 + len(clip) % 2)
    if window < 3 or not np.isfinite(way).any(axis=0).all():
        return clip
    smooth = savgol_filter(filled(way).T, window, min(2, window - 1)).T
    steps = (smooth - smooth[0]).astype(np.float32)
    return clip.shifted(-steps)


def _first_known(points: Floats, names: Sequence[str]) -> Floats:
    """(frames, 2) of the first of these points that is seen often, else most often."""
    rows = [points[:, POINT_INDEX[name]] for name in names]
    seen = [np.isfinite(row[:, 0]).mean() for row in rows]
    often = [row for row, share in zip(rows, seen, strict=True) if share >= MIN_FOOT_SHARE]
    return often[0] if often else rows[int(np.argmax(seen))]


def _often(values: Floats) -> bool:
    return bool(np.isfinite(values).mean() >= MIN_FOOT_SHARE)


def filled(places: Floats) -> Floats:
    """(frames, n) without NaN: each column in a straight line between what is known."""
    columns = []
    for column in places.T:
        known = np.flatnonzero(np.isfinite(column))
        columns.append(np.interp(np.arange(len(column)), known, column[known]))
    return np.stack(columns, axis=1)
