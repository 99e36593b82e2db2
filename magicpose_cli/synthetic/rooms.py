"""What stands behind a drawn person: wall, floor, light and a few things."""

from __future__ import annotations

import torch
from torch import Tensor

from magicpose_cli.synthetic.canvas import Canvas, photo_noise

MAX_THINGS = 4  # things at most


def backgrounds(
    count: int, size: int, generator: torch.Generator, device: torch.device | str
) -> tuple[Tensor, Tensor]:
    """Draw rooms, RGB (N, 3, S, S) in 0..1, and their light, (N,), from -1 left .. 1 right."""
    rand = torch.rand(count, 24 + 16 * MAX_THINGS, generator=generator).to(device)
    # noise takes more numbers the larger it is: with a generator of its own, the people are the
    # same at every size
    own = torch.Generator().manual_seed(int(torch.randint(1 << 31, (), generator=generator)))
    noise = photo_noise(count, size, 3, own, device)
    light = rand[:, 0] * 2 - 1
    wall, floor = _tone(rand[:, 1:6]), _tone(rand[:, 6:11])
    canvas = Canvas.of(wall[:, :, None, None].expand(-1, -1, size, size).contiguous(), light)
    horizon = (0.55 + 0.42 * rand[:, 11]) * size
    below = (horizon[:, None, None] - canvas.y).expand(-1, -1, size)
    board = (0.012 + 0.02 * rand[:, 12]) * size
    canvas.paint(below - board[:, None, None], wall * 0.75, opacity=(rand[:, 13] > 0.4).float())
    depth = 0.75 + 0.5 * (-below / size).clamp(0, 0.5)
    canvas.paint(below, floor[:, :, None, None] * depth[:, None], softness=1.5)
    for slot in range(MAX_THINGS):
        _thing(canvas, rand[:, 24 + 16 * slot : 40 + 16 * slot], horizon, size)
    _window_light(canvas, rand[:, 14:20], size)
    slope = (canvas.x / size - 0.5) * (light * 0.35)[:, None, None] - 0.15 * (canvas.y / size - 0.4)
    strength = (0.015 + 0.06 * rand[:, 20].square())[:, None, None, None]
    gray = noise[:, :1] + 0.25 * noise[:, 1:2]
    tint = torch.cat([gray, gray * 0.9 + noise[:, 2:] * 0.25, gray - noise[:, 2:] * 0.2], 1)
    return (canvas.image * (1 + slope[:, None]) + tint * strength).clamp(0, 1), light


def _tone(rand: Tensor) -> Tensor:
    """Make of numbers (N, 5) in 0..1 the colors of rooms: mostly dull, at times strong."""
    color = rand[:, :3]
    gray = color.mean(1, keepdim=True)
    color = gray + (color - gray) * (0.15 + 1.0 * rand[:, 3:4].square())
    return (color * 0.75 + 0.30 * rand[:, 4:5]).clamp(0.04, 0.97)


def _window_light(canvas: Canvas, rand: Tensor, size: int) -> None:
    """Sunlight through panes, fallen on the wall."""
    rows = (rand[:, 0] > 0.65).nonzero()[:, 0]
    if not len(rows):
        return
    rand = rand[rows]
    center = (0.15 + 0.7 * rand[:, 1:3]) * size
    half = (0.10 + 0.14 * rand[:, 3]) * size
    with canvas.window(center[:, None], 1.6 * half, rows) as near:
        u, v = near.local(center, 0 * half)
        u = u + v * (rand[:, 4] - 0.5)[:, None, None]
        pane = half[:, None, None]
        panes = torch.maximum((u.abs() - pane * 0.52).abs(), (v.abs() - pane * 0.52).abs())
        glow = 1 + 0.45 * (0.5 - (panes - pane * 0.46) / (0.08 * pane)).clamp(0, 1)
        near.image = (near.image * glow[:, None]).clamp(0, 1)


def _thing(canvas: Canvas, rand: Tensor, horizon: Tensor, size: int) -> None:
    """One thing a row: picture on the wall, cupboard, plant, lamp, ball or nothing."""
    kinds = (_picture, _box, _plant, _lamp, _ball)
    kind = (rand[:, 0] * (len(kinds) + 1.5)).long()
    for number, paint in enumerate(kinds):
        rows = (kind == number).nonzero()[:, 0]
        if len(rows):
            paint(canvas, rand[rows], horizon[rows], size, rows)


def _rectangle(canvas: Canvas, center: Tensor, half: Tensor, angle: Tensor) -> Tensor:
    u, v = canvas.local(center, angle)
    return torch.maximum(u.abs() - half[:, 0, None, None], v.abs() - half[:, 1, None, None])


