"""The grain of a picture, for what is filled smoothly.

Noise, a canvas, the weave of a cloth: without them a filling is seen as a smooth spot. Blocks of
what is finer than the filling are taken from the even places nearby and laid over each other. As
neighbors have nothing in common, windows whose squares add up to 1 keep the strength (the noise of
texture by blocks, Heitz and Neyret 2018, "High-Performance By-Example Noise").
"""

from __future__ import annotations

import cv2
import numpy as np
from scipy.spatial import cKDTree

from magicpose_cli.arrays import Floats, Integers, Mask

GRAIN_SIGMA = 1 / 64  # of the picture's short side: what is coarser is no grain
BLOCK_SIDE = 1 / 16  # of the short side
NEAREST_BLOCKS = 48  # of which one is taken
EVEN_SHARE = 0.1  # of these that surely are even
EDGE_ENERGY = 1.7  # times as strong as those is more than grain: an edge of something,
EDGE_DETAIL = 8  # looked for in such a part of half a block
MAX_DEVIATIONS = 2.0  # of the strongest grain of an even block, to which a block is cut


def grain_like(colors: Floats, known: Floats, side: int) -> Floats:
    """Make grain as it is around a hole.

    Args:
        colors: (H, W, 3) float32 RGB in 0..255.
        known: (H, W) float32, 1 where the colors are known, else 0.
        side: The picture's short side in pixels.

    Returns:
        (H, W, 3) float32 levels about 0, in the hole; zeros where nothing around is known.
    """
    half = max(4, round(BLOCK_SIDE * side / 2))
    grain = np.zeros((*known.shape, 3), np.float32)
    colors, known = (np.ascontiguousarray(values) for values in (colors, known))
    fine = _fine(colors, known, GRAIN_SIGMA * side)
    # At an edge of what is known a slope would be taken for grain.
    away = np.ones((2 * (half + round(2 * GRAIN_SIGMA * side)),) * 2, np.uint8)
    surely = np.pad(known, 1)
    sources = _blocks(cv2.erode(surely, away)[1:-1, 1:-1] > 0, half)
    targets = _blocks(cv2.dilate(1 - known, np.ones((2 * half,) * 2, np.uint8)) > 0, half)
    if not len(sources) or not len(targets):
        return grain
    local = cv2.GaussianBlur((fine**2).mean(2), (0, 0), half / EDGE_DETAIL)
    energy = cv2.dilate(local, np.ones((2 * half,) * 2, np.uint8))[tuple(sources.T)]
    count = min(NEAREST_BLOCKS, len(sources))
    _, near = cKDTree(sources).query(targets, count)
    near = near.reshape(len(targets), count)
    ranked = np.take_along_axis(near, energy[near].argsort(1, kind="stable"), 1)
    even = energy[ranked[:, round(EVEN_SHARE * (count - 1))]]
    usable = (energy[ranked] <= EDGE_ENERGY * even[:, None]).sum(1)
    random = np.random.default_rng(0)
    chosen = ranked[np.arange(len(targets)), (random.random(len(targets)) * usable).astype(int)]
    window = np.sin((np.arange(2 * half) + 0.5) * np.pi / (2 * half)).astype(np.float32)
    shares = (window[:, None] * window)[..., None]
    most = MAX_DEVIATIONS * np.sqrt(even)
    pairs = zip(targets - half, sources[chosen] - half, most, strict=True)
    for (row, column), (top, left), limit in pairs:
        block = fine[top : top + 2 * half, left : left + 2 * half].clip(-limit, limit)
        grain[row : row + 2 * half, column : column + 2 * half] += shares * block
    return np.asarray(grain * (1 - known)[..., None], np.float32)


def _fine(colors: Floats, known: Floats, sigma: float) -> Floats:
    """Return what is finer than a deviation of some pixels, (H, W, 3); 0 in the hole."""
    weight = np.maximum(cv2.GaussianBlur(known, (0, 0), sigma), 1e-3)
    coarse = cv2.GaussianBlur(colors * known[..., None], (0, 0), sigma) / weight[..., None]
    return np.asarray((colors - coarse) * known[..., None], np.float32)


def _blocks(where: Mask, half: int) -> Integers:
    """Return the middles (n, 2) of blocks that lie in the picture, half a block apart."""
    rows, columns = (np.arange(half, size - half + 1, half) for size in where.shape)
    grid = np.stack(np.meshgrid(rows, columns, indexing="ij"), -1).reshape(-1, 2)
    grid = grid[(grid < np.array(where.shape)).all(1)]
    return np.asarray(grid[where[tuple(grid.T)]])
