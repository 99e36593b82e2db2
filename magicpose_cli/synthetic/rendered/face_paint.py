"""A face painted on a plane before the mean head: lips, brows, lids, beard, blush, lines, moles.

The plane's pixels are x to the picture's right, which is the person's left, and y down.
"""

from __future__ import annotations

from functools import lru_cache

import cv2
import numpy as np
from torch import Tensor

from magicpose_cli.arrays import AnyArray, Floats
from magicpose_cli.body.layout import POSE_SLICES
from magicpose_cli.body.model import Body
from magicpose_cli.synthetic.rendered.complexion import Complexion
from magicpose_cli.synthetic.rendered.fabrics import smooth_noise

PLANE_PIXELS_PER_M = 3000
PLANE_M = (0.2, 0.26)  # width and height of the plane


@lru_cache(maxsize=1)
def mean_face_points() -> Tensor:
    """(68, 3) face points of the mean body, meters."""
    body = Body.load()
    vertices, joints = body.mean[: body.vertex_count], body.mean[body.vertex_count :]
    return body.key_points(vertices[None], joints[None]).pose[0, POSE_SLICES["face"]]


@lru_cache(maxsize=1)
def plane_corner() -> tuple[float, float]:
    """Left and upper border of the plane, meters of the mean body."""
    face = mean_face_points()
    middle = (face[27] + face[33]) / 2
    return float(middle[0]) - PLANE_M[0] / 2, float(middle[1]) + PLANE_M[1] / 2


class FacePlane:
    """Paint in layers over a face.

    Attributes:
        color: (h, w, 3) float32 sRGB, 0..1.
        cover: (h, w) float32, how far it hides the skin's own tone.
        points: (68, 2) where the face's points are, in pixels.
    """

    def __init__(self, tone: Floats):
        width, height = (round(side * PLANE_PIXELS_PER_M) for side in PLANE_M)
        left, top = plane_corner()
        self.color = np.broadcast_to(tone, (height, width, 3)).astype(np.float32).copy()
        self.cover = np.zeros((height, width), np.float32)
        face = mean_face_points().numpy()
        self.points = np.stack([face[:, 0] - left, top - face[:, 1]], 1) * PLANE_PIXELS_PER_M
        self.y, self.x = np.mgrid[:height, :width].astype(np.float32)

    def paint(self, mask: AnyArray, ink: Floats, amount: float) -> None:
        """Lay a color (3,) over the face where a mask (h, w) is, 0..1, times an amount."""
        left, top, width, height = cv2.boundingRect((mask > 0.003).astype(np.uint8))
        here = (slice(top, top + height), slice(left, left + width))
        share = np.clip(mask[here] * amount, 0, 1).astype(np.float32)
        cover, color = self.cover[here], self.color[here]
        total = share + cover * (1 - share)
        part = (share / np.maximum(total, 1e-4))[..., None]
        color += (ink.astype(np.float32) - color) * part
        cover[...] = total

    def blob(self, at: AnyArray, radius_m: float) -> AnyArray:
        """A soft spot around (2,) pixels."""
        found = np.zeros_like(self.cover)
        radius = radius_m * PLANE_PIXELS_PER_M
        low = np.maximum(np.floor(at - 3.5 * radius).astype(int), 0)
        high = np.maximum(np.ceil(at + 3.5 * radius).astype(int), low)
        here = (slice(low[1], high[1]), slice(low[0], high[0]))
        squared = (self.x[here] - at[0]) ** 2 + (self.y[here] - at[1]) ** 2
        found[here] = np.exp(-squared / (2 * radius**2))
        return found

    def line(self, through: AnyArray, width_m: float, soft_m: float = 0.0004) -> AnyArray:
        """A curve through points (n, 2)."""
        mask = np.zeros_like(self.cover)
        thick = max(1, round(width_m * PLANE_PIXELS_PER_M))
        curve = smooth_curve(through, 24)
        cv2.polylines(mask, [(curve * 8).astype(np.int32)], False, (1.0,), thick, cv2.LINE_AA, 3)
        found: AnyArray = cv2.GaussianBlur(mask, (0, 0), soft_m * PLANE_PIXELS_PER_M)
        return found

    def area(self, outline: AnyArray, soft_m: float) -> AnyArray:
        """What a polygon (n, 2) encloses."""
        mask = np.zeros_like(self.cover)
        cv2.fillPoly(mask, [(outline * 8).astype(np.int32)], (1.0,), cv2.LINE_AA, 3)
        found: AnyArray = cv2.GaussianBlur(mask, (0, 0), soft_m * PLANE_PIXELS_PER_M)
        return found