def _picture(canvas: Canvas, r: Tensor, horizon: Tensor, size: int, rows: Tensor) -> None:
    center = torch.stack([r[:, 1] * size, horizon * (0.1 + 0.55 * r[:, 2])], 1)
    half = (0.05 + 0.12 * r[:, 3:5]) * size
    with canvas.window(center[:, None], half.amax(1) * 1.5, rows) as near:
        shape = _rectangle(near, center, half, (r[:, 5] - 0.5) * 0.06)
        near.paint(shape, torch.zeros_like(r[:, :3]), opacity=0.4, softness=0.04 * size)
        near.paint(shape, r[:, 6:9] * 0.6)
        near.paint(shape + 0.018 * size, _tone(r[:, 9:14]))
        spot = near.ellipse(center, half[:, 0] * 0.5, half[:, 1] * 0.4, r[:, 14])
        near.paint(spot, _tone(r[:, 6:11]), softness=0.015 * size)


def _box(canvas: Canvas, r: Tensor, horizon: Tensor, size: int, rows: Tensor) -> None:
    half = torch.stack([0.05 + 0.09 * r[:, 1], 0.06 + 0.16 * r[:, 2]], 1) * size
    base = horizon + 0.05 * size * r[:, 3]
    center = torch.stack([r[:, 4] * size, base - half[:, 1]], 1)
    color = _tone(r[:, 5:10])
    with canvas.window(center[:, None], half.amax(1) + 0.06 * size, rows) as near:
        shape = _rectangle(near, center, half, 0 * base)
        near.paint(shape, color * 0.2, opacity=0.5, softness=0.06 * size)
        near.paint(shape, color)
        lid = center - torch.stack([0 * base, half[:, 1]], 1)
        thin = torch.stack([half[:, 0] * 1.04, 0 * base + 0.012 * size], 1)
        near.paint(_rectangle(near, lid, thin, 0 * base), (color * 1.25).clamp(0, 1))
        shelf = half * torch.tensor([0.85, 0.40], device=half.device)
        for part in (-0.48, 0.48):
            middle = center + torch.stack([0 * base, half[:, 1] * part], 1)
            front = _rectangle(near, middle, shelf, 0 * base)
            near.paint(front, color * 0.72, opacity=(r[:, 10] > 0.4).float())


def _plant(canvas: Canvas, r: Tensor, horizon: Tensor, size: int, rows: Tensor) -> None:
    pot = torch.stack([r[:, 1] * size, horizon + 0.02 * size], 1)
    length = (0.12 + 0.16 * r[:, 2]) * size
    green = torch.stack([0.10 + 0.25 * r[:, 3], 0.28 + 0.40 * r[:, 4], 0.08 + 0.2 * r[:, 5]], 1)
    with canvas.window(pot[:, None], length * 1.45, rows) as near:
        top = pot - torch.stack([0 * length, 0.05 + 0 * length], 1)
        for leaf in range(7):
            angle = (leaf - 3) * 0.38 + (r[:, 6 + leaf] - 0.5) * 0.4
            tip = torch.stack([angle.sin(), -angle.cos()], 1) * length[:, None]
            middle = top + tip * 0.62
            shape = near.ellipse(middle, 0.13 * length, 0.52 * length, angle)
            near.paint(shape, green * (0.75 + 0.5 * (leaf % 2)), softness=1.5)
        shape = near.ellipse(pot, 0.22 * length, 0.2 * length, 0 * length)
        near.paint(shape, _tone(r[:, 6:11]) * 0.9)


def _lamp(canvas: Canvas, r: Tensor, horizon: Tensor, size: int, rows: Tensor) -> None:
    foot = torch.stack([r[:, 1] * size, horizon + 0.02 * size], 1)
    height = (0.3 + 0.3 * r[:, 2]) * size
    top = foot - torch.stack([0 * height, height], 1)
    pen = 0.006 * size + 0 * height
    warm = r.new_tensor([[1.0, 0.93, 0.75]]).expand(len(r), 3)
    with canvas.window(torch.stack([foot, top], 1), 0.2 * height + 0.06 * size, rows) as near:
        glow = near.ellipse(top, 0.1 * height, 0.1 * height, 0 * height)
        near.paint(glow, warm, opacity=0.5, softness=0.4 * height)
        near.paint(near.limb(foot, top, pen, pen)[0], r[:, 3:6] * 0.4)
        under = top + torch.stack([0 * height, 0.16 * height], 1)
        shade = near.limb(top, under, 0.08 * height, 0.16 * height)[0]
        _, v = near.local(top, 0 * height)
        tall = height[:, None, None]
        flat = torch.maximum(shade, (v - 0.05 * tall).abs() - 0.11 * tall)
        near.paint(flat, warm * (0.7 + 0.3 * r[:, 6:9]))


def _ball(canvas: Canvas, r: Tensor, horizon: Tensor, size: int, rows: Tensor) -> None:
    radius = (0.03 + 0.07 * r[:, 1]) * size
    center = torch.stack([r[:, 2] * size, r[:, 3] * size], 1)
    with canvas.window(center[:, None], radius * 1.3, rows) as near:
        distance = near.ellipse(center, radius, radius, 0 * radius)
        u, v = near.local(center, 0 * radius)
        shine = 1.15 - 0.35 * (u * u + v * v) / (radius * radius)[:, None, None]
        near.paint(distance, r[:, 4:7, None, None] * shine[:, None].clamp(0.5, 1.2))
