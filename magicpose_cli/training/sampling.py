"""Casting: random identities before random backgrounds, and random motions."""

from __future__ import annotations

import torch
from torch import Tensor

from magicpose_cli.training.drawing import Canvas, photo_noise
from magicpose_cli.training.people import Identity, Motion

FRAMINGS = ("full", "half", "portrait")

SKIN = ((0.96, 0.84, 0.74), (0.93, 0.76, 0.63), (0.82, 0.62, 0.47), (0.62, 0.44, 0.32),
        (0.45, 0.30, 0.22), (0.30, 0.20, 0.15))  # fmt: skip
HAIR = ((0.08, 0.07, 0.07), (0.22, 0.14, 0.09), (0.40, 0.25, 0.14), (0.72, 0.53, 0.28),
        (0.87, 0.76, 0.52), (0.50, 0.20, 0.10), (0.62, 0.60, 0.58))  # fmt: skip


def sample_identities(
    count: int,
    size: int,
    generator: torch.Generator,
    device: torch.device | str = "cpu",
    framing: str | None = None,
) -> Identity:
    """People before a camera with pictures of `size` pixels square; framing: one of FRAMINGS."""

    def uniform(low: float, high: float, *shape: int) -> Tensor:
        return torch.rand(count, *shape, generator=generator) * (high - low) + low

    def pick(table: tuple) -> Tensor:
        colors = torch.tensor(table)[torch.randint(len(table), (count,), generator=generator)]
        return (colors + uniform(-0.05, 0.05, 3)).clamp(0.02, 0.98)

    def garment() -> Tensor:
        colors = uniform(0.03, 0.97, 2, 3)
        colors[:, 1] = torch.lerp(colors[:, 0], colors[:, 1], uniform(0.3, 1.0, 1))
        gray = colors.mean(-1, keepdim=True)
        return (gray + (colors - gray) * uniform(0.1, 1.3, 1, 1)).clamp(0.03, 0.97)

    def integers(high: int) -> Tensor:
        return torch.randint(high, (count,), generator=generator)

    leg = uniform(0.44, 0.50)
    hair_length = uniform(0.25, 2.0) * (uniform(0, 1) > 0.06)
    torso = uniform(0.27, 0.31)
    values = {
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
        "bulk": uniform(0.8, 1.3),
        "skin": pick(SKIN),
        "hair": pick(HAIR),
        "hair_length": hair_length,
        "hairline": uniform(-0.85, -0.6),
        "iris": uniform(0.05, 0.45, 3),
        "top": garment(),
        "bottom": garment(),
        "top_pattern": integers(5) * (uniform(0, 1) > 0.5).long(),
        "bottom_pattern": integers(4) * (uniform(0, 1) > 0.85).long(),
        "frequency": uniform(9, 22),
        "sleeve": uniform(0.3, 2.2).clamp(max=2),
        "trousers": uniform(0.3, 2.6).clamp(max=2),
        "skirt": (uniform(0, 1) > 0.82).float(),
        "shoes": uniform(0.03, 0.9, 3),
        "light": uniform(-1, 1),
        "background": _backgrounds(count, size, generator, device),
        "camera": _cameras(count, size, torso, generator, framing),
    }
    return Identity(**{name: value.to(device) for name, value in values.items()})


def _cameras(
    count: int,
    size: int,
    torso: Tensor,
    generator: torch.Generator,
    framing: str | None,
) -> Tensor:
    """(N, 3): pixels a body height; where the hips of the standing person are, in pixels."""
    kinds = torch.randint(len(FRAMINGS), (count,), generator=generator)
    if framing is not None:
        kinds = torch.full((count,), FRAMINGS.index(framing))
    draw = torch.rand(count, 4, generator=generator)
    shown = torch.stack([1.02 + 0.25 * draw[:, 0], 0.5 + 0.2 * draw[:, 0], 0.3 + 0.1 * draw[:, 0]])
    shown = shown.gather(0, kinds[None])[0]  # body heights that the picture's height holds
    scale = size / shown
    top = 0.03 + draw[:, 1] * torch.where(kinds == 0, (shown - 1.0).clamp_min(0) * 0.8, 0.03)
    crown_to_hips = torso + 0.165
    sway = torch.where(kinds == 0, 0.12, 0.05) * size
    x = size / 2 + (draw[:, 2] - 0.5) * 2 * sway
    return torch.stack([scale, x, (top + crown_to_hips) * scale], 1)


