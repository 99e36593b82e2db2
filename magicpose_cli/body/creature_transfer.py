"""A person's motion on another kind of body, by how the bones turn away from their rest.

After MagicPose4D (arXiv 2405.14017), which moves other categories by the directions of the bones of
a kinematic chain. For each driven bone, the turn of the person's bone against the bone above is
laid onto the creature's bone, multiplied by a gain and kept within limits.
"""

from __future__ import annotations

import math
from dataclasses import replace
from fractions import Fraction

import numpy as np
from scipy.spatial.transform import Rotation

from magicpose_cli.arrays import Floats
from magicpose_cli.body.chain_retargeting import shortest_swing
from magicpose_cli.body.creatures import Creature, axis_matrix, bone_directions
from magicpose_cli.body.humanoid import humanoid
from magicpose_cli.body.humanoid_names import VRM_PARENTS
from magicpose_cli.body.motion_files.bvh_parser import END
from magicpose_cli.body.skeletal_motion import (
    SkeletalMotion,
    forward_kinematics,
    world_rotations,
)

_NEARLY_EQUAL_DEG = 15.0  # directions that close count as one: bodies differ by as much
_MAX_TURN_DEG_S = 1500.0  # what a joint with limits turns at most; faster is a flip
_MAX_SWING = math.radians(179.9)  # a swing of half a turn would have any axis
_UNWRAP = 1.5 * math.pi  # radians up to which an angle may run on beyond half a turn
_STANDING_M = 0.05  # a person's foot that is no higher than so stands
_GROUND_PERCENT = 5.0
_UP = np.array([0.0, 1.0, 0.0])


def creature_motion(motion: SkeletalMotion, creature: Creature) -> SkeletalMotion:
    """Lay a person's motion onto a creature.

    A bone's turn is that of the person's bone against the nearest of the bones above it that
    drives a bone above in the creature (against its own parent where there is none). The root has
    the hips' heading whole, and what is left of their turn times the gain. Bones with limits or
    a gain are split into a swing, by its components about two axes across the bone, and a twist
    (see limit_frame); these are multiplied, clipped, and turn at most 1500 degrees a second.

    Args:
        motion: Of a person, with any names that humanoid_joints knows.
        creature: The other body.

    Returns:
        J joints: the creature's bones, and NAME_end for each tip. Face curves are left out.

    Raises:
        InputError: The joints are not told as a person's.
    """
    person = humanoid(motion)
    pose = _reference_pose(creature)
    turns = _person_turns(person, pose)
    frames = len(person)
    local = np.zeros((frames, len(creature.bones), 4))
    local[..., 3] = 1.0
    heading = _headings(turns["hips"], float(person.fps))
    bounded, targets = [], []
    for number, bone in enumerate(creature.bones):
        turn = _bone_turn(number, creature, pose, turns, heading)
        if turn is None:
            continue
        if bone.gain == 1 and (bone.bend_deg, bone.side_deg, bone.twist_deg) == (None,) * 3:
            local[:, number] = turn.as_quat()
        else:
            bounded.append(number)
            targets.append(swing_twist(turn, limit_frame(creature, number)))
    if bounded:
        kept = _bounded(np.stack(targets, axis=1), creature, bounded, person.fps)
        for column, number in enumerate(bounded):
            frame = limit_frame(creature, number)
            local[:, number] = _from_swing_twist(kept[:, column], frame).as_quat()
    if creature.root.heading:
        local[:, 0] = (heading * Rotation.from_quat(local[:, 0])).as_quat()
    return _placed(_skeleton(creature, _one_hemisphere(local), motion), person, creature)


def limit_frame(creature: Creature, number: int) -> Floats:
    """(3, 3) columns: the axes of a bone's bend, of its side swing and of its twist.

    The twist's is the bone itself (the upright for the root). The bend's is across it, as near to
    x as may be, or to z for bones that point sideways. All are in the bone's axes at rest.
    """
    twist = _UP if number == 0 else bone_directions(creature)[number]
    across = np.eye(3)[2 if abs(twist[0]) > 0.9 else 0]
    bend = across - twist * (across @ twist)
    bend = bend / np.linalg.norm(bend)
    return np.stack([bend, np.cross(twist, bend), twist], axis=1)


def swing_twist(turns: Rotation, frame: Floats) -> Floats:
    """(F, 3) radians about the frame's axes: swing, as a rotation vector, after twist."""
    quaternions = turns.as_quat()
    twist = 2 * np.arctan2(quaternions[:, :3] @ frame[:, 2], quaternions[:, 3])
    twist = twist - 2 * np.pi * np.round(twist / (2 * np.pi))
    swing = turns * Rotation.from_rotvec(-twist[:, None] * frame[:, 2])
    angles = swing.as_rotvec() @ frame
    return np.stack([angles[:, 0], angles[:, 1], twist], axis=1)


