"""A fitted person as a motion of the body's own skeleton."""

from __future__ import annotations

import re
from dataclasses import dataclass
from fractions import Fraction
from typing import TYPE_CHECKING

import numpy as np
from scipy.spatial.transform import Rotation

from magicpose_cli.arrays import AnyArray
from magicpose_cli.body.humanoid_names import humanoid_joints
from magicpose_cli.body.model import Body
from magicpose_cli.body.motion_summary import foot_contacts
from magicpose_cli.body.skeletal_motion import SkeletalMotion, forward_kinematics

if TYPE_CHECKING:
    from torch import Tensor

    from magicpose_cli.body.fit import FittedClip

SIDE_PREFIXES = {"L": "left_", "R": "right_"}
GROUND_PERCENT = 10.0  # of the frames lie lower: those in which a foot is guessed too low
POSED_AT_ONCE = 64  # frames whose vertices are kept at a time


def skeleton_names(body: Body) -> tuple[str, ...]:
    """Return VRM's names of the joints that are bones of a humanoid, and the body's own of others.

    The body's own are those of MakeHuman, with the side written out: left_upperleg02.
    """
    bones = {joint: bone for bone, joint in humanoid_joints(body.joint_names, body.parents).items()}
    own = (
        re.sub(r"(.*)\.([LR])", lambda part: SIDE_PREFIXES[part[2]] + part[1], name)
        for name in body.joint_names
    )
    return tuple(bones.get(joint, name) for joint, name in enumerate(own))


def fitted_motion(body: Body, fitted: FittedClip, fps: float | Fraction) -> SkeletalMotion:
    """Return the motion of a fitted person.

    Nothing is bent by the change: joints are where the fit has them, but for one turn about the
    vertical and one shift of the whole clip. Those let the person begin at the origin, facing
    forward (+z), with the lowest skin on y = 0. The camera is taken for level: see
    fit_level.turned_level for others.

    Args:
        body: The body that was fitted.
        fitted: Its shape, rotations and root, as `fit_clip` finds them.
        fps: Frames a second.

    Returns:
        The motion with as many joints as the body has, named by `skeleton_names`.
    """
    rest = body.rest(fitted.shape)
    joints = rest.joints[0].double().numpy()
    parents = np.array(body.parents)
    offsets = joints - np.where(parents[:, None] < 0, 0.0, joints[np.maximum(parents, 0)])
    offsets[0] = [0.0, joints[0, 1] - float(rest.vertices[0, :, 1].min()), 0.0]
    rotations = Rotation.from_matrix(fitted.rotations.double().numpy().reshape(-1, 3, 3)).as_quat()
    rotations = rotations.reshape(-1, len(parents), 4)
    ground = float(np.percentile(_lowest_m(body, fitted), GROUND_PERCENT))
    root = joints[0] + fitted.root.double().numpy()
    forward = upright_part(rotations[0, 0]).inv()
    rotations[:, 0] = (forward * Rotation.from_quat(rotations[:, 0])).as_quat()
    root = forward.apply(root - [root[0, 0], ground, root[0, 2]])
    return SkeletalMotion(skeleton_names(body), parents, offsets, rotations, root, fps)


def upright_part(rotation: AnyArray) -> Rotation:
    """Return the part about the vertical of a rotation (4,), which may be none."""
    part = np.array([0.0, rotation[1], 0.0, rotation[3]])
    return Rotation.from_quat(part) if np.linalg.norm(part) > 1e-6 else Rotation.identity()


def _lowest_m(body: Body, fitted: FittedClip) -> AnyArray:
    """(F,) how low the skin reaches in each frame, meters."""
    import torch

    lowest: list[Tensor] = []
    with torch.no_grad():
        for start in range(0, len(fitted.root), POSED_AT_ONCE):
            part = slice(start, start + POSED_AT_ONCE)
            posed = body(fitted.shape, None, fitted.rotations[part], fitted.root[part])
            lowest.append(posed.vertices[..., 1].amin(dim=1))
    return np.asarray(torch.cat(lowest).double().numpy())


@dataclass(frozen=True)
class FitSummary:
    """How well a body fits a film, in figures.

    Attributes:
        height_m: Of the standing person, sole to crown.
        reprojection_px: Median over the frames of the seen points' median distance from the body's.
        bone_length_spread_mm: The largest standard deviation of a bone's length over the frames.
        foot_skate_m_s: Mean speed over the ground of feet that stand; None where none does.
        unseen: How many frames show nobody.
        focal_px: The focal length that was taken.
        tilt_deg: By how much the camera was found to look down.
    """

    height_m: float
    reprojection_px: float
    bone_length_spread_mm: float
    foot_skate_m_s: float | None
    unseen: int
    focal_px: float
    tilt_deg: float = 0.0


def summarize_fit(
    body: Body, fitted: FittedClip, motion: SkeletalMotion, tilt_deg: float = 0.0
) -> FitSummary:
    """Return the figures of a fit and of the motion that was made of it."""
    rest_y = body.rest(fitted.shape).vertices[0, :, 1]
    error = fitted.reprojection_px.numpy()
    seen = np.isfinite(error)
    places = forward_kinematics(motion)
    bones = places[:, 1:] - places[:, motion.parents[1:]]
    lengths = np.linalg.norm(bones, axis=-1)
    return FitSummary(
        height_m=float(rest_y.max() - rest_y.min()),
        reprojection_px=float(np.median(error[seen])),
        bone_length_spread_mm=float(1000 * lengths.std(axis=0).max()),
        foot_skate_m_s=foot_skate_m_s(motion, places),
        unseen=int((~seen).sum()),
        focal_px=float(fitted.camera.focal_px or 0.0),
        tilt_deg=tilt_deg,
    )


def foot_skate_m_s(motion: SkeletalMotion, places: AnyArray) -> float | None:
    """Return the mean speed over the ground of the feet that stand; None where none does.

    Args:
        motion: Of a person.
        places: (F, J, 3) of `forward_kinematics`.
    """
    bones = humanoid_joints(motion.names, motion.parents)
    speeds = []
    for side, stands in foot_contacts(motion, places, bones).items():
        ankle = places[:, bones[f"{side}Foot"]][:, [0, 2]]
        speed = np.linalg.norm(np.diff(ankle, axis=0), axis=1) * float(motion.fps)
        speeds.append(speed[stands[1:] & stands[:-1]])
    every = np.concatenate(speeds) if speeds else np.zeros(0)
    return float(every.mean()) if len(every) else None
