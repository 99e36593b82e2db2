"""BVH files of all programs as SkeletalMotion.

A file tells neither its unit nor which way is up; both are guessed from the body and told in a
note, and can be given. What is done with the rest:

- Euler angles in any order; the order is kept for writing.
- An end site is a joint NAME_end that does not turn; those of no length are left out.
- Position channels of the root are its place (the root's OFFSET is its place at rest). Those of
  other joints are the joint's offset (or, where they stay near 0, are added to it): their median is
  taken, as bones here do not stretch, and a note tells by how much they did.
- Where a joint below the root is the one that travels (a "Reference" above "Hips"), it becomes the
  root, and what is above or beside it is left out.
"""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
from scipy.spatial.transform import Rotation

from magicpose_cli.arrays import AnyArray
from magicpose_cli.body.humanoid_names import humanoid_joints
from magicpose_cli.body.motion_files.body_size import Up, guess_unit, guess_up, turned_upright
from magicpose_cli.body.motion_files.bvh_parser import BvhJoint, BvhText, parse_bvh
from magicpose_cli.body.motion_files.checks import check_motion, check_rate, unique_joint_names
from magicpose_cli.body.skeletal_motion import (
    SkeletalMotion,
    forward_kinematics,
    rest_positions,
)

STRETCH = 0.01  # of the body's size: what bones may stretch without a word
TRAVEL = 0.05  # of the body's size: a joint that moves farther from its parent travels


def read_bvh(
    path: Path,
    *,
    unit_m: float | None = None,
    up: Up | None = None,
    fps: float | None = None,
) -> SkeletalMotion:
    """Read a BVH file.

    Args:
        path: the file.
        unit_m: meters of the file's unit (0.01: centimeters); guessed from the body's size if None.
        up: the file's axis that points up; guessed from where the head is above the feet if None.
        fps: frames a second, in place of what the file tells.

    Errors: InputError of one line.
    """
    text = parse_bvh(path)
    rate = text.fps if fps is None else check_rate(path, fps)
    names = unique_joint_names([joint.name for joint in text.joints])
    parents = np.array([joint.parent for joint in text.joints])
    offsets = np.array([joint.offset for joint in text.joints], np.float64)
    rotations, places = _channels(text)
    orders = tuple(_order(joint) for joint in text.joints)
    top, notes = _top(text.joints, places, offsets, names)
    offsets, stretch_notes = _rigid(text.joints, places, offsets, top)
    root = places.get(top, np.broadcast_to(offsets[top], (len(text.values), 3)))
    root, rotations = _world_of_top(top, parents, offsets, places, rotations, root)
    kept = _kept(text.joints, offsets, parents, top)
    motion = SkeletalMotion(
        tuple(names[joint] for joint in kept),
        np.array([-1 if joint == top else kept.index(int(parents[joint])) for joint in kept]),
        offsets[kept],
        rotations[:, kept],
        root,
        rate,
        euler_orders=tuple(orders[joint] for joint in kept),
    )
    motion = _scaled(motion, unit_m, up, (*text.notes, *notes, *stretch_notes))
    return check_motion(path, motion)


def _scaled(
    motion: SkeletalMotion, unit_m: float | None, up: Up | None, notes: tuple[str, ...]
) -> SkeletalMotion:
    """The motion in meters and y up."""
    bones = humanoid_joints(motion.names, motion.parents)
    rest = rest_positions(motion.parents, motion.rest_offsets_m)
    if unit_m is None:
        unit_m, note = guess_unit(rest, motion.parents, bones)
        notes += (note,)
    if up is None:
        steps = np.linspace(0, len(motion) - 1, min(len(motion), 50)).astype(int)
        some = replace(motion, rotations=motion.rotations[steps], root_m=motion.root_m[steps])
        up, note = guess_up(forward_kinematics(some), rest, bones)
        notes += (note,) if note else ()
    turned = turned_upright(up)
    basis = Rotation.from_matrix(turned)
    rotations = motion.rotations
    if up != "y":
        flat = Rotation.from_quat(rotations.reshape(-1, 4))
        rotations = (basis * flat * basis.inv()).as_quat().reshape(rotations.shape)
    return replace(
        motion,
        rest_offsets_m=motion.rest_offsets_m @ turned.T * unit_m,
        root_m=motion.root_m @ turned.T * unit_m,
        rotations=rotations,
        notes=notes,
    )


