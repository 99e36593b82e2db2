"""Fabrics as pictures: what a garment's texture shows, unrolled and laid flat.

A garment's texture has three columns beside each other, each one a tube of cloth that is unrolled:
torso, arm and leg (both arms share theirs, as both legs do). Its middle faces to the front. Colors
are sRGB while they are drawn, linear in the texture.
"""

from __future__ import annotations

from functools import cache
from typing import NamedTuple

import cv2
import numpy as np
import torch
from torch import Tensor

from magicpose_cli.arrays import AnyArray, Floats

PIXELS_PER_M = 320


class Column(NamedTuple):
    """One tube of cloth: how far around, in meters, and where its left border lies."""

    around_m: float
    left_m: float


TORSO_COLUMN = Column(1.0, 0.0)
ARM_COLUMN = Column(0.4, 1.1)
LEG_COLUMN = Column(0.6, 1.6)
COLUMNS = (TORSO_COLUMN, ARM_COLUMN, LEG_COLUMN)
WIDTH_M, HEIGHT_M = 2.3, 1.1
MARGIN_M = 0.05  # painted beyond both sides of a column, so that its seam shows no other column

FABRIC_SHARES = {
    "plain": 0.3, "rows": 0.1, "columns": 0.06, "checks": 0.1, "dots": 0.06, "denim": 0.12,
    "knit": 0.08, "spots": 0.12, "fade": 0.06,
}  # fmt: skip
TROUSER_SHARES = {
    "plain": 0.45, "rows": 0.02, "columns": 0.04, "checks": 0.04, "dots": 0.01, "denim": 0.38,
    "knit": 0.02, "spots": 0.03, "fade": 0.01,
}  # fmt: skip
_WORDS = ("NOVA", "77", "coast", "LOUD", "M", "river", "1984", "OK", "North", "sun", "team", "3")


def color(rng: np.random.Generator) -> Floats:
    """A color of clothes, sRGB (3,): black, white and gray often, strong ones at times."""
    kind = rng.random()
    if kind < 0.2:
        return rng.uniform(0.03, 0.14) * rng.uniform(0.85, 1.15, 3)
    if kind < 0.4:
        return np.clip(rng.uniform(0.75, 0.96) * rng.uniform(0.94, 1.04, 3), 0, 1)
    hue, value = rng.uniform(0, 360), rng.uniform(0.12, 0.9)
    strength = rng.uniform(0.05, 0.45) if kind < 0.75 else rng.uniform(0.5, 0.95)
    hsv = np.array([[[hue, strength, value]]], np.float32)
    found: Floats = cv2.cvtColor(hsv, cv2.COLOR_HSV2RGB)[0, 0].astype(float)
    return found


def smooth_noise(
    rng: np.random.Generator, shape: tuple[int, ...], cells: float, across: float = 1.0
) -> AnyArray:
    """Noise of smooth spots.

    Args:
        rng: where chance comes from.
        shape: height and width.
        cells: about how many spots lie above each other.
        across: how much narrower than high a spot is.

    Returns:
        (height, width) float32 of deviation 1.
    """
    height, width = shape
    rows = max(2, round(cells))
    columns = max(2, round(cells * across * width / height))
    small = rng.standard_normal((rows, columns), np.float32)
    large: AnyArray = cv2.resize(small, (width, height), interpolation=cv2.INTER_CUBIC)
    found: AnyArray = large / (small.std() + 1e-6)
    return found


def garment_texture(
    rng: np.random.Generator, details: str, columns: tuple[Column, ...] = COLUMNS
) -> Tensor:
    """(h, w, 4) linear RGBA of a random garment.

    Args:
        rng: where chance comes from.
        details: "shirt" has prints, plackets and pockets on its torso, "trousers" a fly, seams and
            pockets, anything else none.
        columns: those that are painted; the others stay black.
    """
    fabric = Fabric(rng, details)
    height, width = round(HEIGHT_M * PIXELS_PER_M), round(WIDTH_M * PIXELS_PER_M)
    picture = np.zeros((height, width, 3), np.float32)
    for column in columns:
        left = round((column.left_m - MARGIN_M) * PIXELS_PER_M)
        right = round((column.left_m + column.around_m + MARGIN_M) * PIXELS_PER_M)
        x = (np.arange(max(left, 0), min(right, width)) + 0.5) / PIXELS_PER_M - column.left_m
        y = (height - 0.5 - np.arange(height)) / PIXELS_PER_M
        around, along = np.meshgrid((x - column.around_m / 2).astype(np.float32),
                                    y.astype(np.float32))  # fmt: skip
        picture[:, max(left, 0) : max(left, 0) + len(x)] = fabric.paint(around, along)
    if details == "shirt":
        _shirt_details(rng, picture)
    if details == "trousers":
        _trouser_details(rng, picture)
    soft: AnyArray = cv2.GaussianBlur(picture, (0, 0), 0.6)  # no steps where a pixel is large
    return linear_rgba(soft)


