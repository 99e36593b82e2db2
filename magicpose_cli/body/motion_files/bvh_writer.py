"""SkeletalMotion as BVH: centimeters, y up, angles in degrees that never jump."""

from __future__ import annotations

import io
from pathlib import Path

import numpy as np
from scipy.spatial.transform import Rotation

from magicpose_cli.arrays import AnyArray
from magicpose_cli.body.motion_files.bvh_parser import END
from magicpose_cli.body.skeletal_motion import SkeletalMotion, children_of
from magicpose_cli.files import whole_file

DEFAULT_ORDER = "ZXY"
LOCKED = 1e-5  # cosine of the middle angle below which the outer two are one


def write_bvh(
    path: Path, motion: SkeletalMotion, *, unit_m: float = 0.01, overwrite: bool = False
) -> None:
    """Write in one step.

    Joints that a BVH file gave their order of Euler angles keep it, others have ZXY. A joint
    NAME_end without children that never turns is an end site. Errors: OutputError.
    """
    ends = _end_sites(motion)
    order = _depth_first(motion)
    joints = [joint for joint in order if joint not in ends]
    lines = ["HIERARCHY"]
    _write_joints(motion, ends, unit_m, lines)
    lines += ["MOTION", f"Frames: {len(motion)}", f"Frame Time: {1 / float(motion.fps):.10f}"]
    columns = [motion.root_m / unit_m]
    columns += [euler_angles(motion.rotations[:, j], _order(motion, j)) for j in joints]
    text = io.StringIO()
    np.savetxt(text, np.concatenate(columns, axis=1), fmt="%.6f")
    with whole_file(path, overwrite) as hidden:
        hidden.write_text("\n".join(lines) + "\n" + text.getvalue(), encoding="utf-8", newline="\n")


def _order(motion: SkeletalMotion, joint: int) -> str:
    order = motion.euler_orders[joint] if motion.euler_orders else ""
    return order if sorted(order) == ["X", "Y", "Z"] else DEFAULT_ORDER


def _end_sites(motion: SkeletalMotion) -> set[int]:
    children = children_of(motion.parents)
    still = np.abs(motion.rotations[..., :3]).max(axis=(0, 2)) < 1e-9
    return {
        joint
        for joint, name in enumerate(motion.names)
        if joint > 0
        and not children[joint]
        and still[joint]
        and name == motion.names[motion.parents[joint]] + END
        and len(children[motion.parents[joint]]) == 1
    }


def _depth_first(motion: SkeletalMotion) -> list[int]:
    children = children_of(motion.parents)
    order, waiting = [], [0]
    while waiting:
        joint = waiting.pop()
        order.append(joint)
        waiting += reversed(children[joint])
    return order


def _write_joints(motion: SkeletalMotion, ends: set[int], unit_m: float, lines: list[str]) -> None:
    children = children_of(motion.parents)
    names = [" ".join(name.replace("{", "(").replace("}", ")").split()) for name in motion.names]
    waiting: list[tuple[int, int]] = [(0, 0)]  # joints to open, or -1 to close one, and the depth
    while waiting:
        joint, depth = waiting.pop()
        space = "  " * depth
        if joint < 0:
            lines.append(f"{space}}}")
            continue
        kind = "ROOT" if depth == 0 else "JOINT"
        lines.append(f"{space}End Site" if joint in ends else f"{space}{kind} {names[joint]}")
        offset = " ".join(f"{value:.6f}" for value in motion.rest_offsets_m[joint] / unit_m)
        lines += [f"{space}{{", f"{space}  OFFSET {offset}"]
        if joint not in ends:
            turns = " ".join(f"{axis}rotation" for axis in _order(motion, joint))
            places = "" if depth else "Xposition Yposition Zposition "
            lines.append(f"{space}  CHANNELS {3 if depth else 6} {places}{turns}")
        waiting.append((-1, depth))
        waiting += [(child, depth + 1) for child in reversed(children[joint])]
        if not children[joint] and joint not in ends:  # readers want an end to every chain
            below = f"{space}  "
            lines += [f"{below}End Site", f"{below}{{", f"{below}  OFFSET 0 0 0", f"{below}}}"]


def euler_angles(rotations: AnyArray, order: str) -> AnyArray:
    """(F, 3) degrees of rotations (F, 4) that follow each other without a jump.

    Of the two triples of angles that make a rotation, and of their turns by 360 degrees, each
    frame takes the nearest to the frame before. (As both triples change by the same, it is enough
    to know where to go over from one to the other.) Where the middle angle is at 90 degrees (gimbal
    lock), the last angle keeps its value.

    Args:
        rotations: unit quaternions x, y, z, w.
        order: three different axes; the first turns last, as in BVH.
    """
    i, j, k = ("XYZ".index(axis) for axis in order)
    even = 1.0 if (j - i) % 3 == 1 else -1.0
    m = Rotation.from_quat(rotations).as_matrix()
    cosine = np.hypot(m[:, i, i], m[:, i, j])
    middle = np.arctan2(even * m[:, i, k], cosine)
    first = np.arctan2(-even * m[:, j, k], m[:, k, k])
    last = np.arctan2(-even * m[:, i, j], m[:, i, i])
    locked = cosine < LOCKED
    if locked.any():
        free = np.maximum.accumulate(np.where(locked, -1, np.arange(len(m))))
        last = np.where(free < 0, 0.0, last[free])
        column = np.cos(last)[:, None] * m[:, :, j] + even * np.sin(last)[:, None] * m[:, :, i]
        first = np.where(locked, np.arctan2(even * column[:, k], column[:, j]), first)
    own = np.stack([first, middle, last], axis=1)
    other = own * [1.0, -1.0, 1.0] + np.pi
    before = np.concatenate([np.zeros((1, 3)), own[:-1]])
    changes = _apart(other, before) < _apart(own, before)
    use_other = np.cumsum(changes) % 2 == 1
    angles = np.where(use_other[:, None], other, own)
    angles[0] -= 2 * np.pi * np.round(angles[0] / (2 * np.pi))
    return np.asarray(np.degrees(np.unwrap(angles, axis=0)))


def _apart(first: AnyArray, second: AnyArray) -> AnyArray:
    """(F,) how far angles are from each other, radians in all, whole turns left out."""
    way = first - second
    return np.asarray(np.abs(way - 2 * np.pi * np.round(way / (2 * np.pi))).sum(axis=1))
