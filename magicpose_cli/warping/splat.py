"""A forward motion turned into a picture: every pixel's new place is splatted, the map inverted.

Pixels of the frame look up where they come from in a smoothed map, so that each is sampled once
from the reference and stays sharp. Where too few pixels arrive the layer is torn, and has a hole.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise

import cv2
import numpy as np

from magicpose_cli.arrays import Floats, Integers
from magicpose_cli.warping.boxes import PixelBox, bounding_box
from magicpose_cli.warping.grid import FIELD_STRIDE_PX, Grid, Window
from magicpose_cli.warping.interpolation import push_pull
from magicpose_cli.warping.layers import Layer

# A cell is a square of FIELD_STRIDE_PX pixels of the frame.
MAP_SIGMA = 0.8  # cells by which the inverted map is smoothed
MIN_ALPHA = 0.01  # pixels with less are not moved
TORN_SHARE, WHOLE_SHARE = 0.1, 0.35
"""Shares of the usual number of points that arrive in a cell: with fewer than the first the layer
is torn there, from the second on it is whole."""
FRAY_SHARE, FRAY_SIDE = 0.7, 7  # of that number, cells: threads of a torn edge, which are cut
HIDING_COUNT = 0.3  # points arriving in a cell, from which on a fold's front hides what is behind
HIDING_ALPHA = (0.2, 0.7)  # of what hides nothing, as a shadow at the feet, and of what hides all
FOLDED_PX = 6.0  # between the ways back of what is in front and behind; less is a stretched joint
MIN_COUNT = 0.05  # points arriving in a cell, from which on the map is known there
SPECK_AREA_PX = 80  # at a short side of 512: smaller pieces of a layer are dropped
CLOSING_SIDE = 5  # cells: narrower gaps between cells where points arrive are no holes
MAP_MARGIN = 3  # cells around all those where points arrive


@dataclass(frozen=True)
class SplattedLayer:
    """A layer in a frame.

    Attributes:
        box: Rows and columns of the frame.
        alpha: (h, w, 1) float32 in the box, 0 to 1.
        colors: (h, w, n) float32 in the box, 0 to 255: n is 3 for RGB, 1 for gray.
    """

    box: PixelBox
    alpha: Floats
    colors: Floats

    def lay_over(self, picture: Floats, cover: Floats, share: float = 1.0) -> None:
        """Lay the layer over a frame, in place; its own colors are used up.

        Args:
            picture: (H, W, n) float32, 0 to 255.
            cover: (H, W) float32, 0 to 1: where the person is.
            share: Of the layer's alpha, at most 1.
        """
        alpha = self.alpha if share >= 1 else self.alpha * np.float32(share)
        part = picture[self.box]
        further = np.subtract(self.colors, part, out=self.colors)
        further *= alpha
        part += further
        cover[self.box] = np.maximum(cover[self.box], alpha[..., 0])


@dataclass(frozen=True)
class Fold:
    """Cells of a layer that folds over itself.

    Attributes:
        back: (h, w, 4) float32, how many points of what is behind have arrived in each cell, the
            sums of x and y of their ways back, in pixels, and the sum of their alpha.
        front: Likewise of what is in front.
        hides: (h, w) 0 to 1, how surely something opaque is in front.
        edge: (h, w) uint8, 1 along the edge of what is in front.
    """

    back: Floats
    front: Floats
    hides: Floats
    edge: Integers


class Splatter:
    """Moves one layer of a reference.

    Args:
        layer: Its colors uint8, (H, W, 3) or (H, W).
        grid: Of the reference.
        window: The part of the grid around the layer.
    """

    def __init__(self, layer: Layer, grid: Grid, window: Window) -> None:
        self._layer, self._grid = layer, grid
        ranks = cv2.resize(layer.rank, grid.field_size, interpolation=cv2.INTER_NEAREST)
        ranks = ranks[window.points].ravel()
        visible = cv2.dilate(
            (layer.alpha > MIN_ALPHA).astype(np.float32), np.ones((5, 5), np.uint8)
        )
        index = np.flatnonzero(grid.at_field_points(visible)[window.points] > 0)
        self._index = index[np.argsort(ranks[index], kind="stable")]  # from back to front
        self._rank = ranks[self._index]
        alpha = grid.at_field_points(layer.alpha)[window.points].ravel()
        self._alpha = np.asarray(alpha[self._index], np.float32)
        places = grid.field_points()[window.points].reshape(-1, 2)
        self._from_x, self._from_y = places[self._index].T.astype(np.float32)

    def __call__(self, field: Floats, solid: Integers | None = None) -> SplattedLayer | None:
        """Move the layer into a frame.

        Args:
            field: (h, w, 2) float32 pixels, how far the points in the layer's window go.
            solid: (H, W) uint8 of the frame, 1 where a stretched layer has no holes.

        Returns:
            None where nothing arrives in the picture.
        """
        grid = self._grid
        columns, rows = -(-grid.width // FIELD_STRIDE_PX), -(-grid.height // FIELD_STRIDE_PX)
        further_x, further_y = (field[..., axis].ravel()[self._index] for axis in (0, 1))
        x, y = (
            np.floor((start + further + 0.5) / FIELD_STRIDE_PX).astype(np.int32)
            for start, further in ((self._from_x, further_x), (self._from_y, further_y))
        )
        arrives = np.flatnonzero((x >= 0) & (x < columns) & (y >= 0) & (y < rows))
        if not len(arrives):
            return None
        x, y = x[arrives], y[arrives]
        left, top = max(int(x.min()) - MAP_MARGIN, 0), max(int(y.min()) - MAP_MARGIN, 0)
        right = min(int(x.max()) + MAP_MARGIN + 1, columns)
        bottom = min(int(y.max()) + MAP_MARGIN + 1, rows)
        shape = bottom - top, right - left
        index = (y - top) * shape[1] + x - left
        back = -further_x[arrives], -further_y[arrives]
        alpha = self._alpha[arrives]
        total, folds = self._gathered(index, back, alpha, self._rank[arrives], shape)
        count = np.ascontiguousarray(total[..., 0])
        # The last cell may lie over the picture's edge.
        box: PixelBox = (
            slice(FIELD_STRIDE_PX * top, min(FIELD_STRIDE_PX * bottom, grid.height)),
            slice(FIELD_STRIDE_PX * left, min(FIELD_STRIDE_PX * right, grid.width)),
        )
        open_ = _enlarged(self._closed(index, shape), box)
        open_ = open_ * cv2.dilate(_enlarged(self._whole(count), box), np.ones((3, 3), np.uint8))
        if solid is not None:
            open_ = np.maximum(open_, solid[box])
        moved = self._sampled(box, _enlarged(_ways_back(total), box), open_)
        for fold in folds:
            self._unfold(moved, fold, open_)
        return moved

    def _unfold(self, moved: SplattedLayer, fold: Fold, shown: Floats) -> None:
        """Lay a fold's front over what is behind it, in place, along the front's edge.

        One map for both would lead from one to the other through all that lies between them.
        """
        found = bounding_box(fold.edge, margin_px=1)
        assert found is not None
        rows, columns = found
        left, top = FIELD_STRIDE_PX * columns.start, FIELD_STRIDE_PX * rows.start
        height, width = moved.alpha.shape[:2]
        bottom = min(FIELD_STRIDE_PX * rows.stop, height)
        right = min(FIELD_STRIDE_PX * columns.stop, width)
        if bottom <= top or right <= left:
            return
        here = np.s_[top:bottom, left:right]
        first_row, first_column = (part.start for part in moved.box)
        box = (
            slice(first_row + top, first_row + bottom),
            slice(first_column + left, first_column + right),
        )
        back, front = (
            self._sampled(box, _enlarged(_ways_back(points)[found], box), shown[here])
            for points in (fold.back, fold.front)
        )
        hides = _enlarged(fold.hides[found], box)[..., None] * front.alpha
        alpha = hides + back.alpha * (1 - hides)
        colors = hides * front.colors + (1 - hides) * back.alpha * back.colors
        colors /= np.maximum(alpha, 1e-6)
        at_edge = _enlarged(fold.edge[found].astype(np.float32), box)[..., None]
        moved.colors[here] += at_edge * (colors - moved.colors[here])
        moved.alpha[here] += at_edge * (alpha - moved.alpha[here])

    def _sampled(self, box: PixelBox, back: Floats, shown: Floats) -> SplattedLayer:
        """Look the layer up.

        Args:
            box: Rows and columns of the frame.
            back: (h, w, 2) pixels from each pixel of the box to where it comes from.
            shown: (h, w) 0 to 1, less where the layer has a hole.
        """
        down, across = (np.arange(part.start, part.stop, dtype=np.float32) for part in box)
        from_x = (back[..., 0] + across + self._grid.pad).astype(np.float32, copy=False)
        from_y = (back[..., 1] + down[:, None] + self._grid.pad).astype(np.float32, copy=False)
        alpha = shown * cv2.remap(
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
        return SplattedLayer(box, alpha[..., None], colors.astype(np.float32))

    def _closed(self, index: Integers, shape: tuple[int, int]) -> Floats:
        """Return 1 in cells where points arrive and in narrow gaps between them, (h, w) float32.

        Beyond these cells the filled map would show the layer again where it has turned about.
        """
        arrived = np.zeros(shape, np.float32)
        arrived.ravel()[index] = 1
        square = np.ones((CLOSING_SIDE, CLOSING_SIDE), np.uint8)
        return np.asarray(cv2.morphologyEx(arrived, cv2.MORPH_CLOSE, square), np.float32)

    def _gathered(
        self,
        index: Integers,
        back: tuple[Floats, Floats],
        alpha: Floats,
        rank: Integers,
        shape: tuple[int, int],
    ) -> tuple[Floats, list[Fold]]:
        """Return what arrives in each cell, see `Fold`, and the places where the layer folds.

        There its front hides what is behind: a mean of both would be of neither.
        What is transparent in front, such as the gap beside a leg, hides nothing.

        Args:
            index: (n,) of each point's cell.
            back: x and y of each point's way back, (n,) pixels.
            alpha: (n,) of each point, 0 to 1.
            rank: (n,) of each point, rising.
            shape: (rows, columns) of cells.
        """
        size = shape[0] * shape[1]
        total: Floats = np.zeros((*shape, 4), np.float32)
        folds: list[Fold] = []
        looked_at = self._layer.colors.ndim == 3  # a gray layer is tracked alone
        starts = np.flatnonzero(np.diff(rank)) + 1
        for first, end in pairwise((0, *starts.tolist(), len(rank))):
            here = np.s_[first:end]
            weights = (None, back[0][here], back[1][here], alpha[here])
            sums = [np.bincount(index[here], w, size).astype(np.float32) for w in weights]
            merged = cv2.merge([s.reshape(shape) for s in sums])
            front = np.asarray(cv2.GaussianBlur(merged, (0, 0), MAP_SIGMA), np.float32)
            if first:
                hides, hidden = (_presence(points) for points in (front, total))
                if looked_at:
                    edge = _edge_of_fold(total, front, hides[..., 0], hidden[..., 0])
                    folds += [] if edge is None else [Fold(total, front, hides[..., 0], edge)]
                total = total * (1 - hides) + front * np.maximum(hides, 1 - hidden)
            else:
                total = front
        return total, folds

    def _whole(self, count: Floats) -> Floats:
        """Return 1 in the cells where the layer is not torn, (h, w) float32."""
        arrived = count[count > MIN_COUNT]
        # less than 1 where the whole person has come nearer
        usual = min(1.0, float(np.median(arrived))) if len(arrived) else 1.0
        # over a wider area: points that are stretched lie unevenly
        smooth = cv2.GaussianBlur(count, (0, 0), 2 * MAP_SIGMA) / usual
        pieces = (smooth > TORN_SHARE).astype(np.uint8)
        _, labels, stats, _ = cv2.connectedComponentsWithStats(pieces)
        unit = min(self._grid.width, self._grid.height) / 512 / FIELD_STRIDE_PX
        large = stats[:, cv2.CC_STAT_AREA] > SPECK_AREA_PX * unit**2
        share = np.clip((smooth - TORN_SHARE) / (WHOLE_SHARE - TORN_SHARE), 0, 1)
        # A stretched edge is torn unevenly; fingers are as narrow as its threads, but dense.
        torn = cv2.medianBlur(np.rint(255 * share).astype(np.uint8), FRAY_SIDE) / np.float32(255)
        share = np.where(smooth < FRAY_SHARE, np.minimum(share, torn), share)
        return np.asarray(share * large[labels], np.float32)


def _edge_of_fold(back: Floats, front: Floats, hides: Floats, hidden: Floats) -> Integers | None:
    """Return `Fold.edge`; None where the two come from the same place, as at a joint, everywhere.

    Args:
        back: As of `Fold`.
        front: As of `Fold`.
        hides: As of `Fold`.
        hidden: (h, w) 0 to 1, how surely something opaque is behind.
    """
    between = (hides > 0) & (hides < 1) & (hidden > 0)
    counts = np.maximum(back[..., :1], 1e-6), np.maximum(front[..., :1], 1e-6)
    apart = np.abs(back[..., 1:3] / counts[0] - front[..., 1:3] / counts[1]).max(axis=2)
    between &= apart > FOLDED_PX
    if not between.any():
        return None
    dilated = cv2.dilate(between.astype(np.uint8), np.ones((3, 3), np.uint8))
    return np.asarray(dilated, np.uint8)


def _ways_back(points: Floats) -> Floats:
    """Return the mean way back in each cell, (h, w, 2) pixels, smoothly filled where none is known.

    Args:
        points: (h, w, 4) as of `Fold`.
    """
    count = points[..., 0]
    known = count > MIN_COUNT
    mean: Floats = points[..., 1:3] / np.maximum(count, 1e-6)[..., None]
    return push_pull(
        np.where(known[..., None], mean, 0), np.where(known, np.minimum(2 * count, 1), 0)
    )


def _presence(points: Floats) -> Floats:
    """Return how surely something opaque is in cells, (h, w, 1) 0 to 1.

    Args:
        points: (h, w, 4), how many have arrived, their ways back, and the sum of their alpha.
    """
    count, alpha = points[..., :1], points[..., 3:]
    present = np.clip((count - MIN_COUNT) / (HIDING_COUNT - MIN_COUNT), 0, 1)
    clear, opaque = HIDING_ALPHA
    solid: Floats = np.clip((alpha / np.maximum(count, 1e-6) - clear) / (opaque - clear), 0, 1)
    return present * solid


def _enlarged(cells: Floats, box: PixelBox) -> Floats:
    """Bring values of cells to the pixels of a box, which may end within the last cells."""
    size = (FIELD_STRIDE_PX * cells.shape[1], FIELD_STRIDE_PX * cells.shape[0])
    high, wide = (part.stop - part.start for part in box)
    return np.asarray(cv2.resize(cells, size, interpolation=cv2.INTER_LINEAR)[:high, :wide])