def smooth_curve(points: AnyArray, count: int) -> AnyArray:
    """A smooth curve (count, 2) through a few points (n, 2)."""
    from scipy.interpolate import make_interp_spline

    spline = make_interp_spline(np.linspace(0, 1, len(points)), points, k=min(3, len(points) - 1))
    found: AnyArray = spline(np.linspace(0, 1, count))
    return found


def painted_face(complexion: Complexion, rng: np.random.Generator) -> AnyArray:
    """(h, w, 4) float32: sRGB and how strongly it covers the skin's own tone, on the plane."""
    plane = FacePlane(complexion.skin)
    red = np.clip(complexion.skin * [1.0, 0.62, 0.6], 0, 1)
    dark = np.clip(complexion.skin * [0.6, 0.48, 0.48], 0, 1)
    face = plane.points
    for cheek in (face[[31, 2]].mean(0), face[[35, 14]].mean(0)):
        plane.paint(plane.blob(cheek, 0.016), red, 0.3 * complexion.blush)
    plane.paint(plane.blob(face[30], 0.008), red, 0.2 * complexion.blush)
    for side in (-1, 1):  # nostrils' wings
        plane.paint(plane.blob(face[33] + [side * 40, -6], 0.004), dark, 0.25)
    _eyes(plane, complexion, dark, rng)
    _lips(plane, complexion)
    _beard(plane, complexion, rng)
    _brows(plane, complexion, rng)
    _lines_of_age(plane, complexion, dark)
    height, width = plane.cover.shape
    for _ in range(int(rng.poisson(1.2))):
        at = rng.uniform([0.2 * width, 0.3 * height], [0.8 * width, 0.95 * height])
        plane.paint(plane.blob(at, rng.uniform(0.0006, 0.0014)), dark * 0.6, 0.9)
    return np.dstack([plane.color, plane.cover])


def _eyes(plane: FacePlane, complexion: Complexion, dark: Floats, rng: np.random.Generator) -> None:
    shade = np.clip(complexion.skin * rng.uniform(0.3, 0.8, 3), 0, 1)
    lashes = np.full(3, 0.07)
    for upper, lower in (
        ([36, 37, 38, 39], [39, 40, 41, 36]),
        ([42, 43, 44, 45], [45, 46, 47, 42]),
    ):
        middle = plane.points[upper + lower].mean(0)
        plane.paint(plane.blob(middle, 0.011), dark, 0.16 + 0.1 * complexion.age)
        below = middle + np.array([0, 0.009 * PLANE_PIXELS_PER_M])
        plane.paint(plane.blob(below, 0.006), dark, 0.1 + 0.25 * complexion.age)
        if complexion.makeup:
            above = middle - [0, 0.007 * PLANE_PIXELS_PER_M]
            plane.paint(plane.blob(above, 0.008), shade, complexion.makeup * 0.5)
        crease = plane.points[upper] - [0, 0.006 * PLANE_PIXELS_PER_M]
        plane.paint(plane.line(crease, 0.0012, 0.0008), dark, 0.5)
        plane.paint(plane.line(plane.points[upper], 0.0016), lashes, 0.7 + 0.25 * complexion.makeup)
        plane.paint(plane.line(plane.points[lower], 0.0010), dark, 0.5)


