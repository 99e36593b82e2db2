"""The inside of a mouth that the frame opens and the reference shows shut: teeth, tongue, dark.

Nothing is learned. Lengths are in widths of the reference's mouth, brought to the size of the face
in the frame: teeth keep their size while lips stretch over them and part before them.
"""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np

from magicpose_cli.arrays import Floats, Integers
from magicpose_cli.warping.warp_points import colors_at, window_around

# Points of the mesh's 478; the inner lips from the right corner to the left one.
UPPER_LIP = (78, 191, 80, 81, 82, 13, 312, 311, 310, 415, 308)
LOWER_LIP = (78, 95, 88, 178, 87, 14, 317, 402, 318, 324, 308)
MOUTH_CORNERS, LIP_CENTERS = (78, 308), (13, 14)
OUTER_EYE_CORNERS = (33, 263)
CHEEK_POINTS = (50, 280, 205, 425)
# Openings are in widths of the mouth in the same picture.
MIN_OPENING = 0.05  # from which on the inside of a mouth is painted,
MIN_OPENED = 0.04  # if it is opened by so much more than the reference's,
OPENING_FADE = 0.06  # and so much further no moved pixel is left
REFERENCE_OPENING, REFERENCE_OPENING_FADE = 0.2, 0.1
"""An opening of the reference from which on its own pixels move and nothing is painted, and how far
below it the inside is painted wholly."""
TEETH_OPENING, TEETH_OPENING_FADE = 0.07, 0.12
"""Where teeth begin to show, and how much further they show wholly."""
SMILE_WIDTH, GRIN_WIDTH = 1.05, 0.3
"""Widths of the reference's mouth where a smile begins, and how much wider a grin is."""
LOWER_TEETH_SMILE = 0.6  # share of a grin from which on the lower teeth are bared
# Lengths of teeth are in widths of the reference's mouth.
UPPER_TEETH_LENGTH, UPPER_TEETH_BARED = 0.10, 0.10  # below the lip, and how much more in a grin
MAX_UPPER_SHARE = 0.65  # of the opening, that upper teeth cover at most without a smile
LOWER_TEETH_BARED, LOWER_TEETH_LIGHT = 0.15, 0.88  # above the lip in a grin, and their brightness
TEETH_CURVE = 0.4  # share of the lip's curve that the flatter row of teeth follows
UPPER_TOOTH_EDGES = (0.35, 0.61, 0.84, 1.01, 1.13, 1.20)
LOWER_TOOTH_EDGES = (0.21, 0.43, 0.65, 0.84, 0.98, 1.08)
"""The outer edge of each tooth from the middle on, in half widths of the mouth as seen from the
front, where teeth at the sides are foreshortened."""
TOOTH_SHORTENING = (0, 0.016, 0.01, 0.03, 0.05, 0.07)  # of each tooth, against the first
TOOTH_ROUNDING = 0.024  # how much shorter a tooth is at its sides
GAP_DARKNESS, GAP_WIDTH = 0.14, 0.014  # between two teeth
FULL_GAP_TOOTH_PX = 10.0  # width of a front tooth below which gaps are less dark
TOOTH_SIDE_DARKNESS, ROW_END_DARKNESS = 0.07, 0.25
CORNER_DARKNESS, CORNER_START = 0.85, 0.55  # in the mouth's corners, from this share of the way on
LIP_SHADE, LIP_SHADE_LENGTH = 0.25, 0.03  # of the upper lip on the teeth below
LIP_EDGE_SIGMA, TOOTH_EDGE_WIDTH = 0.012, 0.018  # softness of the lips' edge and of the teeth's
TABLE_STEPS_PER_PX = 8  # of tables of what depends on x alone
DARK_OF_SKIN, TONGUE_OF_SKIN = (0.38, 0.16, 0.17), (0.64, 0.33, 0.34)  # of the skin's color, RGB
TONGUE_OPENING = 0.14  # from which on the tongue is seen
TONGUE_HEIGHT, TONGUE_HALF_WIDTH = 0.75, 0.36  # shares of the opening beyond, of the mouth's width
TOOTH_COLOR = (1.0, 0.92, 0.89)  # in white light, RGB
TOOTH_SKIN_HUE, TOOTH_LIGHT_POWER = 0.45, 0.5  # share of the skin's hue, power of its brightness
LUMA_WEIGHTS = (0.299, 0.587, 0.114)  # of RGB in brightness (ITU-R BT.601)


