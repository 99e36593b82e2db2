"""Parts of somebody else on the person, where two touch or cross: found and taken out.

A detector that reads two people in one gives the one the other's head or arms. A picture shortens
a bone and never lengthens it, so a bone that is too long for the person begins at one and ends at
another. This is looked for only while somebody else is near.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise

import numpy as np

from magicpose_cli.arrays import Floats, Integers, Mask
from magicpose_cli.pose.clip import PART_COLUMNS, PoseClip
from magicpose_cli.pose.height import BONE_SHARES
from magicpose_cli.pose.keypoints import BODY_JOINTS, Pose
from magicpose_cli.pose.tracking.linking import Detection

NOSE_SHARE = 0.12  # of the body height, from the neck
TOO_LONG = 1.4  # times its length: perspective and badly seen joints stretch a bone by less
NEAR_SIZES = 0.5  # sizes of the person between two boxes
OTHERS_NEAR_S = 1.5  # before and after: who is read as one with the person is not seen beside them
HEIGHT_S = 1.0  # to both sides, over which the person's height is told
TYPICAL = 75.0  # percentile of a frame's bones that tells the height: the others are foreshortened


def _bones() -> list[tuple[int, int, float, list[int]]]:
    """From joint, to joint, share of the body height, columns of what hangs on the far end."""
    at = BODY_JOINTS.index
    head = [at(name) for name in ("nose", "right_eye", "left_eye", "right_ear", "left_ear")]
    bones = [
        (at("neck"), at("nose"), NOSE_SHARE, [*head, *range(*PART_COLUMNS["face"].indices(128))])
    ]
    for side in ("right", "left"):
        hand = list(range(*PART_COLUMNS[f"{side}_hand"].indices(128)))
        arm = [at(f"{side}_{name}") for name in ("shoulder", "elbow", "wrist")]
        leg = [at(f"{side}_{name}") for name in ("hip", "knee", "ankle")]
        half = BONE_SHARES["right_shoulder", "left_shoulder"] / 2
        for chain, tip in (([at("neck"), *arm], hand), ([at("neck"), *leg], [])):
            for i, (start, end) in enumerate(pairwise(chain), start=1):
                share = BONE_SHARES.get((BODY_JOINTS[start], BODY_JOINTS[end]), half)
                bones.append((start, end, share, [*chain[i:], *tip]))
    return bones


_BONES = _bones()


def remove_other_people(
    clip: PoseClip, detections: Sequence[Sequence[Detection]], detection_index: Integers, fps: float
) -> Mask:
    """Forget, in place, what hangs on a bone that is too long, while somebody else is near.

    Args:
        clip: the followed person.
        detections: everybody in each frame.
        detection_index: (frames,) the person's index there, -1 where they are not seen.
        fps: frames a second.

    Returns:
        (frames,) in which something was taken out.
    """
    near = _near(detections, detection_index, fps)
    if not near.any():
        return near
    lengths = np.stack(
        [np.hypot(*(clip.points[:, end] - clip.points[:, start]).T) for start, end, *_ in _BONES],
        axis=1,
    ).astype(np.float64)
    shares = np.array([share for _, _, share, _ in _BONES])
    height = _height(lengths / shares, fps)
    with np.errstate(invalid="ignore"):
        long = (lengths > TOO_LONG * shares * height[:, None]) & near[:, None]
    gone = np.zeros(clip.seen.shape, dtype=bool)
    for bone, (_, _, _, columns) in enumerate(_BONES):
        gone[np.ix_(long[:, bone], columns)] = True
    gone &= clip.seen
    clip.forget(gone)
    touched: Mask = gone.any(axis=1)
    return touched


def _near(detections: Sequence[Sequence[Detection]], detection_index: Integers, fps: float) -> Mask:
    """(frames,) whether somebody else is near the person, or is for OTHERS_NEAR_S around it."""
    near = np.zeros(len(detection_index), dtype=bool)
    reach = round(OTHERS_NEAR_S * fps)
    for frame in np.flatnonzero(detection_index >= 0):
        people = detections[frame]
        if len(people) < 2 or near[min(frame + reach, len(detection_index) - 1)]:
            continue
        boxes = np.array([_box(detection.pose) for detection in people])
        own = boxes[detection_index[frame]]
        size = float(np.hypot(*(own[2:] - own[:2])))
        apart = np.maximum(np.maximum(boxes[:, :2] - own[2:], own[:2] - boxes[:, 2:]), 0.0)
        close = np.hypot(*apart.T) < NEAR_SIZES * size
        close[detection_index[frame]] = False
        if close.any():
            near[max(frame - reach, 0) : frame + reach + 1] = True
    return near


def _box(pose: Pose) -> Floats:
    """(4,) left, top, right, bottom of the body; NaN, near nobody, where there is none."""
    body = pose.body[np.isfinite(pose.body).all(axis=1)]
    if not len(body):
        return np.full(4, np.nan)
    box: Floats = np.concatenate([body.min(axis=0), body.max(axis=0)]).astype(np.float64)
    return box


def _height(heights: Floats, fps: float) -> Floats:
    """(frames,) pixels, told from bones (frames, n) around each frame; infinite where unknown."""
    frames = np.flatnonzero(np.isfinite(heights).any(axis=1))
    if not len(frames):
        return np.full(len(heights), np.inf)
    each = np.nanpercentile(heights[frames], TYPICAL, axis=1)
    reach = max(1, round(HEIGHT_S * fps))
    around = [np.median(each[np.abs(frames - frame) <= reach]) for frame in frames]
    return np.interp(np.arange(len(heights)), frames, around)
