"""The driver's expression and head turn on the reference's own face shape."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from magicpose_cli.arrays import Floats
from magicpose_cli.pose.keypoints import Pose
from magicpose_cli.pose.retargeting.face_shape import (
    MIN_FACE_POINTS,
    Face,
    face_points,
    learn_face,
    lift_face,
    mouth_gap,
)
from magicpose_cli.pose.retargeting.head_pose import HeadPoses, rotation_vectors, rotations
from magicpose_cli.pose.retargeting.head_shape import COUNT, EYES, NOSE

# A reference whose points lie as in one of the driver's frames, up to this share of the face's
# size, is a picture of the driver: its expression is then known and not taken for its neutral face.
SAME_PICTURE = 0.02
CLOSED_EYE = 0.35  # of the driver's usual opening: the reference's eyes are shut or blinking
PROPORTIONS = (0.5, 2.0)  # of two people's mouths and eyes; more is a mistake of the detector
MAX_HEAD_TURN_RAD = 1.4  # radians; `head` above 1 turns no face beyond a profile


def retarget_face(
    poses: Sequence[Pose],
    target: Pose,
    anchor: int,
    *,
    expression: float = 1.0,
    head: float = 1.0,
) -> Floats:
    """The face of `target` with the driver's expression and head pose in every frame.

    (frames, 73, 2): 68 face points, then the joints nose, right eye, left eye, right ear, left ear,
    as offsets from the nose joint in the target's pixels. NaN where the driver's face is not seen,
    for single points that the driver does not show in that frame, and for points that the target
    lacks. The face is as large as the target's where the driver's is as large as in frame `anchor`.

    expression: 0 keeps that of the target's picture, 1 gives the driver's, more exaggerates its
    distance from the neutral face. head: 0 keeps the turn, nod and tilt of the target's picture, 1
    gives the driver's as the camera sees it, more turns further away from the front.
    """
    points = face_points(poses)
    result = np.full((len(points), COUNT, 2), np.nan)
    faces = np.isfinite(points[:, :68, 0]).sum(axis=1) >= MIN_FACE_POINTS
    wanted = face_points([target])
    if not faces.any() or not np.isfinite(wanted[0, NOSE, 0]):
        return result
    driver = learn_face(points[faces])
    moves = _moves(points[faces], driver)
    neutral, shown, own = _reference(wanted, points[faces], driver, moves)
    given = moves * _proportions(neutral, driver.shape)
    shape = neutral + max(0.0, 1 - expression) * shown + expression * given
    start = int(np.argmin(np.abs(np.flatnonzero(faces) - anchor)))
    posed = HeadPoses(
        _head_turns(driver.heads.rotation, own.rotation, head),
        own.scale * driver.heads.scale / driver.heads.scale[start],
        np.zeros((len(shape), 3)),
    )
    placed = posed.project(shape)[..., :2]
    placed -= placed[:, [NOSE]]
    driver_seen = np.isfinite(points[faces, :, 0])
    driver_seen[:, NOSE] = True
    result[faces] = np.where((driver_seen & np.isfinite(wanted[..., 0]))[..., None], placed, np.nan)
    return result


def _moves(points: Floats, driver: Face) -> Floats:
    """(T, 73, 3) how far each point is from its neutral place, in the face's own axes.

    What a picture does not show, the way toward the camera, is taken from the opening of the mouth.
    """
    opened = driver.opened()
    expected = driver.heads.project(opened)
    wrong = driver.heads.unproject(np.where(np.isfinite(points), points, expected)) - opened
    return wrong + opened - driver.shape


def _reference(
    wanted: Floats, points: Floats, driver: Face, moves: Floats
) -> tuple[Floats, Floats, HeadPoses]:
    """The target's neutral shape, its expression on top of it (73, 3) and its head pose.

    One picture cannot tell a smile from a smiling mouth: it counts as neutral, but for an open
    mouth, which is closed, and shut eyes, which are opened. A picture of the driver has the
    expression that the driver has there.
    """
    same = _same_picture(wanted, points)
    if same is not None:
        match, moved = same
        heads = moved.after(driver.heads.row(match))
        there = heads.project(driver.shape + moves[match])[0]
        there[:, :2] = np.where(np.isfinite(wanted[0, :, :2]), wanted[0, :, :2], there[:, :2])
        return heads.unproject(there[None])[0] - moves[match], moves[match], heads
    lifted, heads = lift_face(wanted, driver)
    shown = mouth_gap(wanted, heads)[0] * driver.opening + _lids_to_open(lifted, driver.shape)
    return lifted - shown, shown, heads


def _same_picture(wanted: Floats, points: Floats) -> tuple[int, HeadPoses] | None:
    """The frame whose points lie as the target's; None where there is no such frame.

    They may differ in size, place and turn in the plane: the way from there to the target is
    returned as well.
    """
    seen = np.isfinite(points[..., 0]) & np.isfinite(wanted[..., 0])
    count = np.maximum(seen.sum(axis=1), 1)[:, None]
    a, b = (
        np.where(seen, flat[..., 0] + 1j * flat[..., 1], 0.0)
        for flat in (points, np.broadcast_to(wanted, points.shape))
    )
    middle, origin = a.sum(axis=1, keepdims=True) / count, b.sum(axis=1, keepdims=True) / count
    a, b = np.where(seen, a - middle, 0.0), np.where(seen, b - origin, 0.0)
    size = np.square(np.abs(b)).sum(axis=1)
    with np.errstate(invalid="ignore", divide="ignore"):
        way = (a.conj() * b).sum(axis=1) / np.square(np.abs(a)).sum(axis=1)
        wrong = np.square(np.abs(b - way[:, None] * a)).sum(axis=1) / size
    wrong[(seen.sum(axis=1) < seen.sum(axis=1).max()) | ~np.isfinite(wrong)] = np.inf
    match = int(np.argmin(wrong))
    if seen[match].sum() < MIN_FACE_POINTS or wrong[match] > SAME_PICTURE**2:
        return None
    scale, shift = np.abs(way[match]), (origin - way[:, None] * middle)[match, 0]
    turn = rotations(np.array([[0.0, 0.0, np.angle(way[match])]]))
    return match, HeadPoses(turn, scale[None], np.array([[shift.real, shift.imag, 0.0]]))


def _lids_to_open(lifted: Floats, usual: Floats) -> Floats:
    """(73, 3) how far shut lids are from where they would be open as usual; 0 for open eyes."""
    away = np.zeros_like(lifted)
    for eye in EYES:
        if _aperture(lifted, eye) < CLOSED_EYE * _aperture(usual, eye):
            corners, lids = [eye[0], eye[3]], [eye[k] for k in (1, 2, 4, 5)]
            size = _distance(lifted, *corners) / _distance(usual, *corners)
            opened = lifted[corners].mean(axis=0) + size * (
                usual[lids] - usual[corners].mean(axis=0)
            )
            away[lids] = lifted[lids] - opened
    return away


def _proportions(own: Floats, driver: Floats) -> Floats:
    """(73, 3) the target's mouth, chin and eyes over the driver's, along the face's own axes.

    A smile goes with the width of the mouth, an open mouth with the height of the face, and
    lids with the opening of the eye, so that shut eyes are shut on both.
    """

    def ratio(measure: Callable[..., float], *of: Any) -> float:
        theirs = measure(driver, *of)
        return float(np.clip(measure(own, *of) / theirs, *PROPORTIONS)) if theirs > 0 else 1.0

    result = np.ones((COUNT, 3))
    result[48:68, ::2] = ratio(_distance, 48, 54)
    result[48:68, 1] = result[:17, 1] = ratio(_distance, 27, 8)
    for eye, joint in zip(EYES, (69, 70), strict=True):
        width = ratio(_distance, eye[0], eye[3])
        result[[*eye, joint]] = width
        lids = [eye[k] for k in (1, 2, 4, 5)]
        result[lids, 1] = width * ratio(_aperture, eye)
    return result


def _distance(shape: Floats, one: int, other: int) -> float:
    return float(np.linalg.norm(shape[one] - shape[other]))


def _aperture(shape: Floats, eye: Sequence[int]) -> float:
    """How far an eye is open, as a share of its width."""
    upper, lower = shape[[eye[1], eye[2]], 1].mean(), shape[[eye[4], eye[5]], 1].mean()
    width = _distance(shape, eye[0], eye[3])
    return float(max(lower - upper, 0.0) / width) if width > 0 else 0.0


def _head_turns(driver: Floats, own: Floats, head: float) -> Floats:
    """(T, 3, 3) rotations between the target's own and the driver's, or beyond the driver's."""
    if head <= 1:
        return own @ rotations(head * rotation_vectors(np.swapaxes(own, 1, 2) @ driver))
    vectors = rotation_vectors(driver)
    angle = np.linalg.norm(vectors, axis=1, keepdims=True)
    further = np.minimum(head * angle, np.maximum(angle, MAX_HEAD_TURN_RAD))
    return rotations(vectors * further / np.maximum(angle, 1e-12))
