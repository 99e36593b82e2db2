"""Eyes put together anew: the white stretched between the lids, the iris as a disc over it.

A face that moves as one sheet would squeeze the iris with the lids and bend it with the gaze.
"""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np

from magicpose_cli.warping.interpolation import applied, push_pull, similarity
from magicpose_cli.warping.smoothed_points import window_around

# Of the 478: the lids' outline from the outer corner along the bottom, the iris's center and rim.
RIGHT = ((33, 7, 163, 144, 145, 153, 154, 155, 133, 173, 157, 158, 159, 160, 161, 246), 468,
         (469, 470, 471, 472))  # fmt: skip
LEFT = ((263, 249, 390, 373, 374, 380, 381, 382, 362, 398, 384, 385, 386, 387, 388, 466), 473,
        (474, 475, 476, 477))  # fmt: skip
CORNERS, LIDS = (0, 8), (4, 12)  # of an outline
SMALLEST = 9  # pixels between an eye's corners: a smaller one moves with the face
SHUT = 0.14  # opening in widths of the eye: a shut one shows no iris
# Changes of gaze and half of the lids', in widths of the eye, from where on an eye is put together
# anew, and how much later wholly: where nothing changes, the moved one is better.
CHANGED, CHANGED_FADE = 0.04, 0.03
ROOM = 6  # pixels around an eye
WHITE, IRIS = 1.18, 1.05  # radii of the iris: outside of the first is white, inside of the second
LEAST_WHITE = 6  # pixels


@dataclass(frozen=True)
class Eyeball:
    """Of the reference: corner (x, y) of the two pictures (h, w, n) float32, the white filled in
    under the iris, and the iris filled in under the lids."""

    corner: np.ndarray
    white: np.ndarray
    iris: np.ndarray
    lids: np.ndarray
    center: np.ndarray
    radius: float
    opening: float
    gaze: np.ndarray


class Eyes:
    """mesh (478, 3): the reference's; colors (H, W, n): its picture, in color or gray."""

    def __init__(self, mesh: np.ndarray, colors: np.ndarray) -> None:
        self._eyes = [(eye, _eyeball(mesh, colors, eye)) for eye in (RIGHT, LEFT)]

    def paint(self, colors: np.ndarray, mesh: np.ndarray, corner: tuple[int, int]) -> None:
        """Into the colors (h, w, n) of a frame whose upper left pixel is `corner` (x, y), in
        place."""
        for (outline, center, rim), ball in self._eyes:
            if ball is not None:
                iris = mesh[center, :2], _radius(mesh, center, rim)
                _paint(colors, mesh[list(outline), :2], *iris, ball, corner)


def _radius(mesh: np.ndarray, center: int, rim: tuple[int, ...]) -> float:
    return float(np.linalg.norm(mesh[list(rim), :2] - mesh[center, :2], axis=1).mean())


def _width(lids: np.ndarray) -> float:
    return max(float(np.linalg.norm(np.subtract(*lids[list(CORNERS)]))), 1e-6)


def _opening(lids: np.ndarray) -> float:
    return float(np.linalg.norm(np.subtract(*lids[list(LIDS)]))) / _width(lids)


def _eyeball(mesh: np.ndarray, colors: np.ndarray, eye: tuple) -> Eyeball | None:
    """None for an eye that is too small, shut, or without any white."""
    outline, index, rim = eye
    lids, center, radius = mesh[list(outline), :2], mesh[index, :2], _radius(mesh, index, rim)
    if _width(lids) < SMALLEST or _opening(lids) < SHUT:
        return None
    low = np.maximum(np.floor(lids.min(0)).astype(int) - ROOM, 0)
    high = np.minimum(np.ceil(lids.max(0)).astype(int) + ROOM + 1, colors.shape[1::-1])
    if (high - low).min() < 3:
        return None
    part = np.ascontiguousarray(colors[low[1] : high[1], low[0] : high[0]], np.float32)
    inside = np.zeros(part.shape[:2], np.uint8)
    cv2.fillPoly(inside, [np.rint((lids - low) * 16).astype(np.int32)], (1,), cv2.LINE_8, 4)
    if _opening(lids) * _width(lids) > 8:  # lashes are no white
        inside = cv2.erode(inside, np.ones((3, 3), np.uint8)).astype(np.uint8)
    y, x = np.mgrid[: part.shape[0], : part.shape[1]]
    distance = np.hypot(x - center[0] + low[0], y - center[1] + low[1])
    white = (inside > 0) & (distance > WHITE * radius)
    if white.sum() < LEAST_WHITE:
        return None
    iris = (inside > 0) & (distance < IRIS * radius)
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
    colors: np.ndarray,
    lids: np.ndarray,
    center: np.ndarray,
    radius: float,
    ball: Eyeball,
    corner: tuple[int, int],
) -> None:
    width = _width(lids)
    if width < SMALLEST:
        return
    change = np.linalg.norm((center - lids[0]) / width - ball.gaze)
    change += 0.5 * abs(_opening(lids) - ball.opening)
    share = float(np.clip((change - CHANGED) / CHANGED_FADE, 0, 1))
    window = window_around(lids, colors.shape[:2], corner)
    if share == 0 or window is None:
        return
    (rows, columns), first = window
    x, y = np.meshgrid(
        *(np.arange(p.start, p.stop, dtype=np.float32) for p in (columns, rows)),
    )
    x, y = x + corner[0], y + corner[1]
    back = similarity(lids[list(CORNERS)], ball.lids[list(CORNERS)])
    made = _looked_up(ball.white, applied(back, np.stack([x, y], -1)) - ball.corner)
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


def _looked_up(picture: np.ndarray, at: np.ndarray) -> np.ndarray:
    x, y = np.moveaxis(at.astype(np.float32), 2, 0)
    found = cv2.remap(
        picture,
        np.ascontiguousarray(x),
        np.ascontiguousarray(y),
        cv2.INTER_LINEAR,
        borderMode=cv2.BORDER_REPLICATE,
    )
    return found.reshape(*x.shape, -1)  # OpenCV drops the axis of a single channel
