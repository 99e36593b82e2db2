"""Where the points that a detector tells of a face lie on the body's skin; for the bake alone."""

from __future__ import annotations

import numpy as np
import torch
from scipy.optimize import linear_sum_assignment
from scipy.spatial import cKDTree

from magicpose_cli.arrays import Floats, Integers, Points
from magicpose_cli.body.cameras import Camera
from magicpose_cli.body.layout import BODY_PARTS
from magicpose_cli.body.model import Body

SKIN_POINTS = 468  # of the mesh; the rest are irises
FACING = 0.15  # cosine to the line of sight, below which skin is seen too flat
SOCKET_M, SOCKET_DEPTH_M = 0.024, 0.008  # around an eyeball: skin behind it is never seen
CARRIED_M, STEADY_M = 0.015, 0.004  # by the open jaw: the lower lip is carried, the upper one not
FAR_M = 0.003  # to the next skin of that kind; farther points stay
NEAREST = 24  # triangles that are looked at
LOWER_LIP_LINE = (95, 88, 178, 87, 14, 317, 402, 318, 324)
UPPER_LIP_LINE = (191, 80, 81, 82, 13, 312, 311, 310, 415)
EYE_ENDS, MOUTH_ENDS = ((263, 362), (33, 133)), (291, 61)


class FaceHits:
    """Places on the mean body's skin at which points were seen, gathered face by face."""

    def __init__(self, body: Body):
        skin = slice(0, body.layers["skin"].stop)
        own = body.face_parts[skin] == BODY_PARTS.index("head")
        self._mean = body.mean[: body.vertex_count].double().numpy()
        triangles = body.faces[skin][own].numpy()
        middles = self._mean[triangles].mean(axis=1)
        joints = body.mean[body.vertex_count :].double().numpy()
        hidden = np.zeros(len(triangles), bool)
        for eye in (joints[body.joint("eye.R")], joints[body.joint("eye.L")]):
            near = np.linalg.norm(middles - eye, axis=1) < SOCKET_M
            hidden |= near & (middles[:, 2] < eye[2] + SOCKET_DEPTH_M)
        self._triangles = triangles[~hidden]
        jaw = body.expression_basis[body.expression_names.index("jawOpen")].view(-1, 3)
        self._jaw_m = np.zeros(body.vertex_count)
        self._jaw_m[body.expression_vertices.numpy()] = jaw.norm(dim=1).numpy()
        self._hits: list[list[Floats]] = [[] for _ in range(SKIN_POINTS)]

    def add(self, mesh: Points, vertices: Floats, camera: Camera) -> None:
        """Follow the points of one picture, (478, 3) pixels, onto the posed skin (V, 3)."""
        if not np.isfinite(mesh).all():
            return
        projected = camera.project(torch.from_numpy(vertices))
        pixels, depth = projected.pixels.numpy(), projected.depth.numpy()
        corners = vertices[self._triangles]
        normals = np.cross(corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0])
        sight = camera.to_world(torch.zeros(1, 3, dtype=torch.float64))[0].numpy()
        sight = sight - corners.mean(axis=1)
        lengths = np.linalg.norm(normals, axis=1) * np.linalg.norm(sight, axis=1)
        seen = self._triangles[(normals * sight).sum(axis=1) > FACING * lengths]
        a, b, c = (pixels[seen[:, corner]] for corner in range(3))
        area = _cross(b - a, c - a)
        for number, point in enumerate(mesh[:SKIN_POINTS, :2].astype(np.float64)):
            second, third = _cross(point - a, c - a) / area, _cross(b - a, point - a) / area
            inside = np.flatnonzero((second >= 0) & (third >= 0) & (second + third <= 1))
            if len(inside):
                first = inside[np.argmin(depth[seen[inside]].mean(axis=1))]
                shares = np.array([1 - second[first] - third[first], second[first], third[first]])
                self._hits[number].append(shares @ self._mean[seen[first]])

    def places(self, meshes: Points) -> tuple[Integers, Floats, Floats]:
        """Where each point lies, alike on both sides.

        Args:
            meshes: (F, 478, 3) of one person, to tell which point is whose on the other side.

        Returns:
            (468, 3) vertices, (468, 3) their shares, and (468,) meters by which hits differ.
        """
        other = mirrored_mesh_rows(meshes[np.isfinite(meshes).all(axis=(1, 2))][0])
        flip = np.array([-1.0, 1.0, 1.0])
        hits = [
            np.array(self._hits[number] + [hit * flip for hit in self._hits[other[number]]])
            for number in range(SKIN_POINTS)
        ]
        middles = np.stack([np.median(each, axis=0) for each in hits])
        spread = np.array(
            [
                np.median(np.linalg.norm(each - middle, axis=1))
                for each, middle in zip(hits, middles, strict=True)
            ]
        )
        triangles, shares, _ = self._onto(middles, self._triangles)
        jaw = self._jaw_m[self._triangles]
        for rows, allowed in (
            (LOWER_LIP_LINE, (jaw > CARRIED_M).all(axis=1)),
            (UPPER_LIP_LINE, (jaw < STEADY_M).all(axis=1)),
        ):
            own, parts, apart = self._onto(middles[list(rows)], self._triangles[allowed])
            near = apart < FAR_M
            triangles[np.array(rows)[near]], shares[np.array(rows)[near]] = own[near], parts[near]
        return triangles, shares, spread

    def _onto(self, points: Floats, triangles: Integers) -> tuple[Integers, Floats, Floats]:
        """The nearest places on these triangles: vertices (n, 3), shares (n, 3), meters (n,)."""
        tree = cKDTree(self._mean[triangles].mean(axis=1))
        _, candidates = tree.query(points, NEAREST)
        corners = self._mean[triangles[candidates]]  # (n, NEAREST, 3, 3)
        edges = corners[:, :, 1:] - corners[:, :, :1]
        arms = points[:, None] - corners[:, :, 0]
        square = edges @ np.swapaxes(edges, 2, 3) + 1e-12 * np.eye(2)
        parts = np.linalg.solve(square, edges @ arms[..., None])[..., 0].clip(0, 1)
        parts /= np.maximum(parts.sum(axis=2, keepdims=True), 1.0)
        places = corners[:, :, 0] + (parts[..., None] * edges).sum(axis=2)
        apart = np.linalg.norm(places - points[:, None], axis=2)
        best, row = apart.argmin(axis=1), np.arange(len(points))
        own = parts[row, best]
        shares = np.column_stack([1 - own.sum(axis=1), own])
        return triangles[candidates[row, best]], shares, apart[row, best]


def mirrored_mesh_rows(mesh: Points) -> Integers:
    """(468,) which point is each one's on the other side of the face."""
    points = mesh[:SKIN_POINTS].astype(np.float64)
    lefts, rights = ([*ends, mouth] for ends, mouth in zip(EYE_ENDS, MOUTH_ENDS, strict=True))
    across = points[lefts].mean(axis=0) - points[rights].mean(axis=0)
    across /= np.linalg.norm(across)
    middle = (points[lefts].mean(axis=0) + points[rights].mean(axis=0)) / 2
    arms = points - middle
    flipped = arms - 2 * (arms @ across)[:, None] * across
    apart = np.square(flipped[:, None] - arms[None]).sum(axis=2)
    _, found = linear_sum_assignment(apart)
    return np.asarray(found)


def _cross(one: Floats, other: Floats) -> Floats:
    """(n,) cross products of vectors in the plane."""
    product: Floats = one[..., 0] * other[..., 1] - one[..., 1] * other[..., 0]
    return product
