"""A forward motion turned into a picture: every pixel's new place splatted, the map inverted.

Pixels of the frame look up where they come from in a smoothed map, so that each is sampled once
from the reference and stays sharp. Where too few pixels arrive the picture is torn, and open.
"""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np

from magicpose_cli.warping.grid import Grid
from magicpose_cli.warping.interpolation import push_pull
from magicpose_cli.warping.layers import Layer

SMOOTH = 1.2  # pixels, of the inverted map
VISIBLE = 0.01  # of alpha: pixels with less are not moved
TORN = 0.15  # pixels that arrive at one: fewer is stretched beyond three times and open
SURE = 0.05  # pixels that arrive, from where on the map is known
SPECK = 80  # pixels at a short side of 512: smaller pieces are dropped
ROOM = 4  # pixels around all that arrives


@dataclass(frozen=True)
class Moved:
    """A layer in a frame: box (rows, columns) of the frame, there alpha (h, w, 1) and colors
    (h, w, 3) float32, and density (h, w): reference pixels that arrive at one."""

    box: tuple[slice, slice]
    alpha: np.ndarray
    colors: np.ndarray
    density: np.ndarray


class Splatter:
    """Moves one layer of a reference."""

    def __init__(self, layer: Layer, grid: Grid) -> None:
        self._layer, self._grid = layer, grid
        visible = (layer.alpha > VISIBLE).astype(np.uint8)
        self._index = np.flatnonzero(cv2.dilate(visible, np.ones((3, 3), np.uint8)))
        rows, columns = np.divmod(self._index, grid.padded[0])
        self._x, self._y = ((v - grid.pad).astype(np.float32) for v in (columns, rows))

    def __call__(self, field: np.ndarray, solid: np.ndarray | None = None) -> Moved | None:
        """field: (H, W, 2) of the padded picture. solid: (H, W) uint8 of the frame, 1 where there
        are no holes, whatever is stretched. None where nothing arrives in the picture."""
        to = field.reshape(-1, 2)[self._index]
        grid = self._grid
        x, y = np.rint(to[:, 0]).astype(np.int32), np.rint(to[:, 1]).astype(np.int32)
        arrives = (x >= 0) & (x < grid.width) & (y >= 0) & (y < grid.height)
        if not arrives.any():
            return None
        x, y, to = x[arrives], y[arrives], to[arrives]
        left, top = max(0, int(x.min()) - ROOM), max(0, int(y.min()) - ROOM)
        right = min(grid.width, int(x.max()) + ROOM + 1)
        bottom = min(grid.height, int(y.max()) + ROOM + 1)
        box, shape = np.s_[top:bottom, left:right], (bottom - top, right - left)
        # To first order: what is at the arriving pixel's own center.
        back_x, back_y = self._x[arrives] - to[:, 0], self._y[arrives] - to[:, 1]
        count, sum_x, sum_y = self._gathered((y - top) * shape[1] + x - left, back_x, back_y, shape)
        known = count > SURE
        back = np.stack([sum_x, sum_y], -1) / np.maximum(count, 1e-6)[..., None]
        back = push_pull(
            np.where(known[..., None], back, 0), np.where(known, np.minimum(2 * count, 1), 0)
        )
        open_ = self._open(count, None if solid is None else solid[box])
        from_x = back[..., 0] + np.arange(left, right, dtype=np.float32) + grid.pad
        from_y = back[..., 1] + np.arange(top, bottom, dtype=np.float32)[:, None] + grid.pad
        alpha = (
            cv2.remap(self._layer.alpha, from_x, from_y, cv2.INTER_LINEAR, borderValue=0) * open_
        )
        colors = cv2.remap(
            self._layer.colors, from_x, from_y, cv2.INTER_CUBIC, borderMode=cv2.BORDER_REFLECT_101
        )
        return Moved(box, alpha[..., None], colors, count)

    def _gathered(
        self, index: np.ndarray, x: np.ndarray, y: np.ndarray, shape: tuple[int, int]
    ) -> list[np.ndarray]:
        """How many pixels arrive around each, and the sums of what they bring."""
        size = shape[0] * shape[1]
        sums = (np.bincount(index, weights, size) for weights in (None, x, y))
        return [cv2.GaussianBlur(s.reshape(shape).astype(np.float32), (0, 0), SMOOTH) for s in sums]

    def _open(self, count: np.ndarray, solid: np.ndarray | None) -> np.ndarray:
        """(h, w) uint8: 1 where the layer is not torn, and one pixel around."""
        whole = (count > TORN).astype(np.uint8)
        _, labels, stats, _ = cv2.connectedComponentsWithStats(whole)
        unit = min(self._grid.width, self._grid.height) / 512
        large = stats[:, cv2.CC_STAT_AREA] > SPECK * unit**2
        whole = (whole * large[labels]).astype(np.uint8)
        if solid is not None:
            whole = np.maximum(whole, solid)
        return cv2.dilate(whole, np.ones((3, 3), np.uint8))
