"""What the network made of a window, put back into the picture the window was cut from."""

from __future__ import annotations

import math

import numpy as np
from PIL import Image

from magicpose_cli.motion.framing import WINDOW_FADE, Framing


class Paster:
    """Lays made frames over the whole reference picture, always at the same place.

    picture: (H, W, 3) uint8 RGB that `framing` was made for. feather: how much of the window's
    short side the result takes to fade into the picture; an edge of the window on the picture's own
    edge, or beyond it, does not fade.
    """

    def __init__(self, picture: np.ndarray, framing: Framing, feather: float = WINDOW_FADE) -> None:
        self._picture = Image.fromarray(picture)
        self._framing = framing
        left, top, right, bottom = framing.window
        width, height = self._picture.size
        reach = feather * min(right - left, bottom - top)
        # The whole pixels of the picture that the window covers, and where they lie in the frame.
        x, end_x = _covered(left, right, width)
        y, end_y = _covered(top, bottom, height)
        self._place = (x, y)
        self._size = (end_x - x, end_y - y)
        across, down = framing.width / (right - left), framing.height / (bottom - top)
        self._part = (
            max(0.0, (x - left) * across),
            max(0.0, (y - top) * down),
            min(float(framing.width), (end_x - left) * across),
            min(float(framing.height), (end_y - top) * down),
        )
        fade = np.outer(_fade(top, bottom, height, reach), _fade(left, right, width, reach))
        self._mask = Image.fromarray(np.rint(255 * fade).astype(np.uint8))

    def paste(self, made: np.ndarray) -> np.ndarray:
        """A frame of the framing's (height, width, 3) uint8 -> the picture with it, (H, W, 3)."""
        expected = (self._framing.height, self._framing.width, 3)
        if made.shape != expected or made.dtype != np.uint8:
            raise ValueError(f"expected uint8 {expected}, got {made.dtype} {made.shape}")
        whole = self._picture.copy()
        frame = Image.fromarray(made).resize(self._size, Image.Resampling.LANCZOS, self._part)
        whole.paste(frame, self._place, self._mask)
        return np.asarray(whole)


def _covered(low: float, high: float, length: int) -> tuple[int, int]:
    """First pixel that lies wholly inside both, and the one after the last."""
    return max(0, math.ceil(low)), min(length, math.floor(high))


def _fade(low: float, high: float, length: int, reach: float) -> np.ndarray:
    """0 at the window's ends to 1 inside, smooth, for the pixels covered; an end that is not inside
    the picture stays 1."""
    first, end = _covered(low, high, length)
    middle = np.arange(first, end) + 0.5
    depth = np.full(len(middle), np.inf)
    if low > 0:
        depth = np.minimum(depth, middle - low)
    if high < length:
        depth = np.minimum(depth, high - middle)
    share = np.clip(depth / max(reach, 1e-9), 0.0, 1.0)
    return share * share * (3 - 2 * share)
