"""Any person's motion on the bones of VRM's humanoid, in a T-pose at rest."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from magicpose_cli.arrays import AnyArray
from magicpose_cli.body.chain_retargeting import retarget_chain
from magicpose_cli.body.humanoid_names import VRM_PARENTS, bone_above, humanoid_joints
from magicpose_cli.body.skeletal_motion import SkeletalMotion, rest_positions

_CENTER_M = {
    "hips": (0.0, 0.94, 0.0),
    "spine": (0.0, 0.10, 0.0),
    "chest": (0.0, 0.13, 0.0),
    "upperChest": (0.0, 0.13, 0.0),
    "neck": (0.0, 0.15, 0.0),
    "head": (0.0, 0.10, 0.01),
    "jaw": (0.0, 0.01, 0.02),
}
_LEFT_M = {
    "Eye": (0.032, 0.07, 0.08),
    "UpperLeg": (0.09, -0.04, 0.0),
    "LowerLeg": (0.0, -0.41, 0.0),
    "Foot": (0.0, -0.41, 0.0),
    "Toes": (0.0, -0.06, 0.13),
    "Shoulder": (0.03, 0.10, 0.0),
    "UpperArm": (0.14, 0.0, 0.0),
    "LowerArm": (0.27, 0.0, 0.0),
    "Hand": (0.25, 0.0, 0.0),
    "ThumbMetacarpal": (0.025, -0.01, 0.025),
    "ThumbProximal": (0.035, 0.0, 0.025),
    "ThumbDistal": (0.028, 0.0, 0.015),
    "IndexProximal": (0.090, 0.0, 0.024),
    "MiddleProximal": (0.092, 0.0, 0.003),
    "RingProximal": (0.086, 0.0, -0.017),
    "LittleProximal": (0.078, 0.0, -0.035),
}
_SEGMENTS_M = {"Index": (0.042, 0.024), "Middle": (0.046, 0.028), "Ring": (0.042, 0.026),
               "Little": (0.032, 0.020)}  # fmt: skip
SOLE_M = 0.02  # from the joint of the toes to the ground


def _t_pose() -> dict[str, AnyArray]:
    offsets = {bone: np.array(offset) for bone, offset in _CENTER_M.items()}
    left = dict(_LEFT_M)
    for finger, (middle, end) in _SEGMENTS_M.items():
        left |= {f"{finger}Intermediate": (middle, 0.0, 0.0), f"{finger}Distal": (end, 0.0, 0.0)}
    for bone, offset in left.items():
        offsets[f"left{bone}"] = np.array(offset)
        offsets[f"right{bone}"] = np.array(offset) * [-1.0, 1.0, 1.0]
    return {bone: offsets[bone] for bone in VRM_PARENTS}


T_POSE_M: Mapping[str, AnyArray] = _t_pose()
"""Offsets from the parents of all bones of an adult of about 1.7 m who stands in a T-pose: round
figures of our own, for skeletons that tell no lengths."""


def humanoid(motion: SkeletalMotion) -> SkeletalMotion:
    """The motion on those of VRM's bones that the source has.

    Where nothing turns, the new skeleton stands in a T-pose with its feet on the ground: arms to
    the sides, palms down, toes forward. Its bones are as long as the source's and point in the
    world where those point (see retarget_chain).

    Errors: InputError where the joints are not told as a person's.
    """
    if is_humanoid(motion):
        return motion
    joints = humanoid_joints(motion.names, motion.parents)
    if not joints:
        return retarget_chain(motion, (), (), np.zeros((0, 3)))  # which says what is lacking
    names = tuple(joints)
    above = [bone_above(bone, set(names)) for bone in names]
    parents = np.array([-1 if bone is None else names.index(bone) for bone in above])
    zero = rest_positions(motion.parents, motion.rest_offsets_m)
    offsets = np.array([_offset(bone, parent, joints, zero)
                        for bone, parent in zip(names, above, strict=True)])  # fmt: skip
    offsets[0] = [0.0, _hips_height(rest_positions(parents, offsets)), 0.0]
    return retarget_chain(motion, names, parents, offsets)


def humanoid_of_person(motion: SkeletalMotion) -> SkeletalMotion:
    """The same of a person; other skeletons stay as they are."""
    return humanoid(motion) if humanoid_joints(motion.names, motion.parents) else motion


def is_humanoid(motion: SkeletalMotion) -> bool:
    """True where all joints are VRM's bones already and stand about as they do in a T-pose."""
    if motion.names[0] != "hips" or not set(motion.names) <= set(VRM_PARENTS):
        return False
    if len(humanoid_joints(motion.names, motion.parents)) != len(motion.names):
        return False
    for joint, bone in enumerate(motion.names):
        if bone.endswith(("LowerArm", "LowerLeg", "Hand", "Foot")):
            ours, own = T_POSE_M[bone], motion.rest_offsets_m[joint]
            if np.dot(ours, own) < 0.99 * np.linalg.norm(ours) * np.linalg.norm(own):
                return False
    return True


def _offset(bone: str, parent: str | None, joints: Mapping[str, int], zero: AnyArray) -> AnyArray:
    """The way of the T-pose from the nearest bone above, as long as the source's."""
    if parent is None:
        return np.zeros(3)
    way = np.array(T_POSE_M[bone])
    between = VRM_PARENTS[bone]
    while between is not None and between != parent:
        way = way + T_POSE_M[between]
        between = VRM_PARENTS[between]
    length = float(np.linalg.norm(zero[joints[bone]] - zero[joints[parent]]))
    return np.asarray(way * (length / np.linalg.norm(way)))


def _hips_height(places: AnyArray) -> float:
    """Meters from the lowest joint to hips at 0, and to the ground."""
    lowest = float(places[:, 1].min())
    return max(SOLE_M - lowest, 0.0)
