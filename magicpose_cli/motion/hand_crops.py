"""Hands in crops of their own, at twice the resolution.

A hand is a twentieth of a picture, in which a network has a few latents for five fingers. What it
needs to make it again, larger, travels behind the pose map in further channels: of each hand the
pose map of a window of half the picture's sides, and a mask of where the hand is, which tells the
window as well.
"""

from __future__ import annotations

import cv2
import numpy as np

from magicpose_cli.arrays import Picture, Pictures
from magicpose_cli.motion.framing import Box, Framing
from magicpose_cli.pose.keypoints import Pose
from magicpose_cli.pose.pose_map import pose_map

HANDS = ("left_hand", "right_hand")
HAND_CHANNELS = 4 * len(HANDS)  # of a frame: of each hand the window's pose map and the mask
OWN_HAND_CHANNELS = 6 * len(HANDS)  # of the reference: of each hand the window and its pose map
ENLARGED = 2  # how much larger a window is made
_FEWEST_POINTS = 10  # of a hand's 21, with which it is taken for seen
_REACH = 0.2  # how far a hand reaches beyond its points, as a share of their extent


def hand_layers(pose: Pose, canvas: int) -> Picture:
    """Draw what the hands of a frame are made again from.

    Args:
        pose: Asked for, in pixels of the network's frame.
        canvas: Side in pixels of the square on which poses are drawn for the model.

    Returns:
        (H, W, HAND_CHANNELS) uint8: of each hand its window's pose map in RGB and the mask; all 0
        where the hand is not seen.
    """
    layers = np.zeros((pose.height, pose.width, HAND_CHANNELS), np.uint8)
    for number, hand in enumerate(HANDS):
        mask = _hand_mask(pose, hand)
        if (window := hand_window(mask)) is not None:
            closer = Framing(window, pose.width, pose.height).pose(pose)
            layers[..., 4 * number : 4 * number + 3] = pose_map(closer, canvas)
            layers[..., 4 * number + 3] = mask
    return layers


def own_hand_layers(picture: Picture, framing: Framing, pose: Pose | None, canvas: int) -> Picture:
    """Show the reference's hands from near; the whole reference where one is not seen.

    Args:
        picture: The reference as it was given, (h, w, 3) uint8 RGB.
        framing: What of it the network's frame shows.
        pose: The reference's, in pixels of the network's frame; None where it is not known.
        canvas: As of `hand_layers`.

    Returns:
        (H, W, OWN_HAND_CHANNELS) uint8: of each hand the window in RGB and its pose map.
    """
    layers = []
    left, top, right, bottom = framing.window
    across, down = (right - left) / framing.width, (bottom - top) / framing.height
    size = framing.width, framing.height
    for hand in HANDS:
        window = None if pose is None else hand_window(_hand_mask(pose, hand))
        x, y, end_x, end_y = window or (0, 0, *size)
        given = (left + x * across, top + y * down, left + end_x * across, top + end_y * down)
        layers.append(Framing(given, *size).picture(picture))
        if pose is None:
            layers.append(np.zeros_like(layers[-1]))
        else:
            closer = Framing((x, y, end_x, end_y), *size).pose(pose)
            layers.append(pose_map(closer, canvas))
    return np.concatenate(layers, axis=2)


def hand_window(mask: Picture) -> Box | None:
    """Give the window (left, top, right, bottom) around what a mask (H, W) marks; None for nothing.

    It has half the sides of the picture and lies within it.
    """
    rows, columns = (np.flatnonzero(mask.any(axis)) for axis in (1, 0))
    if not len(rows):
        return None
    corner = []
    for marked, side in ((columns, mask.shape[1]), (rows, mask.shape[0])):
        middle = int(marked[0] + marked[-1] + 1) // 2
        corner.append(min(max(middle - side // (2 * ENLARGED), 0), side - side // ENLARGED))
    left, top = corner
    return (left, top, left + mask.shape[1] // ENLARGED, top + mask.shape[0] // ENLARGED)


def pasted(frame: Picture, made: Picture, mask: Picture) -> Picture:
    """Put a hand that was made from near into its frame.

    Args:
        frame: (H, W, 3) uint8 RGB.
        made: The hand's window, of the same shape.
        mask: Where the hand is, (H, W) uint8, 255 for wholly.
    """
    window = hand_window(mask)
    if window is None:
        return frame
    left, top, right, bottom = map(int, window)
    here = np.s_[top:bottom, left:right]
    smaller = cv2.resize(made, (right - left, bottom - top), interpolation=cv2.INTER_AREA)
    share = mask[here][..., None] / 255.0
    whole = frame.copy()
    whole[here] = np.rint(frame[here] * (1 - share) + smaller * share).astype(np.uint8)
    return whole


def _hand_mask(pose: Pose, hand: str) -> Pictures:
    """Where a hand is, with soft edges, (H, W) uint8; 0 everywhere where it is not seen."""
    mask = np.zeros((pose.height, pose.width), np.uint8)
    points = getattr(pose, hand)
    points = points[np.isfinite(points).all(1)]
    if len(points) < _FEWEST_POINTS or not _inside(points.mean(0), pose):
        return mask
    reach = max(2, round(_REACH * float(np.ptp(points, axis=0).max())))
    cv2.fillConvexPoly(mask, cv2.convexHull(np.rint(points).astype(np.int32)), (255.0,))
    around = cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (2 * reach + 1, 2 * reach + 1))
    return np.asarray(cv2.GaussianBlur(cv2.dilate(mask, around), (0, 0), reach / 2), np.uint8)


def _inside(point: Pictures, pose: Pose) -> bool:
    x, y = point
    return bool(0 <= x < pose.width and 0 <= y < pose.height)
