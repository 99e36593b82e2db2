"""Boxes of whole pixels around what a mask holds."""

from __future__ import annotations

import cv2
import numpy as np

from magicpose_cli.arrays import AnyArray

PixelBox = tuple[slice, slice]
"""Rows and columns of a picture, to index it with."""


def bounding_box(mask: AnyArray, margin_px: int = 0) -> PixelBox | None:
    """Find the rows and columns of what is not 0, with a margin that ends at the mask's edges.

    Args:
        mask: (H, W) bool or uint8.
        margin_px: Pixels around what is found.

    Returns:
        None where all of the mask is 0.
    """
    left, top, width, height = cv2.boundingRect(mask.view(np.uint8))
    if not width:
        return None
    rows = slice(max(0, top - margin_px), min(mask.shape[0], top + height + margin_px))
    columns = slice(max(0, left - margin_px), min(mask.shape[1], left + width + margin_px))
    return rows, columns
