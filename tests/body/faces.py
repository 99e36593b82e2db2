"""Faces of the face model with known expressions, as detectors would tell them."""

import numpy as np
from scipy.spatial.transform import Rotation

from magicpose_cli.body.face_model import EYE_CORNERS, FACE_SIDES, IRIS_ROWS, load_face_model
from magicpose_cli.body.skeletal_motion import ARKIT_CURVES
from magicpose_cli.pose.clip import PoseClip
from magicpose_cli.pose.detection.mediapipe_points import FACE_FROM_478
from magicpose_cli.pose.keypoints import Pose

SIDE_PX, PIXELS_PER_M = 512, 1600.0


def actions_of_names(frames: int, **curves) -> np.ndarray:
    """(frames, 52) of curves by their names."""
    actions = np.zeros((frames, len(ARKIT_CURVES)))
    for name, values in curves.items():
        actions[:, ARKIT_CURVES.index(name)] = values
    return actions


def meshes(
    actions: np.ndarray,
    gaze: np.ndarray | None = None,
    turns: Rotation | None = None,
    *,
    seed: int | None = None,
    gains: bool = True,
) -> np.ndarray:
    """(F, 478, 3) pixels of somebody; `seed` makes another person of them.

    gaze: (F, 2, 2) radians of the right and the left eye. gains: show as much as detectors show.
    """
    model = load_face_model()
    shape = model.mean.copy()
    if seed is not None:
        amounts = np.random.default_rng(seed).normal(0, 1, len(model.identity))
        shape += np.tensordot(amounts, model.identity, axes=1)
    basis = model.actions * (model.gains[:, None, None] if gains else 1.0)
    points = shape + np.tensordot(actions, basis, axes=1)
    if gaze is not None:
        for number, side in enumerate(FACE_SIDES):
            rows = slice(IRIS_ROWS[side], IRIS_ROWS[side] + 5)
            points[:, rows] -= points[:, list(EYE_CORNERS[side])].mean(1)[:, None] - shape[
                list(EYE_CORNERS[side])
            ].mean(0)
            points[:, rows, :2] += model.iris_m * np.sin(gaze[:, number])[:, None]
    matrices = (turns or Rotation.identity(len(actions))).as_matrix()
    placed = PIXELS_PER_M * points @ np.swapaxes(matrices, 1, 2)
    middle = np.array([SIDE_PX / 2, SIDE_PX / 2, 0])
    return (placed + middle).astype(np.float32)


def face_pose(mesh: np.ndarray, *, dense: bool = True) -> Pose:
    """Somebody of whom a detector sees the face alone."""
    rows = list(FACE_FROM_478)
    face = np.column_stack([mesh[rows, :2], np.ones(len(rows))])
    return Pose.of(SIDE_PX, SIDE_PX, face=face, face_mesh=mesh if dense else None)


def face_clip(faces: np.ndarray, fps: float = 25.0, *, dense: bool = True) -> PoseClip:
    """A clip of one face."""
    return PoseClip.of([face_pose(mesh, dense=dense) for mesh in faces], fps)
