"""Fit the face model to the face of a clip: one identity, and a pose and an expression a frame.

The camera is a distant one. In the axes of the face, where a point should lie is linear in identity
and actions, and for small steps in turn, size and place as well; what a picture tells of it has
another weight along the line of sight. With the Jacobian of the clip's own face, the normal
equations of a frame are sums of nine matrices that all frames share, mixed by the head's rotation:
a frame costs microseconds. Actions lie between 0 and 1 (bounded least squares by coordinates).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy.spatial.transform import Rotation

from magicpose_cli.arrays import Floats, Integers, Mask
from magicpose_cli.body.face_gaze import GAZE_CURVES, gaze_of_irises
from magicpose_cli.body.face_model import FaceModel, curve_index, load_face_model
from magicpose_cli.errors import InputError
from magicpose_cli.pose.clip import PoseClip
from magicpose_cli.pose.detection.mediapipe_points import FACE_FROM_478
from magicpose_cli.pose.keypoints import MESH_POINTS
from magicpose_cli.pose.retargeting.head_pose import fit_heads
from magicpose_cli.pose.retargeting.mesh import RIGID

SKIN = slice(0, 468)
FACE_FIT_ROUNDS = 6  # of poses and expressions, and the identity in turn
IDENTITY_FRAMES = 300  # spread over the clip, that tell who it is
MEASURED_M = 0.003
"""Standard deviation of a point; it stands for its neighbors' errors, too, which go together."""
FITTED_DEPTH_TRUST = 0.03  # weight of a measured depth beside what the picture shows
OWN_SHAPE_M = 0.002  # of a person's point beside the shape's components
STIFF_IDENTITY = 0.05
"""Weight of what is usual of a person, as a share of the weight of a frame's usual expression."""
MODEST = 0.2  # standard deviation of an action
LARGE = 0.8  # of those that move a face most, and are told apart best
LARGE_ACTIONS = (
    "jawOpen", "mouthSmileLeft", "mouthSmileRight", "mouthPucker", "eyeBlinkLeft",
    "eyeBlinkRight", "browInnerUp", "browOuterUpLeft", "browOuterUpRight", "browDownLeft",
    "browDownRight",
)  # fmt: skip
HARDLY_SEEN_FACE = 0.2  # of actions that a picture from the front hardly shows
HIDDEN_ACTIONS = ("jawForward", "cheekPuff", "tongueOut", "mouthRollLower", "mouthRollUpper",
                  "mouthShrugUpper", "cheekSquintLeft", "cheekSquintRight", "noseSneerLeft",
                  "noseSneerRight", "eyeSquintLeft", "eyeSquintRight")  # fmt: skip
SWEEPS = 24  # over the actions
MIN_FITTED_FACE_POINTS = 20  # of the 68


@dataclass(frozen=True, eq=False)
class FittedFaces:
    """The face of a clip. A frame without one has NaN rows in all but `neutral`.

    Attributes:
        neutral: (478, 3) meters, the person's face at rest, in the axes of FaceModel.
        actions: (F, 52) 0..1, in the order of ARKIT_CURVES.
        rotations: (F, 3, 3) from the face's axes to the picture's (x right, y down, z away).
        scales: (F,) pixels a meter.
        shifts: (F, 3) pixels, where the face's origin is.
        gaze: (F, 2, 2) radians, of the right and the left eye: to the person's left, and down.
        error_px: (F,) mean distance of the points from the model's.
    """

    neutral: Floats
    actions: Floats
    rotations: Floats
    scales: Floats
    shifts: Floats
    gaze: Floats
    error_px: Floats

    @property
    def found(self) -> Mask:
        """(F,) whether a frame has a face."""
        return np.isfinite(self.scales)


def fit_faces(clip: PoseClip) -> FittedFaces:
    """Fit the face model to a clip: to dense faces where there are any, else to the 68 points.

    Raises:
        InputError: No frame shows a face.
    """
    meshes = clip.mesh_frames()
    if len(meshes):
        assert clip.face_mesh is not None
        points, rows = clip.face_mesh.astype(np.float64), np.arange(MESH_POINTS)[SKIN]
        frames = meshes
    else:
        flat = clip.part("face").astype(np.float64)
        points = np.full((len(clip), MESH_POINTS, 3), np.nan)
        rows = np.array(FACE_FROM_478)
        points[:, rows, :2] = flat
        frames = np.flatnonzero(np.isfinite(flat[..., 0]).sum(axis=1) >= MIN_FITTED_FACE_POINTS)
    if not len(frames):
        raise InputError("no frame shows a face; expected one that a detector finds")
    model = load_face_model()
    solver = _Solver(model, points[frames], rows)
    solver.learn()
    return solver.fitted(len(clip), frames)


