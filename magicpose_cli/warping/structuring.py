"""The squares by which masks are eroded and dilated."""

from __future__ import annotations

import numpy as np

from magicpose_cli.arrays import Integers

MIN_ELEMENT_PX = 3  # a smaller square changes nothing


def square_element(side_px: float) -> Integers:
    """Make a structuring element of about this side, odd so that it has a middle, (s, s) uint8."""
    return np.ones((max(MIN_ELEMENT_PX, round(side_px) | 1),) * 2, np.uint8)