@dataclass(frozen=True)
class MouthOpening:
    """A mouth in a frame, in pixels from the middle of the inner upper lip.

    Attributes:
        origin: (2,) the frame's pixel of that middle.
        axes: (2, 2) unit vectors as columns: x along eyes and lips, y down the face.
        lips: (2, 2, 11), x and y of the upper inner lip, and of the lower one.
        unit: The width of the reference's mouth at the size of the frame's face.
        smile: 0 to 1, a grin.
    """

    origin: Floats
    axes: Floats
    lips: Floats
    unit: float
    smile: float

    @classmethod
    def of(cls, mesh: Floats, rest: float) -> MouthOpening:
        """Take the mouth of a frame's mesh.

        Args:
            mesh: (478, 3) pixels.
            rest: The width of the reference's mouth over the distance of its outer eye corners.
        """
        pairs = (OUTER_EYE_CORNERS, MOUTH_CORNERS)
        eyes, mouth = (np.subtract(*mesh[list(ends[::-1]), :2]) for ends in pairs)
        x = (eyes + mouth) / max(float(np.linalg.norm(eyes + mouth)), 1e-6)
        origin, axes = mesh[LIP_CENTERS[0], :2], np.stack([x, (-x[1], x[0])], 1)
        both = (UPPER_LIP, LOWER_LIP)
        lips = np.stack([axes.T @ (mesh[list(lip), :2] - origin).T for lip in both])
        unit = max(rest * _distance(mesh, OUTER_EYE_CORNERS), 1e-3)
        smile = np.clip((_distance(mesh, MOUTH_CORNERS) / unit - SMILE_WIDTH) / GRIN_WIDTH, 0, 1)
        return cls(origin, axes, lips, unit, float(smile))

    def places(self, corner: Integers, shape: tuple[int, ...]) -> tuple[Floats, Floats]:
        """Return x and y, (h, w) float32, of a window's pixels whose upper left one is `corner`."""
        right = np.arange(shape[1], dtype=np.float32) + corner[0] - self.origin[0]
        down = np.arange(shape[0], dtype=np.float32)[:, None] + corner[1] - self.origin[1]
        x, y = (right * across + down * along for across, along in self.axes.T)
        return x.astype(np.float32), y.astype(np.float32)


