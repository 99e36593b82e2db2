"""Pose: the points of one person in one frame, in OpenPose order.

Body, 18 joints (OpenPose COCO order): see BODY_JOINTS. Face, 68 points (the iBUG/dlib order that
OpenPose and DWPose share). Hands, 21 points each: wrist, then thumb to little finger, root to tip.
"left" and "right" are the person's own.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, fields, replace

import numpy as np

from magicpose_cli.arrays import AnyArray, Floats, Points, Scores

BODY_JOINTS = (
    "nose", "neck",
    "right_shoulder", "right_elbow", "right_wrist",
    "left_shoulder", "left_elbow", "left_wrist",
    "right_hip", "right_knee", "right_ankle",
    "left_hip", "left_knee", "left_ankle",
    "right_eye", "left_eye", "right_ear", "left_ear",
)  # fmt: skip
OTHER_SIDE = {"right": "left", "left": "right"}
MIRRORED_BODY = [
    BODY_JOINTS.index("_".join(OTHER_SIDE.get(word, word) for word in name.split("_")))
    for name in BODY_JOINTS
]
"""Where each joint of a mirrored pose comes from: left and right change places."""
PARTS = {"body": 18, "face": 68, "left_hand": 21, "right_hand": 21}
HAND_PARTS = ("left_hand", "right_hand")
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

    Points are float32 pixels, x right, y down, origin at the picture's top left corner; they may
    lie outside of the picture. A point that was not seen has score 0 and NaN coordinates. Only the
    four parts with scores are drawn.

    Attributes:
        width: of the picture, pixels.
        height: of the picture, pixels.
        body: (18, 2), with body_score (18,) from 0 to 1; so for the next three.
        face: (68, 2), with face_score (68,).
        left_hand: (21, 2), with left_hand_score (21,).
        right_hand: (21, 2), with right_hand_score (21,).
        body_3d: (18, 3) the joints in space, where the detector knows them; x right, y down, z away
            from the camera, up to a scale and a shift, so that lengths may be compared within one
            pose only. NaN where unknown. They tell how much a bone is foreshortened.
        face_3d: (68, 3) likewise for the face. They tell how a head is turned.
        face_mesh: (478, 3) MediaPipe's face with the irises, where the detector has it; x, y pixels
            that may lie outside of the picture, z depth in pixels of the picture, away from the
            camera, around the head's middle. The mesh is whole, never partly NaN.
        body_guess: (18, 3) x, y, score of every joint as the detector guesses it, however low its
            score, where the detector tells; NaN where the guess is outside of the picture.
    """

    width: int
    height: int
    body: Points
    body_score: Scores
    face: Points
    face_score: Scores
    left_hand: Points
    left_hand_score: Scores
    right_hand: Points
    right_hand_score: Scores
    body_3d: Points | None = None
    face_3d: Points | None = None
    face_mesh: Points | None = None
    body_guess: Points | None = None

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
        body_3d: Points | None = None,
        face_3d: Points | None = None,
        face_mesh: Points | None = None,
        body_guess: Points | None = None,
        **parts: AnyArray,
    ) -> Pose:
        """Build from (n, 3) arrays of x, y, score; absent parts, points of score 0 are unseen."""
        values: dict[str, AnyArray] = {}
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

    def map_points(self, function: Callable[[Floats], Floats], width: int, height: int) -> Pose:
        """Apply a map of (n, 2) pixels to every part; the result lives in width x height.

        The mesh and the guesses move along; the mesh's depth grows as the picture does.
        """
        moved = {part: function(getattr(self, part)).astype(np.float32) for part in PARTS}
        if self.face_mesh is not None:
            moved["face_mesh"] = move_points(self.face_mesh, function, enlargement(function))
        if self.body_guess is not None:
            moved["body_guess"] = move_points(self.body_guess, function)
        return replace(self, width=width, height=height, **moved)

    def equals(self, other: Pose) -> bool:
        """Same size, same points (NaN equals NaN), same scores."""
        return all(
            _equal(getattr(self, field.name), getattr(other, field.name)) for field in fields(self)
        )


def move_points(
    points: Points, function: Callable[[Floats], Floats], stretch: float = 1.0
) -> Points:
    """Map x, y of points in space and multiply their third coordinate.

    Args:
        points: (..., 3); x, y pixels.
        function: maps (..., 2) pixels.
        stretch: factor of the third coordinate.
    """
    moved = [function(points[..., :2]), stretch * points[..., 2:]]
    return np.concatenate(moved, axis=-1).astype(np.float32)


def shared_points(one: Pose, other: Pose) -> tuple[Floats, Floats]:
    """Points of body and face that both poses show, (n, 2) float64 of each."""
    points = [np.concatenate([pose.body, pose.face]).astype(np.float64) for pose in (one, other)]
    both = np.isfinite(points[0]).all(1) & np.isfinite(points[1]).all(1)
    return points[0][both], points[1][both]


def spread_of(points: Floats) -> float:
    """How far points, (n, 2), lie apart, for ratios; 0 where there are less than two."""
    return float(points.std(0).sum()) if len(points) > 1 else 0.0


def enlargement(function: Callable[[Floats], Floats]) -> float:
    """How much a map of the plane enlarges lengths at its origin: the root of what areas do."""
    origin, right, down = function(np.array([(0.0, 0.0), (1.0, 0.0), (0.0, 1.0)]))
    return float(np.sqrt(abs(np.linalg.det(np.array([right - origin, down - origin])))))


def _equal(one: AnyArray | int | None, other: AnyArray | int | None) -> bool:
    if one is None or other is None:
        return one is other
    return np.array_equal(one, other, equal_nan=True)
