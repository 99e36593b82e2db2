"""The network's frame of a window, pasted back into the picture that the window was cut from."""

from __future__ import annotations

import math

import numpy as np
from PIL import Image

from magicpose_cli.arrays import Floats, Picture
from magicpose_cli.motion.framing import WINDOW_FADE, Framing


class Paster:
    """Pastes frames into the whole reference picture, always at the same place.

    Args:
        picture: (H, W, 3) uint8 RGB that `framing` was made for.
        framing: The window of the picture that the frames show.
        feather: Share of the window's short side over which a frame fades into the picture; an edge
            of the window on the picture's own edge, or beyond it, does not fade.
    """

    def __init__(self, picture: Picture, framing: Framing, feather: float = WINDOW_FADE) -> None:
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

    def paste(self, made: Picture) -> Picture:
        """Paste one frame.

        Args:
            made: (height, width, 3) uint8 RGB of the framing's size.

        Returns:
            The whole picture, (H, W, 3) uint8 RGB.
        """
        expected = (self._framing.height, self._framing.width, 3)
        if made.shape != expected or made.dtype != np.uint8:
            raise ValueError(f"expected uint8 {expected}, got {made.dtype} {made.shape}")
        whole = self._picture.copy()
        frame = Image.fromarray(made).resize(self._size, Image.Resampling.LANCZOS, self._part)
        whole.paste(frame, self._place, self._mask)
        return np.asarray(whole)


def _covered(low: float, high: float, length: int) -> tuple[int, int]:
    """Return the first pixel that lies wholly inside both, and the one after the last."""
    return max(0, math.ceil(low)), min(length, math.floor(high))


def _fade(low: float, high: float, length: int, reach: float) -> Floats:
    """Return a smooth rise from 0 at the window's ends to 1 inside, for the pixels covered.

    At an end that does not lie inside the picture it stays 1.
    """
    first, end = _covered(low, high, length)
    middle = np.arange(first, end) + 0.5
    depth = np.full(len(middle), np.inf)
    if low > 0:
        depth = np.minimum(depth, middle - low)
    if high < length:
        depth = np.minimum(depth, high - middle)
    share = np.clip(depth / max(reach, 1e-9), 0.0, 1.0)
    rise: Floats = share * share * (3 - 2 * share)
    return rise
