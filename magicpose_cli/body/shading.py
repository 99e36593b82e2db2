"""Pictures of a rasterized body: texture, light, and soft edges by supersampling."""

from __future__ import annotations

from typing import TYPE_CHECKING

from magicpose_cli.body.model import Body
from magicpose_cli.body.renderer import Fragments, interpolate, normal_map, rasterize, silhouette

if TYPE_CHECKING:
    from torch import Tensor

    from magicpose_cli.body.cameras import Camera

SKY = 0.55  # light that comes from everywhere, more from above
SUN = 0.75  # light that comes from one side
SUN_DIRECTION = (-0.5, -0.7, -0.6)  # where it stands: left, above and before, in camera axes


def uv_map(fragments: Fragments, body: Body) -> Tensor:
    """(B, H, W, 2) texture coordinates 0..1, u right, v up; 0 where nothing is seen."""
    return interpolate(fragments, body.corners, body.uv[None])


def sample_texture(texture: Tensor, uv: Tensor) -> Tensor:
    """Colors of a texture, bilinear.

    Args:
        texture: (h, w, C), its first row at v = 1.
        uv: (B, H, W, 2), u right, v up, 0..1.

    Returns:
        (B, H, W, C).
    """
    import torch
    from torch.nn.functional import grid_sample

    grid = torch.stack([uv[..., 0] * 2 - 1, 1 - uv[..., 1] * 2], dim=-1)
    picture = texture.permute(2, 0, 1)[None].expand(len(uv), -1, -1, -1)
    found = grid_sample(picture, grid, padding_mode="border", align_corners=False)
    return found.permute(0, 2, 3, 1)


def lit(albedo: Tensor, normals: Tensor) -> Tensor:
    """Matte surfaces (Lambert) under a sky and a sun.

    Args:
        albedo: (B, H, W, 3) linear, 0..1.
        normals: (B, H, W, 3) in camera axes, of normal_map().

    Returns:
        (B, H, W, 3) sRGB, 0..1 (a gamma of 2.2 stands for its curve).
    """
    from torch.nn.functional import normalize

    sun = normalize(normals.new_tensor(SUN_DIRECTION), dim=0)
    direct = (normals @ sun).clamp_min(0)
    above = 0.75 - 0.25 * normals[..., 1]
    light = SKY * above + SUN * direct
    return (albedo * light[..., None]).clamp(1e-6, 1) ** (1 / 2.2)


def render_body(
    body: Body,
    vertices: Tensor,
    camera: Camera,
    texture: Tensor,
    background: Tensor | None = None,
    soft: bool = True,
) -> tuple[Tensor, Tensor]:
    """A lit, textured picture.

    Args:
        body: the vertices' body.
        vertices: (B, V, 3).
        camera: one for all B.
        texture: (h, w, 3) linear, 0..1; (1, 1, 3) for one color.
        background: (H, W, 3) sRGB, 0..1; black unless given.
        soft: draw at twice the size and halve it.

    Returns:
        Picture (B, H, W, 3) sRGB and coverage (B, H, W), both 0..1.
    """
    view = camera.scaled(2) if soft else camera
    fragments = rasterize(vertices, body.faces, view, cull_back=True)
    normals = normal_map(fragments, vertices, body.faces, view)
    albedo = sample_texture(texture, uv_map(fragments, body))
    cover = silhouette(fragments).to(vertices.dtype)[..., None]
    color = lit(albedo, normals) * cover
    if soft:
        color, cover = halved(color), halved(cover)
    if background is not None:
        color = color + background * (1 - cover)
    return color, cover[..., 0]


def halved(pictures: Tensor) -> Tensor:
    """(B, 2H, 2W, C) to (B, H, W, C): the mean of four pixels."""
    from torch.nn.functional import avg_pool2d

    return avg_pool2d(pictures.permute(0, 3, 1, 2), 2).permute(0, 2, 3, 1)
