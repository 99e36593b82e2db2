"""Where a reference's hand can be at most: what lies on it or behind it stays where it is.

The network of the arms has seen no hair beside a hand and no drawn hand on a hip; the hand's own
points, or the color of its skin, tell how far it reaches.
"""

from __future__ import annotations

import cv2
import numpy as np

from magicpose_cli.arrays import Floats, Picture
from magicpose_cli.warping.parts import MAX_SKIN_CHANGE, forearm_color
from magicpose_cli.warping.warp_points import WarpPoints

# Points of a finger from its root to its tip, thumb first; each chain begins at the wrist, point 0.
FINGER_CHAINS = tuple(tuple(range(root, root + 4)) for root in (1, 5, 9, 13, 17))
PALM = (0, 1, 5, 9, 13, 17)  # points around the palm
PALM_IN_HEIGHTS = 0.055  # of a person's height, from the wrist to the root of the middle finger
FINGER_ROOM = 0.25  # palms around the bones, of which fingers fill half
SKIN_SPECK_PX = 5  # side of the square that closes outlines and highlights within the skin


def hand_room(picture: Picture, reference: WarpPoints, side: str, height: float) -> Floats | None:
    """Find where the hand of a side may be.

    Args:
        picture: (H, W, 3) uint8 RGB.
        reference: The person's points.
        side: "left" or "right", the person's own.
        height: Of the whole body, in pixels.

    Returns:
        (H, W) float32, 0 to 1; None where neither points nor skin tell it.
    """
    if reference.has_hand(side):
        return _around_points(reference.hands[side], height, picture.shape[:2])
    if side not in reference.wrists:
        return None
    color = forearm_color(picture, reference, side)
    if color is None:
        return None
    like = (np.abs(picture - color).max(2) < 2 * MAX_SKIN_CHANGE).astype(np.uint8)
    closed = cv2.morphologyEx(like, cv2.MORPH_CLOSE, np.ones((SKIN_SPECK_PX,) * 2, np.uint8))
    return closed.astype(np.float32)


def _around_points(hand: Floats, height: float, shape: tuple[int, ...]) -> Floats:
    """Fill fingers and palm, and FINGER_ROOM around them."""
    wrist, middle = hand[0], hand[FINGER_CHAINS[2][0]]
    palm_px = PALM_IN_HEIGHTS * height
    if np.isfinite([wrist, middle]).all():
        palm_px = max(palm_px, float(np.linalg.norm(middle - wrist)))
    room = np.zeros(shape, np.uint8)
    thickness = max(1, round(2 * FINGER_ROOM * palm_px))
    bones = [pair for chain in FINGER_CHAINS for pair in zip((0, *chain), chain, strict=False)]
    for start, end in bones:
        if np.isfinite(hand[[start, end]]).all():
            ends = np.rint(hand[[start, end]]).astype(int).tolist()
            cv2.line(room, ends[0], ends[1], (1,), thickness)
    palm = hand[list(PALM)]
    palm = palm[np.isfinite(palm).all(1)]
    if len(palm) > 2:
        cv2.fillConvexPoly(room, cv2.convexHull(np.rint(palm).astype(np.int32)), (1,))
    return room.astype(np.float32)
