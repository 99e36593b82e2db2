"""Surfaces that follow the body's skeleton: skin, eyes, cloth, hair; and how they are cut."""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import lru_cache

import torch
from torch import Tensor
from torch.nn.functional import normalize

from magicpose_cli.body.model import Body
from magicpose_cli.body.skinning import skinned


@dataclass(frozen=True, eq=False)
class Surface:
    """A triangle mesh on J joints and what it is made of.

    Attributes:
        label: what it is: an index into synthetic.canvas.LABELS.
        kind: how it is lit: "skin", "eyes", "mouth", "cloth", "shoes" or "hair".
        rest: (1, n, 3) in the rest pose, meters; (B, n, 3) where it differs from frame to frame.
        weights: (n, J) of the skinning, rows sum to one.
        faces: (F, 3).
        uv: (F, 3, 2) texture coordinates of each corner, u right, v up, 0..1.
        texture: (h, w, 4) linear RGB and coverage, 0..1, its first row at v = 1.
        is_open: it has borders, so that both of its sides may be seen.
        has_holes: coverage below a half is seen through.
        is_hidden_from_light: it throws no shadow.
    """

    label: int
    kind: str
    rest: Tensor
    weights: Tensor
    faces: Tensor
    uv: Tensor
    texture: Tensor
    is_open: bool = False
    has_holes: bool = False
    is_hidden_from_light: bool = False

    def posed(self, matrices: Tensor) -> Tensor:
        """(B, n, 3) vertices under (B, J, 12) matrices of linear blend skinning."""
        return skinned(self.weights, matrices, self.rest)


@dataclass(frozen=True, eq=False)
class Cloth:
    """A mesh at rest that is being cut: n vertices.

    Attributes:
        rest: (n, 3) meters.
        weights: (n, J).
        faces: (F, 3).
        fields: (n, k) further numbers of each vertex, cut along with it.
    """

    rest: Tensor
    weights: Tensor
    faces: Tensor
    fields: Tensor

    def cut(self, field: Tensor) -> Cloth:
        """What lies where a field (n,) is above 0, cut straight through the triangles."""
        inside = (field > 0)[self.faces]
        count = inside.sum(1)
        whole = self.faces[count == 3]
        corner, edges, shares = [whole], [], []
        start = len(self.rest)
        for number in (1, 2):
            own = self.faces[count == number]
            if not len(own):
                continue
            odd = (inside[count == number] == (number == 1)).int().argmax(1)
            turn = (odd[:, None] + torch.arange(3)) % 3
            a, b, c = own.gather(1, turn).unbind(1)
            ends = torch.stack([torch.stack([a, b], 1), torch.stack([a, c], 1)], 1)
            share = field[ends[..., 0]] / (field[ends[..., 0]] - field[ends[..., 1]])
            edges.append(ends.flatten(0, 1))
            shares.append(share.flatten())
            ab = start + torch.arange(len(own)) * 2
            ac, start = ab + 1, start + 2 * len(own)
            if number == 1:
                corner.append(torch.stack([a, ab, ac], 1))
            else:
                corner += [torch.stack([ab, b, c], 1), torch.stack([ab, c, ac], 1)]
        if not edges:
            return replace(self, faces=whole)._compact()
        ends, share = torch.cat(edges), torch.cat(shares)[:, None]

        def extended(values: Tensor) -> Tensor:
            between = values[ends[:, 0]] * (1 - share) + values[ends[:, 1]] * share
            return torch.cat([values, between])

        return Cloth(
            extended(self.rest),
            extended(self.weights),
            torch.cat(corner),
            extended(self.fields),
        )._compact(ends, len(self.rest))

    def _compact(self, edges: Tensor | None = None, old: int = 0) -> Cloth:
        """Drop unused vertices; vertices on the same cut edge become one."""
        faces = self.faces
        if edges is not None:
            key = edges.amin(1) * old + edges.amax(1)
            _, inverse = torch.unique(key, return_inverse=True)
            first = torch.full((int(inverse.max()) + 1,), len(key)).scatter_reduce_(
                0, inverse, torch.arange(len(key)), "amin"
            )
            same = torch.cat([torch.arange(old), old + first[inverse]])
            faces = same[faces]
        used, inverse = torch.unique(faces, return_inverse=True)
        return Cloth(self.rest[used], self.weights[used], inverse, self.fields[used])

    def normals(self) -> Tensor:
        """(n, 3) unit normals at rest, outward."""
        a, b, c = (self.rest[self.faces[:, i]] for i in range(3))
        area = torch.linalg.cross(b - a, c - a)
        total = torch.zeros_like(self.rest)
        for i in range(3):
            total = total.index_add(0, self.faces[:, i], area)
        return normalize(total, dim=1)

    def moved(self, offset: Tensor) -> Cloth:
        """Shifted along its normals by (n,) meters."""
        return replace(self, rest=self.rest + self.normals() * offset[:, None])

    def smoothed(self, rounds: int) -> Cloth:
        """Each vertex drawn toward the mean of its neighbors; borders stay."""
        neighbors = _Neighbors.of(self.faces, len(self.rest))
        return replace(self, rest=neighbors.smooth(self.rest, rounds))


@dataclass(frozen=True, eq=False)
class _Neighbors:
    """Edges of a mesh, both ways: from (n,) to (n,), how many at each vertex, and who may move."""

    start: Tensor
    end: Tensor
    degree: Tensor
    free: Tensor

    @staticmethod
    def of(faces: Tensor, count: int) -> _Neighbors:
        edges = torch.cat([faces[:, [0, 1]], faces[:, [1, 2]], faces[:, [2, 0]]])
        key, uses = torch.unique(edges.amin(1) * count + edges.amax(1), return_counts=True)
        ends = torch.stack([key // count, key % count], 1)
        free = torch.ones(count, 1)
        free[ends[uses == 1].flatten()] = 0
        both = torch.cat([ends, ends.flip(1)])
        degree = torch.bincount(both[:, 0], minlength=count)[:, None].clamp_min(1)
        return _Neighbors(both[:, 0], both[:, 1], degree, free)

    def smooth(self, rest: Tensor, rounds: int) -> Tensor:
        for _ in range(rounds):
            mean = torch.zeros_like(rest).index_add(0, self.start, rest[self.end])
            rest = rest + 0.5 * self.free * (mean / self.degree - rest)
        return rest


def layer_cloth(body: Body, rest: Tensor, layer: str, fields: Tensor, rounds: int = 0) -> Cloth:
    """A layer of the body as a mesh that may be cut.

    Args:
        body: with that layer.
        rest: (V, 3) vertices of the person at rest.
        layer: one of body.layout.LAYERS.
        fields: (V, k) numbers to be carried along.
        rounds: how often it is smoothed.
    """
    used, faces, weights, neighbors = _layer_parts(body, layer)
    return Cloth(neighbors.smooth(rest[used], rounds), weights, faces, fields[used])


@lru_cache(maxsize=8)
def _layer_parts(body: Body, layer: str) -> tuple[Tensor, Tensor, Tensor, _Neighbors]:
    """A layer's vertices (n,), its faces (F, 3) among them, their weights (n, J)."""
    used, faces = torch.unique(body.faces[body.layers[layer]], return_inverse=True)
    return used, faces, body.weights[used], _Neighbors.of(faces, len(used))
