"""The picture with a margin around it, and the coarse grid over both on which a motion is told."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import cv2
import numpy as np

MARGIN = 1 / 8  # of the short side: what moves into the picture comes from there, mirrored
CELL = 2  # pixels: motion is smooth, and a quarter of the pixels tell it as well
STEP = 4.0  # pixels at a short side of 512 between two nodes


@dataclass(frozen=True)
class Grid:
    """A picture of width x height pixels, padded by `pad` on each side.

    Its nodes lie `step` pixels apart, the outermost on the centers of the padded picture's
    outermost pixels, so that a mirrored picture has a mirrored grid.
    """

    width: int
    height: int
    FRACTION: ClassVar[int] = 4  # bits after the point in what `fixed` gives

    @property
    def pad(self) -> int:
        return round(MARGIN * min(self.width, self.height))

    @property
    def padded(self) -> tuple[int, int]:
        """(width, height) with the margin."""
        return self.width + 2 * self.pad, self.height + 2 * self.pad

    @property
    def unpadded(self) -> tuple[slice, slice]:
        """Rows and columns of the picture in the padded one."""
        return np.s_[self.pad : self.pad + self.height, self.pad : self.pad + self.width]

    @property
    def shape(self) -> tuple[int, int]:
        """(rows, columns) of nodes."""
        wanted = STEP * max(1.0, min(self.width, self.height) / 512)
        columns, rows = (round((side - 1) / wanted) + 1 for side in self.padded)
        return rows, columns

    @property
    def steps(self) -> np.ndarray:
        """(2,) pixels between the nodes, across and down."""
        return (np.array(self.padded) - 1) / (np.array(self.shape[::-1]) - 1)

    @property
    def step(self) -> float:
        """About the same as one number."""
        return float(self.steps.mean())

    def nodes(self) -> np.ndarray:
        """(rows, columns, 2) float64: where the nodes lie in the picture's pixels."""
        return self._spread(*self.shape)

    @property
    def field_size(self) -> tuple[int, int]:
        """(width, height) of the field: a motion is told for every CELL-th pixel."""
        width, height = self.padded
        return width // CELL, height // CELL

    def field_points(self) -> np.ndarray:
        """(h, w, 2) float64: which places of the picture, in its pixels, a field moves."""
        width, height = self.field_size
        return self._spread(height, width)

    def at_field_points(self, values: np.ndarray) -> np.ndarray:
        """What the padded picture has at the field's points, (h, w) float32, linear."""
        x, y = np.moveaxis(self.field_points() + self.pad, 2, 0).astype(np.float32)
        return cv2.remap(values, x, y, cv2.INTER_LINEAR)

    def nearest_point(self, rows: np.ndarray, columns: np.ndarray) -> np.ndarray:
        """The index of the field's point, row by row, that is nearest to each pixel."""
        (width, height), (wide, high) = self.field_size, self.padded
        y = np.rint((rows + self.pad) * ((height - 1) / (high - 1))).astype(np.intp)
        x = np.rint((columns + self.pad) * ((width - 1) / (wide - 1))).astype(np.intp)
        return y * width + x

    def window(self, where: np.ndarray) -> Window:
        """The part around all the field's points that are True in `where`, (h, w) bool."""
        where = where if where.any() else ~where
        points, nodes, at = [], [], []
        for axis in (0, 1):
            found = np.flatnonzero(where.any(1 - axis))
            first, end = int(found[0]), int(found[-1]) + 1
            share = (self.shape[axis] - 1) / max(where.shape[axis] - 1, 1)
            line = np.arange(first, end) * share
            start, stop = int(line[0]), min(int(np.ceil(line[-1])) + 1, self.shape[axis])
            points.append(slice(first, end))
            nodes.append(slice(start, stop))
            at.append((line - start).astype(np.float32))
        places = self.nodes()[tuple(nodes)].astype(np.float32)
        y, x = np.meshgrid(*at, indexing="ij")
        return Window((points[0], points[1]), (nodes[0], nodes[1]), places, (x, y))

    def _spread(self, rows: int, columns: int) -> np.ndarray:
        x = np.linspace(-self.pad, self.width - 1 + self.pad, columns)
        y = np.linspace(-self.pad, self.height - 1 + self.pad, rows)
        return np.stack(np.meshgrid(x, y), -1)

    def fixed(self, points: np.ndarray) -> np.ndarray:
        """Pixels as coordinates of the grid in fixed point, for OpenCV's drawing with `shift`."""
        return np.rint((points + self.pad) / self.steps * (1 << self.FRACTION)).astype(np.int32)

    def widened(self, picture: np.ndarray) -> np.ndarray:
        """A picture with its margin: mirrored, for repeated rows are seen as streaks."""
        pad = self.pad
        return cv2.copyMakeBorder(picture, pad, pad, pad, pad, cv2.BORDER_REFLECT_101)

    def inside(self) -> np.ndarray:
        """(height, width) float32 of the padded picture: 1 in the picture, 0 in its margin."""
        mask = np.zeros(self.padded[::-1], np.float32)
        mask[self.unpadded] = 1
        return mask


@dataclass(frozen=True)
class Window:
    """A part of a grid. points: rows and columns of the field's; nodes: of the grid's, around them;
    places (rows, columns, 2) float32: where these nodes lie, in the picture's pixels."""

    points: tuple[slice, slice]
    nodes: tuple[slice, slice]
    places: np.ndarray
    _at: tuple[np.ndarray, np.ndarray]  # x and y of the field's points, in nodes

    def at_points(self, values: np.ndarray) -> np.ndarray:
        """(rows, columns, n) float32 at the nodes -> (h, w, n) at the field's points, linear."""
        return cv2.remap(values, *self._at, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)
