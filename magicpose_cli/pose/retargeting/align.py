"""One scale for the whole clip, and the anchor's frame laid onto the reference.

A person who walks through the picture is not put where they are on average: what lies on the
reference is the frame in which they stand as it does.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import combinations

import numpy as np

from magicpose_cli.arrays import Floats
from magicpose_cli.errors import DetectionError
from magicpose_cli.pose.keypoints import BODY_JOINTS, Pose
from magicpose_cli.pose.retargeting.points import FACE, POINT_INDEX, POINT_NAMES, named_points
from magicpose_cli.pose.retargeting.proportions import Ratios

HEAD_POINTS = [*(POINT_INDEX[n] for n in ("nose", "right_eye", "left_eye", "right_ear",
"left_ear")),
        *range(FACE.start, FACE.stop)]  # fmt: skip
BELOW_HEAD = [POINT_INDEX[name] for name in BODY_JOINTS if POINT_INDEX[name] not in HEAD_POINTS]
BUST = [POINT_INDEX[name] for name in ("neck", "right_shoulder", "left_shoulder")]
REST = [index for index in range(len(POINT_NAMES)) if index not in HEAD_POINTS]
_COUNT = FACE.stop  # hands tell nothing of where the body is
NEAR_ANCHOR_FRAMES = 3  # frames on either side of the anchor, which tell whether it is a mistake
WILD = 0.15  # of the reference's size: an anchor that lies further from its neighbors is one


def align(
    poses: Sequence[Pose],
    target: Pose,
    ratios: Ratios | None,
    frame: int,
    *,
    bust: bool = False,
) -> Floats:
    """Lay the driver's clip, at the reference's size, onto the reference's person.

    Head and body are laid on each by itself, for two people's necks differ.

    Args:
        poses: the driver's person.
        target: the reference's person.
        ratios: reference over driver as `compare_proportions` gives it.
        frame: of the clip, that lies on the reference.
        bust: of a driver who is mostly face; the head takes its own size, neck and shoulders that
            of the shoulders, for a near camera enlarges what is nearest, and hips at the picture's
            edge are guesses.

    Returns:
        (frames, points, 2) of POINT_NAMES in the reference's pixels.

    Raises:
        DetectionError: where the two share no two points.
    """
    reference, driver = named_points([target])[0], named_points(poses)
    scale = (
        ratios.body_scale if ratios else _scale_of_pieces(reference[:_COUNT], driver[:, :_COUNT])
    )
    moved = driver * (ratios["shoulders"] if bust and ratios else scale)
    if bust and ratios:
        middle = _middles(driver[:, HEAD_POINTS])
        moved[:, HEAD_POINTS] = ratios["shoulders"] * middle + ratios["head"] * (
            driver[:, HEAD_POINTS] - middle
        )
    below = BUST if bust and np.isfinite(reference[BUST]).all(1).any() else BELOW_HEAD
    body, head = (shift_at(reference, moved, frame, group) for group in (below, HEAD_POINTS))
    often = [_frames_seen(driver[:, group]) for group in (BELOW_HEAD, HEAD_POINTS)]
    if body is None or (head is not None and 2 * often[0] < often[1]):
        body = head  # a talking head that shows its shoulders in two frames
    if body is None:
        body = shift_at(reference, moved, frame, list(range(_COUNT)))
    if body is None:
        raise _nothing_in_common()
    moved[:, REST] += body
    moved[:, HEAD_POINTS] += body if head is None else head
    return moved


def shift_at(reference: Floats, moved: Floats, frame: int, group: Sequence[int]) -> Floats | None:
    """(2,) pixels from the anchor's points to the reference's: the median over a group of them.

    reference: (points, 2); moved: (frames, points, 2). Where the anchor shows none of them, or lies
    far from the frames around it, these decide (their median). None without a point in common.
    """
    apart = reference[group] - moved[:, group]
    seen = np.flatnonzero(np.isfinite(apart).all(2).any(1))
    if not len(seen):
        return None
    near = seen[np.abs(seen - frame) <= NEAR_ANCHOR_FRAMES]
    if not len(near):
        near = seen[np.argsort(np.abs(seen - frame), kind="stable")[: NEAR_ANCHOR_FRAMES + 1]]
    shifts = np.array([np.nanmedian(apart[index], axis=0) for index in near])
    typical: Floats = np.median(shifts, axis=0)
    if frame in near:
        shift: Floats = shifts[near.tolist().index(frame)]
        shown = reference[np.isfinite(reference).all(1)]
        if np.linalg.norm(shift - typical) <= WILD * np.linalg.norm(np.ptp(shown, axis=0)):
            return shift
    return typical


def _middles(head: Floats) -> Floats:
    """(frames, 1, 2): the nose, the first of (frames, n, 2), else the middle of what is seen."""
    seen = np.isfinite(head)
    mean = np.where(seen, head, 0).sum(axis=1) / seen.sum(axis=1).clip(1)
    return np.where(seen[:, 0], head[:, 0], mean)[:, None]


def _frames_seen(points: Floats) -> int:
    """In how many frames the point is seen that is seen most often."""
    return int(np.isfinite(points).all(axis=2).sum(axis=0).max(initial=0))


def _scale_of_pieces(reference: Floats, driver: Floats) -> float:
    """Reference over driver for odd pieces of a body.

    The median over whatever two points both show.
    """
    common = np.flatnonzero(np.isfinite(reference).all(1) & np.isfinite(driver).all(2).any(0))
    ratios = []
    for a, b in combinations(common, 2):
        lengths = np.linalg.norm(driver[:, a] - driver[:, b], axis=1)
        length = lengths[np.isfinite(lengths)].max(initial=0.0)
        wanted = np.linalg.norm(reference[a] - reference[b])
        if length > 0 and wanted > 0:
            ratios.append(wanted / length)
    if not ratios:
        raise _nothing_in_common()
    return float(np.median(ratios))


def _nothing_in_common() -> DetectionError:
    return DetectionError(
        "retarget: the reference and the driver show no two points of the body in common; "
        "take pictures of the same parts, or pass --retarget none"
    )
