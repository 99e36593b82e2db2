"""The inside of a mouth that the frame opens and the reference shows shut: teeth, tongue, dark.

Nothing is learned. Lengths are in widths of the reference's mouth, brought to the size of the face
in the frame: teeth keep their size while lips stretch over them and part before them.
"""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np

from magicpose_cli.warping.smoothed_points import window_around

UPPER = (78, 191, 80, 81, 82, 13, 312, 311, 310, 415, 308)  # inner lips, right corner to left
LOWER = (78, 95, 88, 178, 87, 14, 317, 402, 318, 324, 308)
CORNERS, LIPS, EYES, CHEEKS = (78, 308), (13, 14), (33, 263), (50, 280, 205, 425)
# Openings are in widths of the mouth in the same picture. From OPEN on, and OPENED more than the
# reference's, the inside is painted, wholly FADE later; where the reference's own mouth is open by
# SHOWN, its pixels move instead, and nothing else is painted.
OPEN, OPENED, FADE, SHOWN, SHOWN_FADE = 0.05, 0.04, 0.06, 0.2, 0.1
TEETH, TEETH_FADE = 0.07, 0.12  # the opening where teeth begin to show, and how much later wholly
# Widths of the mouth over the reference's: a smile begins at the first, a grin is WIDENED_FADE
# wider and bares more of the upper teeth; from GRIN of a smile on it bares the lower ones.
WIDENED, WIDENED_FADE, GRIN = 1.05, 0.3, 0.6
UPPER_SHOWN, UPPER_BARED = 0.10, 0.10  # how far upper teeth reach below the lip, and in a grin more
UPPER_MOST = 0.65  # of the opening, that upper teeth cover at most without a smile
LOWER_BARED, LOWER_LIT = 0.15, 0.88  # how far lower ones reach up in a grin, and how lit they are
LIP_CURVE = 0.4  # share of the lip's curve that the row of teeth follows; it is flatter
# Of each tooth from the middle on: the side edge, in half widths of the mouth and as seen from the
# front, where those at the sides are foreshortened; and by how much it is shorter than the first.
UPPER_EDGES, SHORT = (0.35, 0.61, 0.84, 1.01, 1.13, 1.20), (0, 0.016, 0.01, 0.03, 0.05, 0.07)
LOWER_EDGES = (0.21, 0.43, 0.65, 0.84, 0.98, 1.08)
ROUNDED = 0.024  # how much shorter a tooth is at its sides
# How much darker it is between teeth, how far, and the pixels of a front tooth below which less.
GAP, GAP_WIDTH, TINY = 0.14, 0.014, 10.0
# How much darker: a tooth at its sides, the row toward its ends, and all in the mouth's corners,
# from CORRIDOR on, the share of the way there.
BULGE, ARCH, SIDE, CORRIDOR = 0.07, 0.25, 0.85, 0.55
SHADE, SHADE_REACH = 0.25, 0.03  # of the upper lip on the teeth below
EDGE, SOFT = 0.012, 0.018  # of the lips' edge, standard deviation, and of the teeth's
FINE = 8  # parts of a pixel
DARK, TONGUE = (0.38, 0.16, 0.17), (0.64, 0.33, 0.34)  # of the skin's color, RGB
# The gap from where on the tongue is seen, its share of what is more, half of its width's share.
TONGUE_FROM, TONGUE_HIGH, TONGUE_WIDE = 0.14, 0.75, 0.36
# Teeth in white light, RGB; their share of the skin's hue; the power of its brightness, 0..1.
TOOTH, HUE, LIT = (1.0, 0.92, 0.89), 0.45, 0.5


LUMA = (0.299, 0.587, 0.114)  # of RGB in brightness (ITU-R BT.601)


