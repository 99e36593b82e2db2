"""The surfaces of a naked head and hands: skin, eyes, mouth; garments and hair lie over them."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from magicpose_cli.arrays import AnyArray, Floats
from magicpose_cli.body.layout import BODY_PARTS
from magicpose_cli.body.model import Body
from magicpose_cli.synthetic.canvas import SKIN_LABEL
from magicpose_cli.synthetic.rendered.surfaces import Surface


def _part(
    body: Body, rest: Tensor, faces: Tensor, texture: Tensor, kind: str, uv: Tensor
) -> Surface:
    used, index = torch.unique(faces, return_inverse=True)
    return Surface(
        SKIN_LABEL, kind, rest[:, used], body.weights[used], index, uv, texture,
        is_hidden_from_light=kind in ("eyes", "mouth"),
    )  # fmt: skip


def skin_surface(body: Body, rest: Tensor, hidden: Tensor, texture: Tensor) -> Surface:
    """The skin that no garment hides wholly.

    Args:
        body: with the layer "skin".
        rest: (F, V, 3) at rest, meters.
        hidden: (V,) bool, vertices under garments.
        texture: see skin.skin_texture().
    """
    layer = body.layers["skin"]
    faces, corners = body.faces[layer], body.corners[layer]
    mouth = body.face_parts[layer] == BODY_PARTS.index("mouth")
    keep = ~hidden[faces].all(1) & ~mouth
    return _part(body, rest, faces[keep], texture, "skin", body.uv[corners[keep]])


def mouth_surfaces(body: Body, rest: Tensor) -> list[Surface]:
    """The cavity, the tongue and the teeth, each of one color; rest is (F, V, 3), meters."""
    skin = body.layers["skin"]
    own = body.face_parts[skin] == BODY_PARTS.index("mouth")
    parts = [
        (body.faces[skin][own], (0.16, 0.03, 0.03)),
        (body.faces[body.layers["tongue"]], (0.42, 0.13, 0.13)),
        (body.faces[body.layers["teeth"]], (0.62, 0.58, 0.5)),
    ]
    found = []
    for faces, tone in parts:
        texture = torch.tensor([*tone, 1.0]).expand(2, 2, 4)
        uv = torch.full((len(faces), 3, 2), 0.5)
        found.append(_part(body, rest, faces, texture, "mouth", uv))
    return found


def eye_surfaces(
    body: Body, iris: Floats, rest: Tensor, picture: AnyArray | None = None
) -> list[Surface]:
    """Two eyeballs.

    Args:
        body: with the layer "eyes".
        iris: its sRGB color (3,).
        rest: (F, V, 3) at rest, meters.
        picture: (h, w, 4) sRGB of MakeHuman's eyes, from which the iris is taken; None to paint it.
    """
    texture = eye_texture(iris) if picture is None else eye_texture(_iris_of(picture))
    faces = body.faces[body.layers["eyes"]]
    middle = rest[0, faces].mean(1)
    found = []
    for sign in (1, -1):
        own = faces[middle[:, 0] * sign > 0]
        vertices = rest[0, torch.unique(own)]
        center = (vertices.amin(0) + vertices.amax(0)) / 2
        radius = float((vertices - center).norm(dim=1).median())
        away = rest[0, own] - center
        uv = 0.5 + 0.5 * away[..., :2] / radius / 1.1
        behind = (away[..., 2] < 0)[..., None]
        uv = torch.where(behind, torch.full_like(uv, 0.02), uv)
        found.append(_part(body, rest, own, texture, "eyes", uv))
    return found


def lash_surface(body: Body, rest: Tensor, amount: float) -> Surface:
    """Eyelashes.

    Args:
        body: with the layer "lashes".
        rest: (F, V, 3) at rest, meters.
        amount: how dense they are, 0..1.
    """
    faces = body.faces[body.layers["lashes"]]
    corners = body.mean[faces]
    eyes = body.mean[torch.unique(body.faces[body.layers["eyes"]])]
    side = eyes[:, 0].abs().amin() / 2 + eyes[:, 0].abs().amax() / 2
    center = torch.stack([side, eyes[:, 1].mean(), eyes[:, 2].mean()])
    away = torch.stack([corners[..., 0].abs(), corners[..., 1], corners[..., 2]], -1) - center
    radius = away.norm(dim=-1)
    out = (radius - radius.min()) / (radius.max() - radius.min())
    around = torch.atan2(away[..., 1], away[..., 0]) / (2 * torch.pi) + 0.5
    uv = torch.stack([around * 0.98 + 0.01, 1 - 0.96 * out - 0.02], -1)
    strands = np.random.default_rng(7).random(160)
    length = (0.25 + 0.75 * strands) * (0.5 + 0.5 * amount) * (np.arange(160) % 3 > 0)
    rows = (np.arange(32) + 0.5) / 32
    texture = torch.full((32, 160, 4), 0.004)
    texture[..., 3] = torch.from_numpy((rows[:, None] < length).astype(np.float32))
    used, index = torch.unique(faces, return_inverse=True)
    return Surface(
        SKIN_LABEL, "mouth", rest[:, used], body.weights[used], index, uv, texture,
        is_open=True, has_holes=True, is_hidden_from_light=True,
    )  # fmt: skip


def _iris_of(picture: AnyArray) -> Floats:
    """The color (3,) of the iris: what is neither white, red nor black, the usual of it."""
    flat = picture[..., :3].reshape(-1, 3)
    level = flat.max(1)
    own = flat[(level > 0.15) & (level < 0.75) & (flat[:, 0] < 1.9 * flat[:, 2] + 0.2)]
    found: Floats = np.median(own, axis=0) if len(own) > 50 else np.array([0.3, 0.2, 0.12])
    return found


def eye_texture(iris: Floats) -> Tensor:
    """(h, w, 4) linear: an eye as seen from before; the ball fills the picture but for a tenth."""
    size = 128
    y, x = np.mgrid[:size, :size] / (size - 1) * 2.2 - 1.1
    away, angle = np.hypot(x, y), np.arctan2(y, x)
    white = np.array([0.87, 0.83, 0.8]) - 0.12 * np.clip(away[..., None] - 0.4, 0, 1) * [0, 1, 1]
    rays = 1 + 0.18 * np.sin(angle * 23) + 0.12 * np.sin(angle * 41 + 1)
    ring = np.clip((away - 0.34) / 0.06, 0, 1)
    colored = iris * (rays * (1.15 - 0.75 * ring))[..., None]
    soft = 1 / 0.03
    share = np.clip((0.41 - away) * soft, 0, 1)[..., None]
    pupil = np.clip((0.17 - away) * soft, 0, 1)[..., None]
    picture = white * (1 - share) + colored * share
    picture = picture * (1 - pupil) + 0.02 * pupil
    linear = np.clip(picture, 0, 1) ** 2.2
    full = np.concatenate([linear, np.ones((size, size, 1))], axis=2)
    return torch.from_numpy(full.astype(np.float32))
