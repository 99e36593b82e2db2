"""A hand for which the reference has no pixels: modeled from its 21 points, in the skin's color.

A hand in a pocket, behind the back or beyond the picture's edge cannot be moved, and a small
network draws a blot. Its points tell enough to build one: bones as tapered capsules whose heights
over the picture follow from how much each looks foreshortened, the palm as a fan of them, lit from
above.
"""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np

from magicpose_cli.arrays import Floats
from magicpose_cli.pose.keypoints import OTHER_SIDE, Pose
from magicpose_cli.warping.boxes import PixelBox
from magicpose_cli.warping.hand_outline import FINGER_CHAINS, PALM_IN_HEIGHTS
from magicpose_cli.warping.warp import ReferenceWarp, WarpedFrame

# All lengths are in palms, from the wrist to the root of the middle finger (rounded from tables of
# hand anthropometry): the bones of each finger from the wrist on, and radii from root to tip.
BONE_LENGTHS = (
    (0.42, 0.50, 0.38, 0.30),
    (1.00, 0.46, 0.28, 0.23),
    (1.00, 0.50, 0.32, 0.24),
    (0.94, 0.46, 0.30, 0.24),
    (0.88, 0.37, 0.22, 0.21),
)
FINGER_RADII = (
    (0.140, 0.125, 0.115, 0.090),
    (0.125, 0.108, 0.095, 0.075),
    (0.130, 0.110, 0.097, 0.078),
    (0.122, 0.103, 0.092, 0.072),
    (0.112, 0.092, 0.082, 0.065),
)
WRIST_RADIUS, PALM_RADIUS, THUMB_RADIUS = 0.20, 0.15, 0.17
KNUCKLE_LINE = 0.75  # width of the fingers' roots
LENGTH_TOLERANCE = 0.9  # a bone that looks longer than this share of it lies in the picture's plane
PALM_FANS = (0.0, 1 / 3, 2 / 3)  # between the roots of two fingers
THUMB_BALL = (0.35, 0.7)  # from the root of the index finger to the wrist
LIGHT = np.array((-0.35, -0.61, 0.71))  # toward the lamp; x right, y down, z toward the viewer
SHADE, CREASE = 0.42, 0.5  # how much slopes and creases darken
DARKEST, BRIGHTEST = 0.5, 1.15
BLOOD = (0.85, 1.0, 1.05)  # powers of the shade, RGB: skin darkens into red
SMOOTHED, AROUND = 0.035, 0.12  # palms over which normals and creases are told
CREASE_STRIDE = 4  # of the hand's own grid, for the wide average under a crease
HAND_SHADE = 0.95  # of the brightness of the face's lit skin
CUFF = 0.1  # palms over which a sleeve gives way to the wrist
FINE_PX = 120.0  # of a palm, on the grid that the hand is built on
MOST_SAMPLES = 4  # of that grid across a pixel: more would not show


class ModeledHands:
    """The hands that a reference does not show, over its warped frames."""

    def __init__(self, warp: ReferenceWarp) -> None:
        self._sides = warp.hidden_hands if warp.skin is not None else ()
        self._warp = warp
        self._skin, self._palm_px = warp.skin, PALM_IN_HEIGHTS * warp.body_height

    def sides(self, pose: Pose) -> tuple[str, ...]:
        """The hands of a frame that can be modeled: hidden in the reference, known in the frame.

        An arm that is the other one's mirror image has the other one's hand, if that shows.
        """
        known = [s for s in self._sides if np.isfinite(getattr(pose, f"{s}_hand")).all()]
        mirrored = self._warp.mirrored_arms(pose) if known else ()
        return tuple(s for s in known if s not in mirrored or OTHER_SIDE[s] in self._sides)

    def over(self, warped: WarpedFrame) -> WarpedFrame:
        """The same frame with its hands; a sleeve stays before the wrist that comes out of it."""
        if self._skin is None or not (sides := self.sides(warped.pose)):
            return warped
        picture, cover = warped.picture.copy(), warped.cover.copy()
        for side in sides:
            points = getattr(warped.pose, f"{side}_hand").astype(np.float64)
            palm_px = max(self._palm_px, float(np.linalg.norm(points[9] - points[0])))
            hand = model_hand(points, side, palm_px, HAND_SHADE * self._skin)
            if (boxes := _boxes(hand, cover.shape)) is None:
                continue
            box, own = boxes
            share = hand.cover[own] * (1 - cover[box] * _behind_wrist(points, palm_px, box))
            picture[box] += share[..., None] * (hand.picture[own] - picture[box])
            cover[box] = np.maximum(cover[box], share)
        return WarpedFrame(picture, cover, warped.pose)


