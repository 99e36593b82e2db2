"""The head: turned in space as a whole, its face moved point by point.

The mesh has the face's depth; hair and skull are taken to be as deep as the ears. The motion that
an expression adds to the head's turn fades out around the face, so that hair is not torn.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import cv2
import numpy as np

from magicpose_cli.arrays import Floats, Integers
from magicpose_cli.pose.retargeting.mesh import RIGID
from magicpose_cli.warping.grid import FIELD_STRIDE_PX, Grid, Window
from magicpose_cli.warping.interpolation import apply_map, similarity
from magicpose_cli.warping.parts import MIN_WEIGHT
from magicpose_cli.warping.warp_points import WarpPoints, is_known

if TYPE_CHECKING:
    from scipy.spatial import Delaunay

EAR_POINTS = (127, 356, 234, 454)  # at ears and temples, of the mesh's 478
MESH_FACE_POINTS = 468  # points of the mesh that are not irises
EXPRESSION_FADE = 0.22  # face heights around the face, over which its expression fades out
DEPTH_FADE = 0.3  # face heights, from the face's own depth to the ears'
TURNED = 0.2  # sine of a head's turn to a side since the reference, from which on it hides parts
HIDING_DEPTH = 0.1  # face heights: what is nearer by so much hides what comes to lie behind it
FACE_RIM = 0.04  # face heights inside the outline, over which the face's own motion sets in


@dataclass(frozen=True)
class HeadMotion:
    """The motion of a head in one frame.

    Attributes:
        nodes: (n, 2) pixels that the head's nodes move by.
        face: (m, 2) pixels, where the points of the face go.
        depth: (m,) pixels from the camera, where those points then are; None without a mesh.
        is_turned: Whether the head has turned aside so far that it hides parts of itself.
    """

    nodes: Floats
    face: Floats
    depth: Floats | None
    is_turned: bool


class HeadWarp:
    """The reference's head, to be moved.

    Args:
        reference: The reference's points, whose `has_face` holds.
        grid: Of the reference.
        window: Of the layer that the head is in.
        weight: (n,) 0 to 1, how much each of the window's nodes belongs to the head.
    """

    def __init__(self, reference: WarpPoints, grid: Grid, window: Window, weight: Floats) -> None:
        from scipy.spatial import Delaunay

        self._has_mesh = reference.mesh is not None
        if reference.mesh is not None:
            self._index = np.arange(MESH_FACE_POINTS)
            self._points = reference.mesh[:MESH_FACE_POINTS]
        else:
            self._index = np.flatnonzero(is_known(reference.face))
            flat = reference.face[self._index]
            self._points = np.column_stack([flat, np.zeros(len(flat))])
        flat = self._points[:, :2]
        self.height = float(np.ptp(flat[:, 1]))
        triangles = Delaunay(flat)
        inside = np.zeros(grid.padded[::-1], np.uint8)
        hull = cv2.convexHull(np.rint(flat + grid.pad).astype(np.int32))
        cv2.fillConvexPoly(inside, hull, (1,))
        self._place_pixels(triangles, grid, window, inside, weight)
        self._own = np.flatnonzero(weight > MIN_WEIGHT)
        self._weight = weight[self._own]
        nodes = window.places.reshape(-1, 2)[self._own].astype(np.float64)
        self._place_nodes(np.unique(triangles.convex_hull), nodes, grid, inside)

    def _place_pixels(
        self, triangles: Delaunay, grid: Grid, window: Window, inside: Integers, weight: Floats
    ) -> None:
        """Find the triangle that holds each of the field's points in the face, and where in it."""
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
        self._triangles, self._simplex = triangles.simplices, simplex
        self._sense = triangle_sense(self._points[self._triangles, :2])
        self._corners = triangles.simplices[simplex]
        depth = grid.at_field_points(cv2.distanceTransform(inside, cv2.DIST_L2, 5))[window.points]
        rim = np.clip(depth / max(2.0, FACE_RIM * self.height), 0, 1)
        heads = window.at_points(weight.reshape(window.places.shape[:2]))
        laid = np.clip(2 * heads - 1, 0, 1) * rim
        self._laid = laid.reshape(-1)[index].astype(np.float32)
        around = (heads.reshape(-1) > MIN_WEIGHT) & (rim.reshape(-1) == 0)
        self._around = np.flatnonzero(around)
        self._around_from = pixels[self._around].astype(np.float32)

    def _place_nodes(self, outline: Integers, nodes: Floats, grid: Grid, inside: Integers) -> None:
        """Find how far the face's outline moves each of the head's nodes, and their depth."""
        apart = np.linalg.norm(nodes[:, None] - self._points[outline, :2], axis=-1)
        near = 1 / (apart + 1) ** 3
        near /= near.sum(1, keepdims=True)
        rows = np.rint(nodes[:, ::-1] + grid.pad).astype(int)
        outside = cv2.distanceTransform(1 - inside, cv2.DIST_L2, 5)
        away = outside[
            rows[:, 0].clip(0, grid.padded[1] - 1), rows[:, 1].clip(0, grid.padded[0] - 1)
        ]
        fade = np.exp(-((away / (EXPRESSION_FADE * self.height)) ** 2) / 2)
        self._outline, self._pull = outline, (near * fade[:, None]).T.astype(np.float32).copy()
        self._nodes = np.column_stack([nodes, np.zeros(len(nodes))])
        if self._has_mesh:
            ears = self._points[list(EAR_POINTS), 2].mean()
            own = np.exp(-away / (DEPTH_FADE * self.height))
            self._nodes[:, 2] = ears + own * (near @ self._points[outline, 2] - ears)

    def motion(self, now: WarpPoints) -> HeadMotion | None:
        """Return the head's motion to a frame's points; None where it does not show the face."""
        wanted = self._wanted(now)
        if wanted is None:
            return None
        seen = is_known(wanted)
        if self._has_mesh and wanted.shape[1] == 3:
            fixed = RIGID
            turn = similarity(self._points[fixed], wanted[fixed])[:2]
        else:
            fixed = RIGID if self._has_mesh else np.flatnonzero(seen).tolist()
            flat = similarity(self._points[fixed, :2], wanted[fixed, :2])
            turn = np.column_stack([flat[:, :2], np.zeros(2), flat[:, 2]])
        rigid = apply_map(turn, self._points)
        face = np.where(seen[:, None], wanted[:, :2], rigid)
        further = (face - rigid)[self._outline].astype(np.float32)
        pulled = np.einsum("on,oc->cn", self._pull, further).T  # no BLAS: see `MotionField`
        nodes = apply_map(turn, self._nodes) - self._nodes[:, :2] + pulled
        depth = wanted[:, 2] if self._has_mesh else None
        is_turned = bool(abs(turn[0, 2]) > TURNED * np.linalg.norm(turn[0, :3]))
        return HeadMotion(nodes, face, depth, is_turned)

    def _wanted(self, now: WarpPoints) -> Floats | None:
        """Return where the face's points go, (m, 2 or 3); None where too few are known."""
        if self._has_mesh:
            return None if now.mesh is None else np.asarray(now.mesh[self._index])
        if not now.has_face:
            return None
        wanted: Floats = now.face[self._index]
        return wanted if is_known(wanted).sum() >= len(wanted) // 2 else None

    def add(self, motion: Floats, nodes: Floats) -> None:
        """Add the head's share to the motion of the window's nodes, (rows, columns, 2), in place.

        Args:
            motion: In pixels.
            nodes: `HeadMotion.nodes`.
        """
        motion.reshape(-1, 2)[self._own] += self._weight[:, None] * nodes.astype(np.float32)

    def move_face(self, field: Floats, face: Floats) -> None:
        """Put the face's own motion into that of the window's points, (h, w, 2), in place.

        Args:
            field: In pixels.
            face: `HeadMotion.face`.
        """
        flat = field.reshape(-1, 2)
        to = np.einsum("nk,nkc->nc", self._shares, face.astype(np.float32)[self._corners])
        former = flat[self._pixels]
        flat[self._pixels] = former + self._laid[:, None] * (to - self._from - former)

    def hidden(self, field: Floats, motion: HeadMotion) -> Integers:
        """Find the window's points that the turned head hides from the camera.

        Those are what lies on triangles of the face that look away, what comes to lie behind a part
        of the face that is nearer, such as a cheek behind the nose, and hair and neck behind it.

        Args:
            field: (h, w, 2) of the window's points, in pixels, with the face's own motion.
            motion: Of the head.

        Returns:
            Indices of the window's points, in reading order.
        """
        face, flat = motion.face, field.reshape(-1, 2)
        away = (self._sense * triangle_sense(face[self._triangles]) < 0)[self._simplex]
        corner = face.min(0) - FIELD_STRIDE_PX
        size = np.ceil(np.ptp(face, axis=0) / FIELD_STRIDE_PX).astype(int) + 3

        def cells(places: Floats) -> Integers:
            at = np.floor((places - corner) / FIELD_STRIDE_PX).astype(int)
            return np.asarray(np.clip(at, 0, size - 1))

        if motion.depth is not None:
            at = cells(self._from + flat[self._pixels])
            deep = np.einsum(
                "nk,nk->n", self._shares, motion.depth.astype(np.float32)[self._corners]
            )
            nearest = np.full(size[::-1], np.float32(np.inf))
            np.minimum.at(nearest, (at[~away, 1], at[~away, 0]), deep[~away])
            nearest = cv2.erode(nearest, np.ones((3, 3), np.uint8))
            away |= deep > nearest[at[:, 1], at[:, 0]] + HIDING_DEPTH * self.height
        outline = np.rint((face - corner) / FIELD_STRIDE_PX).astype(np.int32)
        inside = np.zeros(size[::-1], np.uint8)
        cv2.fillConvexPoly(inside, cv2.convexHull(outline), (1,))
        inside = np.asarray(cv2.erode(inside, np.ones((3, 3), np.uint8)), np.uint8)
        at = cells(self._around_from + flat[self._around])
        behind = inside[at[:, 1], at[:, 0]] > 0
        return np.concatenate([self._pixels[away & (self._laid > 0.5)], self._around[behind]])


def triangle_sense(triangles: Floats) -> Floats:
    """Return twice the signed area of triangles, (n, 3, 2): its sign tells how they are turned."""
    one, other = triangles[:, 1] - triangles[:, 0], triangles[:, 2] - triangles[:, 0]
    return np.asarray(one[:, 0] * other[:, 1] - one[:, 1] * other[:, 0])
