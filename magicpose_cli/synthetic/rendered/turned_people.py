"""Rendered people who turn by known angles, in the same light before the same background."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import torch
from torch import Tensor

from magicpose_cli.body.cameras import Camera
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

TURNING_NECK = {"neck01": 1 / 6, "neck02": 1 / 6, "neck03": 1 / 6, "head": 1 / 2}
"""Shares of a head's turn: people turn about half of it between the two topmost vertebrae."""


def render_turned(
    seed: int, yaws_deg: Sequence[float], size: int, *, shot: str = "face", whole: bool = False
) -> RenderedClip:
    """Render a person in one pose, turned about the picture's vertical.

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
    camera = _clip_camera(seed, shot, rest.joints)
    off = camera.azimuth_deg - _head_azimuth(body, rest.joints, still)
    ahead = _turns(torch.tensor([0.0, 1.0, 0.0]), [off])
    asked = _turns(-camera.rotation(rest.joints)[1], yaws_deg)
    motion = turn(body, rest.joints, still, asked @ ahead)
    return rendered_motion(body, identity, motion, where, size, shot, seed, one_floor=True)


def _clip_camera(seed: int, shot: str, joints: Tensor) -> Camera:
    """The camera that the clip will have, but for its place: chance alone decides its direction."""
    where = np.random.default_rng([seed, 2])
    return sample_scene(where, joints[0], joints[0, :1], 16, shot).camera


def _head_azimuth(body: Body, joints: Tensor, still: BodyClip) -> float:
    """To where the head looks about the vertical, in degrees."""
    world, _ = body.transforms(joints, still.rotations)
    ahead = world[0, body.joint("head"), :, 2]
    return math.degrees(math.atan2(float(ahead[0]), float(ahead[2])))


def _turns(axis: Tensor, angles_deg: Sequence[float]) -> Tensor:
    """(F, 3, 3) world rotations about an axis, (3,)."""
    angles = torch.tensor(np.radians(angles_deg), dtype=torch.float32)
    return matrix_from_axis_angle(angles[:, None] * axis)


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
    """Turn the joints of the neck, each by its share of a turn in the world's axes."""
    from scipy.spatial.transform import Rotation

    motion = _repeated(still, len(turns))
    world, _ = body.transforms(joints, still.rotations)
    whole = torch.from_numpy(Rotation.from_matrix(turns.numpy()).as_rotvec()).float()
    for name, share in TURNING_NECK.items():
        joint = body.joint(name)
        above = world[0, body.parents[joint]]
        step = matrix_from_axis_angle(share * whole)
        motion.rotations[:, joint] = above.T @ step @ above @ still.rotations[0, joint]
    return motion