@dataclass(frozen=True)
class HandPicture:
    """A modeled hand in its box.

    Attributes:
        picture: (h, w, 3) float32 RGB, 0 to 255; meaningless where `cover` is 0.
        cover: (h, w) float32, how much of each pixel the hand fills, 0 to 1.
        corner: x, y of the box's upper left pixel; it may lie outside of the frame.
    """

    picture: Floats
    cover: Floats
    corner: tuple[int, int]


def model_hand(points: Floats, side: str, palm_px: float, skin: Floats) -> HandPicture:
    """Builds and lights a hand.

    Args:
        points: (21, 2) pixels, all known: the wrist, then thumb to little finger, root to tip.
        side: "left" or "right", the person's own.
        palm_px: The hand's true size, from the wrist to the root of the middle finger.
        skin: (3,) RGB, 0 to 255, as lit from the front.
    """
    room = (WRIST_RADIUS + 0.1) * palm_px
    low = np.floor(points.min(0) - room).astype(int)
    width, height = (np.ceil(points.max(0) + room).astype(int) - low).tolist()
    fine = min(max(1, round(FINE_PX / palm_px)), MOST_SAMPLES)
    palm = fine * palm_px
    heights = _heights(fine * (points - low), side, palm)
    field = _field(fine * (points - low), heights, palm, (fine * height, fine * width))
    cover = np.isfinite(field).astype(np.float32)
    lit = _lit(np.where(cover > 0, field, 0).astype(np.float32), cover, palm)
    tints = zip(skin.astype(np.float32), BLOOD, strict=True)
    colors = cv2.merge([level * cover * cv2.pow(lit, power) for level, power in tints])
    size = (width, height)
    share = cv2.resize(cover, size, interpolation=cv2.INTER_AREA).astype(np.float32)
    shrunk = cv2.resize(colors, size, interpolation=cv2.INTER_AREA)
    picture = shrunk.astype(np.float32) / np.maximum(share, 1e-3)[..., None]
    return HandPicture(picture, share, (int(low[0]), int(low[1])))


def _boxes(hand: HandPicture, shape: tuple[int, ...]) -> tuple[PixelBox, PixelBox] | None:
    """Rows and columns of what lies of a hand in a frame, in both; None where nothing does."""
    (left, top), (height, width) = hand.corner, hand.cover.shape
    rows = slice(max(top, 0), min(top + height, shape[0]))
    columns = slice(max(left, 0), min(left + width, shape[1]))
    if rows.stop <= rows.start or columns.stop <= columns.start:
        return None
    own = slice(rows.start - top, rows.stop - top), slice(columns.start - left, columns.stop - left)
    return (rows, columns), own


def _behind_wrist(points: Floats, palm_px: float, box: PixelBox) -> Floats:
    """(h, w) in a box of the frame: 1 on the forearm's side of the wrist, 0 on the fingers'."""
    along = points[9] - points[0]
    along = along / max(float(np.linalg.norm(along)), 1e-6)
    x = np.arange(box[1].start, box[1].stop) - points[0, 0]
    y = np.arange(box[0].start, box[0].stop)[:, None] - points[0, 1]
    behind: Floats = np.clip(0.5 - (x * along[0] + y * along[1]) / (CUFF * palm_px), 0, 1)
    return behind.astype(np.float32)


def _heights(points: Floats, side: str, palm: float) -> Floats:
    """(21,) how far each point is toward the viewer, seen from the wrist.

    A finger bends to the palm's side, so that it rises where the palm is seen and falls where the
    back is. How much of either is seen follows from where index and little finger begin.
    """
    index, little = points[5] - points[0], points[17] - points[0]
    turn = float(index[0] * little[1] - index[1] * little[0]) / (KNUCKLE_LINE * palm**2)
    facing = float(np.clip(2 * turn if side == "left" else -2 * turn, -1, 1))
    heights = np.zeros(len(points))
    for chain, lengths in zip(FINGER_CHAINS, BONE_LENGTHS, strict=True):
        former = chain[0]
        for point, length in zip(chain[1:], lengths[1:], strict=True):
            seen = float(np.linalg.norm(points[point] - points[former]))
            whole = LENGTH_TOLERANCE * length * palm
            heights[point] = heights[former] + facing * np.sqrt(max(whole**2 - seen**2, 0.0))
            former = point
    return heights


