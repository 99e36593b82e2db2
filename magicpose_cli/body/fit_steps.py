"""One round of the fit: what is wrong in pixels, meters, angles and time, and the step it takes.

Unknowns of a frame: the root's shift (3), the root's further turn about the world's axes (3), the
angles of every other group (3 each), in the order of joint_groups.JOINT_GROUPS.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from magicpose_cli.body.fit_rig import SHAPE_COMPONENTS, FitRig
from magicpose_cli.body.fit_solve import NormalEquations
from magicpose_cli.body.joint_groups import JOINT_GROUPS
from magicpose_cli.body.rotations import axis_angle_from_matrix, matrix_from_axis_angle
from magicpose_cli.pose.keypoints import BODY_JOINTS

if TYPE_CHECKING:
    from torch import Tensor

SPACE_NOISE_M = 0.15  # of a point in space, seen from the hips
OUTLIER = 3.0  # noises at which a point loses three quarters of its weight
TURN_ACCELERATION = 40.0  # rad/s^2, the usual one of a joint
ROOT_ACCELERATION_M = 6.0  # m/s^2
LIMIT_DEG = 3.0  # how far a joint goes beyond its limits
STANDING_NOISE_M = 0.003  # how far a standing ankle moves between frames
LARGEST_STEP = 0.6  # radians or meters in one round
ANKLE_ROWS = (BODY_JOINTS.index("left_ankle"), BODY_JOINTS.index("right_ankle"))
HIP_ROWS = (BODY_JOINTS.index("left_hip"), BODY_JOINTS.index("right_hip"))


@dataclass(eq=False)
class FitState:
    """What the rounds improve: turn (F, 3, 3) of the root, angles (F, G, 3), place (F, 3)."""

    turn: Tensor
    angles: Tensor
    place: Tensor
    shape: Tensor


@dataclass(frozen=True, eq=False)
class Observed:
    """What a clip shows of a person.

    Attributes:
        pixels: (F, P, 2) from the picture's middle.
        weights: (F, P) in 1 / noise^2, 0 where unseen.
        space: (F, 18, 3) in world axes, or None.
        standing: (F - 1, 2) ankles that rest until the next frame.
        height_px: (F,) of the person.
    """

    pixels: Tensor
    weights: Tensor
    space: Tensor | None
    standing: Tensor
    focal_px: float
    fps: float


def best_place(found: Tensor, seen: Observed) -> Tensor:
    """(F, 3): the shift that brings points nearest to their pixels; linear least squares."""
    import torch

    weights = seen.weights[:, :, None].clamp_min(0).sqrt()
    u = seen.pixels
    zero, focal = torch.zeros_like(u[..., 0]), torch.full_like(u[..., 0], seen.focal_px)
    # focal * (x + shift_x) + u * (z + shift_z) = 0, and the same for y, which is down there
    rows_x = torch.stack([focal, zero, u[..., 0]], -1) * weights
    rows_y = torch.stack([zero, -focal, u[..., 1]], -1) * weights
    right_x = (-focal * found[..., 0] - u[..., 0] * found[..., 2])[..., None] * weights
    right_y = (focal * found[..., 1] - u[..., 1] * found[..., 2])[..., None] * weights
    rows, right = torch.cat([rows_x, rows_y], 1), torch.cat([right_x, right_y], 1)
    known = (seen.weights > 0).sum(1) >= 3
    rows, right = rows.double(), right.double()
    system = rows.mT @ rows + 1e-6 * torch.eye(3, dtype=torch.float64)
    place = torch.linalg.solve(system, rows.mT @ right)[..., 0].float()
    place[:, 2] = place[:, 2].clamp(max=-0.5)
    frames, places = torch.arange(len(place)), known.nonzero()[:, 0]
    nearest = places[(frames[:, None] - places[None]).abs().argmin(1)]
    filled: Tensor = place[nearest]
    return filled


class PosedPoints(NamedTuple):
    """Points of a posed body, without the root's shift.

    Attributes:
        points: (F, P, 3) in the world.
        parts: (F, n, 3) what each pair of point and bone adds.
        world: (F, J, 3, 3) rotations of the bones.
        placed: (F, J, 3) of the joints.
    """

    points: Tensor
    parts: Tensor
    world: Tensor
    placed: Tensor


def posed_points(rig: FitRig, state: FitState) -> PosedPoints:
    """Where the key points are in a state of the fit."""
    moments, joints = rig.shaped(state.shape)
    rotations = rig.rotations(state.turn, state.angles)
    world, placed = rig.body.transforms(joints[None], rotations)
    parts = rig.parts(moments, joints, world, placed)
    return PosedPoints(rig.points(parts) + state.place[:, None], parts, world, placed)


def pixel_errors(
    found: Tensor, seen: Observed, patience: float = 1.0
) -> tuple[Tensor, Tensor, Tensor]:
    """Pixels' errors (F, P, 2), robust weights (F, P), slopes (F, P, 2, 3) by the points."""
    import torch

    depth = (-found[..., 2]).clamp_min(0.1)
    flat = torch.stack([found[..., 0], -found[..., 1]], -1) * (seen.focal_px / depth[..., None])
    error = flat - seen.pixels
    bad = (error**2).sum(-1) * seen.weights / (patience * OUTLIER) ** 2
    weights = seen.weights / (1 + bad) ** 2
    slope = torch.zeros(*found.shape[:2], 2, 3)
    slope[..., 0, 0], slope[..., 1, 1] = seen.focal_px / depth, -seen.focal_px / depth
    slope[..., :, 2] = flat / depth[..., None]
    return error, weights, slope


