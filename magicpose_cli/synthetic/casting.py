"""Casting: random identities before random backgrounds, and random motions."""

from __future__ import annotations

from dataclasses import fields

import torch
from torch import Tensor

from magicpose_cli.synthetic.people import DrawnMotion, Identity
from magicpose_cli.synthetic.rooms import backgrounds

FRAMINGS = ("full", "half", "portrait")
Colors = tuple[tuple[float, float, float], ...]
"""RGB in 0..1."""

SKIN_TONES = ((0.96, 0.84, 0.74), (0.93, 0.76, 0.63), (0.82, 0.62, 0.47), (0.62, 0.44, 0.32),
        (0.45, 0.30, 0.22), (0.30, 0.20, 0.15))  # fmt: skip
HAIR_COLORS = ((0.08, 0.07, 0.07), (0.22, 0.14, 0.09), (0.40, 0.25, 0.14), (0.72, 0.53, 0.28),
        (0.87, 0.76, 0.52), (0.50, 0.20, 0.10), (0.62, 0.60, 0.58))  # fmt: skip


class _Sampler:
    """Random numbers of one generator for so many people or motions, in the order asked for."""

    def __init__(self, count: int, generator: torch.Generator):
        self._count, self._generator = count, generator

    def uniform(self, low: float, high: float, *shape: int) -> Tensor:
        """Draw evenly from low to high, (count, *shape)."""
        values = torch.rand(self._count, *shape, generator=self._generator)
        return values * (high - low) + low

    def normal(self, spread: float, *shape: int) -> Tensor:
        """Draw around 0 with this standard deviation, never farther than 2.5 of it."""
        values = torch.randn(self._count, *shape, generator=self._generator)
        return values.clamp(-2.5, 2.5) * spread

    def integers(self, high: int) -> Tensor:
        """Draw whole numbers from 0 on, below high."""
        return torch.randint(high, (self._count,), generator=self._generator)

    def pick(self, table: Colors) -> Tensor:
        """Draw colors near those of a table, (count, 3)."""
        colors = torch.tensor(table)[self.integers(len(table))]
        return (colors + self.uniform(-0.05, 0.05, 3)).clamp(0.02, 0.98)

    def garment(self) -> Tensor:
        """Draw the two colors of a garment, (count, 2, 3)."""
        colors = self.uniform(0.03, 0.97, 2, 3)
        colors[:, 1] = torch.lerp(colors[:, 0], colors[:, 1], self.uniform(0.3, 1.0, 1))
        gray = colors.mean(-1, keepdim=True)
        return (gray + (colors - gray) * self.uniform(0.1, 1.3, 1, 1)).clamp(0.03, 0.97)


def sample_identities(
    count: int,
    size: int,
    generator: torch.Generator,
    device: torch.device | str = "cpu",
    framing: str | None = None,
) -> Identity:
    """Draw people before a camera.

    Args:
        count: How many.
        size: Side of the square pictures in pixels.
        generator: Of all random numbers.
        device: Where the tensors lie.
        framing: One of FRAMINGS; for each person another one by default.
    """
    sampler = _Sampler(count, generator)
    uniform = sampler.uniform
    leg = uniform(0.44, 0.50)
    hair_length = uniform(0.15, 2.0) * (uniform(0, 1) > 0.06)
    bearded = ((uniform(0, 1) > 0.6) & (hair_length < 1)).float()
    torso = uniform(0.27, 0.31)
    background, light = backgrounds(count, size, generator, device)
    values = {
        **_bodies(sampler, torso, leg),
        **_heads(sampler, hair_length, bearded),
        **_clothes(sampler),
        "light": light,
        "background": background,
        "camera": _cameras(count, size, torso, generator, framing),
    }
    return Identity(**{name: value.to(device) for name, value in values.items()})


def _bodies(sampler: _Sampler, torso: Tensor, leg: Tensor) -> dict[str, Tensor]:
    uniform = sampler.uniform
    return {
        "shoulder": uniform(0.088, 0.122),
        "hip": uniform(0.047, 0.064),
        "torso": torso,
        "upper_arm": uniform(0.145, 0.180),
        "forearm": uniform(0.125, 0.155),
        "thigh": leg * 0.52,
        "shin": leg * 0.48,
        "head": uniform(0.046, 0.058),
        "head_height": uniform(1.25, 1.42),
        "jaw": uniform(0, 1),
        "eye_distance": uniform(0.38, 0.45),
        "nose": uniform(0.8, 1.2),
        "lips": uniform(0.7, 1.3),
        "bulk": uniform(0.8, 1.35),
        "waist": uniform(0.88, 1.12),
    }


def _heads(sampler: _Sampler, hair_length: Tensor, bearded: Tensor) -> dict[str, Tensor]:
    uniform = sampler.uniform
    return {
        "blush": uniform(0, 1),
        "beard": uniform(0.3, 1) * bearded,
        "glasses": (uniform(0, 1) > 0.85).float(),
        "skin": sampler.pick(SKIN_TONES),
        "hair": sampler.pick(HAIR_COLORS),
        "hair_length": hair_length,
        "hair_style": sampler.integers(3) * (uniform(0, 1) > 0.45).long(),
        "part": uniform(-0.45, 0.45),
        "hairline": uniform(-0.85, -0.6),
        "iris": uniform(0.05, 0.45, 3),
    }


