"""Faces that speak, smile, blink and frown: facial actions as smooth random functions of time."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from magicpose_cli.arrays import Floats
from magicpose_cli.body.model import Body
from magicpose_cli.synthetic.rendered.random_waves import RandomWaves


class _Face:
    """Facial actions (F, 52) that are being set by name."""

    def __init__(self, body: Body, rng: np.random.Generator, frames: int):
        self._names = {name: number for number, name in enumerate(body.expression_names)}
        self._rng = rng
        self.values = np.zeros((frames, len(self._names)))

    def set(self, name: str, amount: Floats) -> None:
        """Set one action to (F,) amounts."""
        self.values[:, self._names[name]] = amount

    def both(self, name: str, amount: Floats) -> None:
        """Set an action of the left and of the right half, a little unevenly."""
        uneven = 1 + 0.15 * self._rng.normal()
        for side, factor in (("Left", uneven), ("Right", 2 - uneven)):
            self.set(f"{name}{side}", np.clip(amount * factor, 0, 1))


def sample_expressions(body: Body, rng: np.random.Generator, times_s: Floats) -> Tensor:
    """Sample a face that moves.

    Args:
        body: whose facial actions are meant.
        rng: where chance comes from.
        times_s: (F,) seconds.

    Returns:
        (F, 52) facial actions, 0..1.
    """
    face = _Face(body, rng, len(times_s))
    wave = RandomWaves(rng, times_s, 1.0)
    speaks = rng.random() < 0.6
    jaw = wave(0.12 if speaks else -0.05, 0.25 if speaks else 0.08, 0, 0.75)
    face.set("jawOpen", jaw)
    for name in ("mouthFunnel", "mouthPucker"):
        face.set(name, wave(-0.15, 0.25 if speaks else 0.05, 0, 0.6))
    # closes lips over a jaw that is open; over a shut one it would push them into each other
    face.set("mouthClose", np.minimum(wave(-0.3, 0.3, 0, 1), jaw * 0.8))
    face.both("mouthSmile", wave(float(rng.choice([-0.1, rng.uniform(0, 0.8)])), 0.2, 0, 1))
    for name, base, spread, most in (
        ("mouthFrown", -0.25, 0.2, 0.6),
        ("mouthStretch", -0.2, 0.2, 0.5),
        ("mouthUpperUp", -0.15, 0.2, 0.5),
        ("mouthLowerDown", -0.1, 0.2, 0.5),
        ("browDown", -0.2, 0.3, 0.8),
        ("browOuterUp", -0.1, 0.35, 1.0),
        ("eyeSquint", 0.0, 0.2, 0.6),
        ("cheekSquint", -0.1, 0.2, 0.6),
    ):
        face.both(name, wave(base, spread, 0, most))
    face.set("browInnerUp", wave(-0.1, 0.35, 0, 1))
    frames = len(times_s)
    blink = np.where(rng.random(frames) < 0.12, rng.uniform(0.4, 1, frames), 0)
    face.both("eyeBlink", np.maximum(blink, wave(0.05, 0.08, 0, 0.3)))
    return torch.from_numpy(face.values).float()
