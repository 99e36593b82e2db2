"""One person through time: frames and points that the detector missed."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from itertools import pairwise

import numpy as np

from magicpose_cli.errors import DetectionError
from magicpose_cli.pose.keypoints import BODY_JOINTS, PARTS, Pose

# A missing face or hand moves along with this joint, where the joint itself is known.
ANCHORS = {"face": "nose", "left_hand": "left_wrist", "right_hand": "right_wrist"}
FILLED_SCORE = 0.5  # scores of filled points, as a share of their neighbors'


def fill_gaps(poses: Sequence[Pose], max_gap_frames: int) -> tuple[list[Pose], list[int]]:
    """Fill what is missing from the frames around it.

    A point (of any part) unseen for at most `max_gap_frames` frames is interpolated linearly
    between the frames that saw it. A frame without anybody in a longer gap, or at either end of
    the clip, holds the last person seen before it (after it, at the start). Filled points have
    lower scores. Returns the poses and the indices of the frames that had nobody.
    Errors: DetectionError where no frame has anybody.
    """
    missing = [index for index, pose in enumerate(poses) if pose.is_empty]
    if len(missing) == len(poses):
        raise DetectionError(
            f"driver: no person was found in any of its {len(poses)} frames; "
            "expected a film of one person, large enough and not cut off at the head"
        )
    points = {part: np.stack([getattr(pose, part) for pose in poses]) for part in PARTS}
    scores = {part: np.stack([getattr(pose, f"{part}_score") for pose in poses]) for part in PARTS}
    nowhere = np.zeros((len(poses), 2))
    for part in PARTS:  # the body first: the others are anchored to it
        joint = ANCHORS.get(part)
        anchor = points["body"][:, BODY_JOINTS.index(joint)] if joint else nowhere
        _bridge(points[part], scores[part], anchor, max_gap_frames)
    _hold(points, scores, missing)
    filled = [
        replace(
            pose,
            **{part: points[part][index] for part in PARTS},
            **{f"{part}_score": scores[part][index] for part in PARTS},
        )
        for index, pose in enumerate(poses)
    ]
    return filled, missing


def _bridge(
    points: np.ndarray, scores: np.ndarray, anchor: np.ndarray, max_gap_frames: int
) -> None:
    """Interpolate short gaps in (frames, n, 2) points in place, relative to `anchor` (frames, 2)
    where it is known all the way."""
    for point in range(points.shape[1]):
        seen = np.flatnonzero(scores[:, point] > 0)
        for before, after in pairwise(seen):
            if not 1 < after - before <= max_gap_frames + 1:
                continue
            base = anchor[before : after + 1]
            if not np.isfinite(base).all():
                base = np.zeros_like(base)
            start, end = points[before, point] - base[0], points[after, point] - base[-1]
            share = np.linspace(0.0, 1.0, after - before + 1)[1:-1, None]
            inside = slice(before + 1, after)
            points[inside, point] = base[1:-1] + (1 - share) * start + share * end
            scores[inside, point] = FILLED_SCORE * min(scores[before, point], scores[after, point])


def _hold(
    points: dict[str, np.ndarray], scores: dict[str, np.ndarray], missing: Sequence[int]
) -> None:
    """Give the frames that are still empty the last person before them, or the first one."""
    empty = [i for i in missing if not any((scores[part][i] > 0).any() for part in PARTS)]
    nobody = set(missing)
    first = next(index for index in range(len(points["body"])) if index not in nobody)
    for index in empty:
        source = index - 1 if index > first else first
        share = 1.0 if source in nobody else FILLED_SCORE  # held already
        for part in PARTS:
            points[part][index] = points[part][source]
            scores[part][index] = share * scores[part][source]
