"""Eyes put together anew: the white stretched between the lids, the iris as a disc over it.

A face that moves as one sheet would squeeze the iris with the lids and bend it with the gaze.
"""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np

from magicpose_cli.arrays import AnyArray, Floats, Integers
from magicpose_cli.pose.retargeting.mesh import seen_share
from magicpose_cli.warping.interpolation import apply_map, push_pull, similarity
from magicpose_cli.warping.warp_points import window_around

EyePoints = tuple[tuple[int, ...], int, tuple[int, ...]]
"""Of the mesh's 478 points: the lids' outline from the outer corner along the bottom, the center of
the iris and its rim."""
RIGHT_EYE: EyePoints = (
    (33, 7, 163, 144, 145, 153, 154, 155, 133, 173, 157, 158, 159, 160, 161, 246), 468,
    (469, 470, 471, 472),
)  # fmt: skip
LEFT_EYE: EyePoints = (
    (263, 249, 390, 373, 374, 380, 381, 382, 362, 398, 384, 385, 386, 387, 388, 466), 473,
    (474, 475, 476, 477),
)  # fmt: skip
EYE_CORNERS, LID_CENTERS = (0, 8), (4, 12)  # positions in an outline
MIN_EYE_PX = 9  # between an eye's corners: a smaller eye moves with the face
SHUT_OPENING = 0.14  # in widths of the eye: a shut one shows no iris
REPAINT_CHANGE, REPAINT_FADE = 0.04, 0.03
"""The change of the gaze and half of the lids', in widths of the eye, from which on an eye is put
together anew, and how much more until no moved pixel is left: without a change these are better."""
ASIDE = (0.35, 0.55)  # of an eye's width that is seen: of the first and less it is not repainted
EYE_MARGIN_PX = 6  # around an eye
WHITE_RADIUS, IRIS_RADIUS = 1.18, 1.05  # of the iris: the white is outside, the iris inside
MIN_WHITE_PX = 6  # pixels of white that an eye must show


@dataclass(frozen=True)
class Eyeball:
    """One eye of the reference.

    Attributes:
        corner: (2,) x and y of the upper left pixel of `white` and `iris`.
        white: (h, w, n) float32, the white, filled in under the iris.
        iris: (h, w, n) float32, the iris, filled in under the lids.
        lids: (16, 2) pixels, the lids' outline.
        center: (2,) pixels, of the iris.
        radius: Of the iris, in pixels.
        opening: Between the lids, in widths of the eye.
        gaze: (2,) from the outer corner to the iris, in widths of the eye.
    """

    corner: Integers
    white: Floats
    iris: Floats
    lids: Floats
    center: Floats
    radius: float
    opening: float
    gaze: Floats


class Eyes:
    """Both eyes of the reference.

    Args:
        mesh: (478, 3) pixels, of the reference.
        colors: (H, W, n) of the reference, 0 to 255, RGB or gray.
    """

    def __init__(self, mesh: Floats, colors: AnyArray) -> None:
        self._eyes = [(eye, _eyeball(mesh, colors, eye)) for eye in (RIGHT_EYE, LEFT_EYE)]

    def paint(self, colors: Floats, mesh: Floats, corner: tuple[int, int]) -> None:
        """Paint the eyes into a part of a frame, in place.

        Args:
            colors: (h, w, n) float32 of the part.
            mesh: (478, 3) pixels, of the frame.
            corner: (x, y) of the part's upper left pixel in the frame.
        """
        for (outline, center, rim), ball in self._eyes:
            if ball is not None:
                iris = mesh[center, :2], _radius(mesh, center, rim)
                shown = _shown(mesh[[outline[index] for index in EYE_CORNERS]])
                _paint(colors, mesh[list(outline), :2], *iris, ball, corner, shown)


def _shown(corners: Floats) -> float:
    """Return 1 for an eye seen from the front, 0 for one seen from the side, of (2, 3) pixels."""
    return float(np.clip((seen_share(corners) - ASIDE[0]) / (ASIDE[1] - ASIDE[0]), 0, 1))


def _radius(mesh: Floats, center: int, rim: tuple[int, ...]) -> float:
    return float(np.linalg.norm(mesh[list(rim), :2] - mesh[center, :2], axis=1).mean())


def _width(lids: Floats) -> float:
    return max(float(np.linalg.norm(np.subtract(*lids[list(EYE_CORNERS)]))), 1e-6)


