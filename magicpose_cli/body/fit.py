"""Fit one person's body to a clip of points: one shape, rotations frame by frame, a fixed camera.

Gauss-Newton over all frames at once. A frame has 54 unknowns: the root's place and turn and 16
groups of joints (body/fit_rig.py). Frames hang together by their accelerations and by feet that
stand, which makes the normal equations banded; a few steps of the shape alternate with them. What
the picture cannot tell (how far away a person of what size is) is left to the shape's prior.

Angles stay near the rest pose where nothing is seen, and within what joints can do.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from magicpose_cli.body.cameras import Camera
from magicpose_cli.body.fit_rig import SHAPE_COMPONENTS, FitRig, make_rig
from magicpose_cli.body.fit_start import lifted, start_rotations
from magicpose_cli.body.fit_steps import (
    ANKLES,
    FitState,
    Observed,
    best_place,
    improve_pose,
    improve_shape,
    pixel_errors,
    posed_points,
)
from magicpose_cli.body.joint_groups import GROUP_NAMES
from magicpose_cli.body.layout import POSE_POINTS, POSE_SLICES
from magicpose_cli.body.model import Body
from magicpose_cli.errors import InputError
from magicpose_cli.pose.keypoints import BODY_JOINTS

if TYPE_CHECKING:
    from torch import Tensor

Array = NDArray[Any]
FOCAL = 1.2  # of the picture's longer side, where the focal length is unknown
ROUNDS = 12  # of the body alone
FINGER_ROUNDS = 4  # of body and fingers, where hands are seen
FACE_ROWS = (0, 8, 16, 27, 30, 33, 36, 39, 42, 45)  # of the 68: those that no expression moves much
PATIENCE = 6.0  # at first: points that are far off pull, too, and count as outliers in the end
KNUCKLES = (0, 5, 9, 13, 17)  # the wrist and where the fingers start
PIXEL_NOISE = 0.01  # of a seen point, as a share of the person's height in the picture
FACE_WEIGHT, HAND_WEIGHT = 0.15, 10.0  # a face's points err together, hands are seen well
STANDING_SPEED = 0.15  # heights of the person per second, in the picture: slower is standing


@dataclass(frozen=True)
class FittedClip:
    """shape (1, K); rotations (F, J, 3, 3) and root (F, 3) as Body takes them; camera: at the
    world's origin, looking along -z; reprojection_px (F,): the weighted mean distance of the seen
    points, NaN in frames without any."""

    shape: Tensor
    rotations: Tensor
    root: Tensor
    camera: Camera
    reprojection_px: Tensor


def fit_clip(
    body: Body,
    points: Array,
    scores: Array,
    width: int,
    height: int,
    *,
    fps: float = 30.0,
    focal_px: float | None = None,
    points_3d: Array | None = None,
    rounds: int = ROUNDS,
) -> FittedClip:
    """Fit the body to one person's points.

    Args:
        body: on the CPU.
        points: (F, 128, 2) pixels of a width x height picture, NaN where unseen, in the order of
            layout.POSE_SLICES.
        scores: (F, 128), 0..1.
        width: of the picture.
        height: of the picture.
        fps: frames a second, for what is a usual acceleration.
        focal_px: of the camera; 1.2 times the longer side where it is unknown.
        points_3d: (F, 18, 3) of Pose.body_3d: x right, y down, z away, up to scale and shift; NaN
            where unknown. None where there are none.
        rounds: of Gauss-Newton, for the body alone; a few more, of body and fingers, follow.

    Raises:
        InputError: for arrays of other shapes, or where no frame shows the body.
    """
    import torch

    _check(points, scores, points_3d)
    focal = focal_px or FOCAL * max(width, height)

    def observed(rows: list[int]) -> Observed:
        return _observe(points[:, rows], scores[:, rows], (width, height), focal, fps, points_3d)

    with torch.no_grad():
        rows = _rows(KNUCKLES)
        rig = make_rig(body, rows)
        seen = observed(rows)
        state = _start(rig, seen)
        for number in range(rounds):
            improve_pose(rig, seen, state, 1 + PATIENCE * 0.5**number)
            if number % 3 == 1:
                improve_shape(rig, seen, state)
        hands = slice(POSE_SLICES["left_hand"].start, POSE_SLICES["right_hand"].stop)
        if (scores[:, hands] > 0).any():
            rows = _rows(tuple(range(21)))
            rig, seen = make_rig(body, rows, GROUP_NAMES), observed(rows)
            for number in range(FINGER_ROUNDS):
                improve_pose(rig, seen, state, 1 + PATIENCE * 0.5**number)
        error = _distances(posed_points(rig, state).points, seen)
    camera = Camera(width, height, distance_m=0.0, focal_px=focal)
    shape = torch.zeros(1, body.component_count)
    shape[0, :SHAPE_COMPONENTS] = state.shape
    return FittedClip(shape, rig.rotations(state.turn, state.angles), state.place, camera, error)


def _check(points: Array, scores: Array, points_3d: Array | None) -> None:
    frames = len(points)
    if points.shape != (frames, POSE_POINTS, 2) or scores.shape != (frames, POSE_POINTS):
        raise InputError(
            f"points {points.shape} and scores {scores.shape} cannot be fitted; "
            f"expected (frames, {POSE_POINTS}, 2) and (frames, {POSE_POINTS})"
        )
    if points_3d is not None and points_3d.shape != (frames, len(BODY_JOINTS), 3):
        raise InputError(
            f"points in space {points_3d.shape} cannot be fitted; "
            f"expected ({frames}, {len(BODY_JOINTS)}, 3)"
        )
    body = np.isfinite(points[:, : len(BODY_JOINTS)]).all(-1) & (scores[:, : len(BODY_JOINTS)] > 0)
    if not (body.sum(axis=1) >= 4).any():
        raise InputError(
            "no frame shows four points of the body; a body is fitted to a person that is seen"
        )


def _rows(hand: tuple[int, ...]) -> list[int]:
    """Which of the pose's points are fitted: the body, some of the face and of each hand."""
    rows = list(range(len(BODY_JOINTS)))
    rows += [POSE_SLICES["face"].start + row for row in FACE_ROWS]
    return rows + [POSE_SLICES[f"{s}_hand"].start + row for s in ("left", "right") for row in hand]


