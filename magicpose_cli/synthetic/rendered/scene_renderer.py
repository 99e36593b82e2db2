"""Pictures of a dressed body in its scene: rasterized, lit with shadows, exposed."""

from __future__ import annotations

from dataclasses import dataclass, replace

import torch
from torch import Tensor
from torch.nn.functional import avg_pool2d, normalize, pad

from magicpose_cli.body.cameras import Camera
from magicpose_cli.body.renderer import Fragments, rasterize, vertex_normals
from magicpose_cli.synthetic.rendered.backgrounds import LitBackdrop
from magicpose_cli.synthetic.rendered.lighting import Shading, ShadowMap, ambient_openness
from magicpose_cli.synthetic.rendered.meshes import SurfaceMesh, on_triangles
from magicpose_cli.synthetic.rendered.scenes import Scene

SUPERSAMPLING = 2
MIDDLE = (slice(1, None, SUPERSAMPLING),) * 2
"""Of every block of 2 x 2 the pixel that labels, depth and normals are taken from."""


@dataclass(frozen=True, eq=False)
class RenderedFrame:
    """One picture and what is true of it.

    Attributes:
        image: RGB (3, S, S), 0..1.
        labels: Index into synthetic.canvas.LABELS, (S, S) uint8.
        parts: 1 + the index into body.layout.BODY_PARTS, clothes included, (S, S) uint8; else 0.
        depth: Meters along the camera's axis, (S, S), infinite beside the person.
        normals: Camera axes (S, S, 3), 0 beside the person.
    """

    image: Tensor
    labels: Tensor
    parts: Tensor
    depth: Tensor
    normals: Tensor