def _space_errors(found: Tensor, seen: Observed) -> tuple[Tensor, Tensor]:
    """Errors (F, 18, 3) in meters from the hips' middle, and weights (F, 18), 1 / noise^2."""
    assert seen.space is not None
    body = found[:, : len(BODY_JOINTS)]
    own = body - body[:, HIP_ROWS].mean(1, keepdim=True)
    their = seen.space - seen.space[:, HIP_ROWS].mean(1, keepdim=True)
    known = their.isfinite().all(-1)
    their = their.nan_to_num(0)
    # the noise is theirs alone: dividing by their own squares would make the scale too small
    scale = (own * own)[known].sum() / (own * their)[known].sum().clamp_min(1e-9)
    error = (own - scale * their) * known[..., None]
    bad = (error**2).sum(-1) / (OUTLIER * SPACE_NOISE_M) ** 2
    return error, known / SPACE_NOISE_M**2 / (1 + bad) ** 2


def improve_pose(
    rig: FitRig,
    seen: Observed,
    state: FitState,
    patience: float = 1.0,
    moving: Sequence[str] = (),
) -> None:
    """One step of Gauss-Newton for every frame's place, turn and angles.

    Args:
        rig: Of the points that are seen.
        seen: What they shall be like.
        state: Is improved in place.
        patience: How many times farther off than usual a point may be before it is an outlier.
        moving: Groups that move alone, others than the root; empty: all of them and the place.
    """
    import torch

    found, parts, world, placed = posed_points(rig, state)
    moved = rig.slopes(parts, world, placed, state.angles).flatten(1, 2)
    frames, count = len(found), found.shape[1]
    shifts = torch.eye(3)[None, :, None].expand(frames, 3, count, 3)
    slopes = torch.cat([shifts, moved], dim=1)  # (F, U, P, 3)
    error, weights, view = pixel_errors(found, seen, patience)
    flat = torch.einsum("fupc,fpdc->fupd", slopes, view)
    equations = NormalEquations(frames, slopes.shape[1])
    equations.add(flat.flatten(2), error.flatten(1), weights.repeat_interleave(2, 1))
    if seen.space is not None:
        body = slopes[:, :, : len(BODY_JOINTS)]
        from_hips = body - body[:, :, HIP_ROWS].mean(2, keepdim=True)
        far, trust = _space_errors(found, seen)
        equations.add(from_hips.flatten(2), far.flatten(1), trust.repeat_interleave(3, 1))
    _add_priors(rig, state, equations)
    _add_time(rig, seen, state, equations)
    if frames > 1:
        own, gap = slopes[:, :, ANKLE_ROWS], found[1:, ANKLE_ROWS] - found[:-1, ANKLE_ROWS]
        far = (gap**2).sum(-1) / (patience * OUTLIER * STANDING_NOISE_M) ** 2
        trust = seen.standing / STANDING_NOISE_M**2 / (1 + far) ** 2  # a foot that moves may move
        trust = trust.repeat_interleave(3, 1)
        equations.add_between(own[:-1].flatten(2), own[1:].flatten(2), gap.flatten(1), trust)
    if moving:
        groups = torch.tensor([rig.groups.index(name) for name in moving])
        unknowns = (3 + 3 * groups[:, None] + torch.arange(3)).flatten()
        step = equations.of(unknowns).solve().clamp(-LARGEST_STEP, LARGEST_STEP).float()
        state.angles[:, groups] += step.view(frames, -1, 3)
        return
    step = equations.solve().clamp(-LARGEST_STEP, LARGEST_STEP).float()
    state.place = state.place + step[:, :3]
    state.place[:, 2] = state.place[:, 2].clamp(max=-0.3)
    state.turn = matrix_from_axis_angle(step[:, 3:6]) @ state.turn
    state.angles[:, 1 : len(rig.groups)] += step[:, 6:].view(frames, -1, 3)


