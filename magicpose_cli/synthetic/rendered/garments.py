"""Garments cut from the body's own tights and skirt with straight hems: no asset is needed."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
import torch
from torch import Tensor

from magicpose_cli.synthetic.canvas import LABELS
from magicpose_cli.synthetic.rendered.fabrics import (
    ARM_COLUMN,
    LEG_COLUMN,
    TORSO_COLUMN,
    garment_texture,
    texture_place,
)
from magicpose_cli.synthetic.rendered.figure import Figure
from magicpose_cli.synthetic.rendered.shoes import make_shoes
from magicpose_cli.synthetic.rendered.surfaces import Cloth, Surface

TORSO_LOW_M = -0.5  # of the torso's column in the texture, from the hips
ARM_FIELD, LEG_FIELD, HEAD_FIELD = 0, 1, 2  # columns of Figure.fields
TUCK_M = 0.06  # how far a tucked top reaches into the trousers
OVER_M = 0.009  # from one layer of cloth to the one over it
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
    is_tucked = skirt or rng.random() < 0.3
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
        is_tucked=bool(is_tucked),
        jacket=float(rng.uniform(0.85, 0.97)) if rng.random() < 0.22 else None,
        sock=float(rng.uniform(0.0, 0.25)),
    )  # fmt: skip


def top_field(figure: Figure, cloth: Cloth, tailoring: Tailoring, sleeve: float) -> Tensor:
    """(n,) above 0 where a top covers the vertices of a cloth, about in meters."""
    place, neck = cloth.rest, figure.neck
    arm, head = cloth.fields[:, ARM_FIELD], cloth.fields[:, HEAD_FIELD]
    hem = figure.waist_m - TUCK_M if tailoring.is_tucked else figure.hip_m + tailoring.hem
    field = place[:, 1] - hem
    if sleeve < 0.15:
        on_arm = (0.45 - arm) * 0.2
    else:
        on_arm = (sleeve - figure.along("arm", place)) * 0.5
    field = torch.where(arm > 0.3, on_arm, field)
    away = place - neck - place.new_tensor([0, 0.03, 0.02])
    hole = (away * away.new_tensor([1.0, 0.85, 0.9])).norm(dim=1) - tailoring.neckline
    above = neck[1] + 0.09 - place[:, 1]
    field = torch.minimum(field, torch.minimum(hole, above))
    field = torch.minimum(field, (0.5 - head) * 0.2)
    if tailoring.plunge:
        low = neck[1] - tailoring.neckline - tailoring.plunge
        slope = place[:, 0].abs() * (tailoring.plunge + tailoring.neckline) / tailoring.neckline
        wedge = (low + slope) - place[:, 1]
        field = torch.where(place[:, 2] > neck[2], torch.minimum(field, wedge), field)
    return field


def trouser_field(figure: Figure, cloth: Cloth, tailoring: Tailoring) -> Tensor:
    """(n,) above 0 where trousers cover the vertices of a cloth."""
    waist = figure.waist_m - cloth.rest[:, 1]
    end = (tailoring.inseam - figure.along("leg", cloth.rest)) * 0.85
    covered = torch.minimum(waist, end)
    return torch.where(cloth.fields[:, ARM_FIELD] > 0.3, -1.0, covered)


def dress(
    figure: Figure, tailoring: Tailoring, rng: np.random.Generator, worn: tuple[str, ...] = ()
) -> tuple[list[Surface], Tensor]:
    """Cut the garments of a figure.

    Args:
        figure: who wears them.
        tailoring: where they are cut.
        rng: of fabrics, folds and smoothness.
        worn: "suit" or "shoes" that come from elsewhere and are left out here.

    Returns:
        The garments, and (V,) which of the figure's vertices they hide wholly.
    """
    skin = figure.skin()
    hidden = torch.zeros(len(figure.rest), dtype=torch.bool)
    surfaces: list[Surface] = []
    if "suit" not in worn:
        surfaces, hidden = _cut_suit(figure, tailoring, rng, skin)
    if "shoes" in worn:
        return surfaces, hidden
    shoes, in_shoes = make_shoes(figure, tailoring.sock, rng)
    return [*surfaces, shoes], hidden | in_shoes


def _cut_suit(
    figure: Figure, tailoring: Tailoring, rng: np.random.Generator, skin: Cloth
) -> tuple[list[Surface], Tensor]:
    """Top, trousers or skirt, and at times a jacket; what they hide, as of dress().

    All are moved off the same smoothed body, so that what is worn over something else lies over it.
    """
    base = figure.cloth("tights", int(rng.integers(4, 11)))
    folds = _folds(base, rng)
    surfaces = [_top(figure, tailoring, base, folds, rng)]
    hidden = top_field(figure, skin, tailoring, tailoring.sleeve) > HIDDEN_MARGIN_M
    if tailoring.bottom == "skirt":
        surfaces.append(_skirt(figure, rng))
    else:
        surfaces.append(_trousers(figure, tailoring, base, folds, rng))
        hidden |= trouser_field(figure, skin, tailoring) > HIDDEN_MARGIN_M
    if tailoring.jacket is not None:
        surfaces.append(_jacket(figure, tailoring, base, folds, rng))
    return surfaces, hidden


def _folds(cloth: Cloth, rng: np.random.Generator) -> Tensor:
    """(n,) how much farther than usual cloth is here and there, about 0 +- 1."""
    waves = torch.from_numpy(rng.normal(0, 1, (5, 3)) * [26, 34, 26]).float()
    starts = torch.from_numpy(rng.uniform(0, 6.28, 5)).float()
    return torch.sin(cloth.rest @ waves.T + starts).mean(1) * 1.5


def _top(
    figure: Figure, tailoring: Tailoring, base: Cloth, folds: Tensor, rng: np.random.Generator
) -> Surface:
    cloth = base.moved(_top_ease(figure, tailoring, base, folds))
    cloth = cloth.cut(top_field(figure, cloth, tailoring, tailoring.sleeve))
    texture = garment_texture(rng, "shirt", (TORSO_COLUMN, ARM_COLUMN))
    return _cloth_surface(figure, cloth, "top", texture)


def _top_ease(figure: Figure, tailoring: Tailoring, cloth: Cloth, folds: Tensor) -> Tensor:
    """(n,) meters of a top's cloth before the body: over the trousers, or in them."""
    height = cloth.rest[:, 1]
    loose = 0.6 + 1.6 * (figure.neck[1] - height).clamp(0, 0.5)
    ease = tailoring.top_ease * loose * (1 + 0.3 * folds)
    ease = ease.clamp_min(0.005)
    at_waist = ((figure.waist_m + 0.06 - height) / 0.06).clamp(0, 1)
    at_waist = at_waist * (cloth.fields[:, ARM_FIELD] < 0.3)
    if tailoring.is_tucked:
        return ease + (0.003 - ease) * at_waist
    over = _trouser_ease(figure, tailoring, cloth, folds) + OVER_M
    return torch.maximum(ease, over * at_waist)