@dataclass(frozen=True)
class Opening:
    """A mouth in a frame, in pixels from the middle of the inner upper lip: x along eyes and lips.

    lips (2, 2, 11): x and y of the upper, and of the lower inner lip. unit: width of the
    reference's mouth at the size of the face in the frame. smile: 0..1.
    """

    origin: np.ndarray
    axes: np.ndarray
    lips: np.ndarray
    unit: float
    smile: float

    @classmethod
    def of(cls, mesh: np.ndarray, rest: float) -> Opening:
        """rest: width of the reference's mouth over the distance of its eyes' outer corners."""
        eyes, mouth = (np.subtract(*mesh[list(ends[::-1]), :2]) for ends in (EYES, CORNERS))
        x = (eyes + mouth) / max(float(np.linalg.norm(eyes + mouth)), 1e-6)
        origin, axes = mesh[LIPS[0], :2], np.stack([x, (-x[1], x[0])], 1)
        lips = np.stack([axes.T @ (mesh[list(lip), :2] - origin).T for lip in (UPPER, LOWER)])
        unit = max(rest * _distance(mesh, EYES), 1e-3)
        smile = np.clip((_distance(mesh, CORNERS) / unit - WIDENED) / WIDENED_FADE, 0, 1)
        return cls(origin, axes, lips, unit, float(smile))

    def places(self, corner: np.ndarray, shape: tuple[int, ...]) -> tuple[np.ndarray, np.ndarray]:
        """x and y (h, w) float32 of the pixels of a window whose upper left one is `corner`."""
        right = np.arange(shape[1], dtype=np.float32) + corner[0] - self.origin[0]
        down = np.arange(shape[0], dtype=np.float32)[:, None] + corner[1] - self.origin[1]
        x, y = (right * across + down * along for across, along in self.axes.T)
        return x.astype(np.float32), y.astype(np.float32)


