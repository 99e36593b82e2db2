"""A z-buffer in torch: which triangle every pixel shows, and where on it. Runs on any device.

A pixel shows a triangle where its middle lies inside of it or on its border. Triangles that come
nearer to the camera than NEAR_M with any corner are left out whole, not clipped: keep the camera
outside of the person. There is no anti-aliasing here: draw at twice the size and halve the pictures
(see body/shading.py).
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, NamedTuple

from magicpose_cli.body.cameras import Camera, Projected

if TYPE_CHECKING:
    from torch import Tensor

NEAR_M = 0.05
BORDER = 1e-5  # of a triangle: how far outside still counts, so that neighbors leave no cracks

Opaque = Callable[["Tensor", "Tensor"], "Tensor"]
"""From triangles (n,) and barycentrics (n, 3) in the picture to (n,) bool."""


class Fragments(NamedTuple):
    """What a picture of H x W pixels shows, for each of B bodies.

    triangles (B, H, W) int64: which triangle, -1 for none.
    barycentric (B, H, W, 3): weights of its corners, true in space; 0 where there is none.
    depth (B, H, W): meters along the camera's axis, infinite where there is none.
    """

    triangles: Tensor
    barycentric: Tensor
    depth: Tensor


def rasterize(
    vertices: Tensor,
    faces: Tensor,
    camera: Camera,
    *,
    cull_back: bool = False,
    opaque: Opaque | None = None,
) -> Fragments:
    """Find what the camera sees of a mesh.

    Barycentrics and depth have gradients toward the vertices; which triangle is seen has none.

    Args:
        vertices: (B, V, 3), meters of the world.
        faces: (F, 3) int64, the same for all B.
        camera: one for all B.
        cull_back: leave out triangles that are seen from behind. Faster, and right for closed
            meshes seen from outside.
        opaque: which candidates are seen at all, for textures with holes; None for all.
    """
    import torch

    projected = camera.project(vertices)
    with torch.no_grad():
        seen = _visible(projected, faces, camera, cull_back, opaque)
    hit = (seen >= 0).nonzero()[:, 0]
    barycentric, depth = _on_triangles(projected, faces, camera, seen[hit], hit)
    flat = vertices.new_zeros(len(seen), 3).index_copy(0, hit, barycentric)
    far = vertices.new_full((len(seen),), float("inf")).index_copy(0, hit, depth)
    shape = (len(vertices), camera.height, camera.width)
    return Fragments(seen.view(shape), flat.view(*shape, 3), far.view(shape))


def interpolate(fragments: Fragments, faces: Tensor, values: Tensor) -> Tensor:
    """Values of the corners at every pixel: (B, H, W, C), 0 where there is no triangle.

    Args:
        fragments: of rasterize().
        faces: (F, 3) indices into the values; corners (F, 3) for texture coordinates.
        values: (B, N, C), or (1, N, C) for all bodies.
    """
    import torch

    triangles = fragments.triangles.flatten()
    hit = (triangles >= 0).nonzero()[:, 0]
    rows = faces[triangles[hit]]
    if len(values) > 1:
        size = fragments.triangles[0].numel()
        rows = rows + torch.div(hit, size, rounding_mode="floor")[:, None] * values.shape[1]
    corners = values.flatten(0, 1)[rows.flatten()].view(len(rows), 3, values.shape[-1])
    weights = fragments.barycentric.flatten(0, 2)[hit]
    found = (corners * weights[..., None]).sum(dim=1)
    flat = values.new_zeros(len(triangles), values.shape[-1]).index_copy(0, hit, found)
    return flat.view(*fragments.triangles.shape, -1)


def vertex_normals(vertices: Tensor, faces: Tensor) -> Tensor:
    """(B, V, 3) unit normals, outward; those of the triangles around, weighted by their area."""
    import torch
    from torch.nn.functional import normalize

    a, b, c = (vertices[:, faces[:, i]] for i in range(3))
    area = torch.linalg.cross(b - a, c - a)
    start = torch.arange(len(vertices), device=faces.device)[:, None] * vertices.shape[1]
    total = torch.zeros_like(vertices.flatten(0, 1))
    for i in range(3):
        total = total.index_add(0, (faces[:, i] + start).flatten(), area.flatten(0, 1))
    return normalize(total, dim=-1).view(vertices.shape)


def silhouette(fragments: Fragments) -> Tensor:
    """(B, H, W) bool: where anything is seen."""
    return fragments.triangles >= 0


def part_map(fragments: Fragments, face_parts: Tensor) -> Tensor:
    """(B, H, W) int64: the part of the triangle that is seen, -1 for none.

    face_parts: (F,) int64, such as Body.face_parts.
    """
    return face_parts[fragments.triangles.clamp_min(0)].where(fragments.triangles >= 0, -1)


def normal_map(fragments: Fragments, vertices: Tensor, faces: Tensor, camera: Camera) -> Tensor:
    """(B, H, W, 3) unit normals in camera axes (x right, y down, z away), 0 where nothing is seen.

    Those that face the camera have a negative z.
    """
    from torch.nn.functional import normalize

    seen = vertex_normals(vertices, faces) @ camera.rotation(vertices).T
    return normalize(interpolate(fragments, faces, seen), dim=-1)


def _visible(
    projected: Projected, faces: Tensor, camera: Camera, cull_back: bool, opaque: Opaque | None
) -> Tensor:
    """(B * H * W,) int64: the nearest triangle of every pixel, -1 for none."""
    import torch

    batch, count = len(projected.pixels), len(faces)
    width, height = camera.width, camera.height
    a, b, c = (projected.pixels[:, faces[:, i]].flatten(0, 1) for i in range(3))
    ab, ac = b - a, c - a
    area = ab[:, 0] * ac[:, 1] - ab[:, 1] * ac[:, 0]  # negative where seen from outside
    low = (torch.minimum(a, torch.minimum(b, c)) - 0.5).ceil().clamp_min(0)
    most = a.new_tensor([width - 1, height - 1])
    high = torch.minimum((torch.maximum(a, torch.maximum(b, c)) - 0.5).floor(), most)
    box = high - low + 1
    near = projected.depth <= NEAR_M
    keep = (box[:, 0] > 0) & (box[:, 1] > 0)
    keep &= (area < -1e-9) if cull_back else (area.abs() > 1e-9)
    if near.any():
        keep &= ~near[:, faces].any(dim=2).flatten()
    kept = keep.nonzero()[:, 0]
    low, box, a, ab, ac = low[kept].int(), box[kept].int(), a[kept], ab[kept], ac[kept]
    area, columns, boxes = area[kept, None], box[:, 0], box[:, 0] * box[:, 1]
    depth = projected.depth[:, faces].flatten(0, 1)[kept]
    value = 1 / depth if camera.is_perspective else depth  # what is affine in the picture
    to_b = torch.stack([ac[:, 1], -ac[:, 0]], 1) / area
    to_c = torch.stack([-ab[:, 1], ab[:, 0]], 1) / area
    slope = to_b * (value[:, 1:2] - value[:, :1]) + to_c * (value[:, 2:] - value[:, :1])

    number = torch.repeat_interleave(
        torch.arange(len(kept), dtype=torch.int32, device=boxes.device), boxes
    )
    inside = torch.arange(len(number), dtype=torch.int32, device=boxes.device)
    inside -= (torch.cumsum(boxes, 0, dtype=torch.int32) - boxes)[number]
    row = torch.div(inside, columns[number], rounding_mode="floor")
    x = inside - row * columns[number] + low[number, 0]
    y = row + low[number, 1]
    dx, dy = x + 0.5 - a[number, 0], y + 0.5 - a[number, 1]
    b = dx * to_b[number, 0] + dy * to_b[number, 1]
    c = dx * to_c[number, 0] + dy * to_c[number, 1]
    own = ((b >= -BORDER) & (c >= -BORDER) & (b + c <= 1 + BORDER)).nonzero()[:, 0]
    if opaque is not None:
        face = kept[number[own]] % count
        own = own[opaque(face, torch.stack([1 - b[own] - c[own], b[own], c[own]], dim=1))]
    number, dx, dy = number[own], dx[own], dy[own]
    found = value[number, 0] + dx * slope[number, 0] + dy * slope[number, 1]
    triangle = kept[number]
    pixel = y[own].long() * width + x[own]
    if batch > 1:
        pixel += torch.div(triangle, count, rounding_mode="floor") * (width * height)
        triangle = triangle % count
    distance = (1 / found if camera.is_perspective else found).float().contiguous()
    key = (distance.view(torch.int32).long() << 32) | triangle  # positive floats sort as integers
    none = torch.iinfo(torch.int64).max
    best = torch.full((batch * width * height,), none, device=key.device)
    best.scatter_reduce_(0, pixel, key, "amin")
    return torch.where(best == none, -1, best & 0xFFFFFFFF)


def _on_triangles(
    projected: Projected, faces: Tensor, camera: Camera, triangles: Tensor, places: Tensor
) -> tuple[Tensor, Tensor]:
    """Barycentrics (n, 3), true in space, and depth (n,) at these places of (B * H * W)."""
    import torch

    size, count = camera.width * camera.height, projected.depth.shape[1]
    rows, pixel = faces[triangles], places
    if len(projected.depth) > 1:
        body, pixel = torch.div(places, size, rounding_mode="floor"), places % size
        rows = rows + body[:, None] * count
    flat, depth = projected.pixels.flatten(0, 1), projected.depth.flatten()[rows]
    a, b, c = (flat[rows[:, i]] for i in range(3))
    row = torch.div(pixel, camera.width, rounding_mode="floor")
    px, py = pixel - row * camera.width + 0.5 - a[:, 0], row + 0.5 - a[:, 1]
    ab, ac = b - a, c - a
    area = ab[:, 0] * ac[:, 1] - ab[:, 1] * ac[:, 0]
    to_b = (px * ac[:, 1] - py * ac[:, 0]) / area
    to_c = (ab[:, 0] * py - ab[:, 1] * px) / area
    weights = torch.stack([1 - to_b - to_c, to_b, to_c], dim=1).clamp(0, 1)
    if not camera.is_perspective:
        weights = weights / weights.sum(1, keepdim=True)
        return weights, (weights * depth).sum(1)
    inverse = weights / depth
    total = inverse.sum(1, keepdim=True)
    return inverse / total, weights.sum(1) / total[:, 0]