def _field(points: Floats, heights: Floats, palm: float, shape: tuple[int, int]) -> Floats:
    """(h, w) float32 height of the hand's surface toward the viewer, -inf beside it."""
    field = np.full(shape, -np.inf, np.float32)
    at = np.column_stack([points, heights])
    wrist, roots = at[0], [at[chain[0]] for chain in FINGER_CHAINS]
    for one, other in zip(roots[1:], [*roots[2:], roots[-1]], strict=True):
        for share in PALM_FANS:
            end = one + share * (other - one)
            _add(field, wrist + 0.12 * (end - wrist), end, WRIST_RADIUS * palm, PALM_RADIUS * palm)
    _add(field, wrist, roots[0], WRIST_RADIUS * palm, THUMB_RADIUS * palm)
    for share in THUMB_BALL:
        end = roots[1] + share * (wrist - roots[1])
        _add(field, roots[0], end, THUMB_RADIUS * palm, PALM_RADIUS * palm)
    for chain, radii in zip(FINGER_CHAINS, FINGER_RADII, strict=True):
        for bone in range(3):
            ends = at[chain[bone]], at[chain[bone + 1]]
            _add(field, *ends, radii[bone] * palm, radii[bone + 1] * palm)
    return field


def _add(field: Floats, start: Floats, end: Floats, first: float, last: float) -> None:
    """Raise the field to a tapered capsule between two points (x, y, height) with these radii."""
    radius = max(first, last)
    low = np.floor(np.minimum(start, end)[:2] - radius).astype(int)
    high = np.ceil(np.maximum(start, end)[:2] + radius).astype(int) + 1
    low, high = np.maximum(low, 0), np.minimum(high, field.shape[::-1])
    if (high <= low).any():
        return
    x = np.arange(low[0], high[0], dtype=np.float32) - start[0]
    y = np.arange(low[1], high[1], dtype=np.float32) - start[1]
    along = (end - start).tolist()
    squared = max(along[0] ** 2 + along[1] ** 2, 1e-6)
    forward = np.add.outer(y * (along[1] / squared), x * (along[0] / squared))
    share = np.clip(forward, 0, 1)
    # The squared distance to the nearest point of the bone.
    beside = share - 2 * forward
    beside *= squared * share
    beside += np.add.outer(y**2, x**2)
    bulge = first + (last - first) * share
    bulge *= bulge
    bulge -= beside
    share *= along[2]
    share += float(start[2])
    share += np.sqrt(np.maximum(bulge, 0, out=beside), out=beside)
    part = field[low[1] : high[1], low[0] : high[0]]
    np.maximum(part, share, out=part, where=bulge > 0)


def _lit(field: Floats, cover: Floats, palm: float) -> Floats:
    """(h, w) float32 brightness: 1 where the surface faces the viewer, less away from the lamp."""
    both = cv2.merge([field, cover])  # the field is 0 beside the hand

    def mean(sigma: float, stride: int) -> Floats:
        """Average over the hand alone, on a grid that is coarser by `stride`."""
        height, width = field.shape
        coarse = both
        if stride > 1:
            size = (-(-width // stride), -(-height // stride))
            coarse = cv2.resize(both, size, interpolation=cv2.INTER_AREA)
        blurred, weight = cv2.split(cv2.GaussianBlur(coarse, (0, 0), sigma / stride))
        blurred /= np.maximum(weight, 1e-3)
        return np.asarray(cv2.resize(blurred, (width, height)), np.float32)

    smooth = mean(SMOOTHED * palm, 1)
    right = cv2.Sobel(smooth, cv2.CV_32F, 1, 0, scale=1 / 8)
    down = cv2.Sobel(smooth, cv2.CV_32F, 0, 1, scale=1 / 8)
    facing = (LIGHT[2] - right * LIGHT[0] - down * LIGHT[1]) / np.sqrt(right**2 + down**2 + 1)
    deep = np.clip((mean(AROUND * palm, CREASE_STRIDE) - smooth) / (0.25 * palm), 0, 0.6)
    lit: Floats = np.clip(1 + SHADE * (facing - LIGHT[2]) - CREASE * deep, DARKEST, BRIGHTEST)
    return lit
