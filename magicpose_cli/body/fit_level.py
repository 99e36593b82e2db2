"""Which way is up before a camera that is not level: people stand above their feet.

Over a clip the middle of a person's mass is above what carries it, the foot that is lower or both.
A walk's and a dance's sway cancel out; what remains is the camera's tilt, and the lean that a fit
has in depth, which pictures hardly tell.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from magicpose_cli.arrays import Floats
from magicpose_cli.body.layout import COCO_23, POSE_POINTS
from magicpose_cli.body.model import Body
from magicpose_cli.pose.keypoints import BODY_JOINTS

if TYPE_CHECKING:
    from magicpose_cli.body.fit import FittedClip

# Shares of the mass (after Dempster, 1955, rounded), spread over the joints at the segments' ends.
MASS_SHARES = {"nose": 0.08, "neck": 0.2, "shoulder": 0.09, "elbow": 0.025, "wrist": 0.02,
               "hip": 0.14, "knee": 0.06, "ankle": 0.03}  # fmt: skip
SHARED_HEIGHT_M = 0.06  # a foot that is lifted by so much carries a third of what the other does
TILT_DEG = 8.0  # the standard deviation of cameras' tilts
BALANCE_DEG = 3.0  # and of what is found so
LARGEST_TILT_DEG = 30.0
ROUNDS = 4


def found_up(body: Body, fitted: FittedClip, standing: Floats) -> Floats:
    """Return where the vertical points in a fit's axes, (3,), a unit vector.

    Args:
        body: The body that was fitted.
        fitted: To a clip.
        standing: (F,) truth of the frames that show both ankles; where there is none, the camera
            is taken for level.
    """
    level = np.array([0.0, 1.0, 0.0])
    if not standing.any():
        return level
    joints, soles = _joints_and_feet(body, fitted, standing)
    shares = _joint_shares()
    masses = np.einsum("fjc,j->fc", joints, shares)
    up = level
    for _ in range(ROUNDS):
        heights = soles @ up  # (F, 2)
        carried = np.exp(-(heights - heights.min(axis=1, keepdims=True)) / SHARED_HEIGHT_M)
        carried /= carried.sum(axis=1, keepdims=True)
        above = (masses - np.einsum("fs,fsc->fc", carried, soles)).mean(axis=0)
        up = above / np.linalg.norm(above)
    tilt = np.degrees(np.arccos(np.clip(up[1], -1.0, 1.0)))
    if tilt > LARGEST_TILT_DEG:
        return level
    # the less likely a tilt is, the more of it is the person's own lean
    up = level + TILT_DEG**2 / (TILT_DEG**2 + BALANCE_DEG**2) * (up / up[1] - level)
    return np.asarray(up / np.linalg.norm(up))


def _joint_shares() -> Floats:
    """(18,) of the body's points, which sum to 1."""
    shares = np.array([MASS_SHARES.get(name.split("_")[-1], 0.0) for name in BODY_JOINTS])
    found: Floats = shares / shares.sum()
    return found


def _joints_and_feet(body: Body, fitted: FittedClip, frames: Floats) -> tuple[Floats, Floats]:
    """Joints (F, 18, 3), and the middles of both soles (F, 2, 3)."""
    import torch

    from magicpose_cli.body.fit_rig import SHAPE_COMPONENTS, make_rig

    rows = [
        POSE_POINTS + COCO_23.index(f"{side}_{point}")
        for side in ("left", "right") for point in ("big_toe", "small_toe", "heel")
    ]  # fmt: skip
    rig = make_rig(body, [*range(len(BODY_JOINTS)), *rows])
    kept = torch.from_numpy(np.flatnonzero(frames))
    moments, joints = rig.shaped(fitted.shape[0, :SHAPE_COMPONENTS])
    world, placed = body.transforms(joints[None], fitted.rotations[kept])
    points = rig.points(rig.parts(moments, joints, world, placed)) + fitted.root[kept][:, None]
    points = points.double()
    feet = points[:, len(BODY_JOINTS) :].view(len(kept), 2, 3, 3)
    middles = (feet[:, :, :2].mean(dim=2) + feet[:, :, 2]) / 2  # of the toes' and the heel's
    return points[:, : len(BODY_JOINTS)].numpy(), middles.numpy()
