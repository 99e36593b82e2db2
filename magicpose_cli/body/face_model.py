"""A face in space: MediaPipe's dense points on the body's skin, how they move, and the eyeballs.

Axes of the face: x to the person's left, y down, z into the head (for a face that looks into the
camera, those of the picture); meters. The origin is the middle of the points that an expression
hardly moves. The data is the body's own (see NOTICE) at the places where MediaPipe sees its points
on rendered people; synthetic/rendered/face_baking.py makes it.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from pathlib import Path

import numpy as np

from magicpose_cli.arrays import Floats
from magicpose_cli.body.skeletal_motion import ARKIT_CURVES

FACE_FILE = Path(__file__).with_name("face_model.npz")
FACE_SIDES = ("right", "left")
IRIS_ROWS = {"right": 468, "left": 473}
"""The first of an iris's five points: the center, then its rim."""
EYE_CORNERS = {"right": (33, 133), "left": (263, 362)}
"""Of the dense points: the outer and the inner corner."""


@dataclass(frozen=True, eq=False)
class FaceModel:
    """What all faces have in common.

    Attributes:
        mean: (478, 3) meters, a mean adult at rest, looking ahead.
        identity: (K, 478, 3) meters a standard deviation of each component.
        actions: (52, 478, 3) meters, in the order of ARKIT_CURVES; the irises do not move.
        spread: (478,) meters, how well the place of a point on the skin is known.
        gains: (52,) how much of an action detectors show; 1 is all.
        eyes: (2, 3) meters, the middles of the right and of the left eyeball.
        iris_m: from there to the iris.
    """

    mean: Floats
    identity: Floats
    actions: Floats
    spread: Floats
    gains: Floats
    eyes: Floats
    iris_m: float


@cache
def load_face_model() -> FaceModel:
    """Read the model that the package ships, once."""
    with np.load(FACE_FILE, allow_pickle=False) as file:
        arrays = {name: file[name].astype(np.float64) for name in file.files}
    return FaceModel(**{**arrays, "iris_m": float(arrays["iris_m"])})


def curve_index(name: str) -> int:
    """The row of an action among the 52."""
    return ARKIT_CURVES.index(name)