def plain_fabric(rng: np.random.Generator) -> Tensor:
    """(256, 256, 4) linear RGBA of a random fabric, for garments with places of their own."""
    y, x = np.mgrid[:256, :256].astype(np.float32) / 256
    return linear_rgba(Fabric(rng, "trousers").paint(x - np.float32(0.5), y))


def linear_light(picture: Floats) -> AnyArray:
    """SRGB 0..1 to linear light, float32, by a table of 4,096 steps of a gamma of 2.2."""
    steps = np.clip(picture * 4095, 0.004 * 4095, 0.98 * 4095).astype(np.uint16)
    found: AnyArray = _gamma_table()[steps]
    return found


@cache
def _gamma_table() -> AnyArray:
    return (np.linspace(0, 1, 4096) ** 2.2).astype(np.float32)


def linear_rgba(picture: Floats) -> Tensor:
    """(h, w, 3) sRGB to (h, w, 4) linear with full coverage, float32."""
    full = np.ones((*picture.shape[:2], 4), np.float32)
    full[..., :3] = linear_light(picture)
    return torch.from_numpy(full)


def texture_place(column: Column, around: Tensor, along: Tensor) -> Tensor:
    """(..., 2) texture coordinates of a turn around (-0.5..0.5) and meters along, upward."""
    u = (column.left_m + (around + 0.5) * column.around_m) / WIDTH_M
    return torch.stack([u, along / HEIGHT_M], dim=-1)


class Fabric:
    """One random fabric, which is painted on each part of a garment."""

    def __init__(self, rng: np.random.Generator, details: str):
        self._colors = tuple(color(rng).astype(np.float32) for _ in range(3))
        self._scale_m = float(np.exp(rng.uniform(np.log(0.008), np.log(0.09))))
        self._seed = int(rng.integers(1 << 31))
        shares = TROUSER_SHARES if details == "trousers" else FABRIC_SHARES
        self._kind = str(rng.choice(list(shares), p=list(shares.values())))
        if self._kind == "denim":
            blue = np.array([0.16, 0.24, 0.38]) * rng.uniform(0.35, 1.9)
            first = np.clip(blue * rng.uniform(0.9, 1.1, 3), 0.03, 0.8)
            self._colors = first.astype(np.float32), *self._colors[1:]

    def paint(self, around: Floats, along: Floats) -> Floats:
        """From meters around (h, w) and along (h, w) to sRGB (h, w, 3), 0..1."""
        own = np.random.default_rng([self._seed, around.shape[1]])
        shape = around.shape
        found = self._pattern(around, along, own)
        if self._kind == "denim":
            worn = np.exp(-((around / 0.1) ** 2)) * 0.5 + 0.25 * smooth_noise(own, shape, 5)
            twill = np.sin((around + along) * 900) * 0.08 + 0.09 * own.standard_normal(
                shape, np.float32
            )
            found = found * (1 + 0.5 * worn + twill)[..., None] + 0.05 * worn[..., None]
        if self._kind == "knit":
            rib = np.sin(around * 2 * np.pi / 0.008) * 0.12 + np.sin(along * 800) * 0.04
            found = found * (1 + rib)[..., None]
        weave = 0.02 * own.standard_normal((*shape, 1), np.float32)
        patchy = 0.035 * smooth_noise(own, shape, 9)[..., None]
        painted: Floats = np.clip(found * (1 + patchy + weave), 0, 1)
        return painted

    def _pattern(self, around: Floats, along: Floats, own: np.random.Generator) -> Floats:
        first, second, third = self._colors
        scale, shape = self._scale_m, around.shape
        share: Floats = np.zeros(shape, np.float32)
        if self._kind == "rows":
            share = (np.mod(along / scale, 1) < 0.5).astype(np.float32)
        elif self._kind == "columns":
            share = (np.mod(around / scale, 1) < 0.4).astype(np.float32)
        elif self._kind == "checks":
            across, down = np.mod(around / scale, 1) < 0.5, np.mod(along / scale, 1) < 0.5
            share = np.float32(0.5) * across + np.float32(0.5) * down
        elif self._kind == "dots":
            size = max(scale, 0.02)
            row = np.floor(along / size)
            u = np.mod(around / size + 0.5 * np.mod(row, 2), 1) - 0.5
            v = np.mod(along / size, 1) - 0.5
            share = (u * u + v * v < 0.09).astype(np.float32)
        elif self._kind == "fade":
            share = np.clip(along / 0.9, 0, 1)
        elif self._kind == "spots":
            cells = 1.1 / max(scale, 0.03)
            share = (smooth_noise(own, shape, cells) > 0.2).astype(np.float32)
            found: Floats = np.asarray(first * (1 - share[..., None]) + second * share[..., None])
            found[smooth_noise(own, shape, cells) > 0.7] = third
            return found
        return np.asarray(first * (1 - share[..., None]) + second * share[..., None])


