"""Rendered people who turn by known angles, in the same light before the same background."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import torch
from torch import Tensor

from magicpose_cli.body.layout import LAYERS
from magicpose_cli.body.model import Body
from magicpose_cli.body.rotations import matrix_from_axis_angle
from magicpose_cli.synthetic.rendered.joint_motion import BodyClip, sample_body_clip
from magicpose_cli.synthetic.rendered.rendered_people import (
    RenderedClip,
    rendered_motion,
    sample_identity,
)
from magicpose_cli.synthetic.rendered.scenes import sample_scene

TURNING_NECK = ("neck01", "neck02", "neck03", "head")  # which share a head's turn evenly


def render_turned(
    seed: int, yaws_deg: Sequence[float], size: int, *, shot: str = "face", whole: bool = False
) -> RenderedClip:
    """Render a person in one pose, turned about the vertical.

    Args:
        seed: Fixes everything, 0 <= seed < 2**32.
        yaws_deg: Of the face in each frame; 0: to the camera, positive: to the picture's right.
        size: Side of the pictures in pixels.
        shot: One of scenes.SHOTS.
        whole: The whole person turns about the axis of the head; else the head on the neck.
    """
    body = Body.load(LAYERS)
    who, what, where = (np.random.default_rng([seed, i]) for i in range(3))
    identity = sample_identity(body, who)
    rest = body.rest(identity.shape)
    still = sample_body_clip(body, rest, what, np.zeros(1), "talk")
    turn = _turned_wholly if whole else _turned_heads
    off = _camera_azimuth(seed, shot, rest.joints) - _head_azimuth(body, rest.joints, still)
    motion = turn(body, rest.joints, still, _about_vertical([off + yaw for yaw in yaws_deg]))
    return rendered_motion(body, identity, motion, where, size, shot, seed)


def _camera_azimuth(seed: int, shot: str, joints: Tensor) -> float:
    """Where the clip's camera will stand, which chance alone decides."""
    where = np.random.default_rng([seed, 2])
    return sample_scene(where, joints[0], joints[0, :1], 16, shot).camera.azimuth_deg


def _head_azimuth(body: Body, joints: Tensor, still: BodyClip) -> float:
    """To where the head looks about the vertical, in degrees."""
    world, _ = body.transforms(joints, still.rotations)
    ahead = world[0, body.joint("head"), :, 2]
    return math.degrees(math.atan2(float(ahead[0]), float(ahead[2])))


def _about_vertical(yaws_deg: Sequence[float]) -> Tensor:
    """(F, 3, 3) world rotations."""
    vectors = torch.zeros(len(yaws_deg), 3)
    vectors[:, 1] = torch.tensor(np.radians(yaws_deg), dtype=torch.float32)
    return matrix_from_axis_angle(vectors)


def _repeated(still: BodyClip, frames: int) -> BodyClip:
    return BodyClip(
        still.rotations.repeat(frames, 1, 1, 1),
        still.expression.repeat(frames, 1),
        still.root.repeat(frames, 1),
    )


def _turned_wholly(body: Body, joints: Tensor, still: BodyClip, turns: Tensor) -> BodyClip:
    """Turn the root; its place is such that the head stays where it is."""
    motion = _repeated(still, len(turns))
    root, head = body.joint("root"), body.joint("head")
    motion.rotations[:, root] = turns @ still.rotations[:, root]
    _, placed = body.transforms(joints, motion.rotations)
    _, before = body.transforms(joints, still.rotations)
    return replace(motion, root=motion.root + before[:, head] - placed[:, head])


def _turned_heads(body: Body, joints: Tensor, still: BodyClip, turns: Tensor) -> BodyClip:
    """Turn the joints of the neck, each by its part of the turn about the world's vertical."""
    from scipy.spatial.transform import Rotation

    motion = _repeated(still, len(turns))
    world, _ = body.transforms(joints, still.rotations)
    part = Rotation.from_matrix(turns.numpy()).as_rotvec() / len(TURNING_NECK)
    step = matrix_from_axis_angle(torch.from_numpy(part).float())
    for name in TURNING_NECK:
        joint = body.joint(name)
        above = world[0, body.parents[joint]]
        motion.rotations[:, joint] = above.T @ step @ above @ still.rotations[0, joint]
    return motion
