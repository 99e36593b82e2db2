"""The colors of a person: skin, hair, lips, brows, beard."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from magicpose_cli.arrays import Floats

_TONES = (
    np.array(  # sRGB, light to dark
        [
            [240, 208, 186],
            [230, 188, 160],
            [214, 166, 132],
            [190, 138, 102],
            [141, 92, 64],
            [88, 57, 42],
        ]
    )
    / 280
)  # a little darker than under a full light
_HAIR_COLORS = np.array(  # sRGB: black, dark brown, brown, light brown, blond, red, gray
    [[24, 20, 19], [48, 32, 24], [82, 54, 36], [124, 88, 56], [186, 150, 100], [130, 62, 34],
     [150, 148, 145]]
) / 255  # fmt: skip


@dataclass(frozen=True)
class Complexion:
    """Colors of a person, sRGB (3,), 0..1, and shares 0..1.

    Attributes:
        skin: Its tone.
        hair: Color of the hair on the head, and of brows and beard.
        lips: How red they are.
        blush: Of the cheeks.
        brows: How thick.
        beard: 0 shaved, below .5 stubble, above a beard.
        age: Lines and spots.
        makeup: Around the eyes.
        seed: Of the noise.
    """

    skin: Floats
    hair: Floats
    lips: float
    blush: float
    brows: float
    beard: float
    age: float
    makeup: float
    seed: int


def sample_complexion(
    rng: np.random.Generator, is_woman: bool, darkness: float, age: float
) -> Complexion:
    """Somebody's colors.

    Args:
        rng: Where chance comes from.
        is_woman: Whether they have no beard, but make-up at times.
        darkness: Of the skin, 0 lightest .. 1 darkest.
        age: 0 young .. 1 old.
    """
    place = np.clip(darkness, 0, 1) * (len(_TONES) - 1)
    low = min(int(place), len(_TONES) - 2)
    skin = _TONES[low] + (_TONES[low + 1] - _TONES[low]) * (place - low)
    if darkness > 0.55:
        hair = _HAIR_COLORS[rng.choice([0, 1, 6], p=[0.75, 0.17, 0.08])]
    else:
        hair = _HAIR_COLORS[rng.choice(7, p=[0.2, 0.24, 0.2, 0.13, 0.12, 0.06, 0.05])]
    if age > 0.7 and rng.random() < 0.6:
        hair = _HAIR_COLORS[6]
    return Complexion(
        skin=np.clip(skin * rng.normal(1, 0.03, 3), 0, 1),
        hair=np.clip(hair * rng.uniform(0.75, 1.3), 0, 1),
        lips=float(rng.uniform(0.1, 1.0 if is_woman else 0.4)),
        blush=float(rng.uniform(0.1, 0.8)),
        brows=float(rng.uniform(0.2, 1.0)),
        beard=0.0 if is_woman else float(rng.choice([0.0, rng.uniform(0, 1)], p=[0.45, 0.55])),
        age=age,
        makeup=float(rng.uniform(0, 1)) if is_woman and rng.random() < 0.5 else 0.0,
        seed=int(rng.integers(1 << 31)),
    )
