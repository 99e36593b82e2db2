"""Painting soft-edged, shaded shapes on a batch of pictures, in torch, on any device.

A shape is a signed distance field over the pixels, (B, H, W): negative inside, in pixels. Points
and lengths are (B, 2) and (B,) in pixels, x right, y down, pixel centers at half integers.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from functools import lru_cache

import torch
from torch import Tensor

LABELS = ("background", "skin", "hair", "top", "bottom", "shoes")
SKIN_LABEL = LABELS.index("skin")


class Canvas:
    """A batch of pictures being painted, or a window on each of them.

    Attributes:
        image: RGB (B, 3, H, W) in 0..1.
        labels: Index into LABELS, (B, H, W) uint8.
        x: Where the centers of the pixels lie, (B or 1, 1, W).
        y: The same downward, (B or 1, H, 1).
        light: Where the light comes from, (B,), -1 left .. 1 right.
    """

    def __init__(self, image: Tensor, labels: Tensor, x: Tensor, y: Tensor, light: Tensor):
        self.image, self.labels, self.x, self.y, self.light = image, labels, x, y, light

    @classmethod
    def of(cls, background: Tensor, light: Tensor) -> Canvas:
        """Take whole pictures (B, 3, S, S), which are painted on."""
        count, _, size, _ = background.shape
        labels = torch.zeros(count, size, size, dtype=torch.uint8, device=background.device)
        axis = torch.arange(size, device=background.device, dtype=background.dtype) + 0.5
        return cls(background, labels, axis[None, None, :], axis[None, :, None], light)

    @contextmanager
    def window(self, points: Tensor, margin: Tensor, rows: Tensor) -> Iterator[Canvas]:
        """Paint a part of some rows.

        Every row has a window at a place of its own and of a common size, for they are painted as
        one batch. Only whole pictures have windows, a window has none.

        Args:
            points: That the windows hold, (n, k, 2).
            margin: Around them in pixels, (n,).
            rows: Which pictures, (n,).
        """
        height, width = self.image.shape[-2:]
        limit = points.new_tensor([width, height])
        low = (points.amin(1) - margin[:, None] - 1).floor().clamp_min(0).minimum(limit)
        high = (points.amax(1) + margin[:, None] + 1).ceil().clamp_min(0).minimum(limit)
        extent = (high - low).amax(0).clamp_min(1)
        left, top = torch.minimum(low, limit - extent).long().unbind(1)
        w, h = (int(side) for side in extent.tolist())  # the only wait for the device
        images = self.image.unfold(2, h, 1).unfold(3, w, 1)
        labels = self.labels.unfold(1, h, 1).unfold(2, w, 1)
        near = Canvas(
            images[rows, :, top, left],
            labels[rows, top, left],
            self.x[..., :w] + left[:, None, None],
            self.y[:, :h] + top[:, None, None],
            self.light[rows],
        )
        yield near
        images[rows, :, top, left] = near.image
        labels[rows, top, left] = near.labels

    def local(self, origin: Tensor, angle: Tensor) -> tuple[Tensor, Tensor]:
        """Pixel coordinates relative to origin (B, 2), turned by angle (B,) radians."""
        dx, dy = self.x - _grid(origin[:, 0]), self.y - _grid(origin[:, 1])
        c, s = _grid(angle.cos()), _grid(angle.sin())
        return dx * c + dy * s, dy * c - dx * s

    def limb(
        self,
        start: Tensor,
        end: Tensor,
        start_radius: Tensor,
        end_radius: Tensor,
        bulge: float = 0.0,
    ) -> tuple[Tensor, Tensor, Tensor]:
        """Measure a tapered capsule.

        Args:
            start: Where the axis begins, (B, 2).
            end: Where it ends, (B, 2).
            start_radius: (B,).
            end_radius: (B,).
            bulge: How much thicker a third of the way down is, as a muscle, in shares of the
                radius.

        Returns:
            The distance; the position along, 0 at the start and 1 at the end, less and more beyond
            them; the position across in -1..1.
        """
        ex, ey = (end - start).unbind(1)
        squared = (ex * ex + ey * ey).clamp_min(1e-3)
        dx, dy = self.x - _grid(start[:, 0]), self.y - _grid(start[:, 1])
        along = dx * _grid(ex / squared) + dy * _grid(ey / squared)
        h = along.clamp(0, 1)
        radius = torch.addcmul(_grid(start_radius), h, _grid(end_radius - start_radius))
        if bulge:
            radius = radius * (1 + (6.75 * bulge) * h * (1 - h).square())
        length = squared.sqrt()
        side = dx * _grid(ey / length) - dy * _grid(ex / length)  # of the axis, in pixels
        beyond = (along - h) * _grid(length)
        distance = torch.addcmul(side * side, beyond, beyond).sqrt_() - radius
        return distance, along, (side / radius).clamp_(-1, 1)

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
        squared = None
        for start, end in zip(points.unbind(1)[:-1], points.unbind(1)[1:], strict=True):
            d = self._to_segment(start, end)[0]
            squared = d if squared is None else torch.minimum(squared, d)
        assert squared is not None
        return squared.sqrt() - _grid(radius)

    def _to_segment(self, start: Tensor, end: Tensor) -> tuple[Tensor, Tensor]:
        """Compute the squared distance to the segment, and the vertical distance to its start."""
        ax, ay = self.x - _grid(start[:, 0]), self.y - _grid(start[:, 1])
        along = end - start
        ex, ey = along.unbind(1)
        squared = (ex * ex + ey * ey).clamp_min(1e-6)
        h = ax * _grid(ex / squared) + ay * _grid(ey / squared)
        h.clamp_(0, 1)
        dx = torch.addcmul(ax, h, _grid(ex), value=-1)
        dy = torch.addcmul(ay, h, _grid(ey), value=-1)
        return dx.square_().addcmul_(dy, dy), ay

    def polygon(self, points: Tensor) -> Tensor:
        """Signed distance to a simple polygon (B, n, 2)."""
        squared, inside = None, None
        for a, b in zip(points.unbind(1), points.roll(-1, 1).unbind(1), strict=True):
            d, ay = self._to_segment(a, b)
            squared = d if squared is None else torch.minimum(squared, d)
            ex, ey = (b - a).unbind(1)
            # the ray to the right crosses the edge: rows between its ends, left of it there
            between = (ay >= 0) ^ (ay >= _grid(ey))
            slope = _grid(ex / torch.where(ey.abs() < 1e-9, 1e-9, ey))
            crossing = (self.x < _grid(a[:, 0]) + ay * slope) & between
            inside = crossing if inside is None else inside ^ crossing
        assert squared is not None and inside is not None
        distance = squared.clamp_min_(1e-8).sqrt_()
        return torch.where(inside, -distance, distance)

    def paint(
        self,
        distance: Tensor,
        color: Tensor,
        label: str | None = None,
        across: Tensor | None = None,
        opacity: Tensor | float = 1.0,
        softness: Tensor | float = 1.0,
    ) -> None:
        """Lay a shape on the pictures.

        Args:
            distance: To the shape.
            color: RGB in 0..1, (B, 3) or (B, 3, H, W).
            label: Region that the shape belongs to; None keeps what lies below.
            across: Position (B, H, W) in -1..1, which shades the shape as something round.
            opacity: 0..1, (B,), (B, H, W) or a number.
            softness: Width of the edge in pixels, (B,) or a number.
        """
        if isinstance(softness, Tensor):
            softness = _grid(softness)
        alpha = (0.5 - distance / softness).clamp_(0, 1)
        alpha *= _grid(opacity) if isinstance(opacity, Tensor) else opacity
        if label is not None:
            self.labels.masked_fill_(alpha > 0.5, LABELS.index(label))
        alpha = alpha[:, None]
        if color.dim() == 2:
            color = color[:, :, None, None]
        if across is not None:
            color = color * self.roundness(across)[:, None]
        self.image.lerp_(color, alpha)

    def roundness(self, across: Tensor) -> Tensor:
        """Brightness of a round thing: lit from the side of the light, dark toward its edges."""
        return 1.04 - 0.30 * across.square() + 0.22 * across * _grid(self.light)


def pattern(kind: Tensor, u: Tensor, v: Tensor, frequency: Tensor) -> Tensor:
    """Compute how much of the second color a garment shows, (B, H, W) in 0..1.

    Args:
        kind: Integers (B,): 0 plain, 1 stripes across, 2 stripes along, 3 checks, 4 dots.
        u: Position (B, H, W) along the garment in body heights.
        v: The same across it.
        frequency: Repeats for one body height, (B,).
    """
    f = _grid(frequency)
    a, b = ((x * f).sub_(0.25).frac_().abs_() for x in (u, v))
    a, b = a.sub_(0.5).abs_(), b.sub_(0.5).abs_()  # triangle waves, 0..0.5
    across, along, checks, dots = (_grid((kind == k).to(u.dtype)) for k in (1, 2, 3, 4))
    shape = (a - 0.25) * across + (b - 0.25) * along
    shape = shape + ((a - 0.25) * (b - 0.25)) * (checks * 4)
    shape = shape + (0.09 - a * a - b * b) * (dots * 3)
    plain = _grid((kind == 0).to(u.dtype))
    return (shape * 12 + 0.5 - plain).clamp_(0, 1)


def spline(knots: tuple[float, ...], widths: Tensor, t: Tensor) -> tuple[Tensor, Tensor]:
    """Compute the height and slope of a smooth curve through (knots, widths) at every pixel.

    Args:
        knots: Places, rising.
        widths: Heights at them, (B, len(knots)).
        t: Place of each pixel in the unit of the knots, (B, H, W); constant beyond the ends.
    """
    table = widths @ _spline_weights(knots).to(widths)
    step = (knots[-1] - knots[0]) / (table.shape[1] - 1)
    index = ((t - knots[0]) * (1 / step)).clamp_(0, table.shape[1] - 2).long().flatten(1)
    slopes = torch.diff(table, dim=1) / step
    return table.gather(1, index).view_as(t), slopes.gather(1, index).view_as(t)


@lru_cache
def _spline_weights(knots: tuple[float, ...], samples: int = 1024) -> Tensor:
    """Weights (len(knots), samples) from knots to places along a cubic Hermite spline."""
    at = torch.tensor(knots, dtype=torch.float64)
    heights = torch.eye(len(knots), dtype=torch.float64)
    slope = torch.zeros_like(heights)
    slope[1:-1] = (heights[2:] - heights[:-2]) / (at[2:] - at[:-2])[:, None]
    slope[0] = (heights[1] - heights[0]) / (at[1] - at[0])
    slope[-1] = (heights[-1] - heights[-2]) / (at[-1] - at[-2])
    t = torch.linspace(knots[0], knots[-1], samples, dtype=torch.float64)
    left = torch.searchsorted(at, t, right=True).clamp(1, len(knots) - 1) - 1
    gap = (at[left + 1] - at[left])[:, None]
    x = (t - at[left])[:, None] / gap
    curve = (1 + 2 * x) * (1 - x) ** 2 * heights[left] + x**2 * (3 - 2 * x) * heights[left + 1]
    curve = curve + gap * x * (1 - x) * ((1 - x) * slope[left] - x * slope[left + 1])
    return curve.T.float()


def photo_noise(
    count: int, size: int, channels: int, generator: torch.Generator, device: torch.device | str
) -> Tensor:
    """Draw 1/f noise, as photographs have it: (count, channels, size, size), mean 0, std 1."""
    white = torch.randn(count, channels, size, size, generator=generator).to(device)
    fy = torch.fft.fftfreq(size, device=device)[:, None]
    fx = torch.fft.rfftfreq(size, device=device)[None, :]
    falloff = 1 / torch.hypot(fx, fy).clamp_min(1 / size) ** 1.3
    noise = torch.fft.irfft2(torch.fft.rfft2(white) * falloff, s=(size, size))
    noise = noise - noise.mean((2, 3), keepdim=True)
    normed: Tensor = noise / noise.std((2, 3), keepdim=True).clamp_min(1e-6)
    return normed


def _grid(values: Tensor) -> Tensor:
    """Let values (B,) or (B, H, W) be broadcast against (B, H, W)."""
    return values[:, None, None] if values.dim() == 1 else values
