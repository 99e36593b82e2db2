"""How light falls on a dressed body: lamp and shadows, light from around, highlights, folds."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn.functional import avg_pool2d, interpolate, normalize

from magicpose_cli.body.cameras import Camera
from magicpose_cli.body.renderer import rasterize
from magicpose_cli.synthetic.rendered.meshes import SurfaceMesh
from magicpose_cli.synthetic.rendered.scenes import Light

SHADOW_SIZE_PX = 288
# of each kind of surface: how strongly and how sharply it mirrors the lamp, and how far light
# creeps around it
GLOSS = {"skin": 0.1, "eyes": 1.0, "mouth": 0.35, "cloth": 0.02, "shoes": 0.2, "hair": 0.18}
SHININESS = {"skin": 18, "eyes": 180, "mouth": 40, "cloth": 8, "shoes": 30, "hair": 30}
WRAP = {"skin": 0.28, "eyes": 0.3, "mouth": 0.2, "cloth": 0.1, "shoes": 0.0, "hair": 0.25}
_FOLDS = (  # radians a meter: three slow waves, three folds
    (31.0, 17.0, -22.0), (-24.0, 26.0, 33.0), (9.0, -38.0, 14.0),
    (46.0, 70.0, 30.0), (-58.0, 52.0, -24.0), (20.0, -88.0, 41.0),
)  # fmt: skip
_TAPS = (
    (0.1, -0.1), (0.9, 0.2), (-0.2, 0.9), (-0.9, -0.2), (0.2, -0.9),
    (0.5, 0.6), (-0.6, 0.5), (-0.5, -0.6), (0.6, -0.5),
)  # fmt: skip


class ShadowMap:
    """What the lamp sees of a person, so that all else lies in the shadow."""

    def __init__(self, mesh: SurfaceMesh, vertices: Tensor, seen: Tensor, light: Light):
        """All of one frame.

        Args:
            mesh: what throws the shadows.
            vertices: (V, 3) of it.
            seen: (n, 3) those in the picture, which the map covers.
            light: of the scene.
        """
        low, high = seen.amin(0), seen.amax(0)
        center = (low + high) / 2
        radius = float((high - low).norm()) / 2 + 0.05
        self._camera = Camera(
            SHADOW_SIZE_PX, SHADOW_SIZE_PX, light.azimuth_deg, light.elevation_deg, 5.0,
            (float(center[0]), float(center[1]), float(center[2])),
            pixels_per_m=SHADOW_SIZE_PX / 2 / radius,
        )  # fmt: skip
        nearest = rasterize(vertices[None], mesh.casting, self._camera, cull_back=True)
        self._depth = nearest.depth[0].flatten()
        self._spread = 0.8 + (0.004 + 0.02 * light.softness) * SHADOW_SIZE_PX / 2 / radius  # pixels

    def light_at(self, points: Tensor, bias_m: float) -> Tensor:
        """(n,) how much of the lamp's light arrives at points (n, 3), 0..1."""
        pixels, depth = self._camera.project(points)
        total = torch.zeros(len(points))
        most = SHADOW_SIZE_PX - 1
        for dx, dy in _TAPS:
            x = (pixels[:, 0] + dx * self._spread).long().clamp_(0, most)
            y = (pixels[:, 1] + dy * self._spread).long().clamp_(0, most)
            total += depth < self._depth[y * SHADOW_SIZE_PX + x] + bias_m
        return total / len(_TAPS)


