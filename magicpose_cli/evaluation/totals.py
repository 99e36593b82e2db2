"""From numbers picture by picture to totals with intervals."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from magicpose_cli.arrays import AnyArray, Floats
from magicpose_cli.evaluation.metrics import COPY, Metric

RESAMPLES = 1000
MetricRow = dict[str, float | None]
"""Values by metric key of one picture."""


@dataclass(frozen=True)
class Total:
    """One metric over all pictures that have it.

    Attributes:
        mean: Over the pictures that have a value, or over the means of their clips.
        low: Lower end of the 95 % interval of the mean, by resampling whole clips; None with a
            single clip.
        high: Upper end of the interval.
        median: Over the same pictures.
        count: How many pictures have a value.
        against: Mean minus copying's, or mean over the truth's, both over the pictures that have
            both values; None without a baseline.
    """

    mean: float
    low: float | None
    high: float | None
    median: float
    count: int
    against: float | None = None


def total(
    metric: Metric,
    rows: Sequence[MetricRow],
    clips: Sequence[str],
    baseline: Sequence[MetricRow] | None,
    *,
    by_clip: bool = False,
) -> Total | None:
    """Sum a metric up.

    Args:
        metric: What to sum up.
        rows: Values of each picture.
        clips: Name of the clip of each picture.
        baseline: Values of the baseline for each picture, or None.
        by_clip: Whether each clip counts as much as any other, however long it is.

    Returns:
        None where no picture has a value.
    """
    values, names = column(rows, metric.key), np.array(clips)
    there = np.isfinite(values)
    if not there.any():
        return None
    low, high = interval(values[there], names[there], by_clip=by_clip)
    against = None
    if baseline is not None:
        other = column(baseline, metric.key)
        both = there & np.isfinite(other)
        if both.any():
            own, theirs = (_mean(v[both], names[both], by_clip) for v in (values, other))
            against = _against(metric, own, theirs)
    return Total(
        mean=_mean(values[there], names[there], by_clip),
        low=low,
        high=high,
        median=float(np.median(values[there])),
        count=int(there.sum()),
        against=against,
    )


def column(rows: Sequence[MetricRow], key: str) -> Floats:
    """Take the values of one metric, NaN where a picture has none."""
    return np.array([np.nan if row.get(key) is None else row[key] for row in rows], np.float64)


def interval(
    values: Floats, clips: Sequence[str] | AnyArray, *, by_clip: bool = False
) -> tuple[float | None, float | None]:
    """Compute the 95 % interval of the mean; whole clips are drawn, whose pictures are alike."""
    _, index = np.unique(np.asarray(clips), return_inverse=True)
    weights = _weights(np.asarray(clips), by_clip)
    counts = np.bincount(index, weights=weights)
    if len(counts) < 2:
        return None, None
    sums = np.bincount(index, weights=values * weights)
    drawn = np.random.default_rng(0).integers(len(counts), size=(RESAMPLES, len(counts)))
    means = sums[drawn].sum(1) / counts[drawn].sum(1)
    low, high = np.percentile(means, (2.5, 97.5))
    return float(low), float(high)


def correlation(one: Floats, other: Floats) -> tuple[float | None, int]:
    """Compute Pearson's r over the pairs without NaN, and their number; None below three."""
    both = np.isfinite(one) & np.isfinite(other)
    if both.sum() < 3 or one[both].std() == 0 or other[both].std() == 0:
        return None, int(both.sum())
    return float(np.corrcoef(one[both], other[both])[0, 1]), int(both.sum())


def without(values: Floats, cause: Floats) -> Floats:
    """Compute what a straight line over `cause` leaves of the values, NaN where one lacks."""
    both = np.isfinite(values) & np.isfinite(cause)
    if both.sum() < 3 or cause[both].std() == 0:
        return values
    left = np.full_like(values, np.nan)
    line = np.polyfit(cause[both], values[both], 1)
    left[both] = values[both] - np.polyval(line, cause[both])
    return left


def _mean(values: Floats, clips: AnyArray, by_clip: bool) -> float:
    weights = _weights(clips, by_clip) if by_clip else None
    return float(np.average(values, weights=weights))


def _weights(clips: AnyArray, by_clip: bool) -> Floats:
    """Weights of pictures in a mean: equal, or such that each clip's add up to 1."""
    if not by_clip:
        return np.ones(len(clips))
    _, index, counts = np.unique(clips, return_inverse=True, return_counts=True)
    weights: Floats = 1 / counts[index]
    return weights


def _against(metric: Metric, mean: float, baseline: float) -> float | None:
    if metric.baseline == COPY:
        return float(mean - baseline)
    return float(mean / baseline) if baseline else None
