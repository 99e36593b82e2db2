"""Pictures of a dressed body in its scene: rasterized, lit with shadows, exposed."""

from __future__ import annotations

from dataclasses import dataclass, replace

import torch
from torch import Tensor
from torch.nn.functional import avg_pool2d, grid_sample, interpolate, normalize

from magicpose_cli.body.cameras import Camera
from magicpose_cli.body.renderer import Fragments, rasterize, vertex_normals
from magicpose_cli.synthetic.rendered.backgrounds import (
    background_light,
    background_points,
    blurred,
)
from magicpose_cli.synthetic.rendered.scenes import Light, Scene
from magicpose_cli.synthetic.rendered.surfaces import Surface

SUPERSAMPLING = 2
SHADOW_SIZE = 320
SHADOW_STEP = 4  # a ray for every so many pixels, for shadows on walls and floor
GLOSS = {"skin": 0.12, "eyes": 1.0, "mouth": 0.35, "cloth": 0.02, "shoes": 0.2, "hair": 0.18}
SHININESS = {"skin": 18, "eyes": 180, "mouth": 40, "cloth": 8, "shoes": 30, "hair": 30}
WRAP = {"skin": 0.28, "eyes": 0.3, "mouth": 0.2, "cloth": 0.1, "shoes": 0.0, "hair": 0.25}


@dataclass(frozen=True, eq=False)
class Mesh:
    """All surfaces in one, T triangles; open surfaces come twice, once for each side.

    Attributes:
        surfaces: What it is made of.
        faces: (T, 3) of the joined vertices.
        surface: (T,) which surface.
        source: (T,) which triangle of it.
        flipped: (T,) whether its corners are in reverse order.
        casts: (T,) whether it throws a shadow.
        starts: Where each surface's vertices begin.
    """

    surfaces: tuple[Surface, ...]
    faces: Tensor
    surface: Tensor
    source: Tensor
    flipped: Tensor
    casts: Tensor
    starts: tuple[int, ...]

    @staticmethod
    def of(surfaces: list[Surface]) -> Mesh:
        """Join surfaces."""
        faces, surface, source, flipped, casts, starts = [], [], [], [], [], []
        start = 0
        for number, each in enumerate(surfaces):
            starts.append(start)
            for flip in (False, True) if each.is_open else (False,):
                own = each.faces.flip(1) if flip else each.faces
                faces.append(own + start)
                surface.append(torch.full((len(own),), number))
                source.append(torch.arange(len(own)))
                flipped.append(torch.full((len(own),), flip))
                casts.append(torch.full((len(own),), not (flip or each.is_hidden_from_light)))
            start += each.rest.shape[1]
        return Mesh(
            tuple(surfaces), torch.cat(faces), torch.cat(surface), torch.cat(source),
            torch.cat(flipped), torch.cat(casts), tuple(starts),
        )  # fmt: skip


@dataclass(frozen=True, eq=False)
class RenderedFrame:
    """One picture and what is true of it.

    Attributes:
        image: RGB (3, S, S), 0..1.
        labels: Index into synthetic.canvas.LABELS, (S, S) uint8.
        depth: Meters along the camera's axis, (S, S), infinite beside the person.
        normals: Camera axes (S, S, 3), 0 beside the person.
    """

    image: Tensor
    labels: Tensor
    depth: Tensor
    normals: Tensor


