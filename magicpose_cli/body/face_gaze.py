"""Where eyes look: from the irises of a dense face, as ARKit's curves, and back."""

from __future__ import annotations

import numpy as np

from magicpose_cli.arrays import Floats
from magicpose_cli.body.face_model import EYE_CORNERS, FACE_SIDES, IRIS_ROWS, curve_index

GAZE_CURVES = tuple(
    f"eyeLook{way}{side}" for way in ("In", "Out", "Up", "Down") for side in ("Left", "Right")
)
FULL_LOOK_RAD = float(np.radians(30))
"""A curve of 1. The makers of the curves tell no angle; this is what eyes do without the head."""
MAX_GAZE_RAD = float(np.radians(40))


def gaze_of_irises(points: Floats, neutral: Floats, rotations: Floats, scales: Floats) -> Floats:
    """Angles of both eyes from where the irises lie between the corners of the eyes.

    Args:
        points: (F, 478, 3) pixels; NaN where unseen.
        neutral: (478, 3) meters, the face at rest, looking ahead.
        rotations: (F, 3, 3) of the head.
        scales: (F,) pixels a meter.

    Returns:
        (F, 2, 2) radians of the right and the left eye, to the person's left and down; 0 where the
        irises are unknown. Both eyes look into the same direction.
    """
    from magicpose_cli.body.face_model import load_face_model

    radius = load_face_model().iris_m
    gaze = np.zeros((len(points), 2, 2))
    for number, side in enumerate(FACE_SIDES):
        corners, iris = list(EYE_CORNERS[side]), IRIS_ROWS[side]
        middle = neutral[corners].mean(axis=0)
        ahead = neutral[iris] - middle
        seen = points[:, iris, :2] - points[:, corners, :2].mean(axis=1)
        seen = seen / scales[:, None]
        # the iris lies at `ahead` plus (x, y, 0) in the face's axes; its depth hardly changes
        flat = rotations[:, :2, :2]
        offset = seen - rotations[:, :2] @ ahead
        place = np.linalg.solve(flat, offset[..., None])[..., 0]
        angle = np.arcsin(np.clip(place / radius, -0.9, 0.9))
        gaze[:, number] = np.where(np.isfinite(angle), angle, 0.0)
    together = gaze.mean(axis=1, keepdims=True)  # eyes go together; what differs is the detector's
    return np.repeat(np.clip(together, -MAX_GAZE_RAD, MAX_GAZE_RAD), 2, axis=1)


def curves_of_gaze(gaze: Floats) -> dict[str, Floats]:
    """ARKit's eight curves (F,) of (F, 2, 2) angles as of `gaze_of_irises`."""
    curves = {}
    for number, side in enumerate(FACE_SIDES):
        left, down = (gaze[:, number, axis] / FULL_LOOK_RAD for axis in (0, 1))
        outward = left if side == "left" else -left
        ways = {"Out": outward, "In": -outward, "Down": down, "Up": -down}
        for way, amount in ways.items():
            curves[f"eyeLook{way}{side.capitalize()}"] = np.clip(amount, 0.0, 1.0)
    return curves


def gaze_of_curves(actions: Floats) -> Floats:
    """(F, 2, 2) angles, see `gaze_of_irises`, of (F, 52) actions."""
    gaze = np.zeros((len(actions), 2, 2))
    for number, side in enumerate(FACE_SIDES):
        way = {
            name: actions[:, curve_index(f"eyeLook{name}{side.capitalize()}")]
            for name in ("In", "Out", "Up", "Down")
        }
        outward = way["Out"] - way["In"]
        gaze[:, number, 0] = outward if side == "left" else -outward
        gaze[:, number, 1] = way["Down"] - way["Up"]
    return FULL_LOOK_RAD * gaze
