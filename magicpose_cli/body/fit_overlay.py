"""A fitted body drawn over the pictures that it was fitted to."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np

from magicpose_cli.arrays import Picture
from magicpose_cli.body.cameras import Camera
from magicpose_cli.body.layout import BODY_PARTS
from magicpose_cli.body.model import Body
from magicpose_cli.body.renderer import normal_map, part_map, rasterize
from magicpose_cli.body.shading import halved, lit

if TYPE_CHECKING:
    from torch import Tensor

    from magicpose_cli.body.fit import FittedClip

OVERLAY_SIDE = 480  # pixels of the long side that is drawn at most; the rest is enlarged
OPACITY = 0.75
# Linear colors (Okabe and Ito's): the left side is green, the right one orange, as in the plots.
LEFT_ALBEDO, RIGHT_ALBEDO, MIDDLE_ALBEDO = (0.0, 0.34, 0.17), (0.66, 0.11, 0.0), (0.25, 0.45, 0.75)


def fit_overlay(body: Body, fitted: FittedClip, frame: int, picture: Picture) -> Picture:
    """Draw the body of one frame, lit and half transparent, over its picture.

    Args:
        body: The body that was fitted.
        fitted: To the clip.
        frame: Number of the picture in the clip.
        picture: (H, W, 3) uint8 RGB, of any size; the camera's view is laid over all of it.

    Returns:
        (H, W, 3) uint8 RGB.
    """
    import cv2
    import torch

    camera = _reduced(fitted.camera).scaled(2)
    only = slice(frame, frame + 1)
    with torch.no_grad():
        posed = body(fitted.shape, None, fitted.rotations[only], fitted.root[only])
        fragments = rasterize(posed.vertices, body.faces, camera, cull_back=True)
        normals = normal_map(fragments, posed.vertices, body.faces, camera)
        parts = part_map(fragments, body.face_parts)
        cover = (parts >= 0).float()[..., None]
        color = lit(_part_albedo(normals)[parts.clamp_min(0)], normals) * cover
        drawn = halved(torch.cat([255 * color, cover], dim=-1))[0].numpy()
    height, width = picture.shape[:2]
    drawn = cv2.resize(drawn, (width, height), interpolation=cv2.INTER_LINEAR)
    result = picture.copy()
    shown = drawn[..., 3] > 0
    if shown.any():
        left, top, across, down = cv2.boundingRect(shown.astype(np.uint8))
        box = np.s_[top : top + down, left : left + across]
        share = OPACITY * drawn[box][..., 3:]
        mixed = picture[box] * (1 - share) + OPACITY * drawn[box][..., :3]
        result[box] = mixed.round().clip(0, 255).astype(np.uint8)
    return result


def _reduced(camera: Camera) -> Camera:
    """The camera of a picture whose long side is OVERLAY_SIDE at most."""
    share = min(1.0, OVERLAY_SIDE / max(camera.width, camera.height))
    return replace(
        camera,
        width=max(round(camera.width * share), 1),
        height=max(round(camera.height * share), 1),
        focal_px=None if camera.focal_px is None else camera.focal_px * share,
    )


def _part_albedo(like: Tensor) -> Tensor:
    """(parts, 3) the colors of BODY_PARTS."""
    colors = [
        LEFT_ALBEDO if part.startswith("left")
        else RIGHT_ALBEDO if part.startswith("right")
        else MIDDLE_ALBEDO
        for part in BODY_PARTS
    ]  # fmt: skip
    return like.new_tensor(colors)
