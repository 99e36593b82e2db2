"""Shoes: feet without toes, boxed, on a sole; sneakers, loafers and boots."""

from __future__ import annotations

import cv2
import numpy as np
import torch
from torch import Tensor

from magicpose_cli.arrays import AnyArray
from magicpose_cli.synthetic.canvas import LABELS
from magicpose_cli.synthetic.rendered.fabrics import color, linear_rgba
from magicpose_cli.synthetic.rendered.figure import Figure
from magicpose_cli.synthetic.rendered.surfaces import Cloth, Surface

_SOLE_M = 0.022
TEXTURE_HEIGHT_M = 0.24  # what the texture's height stands for, from the ground


def make_shoes(figure: Figure, height: float, rng: np.random.Generator) -> tuple[Surface, Tensor]:
    """A pair of shoes.

    Args:
        figure: who wears them.
        height: 0 below the ankle .. 0.3 far above it.
        rng: where chance comes from.

    Returns:
        Both shoes, and (V,) which vertices of the figure lie in them.
    """
    ankle = figure.joint("foot.L")
    top = float(ankle[1]) - 0.012 + 0.35 * height
    skin = _shoe_field(figure, figure.skin(), top)
    cloth = figure.cloth("tights", 6)
    cloth = cloth.cut(_shoe_field(figure, cloth, top))
    low = float(cloth.rest[:, 1].min())
    rest = cloth.moved(torch.full((len(cloth.rest),), rng.uniform(0.006, 0.01))).rest
    up = (rest[:, 1] - low).clamp_min(0)
    along = ((rest[:, 2] - ankle[2] + 0.09) / 0.3).clamp(0, 1)  # 0 at the heel, 1 at the toes
    rest = _boxed(rest, up, along, low)
    uv = torch.stack([along, (rest[:, 1] - low + _SOLE_M) / TEXTURE_HEIGHT_M], 1).clamp(0.01, 0.99)
    surface = Surface(
        LABELS.index("shoes"), "shoes", rest[None], cloth.weights, cloth.faces, uv[cloth.faces],
        linear_rgba(_shoe_picture(rng)), is_open=True,
    )  # fmt: skip
    return surface, skin > 0.02


def _shoe_field(figure: Figure, cloth: Cloth, top_m: float) -> Tensor:
    """(n,) above 0 where shoes cover the vertices of a cloth; the shaft is higher behind."""
    ankle = figure.joint("foot.L")
    back = (ankle[2] - cloth.rest[:, 2]).clamp(-0.04, 0.04)
    field = top_m + 0.25 * back - cloth.rest[:, 1]
    return torch.where(cloth.fields[:, 0] > 0.3, -1.0, field)


def _boxed(rest: Tensor, up: Tensor, along: Tensor, low: float) -> Tensor:
    """A foot (n, 3) with room before its toes, on a sole that is wider than the shaft."""
    out = rest.clone()
    middle = rest[:, 0].sign() * rest[:, 0].abs().mean()
    at_sole = (1 - up / 0.03).clamp(0, 1)
    out[:, 0] = middle + (rest[:, 0] - middle) * (1 + 0.1 * at_sole + 0.05 * along)
    out[:, 2] = rest[:, 2] + 0.014 * (along - 0.3) + 0.008 * at_sole * (along - 0.5).sign()
    room = (along - 0.55).clamp_min(0) * (1 - (up / 0.06 - 1).abs()).clamp_min(0)
    out[:, 1] = rest[:, 1] + 0.035 * room
    out[:, 1] = torch.where(up < 0.016, torch.full_like(up, low - _SOLE_M), out[:, 1])
    return out


def _shoe_picture(rng: np.random.Generator) -> AnyArray:
    """(128, 128, 3) sRGB: u from heel to toes, v upward from the ground."""
    size = 128
    picture = np.empty((size, size, 3), np.float32)
    picture[:] = color(rng)
    kind = rng.choice(["sneaker", "plain", "two-tone"], p=[0.5, 0.3, 0.2])
    y = (size - 0.5 - np.arange(size)) / size * TEXTURE_HEIGHT_M
    if kind == "two-tone":
        picture[:, int(0.72 * size) :] = color(rng)
        picture[:, : int(0.15 * size)] = color(rng)
    if kind == "sneaker":
        stripe = np.array([[30, 128], [44, 128], [72, 60], [58, 60]], np.int32)
        cv2.fillPoly(picture, [stripe], tuple(map(float, color(rng))))
        lace = tuple(map(float, np.clip(color(rng) + 0.2, 0, 1)))
        for row in range(56, 88, 8):
            cv2.line(picture, (66, row), (92, row + 6), lace, 2, cv2.LINE_AA)
    sole = color(rng) if rng.random() < 0.5 else np.full(3, rng.choice([0.06, 0.9]))
    picture[y < _SOLE_M + 0.012] = sole
    picture[(y >= _SOLE_M + 0.012) & (y < _SOLE_M + 0.015)] *= 0.5
    picture[:, :2] *= 0.7
    return picture