def _from_swing_twist(angles: Floats, frame: Floats) -> Rotation:
    swing = Rotation.from_rotvec(angles[:, :2] @ frame[:, :2].T)
    return swing * Rotation.from_rotvec(angles[:, 2:] * frame[:, 2])


def human_direction(bone: str) -> Floats:
    """(3,) where a person's bone points in a T-pose."""
    plain = bone.removeprefix("left").removeprefix("right")
    side = 1.0 if bone.startswith("left") else -1.0
    if plain in ("UpperLeg", "LowerLeg"):
        return -_UP
    if plain == "Foot":
        return np.array([0.0, -0.42, 0.91])
    if plain in ("Toes", "Eye", "jaw"):
        return np.array([0.0, 0.0, 1.0])
    return _UP if plain == bone else np.array([side, 0.0, 0.0])


def _reference_pose(creature: Creature) -> dict[str, Rotation]:
    """Turns of all of the person's bones, out of a T-pose, in the creature's rest."""
    pose: dict[str, Rotation] = {}
    for bone, parent in VRM_PARENTS.items():
        turn = pose[parent] if parent else Rotation.identity()
        if bone in creature.human_pose:
            now = turn.apply(human_direction(bone))
            turn = shortest_swing(now, np.array(creature.human_pose[bone])) * turn
        pose[bone] = turn
    return pose


def _person_turns(person: SkeletalMotion, pose: dict[str, Rotation]) -> dict[str, Rotation]:
    """World rotations of every VRM bone, away from the pose that is the creature's rest.

    A bone that the person lacks turns with the one above.
    """
    world = world_rotations(person)
    own: dict[str, Rotation] = {}
    for bone, parent in VRM_PARENTS.items():
        if bone in person.names:
            own[bone] = Rotation.from_quat(world[:, person.index(bone)])
        else:
            own[bone] = own[parent or "hips"]
    return {bone: turn * pose[bone].inv() for bone, turn in own.items()}


def _bone_turn(
    number: int,
    creature: Creature,
    pose: dict[str, Rotation],
    turns: dict[str, Rotation],
    heading: Rotation,
) -> Rotation | None:
    """The person's turn in the axes of the creature's bone; None for a bone that nothing drives."""
    bone = creature.bones[number]
    if bone.human is None:
        return None
    if number == 0:
        turn, axes = heading.inv() * turns[bone.human], Rotation.identity()
    else:
        turn = turns[_reference_bone(number, creature)].inv() * turns[bone.human]
        way = pose[bone.human].apply(human_direction(bone.human))
        axes = shortest_swing(way, bone_directions(creature)[number])
        if axes.magnitude() < math.radians(_NEARLY_EQUAL_DEG):
            axes = Rotation.identity()
    if bone.axes is not None:
        axes = Rotation.from_matrix(axis_matrix(bone.axes))
    return axes * turn * axes.inv()


def _reference_bone(number: int, creature: Creature) -> str:
    """The person's bone against which the turn of the one that drives this bone is taken."""
    human = creature.bones[number].human or "hips"
    parent = VRM_PARENTS[human]
    above = set()
    while parent is not None:
        above.add(parent)
        parent = VRM_PARENTS[parent]
    parents = creature.parents()
    while (number := parents[number]) >= 0:
        driver = creature.bones[number].human
        if driver in above and driver is not None:
            return driver
    return VRM_PARENTS[human] or "hips"


def _headings(hips: Rotation, fps: float) -> Rotation:
    """Turns about the upright, without flips where the hips go head over heels."""
    quaternions = _one_hemisphere(hips.as_quat()[:, None])[:, 0]
    angles = np.unwrap(2 * np.arctan2(quaternions[:, 1], quaternions[:, 3]))
    slow = _slowed(angles[:, None], fps)
    return Rotation.from_rotvec(slow * _UP)


def _bounded(
    targets: Floats, creature: Creature, numbers: list[int], fps: float | Fraction
) -> Floats:
    """(F, B, 3) swings and twists with gains and within limits."""
    bones = [creature.bones[number] for number in numbers]
    gains = np.array([bone.gain for bone in bones])
    whole = (-180.0, 180.0)
    limits = np.radians([[bone.bend_deg or whole, bone.side_deg or whole, bone.twist_deg or whole]
                         for bone in bones])  # fmt: skip
    angles = _running_on(targets) * gains[:, None]
    angles = np.clip(angles, limits[..., 0], limits[..., 1])
    swing = np.linalg.norm(angles[..., :2], axis=-1, keepdims=True)
    angles[..., :2] *= np.minimum(1.0, _MAX_SWING / np.maximum(swing, 1e-9))
    return _slowed(angles, float(fps))


