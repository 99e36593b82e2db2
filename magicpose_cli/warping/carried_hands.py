"""Hands in frames in which no detector finds them: carried along from the nearest frame with one.

An arm that ends in a wrist ends in a hand: seen along its edge, blurred or cut by the picture's
edge it is there, but not found. A hand of the reference goes with its forearm anyway; one that has
to be modeled needs its points in every frame.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import cv2
import numpy as np

from magicpose_cli.arrays import Floats
from magicpose_cli.pose.keypoints import BODY_JOINTS, Pose

CARRIED_SCORE = 0.3  # of a point that is not seen but taken from another frame
LAID_ON = 6  # points of a hand that tell how a carried one lies


def carry_hands(poses: Sequence[Pose], sides: Sequence[str]) -> list[Pose]:
    """The same poses, in which an arm with a wrist has a hand.

    Between two frames with a hand it goes from the one to the other, before the first and after the
    last it keeps its shape; it turns with its forearm. Of a hand that is found in part, at the
    picture's edge, the rest is added.

    Args:
        poses: Of one person in all frames.
        sides: "left", "right": the hands that are needed.
    """
    carried = list(poses)
    for side in sides:
        hands = np.stack([getattr(pose, f"{side}_hand") for pose in poses]).astype(np.float64)
        wrists, turns = _forearms(poses, side)
        whole = np.isfinite(hands).all((1, 2)) & np.isfinite(turns).all(1)
        lacking = ~np.isfinite(hands).all((1, 2)) & np.isfinite(turns).all(1)
        if not whole.any():
            continue
        found = np.flatnonzero(whole)
        own = _turned(hands[found] - wrists[found, None], turns[found] * (1, -1))
        for index in np.flatnonzero(lacking):
            after = int(np.searchsorted(found, index))
            first, last = max(after - 1, 0), min(after, len(found) - 1)
            span = found[last] - found[first]
            share = (index - found[first]) / span if span else 0.0
            shape = own[first] + share * (own[last] - own[first])
            hand = wrists[index] + _turned(shape[None], turns[index][None])[0]
            carried[index] = _completed(carried[index], side, hand)
    return carried


def _completed(pose: Pose, side: str, carried: Floats) -> Pose:
    """The pose with what it lacks of a hand, out of a carried one (21, 2) laid onto the rest."""
    hand, score = getattr(pose, f"{side}_hand"), getattr(pose, f"{side}_hand_score")
    seen = np.isfinite(hand).all(1)
    if seen.sum() >= LAID_ON:
        laid, _ = cv2.estimateAffinePartial2D(carried[seen], hand[seen].astype(np.float64))
        if laid is not None:
            carried = carried @ laid[:, :2].T + laid[:, 2]
    whole: dict[str, Any] = {
        f"{side}_hand": np.where(seen[:, None], hand, carried).astype(np.float32),
        f"{side}_hand_score": np.where(seen, score, CARRIED_SCORE).astype(np.float32),
    }
    return replace(pose, **whole)


def _forearms(poses: Sequence[Pose], side: str) -> tuple[Floats, Floats]:
    """Wrists (F, 2), and cosine and sine (F, 2) of where the forearm points; NaN if not known."""
    elbow, wrist = (
        np.stack([pose.body[BODY_JOINTS.index(f"{side}_{joint}")] for pose in poses])
        for joint in ("elbow", "wrist")
    )
    along = (wrist - elbow).astype(np.float64)
    length = np.linalg.norm(along, axis=1, keepdims=True)
    return wrist.astype(np.float64), np.where(length > 0, along / np.maximum(length, 1e-9), np.nan)


def _turned(points: Floats, turns: Floats) -> Floats:
    """(n, m, 2) points, each of the n turned by its cosine and sine (n, 2)."""
    (x, y), (cosine, sine) = np.moveaxis(points, -1, 0), turns.T[:, :, None]
    turned: Floats = np.stack([cosine * x - sine * y, sine * x + cosine * y], axis=-1)
    return turned
