"""A walk whose truth is known, and BVH text of it by the conventions of several programs.

The text is put together here, from SciPy's Euler angles, without the package's own writer.
"""

from dataclasses import dataclass, replace

import numpy as np
from scipy.spatial.transform import Rotation

from magicpose_cli.body.humanoid import T_POSE_M, VRM_PARENTS
from magicpose_cli.body.humanoid_names import bone_above
from magicpose_cli.body.skeletal_motion import (
    SkeletalMotion,
    forward_kinematics,
    local_rotations,
    rest_positions,
    world_rotations,
)

BODY = ["hips", "spine", "chest", "upperChest", "neck", "head"] + [
    f"{side}{bone}"
    for side in ("left", "right")
    for bone in ("UpperLeg", "LowerLeg", "Foot", "Toes", "Shoulder", "UpperArm", "LowerArm", "Hand")
]


def skeleton(bones=None):
    """Names, parents and offsets of some of the humanoid's bones, in a T-pose."""
    bones = bones or BODY
    names = tuple(VRM_PARENTS)
    parents = [-1 if above is None else names.index(above) for above in VRM_PARENTS.values()]
    offsets = np.stack([T_POSE_M[name] for name in names])
    places = rest_positions(np.array(parents), offsets)
    kept = [name for name in names if name in bones]
    above = [bone_above(bone, set(kept)) for bone in kept]
    new_parents = [-1 if bone is None else kept.index(bone) for bone in above]
    own = np.array([places[names.index(bone)] for bone in kept])
    new_offsets = own.copy()
    new_offsets[1:] -= own[new_parents[1:]]
    return tuple(kept), np.array(new_parents), new_offsets


def walk(frames=24, fps=30, bones=None) -> SkeletalMotion:
    """Legs and arms swing, the trunk turns, the whole person turns and goes forward."""
    names, parents, offsets = skeleton(bones)
    t = np.arange(frames) / float(fps)
    angles = {name: np.zeros((frames, 3)) for name in names}  # degrees about x, y and z
    for sign, side in ((1, "left"), (-1, "right")):
        swing = sign * np.sin(2 * np.pi * t)
        for bone, x, y, z in (
            ("UpperLeg", -30 * swing, 4 * swing, sign * 3),
            ("LowerLeg", 25 + 20 * swing, 0, 0),
            ("Foot", 10 * swing, 5 * sign, 0),
            ("Toes", 5 + 5 * swing, 0, 0),
            ("Shoulder", 0, 6 * swing, sign * 4),
            ("UpperArm", 0, 25 * swing, -sign * 65),
            ("LowerArm", 0, -sign * (30 + 20 * swing), 0),
            ("Hand", 10 * swing, 0, 8 * sign),
        ):
            if f"{side}{bone}" in angles:
                angles[f"{side}{bone}"] += np.stack(np.broadcast_arrays(x, y, z, t)[:3], axis=1)
    for bone, x, y in (("hips", 3, 20), ("spine", 4, -6), ("chest", 2, -6), ("neck", 6, 3),
                       ("head", -5, 15)):  # fmt: skip
        if bone in angles:
            angles[bone] += np.stack(
                [x + 0 * t, y * np.sin(2 * np.pi * t), 2 * np.cos(5 * t)], axis=1
            )
    turns = [Rotation.from_euler("YXZ", angles[name][:, [1, 0, 2]], degrees=True).as_quat()
             for name in names]  # fmt: skip
    root = np.stack([0.1 * t, offsets[0, 1] + 0.02 * np.sin(9 * t), 1.2 * t], axis=1)
    return SkeletalMotion(names, parents, offsets, np.stack(turns, axis=1), root, fps)


def reframed(motion: SkeletalMotion, frames: Rotation) -> SkeletalMotion:
    """The same motion with other axes at each joint: frames (J) take the new axes to the world's.

    Where nothing turns, all axes are those of the world, whatever that does to the bones.
    """
    own = world_rotations(motion)
    world = np.stack([(Rotation.from_quat(own[:, joint]) * frames[joint]).as_quat()
                      for joint in range(len(motion.names))], axis=1)  # fmt: skip
    offsets = motion.rest_offsets_m.copy()
    for joint in range(1, len(offsets)):
        offsets[joint] = frames[int(motion.parents[joint])].inv().apply(offsets[joint])
    return replace(motion, rotations=local_rotations(world, motion.parents), rest_offsets_m=offsets)


