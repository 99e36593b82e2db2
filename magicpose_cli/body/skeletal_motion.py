"""The motion of a kinematic chain as dense arrays.

Space: meters, right-handed, y up, x to the person's left and z forward, as in glTF 2.0 and VRM 1.0.
Rotations: unit quaternions in SciPy's order x, y, z, w.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from fractions import Fraction

import numpy as np
from scipy.spatial.transform import Rotation

from magicpose_cli.arrays import AnyArray

ARKIT_CURVES = (
    "eyeBlinkLeft", "eyeLookDownLeft", "eyeLookInLeft", "eyeLookOutLeft", "eyeLookUpLeft",
    "eyeSquintLeft", "eyeWideLeft", "eyeBlinkRight", "eyeLookDownRight", "eyeLookInRight",
    "eyeLookOutRight", "eyeLookUpRight", "eyeSquintRight", "eyeWideRight", "jawForward",
    "jawRight", "jawLeft", "jawOpen", "mouthClose", "mouthFunnel", "mouthPucker", "mouthRight",
    "mouthLeft", "mouthSmileLeft", "mouthSmileRight", "mouthFrownLeft", "mouthFrownRight",
    "mouthDimpleLeft", "mouthDimpleRight", "mouthStretchLeft", "mouthStretchRight",
    "mouthRollLower", "mouthRollUpper", "mouthShrugLower", "mouthShrugUpper", "mouthPressLeft",
    "mouthPressRight", "mouthLowerDownLeft", "mouthLowerDownRight", "mouthUpperUpLeft",
    "mouthUpperUpRight", "browDownLeft", "browDownRight", "browInnerUp", "browOuterUpLeft",
    "browOuterUpRight", "cheekPuff", "cheekSquintLeft", "cheekSquintRight", "noseSneerLeft",
    "noseSneerRight", "tongueOut",
)  # fmt: skip
"""Apple's 52 blend shapes of a face, in the order of Live Link Face."""


@dataclass(frozen=True, eq=False)
class SkeletalMotion:
    """J joints over F frames: a skeleton, how it turns and where its root is.

    names: J names, all different. Joint 0 is the one root.
    parents: (J,) int; -1 for the root, otherwise a smaller number than the joint's own.
    rest_offsets_m: (J, 3) from the parent to the joint where nothing turns; the root's is the
        place of the root at rest.
    rotations: (F, J, 4) unit quaternions x, y, z, w, local to the parent.
    root_m: (F, 3) where the root is; it replaces the root's offset.
    fps: frames a second; a Fraction where it is exact.
    curves: (F,) each, by ARKit's names, most often 0 to 1.
    euler_orders: J orders such as "ZXY" (the first turns last), by which a BVH file had the
        joints' rotations; "" where there is none, and empty for other sources.
    notes: what a reader had to assume, a sentence each.
    """

    names: tuple[str, ...]
    parents: AnyArray
    rest_offsets_m: AnyArray
    rotations: AnyArray
    root_m: AnyArray
    fps: float | Fraction
    curves: Mapping[str, AnyArray] = field(default_factory=dict)
    euler_orders: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        joints, frames = len(self.names), len(self.rotations)
        shapes = {
            "parents": (joints,),
            "rest_offsets_m": (joints, 3),
            "rotations": (frames, joints, 4),
            "root_m": (frames, 3),
        }
        for name, shape in shapes.items():
            array = np.asarray(getattr(self, name), np.int64 if name == "parents" else np.float64)
            if array.shape != shape:
                raise ValueError(f"{name}: expected the shape {shape}, got {array.shape}")
            object.__setattr__(self, name, array)
        curves = {name: np.asarray(curve, np.float64) for name, curve in self.curves.items()}
        object.__setattr__(self, "curves", curves)
        if wrong := [name for name, curve in curves.items() if curve.shape != (frames,)]:
            raise ValueError(f"curves: expected {frames} values each, {wrong[0]} has others")
        if joints == 0 or frames == 0:
            raise ValueError(f"expected joints and frames, got {joints} and {frames}")
        if len(set(self.names)) != joints:
            raise ValueError("names: expected no name twice")
        if self.parents[0] != -1 or not _is_ordered(self.parents):
            raise ValueError("parents: expected one root, and parents before their children")
        if self.euler_orders and len(self.euler_orders) != joints:
            raise ValueError(f"euler_orders: expected none or {joints}")
        if not self.fps > 0:
            raise ValueError(f"fps: expected more than 0, got {self.fps}")

    def __len__(self) -> int:
        """The number of frames."""
        return len(self.rotations)

    @property
    def duration_s(self) -> float:
        """Seconds that the frames are shown, the last one included."""
        return float(len(self) / self.fps)

    def index(self, name: str) -> int:
        """The number of the joint of this name. Raises ValueError where there is none."""
        return self.names.index(name)


