"""Where rendered people are: camera, light, and a room or an open place around them."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from magicpose_cli.arrays import Floats
from magicpose_cli.body.cameras import Camera
from magicpose_cli.synthetic.rendered.fabrics import color, linear_light
from magicpose_cli.synthetic.rendered.scene_textures import (
    backdrop_texture,
    floor_texture,
    wall_texture,
)

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
        azimuth_deg=float(np.clip(rng.normal(0, 50), -120, 120)),
        elevation_deg=float(rng.uniform(15, 70)),
        key=torch.from_numpy(key).float(),
        sky=torch.from_numpy(sky).float(),
        ground=torch.from_numpy(ground).float(),
        softness=float(rng.uniform(0, 1)),
    )


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
    target = target + torch.from_numpy(rng.normal(0, 0.03 * extent, 3)).float()
    return Camera(
        size, size,
        azimuth_deg=float(np.clip(rng.normal(0, 22), -75, 75)),
        elevation_deg=float(np.clip(rng.normal(3, 6), -10, 25)),
        distance_m=float(distance),
        target=(float(target[0]), float(target[1]), float(target[2])),
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
    linear = torch.from_numpy(linear_light(texture))
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
    wall = wall_texture(rng, rng.random() < 0.8)
    other = wall if rng.random() < 0.7 else wall_texture(rng, False)
    return (
        _plane(rng, up, 0.0, side, floor_texture(rng), rng.uniform(1.5, 3.0)),
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
    ground = floor_texture(rng)
    backdrop = backdrop_texture(rng)
    far = rng.uniform(4, 10)
    return (
        _plane(rng, np.array([0.0, 1.0, 0.0]), 0.0, side, ground, rng.uniform(2, 5)),
        _plane(rng, front, -far, side, backdrop, rng.uniform(6, 12)),
    )
