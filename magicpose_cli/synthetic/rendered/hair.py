"""Hair as shells over the scalp, with strands that end where the shell is thinner than they are."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
import torch
from scipy.special import ndtr
from torch import Tensor
from torch.nn.functional import normalize

from magicpose_cli.arrays import Floats
from magicpose_cli.synthetic.canvas import LABELS
from magicpose_cli.synthetic.rendered.complexion import Complexion
from magicpose_cli.synthetic.rendered.fabrics import smooth_noise
from magicpose_cli.synthetic.rendered.face_paint import mean_face_points
from magicpose_cli.synthetic.rendered.figure import Figure
from magicpose_cli.synthetic.rendered.skin import scalp_field
from magicpose_cli.synthetic.rendered.surfaces import Cloth, Surface, layer_cloth

SHELLS = 4
OVERHANG_M = 0.012  # how far strands reach beyond the hairline
TEXTURE_SHAPE = (256, 1024)


@dataclass(frozen=True)
class Haircut:
    """How hair is worn.

    Attributes:
        thickness: Of the hair over the scalp, meters; 0 for none.
        top: How much thicker it is on top.
        curls: How far strands are bent, 0 straight .. 1 curly.
        fringe: How far hair falls onto the forehead, meters.
        length: How far long hair falls below the chin, meters; None for short hair.
        seed: Of its strands.
    """

    thickness: float
    top: float
    curls: float
    fringe: float
    length: float | None
    seed: int


def sample_haircut(rng: np.random.Generator, is_woman: bool) -> Haircut:
    """Somebody's hair: long ones for four of five women and few men, none for few men."""
    long = rng.random() < (0.75 if is_woman else 0.06)
    bald = not is_woman and rng.random() < 0.1
    return Haircut(
        thickness=0.0 if bald else float(np.exp(rng.uniform(np.log(0.006), np.log(0.035)))),
        top=float(rng.uniform(0, 1.2)),
        curls=float(rng.choice([0.0, rng.uniform(0, 1)], p=[0.5, 0.5])),
        fringe=float(rng.choice([0.0, rng.uniform(0, 0.03)], p=[0.6, 0.4])),
        length=float(rng.uniform(-0.06, 0.2)) if long else None,
        seed=int(rng.integers(1 << 31)),
    )


def grow_hair(figure: Figure, haircut: Haircut, complexion: Complexion) -> list[Surface]:
    """Shells from the scalp outward, and what falls onto the shoulders."""
    if haircut.thickness == 0:
        return []
    body = figure.body
    rng = np.random.default_rng(haircut.seed)
    strands = hair_texture(complexion.hair, haircut, rng)
    mean = body.mean[: body.vertex_count]
    cap = layer_cloth(body, figure.rest, "skin", mean)
    place = cap.fields
    line = scalp_field(place) + haircut.fringe * _front(place) + _hairline(place, rng)
    on_head = place[:, 1] > float(body.mean[body.vertex_count + body.joint("head"), 1]) - 0.1
    cap = replace(cap, fields=torch.cat([place, line[:, None]], 1))
    cap = cap.cut(torch.where(on_head, line + OVERHANG_M, -1.0)).smoothed(10)
    above = cap.fields[:, 3]
    waves = _waves(cap.rest, haircut, rng)
    border = ((above + OVERHANG_M) / 0.03).clamp(0, 1)
    thick = haircut.thickness * (0.3 + 0.7 * border) * (1 + haircut.top * _above(cap)) * waves
    uv = _strand_places(figure, cap)
    ends = _ends_of_strands(figure, cap, uv, above, OVERHANG_M, rng)
    surfaces = []
    for shell in range(1, SHELLS + 1):
        share = shell / SHELLS
        moved = cap.moved(thick * share + 0.002)
        fall = thick * share * share * 0.35
        rest = moved.rest - torch.stack([0 * fall, fall, 0 * fall], 1)
        texture = _shell(strands, ends, share)
        surfaces.append(_hair_surface(replace(moved, rest=rest), uv, texture))
    if haircut.length is not None:
        surfaces += _long_hair(figure, haircut, strands, rng)
    return surfaces


