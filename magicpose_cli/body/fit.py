"""Fit one person's body to a clip of points: one shape, rotations frame by frame, a fixed camera.

Gauss-Newton over all frames at once. A frame has 54 unknowns: the root's place and turn and 16
groups of joints (body/fit_rig.py). Frames hang together by their accelerations and by feet that
stand, which makes the normal equations banded; a few steps of the shape alternate with them. What
the picture cannot tell (how far away a person of what size is) is left to the shape's prior.

Long clips are fitted in windows that overlap; the window that shows most gives the shape. Angles
stay near the rest pose where nothing is seen, and within what joints can do.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from magicpose_cli.arrays import AnyArray
from magicpose_cli.body.cameras import Camera
from magicpose_cli.body.fit_rig import SHAPE_COMPONENTS, FitRig, make_rig
from magicpose_cli.body.fit_start import lifted, start_rotations
from magicpose_cli.body.fit_steps import (
    ANKLE_ROWS,
    FitState,
    Observed,
    best_place,
    improve_pose,
    improve_shape,
    pixel_errors,
    posed_points,
)
from magicpose_cli.body.fit_windows import joined, windows_of
from magicpose_cli.body.joint_groups import BODY_GROUPS, GROUP_NAMES
from magicpose_cli.body.layout import POSE_POINTS, POSE_SLICES
from magicpose_cli.body.model import Body
from magicpose_cli.errors import InputError
from magicpose_cli.pose.keypoints import BODY_JOINTS
from magicpose_cli.progress import OnProgress, Progress, silent

if TYPE_CHECKING:
    from torch import Tensor

FOCAL = 1.2  # of the picture's longer side, where the focal length is unknown
BODY_ROUNDS = 12  # of Gauss-Newton, of the body alone
FINGER_ROUNDS = 4  # of wrists and fingers, where hands are seen
FACE_ROWS = (0, 8, 16, 27, 30, 33, 36, 39, 42, 45)  # of the 68: those that no expression moves much
PATIENCE = 6.0  # at first: points that are far off pull, too, and count as outliers in the end
KNUCKLES = (0, 5, 9, 13, 17)  # the wrist and where the fingers start
HAND_GROUPS = ("left_wrist", "right_wrist", *GROUP_NAMES[len(BODY_GROUPS) :])
LEAST_POINTS = 4  # of the body, in a frame that tells its size
PIXEL_NOISE = 0.006  # of a seen point, as a share of the person's height in the picture
FACE_WEIGHT = 0.15  # a face's points err together
# Hands are seen well, but their points err together, too: they may turn the fingers, not the arm.
HAND_WEIGHT, FINGER_WEIGHT = 3.0, 10.0
STANDING_SPEED = 0.25  # heights of the person per second, in the picture: slower is standing


@dataclass(frozen=True)
class FittedClip:
    """The body that a clip shows.

    Attributes:
        shape: (1, K), one for the clip.
        rotations: (F, J, 3, 3) as Body takes them.
        root: (F, 3) meters.
        camera: At the world's origin, looking along -z.
        reprojection_px: (F,) the median distance of the seen points, NaN in frames without any.
    """

    shape: Tensor
    rotations: Tensor
    root: Tensor
    camera: Camera
    reprojection_px: Tensor


class _Rigs(NamedTuple):
    body: FitRig
    whole: FitRig


@dataclass(frozen=True, eq=False)
class _Clip:
    """What fit_clip() is given."""

    points: AnyArray
    scores: AnyArray
    points_3d: AnyArray | None
    size: tuple[int, int]
    focal_px: float
    fps: float

    def part(self, window: slice) -> _Clip:
        space = None if self.points_3d is None else self.points_3d[window]
        return replace(
            self, points=self.points[window], scores=self.scores[window], points_3d=space
        )

    @property
    def seen_frames(self) -> int:
        """How many frames show enough of the body."""
        body = slice(len(BODY_JOINTS))
        seen = np.isfinite(self.points[:, body]).all(-1) & (self.scores[:, body] > 0)
        return int((seen.sum(axis=1) >= LEAST_POINTS).sum())


def fit_clip(
    body: Body,
    points: AnyArray,
    scores: AnyArray,
    width: int,
    height: int,
    *,
    fps: float = 30.0,
    focal_px: float | None = None,
    points_3d: AnyArray | None = None,
    offsets_m: Mapping[int, tuple[float, float, float]] | None = None,
    on_progress: OnProgress = silent,
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
        offsets_m: by the joint's index, how far the detector's joints lie from the body's, in the
            rest pose's axes: see detector_joints.joint_offsets.
        on_progress: is told of the stage "fit".

    Raises:
        InputError: for arrays of other shapes, or where no frame shows the body, or for a rate or
            a focal length that is not above 0.
    """
    import torch

    _check(points, scores, points_3d)
    _check_camera(fps, focal_px)
    focal = focal_px or FOCAL * max(width, height)
    clip = _Clip(points, scores, points_3d, (width, height), focal, fps)
    rigs = _Rigs(
        make_rig(body, _rows(KNUCKLES), offsets_m=offsets_m),
        make_rig(body, _rows(range(21)), GROUP_NAMES, offsets_m),
    )
    with torch.no_grad():
        state = _fit_windows(rigs, clip, on_progress)
        found = [
            _distances(rigs.whole, _part_of(state, window), clip.part(window))
            for window in windows_of(len(points), overlap=0)
        ]
    camera = Camera(width, height, distance_m=0.0, focal_px=clip.focal_px)
    shape = torch.zeros(1, body.component_count)
    shape[0, :SHAPE_COMPONENTS] = state.shape
    rotations = rigs.whole.rotations(state.turn, state.angles)
    return FittedClip(shape, rotations, state.place, camera, torch.cat(found))


