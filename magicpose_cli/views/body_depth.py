"""Depth of a fitted body in its own picture, continued to all of the person's pixels."""

from __future__ import annotations

import cv2
import numpy as np

from magicpose_cli.arrays import Floats
from magicpose_cli.body.reference_body import ReferenceBody
from magicpose_cli.warping.grid import Grid
from magicpose_cli.warping.interpolation import push_pull
from magicpose_cli.warping.structuring import square_element

VERTEX_REACH = 0.012  # of the longer side: the far side is known at vertices, this far apart
SMOOTH_SHARE = 0.004  # of the body's height, by which depth is smoothed
MIN_HALF_DEPTH_PX = 1.0


def meters_to_pixels(body: ReferenceBody) -> tuple[float, float]:
    """How many pixels a meter has at the head's depth, and that depth in meters."""
    _, joints = body.body.transforms(body.rest_joints[None], body.rotations[None])
    depth_m = -float(joints[0, body.body.joint("head"), 2] + body.root[2])
    assert body.camera.focal_px is not None  # a fitted camera is a perspective one
    return body.camera.focal_px / depth_m, depth_m


def near_and_far(body: ReferenceBody) -> tuple[Floats, Floats]:
    """The depths of a body's near and far side, (H, W) meters; infinite beside the body."""
    import torch

    from magicpose_cli.body.renderer import rasterize

    with torch.no_grad():
        posed = body.body(body.shape, None, body.rotations[None], body.root[None])
        near = rasterize(posed.vertices, body.body.faces, body.camera).depth[0].numpy()
        pixels, depth = body.camera.project(posed.vertices[0])
    height, width = near.shape
    x, y = pixels.floor().long().T.numpy()
    own = (x >= 0) & (x < width) & (y >= 0) & (y < height)
    far = np.full((height, width), -np.inf, np.float32)
    np.maximum.at(far, (y[own], x[own]), depth.numpy()[own])
    far = np.asarray(cv2.dilate(far, square_element(VERTEX_REACH * max(height, width))))
    return near, np.where(np.isfinite(near), np.maximum(far, near), np.inf)


def middle_and_half(
    body: ReferenceBody, grid: Grid, person: Floats, tall: float
) -> tuple[Floats, Floats] | None:
    """The middle of the body's depth and half of its thickness, everywhere.

    Args:
        body: Fitted to the picture.
        grid: Of the picture.
        person: (h, w) of the padded picture, 1 where the person surely is, else 0.
        tall: Height of the body in pixels.

    Returns:
        (h, w) float32 pixels each, the middle 0 at the head; None where the body covers nothing of
        the person.
    """
    near, far = near_and_far(body)
    scale, at_head = meters_to_pixels(body)
    seen = np.isfinite(near) & np.isfinite(far)
    near, far = (np.where(seen, each, at_head) for each in (near, far))
    shape = grid.padded[::-1]
    values, weight = np.zeros((*shape, 2), np.float32), np.zeros(shape, np.float32)
    values[grid.unpadded] = scale * np.stack([(near + far) / 2 - at_head, (far - near) / 2], -1)
    weight[grid.unpadded] = seen * person[grid.unpadded]
    weight = np.asarray(cv2.erode(weight, np.ones((5, 5), np.uint8)), np.float32)
    if not weight.any():
        return None
    filled = push_pull(values, weight)
    filled = np.asarray(cv2.GaussianBlur(filled, (0, 0), max(1.0, SMOOTH_SHARE * tall)))
    return filled[..., 0], np.maximum(filled[..., 1], MIN_HALF_DEPTH_PX)