def hair_texture(tone: Floats, haircut: Haircut, rng: np.random.Generator) -> Tensor:
    """(h, w, 4) linear: strands run down the texture; the fourth number tells them apart, 0..1."""
    height, width = TEXTURE_SHAPE
    fine = smooth_noise(rng, (height, width), 3 + 30 * haircut.curls, 70 / (1 + 4 * haircut.curls))
    locks = smooth_noise(rng, (height, width), 2 + 12 * haircut.curls, 16 / (1 + 3 * haircut.curls))
    light = np.exp(0.28 * fine + 0.22 * locks)
    picture = (np.clip(tone, 0.01, 1) ** 2.2).astype(np.float32) * light[..., None]
    rank = ndtr((fine + 0.8 * locks) / np.float32(np.hypot(1, 0.8)))
    rgba = np.concatenate([picture, rank[..., None]], axis=2)
    return torch.from_numpy(np.clip(rgba, 0, 1).astype(np.float32))


def _hairline(place: Tensor, rng: np.random.Generator) -> Tensor:
    """(n,) meters by which one's hairline lies lower than usual, of points of the mean head."""
    angle = torch.atan2(place[:, 0], place[:, 2])
    peak = rng.normal(0, 0.006) * torch.exp(-((angle / 0.18) ** 2))
    temples = rng.uniform(-0.016, 0.002) * torch.exp(-(((angle.abs() - 0.55) / 0.2) ** 2))
    waves = 0.003 * torch.sin(angle * rng.uniform(5, 11) + rng.uniform(0, 6))
    return peak + temples + waves


def _strand_places(figure: Figure, cloth: Cloth) -> Tensor:
    """(F, 3, 2) texture coordinates: around the head, and down from its top."""
    away = normalize(cloth.rest - _middle(figure), dim=1)
    corners = away[cloth.faces]
    around = torch.atan2(corners[..., 0], corners[..., 2]) / (2 * torch.pi)
    around = around - (around - around[:, :1]).round()
    v = torch.acos(corners[..., 1].clamp(-1, 1)) / torch.pi
    return torch.stack([around + 0.5, 1 - v], -1)


def _middle(figure: Figure) -> Tensor:
    return figure.joint("head") + figure.rest.new_tensor([0, 0.07, 0.0])


def _ends_of_strands(
    figure: Figure,
    cloth: Cloth,
    uv: Tensor,
    above: Tensor,
    reach_m: float,
    rng: np.random.Generator,
) -> Tensor:
    """(w,) down to which v the strands in each column of the texture reach.

    Args:
        figure: who it is.
        cloth: of hair.
        uv: (F, 3, 2) see _strand_places().
        above: (n,) meters of its vertices above the line where hair ends on the whole.
        reach_m: how far single strands reach beyond it, or fall short of it.
        rng: where chance comes from.
    """
    height = above[cloth.faces]
    radius = (cloth.rest - _middle(figure)).norm(dim=1)[cloth.faces]
    low = (uv[..., 1] - height / (torch.pi * radius)).flatten()
    near = height.flatten().abs() < 0.03
    bins = ((uv[..., 0].flatten() % 1) * 64).long().clamp(0, 63)
    total, count = torch.zeros(64), torch.zeros(64)
    total.index_add_(0, bins[near], low[near])
    count.index_add_(0, bins[near], torch.ones(int(near.sum())))
    known = (count > 0).nonzero()[:, 0].numpy()
    width = TEXTURE_SHAPE[1]
    if not len(known):
        return torch.zeros(width)
    columns = (np.arange(width) + 0.5) / width * 64 - 0.5
    line = np.interp(columns, known, (total / count.clamp_min(1)).numpy()[known], period=64)
    locks = smooth_noise(rng, (1, width), 1, 90 / width)[0] + 0.6 * rng.normal(size=width)
    away = float(radius.flatten()[near].mean())
    return torch.from_numpy(line - 0.4 * reach_m * locks / (np.pi * away)).float()