def _running_on(angles: Floats) -> Floats:
    """The same turns by those angles that are the nearest to the frame before's.

    A swing or twist that goes beyond half a turn runs on, up to three quarters, so that clipping
    keeps it at the limit where it arrived and does not let it jump to the other one.
    """
    result = angles.copy()
    for now, before in zip(result[1:], result, strict=False):
        swing = np.linalg.norm(now[:, :2], axis=1, keepdims=True)
        other = now[:, :2] * (1 - 2 * np.pi / np.maximum(swing, 1e-9))
        nearer = np.linalg.norm(other - before[:, :2], axis=1) < np.linalg.norm(
            now[:, :2] - before[:, :2], axis=1
        )
        nearer &= np.linalg.norm(other, axis=1) < _UNWRAP
        now[nearer, :2] = other[nearer]
        twist = now[:, 2] - 2 * np.pi * np.round((now[:, 2] - before[:, 2]) / (2 * np.pi))
        now[:, 2] = np.where(np.abs(twist) < _UNWRAP, twist, now[:, 2])
    return result


def _slowed(angles: Floats, fps: float) -> Floats:
    """The angles, changing by no more a frame than a joint can turn."""
    step = math.radians(_MAX_TURN_DEG_S) / fps
    if len(angles) < 2 or np.abs(np.diff(angles, axis=0)).max() <= step:
        return angles
    result = angles.copy()
    for frame in range(1, len(angles)):
        way = np.clip(angles[frame] - result[frame - 1], -step, step)
        result[frame] = result[frame - 1] + way
    return result


def _one_hemisphere(quaternions: Floats) -> Floats:
    """(F, J, 4) the same rotations, each quaternion on the side of the frame before's."""
    turned = np.sum(quaternions[1:] * quaternions[:-1], axis=-1) < 0
    signs = np.cumprod(np.where(turned, -1.0, 1.0), axis=0)
    return np.concatenate([quaternions[:1], quaternions[1:] * signs[..., None]])


def _skeleton(creature: Creature, local: Floats, motion: SkeletalMotion) -> SkeletalMotion:
    """The creature with these rotations (F, B, 4), its root at its rest height."""
    names = [bone.name for bone in creature.bones]
    offsets = [bone.offset_m for bone in creature.bones]
    parents = creature.parents()
    for number, bone in enumerate(creature.bones):
        if bone.end_m is not None:
            names.append(f"{bone.name}{END}")
            offsets.append(bone.end_m)
            parents.append(number)
    still = np.zeros((len(local), len(names) - len(creature.bones), 4))
    still[..., 3] = 1.0
    return SkeletalMotion(
        tuple(names),
        np.array(parents),
        np.array(offsets, np.float64),
        np.concatenate([local, still], axis=1),
        np.tile(np.array(offsets[0], np.float64), (len(local), 1)),
        motion.fps,
        notes=motion.notes,
    )


def _placed(motion: SkeletalMotion, person: SkeletalMotion, creature: Creature) -> SkeletalMotion:
    """The motion with the root where the person's way and the feet take it."""
    hips_m = float(person.rest_offsets_m[0, 1])
    rest = motion.rest_offsets_m[0]
    travel = creature.root.travel
    scale = max(rest[1], 0.0) / max(hips_m, 0.1) if travel == "legs" else float(travel)
    root = rest + person.root_m * [scale, 0.0, scale]
    if creature.root.height == "source":
        root[:, 1] += (person.root_m[:, 1] - hips_m) * scale
    elif creature.root.height == "feet":
        feet = {bone.name for bone in creature.bones if bone.foot}
        joints = [n for n, name in enumerate(motion.names) if name.removesuffix(END) in feet]
        lowest = forward_kinematics(motion)[:, joints, 1].min(axis=1)
        root[:, 1] += _lifts(person) * scale - lowest
    return replace(motion, root_m=root)


def _lifts(person: SkeletalMotion) -> Floats:
    """(F,) meters that the person's lower foot is above the ground, 0 where it stands."""
    feet = [joint for joint, name in enumerate(person.names) if name.endswith(("Foot", "Toes"))]
    if not feet:
        return np.zeros(len(person))
    lowest = forward_kinematics(person)[:, feet, 1].min(axis=1)
    ground = np.percentile(lowest, _GROUND_PERCENT)
    return np.asarray(np.maximum(lowest - ground - _STANDING_M, 0.0))
