"""The inside of a mouth that the frame opens and the reference shows shut."""

from __future__ import annotations

import cv2
import numpy as np

UPPER = (78, 191, 80, 81, 82, 13, 312, 311, 310, 415, 308)  # inner lips, right corner to left
LOWER = (78, 95, 88, 178, 87, 14, 317, 402, 318, 324, 308)
CORNERS, LIPS = (78, 308), (13, 14)
CHEEKS = (50, 280, 205, 425)
# Openings are in widths of the mouth. From OPEN on, and OPENED more than the reference's, it is
# painted, wholly FADE later; where the reference's own is open by SHOWN, that one moves instead.
OPEN, OPENED, FADE, SHOWN, SHOWN_FADE = 0.05, 0.04, 0.06, 0.2, 0.1
DARK = (0.42, 0.22, 0.22)  # of the skin's color, RGB
TOOTH = (222.0, 210.0, 198.0)  # RGB, in the light of the skin
TOOTH_SHARE = 0.75  # how much teeth cover the dark
TOOTH_WIDTH, TOOTH_HEIGHT = 0.16, 0.55  # of the mouth's width, and of its opening at most


class Mouth:
    """mesh (478, 3): the reference's; colors (H, W, 3) float32 RGB: its picture."""

    def __init__(self, mesh: np.ndarray, colors: np.ndarray) -> None:
        self._opening = _opening(mesh)
        height, width = colors.shape[:2]
        at = np.rint(mesh[list(CHEEKS), :2]).astype(int).clip(0, (width - 1, height - 1))
        skin = np.median(colors[at[:, 1], at[:, 0]], axis=0)
        self._dark = (skin * DARK).astype(np.float32)
        light = float(np.clip(skin.max() / 215, 0.35, 1))
        self._tooth = (light * np.array(TOOTH)).astype(np.float32)

    def paint(self, colors: np.ndarray, mesh: np.ndarray, corner: tuple[int, int]) -> None:
        """Into the colors (h, w, 3) of a frame whose upper left pixel is `corner` (x, y), in
        place."""
        was, is_ = self._opening, _opening(mesh)
        share = np.clip((is_ - max(OPEN, was + OPENED * (was > OPEN))) / FADE, 0, 1)
        share *= np.clip((SHOWN - was) / SHOWN_FADE, 0, 1)
        inner = np.concatenate([mesh[list(UPPER), :2], mesh[list(LOWER[-2:0:-1]), :2]])
        window = _window(inner, colors.shape[:2], corner)
        if share <= 0 or window is None:
            return
        (rows, columns), offset = window
        shape = rows.stop - rows.start, columns.stop - columns.start
        soft = max(0.6, 0.012 * float(np.ptp(mesh[:, 1])))
        inside = _drawn(inner - offset, shape, soft)
        wide = np.linalg.norm(np.subtract(*mesh[list(CORNERS), :2]))
        down = mesh[LIPS[1], :2] - mesh[LIPS[0], :2]
        high = max(float(np.linalg.norm(down)), 1e-6)
        upper = mesh[list(UPPER), :2]
        edge = upper + down / high * min(TOOTH_WIDTH * wide, TOOTH_HEIGHT * high)
        teeth = _drawn(np.concatenate([upper - down / high, edge[::-1]]) - offset, shape, soft)
        painted = self._dark + TOOTH_SHARE * teeth[..., None] * (self._tooth - self._dark)
        part = colors[rows, columns]
        part += share * inside[..., None] * (painted - part)


def _opening(mesh: np.ndarray) -> float:
    high = np.linalg.norm(np.subtract(*mesh[list(LIPS), :2]))
    return float(high / max(np.linalg.norm(np.subtract(*mesh[list(CORNERS), :2])), 1e-6))


def _window(
    points: np.ndarray, shape: tuple[int, int], corner: tuple[int, int]
) -> tuple[tuple[slice, slice], np.ndarray] | None:
    """Rows and columns around points of a frame in a part of it, and where these begin."""
    low = np.maximum(np.floor(points.min(0)).astype(int) - 4 - corner, 0)
    high = np.minimum(np.ceil(points.max(0)).astype(int) + 5 - corner, shape[::-1])
    if (high - low).min() < 3:
        return None
    return np.s_[low[1] : high[1], low[0] : high[0]], low + corner


def _drawn(polygon: np.ndarray, shape: tuple[int, int], soft: float) -> np.ndarray:
    """(h, w) float32: 1 inside, soft at the edge."""
    mask = np.zeros(shape, np.float32)
    cv2.fillPoly(mask, [np.rint(polygon * 16).astype(np.int32)], (1,), cv2.LINE_AA, 4)
    return cv2.GaussianBlur(mask, (0, 0), soft)