class SceneRenderer:
    """Renders the frames of one clip; what does not change among them is made once."""

    def __init__(self, mesh: Mesh, scene: Scene, seed: int):
        self._mesh, self._scene = mesh, scene
        self._view = scene.camera.scaled(SUPERSAMPLING)
        self._noise = torch.Generator().manual_seed(seed)
        points, _ = background_points(_scaled(scene, SUPERSAMPLING), SHADOW_STEP)
        self._ground_points = points
        self._textures = [each.texture.permute(2, 0, 1)[None] for each in mesh.surfaces]
        full = torch.ones(self._view.height, self._view.width)
        large = _scaled(scene, SUPERSAMPLING)
        sigma = scene.blur_px * self._view.width / 256
        lit = background_light(large, full)
        dark = background_light(large, full * 0)
        self._lit, self._dark = blurred(lit, sigma), blurred(dark, sigma)

    def frame(self, vertices: Tensor) -> RenderedFrame:
        """One picture of the mesh's vertices (V, 3)."""
        mesh, view, scene = self._mesh, self._view, self._scene
        seen = rasterize(vertices[None], mesh.faces, view, cull_back=True, opaque=self._opaque)
        shadows = _ShadowMap(mesh, vertices, scene.light)
        shaded = self._shaded(vertices, seen, shadows)
        behind = self._background(shadows)
        hit = seen.triangles[0] >= 0
        color = behind.clone()
        color[hit] = shaded.color
        picture = self._exposed(color)
        size = scene.camera.height
        step = SUPERSAMPLING
        middle = (slice(step // 2, None, step),) * 2
        labels = torch.zeros(hit.shape, dtype=torch.uint8)
        own = torch.tensor([each.label for each in mesh.surfaces], dtype=torch.uint8)
        labels[hit] = own[mesh.surface[seen.triangles[0][hit]]]
        normals = torch.zeros(*hit.shape, 3)
        normals[hit] = shaded.normals @ view.rotation(vertices).T
        image = avg_pool2d(picture.permute(2, 0, 1)[None], step)[0]
        image = image + torch.randn(3, size, size, generator=self._noise) * scene.noise
        return RenderedFrame(
            image.clamp(0, 1), labels[middle], seen.depth[0][middle], normals[middle]
        )

    def _opaque(self, triangles: Tensor, barycentric: Tensor) -> Tensor:
        """Which candidates are no holes."""
        mesh = self._mesh
        keep = torch.ones(len(triangles), dtype=torch.bool)
        surface = mesh.surface[triangles]
        for number, each in enumerate(mesh.surfaces):
            if not each.has_holes:
                continue
            own = (surface == number).nonzero()[:, 0]
            if len(own):
                uv = self._uv(each, triangles[own], barycentric[own])
                keep[own] = _sampled(self._textures[number][:, 3:], uv)[:, 0] > 0.5
        return keep

    def _uv(self, surface: Surface, triangles: Tensor, barycentric: Tensor) -> Tensor:
        mesh = self._mesh
        corners = surface.uv[mesh.source[triangles]]
        corners = torch.where(mesh.flipped[triangles][:, None, None], corners.flip(1), corners)
        return (corners * barycentric[..., None]).sum(1)

    def _background(self, shadows: _ShadowMap) -> Tensor:
        arrives = shadows.light_at(self._ground_points.flatten(0, 1), 0.03)
        small = arrives.view(1, 1, *self._ground_points.shape[:2])
        large = interpolate(small, size=self._lit.shape[:2], mode="bilinear")[0, 0][..., None]
        return self._dark + (self._lit - self._dark) * large

    def _exposed(self, color: Tensor) -> Tensor:
        """Linear light to sRGB as a camera's curve does: highlights roll off."""
        bright = float(torch.cat([self._lit[::8, ::8], color[::8, ::8]]).quantile(0.85))
        gain = self._scene.exposure * 0.62 / (bright + 0.2)
        return (1 - torch.exp(-color * gain * 2.2)).clamp(1e-5, 1) ** (1 / 2.2)

    def _shaded(self, vertices: Tensor, seen: Fragments, shadows: _ShadowMap) -> _Shaded:
        mesh, scene, view = self._mesh, self._scene, self._view
        hit = seen.triangles[0] >= 0
        triangles, barycentric = seen.triangles[0][hit], seen.barycentric[0][hit]
        corners = mesh.faces[triangles]
        place = (vertices[corners] * barycentric[..., None]).sum(1)
        smooth = vertex_normals(vertices[None], mesh.faces[~mesh.flipped])[0]
        normals = normalize((smooth[corners] * barycentric[..., None]).sum(1), dim=1)
        normals = torch.where(mesh.flipped[triangles][:, None], -normals, normals)
        eye = view.to_world(torch.zeros(1, 3))
        toward = normalize(eye - place, dim=1)
        surface = mesh.surface[triangles]
        tone = torch.zeros(len(triangles), 3)
        gloss, shine, wrap = (torch.zeros(len(triangles)) for _ in range(3))
        for number, each in enumerate(mesh.surfaces):
            own = (surface == number).nonzero()[:, 0]
            if not len(own):
                continue
            uv = self._uv(each, triangles[own], barycentric[own])
            tone[own] = _sampled(self._textures[number][:, :3], uv)
            gloss[own], shine[own], wrap[own] = (
                table[each.kind] for table in (GLOSS, SHININESS, WRAP)
            )
            if each.kind == "cloth":
                normals[own] = _wrinkled(normals[own], place[own], number)
        light, lamp = scene.light, scene.light.direction
        facing = normals @ lamp
        arrives = shadows.light_at(place + normals * 0.012, 0.012)
        direct = ((facing + wrap) / (1 + wrap)).clamp_min(0) * arrives
        above = 0.5 + 0.5 * normals[:, 1:2]
        occlusion = _occlusion(seen.depth[0], view)[hit][:, None]
        around = (light.sky * above + light.ground * (1 - above)) * occlusion
        half = normalize(lamp + toward, dim=1)
        mirror = (normals * half).sum(1).clamp_min(0) ** shine * gloss * arrives
        hair = torch.tensor([each.kind == "hair" for each in mesh.surfaces])[surface]
        if hair.any():
            mirror[hair] = _strand_shine(normals[hair], half[hair]) * gloss[hair] * arrives[hair]
        edge = (1 - (normals * toward).sum(1)).clamp(0, 1) ** 4 * 0.12
        skin = torch.tensor([each.kind == "skin" for each in mesh.surfaces])[surface]
        blood = torch.zeros(len(tone), 3)
        blood[skin] = (1 - facing[skin].abs())[:, None] * torch.tensor([0.05, 0.01, 0.005])
        color = tone * (light.key * direct[:, None] + around + blood)
        color = color + light.key * mirror[:, None] * 0.8 + light.sky * (edge * gloss)[:, None]
        return _Shaded(color, normals)


@dataclass(frozen=True, eq=False)
class _Shaded:
    color: Tensor
    normals: Tensor


class _ShadowMap:
    """What the lamp sees."""

    def __init__(self, mesh: Mesh, vertices: Tensor, light: Light):
        low, high = vertices.amin(0), vertices.amax(0)
        center = (low + high) / 2
        radius = float((high - low).norm()) / 2 + 0.05
        self._camera = Camera(
            SHADOW_SIZE, SHADOW_SIZE, light.azimuth_deg, light.elevation_deg, 5.0,
            tuple(center.tolist()), pixels_per_m=SHADOW_SIZE / 2 / radius,
        )  # fmt: skip
        seen = rasterize(vertices[None], mesh.faces[mesh.casts], self._camera)
        self._depth = seen.depth[0]
        self._spread = 0.8 + 2.2 * light.softness

    def light_at(self, points: Tensor, bias_m: float) -> Tensor:
        """(n,) how much of the lamp's light arrives at points (n, 3), 0..1."""
        pixels, depth = self._camera.project(points)
        total = torch.zeros(len(points))
        taps = ((0, 0), (1, 0.3), (-0.3, 1), (-1, -0.3), (0.3, -1))
        for dx, dy in taps:
            x = (pixels[:, 0] + dx * self._spread).long()
            y = (pixels[:, 1] + dy * self._spread).long()
            inside = (x >= 0) & (y >= 0) & (x < SHADOW_SIZE) & (y < SHADOW_SIZE)
            near = self._depth[y.clamp(0, SHADOW_SIZE - 1), x.clamp(0, SHADOW_SIZE - 1)]
            total += (~inside | (depth < near + bias_m)).float()
        return total / len(taps)


def _sampled(texture: Tensor, uv: Tensor) -> Tensor:
    """(n, C) of a texture (1, C, h, w) at uv (n, 2), bilinear."""
    grid = torch.stack([uv[:, 0] * 2 - 1, 1 - uv[:, 1] * 2], -1)
    found = grid_sample(texture, grid[None, None], padding_mode="border", align_corners=False)
    return found[0, :, 0].T


def _occlusion(depth: Tensor, view: Camera) -> Tensor:
    """(H, W) how open each place is to light from around: darker where the neighborhood is nearer.

    Screen-space: the depth beside a place against its own, over two distances.
    """
    known = depth.isfinite()
    far = float(depth[known].amax()) + 0.5 if known.any() else 1.0
    filled = torch.where(known, depth, torch.full_like(depth, far))
    focal = view.focal_px or 1.0
    result = torch.ones_like(depth)
    for reach_m, strength in ((0.03, 0.45), (0.12, 0.35)):
        radius = max(1, round(reach_m * focal / float(filled.median().clamp_min(0.2))))
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


def _wrinkled(normals: Tensor, place: Tensor, number: int) -> Tensor:
    """Normals bent by folds of cloth; folds lie still in space while the cloth moves a little."""
    generator = torch.Generator().manual_seed(number)
    waves = torch.randn(5, 3, generator=generator) * torch.tensor([45.0, 22.0, 45.0])
    starts = torch.rand(5, generator=generator) * 6.28
    slope = torch.cos(place @ waves.T + starts) * 0.06
    return normalize(normals + slope @ (waves / waves.norm(dim=1, keepdim=True)), dim=1)


def _scaled(scene: Scene, factor: int) -> Scene:
    return replace(scene, camera=scene.camera.scaled(factor))
