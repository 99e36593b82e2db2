"""Alpha and colors of what is in front, told from the colors around its edge.

Written here rather than taken from a library because the one that has both compiles itself for a
minute and a half where it is first used.
"""

from __future__ import annotations

import cv2
import numpy as np

from magicpose_cli.arrays import Floats, Picture

MATTING_EPSILON = 1e-7  # Levin's epsilon: a variance of colors in 0..1 that counts as none
WINDOW_PIXELS = 9  # in a window of 3x3
WIDE_BOX_PX, NARROW_BOX_PX = 90, 6  # sides of the boxes over which colors are averaged


def closed_form_alpha(picture: Picture, trimap: Floats) -> Floats:
    """Find the matte of least cost.

    Time and memory grow with the number of unknown pixels. Source: Levin et al. 2008, "A
    Closed-Form Solution to Natural Image Matting", equations 5 and 12.

    Args:
        picture: (H, W, 3) uint8 RGB.
        trimap: (H, W) float32: 0 behind, 1 in front, anything else unknown.

    Returns:
        (H, W) float32, 0 to 1.
    """
    from scipy.sparse import csr_matrix
    from scipy.sparse.linalg import splu

    height, width = trimap.shape
    known = (trimap == 0) | (trimap == 1)
    rows, columns = np.nonzero(cv2.dilate((~known).astype(np.uint8), np.ones((3, 3), np.uint8)))
    inside = (rows > 0) & (rows < height - 1) & (columns > 0) & (columns < width - 1)
    offsets = np.array([dy * width + dx for dy in (-1, 0, 1) for dx in (-1, 0, 1)])
    windows = (rows * width + columns)[inside, None] + offsets
    colors = picture.reshape(-1, 3)[windows] / 255
    colors -= colors.mean(1, keepdims=True)
    spread = np.swapaxes(colors, 1, 2) @ colors / WINDOW_PIXELS
    spread += MATTING_EPSILON / WINDOW_PIXELS * np.eye(3)
    alike = (1 + colors @ np.linalg.inv(spread) @ np.swapaxes(colors, 1, 2)) / WINDOW_PIXELS
    cost = (np.eye(WINDOW_PIXELS) - alike).ravel()
    number = np.full(height * width, -1)
    used, place = np.unique(windows, return_inverse=True)
    number[used] = np.arange(len(used))
    place = place.reshape(windows.shape)
    start, end = np.repeat(place, WINDOW_PIXELS, 1).ravel(), np.tile(place, WINDOW_PIXELS).ravel()
    laplacian = csr_matrix((cost, (start, end)), shape=(len(used),) * 2)
    given = known.ravel()[used]
    free = np.flatnonzero(~given)
    alpha = trimap.astype(np.float64).ravel()
    pulled = -(laplacian[free][:, np.flatnonzero(given)] @ alpha[used[given]])
    system = laplacian[free][:, free].tocsc()
    solver = splu(system, permc_spec="MMD_AT_PLUS_A", options={"SymmetricMode": True})
    alpha[used[free]] = solver.solve(pulled).clip(0, 1)
    return alpha.reshape(height, width).astype(np.float32)


def foreground_colors(picture: Picture, alpha: Floats) -> Floats:
    """Estimate the colors of what is in front, without what shines through from behind it.

    Source: Forte 2021, "Approximate Fast Foreground Colour Estimation".

    Args:
        picture: (H, W, 3) uint8 RGB.
        alpha: (H, W) float32, 0 to 1.

    Returns:
        (H, W, 3) float32 in 0..255; where alpha is 1 the picture's own colors.
    """
    whole = picture.astype(np.float32)
    front: Floats = whole
    behind: Floats = whole
    share = alpha[..., None]
    for side in (WIDE_BOX_PX, NARROW_BOX_PX):
        front, behind = _averaged(front, alpha, side), _averaged(behind, 1 - alpha, side)
        front = (front + share * (whole - share * front - (1 - share) * behind)).clip(0, 255)
    return np.where(share < 1, front, whole)


def _averaged(colors: Floats, weight: Floats, side: int) -> Floats:
    total = cv2.blur(weight, (side, side))[..., None]
    mean: Floats = cv2.blur(colors * weight[..., None], (side, side)) / np.maximum(total, 1e-5)
    return mean