def _channels(text: BvhText) -> tuple[AnyArray, dict[int, AnyArray]]:
    """(F, J, 4) rotations of all joints, and (F, 3) of those that have position channels.

    Columns of axes without a channel are NaN.
    """
    frames = len(text.values)
    rotations = np.zeros((frames, len(text.joints), 4))
    rotations[..., 3] = 1.0
    places: dict[int, AnyArray] = {}
    column = 0
    for number, joint in enumerate(text.joints):
        order, angles = "", []
        for channel in joint.channels:
            values = text.values[:, column]
            column += 1
            if channel.endswith("rotation"):
                order += channel[0].upper()
                angles.append(values)
            else:
                place = places.setdefault(number, np.full((frames, 3), np.nan))
                place[:, "xyz".index(channel[0])] = values
        if order:
            turns = np.stack(angles, axis=1)
            rotations[:, number] = Rotation.from_euler(order, turns, degrees=True).as_quat()
    for number, place in places.items():
        missing = np.isnan(place[0])
        place[:, missing] = np.array(text.joints[number].offset)[missing]
    return rotations, places


def _order(joint: BvhJoint) -> str:
    order = "".join(c[0].upper() for c in joint.channels if c.endswith("rotation"))
    return order if len(order) == 3 else ""


def _size(parents: AnyArray, offsets: AnyArray) -> float:
    """The skeleton's longest chain of bones, in the file's unit; the root's own offset is none."""
    reach = np.zeros(len(parents))
    for joint in range(1, len(parents)):
        reach[joint] = reach[parents[joint]] + np.linalg.norm(offsets[joint])
    return float(reach.max())


def _top(
    joints: list[BvhJoint], places: dict[int, AnyArray], offsets: AnyArray, names: tuple[str, ...]
) -> tuple[int, tuple[str, ...]]:
    """The joint that travels, to be the root, and what to say where it is not the file's."""
    parents = np.array([joint.parent for joint in joints])
    size = _size(parents, offsets)
    bones = humanoid_joints(names, parents)
    hips = bones.get("hips", 0)
    if hips == 0 or hips not in places:
        return 0, ()
    if float(np.ptp(places[hips], axis=0).max()) <= TRAVEL * size:
        return 0, ()
    return hips, (f"{names[hips]} travels, and is the root in place of {names[0]}",)


def _rigid(
    joints: list[BvhJoint], places: dict[int, AnyArray], offsets: AnyArray, top: int
) -> tuple[AnyArray, tuple[str, ...]]:
    """Offsets that do not change, of joints with position channels."""
    offsets = offsets.copy()
    parents = np.array([joint.parent for joint in joints])
    size = max(_size(parents, offsets), 1e-9)
    worst, whose = 0.0, ""
    for joint, place in places.items():
        if joint in (0, top):
            continue
        median = np.median(place, axis=0)
        moved = float(np.linalg.norm(place - median, axis=1).max())
        if moved > worst:
            worst, whose = moved, joints[joint].name
        length = float(np.linalg.norm(offsets[joint]))
        if length > 1e-3 * size and np.linalg.norm(median) < 0.05 * length:
            median = offsets[joint] + median  # what is added to the offset
        offsets[joint] = median
    if worst > STRETCH * size:
        share = 100 * worst / size
        return offsets, (
            f"bones stretch, {whose} by up to {share:.1f} % of the body; they keep their median",
        )
    return offsets, ()


def _world_of_top(
    top: int,
    parents: AnyArray,
    offsets: AnyArray,
    places: dict[int, AnyArray],
    rotations: AnyArray,
    root: AnyArray,
) -> tuple[AnyArray, AnyArray]:
    """Place and rotations where `top` hangs at nothing: what is above is put into it."""
    line = []
    joint = top
    while joint != 0:
        joint = int(parents[joint])
        line.append(joint)
    for joint in line:
        turn = Rotation.from_quat(rotations[:, joint])
        root = places.get(joint, offsets[joint]) + turn.apply(root)
        rotations[:, top] = (turn * Rotation.from_quat(rotations[:, top])).as_quat()
    return root, rotations


def _kept(joints: list[BvhJoint], offsets: AnyArray, parents: AnyArray, top: int) -> list[int]:
    """The joints at or below `top`, without end sites of no length."""
    kept = [top]
    for joint in range(top + 1, len(joints)):
        empty = joints[joint].is_end and not offsets[joint].any()
        if int(parents[joint]) in kept and not empty:
            kept.append(joint)
    return kept