def _jacket(
    figure: Figure, tailoring: Tailoring, base: Cloth, folds: Tensor, rng: np.random.Generator
) -> Surface:
    """An open top over the top."""
    assert tailoring.jacket is not None
    worn = replace(tailoring, is_tucked=False)
    under = _top_ease(figure, tailoring, base, folds)
    cloth = base.moved(torch.maximum(_top_ease(figure, worn, base, folds), under) + 1.5 * OVER_M)
    field = top_field(figure, cloth, worn, tailoring.jacket)
    down = (figure.neck[1] - 0.05 - cloth.rest[:, 1]).clamp(0, 0.4)
    gap = rng.uniform(0.01, 0.06) + 0.1 * down * rng.uniform(0, 1)
    chest = (cloth.rest[:, 2] > figure.neck[2]) & (cloth.fields[:, ARM_FIELD] < 0.3)
    open_front = torch.minimum(field, cloth.rest[:, 0].abs() - gap)
    cloth = cloth.cut(torch.where(chest, open_front, field))
    texture = garment_texture(rng, "", (TORSO_COLUMN, ARM_COLUMN))
    return _cloth_surface(figure, cloth, "top", texture)


def _trouser_ease(figure: Figure, tailoring: Tailoring, cloth: Cloth, folds: Tensor) -> Tensor:
    """(n,) meters of the trousers' cloth before the body."""
    down = figure.along("leg", cloth.rest).clamp(0, 1)
    ease = tailoring.bottom_ease + (0.008 if tailoring.is_tucked else 0.0)
    return ease + (tailoring.flare + 0.008) * down + 0.004 * down * folds


def _trousers(
    figure: Figure, tailoring: Tailoring, base: Cloth, folds: Tensor, rng: np.random.Generator
) -> Surface:
    cloth = base.moved(_trouser_ease(figure, tailoring, base, folds))
    cloth = cloth.cut(trouser_field(figure, cloth, tailoring))
    texture = garment_texture(rng, "trousers", (TORSO_COLUMN, LEG_COLUMN))
    return _cloth_surface(figure, cloth, "bottom", texture)


def _skirt(figure: Figure, rng: np.random.Generator) -> Surface:
    hem = figure.hip_m - rng.uniform(0.25, 0.75)
    cloth = figure.cloth("skirt")
    cloth = cloth.moved(torch.full((len(cloth.rest),), 0.012))
    height = cloth.rest[:, 1]
    cloth = cloth.cut(torch.minimum(height - hem, figure.waist_m + 0.02 - height))
    texture = garment_texture(rng, "", (TORSO_COLUMN, LEG_COLUMN))
    return _cloth_surface(figure, cloth, "bottom", texture)


def _cloth_surface(figure: Figure, cloth: Cloth, label: str, texture: Tensor) -> Surface:
    return Surface(
        LABELS.index(label), "cloth", cloth.rest[None], cloth.weights, cloth.faces,
        _unrolled(figure, cloth, label), texture, is_open=True,
    )  # fmt: skip


def _unrolled(figure: Figure, cloth: Cloth, label: str) -> Tensor:
    """(F, 3, 2) texture coordinates: each tube of cloth is unrolled around its own bone."""
    arm, leg = (cloth.fields[:, i][cloth.faces].mean(1) > 0.5 for i in (ARM_FIELD, LEG_FIELD))
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
