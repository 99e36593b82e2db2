"""The cheek that a reference which looks aside hardly shows, taken from the other one, mirrored.

Its few pixels would be stretched over what the head shows once it turns back. Faces are alike on
both sides, but for the light: what is taken is as bright as the hidden side is near the nose.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import cv2
import numpy as np

from magicpose_cli.arrays import AnyArray, Floats, Mask
from magicpose_cli.pose.retargeting.mesh import yaw_of
from magicpose_cli.warping.head import MESH_FACE_POINTS, triangle_sense
from magicpose_cli.warping.interpolation import ramp
from magicpose_cli.warping.warp_points import colors_at, window_around

if TYPE_CHECKING:
    from collections.abc import Callable

MIDLINE = (10, 151, 9, 8, 168, 6, 197, 195, 5, 4, 1, 2, 0, 17, 152)  # forehead to chin
BETWEEN_EYES = 168
MIN_ASIDE_RAD = 0.12  # from which on a face hides one of its cheeks
# Pixels of the reference in one of the frame: with fewer than the second the mirror image begins,
# with fewer than the first nothing else is seen.
FEW_PIXELS = (0.3, 0.6)
BETTER = (0.5, 1.5)  # doublings of the pixels, by which the other cheek shows more, likewise
OUTER_SHARE = 0.6  # of a face's half width, from the midline, from which on cheeks bend back
OUTER_FEW_PIXELS, OUTER_BETTER = (0.45, 0.75), (0.3, 1.0)
"""Likewise there: rather a triangle too many is taken than one that shows what is behind."""
LIKELY_GAIN = (0.6, 1.6)  # of the light on one side over that on the other


class MirroredCheek:
    """The hidden cheek of one reference.

    Args:
        mesh: (478, 3) pixels, of the reference.
        colors: (H, W, n) of the reference, 0 to 255, RGB or gray.
    """

    def __init__(self, mesh: Floats, colors: AnyArray) -> None:
        from scipy.spatial import ConvexHull, Delaunay

        self._colors = np.asarray(colors, np.float32)
        points = mesh[:MESH_FACE_POINTS].astype(np.float64)
        ahead, aside = _looking_ahead(points)
        self.is_hidden = abs(aside) >= MIN_ASIDE_RAD
        if not self.is_hidden:
            return
        self._triangles = Delaunay(ahead[:, :2]).simplices
        self._front = np.sign(triangle_sense(ahead[self._triangles, :2]))
        self._outer = np.abs(ahead[:, 0]) > OUTER_SHARE * np.abs(ahead[:, 0]).max()
        above = ahead[:, 1] < ahead[BETWEEN_EYES, 1]
        self._outer &= ~above
        # The forehead goes on above the mesh, a cheek ends with it.
        outline = ConvexHull(ahead[:, :2]).vertices
        self._fading = outline[above[outline]]
        self._source = _mirrored(ahead[:, :2], points[:, :2])
        # A triangle that has turned over is hidden; a mirror image is turned over.
        self._own, mirrored = (
            np.maximum(sense * self._front * triangle_sense(flat[self._triangles]), 1e-3)
            for sense, flat in ((1, points[:, :2]), (-1, self._source))
        )
        more = np.log2(mirrored / self._own)
        more[mirrored < 0.5] = 0.0  # which are no pixels either
        self._better, self._outer_better = (ramp(more, b) for b in (BETTER, OUTER_BETTER))
        # Where the hidden side is seen well enough to compare: beside the midline.
        share = self._own / mirrored
        beside = np.unique(self._triangles[(share > 0.4) & (share < 0.9)])
        light = [colors_at(self._colors, at[beside]) for at in (points[:, :2], self._source)]
        gain = np.ones(light[0].shape[1:], np.float32)
        if len(beside):
            gain = np.median(np.maximum(light[0], 1) / np.maximum(light[1], 1), axis=0)
        self._gain = np.clip(gain, *LIKELY_GAIN).astype(np.float32)

    def paint(self, colors: Floats, alpha: Floats, mesh: Floats, corner: tuple[int, int]) -> None:
        """Paint the cheek into a part of a frame, in place, as far as it would be stretched.

        Args:
            colors: (h, w, n) float32 of the part.
            alpha: (h, w, 1) float32 of the part, 0 to 1.
            mesh: (478, 3) pixels, of the frame.
            corner: (x, y) of the part's upper left pixel in the frame.
        """
        if not self.is_hidden:
            return
        now = mesh[:MESH_FACE_POINTS, :2].astype(np.float64)
        sense = triangle_sense(now[self._triangles]) * self._front
        seen = sense > 0
        pixels = (self._own / np.maximum(sense, 1e-3))[seen]
        share = (1 - ramp(pixels, FEW_PIXELS)) * self._better[seen]
        outer_share = (1 - ramp(pixels, OUTER_FEW_PIXELS)) * self._outer_better[seen]
        weights, most, count = np.zeros((3, len(now)))
        for column in self._triangles[seen].T:
            np.add.at(weights, column, share)
            np.maximum.at(most, column, outer_share)
            np.add.at(count, column, 1)
        weights /= np.maximum(count, 1)
        weights[self._outer] = most[self._outer]
        weights[self._fading] = 0.0
        window = None
        if (weights > 0.05).sum() >= 3:
            window = window_around(now[weights > 0.05], colors.shape[:2], corner)
        if window is None:
            return
        (rows, columns), first = window
        places = now[count > 0]
        found = _between(places, np.column_stack([self._source, weights])[count > 0])
        # Beyond the outline nothing is found, after a long search.
        at = np.zeros((*colors[rows, columns].shape[:2], 3), np.float32)
        y, x = np.nonzero(_around(places - first, at.shape))
        at[y, x] = np.nan_to_num(found(np.column_stack([x + first[0], y + first[1]]).astype(float)))
        from_x, from_y = (np.ascontiguousarray(at[..., axis]) for axis in (0, 1))
        made = cv2.remap(
            self._colors, from_x, from_y, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE
        )
        made = made.reshape(*at.shape[:2], -1) * self._gain
        mask = cv2.GaussianBlur(np.ascontiguousarray(at[..., 2]), (0, 0), 1.0)[..., None]
        part, cover = colors[rows, columns], alpha[rows, columns]
        part += mask * (made - part)
        np.maximum(cover, np.clip(2 * mask, 0, 1), out=cover)


def _around(points: Floats, shape: tuple[int, ...]) -> Mask:
    """Return what lies within the outline of points, (n, 2) pixels, and a little beyond."""
    mask = np.zeros(shape[:2], np.uint8)
    cv2.fillConvexPoly(mask, cv2.convexHull(np.rint(points).astype(np.int32)), (1,))
    return np.asarray(cv2.dilate(mask, np.ones((5, 5), np.uint8)) > 0)


def _looking_ahead(points: Floats) -> tuple[Floats, float]:
    """Turn a face, (n, 3), to the front, its midline on x = 0; and by how many radians."""
    aside = yaw_of(points)
    sine, cosine = np.sin(aside), np.cos(aside)
    x, y, z = (points - points[list(MIDLINE)].mean(0)).T
    ahead = np.column_stack([cosine * x + sine * z, y, cosine * z - sine * x])
    ahead[:, 0] -= ahead[list(MIDLINE), 0].mean()
    return ahead, aside


def _mirrored(ahead: Floats, points: Floats) -> Floats:
    """Find where the reference shows the mirror image of each of its points, (n, 2) pixels.

    Args:
        ahead: (n, 2) of the face that looks ahead.
        points: (n, 2) pixels of the reference.
    """
    from scipy.spatial import cKDTree

    reflected = ahead * (-1, 1)
    found = _between(ahead, points)(reflected)
    nearest = points[cKDTree(ahead).query(reflected)[1]]  # beyond the outline
    return np.asarray(np.where(np.isfinite(found), found, nearest))


def _between(places: Floats, values: Floats) -> Callable[[Floats], Floats]:
    """Return the function that is linear between places, (n, 2), and NaN around them."""
    from scipy.interpolate import LinearNDInterpolator

    interpolator: Callable[[Floats], Floats] = LinearNDInterpolator(places, values)
    return interpolator
