"""Pictures of walls, floors and backdrops, painted at random."""

from __future__ import annotations

import numpy as np

from magicpose_cli.arrays import Floats
from magicpose_cli.synthetic.rendered.fabrics import color, smooth_noise


def wall_texture(rng: np.random.Generator, has_things: bool) -> Floats:
    """(512, 512, 3) sRGB: paint, stripes, bricks or boards, with frames, shelves and curtains."""
    size = 512
    base = np.clip(color(rng) * 0.35 + rng.uniform(0.3, 0.6), 0.05, 0.97)
    picture = np.broadcast_to(base.astype(np.float32), (size, size, 3)).copy()
    y, x = np.mgrid[:size, :size].astype(np.float32) / size
    kind = rng.choice(
        ["paint", "stripes", "bricks", "boards", "paper"], p=[0.5, 0.1, 0.15, 0.1, 0.15]
    )
    if kind == "stripes":
        picture *= 1 - 0.15 * (np.mod(x * rng.uniform(8, 30), 1) < 0.5)[..., None]
    elif kind == "bricks":
        rows = y * 24
        shift = 0.5 * np.mod(np.floor(rows), 2)
        mortar = (np.mod(rows, 1) < 0.12) | (np.mod(x * 9 + shift, 1) < 0.05)
        tints = rng.uniform(0.75, 1.15, (25, 11))
        tint = tints[np.floor(rows).astype(int) % 25, np.floor(x * 9 + shift).astype(int) % 11]
        picture = np.where(mortar[..., None], 0.7 * base + 0.25, picture * tint[..., None])
    elif kind == "boards":
        picture *= 1 - 0.25 * (np.mod(x * rng.uniform(8, 20), 1) < 0.04)[..., None]
        picture *= 1 + 0.06 * smooth_noise(rng, (size, size), 3, 20)[..., None]
    elif kind == "paper":
        spots = smooth_noise(rng, (size, size), rng.uniform(20, 60)) > 0.6
        picture[spots] *= rng.uniform(0.7, 1.2)
    if has_things:
        for _ in range(int(rng.integers(1, 7))):
            _hang(rng, picture)
    low = rng.uniform(0.9, 1.0)
    picture[int(low * size) :] *= rng.uniform(0.4, 0.9)
    clouds = 0.05 * smooth_noise(rng, (size, size), 3) + 0.02 * smooth_noise(rng, (size, size), 40)
    picture *= 1 + clouds[..., None]
    painted: Floats = np.clip(
        picture + 0.008 * rng.standard_normal(picture.shape, np.float32), 0, 1
    )
    return painted


def _hang(rng: np.random.Generator, picture: Floats) -> None:
    """A picture, door, shelf, lamp, window or curtain."""
    size = len(picture)
    w, h = (rng.uniform(0.05, 0.3, 2) * size).astype(int)
    if rng.random() < 0.25:  # a door, cupboard or curtain, down to the floor
        w, h = int(rng.uniform(0.1, 0.3) * size), int(rng.uniform(0.5, 0.9) * size)
        left, top = int(rng.uniform(0, size - w)), size - h
    else:
        left, top = (int(rng.uniform(0, size - side)) for side in (w, int(h * 1.2) + 1))
    part = picture[top : top + h, left : left + w]
    if not part.size:
        return
    inside = np.broadcast_to(color(rng), part.shape).copy()
    noise = smooth_noise(rng, part.shape[:2], rng.uniform(2, 9))
    inside[noise > rng.uniform(-0.5, 1)] = color(rng)
    if rng.random() < 0.3:  # books, boxes or folds
        columns = np.floor(np.linspace(0, rng.uniform(4, 20), part.shape[1])).astype(int)
        inside *= rng.uniform(0.5, 1.2, columns.max() + 1)[columns][None, :, None]
    if rng.random() < 0.25:
        inside = np.full(part.shape, rng.uniform(0.85, 1.0))
    edge = max(1, int(0.05 * min(w, h)))
    frame = color(rng)
    part[...] = frame
    part[edge:-edge, edge:-edge] = inside[edge:-edge, edge:-edge]


