"""Painting soft-edged, shaded shapes on a batch of pictures, in torch, on any device.

A shape is a signed distance field over the pixels, (B, S, S): negative inside, in pixels. Points
and lengths are (B, 2) and (B,) in pixels, x right, y down, pixel centers at half integers.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor

LABELS = ("background", "skin", "hair", "top", "bottom", "shoes")


class Canvas:
    """A batch of pictures being painted.

    image: (B, 3, S, S) RGB in 0..1. labels: (B, S, S) uint8, index into LABELS.
    """

    def __init__(self, background: Tensor, light: Tensor):
        """background: (B, 3, S, S). light: (B,) where the light comes from, -1 left .. 1 right."""
        self.image = background.clone()
        count, _, size, _ = background.shape
        self.labels = torch.zeros(count, size, size, dtype=torch.uint8, device=background.device)
        axis = torch.arange(size, device=background.device, dtype=background.dtype) + 0.5
        self.x, self.y = axis[None, None, :], axis[None, :, None]
        self.light = light

    def local(self, origin: Tensor, angle: Tensor) -> tuple[Tensor, Tensor]:
        """Pixel coordinates relative to origin (B, 2), turned by angle (B,) radians."""
        dx, dy = self.x - _grid(origin[:, 0]), self.y - _grid(origin[:, 1])
        c, s = _grid(angle.cos()), _grid(angle.sin())
        return dx * c + dy * s, dy * c - dx * s

    def limb(
        self, start: Tensor, end: Tensor, start_radius: Tensor, end_radius: Tensor
    ) -> tuple[Tensor, Tensor, Tensor]:
        """A tapered capsule: (distance, position along in 0..1, position across in -1..1)."""
        along = end - start
        dx, dy = self.x - _grid(start[:, 0]), self.y - _grid(start[:, 1])
        ax, ay = _grid(along[:, 0]), _grid(along[:, 1])
        squared = (ax * ax + ay * ay).clamp_min(1e-3)
        h = ((dx * ax + dy * ay) / squared).clamp(0, 1)
        radius = _grid(start_radius) + h * _grid(end_radius - start_radius)
        distance = torch.hypot(dx - h * ax, dy - h * ay) - radius
        across = (dx * ay - dy * ax) / (squared.sqrt() * radius)
        return distance, h, across.clamp(-1, 1)

    def ellipse(
        self, center: Tensor, half_width: Tensor, half_height: Tensor, angle: Tensor
    ) -> Tensor:
        """Distance to an ellipse; exact on the outline, good enough near it."""
        u, v = self.local(center, angle)
        a, b = _grid(half_width.clamp_min(0.3)), _grid(half_height.clamp_min(0.3))
        r = torch.hypot(u / a, v / b)
        gradient = torch.hypot(u / (a * a), v / (b * b)).clamp_min(1e-4)
        return (r - 1) * r.clamp_min(0.05) / gradient

    def polyline(self, points: Tensor, radius: Tensor) -> Tensor:
        """Distance to a chain of points (B, n, 2) drawn with a round pen of this radius (B,)."""
        distance = None
        for i in range(points.shape[1] - 1):
            d = self.limb(points[:, i], points[:, i + 1], radius, radius)[0]
            distance = d if distance is None else torch.minimum(distance, d)
        assert distance is not None
        return distance

    def polygon(self, points: Tensor) -> Tensor:
        """Signed distance to a simple polygon (B, n, 2)."""
        n = points.shape[1]
        squared, inside = None, None
        for i in range(n):
            a, b = points[:, i], points[:, (i + 1) % n]
            ax, ay = self.x - _grid(a[:, 0]), self.y - _grid(a[:, 1])
            ex, ey = _grid((b - a)[:, 0]), _grid((b - a)[:, 1])
            h = ((ax * ex + ay * ey) / (ex * ex + ey * ey).clamp_min(1e-6)).clamp(0, 1)
            d = (ax - h * ex).square() + (ay - h * ey).square()
            squared = d if squared is None else torch.minimum(squared, d)
            crossing = ((ay >= 0) & (ay < ey)) | ((ay < 0) & (ay >= ey))
            crossing = crossing & ((ex * ay - ax * ey) * ey.sign() > 0)
            inside = crossing if inside is None else inside ^ crossing
        assert squared is not None and inside is not None
        distance = squared.clamp_min(1e-8).sqrt()
        return torch.where(inside, -distance, distance)

    def paint(
        self,
        distance: Tensor,
        color: Tensor,
        label: str | None = None,
        across: Tensor | None = None,
        opacity: Tensor | float = 1.0,
        softness: float = 1.0,
    ) -> None:
        """Lay a shape on the pictures.

        color: (B, 3) or (B, 3, S, S). label: region it belongs to; None keeps what lies below.
        across: (B, S, S) in -1..1 shades the shape as something round. opacity: 0..1, (B,) or
        number. softness: width of the edge in pixels.
        """
        if isinstance(opacity, Tensor):
            opacity = _grid(opacity)
        alpha = (0.5 - distance / softness).clamp(0, 1) * opacity
        if label is not None:
            self.labels[alpha > 0.5] = LABELS.index(label)
        alpha = alpha[:, None]
        if color.dim() == 2:
            color = color[:, :, None, None]
        if across is not None:
            color = color * self.roundness(across)[:, None]
        self.image = self.image + alpha * (color - self.image)

    def roundness(self, across: Tensor) -> Tensor:
        """Brightness of a round thing: lit from the side of the light, dark toward its edges."""
        return 1.04 - 0.30 * across.square() + 0.22 * across * _grid(self.light)


def pattern(kind: Tensor, u: Tensor, v: Tensor, frequency: Tensor) -> Tensor:
    """How much of the second color a garment shows, (B, S, S) in 0..1.

    kind: (B,) integer: 0 plain, 1 stripes across, 2 stripes along, 3 checks, 4 dots.
    u, v: (B, S, S) position along and across the garment in body heights.
    frequency: (B,) repeats for one body height.
    """
    f = _grid(frequency) * 2 * math.pi
    a, b = (u * f).sin(), (v * f).sin()
    shapes = (torch.zeros_like(a), a, b, a * b * 2, a * b.abs() + a.abs() * b - 0.9)
    chosen = torch.zeros_like(a)
    for index, shape in enumerate(shapes):
        chosen = chosen + (kind == index)[:, None, None] * (shape * 4).clamp(-0.5, 0.5)
    return torch.where(kind[:, None, None] == 0, 0.0, chosen + 0.5)


def photo_noise(
    count: int, size: int, channels: int, generator: torch.Generator, device: torch.device | str
) -> Tensor:
    """1/f noise, the statistics of photographs: (count, channels, size, size), zero mean, std 1."""
    white = torch.randn(count, channels, size, size, generator=generator).to(device)
    fy = torch.fft.fftfreq(size, device=device)[:, None]
    fx = torch.fft.rfftfreq(size, device=device)[None, :]
    falloff = 1 / torch.hypot(fx, fy).clamp_min(1 / size) ** 1.3
    noise = torch.fft.irfft2(torch.fft.rfft2(white) * falloff, s=(size, size))
    noise = noise - noise.mean((2, 3), keepdim=True)
    return noise / noise.std((2, 3), keepdim=True).clamp_min(1e-6)


def _grid(values: Tensor) -> Tensor:
    """(B,) or (B, S, S) -> broadcastable against (B, S, S)"""
    return values[:, None, None] if values.dim() == 1 else values
