"""The neck, and hair behind the shoulders: what of a head goes behind the clothes as it bows."""

from __future__ import annotations

import cv2
import numpy as np

from magicpose_cli.arrays import Floats, Mask
from magicpose_cli.warping.grid import Grid
from magicpose_cli.warping.warp_points import WarpPoints

# All in widths of the face.
NECK_WIDTH = 0.2  # to either side, where a neck surely is
REACH = 1.0  # to either side, where something of a head may be behind the clothes
HANGING = 0.15  # below the neck's end, from which on what hangs there is hair before the clothes

MIN_SHOWN = 0.02  # of the person in a node, from which on it is looked at


def nodes_behind_collar(
    parts: list[str], weights: Floats, reference: WarpPoints, alpha: Floats, grid: Grid
) -> Mask | None:
    """Find the grid's nodes of the head that go behind the clothes.

    Those are below the chin, but for hair that hangs down before the clothes.

    Args:
        parts: As of `body_parts`.
        weights: As of `skin_weights`.
        reference: The reference's points.
        alpha: (H, W) float32, 0 to 1, of the padded size: where the person is.
        grid: Of the reference.

    Returns:
        (rows, columns); None where the reference shows none.
    """
    if "head" not in parts or not (reference.has_face and reference.has("neck")):
        return None
    face, low = reference.outline(), reference.joint("neck")
    middle = face.mean(0)
    down = (low - middle) / max(float(np.linalg.norm(low - middle)), 1e-6)
    across = np.array([down[1], -down[0]])
    chin, width = float(((face - middle) @ down).max()), float(np.ptp(face @ across))
    shown = cv2.resize(alpha, grid.shape[::-1], interpolation=cv2.INTER_AREA) > MIN_SHOWN
    nodes = grid.nodes() - middle
    along, aside = nodes @ down, nodes @ across
    below = (weights.argmax(0) == parts.index("head")) & shown & (along > chin)
    below &= np.abs(aside) < REACH * width
    on_neck = below & (np.abs(aside) < NECK_WIDTH * width)
    if not on_neck.any():
        return None
    column = np.rint((aside + REACH * width) / grid.step).astype(int)
    ends = np.full(column.max() + 1, -np.inf)
    np.maximum.at(ends, column[below], along[below])
    hangs = ends > along[on_neck].max() + HANGING * width
    behind: Mask = below & ~hangs[column.clip(0)]
    return behind
