"""Pose: the points of one person in one frame, in OpenPose order.

Body, 18 joints (OpenPose COCO order): see BODY_JOINTS. Face, 68 points (the iBUG/dlib order that
OpenPose and DWPose share). Hands, 21 points each: wrist, then thumb to little finger, root to tip.
"left" and "right" are the person's own.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, fields, replace

import numpy as np

BODY_JOINTS = (
    "nose", "neck",
    "right_shoulder", "right_elbow", "right_wrist",
    "left_shoulder", "left_elbow", "left_wrist",
    "right_hip", "right_knee", "right_ankle",
    "left_hip", "left_knee", "left_ankle",
    "right_eye", "left_eye", "right_ear", "left_ear",
)  # fmt: skip
PARTS = {"body": 18, "face": 68, "left_hand": 21, "right_hand": 21}


@dataclass(frozen=True, eq=False)
class Pose:
    """One person's points in a picture of `width` x `height` pixels.

    body (18, 2), face (68, 2), left_hand (21, 2), right_hand (21, 2): float32 pixels, x right,
    y down, origin at the picture's top left corner; `*_score` (n,) in 0..1. A point that was not
    seen has score 0 and NaN coordinates. Points may lie outside of the picture.

    body_3d (18, 3), face_3d (68, 3), float32: the same points in space, where the detector knows
    them, else None; x right, y down, z away from the camera, up to a scale and a shift, so that
    lengths may be compared within one pose only. NaN where unknown. They tell how much a bone is
    foreshortened and how a head is turned; nothing is drawn from them.
    """

    width: int
    height: int
    body: np.ndarray
    body_score: np.ndarray
    face: np.ndarray
    face_score: np.ndarray
    left_hand: np.ndarray
    left_hand_score: np.ndarray
    right_hand: np.ndarray
    right_hand_score: np.ndarray
    body_3d: np.ndarray | None = None
    face_3d: np.ndarray | None = None

    def __post_init__(self) -> None:
        for part, count in PARTS.items():
            points, score = getattr(self, part), getattr(self, f"{part}_score")
            if points.shape != (count, 2) or score.shape != (count,):
                raise ValueError(
                    f"{part}: expected points ({count}, 2) and scores ({count},), "
                    f"got {points.shape} and {score.shape}"
                )
        for part in ("body", "face"):
            space = getattr(self, f"{part}_3d")
            if space is not None and space.shape != (PARTS[part], 3):
                raise ValueError(f"{part}_3d: expected ({PARTS[part]}, 3), got {space.shape}")

    @classmethod
    def of(
        cls,
        width: int,
        height: int,
        *,
        body_3d: np.ndarray | None = None,
        face_3d: np.ndarray | None = None,
        **parts: np.ndarray,
    ) -> Pose:
        """Build from (n, 3) arrays of x, y, score; absent parts, points of score 0 are unseen."""
        values: dict[str, np.ndarray] = {}
        for part, count in PARTS.items():
            data = np.array(parts.get(part, np.zeros((count, 3))), dtype=np.float32)
            unseen = ~((data[:, 2] > 0) & np.isfinite(data[:, :2]).all(axis=1))
            data[unseen] = (np.nan, np.nan, 0.0)
            values[part] = data[:, :2].copy()
            values[f"{part}_score"] = np.clip(data[:, 2], 0.0, 1.0)
        return cls(width, height, **values, body_3d=body_3d, face_3d=face_3d)

    @property
    def is_empty(self) -> bool:
        """True where no point at all was seen."""
        return not any((getattr(self, f"{part}_score") > 0).any() for part in PARTS)

    def map_points(
        self, function: Callable[[np.ndarray], np.ndarray], width: int, height: int
    ) -> Pose:
        """Apply a map of (n, 2) pixels to every part; the result lives in width x height."""
        moved = {part: function(getattr(self, part)).astype(np.float32) for part in PARTS}
        return replace(self, width=width, height=height, **moved)

    def equals(self, other: Pose) -> bool:
        """Same size, same points (NaN equals NaN), same scores."""
        return all(
            _equal(getattr(self, field.name), getattr(other, field.name)) for field in fields(self)
        )


def _equal(one: np.ndarray | int | None, other: np.ndarray | int | None) -> bool:
    if one is None or other is None:
        return one is other
    return np.array_equal(one, other, equal_nan=True)