class Mouth:
    """mesh (478, 3): the reference's; colors (H, W, 3) float32 RGB: its picture. gray: paint its
    brightness alone, into frames of one channel."""

    def __init__(self, mesh: np.ndarray, colors: np.ndarray, *, gray: bool = False) -> None:
        self._opening = _opening(mesh)
        self._rest = _distance(mesh, CORNERS) / max(_distance(mesh, EYES), 1e-3)
        height, width = colors.shape[:2]
        at = np.rint(mesh[list(CHEEKS), :2]).astype(int).clip(0, (width - 1, height - 1))
        skin = np.median(colors[at[:, 1], at[:, 0]], axis=0)
        most = max(float(skin.max()), 1.0)
        tooth = 255 * (most / 255) ** LIT * np.array(TOOTH) * (1 - HUE + HUE * skin / most)
        found = np.stack([skin * DARK, skin * TONGUE, tooth])
        self._dark, self._tongue, self._tooth = found @ np.array(LUMA)[:, None] if gray else found

    def paint(self, colors: np.ndarray, mesh: np.ndarray, corner: tuple[int, int]) -> None:
        """Into the colors (h, w, n) of a frame whose upper left pixel is `corner` (x, y), in
        place."""
        was, is_ = self._opening, _opening(mesh)
        share = np.clip((is_ - max(OPEN, was + OPENED * (was > OPEN))) / FADE, 0, 1)
        share *= np.clip((SHOWN - was) / SHOWN_FADE, 0, 1)
        inner = np.concatenate([mesh[list(UPPER), :2], mesh[list(LOWER[-2:0:-1]), :2]])
        window = window_around(inner, colors.shape[:2], corner)
        if share <= 0 or window is None:
            return
        (rows, columns), offset = window
        part = colors[rows, columns]
        mouth = Opening.of(mesh, self._rest)
        made, mask = self._inside(mouth, *mouth.places(offset, part.shape[:2]))
        soft = max(0.6, EDGE * mouth.unit)
        _blend(part, share * cv2.GaussianBlur(mask, (0, 0), soft), made)

    def _inside(
        self, mouth: Opening, x: np.ndarray, y: np.ndarray
    ) -> tuple[np.ndarray, np.ndarray]:
        """What is seen between the lips at these places (h, w, n), and where it is, (h, w) 0..1."""
        unit, ground = mouth.unit, float(mouth.lips[1, 1, len(LOWER) // 2])
        # What depends on x alone is computed once for every FINE part of a pixel, then looked up.
        end = int(FINE * np.abs(x).max()) + 1
        at = np.rint(FINE * x).astype(np.intp) + end
        x = np.arange(-end, end + 1) / FINE
        upper, lower = (np.interp(x, np.maximum.accumulate(a), b) for a, b in mouth.lips)
        left, right = min(mouth.lips[0, 0, 0], -1e-3), max(mouth.lips[0, 0, -1], 1e-3)
        width = right - left
        along = x / np.where(x < 0, left, right)  # 0 in the middle, 1 in the corners
        across = along * width / unit  # in half widths of the mouth, as the head turns
        corners = (1 - SIDE * _smooth((along - CORRIDOR) / (1 - CORRIDOR)))[:, None]
        # The dark, and the tongue on the ground of a mouth wide open.
        rise = max((ground - TONGUE_FROM * unit) * TONGUE_HIGH, 1e-3)
        hill = (_looked_up(x / width, at) / TONGUE_WIDE) ** 2 + ((y - ground) / rise) ** 2
        made = _looked_up(corners * self._dark, at)
        _blend(made, _smooth((1.4 - hill) / 1.4) * _smooth(4 * rise / unit), self._tongue)
        # The lower teeth, and before them the upper ones.
        lip = _looked_up(upper, at)
        shade = (np.maximum(y - lip, 0) / (SHADE_REACH * unit)) ** 2
        shade = (1 - SHADE / (1 + shade))[..., None]
        seen = _smooth((ground / width - TEETH) / TEETH_FADE)
        grin = _smooth((mouth.smile - GRIN) / (1 - GRIN))
        most = ground * (UPPER_MOST + (1 - UPPER_MOST) * mouth.smile)
        above = ground - LOWER_BARED * unit * grin + LIP_CURVE * (lower - ground)
        below = min(unit * (UPPER_SHOWN + UPPER_BARED * mouth.smile), most) + LIP_CURVE * upper
        for edges, ends, inward, share, light in (
            (LOWER_EDGES, above, 1, seen * grin, LOWER_LIT),
            (UPPER_EDGES, below, -1, seen, 1.0),
        ):
            short, lit = _row(across, edges, unit)
            over = inward * (y - _looked_up(ends + inward * short, at))
            cover = share * np.clip(over / max(1.0, SOFT * unit) + 0.5, 0, 1)
            teeth = light * lit[:, None] * corners * self._tooth
            _blend(made, cover, shade * _looked_up(teeth, at))
        top, bottom = np.maximum(y - 0.5, lip), np.minimum(y + 0.5, _looked_up(lower, at))
        return made, np.clip(bottom - top, 0, 1)


def _row(across: np.ndarray, edges: tuple, unit: float) -> tuple[np.ndarray, np.ndarray]:
    """How much shorter, in pixels, a row of teeth is than its first tooth, and its light, 0..1.

    across (n): half widths of the mouth from the middle. unit: pixels of a width of the mouth.
    """
    index = np.searchsorted(edges, across).clip(0, len(edges) - 1)
    starts, ends = np.array((0, *edges[:-1]))[index], np.array(edges)[index]
    half = (ends - starts) / 2
    apart = np.abs(across - starts - half) / half  # 0 in the middle of a tooth, 1 at its sides
    short = unit * (np.array(SHORT)[index] + ROUNDED * np.minimum(apart, 1) ** 4)
    gap = GAP * min(edges[0] * unit / 2 / TINY, 1)
    line = (1 - apart) * half * unit / 2 / max(0.8, GAP_WIDTH * unit)
    light = (1 - BULGE * apart**2) * (1 - ARCH * across**2) * (1 - gap * np.exp(-(line**2)))
    there = np.clip((edges[-1] - across) * unit / 2 + 0.5, 0, 1)
    return short + 9 * unit * (1 - there), np.maximum(light, 0)


def _looked_up(table: np.ndarray, at: np.ndarray) -> np.ndarray:
    return np.take(table.astype(np.float32), at, axis=0)


def _blend(colors: np.ndarray, share: np.ndarray, other: np.ndarray) -> None:
    colors += share[..., None].astype(np.float32) * (other.astype(np.float32) - colors)


def _smooth(share: np.ndarray | float) -> np.ndarray:
    share = np.clip(share, 0, 1)
    return share * share * (3 - 2 * share)


def _distance(mesh: np.ndarray, ends: tuple[int, int]) -> float:
    return float(np.linalg.norm(np.subtract(*mesh[list(ends), :2])))


def _opening(mesh: np.ndarray) -> float:
    return _distance(mesh, LIPS) / max(_distance(mesh, CORNERS), 1e-6)
