"""The person in layers: the trunk with head and legs, and an arm before it on each side.

An arm that moves uncovers what it hid; there the trunk is filled with its own surroundings.
"""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np

from magicpose_cli.warping.grid import Grid
from magicpose_cli.warping.interpolation import push_pull, upsample
from magicpose_cli.warping.matte import Matte
from magicpose_cli.warping.parts import ARMS, LIMBS, limb_ends, shrunk, trunk_quad
from magicpose_cli.warping.smoothed_points import Points

SEAM = 0.1  # of weight, over which an arm fades into the trunk
REACH = 0.075  # body heights: what is further from an arm's bones is not the arm's
REACH_FADE = 0.15  # of that
TRUNK_WIDER = (1.25, 1.1)  # of the quadrangle between the joints: where an arm can hide the trunk
THIGH = 0.13  # body heights, thickness: a hand on the hip hides one
HIDDEN, SURE = 0.02, 0.9  # shares from which on something is an arm's, and surely the person's
# Where a layer folds over itself, which part is in front; others are behind all of these.
FRONT = {
    "right_thigh": 1, "right_shin": 1, "head": 2,
    **{f"{side}_{part}": n for side in ARMS for n, part in enumerate(("forearm", "hand"), 1)},
}  # fmt: skip
ALL = "body"  # the layer of all that is no arm's


@dataclass(frozen=True)
class Layer:
    """name: ALL or a side. alpha (H, W), colors (H, W, 3): float32 of the padded picture. rank
    (rows, columns) uint8 at the grid's nodes: where the layer folds, the higher is in front."""

    name: str
    alpha: np.ndarray
    colors: np.ndarray
    rank: np.ndarray


def split(
    parts: list[str], weights: np.ndarray, still: Points, height: float, grid: Grid, matte: Matte
) -> list[Layer]:
    """The layers of the reference, from back to front; weights as of `skin_weights`."""
    alpha, colors = grid.widened(matte.alpha), grid.widened(matte.foreground)
    # Trunks go on beyond the picture's edge, heads and feet do not.
    alpha[: grid.pad] = 0
    if still.has("right_ankle") or still.has("left_ankle"):
        alpha[-grid.pad :] = 0
    front = np.array([FRONT.get(part, 0) for part in parts], np.uint8)
    rank = front[weights.argmax(0)]
    arms = []
    taken = np.zeros_like(alpha)  # what is an arm's
    pulled = np.zeros_like(alpha)  # what goes with it by weight, be it its or not
    for side, names in ARMS.items():
        if names[0] not in parts:
            continue
        own = [parts.index(name) for name in names if name in parts]
        share = upsample(weights[own].sum(0), grid.padded).clip(0, 1)
        reach = _reach(still, side, height, grid)
        edge = np.clip((share - 0.5) / SEAM, 0, 1)
        lap = np.clip((share - 0.5 + SEAM) / SEAM, 0, 1)  # the arm goes on under the seam
        # What the picture's edge cuts off is not mirrored: a hand would end in another one.
        arms.append(Layer(side, alpha * lap * reach * grid.inside(), colors, rank))
        taken, pulled = np.maximum(taken, edge * reach), np.maximum(pulled, edge)
    if not arms:
        return [Layer(ALL, alpha, colors, rank)]
    if not still.has("right_shoulder", "left_shoulder", "right_hip", "left_hip"):
        return [Layer(ALL, alpha * (1 - taken), colors, rank), *arms]
    trunk = _trunk(still, height, grid)
    # Beside the trunk nothing else holds what goes with an arm but is out of its reach.
    taken = np.where(trunk, taken, np.maximum(taken, pulled))
    body = alpha * (1 - taken)
    hidden = trunk & (taken > HIDDEN)
    if hidden.any():
        shown = ((body > SURE) & (taken < HIDDEN)).astype(np.float32)
        filled = push_pull(colors, shown)
        soft = np.maximum(cv2.GaussianBlur(hidden.astype(np.float32), (0, 0), 1.5), hidden)
        colors = colors + soft[..., None] * (filled - colors)
        body = np.maximum(body, hidden * alpha)
    return [Layer(ALL, body, colors, rank), *arms]


def _reach(still: Points, side: str, height: float, grid: Grid) -> np.ndarray:
    """(H, W) float32: 1 near the bones and the hand of an arm, 0 away from them."""
    away = np.ones(grid.padded[::-1], np.uint8)
    for part in ARMS[side][:2]:
        if still.has(*LIMBS[part]):
            start, end = (_pixel(point, grid) for point in limb_ends(part, still))
            cv2.line(away, start, end, (0,), 1)
    if still.has_hand(side):
        hand = still.hands[side]
        cv2.fillConvexPoly(away, _hull(hand[np.isfinite(hand).all(1)], grid), (0,))
    distance = cv2.distanceTransform(away, cv2.DIST_L2, 5) / (REACH * height)
    return np.clip((1 + REACH_FADE - distance) / REACH_FADE, 0, 1)


def _trunk(still: Points, height: float, grid: Grid) -> np.ndarray:
    """(H, W) bool: where trunk and thighs may be."""
    mask = np.zeros(grid.padded[::-1], np.uint8)
    cv2.fillConvexPoly(mask, _hull(shrunk(trunk_quad(still, height), TRUNK_WIDER), grid), (1,))
    for side in ("right", "left"):
        hip, knee = still.joint(f"{side}_hip"), still.joint(f"{side}_knee")
        if not np.isfinite(knee).all():
            knee = np.add(hip, (0, 0.25 * height))
        cv2.line(mask, _pixel(hip, grid), _pixel(knee, grid), (1,), max(1, int(THIGH * height)))
    return mask > 0


def _pixel(point: np.ndarray, grid: Grid) -> list[int]:
    return np.rint(point + grid.pad).astype(int).tolist()


def _hull(points: np.ndarray, grid: Grid) -> np.ndarray:
    return cv2.convexHull(np.rint(points + grid.pad).astype(np.int32))