class _Solver:
    """The unknowns of a clip's frames, all of which show a face."""

    def __init__(self, model: FaceModel, points: Floats, rows: Integers):
        self.model, self.points, self.rows = model, points, rows
        self.seen = points[:, rows]
        self.known = np.isfinite(self.seen[..., :2]).all(axis=2)
        self.has_depth = bool(np.isfinite(self.seen[..., 2]).any())
        self.weights = 1 / (MEASURED_M**2 + model.spread[rows] ** 2)
        self.weights *= min(1.0, 68 / len(rows)) * 3
        self.basis = model.actions * model.gains[:, None, None]
        self.neutral = model.mean.copy()
        self.actions = np.zeros((len(points), len(self.basis)))
        self.rotations, self.scales, self.shifts = self._first_poses()
        self.gaze = np.zeros((len(points), 2, 2))

    def learn(self) -> None:
        """Find identity, poses and expressions in turn."""
        chosen = np.linspace(0, len(self.points) - 1, min(len(self.points), IDENTITY_FRAMES))
        frames = np.unique(chosen.round().astype(int))
        for number in range(FACE_FIT_ROUNDS):
            last = number == FACE_FIT_ROUNDS - 1
            self._refine(np.arange(len(self.points)) if last or number == 0 else frames)
            if not last:
                self._learn_identity(frames)
        self._refine(np.arange(len(self.points)))
        self.gaze = gaze_of_irises(self.points, self.neutral, self.rotations, self.scales)

    def fitted(self, count: int, frames: Integers) -> FittedFaces:
        """The result over a clip of `count` frames, of which `frames` show a face."""

        def spread(values: Floats) -> Floats:
            whole = np.full((count, *values.shape[1:]), np.nan)
            whole[frames] = values
            return whole

        wrong = self._wrong(np.arange(len(self.points)))
        flat = (wrong @ np.swapaxes(self.rotations, 1, 2))[..., :2] * self.scales[:, None, None]
        error = np.nanmean(np.where(self.known, np.linalg.norm(flat, axis=2), np.nan), axis=1)
        return FittedFaces(
            self.neutral, spread(self.actions), spread(self.rotations), spread(self.scales),
            spread(self.shifts), spread(self.gaze), spread(error),
        )  # fmt: skip

    def _first_poses(self) -> tuple[Floats, Floats, Floats]:
        """Heads by the points that an expression hardly moves."""
        rows = RIGID if self.has_depth else [int(row) for row in self.rows]
        around = self.model.spread[rows] + (0.004 if self.has_depth else 0.006)
        heads = fit_heads(
            self.points[:, rows], self.model.mean[rows], np.repeat(around[:, None], 3, axis=1)
        )
        return heads.rotation.copy(), heads.scale.copy(), heads.shift.copy()

    def _shape(self, frames: Integers) -> Floats:
        """(f, n, 3) the fitted points in the face's axes."""
        moved = self.actions[frames] @ self.basis[:, self.rows].reshape(len(self.basis), -1)
        whole: Floats = self.neutral[self.rows] + moved.reshape(len(frames), -1, 3)
        return whole

    def _wrong(self, frames: Integers) -> Floats:
        """(f, n, 3) what is seen less the model, in the face's axes; 0 where nothing is known."""
        shape = self._shape(frames)
        turned = shape @ np.swapaxes(self.rotations[frames], 1, 2)
        placed = (self.seen[frames] - self.shifts[frames, None]) / self.scales[frames, None, None]
        away = np.where(np.isfinite(placed), placed - turned, 0.0)
        away[~self.known[frames]] = 0.0
        inside: Floats = away @ self.rotations[frames]
        return inside

    def _sight(self, frames: Integers) -> Floats:
        """(f, 3, 3) weights of the face's axes: the line of sight tells less."""
        along = np.array([1.0, 1.0, FITTED_DEPTH_TRUST if self.has_depth else 1e-6])
        turn = self.rotations[frames]
        weights: Floats = np.einsum("fia,i,fib->fab", turn, along, turn)
        return weights

    def _refine(self, frames: Integers) -> None:
        """One step of poses and expressions of these frames."""
        base = self.neutral[self.rows]
        jacobian = np.concatenate([_pose_slopes(base), self.basis[:, self.rows]])  # (7 + 52, n, 3)
        wrong, sight = self._wrong(frames), self._sight(frames)
        left, right = _normal_equations(jacobian, wrong, sight, self.weights)
        prior = np.array([1e-3] * 7 + (1 / _usual(self.model) ** 2).tolist())
        prior[4:7] = 1.0
        right[:, 7:] += np.einsum("fab,fb->fa", left[:, 7:, 7:], self.actions[frames])
        right[:, :7] += np.einsum("fab,fb->fa", left[:, :7, 7:], self.actions[frames])
        left += np.diag(prior)
        actions, step = _bounded(left, right, self.actions[frames])
        self.actions[frames] = actions
        turn = Rotation.from_rotvec(step[:, :3]).as_matrix()
        moved = np.einsum("fij,fj->fi", self.rotations[frames], step[:, 4:7])
        self.shifts[frames] += self.scales[frames, None] * moved
        self.rotations[frames] = self.rotations[frames] @ turn
        self.scales[frames] *= np.exp(np.clip(step[:, 3], -0.3, 0.3))

    def _learn_identity(self, frames: Integers) -> None:
        """The shape's components, then what is the person's own beside them."""
        model, rows = self.model, self.rows
        wrong, sight = self._wrong(frames), self._sight(frames)
        wrong += self.neutral[rows] - model.mean[rows]
        basis = model.identity[:, rows]
        left, right = _normal_equations(basis, wrong, sight, self.weights)
        stiff = STIFF_IDENTITY * len(frames)
        amounts = np.linalg.solve(left.sum(0) + stiff * np.eye(len(basis)), right.sum(0))
        shape = model.mean + np.tensordot(amounts, model.identity, axes=1)
        rest = wrong - np.tensordot(amounts, basis, axes=1)
        seen = self.known[frames].astype(float)
        share = np.einsum("fn,fab->nab", seen, sight)
        pull = np.einsum("fn,fab,fnb->na", seen, sight, rest)
        own_stiff = stiff * MEASURED_M**2 / OWN_SHAPE_M**2
        own = np.linalg.solve(share + own_stiff * np.eye(3), pull[..., None])[..., 0]
        shape[rows] += own
        self.neutral = shape