class Shading:
    """Light on places of a mesh, one frame: color = tone * diffuse + mirrored.

    Attributes:
        diffuse: (n, 3) linear light that a surface's own color takes on.
        mirrored: (n, 3) linear light of highlights.
        normals: (n, 3) of the world.
    """

    def __init__(
        self,
        mesh: SurfaceMesh,
        surface: Tensor,
        place: Tensor,
        normals: Tensor,
        eye: Tensor,
        openness: Tensor,
        shadows: ShadowMap,
        light: Light,
    ):
        """All of n places.

        Args:
            mesh: whose surfaces they are on.
            surface: (n,) which one.
            place: (n, 3) meters.
            normals: (n, 3).
            eye: (3,) where the camera is.
            openness: (n,) to light from around, see ambient_openness().
            shadows: of the frame.
            light: of the scene.
        """
        kinds = [each.kind for each in mesh.surfaces]
        gloss, shine, wrap = (
            torch.tensor([float(table[kind]) for kind in kinds])[surface]
            for table in (GLOSS, SHININESS, WRAP)
        )
        is_cloth, is_hair, is_skin = (
            torch.tensor([kind == name for kind in kinds])[surface].nonzero()[:, 0]
            for name in ("cloth", "hair", "skin")
        )
        normals = normals.clone()
        normals[is_cloth] = _wrinkled(normals[is_cloth], place[is_cloth], surface[is_cloth])
        facing = normals @ light.direction
        arrives = shadows.light_at(place + normals * 0.012, 0.012)
        direct = ((facing + wrap) / (1 + wrap)).clamp_min(0) * arrives
        above = 0.5 + 0.5 * normals[:, 1:2]
        around = (light.ground + (light.sky - light.ground) * above) * openness[:, None]
        toward = normalize(eye - place, dim=1)
        half = normalize(light.direction + toward, dim=1)
        mirror = (normals * half).sum(1).clamp_min(0) ** shine
        mirror[is_hair] = _strand_shine(normals[is_hair], half[is_hair])
        edge = (1 - (normals * toward).sum(1)).clamp(0, 1) ** 4 * 0.12
        self.normals = normals
        self.diffuse = light.key * direct[:, None] + around
        blood = (1 - facing[is_skin].abs())[:, None] * place.new_tensor([0.05, 0.01, 0.005])
        self.diffuse[is_skin] += blood
        self.mirrored = (
            light.key * (mirror * gloss * arrives * 0.8)[:, None]
            + light.sky * (edge * gloss)[:, None]
        )


def ambient_openness(depth: Tensor, view: Camera) -> Tensor:
    """(H, W) how open each place is to light from around: darker where the neighborhood is nearer.

    Screen-space: the depth (H, W) beside a place against its own, over two distances.
    """
    known = depth.isfinite()
    if not known.any():
        return torch.ones_like(depth)
    far = float(depth[known].amax()) + 0.5
    filled = torch.where(known, depth, far)
    typical = max(float(depth[known].mean()), 0.2)
    result = torch.ones_like(depth)
    for reach_m, strength in ((0.03, 0.45), (0.12, 0.35)):
        radius = max(1, round(reach_m * (view.focal_px or 1.0) / typical))
        shrink = max(1, radius // 2)
        small = avg_pool2d(filled[None, None], shrink, ceil_mode=True)
        width = 2 * max(1, radius // shrink) + 1
        mean = avg_pool2d(small, width, 1, width // 2, count_include_pad=False)
        mean = interpolate(mean, size=depth.shape, mode="bilinear")[0, 0]
        behind = ((filled - mean) / reach_m).clamp(0, 1)
        result = result * (1 - strength * behind)
    return result


def _strand_shine(normals: Tensor, half: Tensor) -> Tensor:
    """Highlights of strands that run down over the head (Kajiya and Kay, 1989)."""
    down = normals.new_tensor([0.0, -1, 0])
    along = normalize(down - normals * (normals @ down)[:, None], dim=1)
    across = (along * half).sum(1)
    return (1 - across**2).clamp_min(0) ** 20


def _wrinkled(normals: Tensor, place: Tensor, surface: Tensor) -> Tensor:
    """Normals bent by folds of cloth; folds lie still in space while the cloth moves a little.

    The folds of a second, finer set are sharp on one side, and come and go with the first.
    """
    waves = place.new_tensor(_FOLDS)
    phases = place @ waves.T + surface[:, None] * 1.7 + place.new_tensor([0.0, 1, 2, 3, 4, 5])
    slopes = torch.cos(phases) * 0.055
    strength = 0.5 + 0.5 * torch.sin(phases[:, :3])
    slopes[:, 3:] = torch.exp(2 * (torch.sin(phases[:, 3:]) - 1)) * strength * 0.22
    return normalize(normals + slopes @ normalize(waves, dim=1), dim=1)