class Mouth:
    """Paints the inside of the reference's mouth.

    Args:
        mesh: (478, 3) pixels, of the reference.
        colors: (H, W, 3) float32 RGB in 0..255, of the reference.
        gray: Paint brightness alone, into frames of one channel.
    """

    def __init__(self, mesh: Floats, colors: Floats, *, gray: bool = False) -> None:
        self._opening = _opening(mesh)
        self._rest = _distance(mesh, MOUTH_CORNERS) / max(_distance(mesh, OUTER_EYE_CORNERS), 1e-3)
        skin = np.median(colors_at(colors, mesh[list(CHEEK_POINTS), :2]), axis=0)
        most = max(float(skin.max()), 1.0)
        tooth = (
            255
            * (most / 255) ** TOOTH_LIGHT_POWER
            * np.array(TOOTH_COLOR)
            * (1 - TOOTH_SKIN_HUE + TOOTH_SKIN_HUE * skin / most)
        )
        found = np.stack([skin * DARK_OF_SKIN, skin * TONGUE_OF_SKIN, tooth])
        self._dark, self._tongue, self._tooth = (
            found @ np.array(LUMA_WEIGHTS)[:, None] if gray else found
        )

    def paint(self, colors: Floats, mesh: Floats, corner: tuple[int, int]) -> None:
        """Paint the inside of the mouth into a part of a frame, in place.

        Args:
            colors: (h, w, n) float32 of the part, 0 to 255.
            mesh: (478, 3) pixels, of the frame.
            corner: (x, y) of the part's upper left pixel in the frame.
        """
        was, is_ = self._opening, _opening(mesh)
        share = np.clip(
            (is_ - max(MIN_OPENING, was + MIN_OPENED * (was > MIN_OPENING))) / OPENING_FADE, 0, 1
        )
        share *= np.clip((REFERENCE_OPENING - was) / REFERENCE_OPENING_FADE, 0, 1)
        inner = np.concatenate([mesh[list(UPPER_LIP), :2], mesh[list(LOWER_LIP[-2:0:-1]), :2]])
        window = window_around(inner, colors.shape[:2], corner)
        if share <= 0 or window is None:
            return
        (rows, columns), offset = window
        part = colors[rows, columns]
        mouth = MouthOpening.of(mesh, self._rest)
        made, mask = self._inside(mouth, *mouth.places(offset, part.shape[:2]))
        soft = max(0.6, LIP_EDGE_SIGMA * mouth.unit)
        _blend(part, share * cv2.GaussianBlur(mask, (0, 0), soft), made)

    def _inside(self, mouth: MouthOpening, x: Floats, y: Floats) -> tuple[Floats, Floats]:
        """Return the colors between the lips, (h, w, n), and their share of each pixel, (h, w)."""
        unit, ground = mouth.unit, float(mouth.lips[1, 1, len(LOWER_LIP) // 2])
        # What depends on x alone is computed once for every FINE part of a pixel, then looked up.
        end = int(TABLE_STEPS_PER_PX * np.abs(x).max()) + 1
        at = np.rint(TABLE_STEPS_PER_PX * x).astype(np.intp) + end
        x = np.arange(-end, end + 1) / TABLE_STEPS_PER_PX
        upper, lower = (np.interp(x, np.maximum.accumulate(a), b) for a, b in mouth.lips)
        left, right = min(mouth.lips[0, 0, 0], -1e-3), max(mouth.lips[0, 0, -1], 1e-3)
        width = right - left
        along = x / np.where(x < 0, left, right)  # 0 in the middle, 1 in the corners
        across = along * width / unit  # in half widths of the mouth, as the head turns
        corners = (1 - CORNER_DARKNESS * _smooth((along - CORNER_START) / (1 - CORNER_START)))[
            :, None
        ]
        # The dark, and the tongue on the ground of a mouth wide open.
        rise = max((ground - TONGUE_OPENING * unit) * TONGUE_HEIGHT, 1e-3)
        hill = (_looked_up(x / width, at) / TONGUE_HALF_WIDTH) ** 2 + ((y - ground) / rise) ** 2
        made = _looked_up(corners * self._dark, at)
        _blend(made, _smooth((1.4 - hill) / 1.4) * _smooth(4 * rise / unit), self._tongue)
        # The lower teeth, and before them the upper ones.
        lip = _looked_up(upper, at)
        shade = (np.maximum(y - lip, 0) / (LIP_SHADE_LENGTH * unit)) ** 2
        shade = (1 - LIP_SHADE / (1 + shade))[..., None]
        seen = _smooth((ground / width - TEETH_OPENING) / TEETH_OPENING_FADE)
        grin = _smooth((mouth.smile - LOWER_TEETH_SMILE) / (1 - LOWER_TEETH_SMILE))
        most = ground * (MAX_UPPER_SHARE + (1 - MAX_UPPER_SHARE) * mouth.smile)
        above = ground - LOWER_TEETH_BARED * unit * grin + TEETH_CURVE * (lower - ground)
        below = (
            min(unit * (UPPER_TEETH_LENGTH + UPPER_TEETH_BARED * mouth.smile), most)
            + TEETH_CURVE * upper
        )
        for edges, ends, inward, share, light in (
            (LOWER_TOOTH_EDGES, above, 1, seen * grin, LOWER_TEETH_LIGHT),
            (UPPER_TOOTH_EDGES, below, -1, seen, 1.0),
        ):
            short, lit = _teeth(across, edges, unit)
            over = inward * (y - _looked_up(ends + inward * short, at))
            cover = share * np.clip(over / max(1.0, TOOTH_EDGE_WIDTH * unit) + 0.5, 0, 1)
            teeth = light * lit[:, None] * corners * self._tooth
            _blend(made, cover, shade * _looked_up(teeth, at))
        top, bottom = np.maximum(y - 0.5, lip), np.minimum(y + 0.5, _looked_up(lower, at))
        return made, np.clip(bottom - top, 0, 1)


def _teeth(across: Floats, edges: tuple[float, ...], unit: float) -> tuple[Floats, Floats]:
    """Return how many pixels shorter than its first tooth a row of teeth is, and its light, 0 to 1.

    Args:
        across: (n,) half widths of the mouth from the middle.
        edges: UPPER_TOOTH_EDGES or LOWER_TOOTH_EDGES.
        unit: Pixels of a width of the mouth.
    """
    index = np.searchsorted(edges, across).clip(0, len(edges) - 1)
    starts, ends = np.array((0, *edges[:-1]))[index], np.array(edges)[index]
    half = (ends - starts) / 2
    apart = np.abs(across - starts - half) / half  # 0 in the middle of a tooth, 1 at its sides
    short = unit * (np.array(TOOTH_SHORTENING)[index] + TOOTH_ROUNDING * np.minimum(apart, 1) ** 4)
    gap = GAP_DARKNESS * min(edges[0] * unit / 2 / FULL_GAP_TOOTH_PX, 1)
    line = (1 - apart) * half * unit / 2 / max(0.8, GAP_WIDTH * unit)
    light = (
        (1 - TOOTH_SIDE_DARKNESS * apart**2)
        * (1 - ROW_END_DARKNESS * across**2)
        * (1 - gap * np.exp(-(line**2)))
    )
    there = np.clip((edges[-1] - across) * unit / 2 + 0.5, 0, 1)
    return short + 9 * unit * (1 - there), np.maximum(light, 0)


def _looked_up(table: Floats, at: Integers) -> Floats:
    return np.take(table.astype(np.float32), at, axis=0)


def _blend(colors: Floats, share: Floats, other: Floats) -> None:
    """Blend another color, (n,) or (h, w, n), into (h, w, n) colors, in place."""
    colors += share[..., None].astype(np.float32) * (other.astype(np.float32) - colors)


def _smooth(share: Floats | float) -> Floats:
    """Rise smoothly from 0 at 0 to 1 at 1."""
    share = np.clip(share, 0, 1)
    return share * share * (3 - 2 * share)


def _distance(mesh: Floats, ends: tuple[int, int]) -> float:
    return float(np.linalg.norm(np.subtract(*mesh[list(ends), :2])))


def _opening(mesh: Floats) -> float:
    return _distance(mesh, LIP_CENTERS) / max(_distance(mesh, MOUTH_CORNERS), 1e-6)