def _observe(
    points: Array,
    scores: Array,
    size: tuple[int, int],
    focal: float,
    fps: float,
    points_3d: Array | None,
) -> Observed:
    import torch

    pixels = torch.from_numpy(points - np.array(size) / 2).float()
    known = pixels.isfinite().all(-1)
    body = pixels[:, : len(BODY_JOINTS)]
    far = body.nan_to_num(-1e9).amax(1) - body.nan_to_num(1e9).amin(1)
    tall = far.norm(dim=1).clamp_min(1.0)
    tall = torch.where(known.any(1), tall, tall[known.any(1)].median())
    noise = PIXEL_NOISE * tall
    weights = torch.from_numpy(scores.astype(np.float32)).clamp(0, 1) * known / noise[:, None] ** 2
    face = slice(len(BODY_JOINTS), len(BODY_JOINTS) + len(FACE_ROWS))
    weights[:, face] *= FACE_WEIGHT
    weights[:, face.stop :] *= HAND_WEIGHT
    ankles = pixels[:, ANKLES]
    speed = (ankles[1:] - ankles[:-1]).norm(dim=-1) * fps / tall[1:, None]
    space = None
    if points_3d is not None:
        space = torch.from_numpy(points_3d.astype(np.float32)) * torch.tensor([1.0, -1, -1])
    return Observed(
        pixels.nan_to_num(0), weights, space, (speed < STANDING_SPEED).float(), focal, fps
    )


def _start(rig: FitRig, seen: Observed) -> FitState:
    import torch

    moments, joints = rig.shaped(torch.zeros(SHAPE_COMPONENTS))
    still = rig.body.identity(1)
    rest = rig.points(rig.parts(moments, joints, *rig.body.transforms(joints[None], still)))[0]
    rest = rest[: len(BODY_JOINTS)]
    body = seen.pixels[:, : len(BODY_JOINTS)].clone()
    body[seen.weights[:, : len(BODY_JOINTS)] == 0] = float("nan")
    at = {name: body[:, number, 0] for number, name in enumerate(BODY_JOINTS)}
    ears = torch.stack([at["left_ear"], at["right_ear"]]).nanmean(0)
    guess = lifted(rest, body, (at["nose"] - ears).nan_to_num(0))
    space = guess if seen.space is None else torch.where(seen.space.isnan(), guess, seen.space)
    turn, angles = start_rotations(rig, rest, space)
    state = FitState(turn, angles, torch.zeros(len(turn), 3), torch.zeros(SHAPE_COMPONENTS))
    found = posed_points(rig, state).points
    state.place = best_place(found, seen)
    return state


def _distances(found: Tensor, seen: Observed) -> Tensor:
    error, _, _ = pixel_errors(found, seen)
    far = error.norm(dim=-1) * seen.weights
    mean: Tensor = far.sum(1) / seen.weights.sum(1)
    return mean
