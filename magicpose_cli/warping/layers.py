"""The person in layers: the trunk with head and legs, and each arm in front of it.

An arm that moves uncovers what it hid; there the trunk is filled with its own surroundings.
"""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np

from magicpose_cli.arrays import AnyArray, Floats, Integers, Mask
from magicpose_cli.warping.grid import Grid
from magicpose_cli.warping.interpolation import push_pull, upsample
from magicpose_cli.warping.matte import Matte
from magicpose_cli.warping.parts import (
    ARM_PARTS_BY_SIDE,
    PART_JOINTS,
    limb_segment,
    scaled_about_mean,
    trunk_outline,
)
from magicpose_cli.warping.warp_points import WarpPoints

SEAM_WIDTH = 0.1  # of skin weight, over which an arm fades into the trunk
ARM_REACH = 0.075  # body heights: what is further from an arm's bones is not part of the arm
ARM_REACH_FADE = 0.15  # of that
TRUNK_GROWTH = (1.25, 1.1)  # of the quadrangle between the joints: where an arm can hide the trunk
THIGH_THICKNESS = 0.13  # body heights: a hand on the hip hides a thigh
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
) -> list[Layer]:
    """Split the reference into layers, from back to front.

    Args:
        parts: As of `body_parts`.
        weights: As of `skin_weights`.
        reference: The reference's points.
        height: Of the whole body, in pixels.
        grid: Of the reference.
        matte: Of the reference's person.
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
    pulled = np.zeros_like(alpha)  # the share that moves with an arm by weight, in reach or not
    for side, names in ARM_PARTS_BY_SIDE.items():
        if names[0] not in parts:
            continue
        own = [parts.index(name) for name in names if name in parts]
        share = upsample(weights[own].sum(0), grid.padded).clip(0, 1)
        reach = _reach(reference, side, height, grid)
        edge: Floats = np.clip((share - 0.5) / SEAM_WIDTH, 0, 1)
        lap = np.clip(
            (share - 0.5 + SEAM_WIDTH) / SEAM_WIDTH, 0, 1
        )  # the arm goes on under the seam
        # What the picture's edge cuts off is not mirrored: a hand would end in another one.
        arms.append(Layer(side, alpha * lap * reach * grid.inside(), colors, rank))
        taken, pulled = np.maximum(taken, edge * reach), np.maximum(pulled, edge)
    if not arms:
        return [Layer(BODY_LAYER, alpha, colors, rank)]
    if not reference.has("right_shoulder", "left_shoulder", "right_hip", "left_hip"):
        return [Layer(BODY_LAYER, alpha * (1 - taken), colors, rank), *arms]
    trunk = _trunk(reference, height, grid)
    # Beside the trunk no other part can hold what moves with an arm but is out of its reach.
    taken = np.where(trunk, taken, np.maximum(taken, pulled))
    body = alpha * (1 - taken)
    hidden = trunk & (taken > HIDDEN_SHARE)
    if hidden.any():
        shown = ((body > VISIBLE_SHARE) & (taken < HIDDEN_SHARE)).astype(np.float32)
        filled = push_pull(colors, shown)
        soft = np.maximum(cv2.GaussianBlur(hidden.astype(np.float32), (0, 0), 1.5), hidden)
        colors = colors + soft[..., None] * (filled - colors)
        body = np.maximum(body, hidden * alpha)
    return [Layer(BODY_LAYER, body, colors, rank), *arms]


def _reach(reference: WarpPoints, side: str, height: float, grid: Grid) -> Floats:
    """Return 1 near the bones and the hand of an arm, 0 away from them, (H, W) float32."""
    away = np.ones(grid.padded[::-1], np.uint8)
    for part in ARM_PARTS_BY_SIDE[side][:2]:
        if reference.has(*PART_JOINTS[part]):
            start, end = (_pixel(point, grid) for point in limb_segment(part, reference))
            cv2.line(away, start, end, (0,), 1)
    if reference.has_hand(side):
        hand = reference.hands[side]
        cv2.fillConvexPoly(away, _hull(hand[np.isfinite(hand).all(1)], grid), (0,))
    distance = cv2.distanceTransform(away, cv2.DIST_L2, 5) / (ARM_REACH * height)
    near: Floats = np.clip((1 + ARM_REACH_FADE - distance) / ARM_REACH_FADE, 0, 1)
    return near


def _trunk(reference: WarpPoints, height: float, grid: Grid) -> Mask:
    """Tell where trunk and thighs may be, (H, W)."""
    mask = np.zeros(grid.padded[::-1], np.uint8)
    cv2.fillConvexPoly(
        mask, _hull(scaled_about_mean(trunk_outline(reference, height), TRUNK_GROWTH), grid), (1,)
    )
    for side in ("right", "left"):
        hip, knee = reference.joint(f"{side}_hip"), reference.joint(f"{side}_knee")
        if not np.isfinite(knee).all():
            knee = np.add(hip, (0, 0.25 * height))
        cv2.line(
            mask, _pixel(hip, grid), _pixel(knee, grid), (1,), max(1, int(THIGH_THICKNESS * height))
        )
    return mask > 0


def _pixel(point: Floats, grid: Grid) -> list[int]:
    x, y = np.rint(point + grid.pad).astype(int).tolist()
    return [x, y]


def _hull(points: Floats, grid: Grid) -> Integers:
    return np.asarray(cv2.convexHull(np.rint(points + grid.pad).astype(np.int32)), np.int32)