def _is_ordered(parents: AnyArray) -> bool:
    own = np.arange(1, len(parents))
    return bool(((parents[1:] >= 0) & (parents[1:] < own)).all())


def world_rotations(motion: SkeletalMotion) -> AnyArray:
    """(F, J, 4) rotations of the joints in the world, x, y, z, w."""
    world = np.empty_like(motion.rotations)
    world[:, 0] = motion.rotations[:, 0]
    for joint in range(1, len(motion.names)):
        parent = Rotation.from_quat(world[:, motion.parents[joint]])
        world[:, joint] = (parent * Rotation.from_quat(motion.rotations[:, joint])).as_quat()
    return world


def local_rotations(world: AnyArray, parents: AnyArray) -> AnyArray:
    """(F, J, 4) rotations local to the parents, of rotations in the world."""
    local = np.empty_like(world)
    for joint, parent in enumerate(parents):
        own = Rotation.from_quat(world[:, joint])
        if parent >= 0:
            own = Rotation.from_quat(world[:, parent]).inv() * own
        local[:, joint] = own.as_quat()
    return local


def forward_kinematics(motion: SkeletalMotion) -> AnyArray:
    """(F, J, 3) places of the joints in the world, in meters."""
    return joint_positions(motion, world_rotations(motion))


def joint_positions(motion: SkeletalMotion, world: AnyArray) -> AnyArray:
    """The same where the rotations in the world, (F, J, 4), are known already."""
    positions = np.empty((len(motion), len(motion.names), 3))
    positions[:, 0] = motion.root_m
    for joint in range(1, len(motion.names)):
        parent = int(motion.parents[joint])
        turned = Rotation.from_quat(world[:, parent]).apply(motion.rest_offsets_m[joint])
        positions[:, joint] = positions[:, parent] + turned
    return positions


def rest_positions(parents: AnyArray, offsets_m: AnyArray) -> AnyArray:
    """(J, 3) places of the joints of a skeleton at rest, the root's offset included."""
    positions = np.array(offsets_m, np.float64)
    for joint in range(1, len(parents)):
        positions[joint] += positions[parents[joint]]
    return positions


def children_of(parents: Sequence[int] | AnyArray) -> list[list[int]]:
    """The numbers of every joint's children, ascending."""
    children: list[list[int]] = [[] for _ in parents]
    for joint, parent in enumerate(parents):
        if parent >= 0:
            children[int(parent)].append(joint)
    return children


SIDE_WORDS = (
    ("Left", "Right"), ("left", "right"), ("LEFT", "RIGHT"), (".L", ".R"), (".l", ".r"),
    ("_L", "_R"), ("_l", "_r"), ("L_", "R_"), ("l_", "r_"),
)  # fmt: skip


def opposite_name(name: str, names: Sequence[str]) -> str:
    """The name of the joint or curve of the other side; the name itself where there is none.

    Args:
        name: such as LeftArm, mixamorig:LeftArm, lShldr, LHipJoint, hand.l or left_wrist.
        names: all names, of which the other one must be one.
    """
    known = set(names)
    for pair in SIDE_WORDS:
        for this, other in (pair, pair[::-1]):
            if this in name and (swapped := name.replace(this, other, 1)) in known:
                return swapped
    if first := re.match(r"(.*:)?([LlRr])(?=[A-Z]|[a-z]+$)", name):  # lShldr, LThumb, lhip
        letter = first[2].translate(str.maketrans("LlRr", "RrLl"))
        swapped = f"{first[1] or ''}{letter}{name[first.end() :]}"
        if swapped in known:
            return swapped
    return name
