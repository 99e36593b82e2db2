"""What the camera sees behind the person: walls met by its rays, the sky, the lens's blur."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn.functional import grid_sample, interpolate, normalize

from magicpose_cli.synthetic.rendered.scenes import Scene


def background_points(scene: Scene, step: int) -> tuple[Tensor, Tensor]:
    """Where the camera's rays end: world points (H, W, 3) and the wall's number (H, W), -1 for sky.

    step: a ray for every `step` pixels.
    """
    camera = scene.camera
    height, width = camera.height // step, camera.width // step
    y, x = torch.meshgrid(
        (torch.arange(height) + 0.5) * step, (torch.arange(width) + 0.5) * step, indexing="ij"
    )
    eye = camera.to_world(torch.zeros(1, 3))[0]
    away = camera.unproject(torch.stack([x, y], -1), torch.ones(height, width)) - eye
    best = torch.full((height, width), 60.0)
    which = torch.full((height, width), -1)
    for number, wall in enumerate(scene.walls):
        facing = away @ wall.normal
        reach = (wall.offset - eye @ wall.normal) / facing
        nearer = (facing < -1e-4) & (reach > 0) & (reach < best)
        best = torch.where(nearer, reach, best)
        which = torch.where(nearer, number, which)
    return eye + away * best[..., None], which


def background_light(scene: Scene, shadow: Tensor, step: int = 1) -> Tensor:
    """(H, W, 3) linear light that comes from the background.

    Args:
        scene: what there is.
        shadow: (H, W) how much of the lamp's light arrives at each point, 0..1.
        step: as of background_points().
    """
    points, which = background_points(scene, step)
    camera, light = scene.camera, scene.light
    eye = camera.to_world(torch.zeros(1, 3))[0]
    rise = normalize(points - eye, dim=-1)[..., 1:2].clamp(0, 1)
    found = scene.heaven[0] * (1 - rise) + scene.heaven[1] * rise
    lamp = light.direction
    for number, wall in enumerate(scene.walls):
        own = which == number
        if not own.any():
            continue
        place = points[own]
        u = place @ wall.across - wall.start[0]
        v = place @ wall.up - wall.start[1]
        uv = torch.stack([u, v], -1) / wall.extent_m
        tone = _mirrored(wall.texture, uv)
        direct = (wall.normal @ lamp).clamp_min(0) * 0.8 + 0.12
        above = 0.5 + 0.5 * float(wall.normal[1])
        around = light.sky * above + light.ground * (1 - above)
        corner = torch.ones(1)
        if abs(float(wall.normal[1])) < 0.5:
            corner = (1 - 0.3 * torch.exp(-place[:, 1].clamp_min(0) * 3))[:, None]
        found[own] = tone * (light.key * (direct * shadow[own])[:, None] + around) * corner
    return found


def _mirrored(texture: Tensor, uv: Tensor) -> Tensor:
    """(n, 3) colors of a texture that repeats itself mirrored; uv (n, 2), v upward."""
    wrapped = 1 - (torch.remainder(uv, 2) - 1).abs()
    wrapped[:, 1] = 1 - wrapped[:, 1]
    grid = wrapped * 2 - 1
    picture = texture.permute(2, 0, 1)[None]
    return grid_sample(picture, grid[None, None], align_corners=False)[0, :, 0].T


def blurred(picture: Tensor, sigma_px: float) -> Tensor:
    """(H, W, C) blurred by a lens: a disk, about as wide as a Gaussian of sigma_px."""
    if sigma_px < 0.3:
        return picture
    radius = max(1, round(2 * sigma_px))
    shrink = max(1, radius // 3)
    small = interpolate(picture.permute(2, 0, 1)[None], scale_factor=1 / shrink, mode="area")
    own = max(1, round(radius / shrink))
    axis = torch.arange(-own, own + 1, dtype=torch.float32)
    disk = ((axis[:, None] ** 2 + axis[None] ** 2) <= (own + 0.3) ** 2).float()
    kernel = (disk / disk.sum())[None, None].expand(picture.shape[2], 1, -1, -1)
    padded = torch.nn.functional.pad(small, (own,) * 4, mode="replicate")
    soft = torch.nn.functional.conv2d(padded, kernel, groups=picture.shape[2])
    large = interpolate(soft, size=picture.shape[:2], mode="bilinear", align_corners=False)
    return large[0].permute(1, 2, 0)
