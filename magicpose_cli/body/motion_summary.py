"""What a motion is like, in figures: angles of the joints, contacts of the feet, speed."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from scipy.ndimage import percentile_filter

from magicpose_cli.arrays import AnyArray
from magicpose_cli.body.humanoid_names import humanoid_joints
from magicpose_cli.body.skeletal_motion import SkeletalMotion, forward_kinematics

CONTACT_HEIGHT_M = 0.04  # above where the foot's joint is at its low
GROUND_S = 2.0  # within so many seconds around: the ground of many takes is not quite level
LOW_PERCENT = 10.0  # of the frames around, which a few wild ones do not change
CONTACT_SPEED = 0.5  # meters a second
SMOOTH_S = 0.1  # over which speeds are averaged
LEAST_BONE_M = 1e-3
FLEXIONS = {
    "hip": ("spine", "UpperLeg", "LowerLeg"),
    "knee": ("UpperLeg", "LowerLeg", "Foot"),
    "elbow": ("UpperArm", "LowerArm", "Hand"),
}


@dataclass(frozen=True)
class MotionSummary:
    """Figures of a motion.

    joints, frames, fps, seconds: how much there is.
    bones: how many of the joints are known as a humanoid's; 0 where it is no person.
    height_m: from the lowest joint to the head, in the frame in which that is the most.
    traveled_m: the way of the root over the ground.
    speed: its mean and its largest speed over the ground, meters a second.
    contact: share of the frames in which each foot stands on the ground.
    curves: how many curves of the face there are.
    """

    joints: int
    frames: int
    fps: float
    seconds: float
    bones: int
    height_m: float
    traveled_m: float
    speed: tuple[float, float]
    contact: dict[str, float]
    curves: int


def summarize_motion(motion: SkeletalMotion) -> MotionSummary:
    """The figures of a motion."""
    places = forward_kinematics(motion)
    bones = humanoid_joints(motion.names, motion.parents)
    speed = ground_speed(motion)
    contacts = foot_contacts(motion, places, bones)
    top = places[:, bones["head"], 1] if bones else places[..., 1].max(axis=1)
    return MotionSummary(
        joints=len(motion.names),
        frames=len(motion),
        fps=float(motion.fps),
        seconds=motion.duration_s,
        bones=len(bones),
        height_m=float((top - places[..., 1].min(axis=1)).max()),
        traveled_m=float(np.linalg.norm(np.diff(motion.root_m[:, [0, 2]], axis=0), axis=1).sum()),
        speed=(float(speed.mean()), float(speed.max())),
        contact={side: float(stands.mean()) for side, stands in contacts.items()},
        curves=len(motion.curves),
    )


def ground_speed(motion: SkeletalMotion) -> AnyArray:
    """(F,) meters a second of the root over the ground."""
    return _speed(motion.root_m * [1.0, 0.0, 1.0], float(motion.fps))


def _speed(places: AnyArray, fps: float) -> AnyArray:
    """(F,) meters a second of a joint, over about SMOOTH_S."""
    half = max(round(SMOOTH_S * fps / 2), 1)
    frames = np.arange(len(places))
    before, after = np.maximum(frames - half, 0), np.minimum(frames + half, len(places) - 1)
    way = np.linalg.norm(places[after] - places[before], axis=1)
    return np.asarray(way * fps / np.maximum(after - before, 1))


def foot_contacts(
    motion: SkeletalMotion, places: AnyArray, bones: Mapping[str, int]
) -> dict[str, AnyArray]:
    """(F,) truth by the sides: where a foot is low and slow.

    Args:
        motion: any.
        places: (F, J, 3) of forward_kinematics.
        bones: of humanoid_joints; a side without a foot is left out.
    """
    contacts = {}
    for side in ("left", "right"):
        names = [f"{side}{bone}" for bone in ("Foot", "Toes") if f"{side}{bone}" in bones]
        stands = np.zeros(len(motion), bool)
        for name in names:  # the heel or the ball
            place = places[:, bones[name]]
            around = min(2 * round(GROUND_S * float(motion.fps) / 2) + 1, 2 * len(place) + 1)
            ground = percentile_filter(place[:, 1], LOW_PERCENT, size=around)
            low = place[:, 1] < ground + CONTACT_HEIGHT_M
            stands |= low & (_speed(place, float(motion.fps)) < CONTACT_SPEED)
        if names:
            contacts[side] = stands
    return contacts


def foot_heights(places: AnyArray, bones: Mapping[str, int]) -> dict[str, AnyArray]:
    """(F,) meters of the ankles above the lowest that either foot's joint is."""
    feet = {side: bones[f"{side}Foot"] for side in ("left", "right") if f"{side}Foot" in bones}
    if not feet:
        return {}
    lowest = min(float(places[:, joint, 1].min()) for joint in feet.values())
    return {side: places[:, joint, 1] - lowest for side, joint in feet.items()}


def joint_angles(places: AnyArray, bones: Mapping[str, int]) -> dict[str, AnyArray]:
    """(F,) degrees by which hips, knees and elbows are bent, 0 where they are straight.

    Keys are "left knee" and the like. A hip's angle is that between spine and thigh.
    """
    angles = {}
    for joint, (above, at, below) in FLEXIONS.items():
        for side in ("left", "right"):
            first = above if above in bones else f"{side}{above}"
            second, third = f"{side}{at}", f"{side}{below}"
            if not {first, second, third} <= bones.keys():
                continue
            if joint == "hip":
                upper = places[:, bones["hips"]] - places[:, _above_hips(places, bones)]
            else:
                upper = places[:, bones[second]] - places[:, bones[first]]
            lower = places[:, bones[third]] - places[:, bones[second]]
            angles[f"{side} {joint}"] = _between(upper, lower)
    return angles


def _above_hips(places: AnyArray, bones: Mapping[str, int]) -> int:
    """The lowest joint of the spine that is not where the hips are, as it is in some skeletons."""
    spine = [bones[bone] for bone in ("spine", "chest", "upperChest", "neck") if bone in bones]
    away = np.linalg.norm(places[0, spine] - places[0, bones["hips"]], axis=-1) > LEAST_BONE_M
    return next((joint for joint, far in zip(spine, away, strict=True) if far), spine[0])


def _between(first: AnyArray, second: AnyArray) -> AnyArray:
    cross = np.linalg.norm(np.cross(first, second), axis=1)
    return np.asarray(np.degrees(np.arctan2(cross, np.sum(first * second, axis=1))))


def turned_angles(motion: SkeletalMotion, most: int = 4) -> dict[str, AnyArray]:
    """(F,) degrees by which those joints are turned that turn the most."""
    half = np.linalg.norm(motion.rotations[..., :3], axis=-1)
    degrees = np.degrees(2 * np.arctan2(half, np.abs(motion.rotations[..., 3])))
    order = np.argsort(-np.ptp(degrees, axis=0), kind="stable")[:most]
    return {motion.names[joint]: degrees[:, joint] for joint in order}
