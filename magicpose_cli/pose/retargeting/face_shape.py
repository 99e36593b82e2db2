"""The face somebody has: its neutral shape in space, learned from a film or a single picture.

A film tells more than where the points are: as the head turns, near points go further than far
ones, which tells their depth; and most expressions come and go, so what stays is the person's own.
Only the mouth is open for half of a talk, so what goes along with it is learned beside the shape.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from magicpose_cli.arrays import Floats, Points
from magicpose_cli.pose.clip import PoseClip
from magicpose_cli.pose.keypoints import Pose
from magicpose_cli.pose.retargeting.head_pose import HeadPoses, fit_heads
from magicpose_cli.pose.retargeting.head_shape import (
    AVERAGE,
    BETWEEN_PEOPLE,
    COUNT,
    HEAD_JOINTS,
    IN_MOTION,
    LOWER_LIP,
    MIRROR,
    NOSE,
    NOSE_TIP,
    OPENING,
    TOGETHER,
    UPPER_LIP,
)

LEARN_FRAMES = 1500  # more tell nothing new of a face, and a film may be long
MIN_FACE_POINTS = 8  # of the 68: fewer are a detector's leftovers
SYMMETRY_ROUNDS = 5  # the last changes little; fewer where the face looks ahead would do
SHAPE_ROUNDS = 6  # of shape and head pose in turn
DEPTH_TRUST = 0.3  # weight of a measured depth beside what the picture shows
OPENING_SPREAD = 0.2  # how far the way of a point differs from OPENING's, for one unit of opening
STILL_SPREAD = 0.02  # the same for points that do not go with the mouth
_SPREAD = np.hypot(TOGETHER, IN_MOTION[:, None])
_MOVING = np.repeat(IN_MOTION[:, None], 3, axis=1)


@dataclass(frozen=True)
class Face:
    """A face in its own axes (see head_shape) and the poses it was seen in.

    shape (73, 3): with a closed mouth; opening (73, 3): where points go for one unit between the
    inner lips; gap (T,): that distance in each frame.
    """

    shape: Floats
    opening: Floats
    heads: HeadPoses
    gap: Floats

    def opened(self) -> Floats:
        """(T, 73, 3) the shape with the mouth as open as in each frame."""
        return self.shape + self.gap[:, None, None] * self.opening


def face_points(poses: Sequence[Pose]) -> Floats:
    """(T, 73, 3) pixels; NaN where unseen, and z NaN where no depth is known.

    `face_3d` may have another scale than the picture, its depth is brought to pixels. The nose
    joint is the tip of the nose where only that is seen.
    """
    clip = PoseClip.of(poses)
    points = np.full((len(clip), COUNT, 3), np.nan)
    points[:, :68, :2] = clip.part("face")
    points[:, 68:, :2] = clip.part("body")[:, list(HEAD_JOINTS)]
    if clip.face_3d is not None:
        for row, space, face in zip(points, clip.face_3d, clip.part("face"), strict=True):
            row[:68, 2] = _depth(space, face)
    noseless = ~np.isfinite(points[:, NOSE, :2]).all(axis=1)
    points[noseless, NOSE] = points[noseless, NOSE_TIP]
    points[~np.isfinite(points[..., :2]).all(axis=2)] = np.nan
    points[..., 2][~np.isfinite(points[..., 2])] = np.nan
    return points


def _depth(face_3d: Points, face: Points) -> Floats:
    """(68,) depth in pixels, from the scale between the face in space and in the picture."""
    space, flat = face_3d.astype(float), face.astype(float)
    both = np.isfinite(space).all(axis=1) & np.isfinite(flat).all(axis=1)
    if both.sum() < MIN_FACE_POINTS:
        return np.full(len(flat), np.nan)
    own, picture = space[both, :2].std(axis=0), flat[both].std(axis=0)
    scale = np.hypot(*picture) / np.hypot(*own) if own.any() else np.nan
    return np.where(both, (space[:, 2] - space[both, 2].mean()) * scale, np.nan)


def learn_face(points: Floats) -> Face:
    """The neutral face of the person in a film, (T, 73, 3), at least one frame seen.

    Of a long film it is learned from frames spread over it, where most of the face is seen.
    """
    seen = np.flatnonzero(np.isfinite(points[..., :2]).all(axis=2).sum(axis=1) >= MIN_FACE_POINTS)
    chosen = points[seen[:: -(-len(seen) // LEARN_FRAMES)]] if len(seen) > LEARN_FRAMES else points
    heads = fit_heads(chosen, AVERAGE, _SPREAD)
    shape, opening = AVERAGE, OPENING
    for _ in range(SHAPE_ROUNDS):
        face = Face(shape, opening, heads, mouth_gap(chosen, heads))
        shape, opening = _likeliest(chosen, face)
        heads = fit_heads(chosen, Face(shape, opening, heads, face.gap).opened(), _MOVING)
    if chosen is not points:
        heads = fit_heads(points, shape, _MOVING)
        opened = Face(shape, opening, heads, mouth_gap(points, heads)).opened()
        heads = fit_heads(points, opened, _MOVING)
    return leveled(Face(shape, opening, heads, mouth_gap(points, heads)))


def lift_face(points: Floats, other: Face) -> tuple[Floats, HeadPoses]:
    """The face of a single picture, (1, 73, 3), as it is there: shape (73, 3) and head pose.

    One picture shows no depth; unless the detector knew it, it is that of the `other` face, of
    which unseen points are taken as well, made as symmetric as the picture allows: a turned face
    shows its two halves from two sides.
    """
    likely = np.column_stack([(AVERAGE + other.shape)[:, :2] / 2, other.shape[:, 2]])
    heads = fit_heads(points, likely, _SPREAD)
    shape = other.shape
    for _ in range(SYMMETRY_ROUNDS):
        shape = _filled(points, heads, shape)
        shape = (shape + shape[MIRROR] * (-1, 1, 1)) / 2
    face = leveled(Face(_filled(points, heads, shape), other.opening, heads, np.zeros(1)))
    return face.shape, face.heads


def _filled(points: Floats, heads: HeadPoses, shape: Floats) -> Floats:
    """What is known of a single picture in the face's own axes, (73, 3), the rest from `shape`."""
    known: Floats = heads.unproject(np.where(np.isfinite(points), points, heads.project(shape)))[0]
    return known


