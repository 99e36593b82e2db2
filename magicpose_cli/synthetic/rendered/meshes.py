"""All surfaces of a person as one triangle mesh."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn.functional import grid_sample, one_hot

from magicpose_cli.body.layout import BODY_PARTS, body_part_of
from magicpose_cli.synthetic.rendered.surfaces import Surface


@dataclass(frozen=True, eq=False)
class SurfaceMesh:
    """Surfaces joined, T triangles; open surfaces come twice, once for each side.

    Attributes:
        surfaces: what it is made of.
        faces: (T, 3) of the joined vertices.
        uv: (T, 3, 2) texture coordinates of the corners.
        surface: (T,) which surface.
        flipped: (T,) whether its corners are in reverse order.
        is_hair: (T,) whether it is of hair.
        part: (T,) uint8, 1 + the index into body.layout.BODY_PARTS of what a triangle goes with:
            a sleeve is of its arm.
        textures: (1, 4, h, w) of each surface.
        solid: (n, 3) faces of one side, all surfaces; what the normals are made from.
        casting: (n, 3) faces that throw a shadow.
    """

    surfaces: tuple[Surface, ...]
    faces: Tensor
    uv: Tensor
    surface: Tensor
    flipped: Tensor
    is_hair: Tensor
    part: Tensor
    textures: tuple[Tensor, ...]
    solid: Tensor
    casting: Tensor

    @staticmethod
    def of(surfaces: list[Surface], joint_names: tuple[str, ...]) -> SurfaceMesh:
        """Join surfaces, whose weights are of these joints."""
        faces, uv, surface, flipped, solid, casting = [], [], [], [], [], []
        part, start = [], 0
        parts_of_joints = _parts_of_joints(joint_names)
        for number, each in enumerate(surfaces):
            shares = (each.weights @ parts_of_joints)[each.faces].sum(1)
            solid.append(each.faces + start)
            if not each.is_hidden_from_light:
                casting.append(each.faces + start)
            for flip in (False, True) if each.is_open else (False,):
                faces.append((each.faces.flip(1) if flip else each.faces) + start)
                uv.append(each.uv.flip(1) if flip else each.uv)
                surface.append(torch.full((len(each.faces),), number))
                flipped.append(torch.full((len(each.faces),), flip))
                part.append(shares.argmax(1) + 1)
            start += each.rest.shape[1]
        return SurfaceMesh(
            tuple(surfaces), torch.cat(faces), torch.cat(uv), torch.cat(surface),
            torch.cat(flipped),
            torch.tensor([each.kind == "hair" for each in surfaces])[torch.cat(surface)],
            torch.cat(part).to(torch.uint8),
            tuple(each.texture.permute(2, 0, 1)[None] for each in surfaces),
            torch.cat(solid), torch.cat(casting),
        )  # fmt: skip

    def posed(self, matrices: Tensor) -> Tensor:
        """(B, N, 3) vertices under (B, J, 12) matrices of linear blend skinning."""
        return torch.cat([each.posed(matrices) for each in self.surfaces], dim=1)

    def opaque(self, triangles: Tensor, barycentric: Tensor) -> Tensor:
        """(n,) which places are no holes; see body.renderer.Opaque."""
        keep = torch.ones(len(triangles), dtype=torch.bool)
        surface = self.surface[triangles]
        for number, each in enumerate(self.surfaces):
            if not each.has_holes:
                continue
            own = (surface == number).nonzero()[:, 0]
            if len(own):
                uv = on_triangles(self.uv, triangles[own], barycentric[own])
                keep[own] = sampled(self.textures[number][:, 3:], uv)[:, 0] > 0.5
        return keep

    def tones(self, triangles: Tensor, barycentric: Tensor) -> Tensor:
        """(n, 3) linear colors of the textures at places on triangles."""
        uv = on_triangles(self.uv, triangles, barycentric)
        surface = self.surface[triangles]
        found = torch.zeros(len(triangles), 3)
        for number, texture in enumerate(self.textures):
            own = (surface == number).nonzero()[:, 0]
            if len(own):
                found[own] = sampled(texture[:, :3], uv[own])
        return found


def _parts_of_joints(joint_names: tuple[str, ...]) -> Tensor:
    """Return 1 where a joint (row) moves a part of BODY_PARTS (column), (J, parts)."""
    index = torch.tensor([BODY_PARTS.index(body_part_of(name)) for name in joint_names])
    return one_hot(index, len(BODY_PARTS)).float()


def on_triangles(values: Tensor, triangles: Tensor, barycentric: Tensor) -> Tensor:
    """(n, C) of corners' values (T, 3, C) at places on triangles (n,), barycentric (n, 3)."""
    own = values[triangles]
    weights = barycentric[..., None]
    return own[:, 0] * weights[:, 0] + own[:, 1] * weights[:, 1] + own[:, 2] * weights[:, 2]


def sampled(texture: Tensor, uv: Tensor) -> Tensor:
    """(n, C) of a texture (1, C, h, w) at uv (n, 2), bilinear."""
    grid = torch.stack([uv[:, 0] * 2 - 1, 1 - uv[:, 1] * 2], -1)
    found = grid_sample(texture, grid[None, None], padding_mode="border", align_corners=False)
    return found[0, :, 0].T
