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
MESH_POINTS = 478  # of MediaPipe's face, the irises included
# What a pose may have besides its parts: points of three numbers each.
EXTRAS = {
    "body_3d": PARTS["body"],
    "face_3d": PARTS["face"],
    "face_mesh": MESH_POINTS,
    "body_guess": PARTS["body"],
}


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

    face_mesh (478, 3) float32: MediaPipe's face with the irises, where the detector has it, else
    None; x, y pixels that may lie outside of the picture, z depth in pixels of the picture, away
    from the camera, around the head's middle. It is whole, never partly NaN. Nothing is drawn from
    it.

    body_guess (18, 3) float32: x, y, score of every joint as the detector guesses it, however low
    its score, where the detector tells, else None; NaN where the guess is outside of the picture.
    Nothing is drawn or retargeted from it.
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
    face_mesh: np.ndarray | None = None
    body_guess: np.ndarray | None = None

    def __post_init__(self) -> None:
        for part, count in PARTS.items():
            points, score = getattr(self, part), getattr(self, f"{part}_score")
            if points.shape != (count, 2) or score.shape != (count,):
                raise ValueError(
                    f"{part}: expected points ({count}, 2) and scores ({count},), "
                    f"got {points.shape} and {score.shape}"
                )
        for name, count in EXTRAS.items():
            extra = getattr(self, name)
            if extra is not None and extra.shape != (count, 3):
                raise ValueError(f"{name}: expected ({count}, 3), got {extra.shape}")

    def shows_hand(self, side: str) -> bool:
        """Whether any point of the "left" or "right" hand was seen."""
        return bool((getattr(self, f"{side}_hand_score") > 0).any())

    @classmethod
    def of(
        cls,
        width: int,
        height: int,
        *,
        body_3d: np.ndarray | None = None,
        face_3d: np.ndarray | None = None,
        face_mesh: np.ndarray | None = None,
        body_guess: np.ndarray | None = None,
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
        return cls(
            width,
            height,
            **values,
            body_3d=body_3d,
            face_3d=face_3d,
            face_mesh=face_mesh,
            body_guess=body_guess,
        )

    @property
    def is_empty(self) -> bool:
        """True where no point at all was seen."""
        return not any((getattr(self, f"{part}_score") > 0).any() for part in PARTS)

    def map_points(
        self, function: Callable[[np.ndarray], np.ndarray], width: int, height: int
    ) -> Pose:
        """Apply a map of (n, 2) pixels to every part; the result lives in width x height.

        The mesh and the guesses move along; the mesh's depth grows as the picture does.
        """
        moved = {part: function(getattr(self, part)).astype(np.float32) for part in PARTS}
        if self.face_mesh is not None:
            moved["face_mesh"] = _moved(self.face_mesh, function, _scale(function))
        if self.body_guess is not None:
            moved["body_guess"] = _moved(self.body_guess, function)
        return replace(self, width=width, height=height, **moved)

    def equals(self, other: Pose) -> bool:
        """Same size, same points (NaN equals NaN), same scores."""
        return all(
            _equal(getattr(self, field.name), getattr(other, field.name)) for field in fields(self)
        )


def _moved(
    points: np.ndarray, function: Callable[[np.ndarray], np.ndarray], stretch: float = 1.0
) -> np.ndarray:
    """(n, 3) float32: x, y by the map, what stands third multiplied."""
    return np.hstack([function(points[:, :2]), stretch * points[:, 2:]]).astype(np.float32)


def _scale(function: Callable[[np.ndarray], np.ndarray]) -> float:
    """How much a map of the plane enlarges lengths at its origin: the root of what areas do."""
    origin, right, down = function(np.array([(0.0, 0.0), (1.0, 0.0), (0.0, 1.0)]))
    return float(np.sqrt(abs(np.linalg.det([right - origin, down - origin]))))


def _equal(one: np.ndarray | int | None, other: np.ndarray | int | None) -> bool:
    if one is None or other is None:
        return one is other
    return np.array_equal(one, other, equal_nan=True)