def _opening(lids: Floats) -> float:
    return float(np.linalg.norm(np.subtract(*lids[list(LID_CENTERS)]))) / _width(lids)


def _eyeball(mesh: Floats, colors: AnyArray, eye: EyePoints) -> Eyeball | None:
    """Take an eye of the reference; None if it is too small, shut, or without any white."""
    outline, index, rim = eye
    lids, center, radius = mesh[list(outline), :2], mesh[index, :2], _radius(mesh, index, rim)
    if _width(lids) < MIN_EYE_PX or _opening(lids) < SHUT_OPENING:
        return None
    low = np.maximum(np.floor(lids.min(0)).astype(int) - EYE_MARGIN_PX, 0)
    high = np.minimum(np.ceil(lids.max(0)).astype(int) + EYE_MARGIN_PX + 1, colors.shape[1::-1])
    if (high - low).min() < 3:
        return None
    part = np.ascontiguousarray(colors[low[1] : high[1], low[0] : high[0]], np.float32)
    inside = np.zeros(part.shape[:2], np.uint8)
    cv2.fillPoly(inside, [np.rint((lids - low) * 16).astype(np.int32)], (1,), cv2.LINE_8, 4)
    if _opening(lids) * _width(lids) > 8:  # lashes are no white
        inside = cv2.erode(inside, np.ones((3, 3), np.uint8)).astype(np.uint8)
    y, x = np.mgrid[: part.shape[0], : part.shape[1]]
    distance = np.hypot(x - center[0] + low[0], y - center[1] + low[1])
    white = (inside > 0) & (distance > WHITE_RADIUS * radius)
    if white.sum() < MIN_WHITE_PX:
        return None
    iris = (inside > 0) & (distance < IRIS_RADIUS * radius)
    return Eyeball(
        low,
        push_pull(part, white.astype(np.float32)),
        push_pull(part, iris.astype(np.float32)),
        lids,
        center,
        radius,
        _opening(lids),
        (center - lids[0]) / _width(lids),
    )


def _paint(
    colors: Floats,
    lids: Floats,
    center: Floats,
    radius: float,
    ball: Eyeball,
    corner: tuple[int, int],
    shown: float,
) -> None:
    width = _width(lids)
    if width < MIN_EYE_PX:
        return
    change = np.linalg.norm((center - lids[0]) / width - ball.gaze)
    change += 0.5 * abs(_opening(lids) - ball.opening)
    share = shown * float(np.clip((change - REPAINT_CHANGE) / REPAINT_FADE, 0, 1))
    window = window_around(lids, colors.shape[:2], corner)
    if share == 0 or window is None:
        return
    (rows, columns), first = window
    x, y = np.meshgrid(
        *(np.arange(p.start, p.stop, dtype=np.float32) for p in (columns, rows)),
    )
    x, y = x + corner[0], y + corner[1]
    back = similarity(lids[list(EYE_CORNERS)], ball.lids[list(EYE_CORNERS)])
    made = _looked_up(ball.white, apply_map(back, np.stack([x, y], -1)) - ball.corner)
    size = ball.radius / max(radius, 1e-3)
    disc = np.stack([x - center[0], y - center[1]], -1) * size + ball.center - ball.corner
    apart = np.hypot(x - center[0], y - center[1])
    within = np.clip((1.08 * radius - apart) / max(1.0, 0.15 * radius) + 0.5, 0, 1)[..., None]
    made += within * (_looked_up(ball.iris, disc) - made)
    mask = np.zeros(x.shape, np.float32)
    polygon = np.rint((lids - first) * 16).astype(np.int32)
    cv2.fillPoly(mask, [polygon], (1,), cv2.LINE_AA, 4)
    mask = share * cv2.GaussianBlur(mask, (0, 0), max(0.6, 0.02 * width))
    part = colors[rows, columns]
    part += mask[..., None] * (made - part)


def _looked_up(picture: Floats, at: Floats) -> Floats:
    x, y = np.moveaxis(at.astype(np.float32), 2, 0)
    found = cv2.remap(
        picture,
        np.ascontiguousarray(x),
        np.ascontiguousarray(y),
        cv2.INTER_LINEAR,
        borderMode=cv2.BORDER_REPLICATE,
    )
    return np.asarray(found.reshape(*x.shape, -1))  # OpenCV drops the axis of a single channel
