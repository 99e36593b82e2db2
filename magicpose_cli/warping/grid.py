"""The picture with a margin around it, and the coarse grid over both that carries a motion."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import cv2
import numpy as np

from magicpose_cli.arrays import AnyArray, Floats, Integers, Mask
from magicpose_cli.warping.boxes import PixelBox, bounding_box

PAD_SHARE = 1 / 8  # of the short side: what moves into the picture comes from there, mirrored
FIELD_STRIDE_PX = 2  # motion is smooth, and a quarter of the pixels describe it as well
NODE_STEP_PX = 4.0  # between two nodes, at a short side of 512
MIN_NODE_STEP = 0.5  # of that, in small pictures, whose arms are as narrow as a few nodes


@dataclass(frozen=True)
class Grid:
    """A picture of width x height pixels, padded by `pad` on each side.

    Its nodes lie `step` pixels apart, the outermost on the centers of the padded picture's
    outermost pixels, so that a mirrored picture has a mirrored grid.
    """

    width: int
    height: int
    FRACTION: ClassVar[int] = 4  # bits after the point of the coordinates that `fixed` returns

    @property
    def pad(self) -> int:
        """Pixels of the margin on each side."""
        return round(PAD_SHARE * min(self.width, self.height))

    @property
    def padded(self) -> tuple[int, int]:
        """(width, height) with the margin."""
        return self.width + 2 * self.pad, self.height + 2 * self.pad

    @property
    def unpadded(self) -> PixelBox:
        """Rows and columns of the picture in the padded one."""
        return np.s_[self.pad : self.pad + self.height, self.pad : self.pad + self.width]

    @property
    def shape(self) -> tuple[int, int]:
        """(rows, columns) of nodes."""
        wanted = NODE_STEP_PX * max(MIN_NODE_STEP, min(self.width, self.height) / 512)
        columns, rows = (round((side - 1) / wanted) + 1 for side in self.padded)
        return rows, columns

    @property
    def steps(self) -> Floats:
        """(2,) pixels between the nodes, across and down."""
        steps: Floats = (np.array(self.padded) - 1) / (np.array(self.shape[::-1]) - 1)
        return steps

    @property
    def step(self) -> float:
        """Pixels between the nodes, the mean of both directions."""
        return float(self.steps.mean())

    def nodes(self) -> Floats:
        """Return where the nodes lie, (rows, columns, 2) float64 in the picture's pixels."""
        return self._spread(*self.shape)

    @property
    def field_size(self) -> tuple[int, int]:
        """(width, height) of the field, which has a point for every FIELD_STRIDE_PX-th pixel."""
        width, height = self.padded
        return width // FIELD_STRIDE_PX, height // FIELD_STRIDE_PX

    def field_points(self) -> Floats:
        """Return where the field's points lie, (h, w, 2) float64 in the picture's pixels."""
        width, height = self.field_size
        return self._spread(height, width)

    def at_field_points(self, values: AnyArray) -> Floats:
        """Look the padded picture's values up at the field's points, (h, w) float32, linearly."""
        x, y = np.moveaxis(self.field_points() + self.pad, 2, 0).astype(np.float32)
        return np.asarray(cv2.remap(values, x, y, cv2.INTER_LINEAR))

    def nearest_point(self, rows: Integers, columns: Integers) -> Integers:
        """Return the index of the field's point, row by row, that is nearest to each pixel."""
        (width, height), (wide, high) = self.field_size, self.padded
        y = np.rint((rows + self.pad) * ((height - 1) / (high - 1))).astype(np.intp)
        x = np.rint((columns + self.pad) * ((width - 1) / (wide - 1))).astype(np.intp)
        nearest: Integers = y * width + x
        return nearest

    def window(self, where: Mask) -> Window:
        """Cut out the part around all the field's points that are True in `where`, (h, w)."""
        points = bounding_box(where) or (slice(0, where.shape[0]), slice(0, where.shape[1]))
        nodes, at = [], []
        for axis, part in enumerate(points):
            share = (self.shape[axis] - 1) / max(where.shape[axis] - 1, 1)
            line = np.arange(part.start, part.stop) * share
            start, stop = int(line[0]), min(int(np.ceil(line[-1])) + 1, self.shape[axis])
            nodes.append(slice(start, stop))
            at.append((line - start).astype(np.float32))
        places = self.nodes()[tuple(nodes)].astype(np.float32)
        y, x = np.meshgrid(*at, indexing="ij")
        return Window(points, (nodes[0], nodes[1]), places, (x, y))

    def _spread(self, rows: int, columns: int) -> Floats:
        x = np.linspace(-self.pad, self.width - 1 + self.pad, columns)
        y = np.linspace(-self.pad, self.height - 1 + self.pad, rows)
        return np.stack(np.meshgrid(x, y), -1)

    def fixed(self, points: Floats) -> Integers:
        """Convert pixels to the grid's coordinates in fixed point, for OpenCV's `shift`."""
        scaled = np.rint((points + self.pad) / self.steps * (1 << self.FRACTION))
        return np.asarray(scaled, np.int32)

    def widened(self, picture: AnyArray) -> AnyArray:
        """Add the margin to a picture: mirrored, for repeated rows are seen as streaks."""
        pad = self.pad
        return cv2.copyMakeBorder(picture, pad, pad, pad, pad, cv2.BORDER_REFLECT_101)

    def inside(self) -> Floats:
        """Return (height, width) float32 of the padded picture: 1 in the picture, else 0."""
        mask = np.zeros(self.padded[::-1], np.float32)
        mask[self.unpadded] = 1
        return mask


@dataclass(frozen=True)
class Window:
    """A part of a grid.

    Attributes:
        points: Rows and columns of the field's points.
        nodes: Rows and columns of the grid's nodes around these points.
        places: (rows, columns, 2) float32, where these nodes lie in the picture's pixels.
    """

    points: PixelBox
    nodes: PixelBox
    places: Floats
    _at: tuple[Floats, Floats]  # x and y of the field's points, counted in nodes

    def at_points(self, values: Floats) -> Floats:
        """Interpolate (rows, columns, n) float32 at the nodes at the field's points, (h, w, n)."""
        found = cv2.remap(values, *self._at, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)
        return np.asarray(found, np.float32)
