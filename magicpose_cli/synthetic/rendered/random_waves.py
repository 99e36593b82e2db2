"""Smooth random functions of time, from which everything is made that moves."""

from __future__ import annotations

import numpy as np

from magicpose_cli.arrays import Floats


class RandomWaves:
    """Smooth random functions of time: each call makes another one, a base and a few sines."""

    def __init__(self, rng: np.random.Generator, times_s: Floats, liveliness: float):
        self._rng, self._times_s, self._liveliness = rng, times_s, liveliness

    @property
    def frames(self) -> int:
        """How many values each function has, F."""
        return len(self._times_s)

    def calmer(self, factor: float) -> RandomWaves:
        """Waves of the same chance and times that move by this factor as far."""
        return RandomWaves(self._rng, self._times_s, self._liveliness * factor)

    def __call__(self, base: float, spread: float, low: float, high: float) -> Floats:
        """(F,) around a base, by about `spread` times the liveliness, within limits."""
        rng = self._rng
        rates = rng.uniform(0.15, 0.9, 3)
        starts = rng.uniform(0, 2 * np.pi, 3)
        waves = np.sin(2 * np.pi * self._times_s[:, None] * rates + starts) @ rng.normal(0, 1, 3)
        found: Floats = np.clip(base + spread * self._liveliness * waves / 1.5, low, high)
        return found
