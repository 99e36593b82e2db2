"""The head: turned in space as a whole, its face moved point by point.

The mesh tells the face's depth; hair and skull are taken as deep as the ears. What an expression
moves further than the head's turn does fades out around the face, so that hair is not torn.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import cv2
import numpy as np

from magicpose_cli.pose.retargeting.mesh import RIGID
from magicpose_cli.warping.grid import Grid, Window
from magicpose_cli.warping.interpolation import applied, similarity
from magicpose_cli.warping.parts import LEAST
from magicpose_cli.warping.smoothed_points import Points, known

EARS = (127, 356, 234, 454)  # and temples, of the 478
SKIN = 468  # points of the mesh that are not irises
FADE = 0.22  # face heights, of an expression around the face
DEPTH_FADE = 0.3  # face heights, from the face's own depth to the ears'
RIM = 0.04  # face heights, over which the face's own motion takes over inside its outline


@dataclass(frozen=True)
class MovedHead:
    """nodes (n, 2): how far the head's nodes go; face (m, 2): where the points of the face do."""

    nodes: np.ndarray
    face: np.ndarray


class Head:
    """The reference's head, to be moved; only where `still.has_face`.

    window: of the layer it is in. weight (n): how much each of the window's nodes is the head's.
    """

    def __init__(self, still: Points, grid: Grid, window: Window, weight: np.ndarray) -> None:
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
        inside = np.zeros(grid.padded[::-1], np.uint8)
        hull = cv2.convexHull(np.rint(flat + grid.pad).astype(np.int32))
        cv2.fillConvexPoly(inside, hull, (1,))
        self._place_pixels(triangles, grid, window, inside, weight)
        self._own = np.flatnonzero(weight > LEAST)
        self._weight = weight[self._own]
        nodes = window.places.reshape(-1, 2)[self._own].astype(np.float64)
        self._place_nodes(np.unique(triangles.convex_hull), nodes, grid, inside)

    def _place_pixels(
        self, triangles: Any, grid: Grid, window: Window, inside: np.ndarray, weight: np.ndarray
    ) -> None:
        """Which triangle holds each of the field's points in the face, and where in it."""
        pixels = grid.field_points()[window.points].reshape(-1, 2)
        low, high = self._points[:, :2].min(0), self._points[:, :2].max(0)
        index = np.flatnonzero(((pixels >= low) & (pixels <= high)).all(1))
        simplex = triangles.find_simplex(pixels[index])
        index, simplex = index[simplex >= 0], simplex[simplex >= 0]
        self._pixels = index
        self._from = pixels[index].astype(np.float32)
        basis = triangles.transform[simplex]
        first = np.einsum("nij,nj->ni", basis[:, :2], pixels[index] - basis[:, 2])
        self._shares = np.column_stack([first, 1 - first.sum(1)]).astype(np.float32)
        self._corners = triangles.simplices[simplex]
        depth = grid.at_field_points(cv2.distanceTransform(inside, cv2.DIST_L2, 5))[window.points]
        rim = np.clip(depth / max(2.0, RIM * self.height), 0, 1)
        heads = window.at_points(weight.reshape(window.places.shape[:2]))
        laid = np.clip(2 * heads - 1, 0, 1) * rim
        self._laid = laid.reshape(-1)[index].astype(np.float32)

    def _place_nodes(
        self, outline: np.ndarray, nodes: np.ndarray, grid: Grid, inside: np.ndarray
    ) -> None:
        """How far the face's outline moves each of the head's nodes, and how deep each lies."""
        apart = np.linalg.norm(nodes[:, None] - self._points[outline, :2], axis=-1)
        near = 1 / (apart + 1) ** 3
        near /= near.sum(1, keepdims=True)
        rows = np.rint(nodes[:, ::-1] + grid.pad).astype(int)
        outside = cv2.distanceTransform(1 - inside, cv2.DIST_L2, 5)
        away = outside[
            rows[:, 0].clip(0, grid.padded[1] - 1), rows[:, 1].clip(0, grid.padded[0] - 1)
        ]
        fade = np.exp(-((away / (FADE * self.height)) ** 2) / 2)
        self._outline, self._pull = outline, (near * fade[:, None]).T.astype(np.float32).copy()
        self._nodes = np.column_stack([nodes, np.zeros(len(nodes))])
        if self._dense:
            ears = self._points[list(EARS), 2].mean()
            own = np.exp(-away / (DEPTH_FADE * self.height))
            self._nodes[:, 2] = ears + own * (near @ self._points[outline, 2] - ears)

    def moved(self, now: Points) -> MovedHead | None:
        """None where the frame does not show the face."""
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
        further = (face - rigid)[self._outline].astype(np.float32)
        pulled = np.einsum("on,oc->cn", self._pull, further).T  # no BLAS: see `Field`
        return MovedHead(applied(turn, self._nodes) - self._nodes[:, :2] + pulled, face)

    def _wanted(self, now: Points) -> np.ndarray | None:
        if self._dense:
            return None if now.mesh is None else now.mesh[self._index]
        if not now.has_face:
            return None
        wanted = now.face[self._index]
        return wanted if known(wanted).sum() >= len(wanted) // 2 else None

    def add(self, motion: np.ndarray, nodes: np.ndarray) -> None:
        """The head's part in the motion of the window's nodes, (rows, columns, 2), in place."""
        motion.reshape(-1, 2)[self._own] += self._weight[:, None] * nodes.astype(np.float32)

    def lay(self, field: np.ndarray, face: np.ndarray) -> None:
        """Put the face's own motion into that of the window's points, (h, w, 2), in place."""
        flat = field.reshape(-1, 2)
        to = np.einsum("nk,nkc->nc", self._shares, face.astype(np.float32)[self._corners])
        former = flat[self._pixels]
        flat[self._pixels] = former + self._laid[:, None] * (to - self._from - former)