def _backgrounds(
    count: int, size: int, generator: torch.Generator, device: torch.device | str
) -> Tensor:
    """Wall and floor of 1/f texture with a few things standing about, (N, 3, S, S)."""
    noise = photo_noise(count, size, 2, generator, device)
    rand = torch.rand(count, 64, generator=generator).to(device)
    colors = torch.stack([rand[:, 0:3] * 0.85 + 0.08, rand[:, 3:6] * 0.85 + 0.05])
    gray = colors.mean(2, keepdim=True)
    wall, floor = gray + (colors - gray) * rand[:, 9:10]
    blend = rand[:, 6:7]
    floor = floor * blend + wall * (1 - blend)
    canvas = Canvas(wall[:, :, None, None].expand(-1, -1, size, size), rand[:, 7] * 2 - 1)
    horizon = canvas.y - (0.45 + 0.5 * rand[:, 8])[:, None, None] * size
    canvas.paint(-horizon.expand(-1, -1, size), floor, softness=2.0)
    for k in range(3):
        r = rand[:, 10 + 12 * k : 22 + 12 * k]
        center = torch.stack([r[:, 0], r[:, 1]], 1) * size
        width, height = (0.03 + 0.18 * r[:, 2]) * size, (0.03 + 0.3 * r[:, 3]) * size
        u, v = canvas.local(center, (r[:, 4] - 0.5) * 0.3)
        box = torch.maximum(u.abs() - width[:, None, None], v.abs() - height[:, None, None])
        shape = torch.where(
            (r[:, 5] > 0.5)[:, None, None], box, canvas.ellipse(center, width, height, r[:, 4])
        )
        canvas.paint(shape, r[:, 6:9], opacity=(r[:, 9] > 0.4).float() * 0.9, softness=1.5)
    strength = (0.02 + 0.10 * rand[:, 60])[:, None, None, None]
    slope = (canvas.x / size - 0.5) * (rand[:, 61] - 0.5)[:, None, None] * 0.4
    tint = torch.cat([noise[:, :1], noise[:, :1] * 0.8 + noise[:, 1:] * 0.3, noise[:, :1]], 1)
    return (canvas.image + tint * strength + slope[:, None]).clamp(0, 1)


def sample_motions(
    count: int, generator: torch.Generator, device: torch.device | str = "cpu"
) -> Motion:
    """Independent motions: standing, dancing, gesturing, turning and speaking people."""

    def uniform(low: float, high: float, *shape: int) -> Tensor:
        return torch.rand(count, *shape, generator=generator) * (high - low) + low

    def normal(spread: float, *shape: int) -> Tensor:
        return torch.randn(count, *shape, generator=generator).clamp(-2.5, 2.5) * spread

    lively = uniform(0, 1, 1)  # calm people keep their arms low
    arm = uniform(-0.15, 1, 2) * (0.5 + 2.2 * lively) * (uniform(0, 1, 2) > 0.15)
    elbow = torch.where(uniform(0, 1, 2) > 0.35, uniform(-0.1, 2.2, 2), -uniform(0.0, 2.0, 2))
    values = {
        "shift": normal(0.015, 2),
        "lean": normal(0.07),
        "turn": normal(0.3),
        "arm": arm,
        "elbow": elbow * (0.25 + 0.75 * lively),
        "arm_depth": 1 - uniform(0, 0.4, 2, 2) * (uniform(0, 1, 2, 2) > 0.5),
        "arm_in_front": uniform(0, 1, 2) > 0.25,
        "leg": 0.06 + normal(0.16, 2).abs(),
        "knee": -uniform(0, 0.5, 2) * (uniform(0, 1, 2) > 0.4),
        "leg_depth": 1 - uniform(0, 0.2, 2, 2) * (uniform(0, 1, 2, 2) > 0.6),
        "head_turn": normal(0.3),
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
    return Motion(**{name: value.to(device) for name, value in values.items()})
