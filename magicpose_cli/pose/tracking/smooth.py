"""Jitter taken out of a known clip without lag.

Each point follows a parabola fitted to the frames around it (local polynomial regression, Savitzky
and Golay 1964, Cleveland 1979), weighted by a Gaussian of the time and by the scores. As many
frames after as before are looked at, so that nothing comes late. Windows of several widths are
fitted: where they agree but for the detector's noise the widest one holds, where they do not the
person moves fast and a narrow one does (as One-Euro does with its cutoff, Casiez et al. 2012).
"""

from __future__ import annotations

import numpy as np

from magicpose_cli.arrays import Floats
from magicpose_cli.pose.clip import PART_COLUMNS, PoseClip, has_mesh

# Standard deviations of the widest windows in seconds, for a strength of 1; faces and hands are
# quick and small.
WIDTHS_S = {"body": 0.16, "face": 0.12, "left_hand": 0.12, "right_hand": 0.12}
SHARES = (0.25, 0.5, 1.0)  # of that, of the windows from the narrowest to the widest
CUTOFF = 2.5  # standard deviations at which a window ends
# Where a window and a wider one differ by this many standard deviations of the noise, each has half
# a say.
DOUBTED_DEVIATIONS = 1.4
MOST_NOISE = 0.015  # sizes of the person; what seems to be more is a fast motion
SPREAD_FRAMES = 2  # over which the say is averaged, so that it does not flicker itself
LEAST_SPREAD = 1e-3  # of the sightings in a window in time, below which no parabola is sure
_BLOCK = 16  # columns worked on at a time: an hour of film then takes some hundred megabytes


def smooth_shot(clip: PoseClip, size: float, fps: float, strength: float) -> None:
    """Smooth in place every point of one shot, the face's mesh like the face's points.

    Unseen points stay unseen, scores stay as they are.

    Args:
        clip: the shot.
        size: of the person, pixels.
        fps: frames a second.
        strength: 0 leaves the points alone, 1 is usual; windows widen with it.
    """
    if strength <= 0 or len(clip) < 3:
        return
    most_noise = MOST_NOISE * size
    for part, columns in PART_COLUMNS.items():
        width = strength * WIDTHS_S[part] * fps
        _smooth_columns(clip.points[:, columns], clip.scores[:, columns], width, most_noise)
    if clip.face_mesh is not None:
        width = strength * WIDTHS_S["face"] * fps
        there = np.broadcast_to(has_mesh(clip.face_mesh)[:, None], clip.face_mesh.shape[:2])
        _smooth_columns(clip.face_mesh, there, width, most_noise)


def _smooth_columns(points: Floats, scores: Floats, width: float, most_noise: float) -> None:
    """Smooth in place, a block of columns after the other; see `_smoothed`."""
    for start in range(0, points.shape[1], _BLOCK):
        block = slice(start, start + _BLOCK)
        if (scores[:, block] > 0).any():
            points[:, block] = _smoothed(
                points[:, block].astype(np.float64),
                scores[:, block].astype(np.float64),
                width,
                most_noise,
            )


def _smoothed(points: Floats, scores: Floats, width: float, most_noise: float) -> Floats:
    """The points smoothed with windows of several widths.

    points: (frames, n, 2 or 3); scores: (frames, n); width in frames; most_noise in pixels. How
    they move in the picture, by x and y, tells how much a third coordinate is smoothed too.
    """
    noise = np.minimum(_noise(points[..., :2]), most_noise)
    current = points
    for level, share in enumerate(SHARES):
        wider = _fitted(points, scores, share * width)
        if level == 0:
            current = wider
            continue
        apart = _window_mean(np.square(wider - current)[..., :2].sum(axis=2))
        say = 1 / (1 + np.square(apart / np.square(DOUBTED_DEVIATIONS * noise)))[..., None]
        current = say * wider + (1 - say) * current
    return current


def _noise(points: Floats) -> Floats:
    """(n,) pixels: standard deviation of a coordinate's noise; never 0.

    Told from third differences, in which a steady motion cancels out.
    """
    if len(points) < 4:
        return np.full(points.shape[1], 1e-3)
    third = np.abs(np.diff(points, 3, axis=0)).reshape(-1, points.shape[1], 2)
    some = np.isfinite(third).any(axis=(0, 2))
    typical = np.full(points.shape[1], 1e-3)
    if some.any():
        middle = np.nanmedian(np.moveaxis(third[:, some], 1, 0).reshape(some.sum(), -1), axis=1)
        # 20 is the sum of the squares of 1, 3, 3, 1; 0.6745 the median of a normal distribution
        typical[some] = np.maximum(middle / (0.6745 * 20**0.5), 1e-3)
    return typical


def _window_mean(values: Floats) -> Floats:
    """(frames, n) averaged over the frames around each; NaN does not count."""
    around = np.pad(values, ((SPREAD_FRAMES, SPREAD_FRAMES), (0, 0)), constant_values=np.nan)
    shifted = np.stack([around[k : k + len(values)] for k in range(2 * SPREAD_FRAMES + 1)])
    known = np.isfinite(shifted)
    mean: Floats = np.where(known, shifted, 0.0).sum(axis=0) / np.maximum(known.sum(axis=0), 1)
    return mean


def _fitted(points: Floats, scores: Floats, width: float) -> Floats:
    """The value at each frame of the parabola around it.

    The point itself where too little is seen around it for one.
    """
    frames, columns, axes = points.shape
    reach = min(int(CUTOFF * width), frames - 1)
    if reach < 1:
        return points
    weight = np.pad(scores, ((reach, reach), (0, 0)))
    value = np.pad(np.nan_to_num(points) * scores[..., None], ((reach, reach), (0, 0), (0, 0)))
    moments = np.zeros((5, frames, columns))
    values = np.zeros((3, frames, columns, axes))
    for offset in range(-reach, reach + 1):
        time = offset / max(width, 1e-6)
        bell = np.exp(-0.5 * time * time)
        rows = slice(offset + reach, offset + reach + frames)
        for power in range(5):
            moments[power] += bell * time**power * weight[rows]
        for power in range(3):
            values[power] += bell * time**power * value[rows]
    s0, s1, s2, s3, s4 = moments
    first, second, third = s2 * s4 - s3 * s3, s2 * s3 - s1 * s4, s1 * s3 - s2 * s2
    determinant = s0 * first + s1 * second + s2 * third
    fitting = determinant > LEAST_SPREAD * s0 * s2 * s4
    total = (
        first[..., None] * values[0] + second[..., None] * values[1] + third[..., None] * values[2]
    )
    with np.errstate(invalid="ignore", divide="ignore"):
        fitted = total / determinant[..., None]
    return np.where((fitting & (scores > 0))[..., None], fitted, points)
