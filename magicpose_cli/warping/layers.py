"""The person in layers: the trunk with head and legs, and each arm in front of it.

An arm that moves uncovers what it hid; there the trunk is filled with its own surroundings.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import cv2
import numpy as np

from magicpose_cli.arrays import AnyArray, Floats, Integers, Mask
from magicpose_cli.warping.boxes import bounding_box
from magicpose_cli.warping.grid import Grid
from magicpose_cli.warping.matte import Matte
from magicpose_cli.warping.neck import nodes_behind_collar
from magicpose_cli.warping.parts import (
    ARM_PARTS_BY_SIDE,
    scaled_about_mean,
    trunk_outline,
)
from magicpose_cli.warping.patch_fill import fill_hole
from magicpose_cli.warping.warp_points import WarpPoints

SEAM_WIDTH = 0.1  # of an arm's share, over which an arm fades into the trunk
SHOULDER_GROWTH, HIP_GROWTH = 1.2, 1.5  # of the width between the joints: where an arm can hide
TRUNK_LENGTHENING = 1.1  # the trunk, and of the length between them
THIGH_THICKNESS = 0.16  # body heights: a hand on the hip hides a thigh
HIDDEN_EDGE_PX = 1.0  # standard deviation of the edge of what an arm hides
EDGE_GAP_PX = 3  # from the trunk's edge to an arm that is before it
FABRIC_REACH = 0.04  # body heights around what an arm hides, in which the clothes are looked at
HIDDEN_SHARE = 0.02  # of an arm in a pixel, from which on it hides the trunk
VISIBLE_SHARE = 0.9  # of the trunk in a pixel, from which on its color is surely the trunk's
FOLD_RANK = {
    "right_thigh": 2, "right_shin": 2, "head": 3,
    **{f"{side}_forearm": 2 for side in ARM_PARTS_BY_SIDE},
    **{f"{side}_hand": 3 for side in ARM_PARTS_BY_SIDE},
}  # fmt: skip
"""Where a layer folds over itself, the part of higher rank is in front; others have rank 1, and
what is inside of a collar 0."""
LAYER_MARGIN_PX = 6  # around a layer, where the plate may be an estimate
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

    def near(self, grid: Grid) -> Mask:
        """Tell which points of the grid's field lie on the layer or LAYER_MARGIN_PX around it."""
        room = np.ones((2 * LAYER_MARGIN_PX + 1,) * 2, np.uint8)
        near: Mask = grid.at_field_points(cv2.dilate(self.alpha, room)) > 0
        return near


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
    front = np.array([FOLD_RANK.get(part, 1) for part in parts], np.uint8)
    rank = front[weights.argmax(0)]
    behind = nodes_behind_collar(parts, weights, reference, alpha, grid)
    if behind is not None:
        rank[behind] = 0
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
    whole = Layer(BODY_LAYER, alpha, colors, rank)
    if not arms:
        return [whole]
    return [_behind_arms(whole, taken, reference, height, grid, smooth=smooth), *arms]


def _behind_arms(
    whole: Layer, taken: Floats, reference: WarpPoints, height: float, grid: Grid, *, smooth: bool
) -> Layer:
    """Take the arms out of a body's layer, and fill the face and the trunk that they hide.

    Args:
        whole: With the arms in it.
        taken: (H, W) 0 to 1, the share of the arms.
        reference: The reference's points.
        height: Of the whole body, in pixels.
        grid: Of the reference.
        smooth: Fill without texture.
    """
    alpha, colors = whole.alpha, whole.colors
    body = alpha * (1 - taken)
    before = cv2.dilate((taken > HIDDEN_SHARE).astype(np.uint8), np.ones((3, 3), np.uint8)) > 0
    hidden = before & _face(reference, grid)
    if reference.has("right_shoulder", "left_shoulder", "right_hip", "left_hip"):
        trunk = _trunk(reference, height, grid)
        hidden |= before & trunk_behind_arms(body > 0.5, before, trunk, reference, grid)
    if (box := bounding_box(hidden, margin_px=round(FABRIC_REACH * height))) is not None:
        shown = ((body > VISIBLE_SHARE) & ~before).astype(np.float32)
        side_px = min(grid.width, grid.height)
        # Colors reach a little beyond the edge, which is as soft as one of the matte.
        wide = np.asarray(cv2.dilate(hidden.astype(np.float32), np.ones((5, 5))), np.float32)
        filled = fill_hole(colors[box], shown[box], side_px, wide[box] > 0, smooth=smooth)
        soft = np.maximum(cv2.GaussianBlur(wide, (0, 0), 1.5), wide)
        colors = colors.copy()
        colors[box] += soft[box][..., None] * (filled - colors[box])
        continued = cv2.GaussianBlur(hidden.astype(np.float32), (0, 0), HIDDEN_EDGE_PX)
        body = np.maximum(body, continued * alpha)
    return replace(whole, alpha=body, colors=colors)


