"""How large the followed person looks; lengths in tracking are measured by this size."""

from __future__ import annotations

import numpy as np

from magicpose_cli.arrays import Floats
from magicpose_cli.pose.clip import PART_COLUMNS, PoseClip

SIZE_WINDOW_S = 2.0
SIZE_SAMPLES = 25  # frames of that window that are looked at


def person_sizes(clip: PoseClip, fps: float) -> Floats:
    """(frames,) pixels: how large the person is, told from what is seen of them around each frame.

    The diagonal of the box around the body joints (around all points where no two joints are seen):
    its upper quartile over SIZE_WINDOW_S, for a part of the joints is hidden at times, and the mean
    of that, for it must not leap; 1 or more everywhere. Lengths are measured by it, not places.
    """
    frames = np.flatnonzero(clip.seen.any(axis=1))
    if not len(frames):
        return np.ones(len(clip))
    diagonal = box_diagonals(clip.points[frames])
    half = max(1, round(SIZE_WINDOW_S * fps / 2))
    offsets = np.unique(np.linspace(-half, half, SIZE_SAMPLES).round().astype(int))
    around = np.clip(np.arange(len(frames))[:, None] + offsets, 0, len(frames) - 1)
    typical = np.quantile(diagonal[around], 0.75, axis=1)[around].mean(axis=1)
    return np.maximum(np.interp(np.arange(len(clip)), frames, typical), 1.0)


def box_diagonals(points: Floats) -> Floats:
    """(n,) from (n, 128, 2): of the boxes around the joints, of all points where there is none."""
    body = points[:, PART_COLUMNS["body"]]
    few = np.isfinite(body[..., 0]).sum(axis=1) < 2
    diagonal = _diagonal(body)
    if few.any():
        diagonal[few] = _diagonal(points[few])
    return diagonal


def _diagonal(points: Floats) -> Floats:
    low = np.nan_to_num(points, nan=np.inf).min(axis=1)
    high = np.nan_to_num(points, nan=-np.inf).max(axis=1)
    diagonal: Floats = np.hypot(*np.maximum(high - low, 0.0).T.astype(np.float64))
    return diagonal
