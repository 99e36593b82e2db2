"""The head: turned in space as a whole, its face moved point by point.

The mesh tells the face's depth; hair and skull are taken as deep as the ears. What an expression
moves further than the head's turn does fades out around the face, so that hair is not torn.
"""

from __future__ import annotations

from typing import Any

import cv2
import numpy as np

from magicpose_cli.pose.retargeting.mesh import RIGID
from magicpose_cli.warping.grid import Grid
from magicpose_cli.warping.interpolation import applied, similarity
from magicpose_cli.warping.points import Points, known

EARS = (127, 356, 234, 454)  # and temples, of the 478
SKIN = 468  # points of the mesh that are not irises
FADE = 0.22  # face heights, of an expression around the face
DEPTH_FADE = 0.3  # face heights, from the face's own depth to the ears'
RIM = 0.04  # face heights, over which the face's own motion takes over inside its outline


class Head:
    """The reference's head, to be moved; only where `still.has_face`."""

    def __init__(self, still: Points, grid: Grid) -> None:
        from scipy.spatial import Delaunay

        self._dense = still.mesh is not None
        if still.mesh is not None:
            self._index = np.arange(SKIN)
            self._points = still.mesh[:SKIN]
        else:
            self._index = np.flatnonzero(known(still.face))
            flat = still.face[self._index]
            self._points = np.column_stack([flat, np.zeros(len(flat))])
        flat = self._points[:, :2]
        self.height = float(np.ptp(flat[:, 1]))
        triangles = Delaunay(flat)
        self._place_pixels(triangles, grid)
        self._place_nodes(np.unique(triangles.convex_hull), grid)

    def _place_pixels(self, triangles: Any, grid: Grid) -> None:
        """Which triangle holds each of the field's points in the face, and where in it."""
        flat = self._points[:, :2]
        points = grid.field_points()
        rows, columns = (
            np.flatnonzero((line >= low) & (line <= high))
            for line, low, high in (
                (points[:, 0, 1], flat[:, 1].min(), flat[:, 1].max()),
                (points[0, :, 0], flat[:, 0].min(), flat[:, 0].max()),
            )
        )
        self.box = np.s_[rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1]
        pixels = points[self.box].reshape(-1, 2)
        simplex = triangles.find_simplex(pixels)
        self._inside = simplex >= 0
        pixels, simplex = pixels[self._inside], simplex[self._inside]
        basis = triangles.transform[simplex]
        first = np.einsum("nij,nj->ni", basis[:, :2], pixels - basis[:, 2])
        self._shares = np.column_stack([first, 1 - first.sum(1)]).astype(np.float32)
        self._corners = triangles.simplices[simplex]
        mask = np.zeros(grid.padded[::-1], np.uint8)
        hull = cv2.convexHull(np.rint(flat + grid.pad).astype(np.int32))
        cv2.fillConvexPoly(mask, hull, (1,))
        self._away = cv2.distanceTransform(1 - mask, cv2.DIST_L2, 5)
        depth = grid.at_field_points(cv2.distanceTransform(mask, cv2.DIST_L2, 5))[self.box]
        rim = np.clip(depth / max(2.0, RIM * self.height), 0, 1)
        self._rim = rim.reshape(-1)[self._inside].astype(np.float32)

    def _place_nodes(self, outline: np.ndarray, grid: Grid) -> None:
        """How far the face's outline moves each node of the grid, and how deep each lies."""
        nodes = grid.nodes().reshape(-1, 2)
        apart = np.linalg.norm(nodes[:, None] - self._points[outline, :2], axis=-1)
        near = 1 / (apart + 1) ** 3
        near /= near.sum(1, keepdims=True)
        rows = np.rint(nodes[:, ::-1] + grid.pad).astype(int)
        away = self._away[
            rows[:, 0].clip(0, grid.padded[1] - 1), rows[:, 1].clip(0, grid.padded[0] - 1)
        ]
        fade = np.exp(-((away / (FADE * self.height)) ** 2) / 2)
        self._outline, self._pull = outline, (near * fade[:, None]).astype(np.float32)
        self._nodes = np.column_stack([nodes, np.zeros(len(nodes))])
        if self._dense:
            ears = self._points[list(EARS), 2].mean()
            own = np.exp(-away / (DEPTH_FADE * self.height))
            self._nodes[:, 2] = ears + own * (near @ self._points[outline, 2] - ears)

    def moved(self, now: Points, shape: tuple[int, int]) -> tuple[np.ndarray, np.ndarray] | None:
        """Where the grid's nodes go, (rows, columns, 2), and the face's own points, (n, 2); None
        where the frame does not show the face."""
        wanted = self._wanted(now)
        if wanted is None:
            return None
        seen = known(wanted)
        if self._dense and wanted.shape[1] == 3:
            fixed = RIGID
            turn = similarity(self._points[fixed], wanted[fixed])[:2]
        else:
            fixed = RIGID if self._dense else np.flatnonzero(seen).tolist()
            flat = similarity(self._points[fixed, :2], wanted[fixed, :2])
            turn = np.column_stack([flat[:, :2], np.zeros(2), flat[:, 2]])
        rigid = applied(turn, self._points)
        face = np.where(seen[:, None], wanted[:, :2], rigid)
        nodes = applied(turn, self._nodes)
        nodes = nodes + self._pull @ (face - rigid)[self._outline]
        return nodes.reshape(*shape, 2), face

    def _wanted(self, now: Points) -> np.ndarray | None:
        if self._dense:
            return None if now.mesh is None else now.mesh[self._index]
        if not now.has_face:
            return None
        wanted = now.face[self._index]
        return wanted if known(wanted).sum() >= len(wanted) // 2 else None

    def lay(self, field: np.ndarray, face: np.ndarray, weight: np.ndarray) -> None:
        """Put the face's own motion into a field (h, w, 2), in place.

        weight: (h, w) how much each pixel belongs to the head.
        """
        block = field[self.box].reshape(-1, 2)
        own = np.einsum("nk,nkc->nc", self._shares, face.astype(np.float32)[self._corners])
        share = np.clip(2 * weight[self.box].reshape(-1)[self._inside] - 1, 0, 1) * self._rim
        block[self._inside] += share[:, None] * (own - block[self._inside])
        field[self.box] = block.reshape(field[self.box].shape)
