"""How rendered people move: smooth random walks of their joints, faces that speak, hands, gaze."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor
from torch.nn.functional import normalize

from magicpose_cli.arrays import Floats
from magicpose_cli.body.joint_groups import JOINT_GROUPS, JointGroup, limit_axes
from magicpose_cli.body.model import Body
from magicpose_cli.body.rotations import matrix_from_axis_angle

STYLES = ("talk", "gesture", "dance")
SHARES = (0.3, 0.35, 0.35)
SECONDS = 4.0  # that a clip's frames are spread over


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


class _Wave:
    """Smooth random functions of time: a base and a few sines."""

    def __init__(self, rng: np.random.Generator, times: Floats, liveliness: float):
        self._rng, self._times, self._liveliness = rng, times, liveliness

    def __call__(self, base: float, spread: float, low: float, high: float) -> Floats:
        """(F,) around a base, by about `spread` times the liveliness, within limits."""
        rng = self._rng
        rates = rng.uniform(0.15, 0.9, 3)
        starts = rng.uniform(0, 2 * np.pi, 3)
        waves = np.sin(2 * np.pi * self._times[:, None] * rates + starts) @ rng.normal(0, 1, 3)
        return np.clip(base + spread * self._liveliness * waves / 1.5, low, high)


def sample_body_clip(body: Body, rng: np.random.Generator, frames: int, style: str) -> BodyClip:
    """A clip of somebody who talks, gestures or dances.

    Args:
        body: Whose skeleton moves.
        rng: Where chance comes from.
        frames: How many, at random times of a few seconds.
        style: One of STYLES.
    """
    times = np.sort(rng.uniform(0, SECONDS, frames))
    lively = {"talk": 0.25, "gesture": 0.6, "dance": 1.0}[style]
    wave = _Wave(rng, times, lively)
    rotations = body.identity(frames)

    def turn(name: str, degrees: Floats) -> None:
        """A group by (F, 3) degrees about its axes."""
        group: JointGroup = JOINT_GROUPS[name]
        axes = limit_axes(body, group)
        vectors = torch.from_numpy(np.radians(degrees)).float() @ axes.T * group.share
        for joint in group.joints:
            rotations[:, body.joint(joint)] = matrix_from_axis_angle(vectors)

    def angles(*sets: tuple[float, float, float, float]) -> Floats:
        return np.stack([wave(*values) for values in sets], axis=1)

    normal = rng.normal
    turn("spine", angles((normal(3, 6), 8, -15, 50), (normal(0, 8), 12, -40, 40),
                         (normal(0, 4), 7, -25, 25)))  # fmt: skip
    turn("neck", angles((normal(2, 6), 9, -30, 35), (normal(0, 12), 18, -60, 60),
                        (normal(0, 4), 7, -30, 30)))  # fmt: skip
    for side, sign in (("left", 1), ("right", -1)):
        _arm(body, rng, wave, rotations, turn, side, sign, style)
        _leg(rng, wave, turn, side, sign, style)
    root = torch.from_numpy(
        np.stack([wave(0, 0.06, -0.4, 0.4), np.zeros(frames), wave(0, 0.05, -0.3, 0.3)], 1)
    ).float()
    yaw = wave(normal(0, 10), 14 if style == "dance" else 5, -60, 60)
    vertical = torch.zeros(frames, 3)
    vertical[:, 1] = torch.from_numpy(np.radians(yaw)).float()
    rotations[:, 0] = matrix_from_axis_angle(vertical)
    gaze = np.stack([wave(0, 9, -15, 15), wave(0, 16, -25, 25), np.zeros(frames)], 1)
    for eye in ("eye.L", "eye.R"):
        turned = torch.from_numpy(np.radians(gaze)).float()
        rotations[:, body.joint(eye)] = matrix_from_axis_angle(turned)
    return BodyClip(rotations, sample_expressions(body, rng, times), root)


def _arm(body, rng, wave, rotations, turn, side, sign, style) -> None:  # type: ignore[no-untyped-def]
    """One arm: hanging, before the body, or anywhere, with a hand."""
    letter = "L" if side == "left" else "R"
    rest = body.mean[body.vertex_count :]
    shoulder, wrist = (rest[body.joint(f"{name}.{letter}")] for name in ("upperarm01", "wrist"))
    straight = normalize(wrist - shoulder, dim=0)
    hangs = rng.random() < {"talk": 0.6, "gesture": 0.25, "dance": 0.2}[style]
    raise_deg = rng.uniform(-82, -62) if hangs else rng.uniform(-75, 60)
    forward_deg = rng.uniform(-10, 25) if hangs else rng.uniform(-15, 100)
    up = np.radians(wave(raise_deg, 22, -84, 80))
    ahead = np.radians(wave(forward_deg, 25, -40, 110))
    wanted = torch.from_numpy(
        np.stack(
            [sign * np.cos(up) * np.cos(ahead), np.sin(up), np.cos(up) * np.sin(ahead)], axis=1
        )
    ).float()
    across = torch.linalg.cross(straight.expand_as(wanted), wanted)
    angle = torch.atan2(across.norm(dim=1), wanted @ straight)
    arc = normalize(across, dim=1) * angle[:, None]
    roll = torch.from_numpy(np.radians(wave(rng.normal(0, 20), 15, -60, 60))).float()
    rotations[:, body.joint(f"upperarm01.{letter}")] = matrix_from_axis_angle(
        arc
    ) @ matrix_from_axis_angle(straight * roll[:, None])
    bend = wave(rng.uniform(5, 45) if hangs else rng.uniform(10, 110), 28, 3, 140)
    twist = wave(rng.normal(0, 25), 20, -70, 70)
    turn(f"{side}_lower_arm", np.stack([twist, bend, 0 * bend], axis=1))
    turn(
        f"{side}_wrist",
        np.stack([wave(rng.normal(0, 10), 12, -40, 40) for _ in range(3)], axis=1),
    )
    fist = rng.choice([rng.uniform(0, 25), rng.uniform(15, 55), rng.uniform(50, 80)])
    for finger in range(1, 6):
        curl = wave(fist * (0.5 if finger == 1 else 1) + rng.normal(0, 6), 14, -5, 80)
        apart = wave(rng.normal(0, 4), 3, -10, 10)
        turn(f"{side}_finger_{finger}", np.stack([0 * curl, curl, apart], axis=1))


def _leg(rng, wave, turn, side, sign, style) -> None:  # type: ignore[no-untyped-def]
    """One leg: standing, stepping or lifted."""
    lifts = style == "dance" and rng.random() < 0.45
    flex = wave(-rng.uniform(10, 60) if lifts else rng.normal(-3, 5), 16 if style == "dance" else 4,
                -100, 25)  # fmt: skip
    apart = wave(rng.uniform(0, 10), 6, -8, 40) * sign
    turn(f"{side}_upper_leg", np.stack([flex, wave(rng.normal(0, 6), 5, -30, 30), apart], axis=1))
    knee = np.clip(-flex * rng.uniform(0.7, 1.5) + wave(8, 8, 0, 60), 0, 130)
    turn(f"{side}_lower_leg", np.stack([knee, 0 * knee, 0 * knee], axis=1))
    turn(f"{side}_foot", np.stack([np.clip(-flex - knee, -35, 35) * 0.8, 0 * knee, 0 * knee], 1))


def sample_expressions(body: Body, rng: np.random.Generator, times: Floats) -> Tensor:
    """(F, 52) facial actions of a face that speaks, smiles, blinks and frowns now and then."""
    frames = len(times)
    names = {name: number for number, name in enumerate(body.expression_names)}
    values = np.zeros((frames, len(names)))
    wave = _Wave(rng, times, 1.0)

    def both(name: str, amount: Floats) -> None:
        uneven = 1 + 0.15 * rng.normal()
        for side, factor in (("Left", uneven), ("Right", 2 - uneven)):
            values[:, names[f"{name}{side}"]] = np.clip(amount * factor, 0, 1)

    speaks = rng.random() < 0.6
    values[:, names["jawOpen"]] = wave(0.12 if speaks else -0.05, 0.25 if speaks else 0.08, 0, 0.75)
    for name, base in (("mouthFunnel", -0.15), ("mouthPucker", -0.15)):
        values[:, names[name]] = wave(base, 0.25 if speaks else 0.05, 0, 0.6)
    # closes lips over a jaw that is open; over a shut one it would push them into each other
    values[:, names["mouthClose"]] = np.minimum(
        wave(-0.3, 0.3, 0, 1), values[:, names["jawOpen"]] * 0.8
    )
    both("mouthSmile", wave(rng.choice([-0.1, rng.uniform(0, 0.8)]), 0.2, 0, 1))
    both("mouthFrown", wave(-0.25, 0.2, 0, 0.6))
    both("mouthStretch", wave(-0.2, 0.2, 0, 0.5))
    both("mouthUpperUp", wave(-0.15, 0.2, 0, 0.5))
    both("mouthLowerDown", wave(-0.1, 0.2, 0, 0.5))
    values[:, names["browInnerUp"]] = wave(-0.1, 0.35, 0, 1)
    both("browDown", wave(-0.2, 0.3, 0, 0.8))
    both("browOuterUp", wave(-0.1, 0.35, 0, 1))
    both("eyeSquint", wave(0.0, 0.2, 0, 0.6))
    both("cheekSquint", wave(-0.1, 0.2, 0, 0.6))
    blink = np.where(rng.random(frames) < 0.12, rng.uniform(0.4, 1, frames), 0)
    both("eyeBlink", np.maximum(blink, wave(0.05, 0.08, 0, 0.3)))
    return torch.from_numpy(values).float()