def _usual(model: FaceModel) -> Floats:
    """(52,) standard deviations of the actions; those of the gaze are found otherwise."""
    usual = np.full(len(model.actions), MODEST)
    usual[[curve_index(name) for name in LARGE_ACTIONS]] = LARGE
    usual[[curve_index(name) for name in HIDDEN_ACTIONS]] = HARDLY_SEEN_FACE
    usual[[curve_index(name) for name in GAZE_CURVES]] = 1e-3
    return usual


def _pose_slopes(shape: Floats) -> Floats:
    """(7, n, 3): how points move with a turn about the face's axes, growth and shifts."""
    axes = np.eye(3)
    turns = [np.cross(axis, shape) for axis in axes]
    shifts = [np.broadcast_to(axis, shape.shape) for axis in axes]
    return np.stack([*turns, shape, *shifts])


def _normal_equations(
    jacobian: Floats, wrong: Floats, sight: Floats, weights: Floats
) -> tuple[Floats, Floats]:
    """(f, k, k) and (f, k) of least squares.

    Args:
        jacobian: (k, n, 3), the same in all frames.
        wrong: (f, n, 3).
        sight: (f, 3, 3) weights of the axes.
        weights: (n,) of the points.
    """
    count = len(jacobian)
    weighted = jacobian * weights[:, None]
    grams = np.einsum("jna,knb->abjk", weighted, jacobian, optimize=True).reshape(9, -1)
    left = (sight.reshape(-1, 9) @ grams).reshape(-1, count, count)
    looked = wrong @ np.swapaxes(sight, 1, 2)
    right = looked.reshape(len(wrong), -1) @ weighted.reshape(count, -1).T
    return left, right


def _bounded(left: Floats, right: Floats, start: Floats) -> tuple[Floats, Floats]:
    """Actions between 0 and 1, and the step of the pose that goes with them.

    The pose's 7 unknowns are eliminated, the rest is minimized one coordinate after the other.
    """
    pose, mixed, own = left[:, :7, :7], left[:, :7, 7:], left[:, 7:, 7:]
    solved = np.linalg.solve(pose, np.concatenate([mixed, right[:, :7, None]], axis=2))
    across, ahead = solved[..., :-1], solved[..., -1]
    matrix = own - np.swapaxes(mixed, 1, 2) @ across
    wanted = right[:, 7:] - np.einsum("fpa,fp->fa", mixed, ahead)
    found = np.clip(start, 0.0, 1.0)
    missing = wanted - np.einsum("fab,fb->fa", matrix, found)
    diagonal = np.einsum("faa->fa", matrix)
    for _ in range(SWEEPS):
        for number in range(found.shape[1]):
            new = np.clip(found[:, number] + missing[:, number] / diagonal[:, number], 0.0, 1.0)
            step = new - found[:, number]
            found[:, number] = new
            missing -= matrix[:, :, number] * step[:, None]
    return found, ahead - np.einsum("fpa,fa->fp", across, found)
