"""The motion of one skeleton on another: every bone points where it pointed.

Rest poses differ (arms out, down or aslant; all bones along one axis), and so do the axes of the
joints. What both skeletons share are the directions of the bones in the world and, nearly, how the
bones are twisted about themselves. So each target bone gets the world rotation of its source joint
times one constant, found in a calibration pose: there the source's bones are swung, from the hips
outward and by the shortest way, to where the target's point at rest.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from scipy.spatial.transform import Rotation

from magicpose_cli.arrays import AnyArray
from magicpose_cli.body.humanoid_names import bone_above, humanoid_joints
from magicpose_cli.body.skeletal_motion import (
    SkeletalMotion,
    joint_positions,
    local_rotations,
    rest_positions,
    world_rotations,
)
from magicpose_cli.errors import InputError

NEXT_BONE = {
    "spine": ("chest", "upperChest", "neck", "head"),
    "chest": ("upperChest", "neck", "head"),
    "upperChest": ("neck", "head"),
    "neck": ("head",),
}
"""The bone whose joint tells where a bone points, the first that is there. Of bones that have one
child it is that; a hand points to its middle finger."""
LEVEL = ("head", "jaw", "leftEye", "rightEye", "leftToes", "rightToes")
"""Bones without a child that stand as the body stands at rest, whatever their parent does."""
FLAT = ("leftFoot", "rightFoot", *LEVEL)  # of these the twist, too, is not the parent's
SNAP_DEG = 25.0


@dataclass(frozen=True)
class _Chain:
    """The bones of a humanoid in one pose: places and the bone that each points to."""

    places: dict[str, AnyArray]

    def next_bone(self, bone: str) -> str | None:
        if bone in ("hips", "head"):
            return None
        for choice in NEXT_BONE.get(bone, ()):
            if choice in self.places:
                return choice
        if bone.endswith("Hand"):
            side = bone.removesuffix("Hand")
            fingers = (f"{side}{finger}Proximal" for finger in ("Middle", "Index", "Ring"))
            return next((finger for finger in fingers if finger in self.places), None)
        below = (other for other in self.places if other != "hips")
        return next((o for o in below if bone_above(o, set(self.places)) == bone), None)

    def direction(self, bone: str) -> AnyArray | None:
        following = self.next_bone(bone)
        if following is None:
            return None
        way = self.places[following] - self.places[bone]
        length = np.linalg.norm(way)
        return way / length if length > 1e-6 else None


def retarget_chain(
    motion: SkeletalMotion,
    target_names: Sequence[str],
    target_parents: Sequence[int] | AnyArray,
    target_offsets: AnyArray,
) -> SkeletalMotion:
    """The motion on another skeleton.

    Args:
        motion: of a person whose joints humanoid_joints knows.
        target_names: J names, of which humanoid_joints knows a person, too.
        target_parents: J numbers, parents first.
        target_offsets: (J, 3) meters from the parents, in a pose with the head up and the face
            forward; the root's offset is its place.

    Returns:
        A motion whose bones between two joints that both skeletons have point in the world where
        the source's do, exactly; hips are turned by the line between the legs and the upright.
        Joints that the source lacks do not turn. The root travels as far as the target's legs are
        long, in relation to the source's.

    Errors: InputError where the joints of either are not those of a person.
    """
    target_parents = np.asarray(target_parents, np.int64)
    target_offsets = np.asarray(target_offsets, np.float64)
    source, target = _bones(motion.names, motion.parents), _bones(target_names, target_parents)
    shared = [bone for bone in target if bone in source]
    source_world = world_rotations(motion)
    places = joint_positions(motion, source_world)
    target_rest = rest_positions(target_parents, target_offsets)
    rest = _Chain({bone: target_rest[target[bone]] for bone in shared})
    constants = _calibrate(motion, source, rest, source_world, places)
    world: dict[int, AnyArray] = {}
    for bone in shared:
        turned = Rotation.from_quat(source_world[:, source[bone]]) * constants[bone]
        way, following = rest.direction(bone), rest.next_bone(bone)
        if way is not None and following is not None:  # joints between the two may turn, too
            now = places[:, source[following]] - places[:, source[bone]]
            turned = shortest_swing(turned.apply(way), now) * turned
        world[target[bone]] = turned.as_quat()
    filled = _filled(world, target["hips"], target_parents, len(motion))
    scale = _leg_length(target_rest, target) / _leg_length(
        rest_positions(motion.parents, motion.rest_offsets_m), source
    )
    hips_m = places[:, source["hips"]] * scale
    result = replace(
        motion,
        names=tuple(target_names),
        parents=target_parents,
        rest_offsets_m=target_offsets,
        rotations=local_rotations(filled, target_parents),
        root_m=np.zeros_like(motion.root_m),
        euler_orders=(),
    )
    return replace(result, root_m=hips_m - joint_positions(result, filled)[:, target["hips"]])


def _bones(names: Sequence[str], parents: Sequence[int] | AnyArray) -> dict[str, int]:
    bones = humanoid_joints(names, parents)
    if not bones:
        raise InputError(
            f"the joints {', '.join(names):.80} are not told as a person's; expected hips, a head, "
            "legs and arms by names of CMU, LaFAN1, Mixamo, Rokoko, MocapNET, SMPL-X or VRM"
        )
    return bones


def _filled(world: dict[int, AnyArray], hips: int, parents: AnyArray, frames: int) -> AnyArray:
    """(F, J, 4) of all joints: those that are not known turn with their parents.

    What is above the hips does not turn.
    """
    filled = np.zeros((frames, len(parents), 4))
    filled[..., 3] = 1.0
    above = set()
    joint = hips
    while (joint := int(parents[joint])) >= 0:
        above.add(joint)
    for joint, parent in enumerate(parents):
        if joint in world:
            filled[:, joint] = world[joint]
        elif joint not in above and parent >= 0:
            filled[:, joint] = filled[:, parent]
    return filled


def _leg_length(places: AnyArray, bones: dict[str, int]) -> float:
    """Meters from hip to knee to ankle, of both legs' mean; 1 where there is none."""
    lengths = []
    for side in ("left", "right"):
        joints = [bones.get(f"{side}{bone}") for bone in ("UpperLeg", "LowerLeg", "Foot")]
        leg = np.array([places[joint] for joint in joints if joint is not None])
        lengths.append(np.linalg.norm(np.diff(leg, axis=0), axis=1).sum())
    length = float(np.mean(lengths))
    return length if length > 1e-6 else 1.0