def _fit_windows(rigs: _Rigs, clip: _Clip, on_progress: OnProgress) -> FitState:
    """Fit all windows with the shape of the one that shows most."""
    windows = windows_of(len(clip.points))
    most = max(windows, key=lambda window: clip.part(window).seen_frames)
    on_progress(Progress("fit", 0, len(windows), unit="windows"))
    best = _fit_window(rigs, clip.part(most), None)
    parts: list[FitState | None] = []
    for window in windows:
        part = clip.part(window)
        if window == most:
            parts.append(best)
        elif part.seen_frames:
            parts.append(_fit_window(rigs, part, best.shape))
        else:
            parts.append(None)
        on_progress(Progress("fit", len(parts), len(windows), unit="windows"))
    return replace(joined(parts, windows), shape=best.shape)


def _fit_window(rigs: _Rigs, clip: _Clip, shape: Tensor | None) -> FitState:
    """Fit frames that hang together, with a shape that is known or is fitted, too."""
    seen = _observe(clip, _rows(KNUCKLES))
    state = _start(rigs.body, seen)
    if shape is not None:
        state.shape = shape
    for number in range(BODY_ROUNDS):
        improve_pose(rigs.body, seen, state, 1 + PATIENCE * 0.5**number)
        if shape is None and number % 3 == 1:
            improve_shape(rigs.body, seen, state)
    hands = slice(POSE_SLICES["left_hand"].start, POSE_SLICES["right_hand"].stop)
    if (clip.scores[:, hands] > 0).any():
        seen = _observe(clip, _rows(range(21)), FINGER_WEIGHT)
        for number in range(FINGER_ROUNDS):
            improve_pose(rigs.whole, seen, state, 1 + PATIENCE * 0.5**number, HAND_GROUPS)
    return state


def _check(points: AnyArray, scores: AnyArray, points_3d: AnyArray | None) -> None:
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
    if not _Clip(points, scores, None, (1, 1), 1.0, 1.0).seen_frames:
        raise InputError(
            "no frame shows four points of the body; a body is fitted to a person that is seen"
        )


def _check_camera(fps: float, focal_px: float | None) -> None:
    if not 0 < fps < float("inf"):
        raise InputError(f"a clip of {fps} frames a second cannot be fitted; expected more than 0")
    if focal_px is not None and not 0 < focal_px < float("inf"):
        raise InputError(f"a focal length of {focal_px} pixels is none; expected more than 0")


def _rows(hand: Iterable[int]) -> list[int]:
    """Which of the pose's points are fitted: the body, some of the face and of each hand."""
    hand = tuple(hand)
    rows = list(range(len(BODY_JOINTS)))
    rows += [POSE_SLICES["face"].start + row for row in FACE_ROWS]
    return rows + [POSE_SLICES[f"{s}_hand"].start + row for s in ("left", "right") for row in hand]


def _observe(clip: _Clip, rows: list[int], hand_weight: float = HAND_WEIGHT) -> Observed:
    import torch

    pixels = torch.from_numpy(clip.points[:, rows] - np.array(clip.size) / 2).float()
    known = pixels.isfinite().all(-1)
    body = pixels[:, : len(BODY_JOINTS)]
    far = body.nan_to_num(-1e9).amax(1) - body.nan_to_num(1e9).amin(1)
    shown = known[:, : len(BODY_JOINTS)].sum(1) >= LEAST_POINTS
    tall = far.norm(dim=1).clamp_min(1.0)
    tall = torch.where(shown, tall, tall[shown].median())
    noise = PIXEL_NOISE * tall
    weights = (
        torch.from_numpy(clip.scores[:, rows].astype(np.float32)).nan_to_num(0).clamp(0, 1)
        * known
        / noise[:, None] ** 2
    )
    face = slice(len(BODY_JOINTS), len(BODY_JOINTS) + len(FACE_ROWS))
    weights[:, face] *= FACE_WEIGHT
    weights[:, face.stop :] *= hand_weight
    ankles = pixels[:, ANKLE_ROWS]
    speed = (ankles[1:] - ankles[:-1]).norm(dim=-1) * clip.fps / tall[1:, None]
    space = None
    if clip.points_3d is not None:
        space = torch.from_numpy(clip.points_3d.astype(np.float32)) * torch.tensor([1.0, -1, -1])
    return Observed(
        pixels.nan_to_num(0),
        weights,
        space,
        (speed < STANDING_SPEED).float(),
        clip.focal_px,
        clip.fps,
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


def _part_of(state: FitState, window: slice) -> FitState:
    return replace(
        state, turn=state.turn[window], angles=state.angles[window], place=state.place[window]
    )


def _distances(rig: FitRig, state: FitState, clip: _Clip) -> Tensor:
    """(F,) median distance of the seen points in pixels, NaN where none is seen."""
    if not clip.seen_frames:
        return state.place.new_full((len(state.place),), float("nan"))
    seen = _observe(clip, _rows(range(21)))
    error, _, _ = pixel_errors(posed_points(rig, state).points, seen)
    far = error.norm(dim=-1)
    far[seen.weights == 0] = float("nan")
    median: Tensor = far.nanmedian(dim=1).values
    return median
