"""The face of a film as a motion of head and eyes with ARKit's curves, and back to angles."""

from __future__ import annotations

from fractions import Fraction

import numpy as np
from scipy.spatial.transform import Rotation

from magicpose_cli.arrays import Floats, Integers
from magicpose_cli.body.face_fit import FittedFaces
from magicpose_cli.body.face_gaze import curves_of_gaze, gaze_of_curves
from magicpose_cli.body.face_model import FACE_SIDES, curve_index
from magicpose_cli.body.humanoid_names import humanoid_joints
from magicpose_cli.body.motion_files.face_csv import FACE_JOINTS, FACE_OFFSETS_M, FACE_PARENTS
from magicpose_cli.body.skeletal_motion import ARKIT_CURVES, SkeletalMotion

UP_AND_AHEAD = np.diag([1.0, -1.0, -1.0])
"""From a face's axes (y down, z into the head) to a motion's (y up, z forward), and back."""
SHUT_BLINK = 0.6  # an eye that is shut further has no gaze


def face_motion(fitted: FittedFaces, fps: float | Fraction) -> SkeletalMotion:
    """Return head, eyes and curves of a clip; frames without a face are between their neighbors.

    The head's turn is as the camera sees it: 0 looks into the camera.
    """
    found, count = np.flatnonzero(fitted.found), len(fitted.scales)
    actions = _filled(fitted.actions[found], found, count)
    gaze = fitted.gaze[found].copy()
    for number, side in enumerate(FACE_SIDES):
        shut = fitted.actions[found, curve_index(f"eyeBlink{side.capitalize()}")] > SHUT_BLINK
        if shut.any() and not shut.all():
            gaze[shut, number] = _filled(
                gaze[~shut, number], np.flatnonzero(~shut), len(found)
            )[shut]  # fmt: skip
    gaze = _filled(gaze, found, count)
    turns = UP_AND_AHEAD @ fitted.rotations[found] @ UP_AND_AHEAD
    vectors = _filled(Rotation.from_matrix(turns).as_rotvec(), found, count)
    rotations = np.zeros((count, len(FACE_JOINTS), 4))
    rotations[:, 0] = Rotation.from_rotvec(vectors).as_quat()
    for number, side in enumerate(FACE_SIDES):
        joint = FACE_JOINTS.index(f"{side}Eye")
        rotations[:, joint] = Rotation.from_euler("YX", gaze[:, number]).as_quat()
    curves = {name: actions[:, number] for number, name in enumerate(ARKIT_CURVES)}
    curves |= curves_of_gaze(gaze)
    notes = []
    if len(found) < count:
        notes.append(f"no face is seen in {count - len(found)} of {count} frames: made up between")
    return SkeletalMotion(
        FACE_JOINTS, np.array(FACE_PARENTS), np.array(FACE_OFFSETS_M), rotations,
        np.zeros((count, 3)), fps, curves, notes=tuple(notes),
    )  # fmt: skip


def is_face_motion(motion: SkeletalMotion) -> bool:
    """Whether a motion is of a face alone: it has curves, and its joints are no person's."""
    return bool(motion.curves) and not humanoid_joints(motion.names, motion.parents)


def actions_of(motion: SkeletalMotion) -> Floats:
    """(F, 52) the curves of a motion, those that it lacks as 0."""
    none = np.zeros(len(motion))
    return np.stack([motion.curves.get(name, none) for name in ARKIT_CURVES], axis=1)


def gaze_of(motion: SkeletalMotion) -> Floats:
    """(F, 2, 2) radians as of FittedFaces: by the eyes' turns, or by the curves where all are 0."""
    if all(f"{side}Eye" in motion.names for side in FACE_SIDES):
        joints = [motion.index(f"{side}Eye") for side in FACE_SIDES]
        ahead = Rotation.from_quat(motion.rotations[:, joints].reshape(-1, 4)).as_matrix()[:, :, 2]
        left, down = np.arctan2(ahead[:, 0], ahead[:, 2]), np.arcsin(np.clip(-ahead[:, 1], -1, 1))
        if np.abs(left).max() > 1e-6 or np.abs(down).max() > 1e-6:
            found: Floats = np.stack([left, down], axis=1).reshape(len(motion), 2, 2)
            return found
    return gaze_of_curves(actions_of(motion))


def head_turns(motion: SkeletalMotion) -> Rotation:
    """F turns of the head of a face's motion, in the axes of a picture (y down, z away)."""
    joint = motion.index("head") if "head" in motion.names else 0
    turns = Rotation.from_quat(motion.rotations[:, joint]).as_matrix()
    return Rotation.from_matrix(UP_AND_AHEAD @ turns @ UP_AND_AHEAD)


def _filled(values: Floats, found: Integers, count: int) -> Floats:
    """(count, ...) values between those of the frames `found`, held at the ends."""
    flat = values.reshape(len(values), -1)
    frames = np.arange(count)
    columns = [np.interp(frames, found, column) for column in flat.T]
    return np.stack(columns, axis=1).reshape(count, *values.shape[1:])