def _calibrate(
    motion: SkeletalMotion,
    source: dict[str, int],
    rest: _Chain,
    world: AnyArray,
    places: AnyArray,
) -> dict[str, Rotation]:
    """The constants by which a bone's world rotation is its source joint's times them."""
    zero = rest_positions(motion.parents, motion.rest_offsets_m)
    bones = list(rest.places)
    at_rest = _Chain({bone: zero[source[bone]] for bone in bones})
    standing = None
    if not is_standing(zero, source):
        frame = _straightest(places, source)
        standing = frame, _Chain({bone: places[frame, source[bone]] for bone in bones})
    swings = {"hips": body_frame(rest.places) * body_frame(at_rest.places).inv()}
    constants = {"hips": swings["hips"].inv()}
    if standing is not None:
        frame, chain = standing
        hips = Rotation.from_quat(world[frame, source["hips"]])
    for bone in bones:
        if bone == "hips":
            continue
        parent = "hips" if bone in FLAT else bone_above(bone, set(bones))
        above = swings[parent or "hips"]
        turned, here = Rotation.identity(), at_rest
        if standing is not None and _is_limb(bone):
            # at rest this skeleton's limbs point anywhere; as it stands they are a person's
            turned, here = hips.inv() * Rotation.from_quat(world[frame, source[bone]]), chain
        way, wanted = here.direction(bone), rest.direction(bone)
        if way is not None and here is not at_rest:
            way = hips.inv().apply(way)
        if bone in LEVEL and rest.next_bone(bone) is None:
            swings[bone] = swings["hips"]
        elif way is None or wanted is None:
            swings[bone] = above
        else:
            swings[bone] = shortest_swing(above.apply(way), wanted) * above
        constants[bone] = turned.inv() * swings[bone].inv()
    return constants


