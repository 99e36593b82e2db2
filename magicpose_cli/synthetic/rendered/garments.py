"""Garments cut from the body's own tights and skirt with straight hems: no asset is needed."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from magicpose_cli.synthetic.canvas import LABELS
from magicpose_cli.synthetic.rendered.fabrics import (
    ARM_COLUMN,
    LEG_COLUMN,
    TORSO_COLUMN,
    color,
    garment_texture,
    linear_rgba,
    texture_place,
)
from magicpose_cli.synthetic.rendered.figure import Figure
from magicpose_cli.synthetic.rendered.surfaces import Cloth, Surface, layer_cloth

TORSO_LOW_M = -0.5  # of the torso's column in the texture, from the hips
HIDDEN_MARGIN_M = 0.025  # skin farther inside of a garment is left out


@dataclass(frozen=True)
class Tailoring:
    """Where garments are cut; lengths in meters unless shares are said.

    Attributes:
        sleeve: share of the arm that is covered, 0 none .. 1 to the wrist.
        hem: of the top, above the hip joints (negative: below).
        neckline: radius of the hole for the neck.
        plunge: how far a V reaches below it, 0 for a round one.
        top_ease: of the top's cloth before the skin.
        bottom: "trousers" or "skirt".
        inseam: share of the leg that is covered.
        bottom_ease: as top_ease.
        flare: further ease at the trousers' ends.
        is_tucked: the top ends inside of the trousers.
        jacket: share of the arm that an open jacket covers, None for no jacket.
        sock: share of the lower leg that shoes cover.
    """

    sleeve: float
    hem: float
    neckline: float
    plunge: float
    top_ease: float
    bottom: str
    inseam: float
    bottom_ease: float
    flare: float
    is_tucked: bool
    jacket: float | None
    sock: float


def sample_tailoring(rng: np.random.Generator, is_woman: bool) -> Tailoring:
    """How somebody dresses."""
    skirt = is_woman and rng.random() < 0.3
    return Tailoring(
        sleeve=float(rng.choice([0.0, rng.uniform(0.22, 0.4), rng.uniform(0.85, 0.98)],
                                p=[0.12, 0.46, 0.42])),
        hem=float(rng.uniform(-0.12, 0.02)),
        neckline=float(rng.uniform(0.075, 0.115)),
        plunge=float(rng.choice([0.0, rng.uniform(0.03, 0.12)], p=[0.7, 0.3])),
        top_ease=float(rng.uniform(0.006, 0.022)),
        bottom="skirt" if skirt else "trousers",
        inseam=float(rng.choice([rng.uniform(0.3, 0.5), rng.uniform(0.88, 0.98)], p=[0.22, 0.78])),
        bottom_ease=float(rng.uniform(0.006, 0.016)),
        flare=float(rng.choice([0.0, rng.uniform(0.0, 0.03)])),
        is_tucked=bool(rng.random() < 0.3),
        jacket=float(rng.uniform(0.85, 0.97)) if rng.random() < 0.22 else None,
        sock=float(rng.uniform(0.0, 0.25)),
    )  # fmt: skip


def top_field(figure: Figure, tailoring: Tailoring, sleeve: float) -> Tensor:
    """(V,) above 0 where a top covers the body, about in meters."""
    rest, neck = figure.rest, figure.neck
    field = rest[:, 1] - (figure.hip_m + tailoring.hem)
    on_arm = figure.arm > 0.3
    if sleeve < 0.15:
        arm = (0.45 - figure.arm) * 0.2
    else:
        arm = (sleeve - figure.arm_along) * 0.5
    field = torch.where(on_arm, arm, field)
    away = rest - neck - rest.new_tensor([0, 0.03, 0.02])
    hole = (away * away.new_tensor([1.0, 0.85, 0.9])).norm(dim=1) - tailoring.neckline
    above = neck[1] + 0.09 - rest[:, 1]
    field = torch.minimum(field, torch.minimum(hole, above))
    field = torch.minimum(field, (0.5 - figure.head) * 0.2)
    if tailoring.plunge:
        low = neck[1] - tailoring.neckline - tailoring.plunge
        slope = rest[:, 0].abs() * (tailoring.plunge + tailoring.neckline) / tailoring.neckline
        wedge = (low + slope) - rest[:, 1]
        field = torch.where(rest[:, 2] > neck[2], torch.minimum(field, wedge), field)
    return field


def trouser_field(figure: Figure, tailoring: Tailoring) -> Tensor:
    """(V,) above 0 where trousers cover the body."""
    waist = figure.hip_m + 0.1 - figure.rest[:, 1]
    end = (tailoring.inseam - figure.leg_along) * 0.85
    return torch.where(figure.arm > 0.3, -1.0, torch.minimum(waist, end))


def shoe_field(figure: Figure, tailoring: Tailoring) -> Tensor:
    """(V,) above 0 where shoes cover the body."""
    ankle = float(figure.joint("foot.L")[1])
    top = ankle + 0.015 + 0.3 * tailoring.sock
    return torch.where(figure.arm > 0.3, -1.0, top - figure.rest[:, 1])


def dress(
    figure: Figure, tailoring: Tailoring, rng: np.random.Generator
) -> tuple[list[Surface], Tensor]:
    """The garments of a figure, and (V,) which of its vertices they hide wholly."""
    top = top_field(figure, tailoring, tailoring.sleeve)
    surfaces = [_top(figure, tailoring, top, rng)]
    hidden = top > HIDDEN_MARGIN_M
    if tailoring.bottom == "skirt":
        surfaces.append(_skirt(figure, tailoring, rng))
    else:
        bottom = trouser_field(figure, tailoring)
        ease = tailoring.bottom_ease + (0.012 if tailoring.is_tucked else 0.0)
        surfaces.append(_trousers(figure, tailoring, bottom, ease, rng))
        hidden |= bottom > HIDDEN_MARGIN_M
    if tailoring.jacket is not None:
        surfaces.append(_jacket(figure, tailoring, rng))
    shoes = shoe_field(figure, tailoring)
    surfaces.append(_shoes(figure, shoes, rng))
    return surfaces, hidden | (shoes > HIDDEN_MARGIN_M)


def _pieces(figure: Figure, layer: str, field: Tensor) -> Cloth:
    """The part of a layer above 0 of a field over all vertices."""
    fields = torch.stack([figure.arm, figure.leg, figure.arm_along, figure.leg_along, field], 1)
    cloth = layer_cloth(figure.body, figure.rest, layer, fields)
    return cloth.cut(cloth.fields[:, -1])


def _top(figure: Figure, tailoring: Tailoring, field: Tensor, rng: np.random.Generator) -> Surface:
    cloth = _pieces(figure, "tights", field).smoothed(int(rng.integers(2, 12)))
    moved = cloth.moved(_top_ease(figure, tailoring, cloth))
    return _cloth_surface(
        figure, moved, "top", garment_texture(rng, "shirt", (TORSO_COLUMN, ARM_COLUMN))
    )


def _top_ease(figure: Figure, tailoring: Tailoring, cloth: Cloth) -> Tensor:
    """(n,) meters of a top's cloth before the body: more at its hem, over the trousers."""
    loose = (figure.neck[1] - cloth.rest[:, 1]).clamp(0, 0.5)
    ease = tailoring.top_ease * (0.6 + 1.6 * loose)
    if not tailoring.is_tucked:
        ease = ease + (tailoring.bottom_ease + 0.008) * (loose / 0.35).clamp(0, 1)
    return ease


