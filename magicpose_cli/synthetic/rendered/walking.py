"""How rendered people walk, and how the foot that carries them stays where it stands."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import torch
from torch import Tensor

from magicpose_cli.arrays import Floats
from magicpose_cli.body.fit_rig import SHAPE_COMPONENTS, make_rig
from magicpose_cli.body.laid_motion import SOLES
from magicpose_cli.body.model import Body
from magicpose_cli.body.rotations import matrix_from_axis_angle
from magicpose_cli.synthetic.rendered.arm_motion import ARM_POSES, SIDES, move_arm
from magicpose_cli.synthetic.rendered.joint_motion import BodyClip
from magicpose_cli.synthetic.rendered.joint_turns import JointTurns
from magicpose_cli.synthetic.rendered.random_waves import RandomWaves

STRIDES_HZ = (0.75, 1.05)  # two steps each
CALM = 0.35  # liveliness of what does not walk: arms and head


def sample_walk(
    body: Body, rng: np.random.Generator, times_s: Floats, heading_deg: float
) -> BodyClip:
    """Sample somebody who walks straight ahead.

    Args:
        body: Whose skeleton walks.
        rng: Where chance comes from.
        times_s: Of the frames, (F,), rising.
        heading_deg: To where, about the vertical; 0 is +z.

    Returns:
        The clip; its root stays at the origin until `with_planted_feet` lets it travel.
    """
    frames = len(times_s)
    turns, wave = JointTurns(body, frames), RandomWaves(rng, times_s, CALM)
    cycle = rng.uniform() + rng.uniform(*STRIDES_HZ) * times_s
    stride = rng.uniform(0.75, 1.1)
    zero = np.zeros(frames)
    for side, sign in SIDES.items():
        part = (cycle + (0.5 if sign < 0 else 0.0)) % 1.0
        _step(turns, side, part, stride)
        move_arm(turns, wave, rng, side, ARM_POSES["hanging"])
        # An arm swings against the leg of its side.
        _swing(turns, f"upperarm01.{side[0].upper()}", 20 * stride * np.cos(2 * np.pi * part))
    sway = 4 * np.cos(2 * np.pi * cycle)
    turns.turn("spine", np.stack([zero + rng.uniform(0, 6), 2 * sway, zero], axis=1))
    turns.turn("neck", np.stack([wave(0, 5, -20, 20), wave(0, 14, -50, 50), zero], axis=1))
    heading = np.radians(np.stack([zero, heading_deg - sway, zero], axis=1))
    turns.set("root", matrix_from_axis_angle(torch.from_numpy(heading).float()))
    return BodyClip(turns.rotations, torch.zeros(frames, 52), torch.zeros(frames, 3))


def _step(turns: JointTurns, side: str, part: Floats, stride: float) -> None:
    """One leg over the parts 0..1 of its cycle: the heel strikes at 0, the toes leave at 0.6."""
    hip = -8 - 22 * stride * np.cos(2 * np.pi * part)
    knee = 4 + 12 * _bump(part, 0.14, 0.07) + 52 * stride * _bump(part, 0.72, 0.1)
    foot = np.clip(-hip - knee, -25, 25) * (1 - 0.5 * _bump(part, 0.8, 0.15))
    foot = foot - 14 * _bump(part, 0.0, 0.04) + 22 * _bump(part, 0.58, 0.06)
    zero = 0 * part
    turns.turn(f"{side}_upper_leg", np.stack([hip, zero, zero], axis=1))
    turns.turn(f"{side}_lower_leg", np.stack([knee, zero, zero], axis=1))
    turns.turn(f"{side}_foot", np.stack([foot, zero, zero], axis=1))


def _bump(part: Floats, at: float, width: float) -> Floats:
    """1 at a part of the cycle, which has no end, falling to both sides."""
    away = (part - at + 0.5) % 1.0 - 0.5
    found: Floats = np.exp(-((away / width) ** 2))
    return found


def _swing(turns: JointTurns, joint: str, degrees: Floats) -> None:
    """Turn a joint further, about the axis to the person's left: to the front is negative."""
    about = torch.zeros(len(degrees), 3)
    about[:, 0] = torch.from_numpy(np.radians(degrees)).float()
    own = turns.rotations[:, turns.joint_number(joint)]
    turns.set(joint, matrix_from_axis_angle(about) @ own)


def with_planted_feet(body: Body, shape: Tensor, clip: BodyClip) -> BodyClip:
    """Let the root travel so that the lowest point of the soles stays where it is.

    Args:
        body: The person's.
        shape: (1, K) of the person.
        clip: Its root's way over the ground is replaced; its height is not looked at.
    """
    rig = make_rig(body, list(SOLES))
    moments, joints = rig.shaped(shape[0, :SHAPE_COMPONENTS])
    world, placed = body.transforms(joints[None], clip.rotations)
    soles = rig.points(rig.parts(moments, joints, world, placed))  # (F, 6, 3)
    lowest = (soles[1:, :, 1] + soles[:-1, :, 1]).argmin(dim=1)
    frames = torch.arange(len(lowest))
    way = (soles[:-1] - soles[1:])[frames, lowest]
    root = torch.cat([torch.zeros(1, 3), way.cumsum(0)])
    root[:, 1] = 0
    return replace(clip, root=root)
