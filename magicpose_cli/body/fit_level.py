"""How far a camera is tilted, from how people stand: above their feet.

Over a clip the middle of a person's mass is above what carries it, the foot that is lower or both;
a walk's and a dance's sway cancel out. What remains is the camera's tilt, less the lean that the
fit has in depth, which pictures hardly tell: leveled by it, the person stands upright.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np

from magicpose_cli.arrays import AnyArray, Floats
from magicpose_cli.body.fit_rig import SHAPE_COMPONENTS, make_rig
from magicpose_cli.body.layout import COCO_23, POSE_POINTS
from magicpose_cli.body.model import Body
from magicpose_cli.body.rotations import matrix_from_axis_angle
from magicpose_cli.pose.keypoints import BODY_JOINTS

if TYPE_CHECKING:
    from magicpose_cli.body.fit import FittedClip

# The segments' shares of the mass (after Dempster, 1955), put on the joints at their ends.
MASS_SHARES = {"nose": 0.08, "neck": 0.2, "shoulder": 0.09, "elbow": 0.025, "wrist": 0.02,
               "hip": 0.14, "knee": 0.06, "ankle": 0.03}  # fmt: skip
LIFTED_M = 0.06  # a foot that is higher by so much carries a third of what the other does
TILT_DEG, BALANCE_DEG = 8.0, 3.0  # standard deviations: of cameras' tilts, of what is found so
LARGEST_TILT_DEG = 30.0  # of what is believed
LEAST_STANDING = 0.3  # of the frames must show both ankles
BALANCE_ROUNDS = 4
_SOLE_ROWS = [
    POSE_POINTS + COCO_23.index(f"{side}_{point}")
    for side in ("left", "right") for point in ("big_toe", "small_toe", "heel")
]  # fmt: skip


def found_tilt_deg(body: Body, fitted: FittedClip, shown: AnyArray) -> float:
    """Return by how much the camera looks down, as the person's balance tells; 0 where unknown.

    To the side a camera is taken for level.

    Args:
        body: The body that was fitted.
        fitted: To a clip, in the camera's axes.
        shown: (F,) truth of the frames that show both ankles.
    """
    if shown.mean() < LEAST_STANDING:
        return 0.0
    masses, soles = _masses_and_soles(body, fitted, np.flatnonzero(shown))
    tilt = 0.0
    for _ in range(BALANCE_ROUNDS):
        heights = soles @ [0.0, np.cos(tilt), np.sin(tilt)]  # (F, 2)
        carries = np.exp(-(heights - heights.min(axis=1, keepdims=True)) / LIFTED_M)
        carries /= carries.sum(axis=1, keepdims=True)
        above = (masses - np.einsum("fs,fsc->fc", carries, soles)).mean(axis=0)
        tilt = float(np.arctan2(above[2], above[1]))
    if abs(np.degrees(tilt)) > LARGEST_TILT_DEG:
        return 0.0  # nobody stands here
    # the less likely a tilt is, the more of it is the person's own lean
    return float(np.degrees(tilt) * TILT_DEG**2 / (TILT_DEG**2 + BALANCE_DEG**2))


def turned_level(body: Body, fitted: FittedClip, tilt_deg: float) -> FittedClip:
    """Turn a fitted clip about the camera, so that y points up.

    The clip's camera is no longer its own.
    """
    import torch

    turn = matrix_from_axis_angle(torch.tensor([float(np.radians(-tilt_deg)), 0.0, 0.0]))
    start = body.rest(fitted.shape).joints[0, 0]
    rotations = fitted.rotations.clone()
    rotations[:, 0] = turn @ rotations[:, 0]
    return replace(fitted, rotations=rotations, root=(fitted.root + start) @ turn.T - start)


def _masses_and_soles(body: Body, fitted: FittedClip, frames: AnyArray) -> tuple[Floats, Floats]:
    """Middles of the mass (F, 3), and of both soles (F, 2, 3), from toes to heel."""
    import torch

    rig = make_rig(body, [*range(len(BODY_JOINTS)), *_SOLE_ROWS])
    kept = torch.from_numpy(frames)
    moments, joints = rig.shaped(fitted.shape[0, :SHAPE_COMPONENTS])
    world, placed = body.transforms(joints[None], fitted.rotations[kept])
    points = rig.points(rig.parts(moments, joints, world, placed)) + fitted.root[kept][:, None]
    shares = torch.tensor([MASS_SHARES.get(name.split("_")[-1], 0.0) for name in BODY_JOINTS])
    masses = torch.einsum("fjc,j->fc", points[:, : len(BODY_JOINTS)], shares / shares.sum())
    feet = points[:, len(BODY_JOINTS) :].view(len(kept), 2, 3, 3)
    soles = (feet[:, :, :2].mean(dim=2) + feet[:, :, 2]) / 2
    return masses.double().numpy(), soles.double().numpy()
