"""Casting: random identities before random backgrounds, and random motions."""

from __future__ import annotations

from dataclasses import fields

import torch
from torch import Tensor

from magicpose_cli.synthetic.people import Identity, Motion
from magicpose_cli.synthetic.rooms import backgrounds

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
    hair_length = uniform(0.15, 2.0) * (uniform(0, 1) > 0.06)
    bearded = ((uniform(0, 1) > 0.6) & (hair_length < 1)).float()
    torso = uniform(0.27, 0.31)
    background, light = backgrounds(count, size, generator, device)
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
        "bulk": uniform(0.8, 1.35),
        "waist": uniform(0.88, 1.12),
        "blush": uniform(0, 1),
        "beard": uniform(0.3, 1) * bearded,
        "glasses": (uniform(0, 1) > 0.85).float(),
        "skin": pick(SKIN),
        "hair": pick(HAIR),
        "hair_length": hair_length,
        "hair_style": integers(3) * (uniform(0, 1) > 0.45).long(),
        "part": uniform(-0.45, 0.45),
        "hairline": uniform(-0.85, -0.6),
        "iris": uniform(0.05, 0.45, 3),
        "top": garment(),
        "bottom": garment(),
        "top_pattern": integers(5) * (uniform(0, 1) > 0.5).long(),
        "bottom_pattern": integers(4) * (uniform(0, 1) > 0.7).long(),
        "frequency": uniform(9, 22),
        "sleeve": uniform(0.3, 2.2).clamp(max=2),
        "trousers": uniform(0.3, 2.6).clamp(max=2),
        "skirt": (uniform(0, 1) > 0.82).float(),
        "hem": uniform(0.86, 1.08),
        "neckline": uniform(0, 1).square(),
        "shoes": uniform(0.03, 0.9, 3),
        "sole": uniform(0.1, 0.95, 1).expand(-1, 3),
        "shadow": uniform(0.05, 0.45),
        "light": light,
        "background": background,
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


KEY_EVERY = 12  # frames from one key pose of a clip to the next


def animate_motions(
    count: int, frames: int, generator: torch.Generator, device: torch.device | str = "cpu"
) -> Motion:
    """`count` clips of `frames` frames that move smoothly, row `i * frames + k`.

    Each goes from one random pose to the next in KEY_EVERY frames, slow at both ends; which arm is
    in front stays the same, for an arm cannot pass through the trunk.
    """
    keys = 2 + (frames - 1) // KEY_EVERY
    poses = sample_motions(count * keys, generator, device)
    time = torch.arange(frames, device=device) / KEY_EVERY
    before = time.long()
    share = time - before
    share = share * share * (3 - 2 * share)
    clip = torch.arange(count, device=device)[:, None] * keys
    start, end = (clip + before).flatten(), (clip + before + 1).flatten()
    share = share.repeat(count)

    def between(name: str) -> Tensor:
        values = getattr(poses, name)
        if values.dtype == torch.bool:
            return values[clip.expand(-1, frames).flatten()]
        weight = share.view(-1, *[1] * (values.dim() - 1))
        return torch.lerp(values[start], values[end], weight)

    return Motion(**{field.name: between(field.name) for field in fields(Motion)})


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
    return Motion(**{name: value.to(device) for name, value in values.items()})