def _add_priors(rig: FitRig, state: FitState, equations: NormalEquations) -> None:
    """Angles are near the rest pose's and within their limits, about each group's axes."""
    import torch

    groups = [JOINT_GROUPS[name] for name in rig.groups]
    spread = torch.deg2rad(torch.tensor([group.spread_deg for group in groups]))
    low = torch.deg2rad(torch.tensor([group.low_deg for group in groups]))
    high = torch.deg2rad(torch.tensor([group.high_deg for group in groups]))
    usual = torch.deg2rad(torch.tensor([group.usual_deg for group in groups]))
    about = (rig.axes.mT @ state.angles[:, : len(groups), :, None])[..., 0]
    beyond = about - torch.minimum(torch.maximum(about, low), high)
    tight = (beyond != 0) / np.radians(LIMIT_DEG) ** 2
    loose = (1 / spread**2).expand_as(about).clone()
    loose[:, 0] = tight[:, 0] = 0
    pull = loose * (about - usual) + tight * beyond
    curvature = rig.axes @ torch.diag_embed(loose + tight) @ rig.axes.mT
    equations.add_blocks(3, curvature, (rig.axes @ pull[..., None])[..., 0])


def _add_time(rig: FitRig, seen: Observed, state: FitState, equations: NormalEquations) -> None:
    """Places, turns and angles change speed as people do."""
    import torch

    frames = len(state.place)
    if frames < 3:
        return
    change = axis_angle_from_matrix(state.turn[1:] @ state.turn[:-1].mT)
    place = state.place[2:] - 2 * state.place[1:-1] + state.place[:-2]
    own = state.angles[:, 1 : len(rig.groups)]
    angles = own[2:] - 2 * own[1:-1] + own[:-2]
    bend = torch.cat([place, change[1:] - change[:-1], angles.flatten(1)], dim=1)
    noise = torch.full((bend.shape[1],), TURN_ACCELERATION / seen.fps**2)
    noise[:3] = ROOT_ACCELERATION_M / seen.fps**2
    equations.add_acceleration(bend, 1 / noise**2)


def improve_shape(rig: FitRig, seen: Observed, state: FitState) -> None:
    """One step of Gauss-Newton for the shape alone, and the places that go with it."""
    import torch

    found, _, world, _ = posed_points(rig, state)
    slopes = rig.shape_slopes(world, rig.rotations(state.turn, state.angles))
    error, weights, view = pixel_errors(found, seen)
    flat = torch.einsum("fspc,fpdc->fspd", slopes, view).flatten(2).double()
    shifts = view.permute(0, 3, 1, 2).flatten(2).double()  # (F, 3, 2 P)
    trust = weights.repeat_interleave(2, 1).double()[:, None]
    wrong = error.flatten(1).double()[..., None]
    # each frame's place is eliminated (Schur's complement): it may follow freely
    inner = (shifts * trust) @ shifts.mT + torch.eye(3, dtype=torch.float64)
    cross = (flat * trust) @ shifts.mT
    gain = torch.linalg.solve(inner, cross.mT).mT
    system = ((flat * trust) @ flat.mT - gain @ cross.mT).sum(0)
    right = ((flat * trust) @ wrong - gain @ ((shifts * trust) @ wrong)).sum(0)[:, 0]
    if seen.space is not None:
        body = slopes[:, :, : len(BODY_JOINTS)]
        rows = (body - body[:, :, HIP_ROWS].mean(2, keepdim=True)).flatten(2).double()
        far, sure = _space_errors(found, seen)
        sure = sure.repeat_interleave(3, 1).double()[:, None]
        system = system + ((rows * sure) @ rows.mT).sum(0)
        right = right + ((rows * sure) @ far.flatten(1).double()[..., None]).sum(0)[:, 0]
    # errors of neighboring frames are alike: the clip counts as one frame a second, at least one
    alike = max(1.0, min(seen.fps, len(found)))
    prior = torch.eye(SHAPE_COMPONENTS, dtype=torch.float64)
    step = -torch.linalg.solve(system / alike + prior, right / alike + state.shape.double())
    state.shape = (state.shape + step.clamp(-1, 1).float()).clamp(-3, 3)
    found = posed_points(rig, replace(state, place=torch.zeros_like(state.place))).points
    state.place = state.place + (best_place(found, seen) - state.place).clamp(-0.5, 0.5)
