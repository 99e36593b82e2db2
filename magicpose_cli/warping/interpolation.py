"""Fields and pictures that are known in places, carried to all pixels."""

from __future__ import annotations

import cv2
import numpy as np

from magicpose_cli.arrays import Floats


def ramp(values: Floats, ends: tuple[float, float]) -> Floats:
    """Return 0 up to the first of two ends and 1 from the second on, linear between them."""
    low, high = ends
    return np.clip((values - low) / (high - low), 0, 1)


def ramp_at(value: float, ends: tuple[float, float]) -> float:
    """Return the `ramp` of one value."""
    return float(ramp(np.asarray(value), ends))


def push_pull(values: Floats, weight: Floats) -> Floats:
    """Fill smoothly what is not known (Gortler et al. 1996, "The Lumigraph", section 3.4).

    Args:
        values: (H, W, n) float32.
        weight: (H, W) float32, 0 to 1: how well each pixel's values are known.

    Returns:
        (H, W, n) float32. Where the weight is 1 the values stay; where it is 0 they come from all
        around, the nearest the most. Where nothing is known at all they are 0.
    """
    height, width = weight.shape
    if min(height, width) <= 2:
        total = weight.sum()
        mean = (values * weight[..., None]).sum((0, 1)) / max(float(total), 1e-6)
        return np.where(weight[..., None] > 0, values, mean).astype(np.float32)
    half = ((width + 1) // 2, (height + 1) // 2)
    weighted = values * weight[..., None]
    less = cv2.resize(weight, half, interpolation=cv2.INTER_AREA)
    shrunk = cv2.resize(weighted, half, interpolation=cv2.INTER_AREA)
    coarse: Floats = shrunk.reshape(*less.shape, -1) / np.maximum(less, 1e-6)[..., None]
    coarse = push_pull(coarse, (less > 1e-3).astype(np.float32))
    filled = cv2.resize(coarse, (width, height), interpolation=cv2.INTER_LINEAR)
    return np.asarray(weighted + filled.reshape(values.shape) * (1 - weight[..., None]))


def upsample(grid: Floats, size: tuple[int, int]) -> Floats:
    """Interpolate values at the nodes of a grid linearly at all pixels.

    Args:
        grid: (h, w) or (h, w, n) float32; its outermost nodes are the outermost pixels' centers.
        size: (width, height) in pixels.

    Returns:
        (height, width) or (height, width, n) float32.
    """
    width, height = size
    x = np.linspace(0, grid.shape[1] - 1, width, dtype=np.float32)
    y = np.linspace(0, grid.shape[0] - 1, height, dtype=np.float32)
    pixels = cv2.remap(
        grid.astype(np.float32, copy=False),
        np.broadcast_to(x, (height, width)).copy(),
        np.broadcast_to(y[:, None], (height, width)).copy(),
        cv2.INTER_LINEAR,
        borderMode=cv2.BORDER_REPLICATE,
    )
    return np.asarray(pixels, np.float32)


def similarity(source: Floats, target: Floats) -> Floats:
    """Find the rotation, uniform scale and shift of least squares (Umeyama 1991, eq. 40 to 42).

    Args:
        source: (n, d) points.
        target: (n, d), where each of them goes.

    Returns:
        (d, d + 1), to be used as `points @ m[:, :d].T + m[:, d]`; see `apply_map`.
    """
    mean_source, mean_target = source.mean(0), target.mean(0)
    x, y = source - mean_source, target - mean_target
    u, stretch, v = np.linalg.svd(y.T @ x)
    sign = np.ones(len(stretch))
    sign[-1] = np.sign(np.linalg.det(u @ v)) or 1.0
    scale = (stretch * sign).sum() / max(float((x**2).sum()), 1e-9)
    turn = scale * (u * sign) @ v
    return np.column_stack([turn, mean_target - turn @ mean_source])


def affine(source: Floats, target: Floats) -> Floats:
    """Find the affine map of least squares; see `similarity` for shapes."""
    ones = np.ones((len(source), 1))
    return np.linalg.lstsq(np.hstack([source, ones]), target, rcond=None)[0].T


def apply_map(map_: Floats, points: Floats) -> Floats:
    """Map (..., d) points by a (k, d + 1) matrix to (..., k)."""
    moved: Floats = points @ map_[:, :-1].T + map_[:, -1]
    return moved