def _box(
    picture: Floats, x_m: tuple[float, float], y_m: tuple[float, float]
) -> tuple[slice, slice]:
    """Rows and columns of a rectangle: x from the front's middle, y upward, meters."""
    height = len(picture)
    middle = TORSO_COLUMN.around_m / 2
    left, right = (round((middle + x) * PIXELS_PER_M) for x in x_m)
    low, high = (round(height - y * PIXELS_PER_M) for y in y_m)
    return slice(max(high, 0), max(low, 0)), slice(max(left, 0), max(right, 0))


def _shirt_details(rng: np.random.Generator, picture: Floats) -> None:
    """A print on the chest, or a placket with buttons, or a zip; a pocket; a hem."""
    kind = rng.choice(["none", "print", "placket", "zip", "panel"], p=[0.34, 0.3, 0.16, 0.1, 0.1])
    chest = 0.72  # of the column's height: about the breastbone
    dark = color(rng)
    if kind == "print":
        _print(rng, picture, chest)
    elif kind in ("placket", "zip"):
        width = 0.016 if kind == "placket" else 0.006
        rows, columns = _box(picture, (-width, width), (0.0, 1.0))
        picture[rows, columns] *= rng.uniform(0.75, 1.1)
        for side in (-width, width):
            rows, columns = _box(picture, (side - 0.0015, side + 0.0015), (0.0, 1.0))
            picture[rows, columns] *= 0.6
        if kind == "placket":
            for y in np.arange(0.1, 1.0, 0.085):
                rows, columns = _box(picture, (-0.006, 0.006), (y, y + 0.012))
                picture[rows, columns] = dark
    elif kind == "panel":
        rows, columns = _box(picture, (-0.5, 0.5), (chest - 0.1, chest + rng.uniform(0, 0.06)))
        picture[rows, columns] = dark
    if rng.random() < 0.2:
        rows, columns = _box(picture, (0.05, 0.15), (chest - 0.06, chest + 0.05))
        edge = picture[rows, columns].copy()
        edge[:, :2], edge[:, -2:], edge[-2:], edge[:3] = (
            (edge[..., :] * 0.6).mean((0, 1)),
            0.5 * edge.mean((0, 1)),
            0.5 * edge.mean((0, 1)),
            0.55 * edge.mean((0, 1)),
        )
        picture[rows, columns] = edge


def _print(rng: np.random.Generator, picture: Floats, chest: float) -> None:
    """Letters or a sign on the chest."""
    rows, columns = _box(picture, (-0.13, 0.13), (chest - 0.16, chest + 0.07))
    patch = np.ascontiguousarray(picture[rows, columns].astype(np.float32))
    ink = tuple(float(c) for c in color(rng))
    height, width = patch.shape[:2]
    if rng.random() < 0.5:
        word = str(rng.choice(_WORDS))
        font = int(rng.integers(0, 8))
        (w, h), _ = cv2.getTextSize(word, font, 1.0, 2)
        size = 0.85 * width / max(w, h * 1.5)
        place = (int((width - w * size) / 2), int((height + h * size) / 2))
        cv2.putText(patch, word, place, font, size, ink, max(1, round(2 * size)), cv2.LINE_AA)
    else:
        center = (width // 2, height // 2)
        for _ in range(int(rng.integers(1, 4))):
            ink = tuple(float(c) for c in color(rng))
            radius = int(rng.uniform(0.12, 0.42) * height)
            if rng.random() < 0.5:
                cv2.circle(patch, center, radius, ink, int(rng.choice([-1, 3, 6])), cv2.LINE_AA)
            else:
                count = int(rng.integers(3, 9))
                angle = np.arange(count) / count * 2 * np.pi + rng.uniform(0, 6)
                far = radius * (1 if count < 6 else 1 - 0.5 * (np.arange(count) % 2))
                star = np.stack([np.cos(angle) * far, np.sin(angle) * far], 1) + center
                cv2.fillPoly(patch, [star.astype(np.int32)], ink, cv2.LINE_AA)
    picture[rows, columns] = patch


def _trouser_details(rng: np.random.Generator, picture: Floats) -> None:
    """Seams along the legs, at times a strip; a fly."""
    height = len(picture)
    strip = rng.random() < 0.15
    for share in (0.25, 0.75):  # at the sides of a leg
        middle = LEG_COLUMN.left_m + share * LEG_COLUMN.around_m
        half = rng.uniform(0.008, 0.02) if strip else 0.0015
        left, right = (round((middle + x) * PIXELS_PER_M) for x in (-half, half))
        picture[:, left : max(right, left + 1)] = (
            color(rng) if strip else picture[:, left : max(right, left + 1)] * 0.7
        )
    middle = round(TORSO_COLUMN.around_m / 2 * PIXELS_PER_M)
    picture[: height // 2, middle - 1 : middle + 1] *= 0.65