def _clothes(sampler: _Sampler) -> dict[str, Tensor]:
    uniform = sampler.uniform
    return {
        "top": sampler.garment(),
        "bottom": sampler.garment(),
        "top_pattern": sampler.integers(5) * (uniform(0, 1) > 0.5).long(),
        "bottom_pattern": sampler.integers(4) * (uniform(0, 1) > 0.7).long(),
        "frequency": uniform(9, 22),
        "sleeve": uniform(0.3, 2.2).clamp(max=2),
        "trousers": uniform(0.3, 2.6).clamp(max=2),
        "skirt": (uniform(0, 1) > 0.82).float(),
        "hem": uniform(0.86, 1.08),
        "neckline": uniform(0, 1).square(),
        "shoes": uniform(0.03, 0.9, 3),
        "sole": uniform(0.1, 0.95, 1).expand(-1, 3),
        "shadow": uniform(0.05, 0.45),
    }


def _cameras(
    count: int,
    size: int,
    torso: Tensor,
    generator: torch.Generator,
    framing: str | None,
) -> Tensor:
    """Place the cameras: pixels a body height, and the standing person's hips in pixels, (N, 3)."""
    kinds = torch.randint(len(FRAMINGS), (count,), generator=generator)
    if framing is not None:
        kinds = torch.full((count,), FRAMINGS.index(framing))
    draw = torch.rand(count, 4, generator=generator)
    shown = torch.stack([1.02 + 0.25 * draw[:, 0], 0.5 + 0.2 * draw[:, 0], 0.3 + 0.1 * draw[:, 0]])
    shown = torch.gather(shown, 0, kinds[None])[0]  # body heights that the picture's height holds
    scale = size / shown
    top = 0.03 + draw[:, 1] * torch.where(kinds == 0, (shown - 1.0).clamp_min(0) * 0.8, 0.03)
    crown_to_hips = torso + 0.165
    sway = torch.where(kinds == 0, 0.12, 0.05) * size
    x = size / 2 + (draw[:, 2] - 0.5) * 2 * sway
    return torch.stack([scale, x, (top + crown_to_hips) * scale], 1)


KEY_POSE_FRAMES = 12  # frames from one key pose of a clip to the next


def animate_motions(
    count: int, frames: int, generator: torch.Generator, device: torch.device | str = "cpu"
) -> DrawnMotion:
    """Draw clips of smooth motions.

    Each clip goes from one random pose to the next in KEY_POSE_FRAMES frames, slow at both ends;
    which arm is in front stays the same, for an arm cannot pass through the trunk.
    """
    keys = 2 + (frames - 1) // KEY_POSE_FRAMES
    poses = sample_motions(count * keys, generator, device)
    time = torch.arange(frames, device=device) / KEY_POSE_FRAMES
    before = time.long()
    share = time - before
    share = share * share * (3 - 2 * share)
    clip = torch.arange(count, device=device)[:, None] * keys
    start, end = (clip + before).flatten(), (clip + before + 1).flatten()
    share = share.repeat(count)

    def between(name: str) -> Tensor:
        values: Tensor = getattr(poses, name)
        if values.dtype == torch.bool:
            return values[clip.expand(-1, frames).flatten()]
        weight = share.view(-1, *[1] * (values.dim() - 1))
        return torch.lerp(values[start], values[end], weight)

    return DrawnMotion(**{field.name: between(field.name) for field in fields(DrawnMotion)})


def sample_motions(
    count: int, generator: torch.Generator, device: torch.device | str = "cpu"
) -> DrawnMotion:
    """Draw independent motions of standing, dancing, gesturing, turning and speaking people."""
    sampler = _Sampler(count, generator)
    uniform, normal = sampler.uniform, sampler.normal
    lively = uniform(0, 1, 1)  # calm people keep their arms low
    arm = uniform(-0.15, 1, 2) * (0.5 + 2.2 * lively) * (uniform(0, 1, 2) > 0.15)
    elbow = torch.where(uniform(0, 1, 2) > 0.35, uniform(-0.1, 2.2, 2), -uniform(0.0, 2.0, 2))
    elbow = elbow * (0.25 + 0.75 * lively)
    folded = uniform(0, 1, 2) > 0.88  # the forearm before or behind the trunk
    arm = torch.where(folded, uniform(0.05, 0.4, 2), arm)
    elbow = torch.where(folded, -uniform(1.2, 2.1, 2), elbow)
    crossed = uniform(0, 1, 1) > 0.9
    leg = torch.where(crossed, -uniform(0.02, 0.16, 2), 0.06 + normal(0.16, 2).abs())
    values = {
        "shift": normal(0.015, 2),
        "lean": normal(0.07),
        "turn": normal(0.3),
        "arm": arm,
        "elbow": elbow,
        "arm_depth": 1 - uniform(0, 0.4, 2, 2) * (uniform(0, 1, 2, 2) > 0.5),
        "arm_in_front": uniform(0, 1, 2) > 0.25,
        "leg": leg,
        "knee": -uniform(0, 0.5, 2) * (uniform(0, 1, 2) > 0.4),
        "leg_depth": 1 - uniform(0, 0.2, 2, 2) * (uniform(0, 1, 2, 2) > 0.6),
        "head_turn": normal(0.36),
        "head_nod": normal(0.14),
        "head_tilt": normal(0.1),
        "brow": normal(0.5),
        "eye_open": uniform(0.45, 1) * (uniform(0, 1) > 0.05),
        "gaze": normal(0.4, 2),
        "mouth_open": (uniform(-0.6, 1)).clamp_min(0),
        "smile": normal(0.5),
        "curl": uniform(0, 0.9, 2),
        "spread": uniform(0.5, 1.2, 2),
    }
    return DrawnMotion(**{name: value.to(device) for name, value in values.items()})
