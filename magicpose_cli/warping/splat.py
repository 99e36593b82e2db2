"""A forward motion turned into a picture: every pixel's new place splatted, the map inverted.

Pixels of the frame look up where they come from in a smoothed map, so that each is sampled once
from the reference and stays sharp. Where too few pixels arrive the picture is torn, and open.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise

import cv2
import numpy as np

from magicpose_cli.warping.grid import CELL, Grid, Window
from magicpose_cli.warping.interpolation import push_pull
from magicpose_cli.warping.layers import Layer

SMOOTH = 0.8  # cells, of the inverted map
VISIBLE = 0.01  # of alpha: pixels with less are not moved
# Points that arrive in a cell, as a share of what usually does: with fewer than the first the layer
# is torn there, from the second on it is whole.
TORN, WHOLE = 0.1, 0.35
HIDES = 0.3  # points that arrive, from where on a fold's front hides what is behind it
SURE = 0.05  # points that arrive, from where on the map is known
SPECK = 80  # pixels at a short side of 512: smaller pieces are dropped
CLOSED = 5  # cells: narrower gaps between those where points arrive are no holes
ROOM = 3  # cells around all that arrives


@dataclass(frozen=True)
class Moved:
    """A layer in a frame: box (rows, columns) of the frame, there alpha (h, w, 1) and colors
    (h, w, 3) float32."""

    box: tuple[slice, slice]
    alpha: np.ndarray
    colors: np.ndarray


class Splatter:
    """Moves one layer of a reference."""

    def __init__(self, layer: Layer, grid: Grid, window: Window) -> None:
        self._layer, self._grid = layer, grid
        ranks = cv2.resize(layer.rank, grid.field_size, interpolation=cv2.INTER_NEAREST)
        ranks = ranks[window.points].ravel()
        visible = cv2.dilate((layer.alpha > VISIBLE).astype(np.float32), np.ones((5, 5), np.uint8))
        index = np.flatnonzero(grid.at_field_points(visible)[window.points] > 0)
        self._index = index[np.argsort(ranks[index], kind="stable")]  # from back to front
        self._rank = ranks[self._index]
        places = grid.field_points()[window.points].reshape(-1, 2)
        self._from_x, self._from_y = places[self._index].T.astype(np.float32)

    def __call__(self, field: np.ndarray, solid: np.ndarray | None = None) -> Moved | None:
        """field: (h, w, 2), how far the points in the layer's window go. solid: (H, W) uint8 of the
        frame, 1 where there are no holes, whatever is stretched. None where nothing arrives in the
        picture."""
        grid = self._grid
        columns, rows = -(-grid.width // CELL), -(-grid.height // CELL)
        further_x, further_y = (field[..., axis].ravel()[self._index] for axis in (0, 1))
        x, y = (
            np.floor((start + further + 0.5) / CELL).astype(np.int32)
            for start, further in ((self._from_x, further_x), (self._from_y, further_y))
        )
        arrives = np.flatnonzero((x >= 0) & (x < columns) & (y >= 0) & (y < rows))
        if not len(arrives):
            return None
        x, y = x[arrives], y[arrives]
        left, top = max(int(x.min()) - ROOM, 0), max(int(y.min()) - ROOM, 0)
        right, bottom = min(int(x.max()) + ROOM + 1, columns), min(int(y.max()) + ROOM + 1, rows)
        shape = bottom - top, right - left
        index = (y - top) * shape[1] + x - left
        back = -further_x[arrives], -further_y[arrives]
        count, *sums = self._gathered(index, back, self._rank[arrives], shape)
        known = count > SURE
        mean = cv2.merge(sums) / np.maximum(count, 1e-6)[..., None]
        mean = push_pull(
            np.where(known[..., None], mean, 0), np.where(known, np.minimum(2 * count, 1), 0)
        )
        top, left = CELL * top, CELL * left
        bottom, right = min(CELL * bottom, grid.height), min(CELL * right, grid.width)
        box, size = np.s_[top:bottom, left:right], (CELL * shape[1], CELL * shape[0])
        high, wide = bottom - top, right - left  # the last cell may lie over the picture's edge
        way = cv2.resize(mean, size, interpolation=cv2.INTER_LINEAR)[:high, :wide]
        whole = cv2.resize(self._whole(count), size, interpolation=cv2.INTER_LINEAR)[:high, :wide]
        # Around all that arrives the map only goes on as it ended: into the layer again where the
        # layer has turned about.
        arrived: np.ndarray = np.zeros(shape, np.float32)
        arrived.ravel()[index] = 1
        arrived = cv2.morphologyEx(arrived, cv2.MORPH_CLOSE, np.ones((CLOSED, CLOSED), np.uint8))
        inside = cv2.resize(arrived, size, interpolation=cv2.INTER_LINEAR)[:high, :wide]
        open_ = inside * cv2.dilate(whole, np.ones((3, 3), np.uint8))
        if solid is not None:
            open_ = np.maximum(open_, solid[box])
        across, down = (
            np.arange(*ends, dtype=np.float32) for ends in ((left, right), (top, bottom))
        )
        from_x = (way[..., 0] + across + grid.pad).astype(np.float32, copy=False)
        from_y = (way[..., 1] + down[:, None] + grid.pad).astype(np.float32, copy=False)
        alpha = open_ * cv2.remap(
            self._layer.alpha,
            from_x,
            from_y,
            cv2.INTER_LINEAR,
            borderMode=cv2.BORDER_CONSTANT,
            borderValue=(0,),
        )
        colors = cv2.remap(
            self._layer.colors, from_x, from_y, cv2.INTER_CUBIC, borderMode=cv2.BORDER_REFLECT_101
        )
        colors = colors.reshape(*alpha.shape, -1)  # OpenCV drops the axis of a single channel
        return Moved(box, alpha[..., None], colors.astype(np.float32))

    def _gathered(
        self,
        index: np.ndarray,
        back: tuple[np.ndarray, np.ndarray],
        rank: np.ndarray,
        shape: tuple[int, int],
    ) -> list[np.ndarray]:
        """How many points arrive in each cell, and the sums of what they bring.

        index: of each point's cell; rank: of each point, rising. Where a layer folds, its front
        hides what is behind: their mean would be of neither.
        """
        size = shape[0] * shape[1]
        total: np.ndarray = np.zeros((*shape, 3), np.float32)
        starts = np.flatnonzero(np.diff(rank)) + 1
        for first, end in pairwise((0, *starts.tolist(), len(rank))):
            here = np.s_[first:end]
            weights = (None, back[0][here], back[1][here])
            sums = [np.bincount(index[here], w, size).astype(np.float32) for w in weights]
            front = cv2.GaussianBlur(cv2.merge([s.reshape(shape) for s in sums]), (0, 0), SMOOTH)
            hides = np.clip((front[..., 0] - SURE) / (HIDES - SURE), 0, 1)
            total = total * (1 - hides[..., None]) + front if first else front
        return list(cv2.split(total))

    def _whole(self, count: np.ndarray) -> np.ndarray:
        """(h, w) float32: 1 where the layer is not torn."""
        usual = min(1.0, float(np.median(count[count > SURE]))) if (count > SURE).any() else 1.0
        # less than 1 where the whole person has come nearer; points that are stretched lie unevenly
        count = cv2.GaussianBlur(count, (0, 0), 2 * SMOOTH) / usual
        _, labels, stats, _ = cv2.connectedComponentsWithStats((count > TORN).astype(np.uint8))
        unit = min(self._grid.width, self._grid.height) / 512 / CELL
        large = stats[:, cv2.CC_STAT_AREA] > SPECK * unit**2
        share = np.clip((count - TORN) / (WHOLE - TORN), 0, 1)
        return (share * large[labels]).astype(np.float32)
