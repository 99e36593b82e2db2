"""What the camera sees behind the person: walls met by its rays, the sky, the lens's blur."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn.functional import avg_pool2d, grid_sample, interpolate, normalize

from magicpose_cli.synthetic.rendered.lighting import ShadowMap
from magicpose_cli.synthetic.rendered.scenes import Scene, Wall

SHADOW_STEP_PX = 4  # a ray for every so many pixels, for shadows on walls and floor
SHARP_BLUR_PX = 1.0  # from this blur on there is no need for supersampling


class LitBackdrop:
    """Walls and sky of one clip, in the lamp's light and without it."""

    def __init__(self, scene: Scene, step: int):
        """A camera that is `step` times as large as the pictures."""
        camera = scene.camera
        sigma = scene.blur_px * camera.width / step / 256
        coarse = step if sigma > SHARP_BLUR_PX else 1
        around, direct = background_light(scene, coarse)
        both = torch.cat([around, direct], dim=2).permute(2, 0, 1)[None]
        both = avg_pool2d(both, step // coarse)
        both = blurred(both, sigma)[0]
        self._around, self._direct = both[:3], both[3:]
        self._ground, _ = background_points(scene, SHADOW_STEP_PX)

    def light(self, shadows: ShadowMap) -> Tensor:
        """(3, S, S) linear light under one frame's shadows."""
        arrives = shadows.light_at(self._ground.flatten(0, 1), 0.03)
        small = arrives.view(1, 1, *self._ground.shape[:2])
        large = interpolate(small, size=self._direct.shape[1:], mode="bilinear")[0]
        return self._around + self._direct * large


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


def background_light(scene: Scene, step: int) -> tuple[Tensor, Tensor]:
    """Linear light (H, W, 3) that comes from the background: without the lamp, and by the lamp.

    step: as of background_points().
    """
    points, which = background_points(scene, step)
    light = scene.light
    eye = scene.camera.to_world(torch.zeros(1, 3))[0]
    away = points - eye
    rise = normalize(away, dim=-1)[..., 1:2].clamp(0, 1)
    around = scene.heaven[0] * (1 - rise) + scene.heaven[1] * rise
    direct = torch.zeros_like(around)
    for number, wall in enumerate(scene.walls):
        own = which == number
        if not own.any():
            continue
        place = points[own]
        reach = away[own].norm(dim=1)
        footprint = reach * step / (scene.camera.focal_px or 1.0)
        slant = (away[own] @ wall.normal).abs() / reach
        tone = _wall_tone(wall, place, footprint / slant.clamp_min(0.05) ** 0.5)
        if abs(float(wall.normal[1])) < 0.5:  # walls are darker toward the floor
            tone = tone * (1 - 0.3 * torch.exp(-place[:, 1].clamp_min(0) * 3))[:, None]
        above = 0.5 + 0.5 * float(wall.normal[1])
        around[own] = tone * (light.sky * above + light.ground * (1 - above))
        direct[own] = tone * light.key * ((wall.normal @ light.direction).clamp_min(0) * 0.8 + 0.12)
    return around, direct


def _wall_tone(wall: Wall, place: Tensor, footprint_m: Tensor) -> Tensor:
    """(n, 3) colors of a wall at places (n, 3), the coarser the more of it (n,) a pixel covers.

    A texture repeats itself mirrored.
    """
    u = place @ wall.across - wall.start[0]
    v = place @ wall.up - wall.start[1]
    wrapped = 1 - (torch.remainder(torch.stack([u, v], -1) / wall.extent_m, 2) - 1).abs()
    wrapped[:, 1] = 1 - wrapped[:, 1]
    grid = (wrapped * 2 - 1)[None, None]
    fine = wall.texture.permute(2, 0, 1)[None]
    coarse = avg_pool2d(fine, 8) if min(fine.shape[2:]) >= 16 else fine
    sharp, soft = (
        grid_sample(picture, grid, padding_mode="border", align_corners=False)[0, :, 0].T
        for picture in (fine, coarse)
    )
    texel_m = wall.extent_m / fine.shape[2]
    share = (torch.log2(footprint_m / texel_m) / 3).clamp(0, 1)[:, None]
    return sharp + (soft - sharp) * share


def blurred(picture: Tensor, sigma_px: float) -> Tensor:
    """(1, C, H, W) blurred by a lens: a disk, about as wide as a Gaussian of sigma_px."""
    if sigma_px < 0.3:
        return picture
    radius = max(1, round(2 * sigma_px))
    shrink = max(1, radius // 3)
    small = interpolate(picture, scale_factor=1 / shrink, mode="area")
    own = max(1, round(radius / shrink))
    axis = torch.arange(-own, own + 1, dtype=torch.float32)
    disk = ((axis[:, None] ** 2 + axis[None] ** 2) <= (own + 0.3) ** 2).float()
    channels = picture.shape[1]
    kernel = (disk / disk.sum())[None, None].expand(channels, 1, -1, -1)
    padded = torch.nn.functional.pad(small, (own,) * 4, mode="replicate")
    soft = torch.nn.functional.conv2d(padded, kernel, groups=channels)
    return interpolate(soft, size=picture.shape[2:], mode="bilinear", align_corners=False)