def posed(motion: SkeletalMotion, degrees: dict[str, tuple[float, float, float]]) -> SkeletalMotion:
    """The same motion with another rest pose: bones turned so (about x, y, z) where it rests.

    The axes of all joints are the world's in the new rest pose, as in files of an A- or I-pose.
    """
    turned = [degrees.get(name, (0, 0, 0)) for name in motion.names]
    local = Rotation.from_euler("XYZ", np.array(turned, float), degrees=True)
    still = replace(motion, rotations=local.as_quat()[None], root_m=motion.rest_offsets_m[:1])
    world = Rotation.from_quat(world_rotations(still)[0])
    places = forward_kinematics(still)[0]
    result = reframed(motion, world.inv())
    offsets = places.copy()
    offsets[1:] -= places[motion.parents[1:]]
    assert np.allclose(result.rest_offsets_m[1:], offsets[1:])
    return result


@dataclass
class Style:
    """How a program writes BVH."""

    names: dict[str, str]
    orders: tuple[str, str] = ("ZXY", "ZXY")
    unit_m: float = 0.01
    all_places: bool = False
    z_up: bool = False


def _sides(**bones: str) -> dict[str, str]:
    return {f"{side.lower()}{bone}": name.format(Side=side, side=side.lower(), s=side[0].lower())
            for side in ("Left", "Right") for bone, name in bones.items()}  # fmt: skip


MIXAMO = Style(
    {"hips": "mixamorig:Hips", "spine": "mixamorig:Spine", "chest": "mixamorig:Spine1",
     "upperChest": "mixamorig:Spine2", "neck": "mixamorig:Neck", "head": "mixamorig:Head"}
    | _sides(UpperLeg="mixamorig:{Side}UpLeg", LowerLeg="mixamorig:{Side}Leg",
             Foot="mixamorig:{Side}Foot", Toes="mixamorig:{Side}ToeBase",
             Shoulder="mixamorig:{Side}Shoulder", UpperArm="mixamorig:{Side}Arm",
             LowerArm="mixamorig:{Side}ForeArm", Hand="mixamorig:{Side}Hand"),
    orders=("YXZ", "YXZ"), all_places=True,
)  # fmt: skip
LAFAN1 = Style(
    {"hips": "Hips", "spine": "Spine", "chest": "Spine1", "upperChest": "Spine2", "neck": "Neck",
     "head": "Head"}
    | _sides(UpperLeg="{Side}UpLeg", LowerLeg="{Side}Leg", Foot="{Side}Foot", Toes="{Side}Toe",
             Shoulder="{Side}Shoulder", UpperArm="{Side}Arm", LowerArm="{Side}ForeArm",
             Hand="{Side}Hand"),
    orders=("ZYX", "ZYX"),
)  # fmt: skip
ROKOKO = Style(
    {"hips": "Hips", "spine": "Spine1", "chest": "Spine2", "upperChest": "Spine3", "neck": "Neck",
     "head": "Head"}
    | _sides(UpperLeg="{Side}Thigh", LowerLeg="{Side}Shin", Foot="{Side}Foot", Toes="{Side}Toe",
             Shoulder="{Side}Shoulder", UpperArm="{Side}Arm", LowerArm="{Side}ForeArm",
             Hand="{Side}Hand"),
    orders=("YXZ", "YXZ"), unit_m=1.0, all_places=True,
)  # fmt: skip
MOCAPNET = Style(
    {"hips": "hip", "spine": "abdomen", "chest": "chest", "neck": "neck", "head": "head"}
    | _sides(UpperLeg="{s}Thigh", LowerLeg="{s}Shin", Foot="{s}Foot", Shoulder="{s}Collar",
             UpperArm="{s}Shldr", LowerArm="{s}ForeArm", Hand="{s}Hand"),
    orders=("ZYX", "ZXY"), unit_m=0.0254,
)  # fmt: skip
SMPLX = Style(
    {"hips": "pelvis", "spine": "spine1", "chest": "spine2", "upperChest": "spine3", "neck": "neck",
     "head": "head"}
    | _sides(UpperLeg="{side}_hip", LowerLeg="{side}_knee", Foot="{side}_ankle", Toes="{side}_foot",
             Shoulder="{side}_collar", UpperArm="{side}_shoulder", LowerArm="{side}_elbow",
             Hand="{side}_wrist"),
)  # fmt: skip
MAKEHUMAN = Style(
    {"hips": "root", "spine": "spine05", "chest": "spine03", "upperChest": "spine01",
     "neck": "neck01", "head": "head"}
    | {f"{side}{bone}": f"{name}.{side[0].upper()}"
       for side in ("left", "right")
       for bone, name in {
           "UpperLeg": "upperleg01", "LowerLeg": "lowerleg01", "Foot": "foot", "Toes": "toe1-1",
           "Shoulder": "clavicle", "UpperArm": "upperarm01", "LowerArm": "lowerarm01",
           "Hand": "wrist"}.items()},
    z_up=True,
)  # fmt: skip
CMU = Style(
    {"hips": "Hips", "spine": "LowerBack", "chest": "Spine", "upperChest": "Spine1", "neck": "Neck",
     "head": "Head"}
    | _sides(UpperLeg="{Side}UpLeg", LowerLeg="{Side}Leg", Foot="{Side}Foot", Toes="{Side}ToeBase",
             Shoulder="{Side}Shoulder", UpperArm="{Side}Arm", LowerArm="{Side}ForeArm",
             Hand="{Side}Hand"),
    orders=("ZYX", "ZYX"), unit_m=0.0254 / 0.45,
)  # fmt: skip
STYLES = {"mixamo": MIXAMO, "lafan1": LAFAN1, "rokoko": ROKOKO, "mocapnet": MOCAPNET,
          "smplx": SMPLX, "makehuman": MAKEHUMAN, "cmu": CMU}  # fmt: skip