def floor_texture(rng: np.random.Generator) -> Floats:
    """(384, 384, 3) sRGB: planks, tiles, carpet, stone or grass."""
    size = 384
    base = np.clip(color(rng) * 0.3 + rng.uniform(0.1, 0.45), 0.03, 0.9)
    y, x = np.mgrid[:size, :size].astype(np.float32) / size
    picture = np.broadcast_to(base.astype(np.float32), (size, size, 3)).copy()
    kind = rng.choice(["planks", "tiles", "carpet", "grass"], p=[0.35, 0.2, 0.3, 0.15])
    if kind == "planks":
        number = np.floor(x * 10).astype(int)
        picture *= rng.uniform(0.8, 1.15, 10)[number][..., None]
        picture *= 1 - 0.4 * (np.mod(x * 10, 1) < 0.03)[..., None]
        picture *= 1 + 0.08 * smooth_noise(rng, (size, size), 3, 30)[..., None]
    elif kind == "tiles":
        odd = (np.floor(x * 6) + np.floor(y * 6)) % 2
        picture *= 1 - rng.uniform(0, 0.5) * odd[..., None]
        gap = (np.mod(x * 6, 1) < 0.03) | (np.mod(y * 6, 1) < 0.03)
        picture[gap] *= 0.6
    elif kind == "grass":
        picture[:] = np.array([0.2, 0.33, 0.1]) * rng.uniform(0.7, 1.4)
        picture *= 1 + 0.35 * smooth_noise(rng, (size, size), 150)[..., None]
    else:
        picture *= 1 + 0.12 * smooth_noise(rng, (size, size), 120)[..., None]
    clouds = 0.08 * smooth_noise(rng, (size, size), 5)
    painted: Floats = np.clip(picture * (1 + clouds[..., None]), 0, 1)
    return painted


def backdrop_texture(rng: np.random.Generator) -> Floats:
    """(512, 512, 3) sRGB: layers of bushes, hills and houses, the nearest one lowest."""
    size = 512
    picture = np.broadcast_to(np.clip(color(rng) * 0.15 + 0.65, 0, 1), (size, size, 3)).copy()
    y, x = np.mgrid[:size, :size].astype(np.float32) / size
    for layer in range(int(rng.integers(2, 5))):
        top = rng.uniform(0.25, 0.7) + 0.08 * layer
        if rng.random() < 0.6:
            hills = smooth_noise(rng, (1, size), 1, rng.uniform(3, 12) / size)[0]
            leaves = smooth_noise(rng, (1, size), 1, rng.uniform(30, 120) / size)[0]
            ridge = top + 0.04 * hills + 0.008 * leaves
            tone = np.array([0.17, 0.27, 0.13]) * rng.uniform(0.6, 1.5) * rng.uniform(0.8, 1.2, 3)
            clumps = smooth_noise(rng, (size, size), rng.uniform(8, 20))
            twigs = smooth_noise(rng, (size, size), rng.uniform(60, 160))
            rough = 1 + 0.18 * clumps + 0.14 * twigs
        else:
            steps = rng.uniform(-0.2, 0.12, 12)
            ridge = top + steps[np.floor(x[0] * 11.99).astype(int)]
            tone = np.clip(color(rng) * 0.4 + 0.3, 0, 1)
            across, down = rng.uniform(18, 60), rng.uniform(14, 45)
            windows = (np.mod(x * across, 1) < 0.4) & (np.mod(y * down, 1) < 0.5)
            walls = 0.04 * smooth_noise(rng, (size, size), 30)
            rough = 1 + walls - rng.uniform(-0.15, 0.3) * windows
        own = y > ridge[None]
        picture[own] = np.clip(tone * rough[..., None], 0, 1)[own]
    return picture
