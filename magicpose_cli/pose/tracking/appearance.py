"""What somebody wears: a small color histogram, to tell people apart who cross each other."""

from __future__ import annotations

from itertools import product

import numpy as np
import numpy.typing as npt

from magicpose_cli.arrays import AnyArray, Floats, Integers, Picture
from magicpose_cli.pose.keypoints import BODY_JOINTS, Pose

Histogram = npt.NDArray[np.uint8]
"""(HISTOGRAM_SIZE,) square roots of the shares of colors, 255 for all."""

REGIONS = 3  # torso, arms, legs
LEVELS = 4  # of red, green and blue each
BINS = LEVELS**3
HISTOGRAM_SIZE = REGIONS * BINS
REGION_WEIGHTS = np.array([2.0, 1.0, 1.0])  # the torso is seen best
MIN_LENGTH_PX = 8.0  # pixels of torso or limb below which it has no color of its own
MIN_SAMPLES = 12
_STRIDES = np.array([LEVELS**2, LEVELS, 1])
_CORNERS = np.array(list(product((0, 1), repeat=3)))[:, None]  # of the cube between the levels
_TORSO = tuple(
    BODY_JOINTS.index(n) for n in ("right_shoulder", "left_shoulder", "right_hip", "left_hip")
)
_ARMS = ((2, 3), (3, 4), (5, 6), (6, 7))
_LEGS = ((8, 9), (9, 10), (11, 12), (12, 13))
# Where the torso is looked at, across and down, away from its edges; how far down it reaches in
# shoulder widths where the hips are not seen.
_ACROSS, _DOWN = (
    g.ravel() for g in np.meshgrid(np.linspace(0.2, 0.8, 9), np.linspace(0.1, 0.9, 12))
)
_BUST = 0.8
_ALONG = np.linspace(0.15, 0.85, 10)
_ASIDE = (-0.06, 0.0, 0.06)  # of the limb's length, to both sides of the bone


def appearance_histogram(frame: Picture, pose: Pose) -> Histogram | None:
    """Colors of torso, arms and legs; None where no region is seen.

    Some 350 pixels are looked at, which takes a fifth of a millisecond whatever the frame's size.

    Args:
        frame: a picture of the pose's own size.
        pose: who is in it.

    Returns:
        (HISTOGRAM_SIZE,) square roots of shares (255: all), so that a product of two histograms is
        a Bhattacharyya coefficient; a region that is not seen is all 0.
    """
    regions = (_torso(pose.body), _limbs(pose.body, _ARMS), _limbs(pose.body, _LEGS))
    points = np.concatenate(regions)
    region = np.repeat(np.arange(REGIONS), [len(points) for points in regions])
    height, width = frame.shape[:2]
    inside = ((points >= 0) & (points < (width, height))).all(axis=1)
    x, y = points[inside].astype(np.intp).T
    colors = frame[y, x] * ((LEVELS - 1) / 255)
    shares = _histograms(colors, region[inside])
    return (np.sqrt(shares).ravel() * 255).round().astype(np.uint8) if shares.any() else None


def appearance_distance(one: AnyArray, other: AnyArray) -> Floats:
    """0 the same clothes .. 1 nothing in common; NaN where no region is seen in both.

    one, other: (..., HISTOGRAM_SIZE) of any number type, broadcast against each other.
    """
    apart = region_distances(one, other)
    weight = REGION_WEIGHTS * np.isfinite(apart)
    with np.errstate(invalid="ignore", divide="ignore"):
        mean: Floats = (weight * np.nan_to_num(apart)).sum(axis=-1) / weight.sum(axis=-1)
    return mean


def region_distances(one: AnyArray, other: AnyArray) -> Floats:
    """(..., REGIONS) the same for each region; NaN where it is not seen in both."""
    a = one.reshape(*one.shape[:-1], REGIONS, BINS).astype(np.float32) / 255
    b = other.reshape(*other.shape[:-1], REGIONS, BINS).astype(np.float32) / 255
    apart = np.sqrt(np.clip(1 - (a * b).sum(axis=-1), 0, 1))
    seen = a.any(axis=-1) & b.any(axis=-1)
    distances: Floats = np.where(seen, apart, np.nan)
    return distances


def _torso(body: Floats) -> Floats:
    right, left, right_hip, left_hip = body[list(_TORSO)].astype(np.float64)
    across, down = left - right, right_hip - right
    if not (
        np.hypot(*across) >= MIN_LENGTH_PX or np.hypot(*down) >= MIN_LENGTH_PX
    ):  # NaN compares false
        return np.empty((0, 2))
    if not np.isfinite(right_hip + left_hip).all():
        down = np.array([0.0, _BUST * np.abs(across[0])])
        right_hip, left_hip = right + down, left + down
    top = right + _ACROSS[:, None] * across
    bottom = right_hip + _ACROSS[:, None] * (left_hip - right_hip)
    grid: Floats = top + _DOWN[:, None] * (bottom - top)
    return grid


def _limbs(body: Floats, bones: tuple[tuple[int, int], ...]) -> Floats:
    points = []
    for a, b in bones:
        start, bone = body[a].astype(np.float64), (body[b] - body[a]).astype(np.float64)
        if np.hypot(*bone) >= MIN_LENGTH_PX:  # NaN compares false
            normal = np.array([-bone[1], bone[0]])
            line = start + _ALONG[:, None] * bone
            points += [line + aside * normal for aside in _ASIDE]
    return np.concatenate(points) if points else np.empty((0, 2))


def _histograms(colors: Floats, region: Integers) -> Floats:
    """(REGIONS, BINS) shares that sum to 1 in each region, or to 0 where too little is seen.

    colors: (n, 3) in levels; one that lies between levels counts for all of them.
    """
    low = np.minimum(colors.astype(np.intp), LEVELS - 2)
    share = colors - low
    weight = np.where(_CORNERS, share, 1 - share).prod(axis=2)
    index = region * BINS + low @ _STRIDES + _CORNERS @ _STRIDES
    sums = np.bincount(index.ravel(), weight.ravel(), HISTOGRAM_SIZE).reshape(REGIONS, BINS)
    samples = np.bincount(region, minlength=REGIONS)[:, None]
    return np.where(samples >= MIN_SAMPLES, sums / np.maximum(samples, 1), 0.0)