def mouth_gap(points: Floats, heads: HeadPoses) -> Floats:
    """(T,) distance between the inner lips along the face's own y axis; 0 where unseen."""
    apart = points[:, list(LOWER_LIP), :2] - points[:, list(UPPER_LIP), :2]
    down = heads.rotation[:, :2, 1] * heads.scale[:, None]
    gap = (apart.mean(axis=1) * down).sum(axis=1) / np.square(down).sum(axis=1)
    opened: Floats = np.maximum(np.nan_to_num(gap), 0.0)
    return opened


def leveled(face: Face) -> Face:
    """The same face with its own axes laid as those of the average head.

    They are laid by what a picture from the front shows, so that a face known in depth and one
    known from a single picture look ahead in the same way.
    """
    for _ in range(2):
        model = np.column_stack([AVERAGE[:, :2], face.shape[:, 2]])
        front = np.column_stack([face.shape[:, :2], np.full(COUNT, np.nan)])
        first = fit_heads(front[None], model, TOGETHER)
        face = Face(
            first.unproject(face.shape[None])[0],
            face.opening @ first.rotation[0] / first.scale[0],
            face.heads.after(first),
            face.gap / first.scale[0],
        )
    return face


def _likeliest(points: Floats, face: Face) -> tuple[Floats, Floats]:
    """Shape and opening (73, 3) that explain all frames best, near the average head's.

    Two unknown places for each point, linear in what is seen: least squares, in which a frame
    weighs little for a point that is far off there (a wink, a mistake of the detector).
    """
    heads = face.heads
    wrong = (points - heads.project(face.opened())) / heads.scale[:, None, None]
    seen = np.isfinite(wrong)
    trust = seen * np.array([1.0, 1.0, DEPTH_TRUST])  # (T, n, 3) along the camera's axes
    wrong = np.where(seen, wrong, 0.0) / IN_MOTION[:, None]
    trust /= (1 + (trust * wrong**2).sum(axis=2, keepdims=True)) * IN_MOTION[:, None] ** 2
    rotation = np.where(np.isfinite(heads.rotation), heads.rotation, 0.0)
    camera = np.where(seen, points - heads.shift[:, None], 0.0)
    camera = camera / np.where(np.isfinite(heads.scale), heads.scale, 1.0)[:, None, None]
    left, right = np.zeros((COUNT, 6, 6)), np.zeros((COUNT, 6))
    powers = np.stack([face.gap**0, face.gap, face.gap**2], axis=1)
    blocks = np.einsum("tp,tni,tij,tik->pnjk", powers, trust, rotation, rotation, optimize=True)
    left[:, :3, :3], left[:, 3:, 3:] = blocks[0], blocks[2]
    left[:, :3, 3:] = left[:, 3:, :3] = blocks[1]
    sums = np.einsum("tp,tni,tij->pnj", powers[:, :2], trust * camera, rotation, optimize=True)
    right[:, :3], right[:, 3:] = sums
    moves = (OPENING != 0).any(axis=1, keepdims=True)
    away = np.column_stack(
        [np.where(moves, OPENING_SPREAD, STILL_SPREAD)] * 2 + [np.full(COUNT, STILL_SPREAD)]
    )
    prior = 1 / np.square(np.column_stack([BETWEEN_PEOPLE, away]))
    left[:, range(6), range(6)] += prior
    right += prior * np.column_stack([AVERAGE, OPENING])
    solved = np.linalg.solve(left, right[..., None])[..., 0]
    return solved[:, :3], solved[:, 3:]
