"""Light on a rasterized body, and soft edges by supersampling."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from torch import Tensor

SKY = 0.55  # light that comes from everywhere, more from above
SUN = 0.75  # light that comes from one side
SUN_DIRECTION = (-0.5, -0.7, -0.6)  # where it stands: left, above and before, in camera axes


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


def halved(pictures: Tensor) -> Tensor:
    """(B, 2H, 2W, C) to (B, H, W, C): the mean of four pixels."""
    from torch.nn.functional import avg_pool2d

    return avg_pool2d(pictures.permute(0, 3, 1, 2), 2).permute(0, 2, 3, 1)
