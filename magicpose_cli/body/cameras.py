"""Cameras: from the world's meters to a picture's pixels.

World axes as in body/model.py (x to the person's left, y up, z to the front). Camera axes: x right,
y down, z away from the camera. Pixels: x right, y down, the origin at the picture's top left
corner, so that the middle of the first pixel is (0.5, 0.5).
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from magicpose_cli.errors import InputError

if TYPE_CHECKING:
    from torch import Tensor


class Projected(NamedTuple):
    """pixels (..., 2) and depth (...,), meters along the camera's axis, positive before it."""

    pixels: Tensor
    depth: Tensor


@dataclass(frozen=True)
class Camera:
    """A camera that looks at a point from a distance.

    width, height: of the picture in pixels.
    azimuth_deg: where the camera stands around the person: 0 before it, 90 at its left.
    elevation_deg: how far above the horizon of the target, -90..90.
    distance_m: from the target.
    target: the world's point in the picture's middle.
    focal_px: of a perspective camera; None where it is orthographic.
    pixels_per_m: of an orthographic camera; None where it is perspective.
    """

    width: int
    height: int
    azimuth_deg: float = 0.0
    elevation_deg: float = 0.0
    distance_m: float = 4.0
    target: tuple[float, float, float] = (0.0, 0.0, 0.0)
    focal_px: float | None = None
    pixels_per_m: float | None = None

    def __post_init__(self) -> None:
        given = [value for value in (self.focal_px, self.pixels_per_m) if value is not None]
        if len(given) != 1 or given[0] <= 0:
            raise InputError(
                f"camera has focal_px {self.focal_px} and pixels_per_m {self.pixels_per_m}; "
                "expected one of them, above 0"
            )
        if self.width < 1 or self.height < 1:
            raise InputError(
                f"camera has a picture of {self.width} x {self.height}; expected 1 pixel or more"
            )

    @property
    def is_perspective(self) -> bool:
        """Whether near things look larger."""
        return self.focal_px is not None

    def scaled(self, factor: int) -> Camera:
        """The same view in a picture of `factor` times the width and height."""
        return replace(
            self,
            width=self.width * factor,
            height=self.height * factor,
            focal_px=None if self.focal_px is None else self.focal_px * factor,
            pixels_per_m=None if self.pixels_per_m is None else self.pixels_per_m * factor,
        )

    def rotation(self, like: Tensor) -> Tensor:
        """(3, 3): from world axes to camera axes."""
        azimuth, elevation = np.radians([self.azimuth_deg, self.elevation_deg])
        back = np.array(  # from the target to the camera
            [
                np.sin(azimuth) * np.cos(elevation),
                np.sin(elevation),
                np.cos(azimuth) * np.cos(elevation),
            ]
        )
        right = np.array([np.cos(azimuth), 0.0, -np.sin(azimuth)])
        return like.new_tensor(np.stack([right, -np.cross(back, right), -back]))

    def to_camera(self, points: Tensor) -> Tensor:
        """(..., 3) of the world to camera axes, meters."""
        away = points.new_tensor([0.0, 0.0, self.distance_m])
        return (points - points.new_tensor(self.target)) @ self.rotation(points).T + away

    def to_world(self, points: Tensor) -> Tensor:
        """(..., 3) in camera axes to the world."""
        away = points.new_tensor([0.0, 0.0, self.distance_m])
        return (points - away) @ self.rotation(points) + points.new_tensor(self.target)

    def project(self, points: Tensor) -> Projected:
        """(..., 3) of the world to pixels and depth.

        A perspective camera has no picture of what lies behind it: pixels of points whose depth is
        not positive are meaningless.
        """
        seen = self.to_camera(points)
        depth = seen[..., 2]
        if self.focal_px is None:
            pixels = seen[..., :2] * float(self.pixels_per_m or 0.0)
        else:
            pixels = seen[..., :2] * self.focal_px / depth[..., None]
        middle = points.new_tensor([self.width / 2, self.height / 2])
        return Projected(pixels + middle, depth)

    def unproject(self, pixels: Tensor, depth: Tensor) -> Tensor:
        """Pixels (..., 2) and depth (...,) back to the world (..., 3)."""
        import torch

        flat = pixels - pixels.new_tensor([self.width / 2, self.height / 2])
        if self.focal_px is None:
            flat = flat / float(self.pixels_per_m or 1.0)
        else:
            flat = flat * depth[..., None] / self.focal_px
        return self.to_world(torch.cat([flat, depth[..., None]], dim=-1))


def camera_around(
    points: Tensor, width: int, height: int, margin: float = 0.1, **view: float
) -> Camera:
    """A perspective camera that has all these (..., 3) points in its picture.

    margin: of the picture's size, left free at its sides. view: azimuth_deg, elevation_deg,
    distance_m (of the middle of the points' box).
    """
    flat = points.detach().reshape(-1, 3)
    middle = (flat.amin(0) + flat.amax(0)) / 2
    target = (float(middle[0]), float(middle[1]), float(middle[2]))
    trial = Camera(width, height, target=target, focal_px=1.0, **view)
    spread = (trial.project(flat).pixels - flat.new_tensor([width / 2, height / 2])).abs().amax(0)
    room = 0.5 - margin
    focal = min(width * room / float(spread[0]), height * room / float(spread[1]))
    return replace(trial, focal_px=focal)
