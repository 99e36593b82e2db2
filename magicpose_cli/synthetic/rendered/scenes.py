"""Where rendered people are: camera, light, and a room or an open place around them."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor
from torch.nn.functional import interpolate, normalize

from magicpose_cli.arrays import Floats
from magicpose_cli.body.cameras import Camera
from magicpose_cli.synthetic.rendered.fabrics import color, smooth_noise

SHOTS = ("full", "half", "face")


@dataclass(frozen=True, eq=False)
class Light:
    """One sun or lamp, and what comes from everywhere.

    Attributes:
        azimuth_deg: where the lamp stands around the person, as a camera's.
        elevation_deg: how high.
        key: (3,) its color times its strength, linear.
        sky: (3,) of the light from above.
        ground: (3,) of the light from below.
        softness: of its shadows' borders, 0 hard .. 1 soft.
    """

    azimuth_deg: float
    elevation_deg: float
    key: Tensor
    sky: Tensor
    ground: Tensor
    softness: float

    @property
    def direction(self) -> Tensor:
        """(3,) toward the lamp."""
        azimuth, height = np.radians([self.azimuth_deg, self.elevation_deg])
        return torch.tensor(
            [np.sin(azimuth) * np.cos(height), np.sin(height), np.cos(azimuth) * np.cos(height)],
            dtype=torch.float32,
        )


@dataclass(frozen=True, eq=False)
class Wall:
    """A plane of the room with a picture on it.

    Attributes:
        normal: (3,) into the room.
        offset: of its points along the normal, meters.
        across: (3,) direction of the texture's u.
        up: (3,) of its v.
        start: (2,) u and v where the texture begins, meters.
        extent_m: of the texture, which repeats itself mirrored.
        texture: (h, w, 3) linear.
    """

    normal: Tensor
    offset: float
    across: Tensor
    up: Tensor
    start: tuple[float, float]
    extent_m: float
    texture: Tensor


@dataclass(frozen=True, eq=False)
class Scene:
    """All but the person.

    Attributes:
        camera: of the picture.
        light: see Light.
        walls: planes; what no ray meets is sky.
        heaven: (2, 3) linear colors of the sky at the horizon and above.
        blur_px: of the background, at a picture of 256 pixels (a lens wide open).
        exposure: of the camera.
        noise: of its sensor, in levels of 0..1.
    """

    camera: Camera
    light: Light
    walls: tuple[Wall, ...]
    heaven: Tensor
    blur_px: float
    exposure: float
    noise: float


def sample_light(rng: np.random.Generator) -> Light:
    """A lamp somewhere before or beside the person."""
    warm = rng.normal(0, 0.1)
    key = np.array([1 + warm, 1.0, 1 - warm]) * rng.uniform(0.6, 1.5)
    sky = np.array([1 - warm, 1.0, 1 + warm]) * rng.uniform(0.3, 0.7)
    ground = sky * rng.uniform(0.35, 0.8) * rng.uniform(0.9, 1.1, 3)
    return Light(
        float(np.clip(rng.normal(0, 50), -120, 120)), float(rng.uniform(15, 70)),
        *(torch.from_numpy(values).float() for values in (key, sky, ground)),
        softness=float(rng.uniform(0, 1)),
    )  # fmt: skip


def sample_scene(
    rng: np.random.Generator, points: Tensor, head: Tensor, size: int, shot: str
) -> Scene:
    """A place for a clip.

    Args:
        rng: Where chance comes from.
        points: (n, 3) points of the person in all frames, the floor at height 0.
        head: (F, 3) where the head is.
        size: Side of the pictures in pixels.
        shot: One of SHOTS.
    """
    camera = _sample_camera(rng, points, head, size, shot)
    outdoors = rng.random() < 0.3
    walls = _outdoors(rng, camera) if outdoors else _room(rng, camera, points)
    horizon = np.clip(color(rng) * 0.3 + 0.6, 0, 1) ** 2.2 * rng.uniform(0.7, 1.4)
    above = np.clip(np.array([0.35, 0.5, 0.75]) * rng.uniform(0.6, 1.3, 3), 0, 1)
    blur = float(rng.choice([0.0, rng.uniform(0.5, 2), rng.uniform(2, 7)], p=[0.4, 0.35, 0.25]))
    return Scene(
        camera, sample_light(rng), walls,
        torch.from_numpy(np.stack([horizon, above])).float(), blur,
        exposure=float(rng.uniform(0.8, 1.25)), noise=float(rng.uniform(0.002, 0.014)),
    )  # fmt: skip


def _sample_camera(
    rng: np.random.Generator, points: Tensor, head: Tensor, size: int, shot: str
) -> Camera:
    low, high = points.amin(0), points.amax(0)
    middle = head.mean(0)
    drift = float((head.amax(0) - head.amin(0)).norm())
    if shot == "full":
        target, extent = (low + high) / 2, float((high - low).norm()) * rng.uniform(0.9, 1.15)
    elif shot == "half":
        target = middle - middle.new_tensor([0, rng.uniform(0.22, 0.42), 0])
        extent = rng.uniform(0.95, 1.35) + drift
    else:
        target = middle - middle.new_tensor([0, rng.uniform(-0.06, 0.1), 0])
        extent = rng.uniform(0.38, 0.7) + drift
    field = np.radians(rng.uniform(20, 50))
    distance = extent / 2 / np.tan(field / 2)
    shift = rng.normal(0, 0.03 * extent, 3)
    return Camera(
        size, size,
        azimuth_deg=float(np.clip(rng.normal(0, 22), -75, 75)),
        elevation_deg=float(np.clip(rng.normal(3, 6), -10, 25)),
        distance_m=float(distance),
        target=tuple(float(t + s) for t, s in zip(target, shift, strict=True)),  # type: ignore[arg-type]
        focal_px=float(size / 2 / np.tan(field / 2)),
    )  # fmt: skip


def _plane(
    rng: np.random.Generator, normal: Floats, offset: float, across: Floats, texture: Floats,
    extent_m: float,
) -> Wall:  # fmt: skip
    up = np.cross(normal, across)
    vectors = (torch.from_numpy(v).float() for v in (normal, across, up))
    first, second, third = vectors
    start = (float(rng.uniform(-2, 2)), 0.0)
    linear = torch.from_numpy(np.clip(texture, 0.01, 1) ** 2.2).float()
    return Wall(first, offset, second, third, start, extent_m, linear)


def _room(rng: np.random.Generator, camera: Camera, points: Tensor) -> tuple[Wall, ...]:
    """A floor, three walls and a ceiling; turned against the camera a little."""
    turn = np.radians(camera.azimuth_deg + rng.normal(0, 14))
    front = np.array([np.sin(turn), 0.0, np.cos(turn)])  # from the back wall to the camera
    side = np.array([np.cos(turn), 0.0, -np.sin(turn)])
    up = np.array([0.0, 1.0, 0.0])
    reach = float((points @ torch.from_numpy(-front).float()).max())
    back = reach + rng.uniform(0.15, 2.5)
    width = rng.uniform(1.6, 4.0)
    wall = _wall_texture(rng, rng.random() < 0.8)
    other = wall if rng.random() < 0.7 else _wall_texture(rng, False)
    return (
        _plane(rng, up, 0.0, side, _floor_texture(rng), rng.uniform(1.5, 3.0)),
        _plane(rng, front, -back, side, wall, rng.uniform(2.6, 4.5)),
        _plane(rng, side, -width, -front, other, 3.0),
        _plane(rng, -side, -width, front, other, 3.0),
        _plane(rng, -up, -rng.uniform(2.4, 3.6), side, np.full((4, 4, 3), 0.85), 3.0),
    )


def _outdoors(rng: np.random.Generator, camera: Camera) -> tuple[Wall, ...]:
    """A ground, and far away a backdrop of bushes, houses or hills."""
    turn = np.radians(camera.azimuth_deg)
    front = np.array([np.sin(turn), 0.0, np.cos(turn)])
    side = np.array([np.cos(turn), 0.0, -np.sin(turn)])
    ground = _floor_texture(rng)
    backdrop = _backdrop_texture(rng)
    far = rng.uniform(4, 10)
    return (
        _plane(rng, np.array([0.0, 1.0, 0.0]), 0.0, side, ground, rng.uniform(2, 5)),
        _plane(rng, front, -far, side, backdrop, rng.uniform(6, 12)),
    )


def _wall_texture(rng: np.random.Generator, has_things: bool) -> Floats:
    """(512, 512, 3) sRGB: paint, stripes, bricks or boards, with frames, shelves and curtains."""
    size = 512
    base = np.clip(color(rng) * 0.35 + rng.uniform(0.3, 0.6), 0.05, 0.97)
    picture = np.broadcast_to(base, (size, size, 3)).copy()
    y, x = np.mgrid[:size, :size] / size
    kind = rng.choice(
        ["paint", "stripes", "bricks", "boards", "paper"], p=[0.5, 0.1, 0.15, 0.1, 0.15]
    )
    if kind == "stripes":
        picture *= 1 - 0.15 * (np.mod(x * rng.uniform(8, 30), 1) < 0.5)[..., None]
    elif kind == "bricks":
        rows = y * 24
        shift = 0.5 * np.mod(np.floor(rows), 2)
        mortar = (np.mod(rows, 1) < 0.12) | (np.mod(x * 9 + shift, 1) < 0.05)
        tint = rng.uniform(0.75, 1.15, (25, 11))[np.floor(rows).astype(int) % 25,
                                                 np.floor(x * 9 + shift).astype(int) % 11]  # fmt: skip
        picture = np.where(mortar[..., None], 0.7 * base + 0.25, picture * tint[..., None])
    elif kind == "boards":
        picture *= 1 - 0.25 * (np.mod(x * rng.uniform(8, 20), 1) < 0.04)[..., None]
        picture *= 1 + 0.06 * smooth_noise(rng, size, size, 3, 20)[..., None]
    elif kind == "paper":
        spots = smooth_noise(rng, size, size, rng.uniform(20, 60)) > 0.6
        picture[spots] *= rng.uniform(0.7, 1.2)
    if has_things:
        for _ in range(int(rng.integers(1, 7))):
            _hang(rng, picture)
    low = rng.uniform(0.9, 1.0)
    picture[int(low * size) :] *= rng.uniform(0.4, 0.9)
    clouds = 0.05 * smooth_noise(rng, size, size, 3) + 0.02 * smooth_noise(rng, size, size, 40)
    return np.clip(picture * (1 + clouds[..., None]) + rng.normal(0, 0.008, picture.shape), 0, 1)


def _hang(rng: np.random.Generator, picture: Floats) -> None:
    """A picture, door, shelf, lamp, window or curtain."""
    size = len(picture)
    w, h = (rng.uniform(0.05, 0.3, 2) * size).astype(int)
    if rng.random() < 0.25:  # a door, cupboard or curtain, down to the floor
        w, h = int(rng.uniform(0.1, 0.3) * size), int(rng.uniform(0.5, 0.9) * size)
        left, top = int(rng.uniform(0, size - w)), size - h
    else:
        left, top = (int(rng.uniform(0, size - side)) for side in (w, int(h * 1.2) + 1))
    part = picture[top : top + h, left : left + w]
    if not part.size:
        return
    inside = np.broadcast_to(color(rng), part.shape).copy()
    noise = smooth_noise(rng, *part.shape[:2], rng.uniform(2, 9))
    inside[noise > rng.uniform(-0.5, 1)] = color(rng)
    if rng.random() < 0.3:  # books, boxes or folds
        columns = np.floor(np.linspace(0, rng.uniform(4, 20), part.shape[1])).astype(int)
        inside *= rng.uniform(0.5, 1.2, columns.max() + 1)[columns][None, :, None]
    if rng.random() < 0.25:
        inside = np.full(part.shape, rng.uniform(0.85, 1.0))
    edge = max(1, int(0.05 * min(w, h)))
    frame = color(rng)
    part[...] = frame
    part[edge:-edge, edge:-edge] = inside[edge:-edge, edge:-edge]


def _floor_texture(rng: np.random.Generator) -> Floats:
    """(384, 384, 3) sRGB: planks, tiles, carpet, stone or grass."""
    size = 384
    base = np.clip(color(rng) * 0.3 + rng.uniform(0.1, 0.45), 0.03, 0.9)
    y, x = np.mgrid[:size, :size] / size
    picture = np.broadcast_to(base, (size, size, 3)).copy()
    kind = rng.choice(["planks", "tiles", "carpet", "grass"], p=[0.35, 0.2, 0.3, 0.15])
    if kind == "planks":
        number = np.floor(x * 10).astype(int)
        picture *= rng.uniform(0.8, 1.15, 10)[number][..., None]
        picture *= 1 - 0.4 * (np.mod(x * 10, 1) < 0.03)[..., None]
        picture *= 1 + 0.08 * smooth_noise(rng, size, size, 3, 30)[..., None]
    elif kind == "tiles":
        odd = (np.floor(x * 6) + np.floor(y * 6)) % 2
        picture *= 1 - rng.uniform(0, 0.5) * odd[..., None]
        gap = (np.mod(x * 6, 1) < 0.03) | (np.mod(y * 6, 1) < 0.03)
        picture[gap] *= 0.6
    elif kind == "grass":
        picture[:] = np.array([0.2, 0.33, 0.1]) * rng.uniform(0.7, 1.4)
        picture *= 1 + 0.35 * smooth_noise(rng, size, size, 150)[..., None]
    else:
        picture *= 1 + 0.12 * smooth_noise(rng, size, size, 120)[..., None]
    clouds = 0.08 * smooth_noise(rng, size, size, 5)
    return np.clip(picture * (1 + clouds[..., None]), 0, 1)


def _backdrop_texture(rng: np.random.Generator) -> Floats:
    """(512, 512, 3) sRGB: layers of bushes, hills and houses, the nearest one lowest."""
    size = 512
    picture = np.broadcast_to(np.clip(color(rng) * 0.15 + 0.65, 0, 1), (size, size, 3)).copy()
    y, x = np.mgrid[:size, :size] / size
    for layer in range(int(rng.integers(2, 5))):
        top = rng.uniform(0.25, 0.7) + 0.08 * layer
        if rng.random() < 0.6:
            ridge = top + 0.05 * smooth_noise(rng, 1, size, 1, 1.0 * rng.integers(4, 30))[0]
            tone = np.array([0.15, 0.3, 0.1]) * rng.uniform(0.5, 1.6) * rng.uniform(0.8, 1.2, 3)
            rough = 1 + 0.3 * smooth_noise(rng, size, size, rng.uniform(20, 90))
        else:
            steps = rng.uniform(-0.2, 0.12, 12)
            ridge = top + steps[np.floor(x[0] * 11.99).astype(int)]
            tone = np.clip(color(rng) * 0.4 + 0.3, 0, 1)
            windows = (np.mod(x * 50, 1) < 0.4) & (np.mod(y * 40, 1) < 0.5)
            rough = 1 - 0.4 * windows
        own = y > ridge[None]
        picture[own] = np.clip(tone * rough[..., None], 0, 1)[own]
    return picture


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
        corner = 1.0
        if abs(float(wall.normal[1])) < 0.5:
            corner = (1 - 0.3 * torch.exp(-place[:, 1].clamp_min(0) * 3))[:, None]
        found[own] = tone * (light.key * (direct * shadow[own])[:, None] + around) * corner
    return found


def _mirrored(texture: Tensor, uv: Tensor) -> Tensor:
    """(n, 3) colors of a texture that repeats itself mirrored; uv (n, 2), v upward."""
    from torch.nn.functional import grid_sample

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