def _jacket(figure: Figure, tailoring: Tailoring, rng: np.random.Generator) -> Surface:
    assert tailoring.jacket is not None
    field = top_field(figure, tailoring, tailoring.jacket)
    rest = figure.rest
    gap = rng.uniform(0.01, 0.06) + 0.1 * (figure.neck[1] - 0.05 - rest[:, 1]).clamp(0, 0.4) * (
        rng.uniform(0, 1)
    )
    chest = (rest[:, 2] > figure.neck[2]) & (figure.arm < 0.3)
    field = torch.where(chest, torch.minimum(field, rest[:, 0].abs() - gap), field)
    cloth = _pieces(figure, "tights", field).smoothed(8)
    moved = cloth.moved(1.2 * _top_ease(figure, tailoring, cloth) + 0.014)
    return _cloth_surface(
        figure, moved, "top", garment_texture(rng, "", (TORSO_COLUMN, ARM_COLUMN))
    )


def _trousers(
    figure: Figure,
    tailoring: Tailoring,
    field: Tensor,
    ease: float,
    rng: np.random.Generator,
) -> Surface:
    cloth = _pieces(figure, "tights", field).smoothed(int(rng.integers(2, 8)))
    down = cloth.fields[:, 3].clamp(0, 1)
    moved = cloth.moved(ease + (tailoring.flare + 0.006) * down)
    return _cloth_surface(
        figure, moved, "bottom", garment_texture(rng, "trousers", (TORSO_COLUMN, LEG_COLUMN))
    )


