"""Motions of AMASS and of SMPL-X's tools: axis-angle poses in .npz, z up.

The body model's own joints are not free to pass on, so the skeleton has the proportions of
T_POSE_M, an adult's in general; the rotations are the file's.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
from scipy.spatial.transform import Rotation

from magicpose_cli.arrays import AnyArray
from magicpose_cli.body.humanoid import T_POSE_M
from magicpose_cli.body.humanoid_names import VRM_PARENTS, humanoid_joints
from magicpose_cli.body.motion_files.checks import (
    check_counts,
    check_rate,
    checked_motion,
    rate_near,
    refuse_motion,
)
from magicpose_cli.body.motion_files.motion_npz import load_members, numbers_of
from magicpose_cli.body.skeletal_motion import SkeletalMotion

RATES = ("mocap_framerate", "mocap_frame_rate", "fps")
AMASS_FPS = 120.0
MAX_ANGLE = 1e4  # radians
_CENTER = {"pelvis": None, "spine1": "pelvis", "spine2": "spine1", "spine3": "spine2",
           "neck": "spine3", "head": "neck"}  # fmt: skip
_SIDE = {"hip": "pelvis", "knee": "hip", "ankle": "knee", "foot": "ankle", "collar": "spine3",
         "shoulder": "collar", "elbow": "shoulder", "wrist": "elbow"}  # fmt: skip
AMASS_BODY = (
    "pelvis", "left_hip", "right_hip", "spine1", "left_knee", "right_knee", "spine2", "left_ankle",
    "right_ankle", "spine3", "left_foot", "right_foot", "neck", "left_collar", "right_collar",
    "head", "left_shoulder", "right_shoulder", "left_elbow", "right_elbow", "left_wrist",
    "right_wrist",
)  # fmt: skip
AMASS_FACE = ("jaw", "left_eye_smplhf", "right_eye_smplhf")
AMASS_HANDS = tuple(
    f"{side}_{finger}{segment}"
    for side in ("left", "right")
    for finger in ("index", "middle", "pinky", "ring", "thumb")
    for segment in (1, 2, 3)
)
JOINTS = {
    66: AMASS_BODY,
    72: AMASS_BODY,
    156: AMASS_BODY + AMASS_HANDS,
    165: AMASS_BODY + AMASS_FACE + AMASS_HANDS,
}
"""Joints by the number of values in a pose; of 72, the last two are SMPL's whole hands."""


def is_amass(names: set[str]) -> bool:
    """True for an archive with these arrays."""
    return {"poses", "trans"} <= names


def read_amass(path: Path, *, fps: float | None = None) -> SkeletalMotion:
    """Read poses (F, 66, 72, 156 or 165) in radians and trans (F, 3) in meters.

    z up becomes y up. The model's own shift of the pelvis, of some centimeters, is left out.

    Args:
        path: the file.
        fps: in place of what the file tells.

    Errors: InputError naming the array that does not fit.
    """
    arrays = load_members(path, ("poses", "trans", *RATES))
    poses = numbers_of(path, arrays, "poses", (None, None), "f")
    if poses.shape[1] not in JOINTS:
        widths = ", ".join(map(str, JOINTS))
        refuse_motion(path, "poses", f"rows of {widths} numbers", poses.shape[1])
    names = JOINTS[poses.shape[1]]
    frames = len(poses)
    check_counts(path, len(names), frames)
    trans = numbers_of(path, arrays, "trans", (frames, 3), "f")
    if not (np.abs(poses) <= MAX_ANGLE).all():  # nor NaN
        refuse_motion(path, "poses", f"finite numbers up to {MAX_ANGLE:g}", "others")
    turns = poses[:, : 3 * len(names)].reshape(-1, 3)
    rotations = Rotation.from_rotvec(turns).as_quat().reshape(frames, len(names), 4)
    upright = Rotation.from_euler("X", -90, degrees=True)
    rotations[:, 0] = (upright * Rotation.from_quat(rotations[:, 0])).as_quat()
    parents, offsets = amass_skeleton(names)
    rate, notes = _rate(path, arrays, fps)
    notes.append("the bones have an adult's lengths in general: the file tells rotations alone")
    root = np.stack([trans[:, 0], trans[:, 2], -trans[:, 1]], axis=1)
    return checked_motion(path, names, parents, offsets, rotations, root, rate, notes=tuple(notes))


def amass_skeleton(names: tuple[str, ...]) -> tuple[AnyArray, AnyArray]:
    """(J,) parents and (J, 3) offsets in meters of SMPL-X's joints of these names."""
    parents = np.array([-1 if (above := _parent(name)) is None else names.index(above)
                        for name in names])  # fmt: skip
    bones = {joint: bone for bone, joint in humanoid_joints(names, parents).items()}
    offsets = np.zeros((len(names), 3))
    for joint, bone in bones.items():
        offsets[joint] = T_POSE_M[bone]
        above = VRM_PARENTS[bone]
        while above is not None and bones.get(int(parents[joint])) != above:
            offsets[joint] += T_POSE_M[above]
            above = VRM_PARENTS[above]
    return parents, offsets


def _parent(name: str) -> str | None:
    if name in _CENTER:
        return _CENTER[name]
    if name in AMASS_FACE:
        return "head"
    side, _, joint = name.partition("_")
    if joint in _SIDE:
        above = _SIDE[joint]
        return f"{side}_{above}" if above in _SIDE else above
    finger, segment = joint[:-1], int(joint[-1])
    return f"{side}_{finger}{segment - 1}" if segment > 1 else f"{side}_wrist"


def _rate(path: Path, arrays: dict[str, AnyArray], fps: float | None) -> tuple[float, list[str]]:
    if fps is not None:
        return float(check_rate(path, fps)), []
    for name in RATES:
        if name in arrays:
            rate = numbers_of(path, arrays, name, (), "iuf")
            return float(check_rate(path, rate_near(float(rate), 1e-4) if rate > 0 else 0.0)), []
    told = f"the file tells no frame rate; {AMASS_FPS:g} frames a second are taken"
    return AMASS_FPS, [told]
