"""How rendered people move: smooth random walks of trunk and legs, arms, a face, gaze."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from magicpose_cli.arrays import Floats
from magicpose_cli.body.model import Body, PosedBody
from magicpose_cli.body.rotations import matrix_from_axis_angle
from magicpose_cli.synthetic.rendered.arm_motion import SIDES, move_arm, sample_arm_poses
from magicpose_cli.synthetic.rendered.arm_room import ArmRoom
from magicpose_cli.synthetic.rendered.expressions import sample_expressions
from magicpose_cli.synthetic.rendered.joint_turns import JointTurns
from magicpose_cli.synthetic.rendered.random_waves import RandomWaves

STYLES = ("talk", "gesture", "dance")
STYLE_SHARES = (0.3, 0.35, 0.35)
LIVELINESS = {"talk": 0.25, "gesture": 0.6, "dance": 1.0}
CLIP_LENGTH_S = 4.0  # that a clip's frames are spread over
ARM_TRIES = 8


@dataclass(frozen=True, eq=False)
class BodyClip:
    """F frames of one body.

    Attributes:
        rotations: (F, J, 3, 3) local rotations.
        expression: (F, 52) facial actions, 0..1.
        root: (F, 3) meters; the height is that of a body whose feet are not looked at.
    """

    rotations: Tensor
    expression: Tensor
    root: Tensor


def sample_body_clip(
    body: Body, rest: PosedBody, rng: np.random.Generator, times_s: Floats, style: str
) -> BodyClip:
    """Sample a clip of somebody who talks, gestures or dances.

    Args:
        body: whose skeleton moves.
        rest: the person at rest, a batch of one, through whom no arm shall go.
        rng: where chance comes from.
        times_s: of the frames, (F,), rising.
        style: one of STYLES.
    """
    frames = len(times_s)
    wave = RandomWaves(rng, times_s, LIVELINESS[style])
    turns = JointTurns(body, frames)
    _move_trunk(turns, wave, rng)
    for side in SIDES:
        _move_leg(turns, wave, rng, side, style)
    across, along = wave(0, 0.06, -0.4, 0.4), wave(0, 0.05, -0.3, 0.3)
    root = np.stack([across, np.zeros(frames), along], axis=1)
    yaw = wave(rng.normal(0, 10), 14 if style == "dance" else 5, -60, 60)
    turns.set("root", _turned(np.stack([0 * yaw, yaw, 0 * yaw], axis=1)))
    gaze = np.stack([wave(0, 9, -15, 15), wave(0, 16, -25, 25), np.zeros(frames)], axis=1)
    for eye in ("eye.L", "eye.R"):
        turns.set(eye, _turned(gaze))
    _move_arms(turns, wave, rng, ArmRoom(body, rest), style)
    expression = sample_expressions(body, rng, times_s)
    return BodyClip(turns.rotations, expression, torch.from_numpy(root).float())


def _turned(degrees: Floats) -> Tensor:
    return matrix_from_axis_angle(torch.from_numpy(np.radians(degrees)).float())


def _move_trunk(turns: JointTurns, wave: RandomWaves, rng: np.random.Generator) -> None:
    """Spine and neck: bending, turning, leaning."""
    normal = rng.normal
    spine = (wave(normal(3, 6), 8, -15, 50), wave(normal(0, 8), 12, -40, 40),
             wave(normal(0, 4), 7, -25, 25))  # fmt: skip
    turns.turn("spine", np.stack(spine, axis=1))
    neck = (wave(normal(2, 6), 9, -30, 35), wave(normal(0, 12), 18, -60, 60),
            wave(normal(0, 4), 7, -30, 30))  # fmt: skip
    turns.turn("neck", np.stack(neck, axis=1))


def _move_arms(
    turns: JointTurns, wave: RandomWaves, rng: np.random.Generator, room: ArmRoom, style: str
) -> None:
    """Arms that do not go through the body: the best of a few tries, each a little calmer."""
    best, least = turns.rotations.clone(), float("inf")
    for trial in range(ARM_TRIES):
        poses = sample_arm_poses(rng, style)
        for side in SIDES:
            move_arm(turns, wave.calmer(0.85**trial), rng, side, poses[side])
        depth_m = room.depth_m(turns.rotations)
        if depth_m < least:
            best, least = turns.rotations.clone(), depth_m
        if least <= 0:
            break
    turns.rotations = best


def _move_leg(
    turns: JointTurns, wave: RandomWaves, rng: np.random.Generator, side: str, style: str
) -> None:
    """One leg: standing, stepping or lifted."""
    lifts = style == "dance" and rng.random() < 0.45
    flex = wave(-rng.uniform(10, 60) if lifts else rng.normal(-3, 5),
                16 if style == "dance" else 4, -100, 25)  # fmt: skip
    apart = wave(rng.uniform(-7, 10 if style == "dance" else 1), 5, -8, 40) * SIDES[side]
    turn = wave(rng.normal(0, 6), 5, -30, 30)
    turns.turn(f"{side}_upper_leg", np.stack([flex, turn, apart], axis=1))
    knee = np.clip(-flex * rng.uniform(0.7, 1.5) + wave(8, 8, 0, 60), 0, 130)
    turns.turn(f"{side}_lower_leg", np.stack([knee, 0 * knee, 0 * knee], axis=1))
    foot = 0.8 * np.clip(-flex - knee, -35, 35)
    turns.turn(f"{side}_foot", np.stack([foot, 0 * foot, 0 * foot], axis=1))