def _shell(strands: Tensor, ends: Tensor, share: float) -> Tensor:
    """The strands that reach a shell: fewer and fewer of them, and lighter ones, outward."""
    texture = strands.clone()
    height = len(strands)
    v = 1 - (torch.arange(height) + 0.5) / height
    cover = (strands[..., 3] - 0.75 * (share - 1 / SHELLS)) * 6 + 0.5
    texture[..., 3] = torch.minimum(cover, 0.5 + (v[:, None] - ends) * height).clamp(0, 1)
    texture[..., :3] *= 0.55 + 0.45 * share
    return texture


def _hair_surface(cloth: Cloth, uv: Tensor, texture: Tensor) -> Surface:
    return Surface(
        LABELS.index("hair"), "hair", cloth.rest[None], cloth.weights, cloth.faces, uv, texture,
        is_open=True, has_holes=True,
    )  # fmt: skip


def _long_hair(
    figure: Figure, haircut: Haircut, strands: Tensor, rng: np.random.Generator
) -> list[Surface]:
    """MakeHuman's own hair helper: a curtain from the scalp down to the chest."""
    assert haircut.length is not None
    bottom = float(figure.joint("head")[1]) - 0.02 - haircut.length
    mean = figure.body.mean[: figure.body.vertex_count]
    cloth = layer_cloth(figure.body, figure.rest, "hair", mean)
    cloth = cloth.cut(cloth.rest[:, 1] - bottom)
    cloth = cloth.cut(_beside_face(cloth.fields, haircut))
    waves = _waves(cloth.rest, haircut, rng)
    uv = _strand_places(figure, cloth)
    reach_m = rng.uniform(0.015, 0.04)
    above = cloth.rest[:, 1] - bottom - reach_m
    ends = _ends_of_strands(figure, cloth, uv, above, reach_m, rng)
    found = []
    for share in (0.4, 1.0):
        moved = cloth.moved(haircut.thickness * share * (waves - 0.3))
        found.append(_hair_surface(moved, uv, _shell(strands, ends, share)))
    return found


def _beside_face(place: Tensor, haircut: Haircut) -> Tensor:
    """Above 0 where long hair of the mean head leaves the face free, of points (n, 3)."""
    face = mean_face_points()
    brow = face[17:27].mean(0)
    side = float(face[16, 0]) * (0.86 - 6 * haircut.fringe)
    wide = (place[:, 0] - brow[0]).abs() - side
    above = place[:, 1] - (float(brow[1]) + 0.045 - haircut.fringe)
    behind = (float(brow[2]) - 0.06) - place[:, 2]
    return torch.maximum(torch.maximum(wide, above), behind)


def _front(place: Tensor) -> Tensor:
    """1 above the forehead of the mean head, 0 elsewhere, of points (n, 3)."""
    return ((place[:, 2] - 0.06) / 0.03).clamp(0, 1) * (place[:, 0].abs() < 0.055)


def _above(cap: Cloth) -> Tensor:
    """(n,) 1 on top of the head, 0 at its sides."""
    return cap.normals()[:, 1].clamp(0, 1)


def _waves(place: Tensor, haircut: Haircut, rng: np.random.Generator) -> Tensor:
    """(n,) how thick hair is here and there, about 1."""
    turns = torch.from_numpy(rng.normal(0, 30 + 40 * haircut.curls, (5, 3))).float()
    starts = torch.from_numpy(rng.uniform(0, 6.28, 5)).float()
    bumps = torch.sin(place @ turns.T + starts).mean(1)
    return (1 + (0.35 + 0.4 * haircut.curls) * bumps).clamp_min(0.3)