def bvh_text(motion: SkeletalMotion, style: Style) -> str:
    """The motion as that program writes it; every chain ends in an end site of 0.08 m upward."""
    turn = Rotation.from_euler("X", 90 if style.z_up else 0, degrees=True)
    offsets = turn.apply(motion.rest_offsets_m) / style.unit_m
    root = turn.apply(motion.root_m) / style.unit_m
    end = turn.apply([0, 0.08, 0]) / style.unit_m
    lines = ["HIERARCHY"]
    order: list[int] = []

    def add(joint: int, depth: int) -> None:
        order.append(joint)
        space = "\t" * depth
        axes = style.orders[0 if joint == 0 else 1]
        channels = [f"{axis}rotation" for axis in axes]
        if joint == 0 or style.all_places:
            channels = ["Xposition", "Yposition", "Zposition", *channels]
        lines.extend([f"{space}{'JOINT' if joint else 'ROOT'} {style.names[motion.names[joint]]}",
                      f"{space}{{", f"{space}\tOFFSET {numbers(offsets[joint])}",
                      f"{space}\tCHANNELS {len(channels)} {' '.join(channels)}"])  # fmt: skip
        below = [child for child, parent in enumerate(motion.parents) if parent == joint]
        for child in below:
            add(child, depth + 1)
        if not below:
            lines.extend([f"{space}\tEnd Site", f"{space}\t{{", f"{space}\t\tOFFSET {numbers(end)}",
                          f"{space}\t}}"])  # fmt: skip
        lines.append(f"{space}}}")

    add(0, 0)
    columns = []
    for joint in order:
        if joint == 0:
            columns.append(root)
        elif style.all_places:
            columns.append(np.tile(offsets[joint], (len(motion), 1)))
        axes = style.orders[0 if joint == 0 else 1]
        own = turn * Rotation.from_quat(motion.rotations[:, joint]) * turn.inv()
        columns.append(own.as_euler(axes, degrees=True))
    rows = np.concatenate(columns, axis=1)
    lines += ["MOTION", f"Frames: {len(rows)}", f"Frame Time: {1 / float(motion.fps):.6f}"]
    return "\n".join([*lines, *map(numbers, rows)]) + "\n"


def numbers(values) -> str:
    return " ".join(f"{value:.7f}" for value in values)


LAFAN_FRAMES = {
    "Leg": np.array([[0, -1, 0], [0, 0, -1], [1, 0, 0]]),  # rows: new x, y, z along the world's
    "Arm": np.array([[1, 0, 0], [0, 0, 1], [0, -1, 0]]),
    "center": np.array([[0, 1, 0], [0, 0, 1], [1, 0, 0]]),
}


def lafan_frames(names) -> Rotation:
    """Axes as in LaFAN1: every bone leads along its joint's own x, sides are not mirrored."""
    matrices = []
    for name in names:
        kind = "center"
        if name.endswith(("Leg", "Foot", "Toes")):
            kind = "Leg"
        elif name.endswith(("Shoulder", "Arm", "Hand")):
            kind = "Arm"
        matrix = LAFAN_FRAMES[kind].T.astype(float)
        if name.startswith("right") and kind == "Arm":
            matrix = matrix * [-1, -1, 1]
        matrices.append(matrix)
    return Rotation.from_matrix(np.array(matrices))


def directions(motion: SkeletalMotion, bones) -> np.ndarray:
    """(F, B, 3) unit ways in the world between pairs of joints."""
    places = forward_kinematics(motion)
    ways = np.stack([places[:, motion.index(end)] - places[:, motion.index(start)]
                     for start, end in bones], axis=1)  # fmt: skip
    return ways / np.linalg.norm(ways, axis=-1, keepdims=True)


LIMBS = [
    (f"{side}{a}", f"{side}{b}")
    for side in ("left", "right")
    for a, b in (("UpperLeg", "LowerLeg"), ("LowerLeg", "Foot"), ("Shoulder", "UpperArm"),
                 ("UpperArm", "LowerArm"), ("LowerArm", "Hand"))
]  # fmt: skip
TRUNK = [("spine", "chest"), ("neck", "head")]
