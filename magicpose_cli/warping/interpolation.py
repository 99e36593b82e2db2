"""Fields and pictures that are known in places, carried to all pixels."""

from __future__ import annotations

import cv2
import numpy as np


def push_pull(values: np.ndarray, weight: np.ndarray) -> np.ndarray:
    """Fill smoothly what is not known (Gortler et al. 1996, "The Lumigraph", section 3.4).

    values: (H, W, n) float32; weight: (H, W) float32 in 0..1, how well each is known. Where the
    weight is 1 the values stay; where it is 0 they come from all around, the nearest the most. What
    is known nowhere is 0.
    """
    height, width = weight.shape
    if min(height, width) <= 2:
        total = weight.sum()
        mean = (values * weight[..., None]).sum((0, 1)) / max(float(total), 1e-6)
        return np.where(weight[..., None] > 0, values, mean).astype(np.float32)
    half = ((width + 1) // 2, (height + 1) // 2)
    known = values * weight[..., None]
    less = cv2.resize(weight, half, interpolation=cv2.INTER_AREA)
    coarse = cv2.resize(known, half, interpolation=cv2.INTER_AREA)
    coarse = coarse.reshape(*less.shape, -1) / np.maximum(less, 1e-6)[..., None]
    coarse = push_pull(coarse, (less > 1e-3).astype(np.float32))
    filled = cv2.resize(coarse, (width, height), interpolation=cv2.INTER_LINEAR)
    return known + filled.reshape(values.shape) * (1 - weight[..., None])


def upsample(grid: np.ndarray, size: tuple[int, int]) -> np.ndarray:
    """Values at the nodes of a grid, whose outermost are the outermost pixels' centers, at all
    pixels: (h, w, n) float32 -> (height, width, n), linear; size: (width, height)."""
    width, height = size
    x = np.linspace(0, grid.shape[1] - 1, width, dtype=np.float32)
    y = np.linspace(0, grid.shape[0] - 1, height, dtype=np.float32)
    return cv2.remap(
        grid.astype(np.float32, copy=False),
        np.broadcast_to(x, (height, width)).copy(),
        np.broadcast_to(y[:, None], (height, width)).copy(),
        cv2.INTER_LINEAR,
        borderMode=cv2.BORDER_REPLICATE,
    )


def similarity(source: np.ndarray, target: np.ndarray) -> np.ndarray:
    """The rotation, uniform scale and shift that lay one set of points onto another (Umeyama 1991).

    (n, d) each -> (d, d + 1), to be used as `points @ m[:, :d].T + m[:, d]`.
    """
    mean_source, mean_target = source.mean(0), target.mean(0)
    x, y = source - mean_source, target - mean_target
    u, stretch, v = np.linalg.svd(y.T @ x)
    sign = np.ones(len(stretch))
    sign[-1] = np.sign(np.linalg.det(u @ v)) or 1.0
    scale = (stretch * sign).sum() / max(float((x**2).sum()), 1e-9)
    turn = scale * (u * sign) @ v
    return np.column_stack([turn, mean_target - turn @ mean_source])


def affine(source: np.ndarray, target: np.ndarray) -> np.ndarray:
    """The affine map of the least squares, as `similarity` gives it."""
    ones = np.ones((len(source), 1))
    return np.linalg.lstsq(np.hstack([source, ones]), target, rcond=None)[0].T


def applied(map_: np.ndarray, points: np.ndarray) -> np.ndarray:
    """(..., d) points under a (k, d + 1) map -> (..., k)."""
    return points @ map_[:, :-1].T + map_[:, -1]