def _face(reference: WarpPoints, grid: Grid) -> Mask:
    """Tell where the face is, (H, W): a hand before it hides skin."""
    mask = np.zeros(grid.padded[::-1], np.uint8)
    if reference.has_face:
        cv2.fillConvexPoly(mask, _hull(reference.outline(), grid), (1,))
    return mask > 0


def _trunk(reference: WarpPoints, height: float, grid: Grid) -> Mask:
    """Tell where trunk and thighs may be, (H, W)."""
    mask = np.zeros(grid.padded[::-1], np.uint8)
    corners = trunk_outline(reference, height)
    outline = scaled_about_mean(corners, (SHOULDER_GROWTH, TRUNK_LENGTHENING))
    outline[2:] = scaled_about_mean(corners, (HIP_GROWTH, TRUNK_LENGTHENING))[2:]
    cv2.fillConvexPoly(mask, _hull(outline, grid), (1,))
    thickness = max(1, int(THIGH_THICKNESS * height))
    for side in ("right", "left"):
        hip, knee = reference.joint(f"{side}_hip"), reference.joint(f"{side}_knee")
        if not np.isfinite(knee).all():
            knee = np.add(hip, (0, 0.25 * height))
        cv2.line(mask, _pixel(hip, grid), _pixel(knee, grid), (1,), thickness)
    return mask > 0


def trunk_behind_arms(
    body: Mask, arms: Mask, trunk: Mask, reference: WarpPoints, grid: Grid
) -> Mask:
    """Tell where the trunk goes on behind the arms, (H, W).

    Along the trunk its left and its right edge are known where no arm is before them; between
    such places they are straight.

    Args:
        body: Where the body is seen, (H, W).
        arms: Where the arms are, (H, W).
        trunk: Where the trunk may be, (H, W).
        reference: The reference's points.
        grid: Of the reference.
    """
    shoulders, hips = (
        np.mean([reference.joint(f"{side}_{name}") for side in ("right", "left")], axis=0)
        for name in ("shoulder", "hip")
    )
    down = hips - shoulders
    down = down / max(float(np.hypot(*down)), 1e-6)
    rows, columns = np.nonzero(trunk)
    if not len(rows):
        return trunk
    x, y = columns - grid.pad - shoulders[0], rows - grid.pad - shoulders[1]
    along = np.rint(down[0] * x + down[1] * y).astype(int)
    across = down[0] * y - down[1] * x
    along -= along.min()
    seen, hidden = body[rows, columns], arms[rows, columns]
    within = np.ones(len(rows), bool)
    for sign in (1, -1):
        side = sign * across
        edge = np.full(along.max() + 1, -np.inf)
        np.maximum.at(edge, along[seen], side[seen])
        beside = hidden & (side > edge[along]) & (side < edge[along] + EDGE_GAP_PX)
        edge[along[beside]] = -np.inf
        known = np.flatnonzero(np.isfinite(edge))
        if len(known):
            within &= side <= np.interp(along, known, edge[known])
    behind = np.zeros_like(trunk)
    behind[rows, columns] = within
    return behind


def _pixel(point: Floats, grid: Grid) -> list[int]:
    x, y = np.rint(point + grid.pad).astype(int).tolist()
    return [x, y]


def _hull(points: Floats, grid: Grid) -> Integers:
    return np.asarray(cv2.convexHull(np.rint(points + grid.pad).astype(np.int32)), np.int32)
