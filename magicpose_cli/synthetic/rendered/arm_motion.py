"""How people hold their arms: hanging, on the hips, before the body, gesturing, raised."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor
from torch.nn.functional import normalize

from magicpose_cli.arrays import Floats
from magicpose_cli.synthetic.rendered.joint_turns import JointTurns
from magicpose_cli.synthetic.rendered.random_waves import RandomWaves


class ArmPose(NamedTuple):
    """One way to hold an arm; directions are (outward, up, to the front) of the chest.

    elevation_deg, ahead_deg: from..to, where the upper arm points: above the horizon, and from the
    side toward the front. toward: where the elbow bends the lower arm to. bend_deg: how far.
    twist_deg: how far the hand turns about the lower arm. is_paired: the other arm may do so too.
    """

    elevation_deg: tuple[float, float]
    ahead_deg: tuple[float, float]
    toward: tuple[float, float, float]
    bend_deg: tuple[float, float]
    twist_deg: float = 0.0
    is_paired: bool = False


ARM_POSES = {
    "hanging": ArmPose((-82, -70), (-15, 25), (-0.25, 0, 1), (8, 30), is_paired=True),
    "on_hip": ArmPose((-52, -38), (-30, -8), (-1, -0.15, 0.35), (72, 98), 20, is_paired=True),
    "clasped": ArmPose((-74, -64), (0, 25), (-0.75, 0.1, 1), (62, 84), is_paired=True),
    "folded": ArmPose((-72, -60), (30, 50), (-1, 0.15, 0.55), (92, 110), is_paired=True),
    "explaining": ArmPose((-75, -55), (0, 45), (0.1, 0.25, 1), (55, 110)),
    "offering": ArmPose((-60, -35), (5, 50), (0.45, 0.2, 1), (30, 80), is_paired=True),
    "at_head": ArmPose((-45, -15), (35, 70), (-0.45, 1, 0.5), (110, 135)),
    "pointing": ArmPose((-25, 20), (0, 85), (0, 0.4, 1), (5, 30)),
    "sideways": ArmPose((-40, 25), (-15, 30), (-0.1, 0.5, 1), (10, 90), is_paired=True),
    "raised": ArmPose((25, 72), (-5, 70), (-0.4, 0.8, 0.6), (15, 95), is_paired=True),
}
ARM_POSE_SHARES = {
    "talk": (0.42, 0.08, 0.14, 0.06, 0.18, 0.04, 0.05, 0.01, 0.01, 0.01),
    "gesture": (0.24, 0.09, 0.07, 0.05, 0.24, 0.12, 0.06, 0.07, 0.04, 0.02),
    "dance": (0.18, 0.08, 0.03, 0.02, 0.12, 0.13, 0.06, 0.08, 0.16, 0.14),
}
PAIRED_SHARE = 0.65
SIDES = {"left": 1, "right": -1}


def sample_arm_poses(rng: np.random.Generator, style: str) -> dict[str, ArmPose]:
    """How somebody holds the left and the right arm, for a style of joint_motion.STYLES."""
    names = list(ARM_POSES)
    chosen = {side: ARM_POSES[str(rng.choice(names, p=ARM_POSE_SHARES[style]))] for side in SIDES}
    if chosen["left"].is_paired and rng.random() < PAIRED_SHARE:
        chosen["right"] = chosen["left"]
    return chosen


def move_arm(
    turns: JointTurns, wave: RandomWaves, rng: np.random.Generator, side: str, pose: ArmPose
) -> None:
    """Move an arm about a pose: shoulder, elbow, wrist and fingers."""
    sign = SIDES[side]
    elevation = wave(rng.uniform(*pose.elevation_deg), 20, -84, 78)
    ahead = np.radians(wave(rng.uniform(*pose.ahead_deg), 22, -35, 105))
    lift = np.clip(0.28 * (elevation + 40), 0, 28)  # the shoulder blade's part
    turns.turn(f"{side}_clavicle", np.stack([0 * lift, 0 * lift, sign * lift], 1))
    up = np.radians(elevation - lift)
    upper = _directions(sign * np.cos(up) * np.cos(ahead), np.sin(up), np.cos(up) * np.sin(ahead))
    bends_to = np.array(pose.toward) + rng.normal(0, 0.12, 3)
    toward = _directions(*(wave(v, 0.15, -1.5, 1.5) for v in bends_to * [sign, 1, 1]))
    bend = wave(rng.uniform(*pose.bend_deg), 24, 5, 140)
    turns.set(f"upperarm01.{side[0].upper()}", _shoulder(turns, side, upper, toward))
    twist = wave(pose.twist_deg + rng.normal(0, 22), 18, -70, 70)
    turns.turn(f"{side}_lower_arm", np.stack([twist, bend, 0 * bend], axis=1))
    wrist = [wave(rng.normal(0, 10), 12, -40, 40) for _ in range(3)]
    turns.turn(f"{side}_wrist", np.stack(wrist, axis=1))
    _move_fingers(turns, wave, rng, side)


def _directions(x: Floats, y: Floats, z: Floats) -> Tensor:
    return normalize(torch.from_numpy(np.stack([x, y, z], axis=1)).float(), dim=1)


def _shoulder(turns: JointTurns, side: str, upper: Tensor, toward: Tensor) -> Tensor:
    """(F, 3, 3): the upper arm points along (F, 3), and the elbow bends toward (F, 3)."""
    letter = side[0].upper()
    start, elbow = (turns.rest_joint(f"{name}.{letter}") for name in ("upperarm01", "lowerarm01"))
    straight = normalize(elbow - start, dim=0)
    front = straight.new_tensor([0.0, 0, 1])
    return _frame(upper, toward) @ _frame(straight[None], front[None]).transpose(1, 2)


def _frame(along: Tensor, toward: Tensor) -> Tensor:
    """(n, 3, 3) right-handed axes as columns: along, the axis that bends it toward, the third."""
    bend = normalize(torch.linalg.cross(along, toward.expand_as(along)), dim=1)
    return torch.stack([along, bend, torch.linalg.cross(along, bend)], dim=2)


def _move_fingers(
    turns: JointTurns, wave: RandomWaves, rng: np.random.Generator, side: str
) -> None:
    fist = float(rng.choice([rng.uniform(0, 25), rng.uniform(15, 55), rng.uniform(50, 80)]))
    for finger in range(1, 6):
        curl = wave(fist * (0.5 if finger == 1 else 1) + rng.normal(0, 6), 14, -5, 80)
        apart = wave(rng.normal(0, 4), 3, -10, 10)
        turns.turn(f"{side}_finger_{finger}", np.stack([0 * curl, curl, apart], axis=1))
