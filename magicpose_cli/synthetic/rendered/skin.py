"""Skin as a picture over the body's texture coordinates: tone, lips, brows, beard, blush, moles.

Faces are painted on a plane before the mean face (x to its left, y up) and carried from there onto
the skin, so that lips are where the key points have them on every shape.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

import cv2
import numpy as np
import torch
from torch import Tensor

from magicpose_cli.arrays import AnyArray, Mask
from magicpose_cli.body.cameras import Camera
from magicpose_cli.body.model import Body
from magicpose_cli.body.renderer import rasterize, vertex_normals
from magicpose_cli.synthetic.rendered.complexion import Complexion
from magicpose_cli.synthetic.rendered.fabrics import linear_rgba, smooth_noise
from magicpose_cli.synthetic.rendered.face_paint import (
    PLANE_PIXELS_PER_M,
    mean_face_points,
    painted_face,
    plane_corner,
)

SKIN_TEXTURE_SIZES = {"full": 512, "half": 512, "face": 1024}
"""Of the texture in pixels, for each of scenes.SHOTS."""


def skin_texture(complexion: Complexion, scalp: float, size: int) -> Tensor:
    """(h, w, 4) linear RGBA of a person's skin over Body.uv.

    Args:
        complexion: its colors.
        scalp: how dark shaved hair colors the head, 0..1; 1 under a cap of hair.
        size: h and w in pixels, one of SKIN_TEXTURE_SIZES.
    """
    atlas = _atlas(size)
    rng = np.random.default_rng(complexion.seed)
    grain = rng.standard_normal((size, size), np.float32)
    shade = 1 + 0.012 * grain
    for cells, weight in ((12, 0.015), (60, 0.011), (220, 0.009)):
        shade += weight * smooth_noise(rng, (size, size), cells)
    red = 0.015 * smooth_noise(rng, (size, size), 25) + 0.04 * atlas.knuckles
    channels = [
        complexion.skin[i] * shade + red * sign for i, sign in enumerate((1.0, -0.55, -0.5))
    ]
    tone = np.stack(channels, axis=2).astype(np.float32)
    cover = (atlas.scalp * scalp)[..., None].astype(np.float32)
    under = (complexion.hair * 0.8).astype(np.float32) * (1 + 0.2 * grain[..., None])
    tone += (under - tone) * cover
    face = painted_face(complexion, rng)
    shrink = 1024 // size
    if shrink > 1:
        face = cv2.resize(face, None, fx=1 / shrink, fy=1 / shrink, interpolation=cv2.INTER_AREA)
    sampled = cv2.remap(
        face, atlas.plane_x / shrink, atlas.plane_y / shrink, cv2.INTER_LINEAR,
        borderMode=cv2.BORDER_REPLICATE,
    )  # fmt: skip
    strength = sampled[..., 3:] * atlas.front[..., None]
    tone += (sampled[..., :3] - tone) * strength
    return linear_rgba(tone)


def photographed_skin(picture: AnyArray, complexion: Complexion, scalp: float) -> Tensor:
    """(h, w, 4) linear RGBA: a picture of a skin, brought near to a person's own tone.

    Args:
        picture: (h, w, 4) sRGB over Body.uv, h and w one of SKIN_TEXTURE_SIZES.
        complexion: colors of the person.
        scalp: as of skin_texture().
    """
    atlas = _atlas(len(picture))
    tone = picture[..., :3] * np.clip(complexion.skin / mean_tone(picture), 0.75, 1.3)
    cover = (atlas.scalp * scalp)[..., None]
    tone += ((complexion.hair * 0.8).astype(np.float32) - tone) * cover
    return linear_rgba(tone.astype(np.float32))


def mean_tone(picture: AnyArray) -> AnyArray:
    """(3,) the usual color of a picture (h, w, 4) of a skin."""
    found: AnyArray = np.median(picture[::8, ::8, :3].reshape(-1, 3), axis=0)
    return np.maximum(found, 0.05)


@dataclass(frozen=True, eq=False)
class _SkinAtlas:
    """What lies where in the texture, each (h, w): see _atlas."""

    plane_x: AnyArray
    plane_y: AnyArray
    front: AnyArray
    scalp: AnyArray
    knuckles: AnyArray


@lru_cache(maxsize=2)
def _atlas(size: int) -> _SkinAtlas:
    """Where the mean body's skin lies in the texture."""
    body = Body.load()
    joints = body.mean[body.vertex_count :]
    points = body.mean[: body.vertex_count]
    skin = body.layers["skin"]
    flat = torch.cat([body.uv, torch.zeros(len(body.uv), 1)], 1)[None]
    camera = Camera(size, size, target=(0.5, 0.5, 0.0), pixels_per_m=float(size))
    seen = rasterize(flat, body.corners[skin], camera)
    triangle = seen.triangles[0]
    hit = triangle >= 0
    rows = body.faces[skin][triangle.clamp_min(0)]
    place = (points[rows] * seen.barycentric[0][..., None]).sum(-2)
    normals = vertex_normals(points[None], body.faces)[0]
    facing = (normals[rows] * seen.barycentric[0][..., None]).sum(-2)[..., 2]
    head = joints[body.joint("head")]
    left, top = plane_corner()
    x = ((place[..., 0] - left) * PLANE_PIXELS_PER_M).numpy().astype(np.float32)
    y = ((top - place[..., 1]) * PLANE_PIXELS_PER_M).numpy().astype(np.float32)
    is_head = hit & (place[..., 1] > head[1] - 0.09) & (place[..., 0].abs() < 0.12)
    front = (is_head & (place[..., 2] > head[2] - 0.01)) * (facing / 0.25).clamp(0, 1)
    scalp = torch.sigmoid(scalp_field(place) * 250) * is_head
    hands = torch.tensor(
        [name.startswith(("finger", "metacarpal", "wrist")) for name in body.joint_names]
    )
    hand = (body.weights[:, hands].sum(1)[rows] * seen.barycentric[0]).sum(-1) * hit
    return _SkinAtlas(
        x,
        y,
        _spread(front.numpy(), hit.numpy()),
        _spread(scalp.numpy(), hit.numpy()),
        _spread(hand.numpy(), hit.numpy()),
    )


def _spread(values: AnyArray, known: Mask) -> AnyArray:
    """Values beyond the borders of the texture's islands, so that seams show none of the gaps."""
    near = cv2.dilate(values, np.ones((5, 5)))
    return np.where(known, values, near).astype(np.float32)


def scalp_field(place: Tensor) -> Tensor:
    """(...,) above 0 where hair grows on the mean head, meters about, of points (..., 3).

    The hairline runs above the forehead, before the ears down to their middle, behind them to the
    nape.
    """
    face = mean_face_points()
    brow = face[17:27].mean(0)
    chin = face[8]
    height = float(brow[1] - chin[1])
    center = brow.clone()
    center[2] = brow[2] - 0.095
    away = place - center
    angle = torch.atan2(away[..., 0].abs(), away[..., 2])  # 0 in front, pi behind
    low = torch.where(
        angle < 0.75,
        torch.full_like(angle, 0.5 * height) - 0.012 * (angle / 0.75) ** 2,
        torch.where(
            angle < 1.45,
            0.5 * height - 0.012 - (angle - 0.75) / 0.7 * (0.62 * height),
            torch.where(
                angle < 1.95,
                torch.full_like(angle, 0.02),
                -0.05 - 0.025 * ((angle - 1.95) / 1.2).clamp(0, 1),
            ),
        ),
    )
    return away[..., 1] - low