def _lips(plane: FacePlane, complexion: Complexion) -> None:
    lips = plane.points[48:60]
    red = np.clip(complexion.skin * [0.86, 0.5, 0.5] + [0.03, 0, 0], 0, 1)
    strong = np.clip(np.array([0.62, 0.12, 0.16]), 0, 1)
    ink = red * (1 - 0.6 * complexion.lips**2) + strong * 0.6 * complexion.lips**2
    plane.paint(plane.area(lips, 0.0008), ink, 0.55 + 0.4 * complexion.lips)
    parting = plane.points[[48, 60, 61, 62, 63, 64, 54]]
    plane.paint(plane.line(parting, 0.0010, 0.0006), ink * 0.45, 0.7)
    under = plane.points[57] + [0, 0.005 * PLANE_PIXELS_PER_M]
    plane.paint(plane.blob(under, 0.004), complexion.skin * 0.7, 0.3)


def _brows(plane: FacePlane, complexion: Complexion, rng: np.random.Generator) -> None:
    ink = complexion.hair * 0.8
    mask = np.zeros_like(plane.cover)
    half = (0.0018 + 0.0022 * complexion.brows) * PLANE_PIXELS_PER_M
    for brow, sign in ((plane.points[17:22][::-1], -1), (plane.points[22:27], 1)):
        curve = smooth_curve(brow, 120) + np.array([0, half * 0.3])
        taper = np.linspace(1, 0.25, 120)
        for at, share in zip(curve, taper, strict=True):
            for _ in range(2):
                root = at + rng.normal(0, [2.0, half * 0.55 * share])
                tip = root + np.array([sign * rng.uniform(8, 18), rng.uniform(-9, 3) * share])
                start, end = (np.stack([root, tip]) * 8).astype(int).tolist()
                cv2.line(mask, start, end, (1.0,), 1, cv2.LINE_AA, 3)
        area = plane.line(curve, 1.5 * half / PLANE_PIXELS_PER_M, 0.0012)
        plane.paint(area, ink, 0.35 + 0.25 * complexion.brows)
    plane.paint(cv2.GaussianBlur(mask, (0, 0), 0.7), ink, 0.75)


def _beard(plane: FacePlane, complexion: Complexion, rng: np.random.Generator) -> None:
    if complexion.beard <= 0:
        return
    face = plane.points
    jaw = np.concatenate(
        [face[1:16], face[[14]] - [30, 0], face[[54, 35, 33, 31, 48]], face[[2]] + [30, 0]]
    )
    area = plane.area(jaw, 0.006)
    mouth = plane.area(face[48:60] * 1.0, 0.0012)
    shape = area.shape
    strands = 0.55 + 0.45 * smooth_noise(rng, shape, 190, 1.6)
    density = area * (1 - mouth) * np.clip(strands, 0, 1)
    chin = plane.blob(face[8], 0.022) + plane.blob(face[33] + (face[51] - face[33]) * 0.6, 0.012)
    full = np.clip(complexion.beard * 2 - 1, 0, 1)
    amount = 0.25 + 0.6 * full
    plane.paint(density * np.clip(0.55 + 0.45 * chin, 0, 1), complexion.hair * 0.75, amount)


def _lines_of_age(plane: FacePlane, complexion: Complexion, dark: Floats) -> None:
    face, amount = plane.points, complexion.age
    for start, end in ((31, 48), (35, 54)):
        outward = np.array([14.0 if start == 35 else -14.0, 0])
        fold = np.stack([face[start] + outward, face[[start, end]].mean(0) + 1.9 * outward,
                         face[end] + 1.6 * outward])  # fmt: skip
        plane.paint(plane.line(fold, 0.0014, 0.0012), dark, 0.15 + 0.6 * amount)
    if amount < 0.4:
        return
    brow = face[17:27].mean(0)
    for rise in (0.018, 0.027, 0.036):
        middle = brow - [0, rise * PLANE_PIXELS_PER_M]
        fold = middle + np.array([[-90, 6], [-40, -3], [0, 2], [40, -3], [90, 6]])
        plane.paint(plane.line(fold, 0.0010, 0.0008), dark, 0.5 * (amount - 0.3))
    for corner, sign in ((face[36], -1), (face[45], 1)):
        for drop in (-18, 0, 18):
            foot = corner + np.array([[sign * 10, drop * 0.4], [sign * 45, drop * 1.4]])
            plane.paint(plane.line(foot, 0.0008, 0.0006), dark, 0.5 * (amount - 0.3))