def _is_limb(bone: str) -> bool:
    return bone.startswith(("left", "right")) and not bone.endswith("Eye")


def is_standing(places: AnyArray, bones: dict[str, int]) -> bool:
    """True where the legs lead away from the head: a pose that a person could take."""
    up = places[bones["head"]] - places[bones["hips"]]
    for side in ("left", "right"):
        down = places[bones[f"{side}UpperLeg"]] - places[_lowest(bones, side)]
        if np.dot(up, down) < 0.5 * np.linalg.norm(up) * np.linalg.norm(down):
            return False
    return True


def _lowest(bones: dict[str, int], side: str) -> int:
    names = (f"{side}{bone}" for bone in ("Foot", "LowerLeg", "UpperLeg"))
    return next(bones[name] for name in names if name in bones)


def _straightest(places: AnyArray, bones: dict[str, int]) -> int:
    """The frame in which ankles and hands are the farthest from head and hips, legs below."""
    head, hips = places[:, bones["head"]], places[:, bones["hips"]]
    reach = np.zeros(len(places))
    for side in ("left", "right"):
        reach += np.linalg.norm(places[:, _lowest(bones, side)] - head, axis=-1)
        if f"{side}Hand" in bones:
            upper, hand = (places[:, bones[f"{side}{bone}"]] for bone in ("UpperArm", "Hand"))
            reach += np.linalg.norm(hand - upper, axis=-1)
    return int(np.argmax(reach + np.linalg.norm(head - hips, axis=-1)))


def body_frame(places: dict[str, AnyArray]) -> Rotation:
    """The rotation from x left, y up, z forward to the body's own, by its hips, legs and head.

    Up is the axis of the skeleton that the spine lies nearest to, if one is within SNAP_DEG: at
    rest a pelvis stands upright, though the first bone of the spine may lean.
    """
    up = places["head"] - places["hips"]
    side = places["leftUpperLeg"] - places["rightUpperLeg"]
    up = up / max(float(np.linalg.norm(up)), 1e-9)
    axis = np.eye(3)[np.argmax(np.abs(up))] * np.sign(up[np.argmax(np.abs(up))] or 1.0)
    if np.dot(axis, up) > np.cos(np.radians(SNAP_DEG)):
        up = axis
    side = side - up * np.dot(side, up)
    length = float(np.linalg.norm(side))
    if length < 1e-9 or not np.linalg.norm(up) > 0.5:
        return Rotation.identity()
    side = side / length
    return Rotation.from_matrix(np.stack([side, up, np.cross(side, up)], axis=1))


def shortest_swing(start: AnyArray, end: AnyArray) -> Rotation:
    """The rotations of the smallest angle from directions to directions, (3,) or (N, 3) each.

    Opposite directions turn about the axis that lies most across them, z before x before y.
    """
    a, b = np.atleast_2d(start), np.atleast_2d(end)
    a = a / np.maximum(np.linalg.norm(a, axis=-1, keepdims=True), 1e-12)
    b = b / np.maximum(np.linalg.norm(b, axis=-1, keepdims=True), 1e-12)
    a, b = np.broadcast_arrays(a, b)
    axis, cosine = np.cross(a, b), np.sum(a * b, axis=-1)
    opposite = cosine < -1 + 1e-12
    if opposite.any():
        across = np.where(np.abs(a[opposite, 2:]) < 0.9, [0.0, 0.0, 1.0], [1.0, 0.0, 0.0])
        normal = np.cross(a[opposite], np.cross(across, a[opposite]))
        axis[opposite] = normal / np.linalg.norm(normal, axis=-1, keepdims=True)
    real = np.where(opposite, 0.0, 1.0 + cosine)
    quaternions = np.concatenate([axis, real[:, None]], axis=-1)
    none = np.linalg.norm(quaternions, axis=-1) < 1e-12
    quaternions[none] = [0.0, 0.0, 0.0, 1.0]
    return Rotation.from_quat(
        quaternions[0] if np.ndim(start) == np.ndim(end) == 1 else quaternions
    )
