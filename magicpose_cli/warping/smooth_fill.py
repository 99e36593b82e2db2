"""A smooth guess of what lies in a hole of a picture.

Behind most people there is a floor, a horizon or a curtain: where the colors to the left and to
the right of a hole agree, they go on through it, and so do those above and below. What neither
tells comes from all around.
"""

from __future__ import annotations

import cv2
import numpy as np

from magicpose_cli.arrays import Floats, Integers
from magicpose_cli.warping.interpolation import push_pull

SIDE_BLUR = 1 / 60  # of the picture's short side, over which a color beside the hole is averaged
AGREE = 16.0  # levels of 255: colors of two sides that differ by as much hardly agree
MIN_AGREEMENT = 0.02  # below which two sides tell nothing


def smooth_fill(colors: Floats, known: Floats, side: float) -> Floats:
    """Fill what is not known with smooth colors.

    Args:
        colors: (H, W, n) float32 in 0..255.
        known: (H, W) float32, 1 where the colors are known, else 0.
        side: The picture's short side in pixels.

    Returns:
        (H, W, n) float32; the known colors stay.
    """
    sigma = max(0.8, SIDE_BLUR * side)
    weight = cv2.GaussianBlur(known, (0, 0), sigma)
    total = cv2.GaussianBlur(colors * known[..., None], (0, 0), sigma).reshape(colors.shape)
    means = np.asarray(total / np.maximum(weight, 1e-3)[..., None], np.float32)
    across, agreed_across = _between_sides(means, known)
    turned, agreed_turned = _between_sides(np.swapaxes(means, 0, 1), known.T)
    down, agreed_down = np.swapaxes(turned, 0, 1), agreed_turned.T
    agreed = np.maximum(agreed_across, agreed_down)
    share = (agreed_across / np.maximum(agreed_across + agreed_down, 1e-6))[..., None]
    through = down + share * (across - down)
    hole = 1 - known
    values = known[..., None] * colors + hole[..., None] * through
    return push_pull(values, np.asarray(known + hole * agreed, np.float32))


def _between_sides(means: Floats, known: Floats) -> tuple[Floats, Floats]:
    """Interpolate in each row between the two nearest known pixels.

    Args:
        means: (H, W, n) float32.
        known: (H, W) float32, 0 or 1.

    Returns:
        (H, W, n), and how much the two sides agree, (H, W) 0 to 1; 0 where there are no two.
    """
    left = _nearest_before(known)
    right = known.shape[1] - 1 - _nearest_before(known[:, ::-1])[:, ::-1]
    both = (left >= 0) & (right < known.shape[1])
    left, right = np.where(both, left, 0), np.where(both, right, 0)
    rows = np.arange(len(known))[:, None]
    one, other = means[rows, left], means[rows, right]
    column = np.arange(known.shape[1])
    place = ((column - left) / np.maximum(right - left, 1))[..., None]
    apart = np.abs(one - other).max(2)
    agreed = np.where(both, np.exp(-((apart / AGREE) ** 2)), 0)
    agreed[agreed < MIN_AGREEMENT] = 0
    between = one + place * (other - one)
    return np.asarray(between, np.float32), np.asarray(agreed, np.float32)


def _nearest_before(known: Floats) -> Integers:
    """Return the column of the last known pixel up to each one of its row, (H, W), -1 for none."""
    columns = np.where(known > 0.5, np.arange(known.shape[1]), -1)
    return np.asarray(np.maximum.accumulate(columns, axis=1))
