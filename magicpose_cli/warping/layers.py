"""The person in layers: the trunk with head and legs, and each arm in front of it.

An arm that moves uncovers what it hid; there the trunk is filled with its own surroundings.
"""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np

from magicpose_cli.arrays import AnyArray, Floats, Integers, Mask
from magicpose_cli.warping.boxes import bounding_box
from magicpose_cli.warping.grid import Grid
from magicpose_cli.warping.matte import Matte
from magicpose_cli.warping.parts import (
    ARM_PARTS_BY_SIDE,
    scaled_about_mean,
    trunk_outline,
)
from magicpose_cli.warping.patch_fill import fill_hole
from magicpose_cli.warping.warp_points import WarpPoints

SEAM_WIDTH = 0.1  # of an arm's share, over which an arm fades into the trunk
TRUNK_GROWTH = (1.25, 1.1)  # of the quadrangle between the joints: where an arm can hide the trunk
THIGH_THICKNESS = 0.13  # body heights: a hand on the hip hides a thigh
SURE_SHARE = 0.8  # of these, in which an arm surely has the body behind it
SEAM_LAP = 0.025  # body heights that the body goes on under an arm anyway, lest a seam opens
FABRIC_REACH = 0.04  # body heights around what an arm hides, in which the clothes are looked at
HIDDEN_SHARE = 0.02  # of an arm in a pixel, from which on it hides the trunk
VISIBLE_SHARE = 0.9  # of the trunk in a pixel, from which on its color is surely the trunk's
FOLD_RANK = {
    "right_thigh": 1, "right_shin": 1, "head": 2,
    **{f"{side}_forearm": 1 for side in ARM_PARTS_BY_SIDE},
    **{f"{side}_hand": 2 for side in ARM_PARTS_BY_SIDE},
}  # fmt: skip
"""Where a layer folds over itself, the part of higher rank is in front; others have rank 0."""
BODY_LAYER = "body"  # the layer of all but the arms


@dataclass(frozen=True)
class Layer:
    """One layer of the padded reference.

    Attributes:
        name: BODY_LAYER, or the side of an arm.
        alpha: (H, W) float32, 0 to 1.
        colors: (H, W, 3) float32 RGB in 0..255; uint8 of one or three channels once it is warped.
        rank: (rows, columns) uint8 at the grid's nodes: where the layer folds, higher is in front.
    """

    name: str
    alpha: Floats
    colors: AnyArray
    rank: Integers


def split_layers(
    parts: list[str],
    weights: Floats,
    reference: WarpPoints,
    height: float,
    grid: Grid,
    matte: Matte,
    arm_shares: dict[str, Floats],
    *,
    smooth: bool = False,
) -> list[Layer]:
    """Split the reference into layers, from back to front.

    Args:
        parts: As of `body_parts`.
        weights: As of `skin_weights`.
        reference: The reference's points.
        height: Of the whole body, in pixels.
        grid: Of the reference.
        matte: Of the reference's person.
        arm_shares: As of `PartShares.arms`.
        smooth: Fill what the arms hide without texture, which takes less time.
    """
    alpha, colors = grid.widened(matte.alpha), grid.widened(matte.foreground)
    # Trunks go on beyond the picture's edge, heads and feet do not.
    alpha[: grid.pad] = 0
    if reference.has("right_ankle") or reference.has("left_ankle"):
        alpha[-grid.pad :] = 0
    front = np.array([FOLD_RANK.get(part, 0) for part in parts], np.uint8)
    rank = front[weights.argmax(0)]
    arms = []
    taken = np.zeros_like(alpha)  # the share of the arms
    for side, names in ARM_PARTS_BY_SIDE.items():
        if names[0] not in parts or side not in arm_shares:
            continue
        share = grid.widened(arm_shares[side])
        edge: Floats = np.clip((share - 0.5) / SEAM_WIDTH, 0, 1)
        # The arm goes on under the seam.
        lap = np.clip((share - 0.5 + SEAM_WIDTH) / SEAM_WIDTH, 0, 1)
        # What the picture's edge cuts off is not mirrored: a hand would end in another one.
        arms.append(Layer(side, alpha * lap * grid.inside(), colors, rank))
        taken = np.maximum(taken, edge)
    if not arms:
        return [Layer(BODY_LAYER, alpha, colors, rank)]
    if not reference.has("right_shoulder", "left_shoulder", "right_hip", "left_hip"):
        return [Layer(BODY_LAYER, alpha * (1 - taken), colors, rank), *arms]
    body = alpha * (1 - taken)
    behind = _continued(body > 0.5, _trunk(reference, height, grid, 1.0), height)
    hidden = (taken > HIDDEN_SHARE) & (behind | _trunk(reference, height, grid, SURE_SHARE))
    if (box := bounding_box(hidden, margin_px=round(FABRIC_REACH * height))) is not None:
        shown = ((body > VISIBLE_SHARE) & (taken < HIDDEN_SHARE)).astype(np.float32)
        side_px = min(grid.width, grid.height)
        filled = fill_hole(colors[box], shown[box], side_px, smooth=smooth)
        soft = np.maximum(cv2.GaussianBlur(hidden.astype(np.float32), (0, 0), 1.5), hidden)
        colors = colors.copy()
        colors[box] += soft[box][..., None] * (filled - colors[box])
        body = np.maximum(body, hidden * alpha)
    return [Layer(BODY_LAYER, body, colors, rank), *arms]


def _trunk(reference: WarpPoints, height: float, grid: Grid, share: float) -> Mask:
    """Tell where trunk and thighs of a share of their usual width are, (H, W)."""
    mask = np.zeros(grid.padded[::-1], np.uint8)
    across, down = TRUNK_GROWTH
    outline = scaled_about_mean(trunk_outline(reference, height), (share * across, down))
    cv2.fillConvexPoly(mask, _hull(outline, grid), (1,))
    thickness = max(1, int(share * THIGH_THICKNESS * height))
    for side in ("right", "left"):
        hip, knee = reference.joint(f"{side}_hip"), reference.joint(f"{side}_knee")
        if not np.isfinite(knee).all():
            knee = np.add(hip, (0, 0.25 * height))
        cv2.line(mask, _pixel(hip, grid), _pixel(knee, grid), (1,), thickness)
    return mask > 0


def _continued(body: Mask, trunk: Mask, height: float) -> Mask:
    """Continue the body, (H, W), behind what is before its trunk, and a little beyond its edge."""
    lap = cv2.getStructuringElement(
        cv2.MORPH_ELLIPSE, (max(3, round(2 * SEAM_LAP * height) | 1),) * 2
    )
    grown = cv2.dilate(body.astype(np.uint8), lap)
    points = cv2.findNonZero((body & trunk).astype(np.uint8))
    if points is not None:
        cv2.fillConvexPoly(grown, cv2.convexHull(points), (1,))
    return np.asarray((grown > 0) & trunk)


def _pixel(point: Floats, grid: Grid) -> list[int]:
    x, y = np.rint(point + grid.pad).astype(int).tolist()
    return [x, y]


def _hull(points: Floats, grid: Grid) -> Integers:
    return np.asarray(cv2.convexHull(np.rint(points + grid.pad).astype(np.int32)), np.int32)
