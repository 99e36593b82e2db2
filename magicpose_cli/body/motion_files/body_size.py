"""What a skeleton tells about its file: the unit by its size, and which way is up."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal, cast

import numpy as np

from magicpose_cli.arrays import AnyArray

Up = Literal["x", "y", "z", "-x", "-y", "-z"]
UNITS_M = {
    "meters": 1.0,
    "centimeters": 0.01,
    "inches": 0.0254,
    "millimeters": 0.001,
    "units of CMU's skeletons": 0.0254 / 0.45,
}
HIPS_TO_HEAD_M = 0.62  # of an adult, from the hips' joint to the head's along the spine
LEG_M = 0.84  # from the hip's joint to the ankle's
REACH_M = 1.15  # the longest chain of bones from the root, most often to the fingers


def guess_unit(rest: AnyArray, parents: AnyArray, bones: Mapping[str, int]) -> tuple[float, str]:
    """Meters of the unit in which the skeleton is an adult's, and a note that tells it.

    Args:
        rest: (J, 3) places at rest, in the unknown unit.
        parents: (J,) parents of the joints.
        bones: of a humanoid (see humanoid_joints); empty where they are unknown.
    """
    lengths = np.zeros(len(parents))
    lengths[1:] = np.linalg.norm(rest[1:] - rest[parents[1:]], axis=1)
    reach = np.zeros(len(parents))
    for joint in range(1, len(parents)):
        reach[joint] = reach[parents[joint]] + lengths[joint]
    if bones:
        size, adult = reach[bones["head"]] - reach[bones["hips"]], HIPS_TO_HEAD_M
        ankles = [bones[f"{side}Foot"] for side in ("left", "right") if f"{side}Foot" in bones]
        if ankles:
            tops = [bones[f"{side}UpperLeg"] for side in ("left", "right")]
            size += max(reach[ankles]) - max(reach[tops])
            adult += LEG_M
    else:
        size, adult = float(reach.max()), REACH_M
    if not size > 0:
        return 0.01, "the bones have no length; the unit is taken for centimeters"
    nearest = min(UNITS_M, key=lambda name: abs(np.log(UNITS_M[name] * size / adult)))
    unit = UNITS_M[nearest]
    what = "hips to head and a leg" if bones else "longest chain of bones"
    return unit, f"the unit is taken for {nearest}: {what} are {unit * size:.2f} m"


def guess_up(places: AnyArray, rest: AnyArray, bones: Mapping[str, int]) -> tuple[Up, str]:
    """The axis that points up, and a note where it is not y or not sure.

    Args:
        places: (F, J, 3) of some frames.
        rest: (J, 3) at rest.
        bones: of a humanoid; without them, y is taken.

    In motion the head is above the feet in most frames of most takes; else the rest pose tells.
    """
    if not bones:
        return "y", "the joints are not told as a person's; y is taken for up"
    for what, pose in (("motion", places), ("rest pose", rest[None])):
        way = (pose[:, bones["head"]] - _low(pose, bones)).mean(axis=0)
        length = float(np.linalg.norm(way))
        axis = int(np.argmax(np.abs(way)))
        if length > 0 and abs(way[axis]) > 0.8 * length:
            up = cast(Up, ("-" if way[axis] < 0 else "") + "xyz"[axis])
            if up == "y":
                return up, ""
            return up, f"{up} is taken for up, as the head is above the feet in the {what}"
    return "y", "no axis leads from the feet to the head; y is taken for up"


def _low(pose: AnyArray, bones: Mapping[str, int]) -> AnyArray:
    """(F, 3) the middle of the feet, or of the hips where no feet are known."""
    feet = [bones[f"{side}Foot"] for side in ("left", "right") if f"{side}Foot" in bones]
    return np.asarray(pose[:, feet or [bones["hips"]]].mean(axis=1))


def turned_upright(up: Up) -> AnyArray:
    """(3, 3) the rotation, with entries 0 and 1 and -1, that takes this axis to y.

    From z up, -y becomes z: who faces -y, as in Blender, then faces forward.
    """
    matrices: dict[Up, list[list[int]]] = {
        "y": [[1, 0, 0], [0, 1, 0], [0, 0, 1]],
        "-y": [[-1, 0, 0], [0, -1, 0], [0, 0, 1]],
        "z": [[1, 0, 0], [0, 0, 1], [0, -1, 0]],
        "-z": [[1, 0, 0], [0, 0, -1], [0, 1, 0]],
        "x": [[0, -1, 0], [1, 0, 0], [0, 0, 1]],
        "-x": [[0, 1, 0], [-1, 0, 0], [0, 0, 1]],
    }
    return np.array(matrices[up], np.float64)
