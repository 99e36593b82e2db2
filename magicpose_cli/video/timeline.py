"""From the times at which frames are shown to a rate: exact where a container rounds them."""

from __future__ import annotations

from collections.abc import Sequence
from fractions import Fraction

import numpy as np

from magicpose_cli.arrays import AnyArray, Floats

NTSC = tuple(Fraction(n * 1000, 1001) for n in (24, 30, 48, 60, 120, 240))
COMMON_RATES = tuple(sorted((*NTSC, *(Fraction(n) for n in (*range(1, 61), 120, 240)))))
MAX_RATE = 1000
MAX_JITTER = 0.4  # of a frame: time stamps that stray less still count as a constant rate


class ConstantRate:
    """Mixed into what has frames at a constant rate.

    Attributes:
        rate: Frames a second, exact.
        frame_count: Frames at that rate.
    """

    rate: Fraction
    frame_count: int

    @property
    def fps(self) -> float:
        """Frames a second, as a float."""
        return float(self.rate)

    @property
    def duration_s(self) -> float:
        """Seconds from the first frame to the end of the last."""
        return float(self.frame_count / self.rate)


def detect_rate(
    stamps: Sequence[int], base: Fraction, resolution_s: float
) -> tuple[Fraction, Floats, bool]:
    """Find the rate of frames from the times at which they are shown.

    A variable rate is the one whose ticks hold all frames, as where some were dropped, or else that
    of the usual step.

    Args:
        stamps: Of each frame, in units of `base`, ascending.
        base: Seconds.
        resolution_s: What the container rounds times to: stamps of 33, 67 and 100 ms are 30 frames
            a second.

    Returns:
        Frames a second, the frames' times (n,) float64 in seconds from the first, evenly spaced
        where the rate is constant, and whether the rate varies.
    """
    count = len(stamps)
    times = np.array([float((stamp - stamps[0]) * base) for stamp in stamps])
    if count < 2 or stamps[-1] == stamps[0]:
        return Fraction(25), times, False
    steps = np.diff(np.array(stamps, dtype=np.int64))
    if (steps == steps[0]).all() and 1 / (int(steps[0]) * base) <= MAX_RATE:
        rate = _rounding_undone(1 / (int(steps[0]) * base), count, resolution_s)
        return rate, np.arange(count) / float(rate), False

    mean = Fraction(count - 1) / ((stamps[-1] - stamps[0]) * base)
    likely = sorted(COMMON_RATES, key=lambda rate: abs(rate - mean))[:2]
    if (fit := _best_fit(times, np.arange(count), likely, resolution_s)) is not None:
        return fit, np.arange(count) / float(fit), False
    if mean <= MAX_RATE and np.abs(times * float(mean) - np.arange(count)).max() < MAX_JITTER:
        return mean.limit_denominator(1001), np.arange(count) / float(mean), False

    usual = 1 / max(float(np.median(steps)) * float(base), 1 / MAX_RATE)
    near = [rate for rate in COMMON_RATES if abs(float(rate) - usual) < 0.05 * usual]
    if (fit := _best_fit(times, None, near, resolution_s)) is not None:
        return fit, np.rint(times * float(fit)) / float(fit), True
    nearest = min(near, key=lambda rate: abs(float(rate) - usual), default=None)
    return nearest or Fraction(usual).limit_denominator(1001), times, True


def tick_count(times: Floats, end_s: float, rate: Fraction, is_variable: bool) -> int:
    """Return how many ticks of `rate` show the frames until `end_s`, the end of the last one."""
    if not is_variable:
        return len(times)
    return max(1, int(np.floor(end_s * float(rate) + 0.5)))


def _best_fit(
    times: Floats, ticks: AnyArray | None, rates: Sequence[Fraction], resolution_s: float
) -> Fraction | None:
    """Return the rate on whose ticks all times lie, up to the container's rounding.

    Rates that differ by a thousandth fit a short film alike; then the one with the smaller spread
    of errors is taken, and of two such the simpler.

    Args:
        times: Seconds from the first frame.
        ticks: Of each time; None for the nearest ones.
        rates: To choose from.
        resolution_s: What the container rounds times to.
    """
    fits = []
    for rate in rates:
        on = np.rint(times * float(rate)) if ticks is None else ticks
        error = times - on / float(rate)
        fine = ticks is not None or resolution_s * float(rate) < 0.2  # else anything would fit
        allowed = min(1.01 * resolution_s, 0.5 / float(rate))
        if fine and np.abs(error).max() <= allowed and (np.diff(on) > 0).all():
            fits.append((round(float(np.ptp(error)) / resolution_s, 1), rate.denominator, rate))
    return min(fits)[-1] if fits else None


def _rounding_undone(rate: Fraction, count: int, resolution_s: float) -> Fraction:
    """Return the common rate that equal steps of a coarse clock over a few frames may stand for."""
    nearest = min(COMMON_RATES, key=lambda common: abs(common - rate))
    drift_s = abs(float(1 / nearest - 1 / rate)) * (count - 1)
    return nearest if resolution_s < 0.005 and 0 < drift_s < resolution_s else rate