class SceneRenderer:
    """Renders the frames of one clip; what does not change among them is made once."""

    def __init__(self, mesh: SurfaceMesh, scene: Scene, seed: int):
        self._mesh, self._scene = mesh, scene
        self._view = scene.camera.scaled(SUPERSAMPLING)
        self._noise = torch.Generator().manual_seed(seed)
        self._background = LitBackdrop(replace(scene, camera=self._view), SUPERSAMPLING)
        self._labels = torch.tensor([each.label for each in mesh.surfaces], dtype=torch.uint8)

    def frame(self, vertices: Tensor) -> RenderedFrame:
        """One picture of the mesh's vertices (V, 3)."""
        mesh, view, scene = self._mesh, self._view, self._scene
        in_view = _in_view(vertices, view)
        faces = in_view[mesh.faces].any(1).nonzero()[:, 0]
        seen = rasterize(
            vertices[None], mesh.faces[faces], view, cull_back=True,
            opaque=lambda triangles, places: mesh.opaque(faces[triangles], places),
        )  # fmt: skip
        hit = seen.triangles[0] >= 0
        triangles = torch.where(hit, faces[seen.triangles[0].clamp_min(0)], -1)
        shadows = ShadowMap(mesh, vertices, vertices[in_view], scene.light)
        color, normals = self._shaded(vertices, triangles, seen, shadows)
        image = self._exposed(self._composed(color, hit, shadows), hit[MIDDLE])
        size = (3, scene.camera.height, scene.camera.width)
        image = image + torch.randn(size, generator=self._noise) * scene.noise
        shown = triangles[MIDDLE]
        labels = self._labels[mesh.surface[shown.clamp_min(0)]].where(shown >= 0, 0)
        parts = mesh.part[shown.clamp_min(0)].where(shown >= 0, 0)
        return RenderedFrame(
            image.clamp(0, 1), labels.to(torch.uint8), parts.to(torch.uint8),
            seen.depth[0][MIDDLE], normals,
        )  # fmt: skip

    def _composed(self, color: Tensor, hit: Tensor, shadows: ShadowMap) -> Tensor:
        """(3, S, S) linear light of the person, colors (n, 3) of pixels hit (H, W), before all."""
        places = hit.flatten().nonzero()[:, 0]
        before = torch.zeros(hit.numel(), 4).index_copy(0, places, pad(color, (0, 1), value=1.0))
        planes = before.view(*hit.shape, 4).permute(2, 0, 1)[None]
        small = avg_pool2d(planes, SUPERSAMPLING)[0]
        return small[:3] + (1 - small[3]) * self._background.light(shadows)

    def _exposed(self, light: Tensor, person: Tensor) -> Tensor:
        """Linear light (3, S, S) to sRGB as a camera's curve does: highlights roll off.

        person: (S, S) bool; it is metered, too, so that pale skin is not overexposed.
        """
        level = light.mean(0)
        bright = 0.8 * float(level[::2, ::2].flatten().quantile(0.85)) + 0.28
        if person.any():
            bright = max(bright, 0.9 * float(level[person][::2].quantile(0.85)) + 0.08)
        gain = self._scene.exposure * 0.62 / bright
        return (1 - torch.exp(-light * gain * 2.2)).clamp(1e-5, 1) ** (1 / 2.2)

    def _shaded(
        self, vertices: Tensor, triangles: Tensor, seen: Fragments, shadows: ShadowMap
    ) -> tuple[Tensor, Tensor]:
        """Linear colors (n, 3) of the n pixels that are hit, and normals (S, S, 3) of the camera.

        Textures are looked up for each pixel, light only once for those pixels of a block of 2 x 2
        that show the same surface.
        """
        mesh, view = self._mesh, self._view
        hit = triangles >= 0
        surfaces = mesh.surface[triangles.clamp_min(0)].where(hit, -1)
        is_lit, sharer = _shared_places(surfaces)
        flat, barycentric = triangles.flatten(), seen.barycentric[0].flatten(0, 1)
        lit = is_lit.flatten().nonzero()[:, 0]
        corners, weights = flat[lit], barycentric[lit]
        rows = torch.arange(len(lit))
        place = on_triangles(vertices[mesh.faces[corners]], rows, weights)
        smooth = vertex_normals(vertices[None], mesh.solid)[0]
        normals = normalize(on_triangles(smooth[mesh.faces[corners]], rows, weights), dim=1)
        inner = mesh.flipped[corners] & ~mesh.is_hair[corners]  # light comes through hair
        normals = torch.where(inner[:, None], -normals, normals)
        eye = view.to_world(torch.zeros(1, 3))[0]
        openness = ambient_openness(seen.depth[0], view).flatten()[lit]
        shading = Shading(
            mesh, surfaces.flatten()[lit], place, normals, eye, openness, shadows,
            self._scene.light,
        )  # fmt: skip
        places = hit.flatten().nonzero()[:, 0]
        own = sharer.flatten()[places]
        tones = mesh.tones(flat[places], barycentric[places])
        color = tones * shading.diffuse[own] + shading.mirrored[own]
        shown = hit[MIDDLE]
        found = torch.zeros(*shown.shape, 3)
        found[shown] = shading.normals[sharer[MIDDLE][shown]] @ view.rotation(vertices).T
        return color, found


def _in_view(vertices: Tensor, view: Camera) -> Tensor:
    """(V,) which vertices are in the picture, or close to it."""
    pixels, _ = view.project(vertices)
    margin = view.width / 5
    limit = pixels.new_tensor([view.width + margin, view.height + margin])
    return ((pixels > -margin) & (pixels < limit)).all(1)


def _shared_places(surfaces: Tensor) -> tuple[Tensor, Tensor]:
    """Which pixels (H, W) stand for others, and (H, W) the number of each pixel's stand-in.

    surfaces: (H, W), -1 for none.
    """
    step = SUPERSAMPLING
    height, width = surfaces.shape
    middle = surfaces[MIDDLE]
    same = surfaces == middle.repeat_interleave(step, 0).repeat_interleave(step, 1)
    lit = (surfaces >= 0) & ~same
    lit[MIDDLE] = middle >= 0
    number = (lit.flatten().cumsum(0) - 1).view(height, width)
    middle_number = number[MIDDLE].repeat_interleave(step, 0).repeat_interleave(step, 1)
    return lit, torch.where(same, middle_number, number)
