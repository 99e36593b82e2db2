"""What Wan-Animate's generator expects of its inputs, as rules on sizes, boxes and masks.

The facts are those of the preprocessing that Wan 2.2 ships (Wan-Video/Wan2.2,
wan/modules/animate/preprocess); docs/maps.md tells where these rules differ.
"""

from __future__ import annotations

from collections.abc import Iterator
from itertools import product

import cv2
import numpy as np

from magicpose_cli.arrays import AnyArray, Floats, Mask
from magicpose_cli.errors import ConfigError
from magicpose_cli.pose.clip import PoseClip
from magicpose_cli.pose.draw import StickSizes

WAN_FPS = 30.0
WAN_AREA = (1280, 720)  # pixels of a frame at most, as a width and a height of any shape
WAN_SIDE_STEP = 16
WAN_FACE_SIDE = 512
FACE_BOX_AREA = 1.3  # of the box around the face's points
FACE_BOX_ABOVE = 0.75  # of what the box gains in height, for the forehead
MASK_GROWTH_PX = 9  # on all sides: three times a square of 7 pixels
MASK_BLOCKS = (1, 1)  # across and down, of the mask's bounding box


def wan_size(width: int, height: int, area: tuple[int, int] = WAN_AREA) -> tuple[int, int]:
    """Return the (width, height) of frames for a picture: its shape, sides divisible by 16.

    Args:
        width: Of the picture, pixels.
        height: Of the picture, pixels.
        area: A width and a height whose product is the most pixels of a frame.

    Raises:
        ConfigError: The area has no room for such a frame.
    """
    pixels = area[0] * area[1]
    scale = (pixels / (width * height)) ** 0.5
    sides = [_steps_around(scale * side) for side in (width, height)]
    fitting = [(w, h) for w, h in product(*sides) if w * h <= pixels]
    if not fitting:
        raise ConfigError(
            f"an area of {area[0]}x{area[1]} pixels has no room for a frame in the shape of "
            f"{width}x{height} with sides divisible by {WAN_SIDE_STEP}; give a larger one"
        )
    return min(fitting, key=lambda side: abs(np.log(side[0] * height / (side[1] * width))))


def _steps_around(side: float) -> list[int]:
    """The multiples of WAN_SIDE_STEP below and above, at least one step."""
    low = max(1, int(side // WAN_SIDE_STEP))
    return [low * WAN_SIDE_STEP, (low + 1) * WAN_SIDE_STEP]


def wan_sticks(width: int, height: int) -> StickSizes:
    """Return how thick poses are drawn in frames of this size: without a face, hands thinner."""
    body = max(int(min(width, height) / 200) - 1, 1)
    hand = max(body // 2, 1)
    return StickSizes(limb=body, joint=body, knuckle=hand, face=0, hand_line=hand)


def wan_face_boxes(poses: PoseClip) -> Iterator[tuple[slice, slice] | None]:
    """Yield rows and columns of each frame's face in pixels; None where the clip shows no face.

    Frames without a face get a box between those before and after them.
    """
    face = poses.part("face").astype(np.float64)
    seen = np.flatnonzero(np.isfinite(face).all(axis=2).any(axis=1))
    if not len(seen):
        yield from (None for _ in range(len(poses)))
        return
    known = np.stack([_face_box(face[frame]) for frame in seen])
    numbers = np.arange(len(poses))
    boxes = np.stack([np.interp(numbers, seen, edge) for edge in known.T], axis=1)
    for left, top, right, bottom in boxes:
        columns, rows = (left, right, poses.width), (top, bottom, poses.height)
        yield _inside(*rows), _inside(*columns)


def _face_box(points: Floats) -> Floats:
    """Left, top, right and bottom of the box around a face's points, (68, 2), enlarged."""
    low, high = np.nanmin(points, axis=0), np.nanmax(points, axis=0)
    gain = (FACE_BOX_AREA**0.5 - 1) * (high - low)
    above, below = FACE_BOX_ABOVE * gain[1], (1 - FACE_BOX_ABOVE) * gain[1]
    return np.array([low[0] - gain[0] / 2, low[1] - above, high[0] + gain[0] / 2, high[1] + below])


def _inside(low: float, high: float, length: int) -> slice:
    """The whole pixels of a picture's side from `low` to `high`, at least one."""
    start = min(max(int(low), 0), length - 1)
    return slice(start, min(max(int(high), start + 1), length))


def grown_mask(mask: Mask, blocks: tuple[int, int] = MASK_BLOCKS) -> Mask:
    """Return a person's mask as the generator has it: grown, then filled block by block.

    Args:
        mask: (H, W) bool.
        blocks: Across and down, into which the grown mask's bounding box is cut; a block that holds
            any of the mask is filled. With (1, 1) the whole box is.

    Returns:
        (H, W) bool.
    """
    side = 2 * MASK_GROWTH_PX + 1
    grown = cv2.dilate(mask.astype(np.uint8), np.ones((side, side), np.uint8)) > 0
    rows, columns = np.flatnonzero(grown.any(axis=1)), np.flatnonzero(grown.any(axis=0))
    if not len(rows):
        return grown
    for down in _cuts(rows, blocks[1]):
        for across in _cuts(columns, blocks[0]):
            block = grown[down, across]
            block[...] = block.any()
    return grown


def _cuts(places: AnyArray, count: int) -> Iterator[slice]:
    """So many slices of the same length, the last one cut, from the first place to the last."""
    first, last = int(places[0]), int(places[-1]) + 1
    step = max(1, -(-(last - first) // count))
    for start in range(first, last, step):
        yield slice(start, min(start + step, last))