def _skirt(figure: Figure, tailoring: Tailoring, rng: np.random.Generator) -> Surface:
    hem = figure.hip_m - rng.uniform(0.25, 0.75)
    field = torch.minimum(figure.rest[:, 1] - hem, figure.hip_m + 0.12 - figure.rest[:, 1])
    cloth = _pieces(figure, "skirt", field)
    moved = cloth.moved(torch.full((len(cloth.rest),), 0.012))
    return _cloth_surface(
        figure, moved, "bottom", garment_texture(rng, "", (TORSO_COLUMN, LEG_COLUMN))
    )


def _shoes(figure: Figure, field: Tensor, rng: np.random.Generator) -> Surface:
    """The feet without toes, blown up, on a flat sole of another color."""
    cloth = _pieces(figure, "skin", field).smoothed(60)
    low = float(figure.rest[:, 1].min())
    height = cloth.rest[:, 1] - low
    ease = rng.uniform(0.010, 0.018)
    rest = cloth.moved(torch.full_like(height, ease)).rest
    rest[:, 1] = torch.where(height < 0.03, rest[:, 1].clamp(low - 0.022, low - 0.002), rest[:, 1])
    rest[:, 1] = torch.where(height < 0.012, low - 0.022, rest[:, 1])
    upper, sole, laces = color(rng), color(rng), color(rng)
    shade = np.tile(upper, (40, 1))
    shade[:6] = sole
    if rng.random() < 0.5:
        shade[14:26:4] = laces
    texture = linear_rgba(np.ascontiguousarray(shade[::-1][:, None, :].repeat(4, 1)))
    up = ((rest[:, 1] - low + 0.022) / 0.2).clamp(0.01, 0.99)
    uv = torch.stack([torch.full_like(up, 0.5), up], 1)
    return Surface(
        LABELS.index("shoes"), "shoes", rest[None], cloth.weights, cloth.faces,
        uv[cloth.faces], texture, is_open=True,
    )  # fmt: skip


def _cloth_surface(figure: Figure, cloth: Cloth, label: str, texture: Tensor) -> Surface:
    return Surface(
        LABELS.index(label), "cloth", cloth.rest[None], cloth.weights, cloth.faces,
        _unrolled(figure, cloth, label), texture, is_open=True,
    )  # fmt: skip


def _unrolled(figure: Figure, cloth: Cloth, label: str) -> Tensor:
    """(F, 3, 2) texture coordinates: each tube of cloth is unrolled around its own bone."""
    arm, leg = (cloth.fields[:, i][cloth.faces].mean(1) > 0.5 for i in (0, 1))
    if label == "top":
        leg = torch.zeros_like(leg)
    corners = cloth.rest[cloth.faces]
    low = TORSO_LOW_M
    middle = figure.joint("spine03") * corners.new_tensor([0.0, 0, 1])
    up = corners.new_tensor([0.0, 1, 0])
    uv = texture_place(TORSO_COLUMN, *_around(corners, middle, up, low))
    for column, own, first, last in (
        (ARM_COLUMN, arm, "wrist", "upperarm01"),
        (LEG_COLUMN, leg, "foot", "upperleg01"),
    ):
        for side, sign in (("L", 1), ("R", -1)):
            here = own & (corners[:, :, 0].mean(1) * sign > 0)
            start = figure.joint(f"{first}.{side}")
            axis = torch.nn.functional.normalize(figure.joint(f"{last}.{side}") - start, dim=0)
            place = _around(corners[here], start, axis, -0.1)
            uv[here] = texture_place(column, *place)
    return uv


def _around(corners: Tensor, start: Tensor, axis: Tensor, low_m: float) -> tuple[Tensor, Tensor]:
    """Turns around an axis (F, 3), 0 at the front, and meters along (F, 3) from low_m on."""
    away = corners - start
    along = away @ axis
    front = corners.new_tensor([0.0, 0, 1])
    front = torch.nn.functional.normalize(front - axis * (front @ axis), dim=0)
    side = torch.linalg.cross(axis, front)
    angle = torch.atan2(away @ side, away @ front) / (2 * torch.pi)
    first = angle[:, :1]
    angle = angle - (angle - first).round()  # the three corners of a triangle stay together
    over = angle.amax(1, keepdim=True) > 0.55
    return torch.where(over, angle - 1, angle), along - low_m
