"""The plate: the reference without its person, with a guess where they stand."""

from __future__ import annotations

import cv2
import numpy as np

from magicpose_cli.arrays import Floats, Integers, Picture
from magicpose_cli.warping.interpolation import push_pull
from magicpose_cli.warping.patch_fill import fill_hole, local_detail
from magicpose_cli.warping.structuring import square_element

MIN_HOLE_ALPHA = 0.03  # where the matte has more, a color is not the background's own
HOLE_GROWTH_PX = 7  # around such pixels, at a short side of 512
MIN_ISLAND_AREA_PX = 256  # at a short side of 512: smaller pieces inside the hole are a part of it
REMNANT_REACH_PX = 16  # from the hole, at a short side of 512: what a matte leaves is no farther
STUDIO_DETAIL = 1.2  # levels of 255: before a wall with more a strip may be its own
UNLIKE_WALL = 14.0  # levels of 255 apart, the most of the three channels
HOLE_FADE_PX = 4  # into the hole, at a short side of 512


def make_plate(picture: Picture, alpha: Floats, *, smooth: bool = False) -> tuple[Floats, Integers]:
    """Fill the place of the picture's person from its surroundings.

    Args:
        picture: (H, W, 3) uint8 RGB.
        alpha: (H, W) float32, 0 to 1, the person's matte.
        smooth: Fill it without texture, which takes a tenth of the time.

    Returns:
        The plate, (H, W, 3) float32 in 0..255, and the hole that was filled, (H, W) uint8, 0 or 1.
        Outside of the hole the plate is the picture, exactly.
    """
    unit = min(alpha.shape) / 512
    growth = square_element(HOLE_GROWTH_PX * unit)
    person = (alpha > MIN_HOLE_ALPHA).astype(np.uint8)
    hole = np.asarray(cv2.dilate(person, growth), np.uint8)
    # What a matte leaves of a person between their shoes would be taken for the ground.
    _, islands, stats, _ = cv2.connectedComponentsWithStats(1 - hole)
    small = stats[:, cv2.CC_STAT_AREA] < MIN_ISLAND_AREA_PX * unit**2
    hole |= small[islands]
    hole |= np.asarray(cv2.dilate(_remnant(picture, hole, unit), growth), np.uint8)
    colors, known = picture.astype(np.float32), 1 - hole.astype(np.float32)
    filled = fill_hole(colors, known, min(alpha.shape), smooth=smooth)
    depth = cv2.distanceTransform(hole, cv2.DIST_L2, 3) / max(1.0, HOLE_FADE_PX * unit)
    inside = np.clip(depth, 0, 1)[..., None]
    return picture + inside * (filled - picture), hole


def _remnant(picture: Picture, hole: Integers, unit: float) -> Integers:
    """Tell what a matte has left of the person before a plain wall, (H, W) uint8, 0 or 1.

    A strip beside the hole that has not the wall's color would be smeared over the hole. What goes
    on farther from it is a shadow, or a thing.
    """
    colors = picture.astype(np.float32)
    near = cv2.dilate(hole, square_element(2 * REMNANT_REACH_PX * unit))
    wall = 1 - near.astype(np.float32)
    beside = (near > 0) & (hole == 0)
    if not wall.any() or not beside.any():
        return np.zeros_like(hole)
    if np.quantile(local_detail(colors, wall, min(hole.shape))[beside], 0.9) > STUDIO_DETAIL:
        return np.zeros_like(hole)
    unlike = np.abs(colors - push_pull(colors, wall)).max(2) > UNLIKE_WALL
    strange = (unlike & (hole == 0)).astype(np.uint8)
    count, pieces = cv2.connectedComponents(strange)
    goes_on = np.zeros(count, bool)
    goes_on[pieces[near == 0]] = True
    return np.asarray(strange & ~goes_on[pieces], np.uint8)
