"""Detections linked from frame to frame by where people move and what they wear.

Each frame is assigned as a whole (Hungarian), so that two who cross do not both take the nearer
detection. A tracklet that is lost for long ends; `merging.py` puts the pieces together.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np

from magicpose_cli.arrays import Floats, Integers
from magicpose_cli.pose.clip import PART_COLUMNS, PoseClip
from magicpose_cli.pose.keypoints import Pose
from magicpose_cli.pose.tracking.appearance import Histogram, appearance_distance
from magicpose_cli.pose.tracking.assignment import assign
from magicpose_cli.pose.tracking.person_size import box_diagonals


@dataclass(frozen=True, eq=False)
class Detection:
    """Somebody in a frame.

    Attributes:
        pose: their points.
        appearance: what they wear, see `appearance_histogram`; None where there is no picture.
    """

    pose: Pose
    appearance: Histogram | None = None


# A person is compared by 18 joints and the middles of face and hands.
MARK_COUNT = 21
MIRRORED = np.array([0, 1, 5, 6, 7, 2, 3, 4, 11, 12, 13, 8, 9, 10, 15, 14, 17, 16, 18, 20, 19])
# How far from where they are expected people may be, in sizes of their own (diagonals of the box
# around them): more the longer they have not been seen.
REACH, REACH_PER_S, MAX_REACH = 0.3, 1.5, 2.0
REFUSAL = 0.9  # cost above which two detections are two people; its parts are reach and clothes
UNKNOWN_APPEARANCE = 0.3  # stands for the distance of clothes that are not known
LOST_S = 1.5  # a tracklet that is not seen for longer ends
COASTING_S = 0.7  # nobody goes on for much longer as they went when they were hidden
STEADINESS_S = 0.15  # over which a velocity is averaged
NEW_APPEARANCE_SHARE = 0.05  # of a new histogram in the remembered one
CROWDED = 0.25  # share of a box covered by another one from which on its clothes may be the other's
_BLOCK = 4096  # detections worked on at a time


@dataclass(eq=False)
class Tracklet:
    """One person over some frames.

    Attributes:
        frames: where they are seen, in order.
        detection_index: the index of their detection in each of these frames.
        marks: (MARK_COUNT, 2) pixels where they were last.
        center: (2,) pixels of the box around them, last.
        size: of the person, pixels.
        first_center: (2,) pixels of the box around them in the first frame.
        appearance: remembered clothes, (HISTOGRAM_SIZE,) from 0 to 255; None where unknown.
        velocity: (2,) pixels a second.
    """

    frames: list[int]
    detection_index: list[int]
    marks: Floats
    center: Floats
    size: float
    first_center: Floats
    appearance: Floats | None = None
    velocity: Floats = field(default_factory=lambda: np.zeros(2))

    def expected(self, seconds: float) -> Floats:
        """(2,) how far they have gone since they were seen last."""
        return self.velocity * COASTING_S * (1 - math.exp(-seconds / COASTING_S))


@dataclass(frozen=True)
class _Features:
    """Of all detections of a clip, one row each.

    Attributes:
        marks: (rows, MARK_COUNT, 2) pixels.
        center: (rows, 2) of the box.
        size: (rows,) pixels; 0 where nothing is seen.
        box: (rows, 4) left, top, right, bottom.
    """

    marks: Floats
    center: Floats
    size: Floats
    box: Floats


def link(detections: Sequence[Sequence[Detection]], fps: float) -> list[Tracklet]:
    """Link the detections of each frame to tracklets; every detection of somebody is in one."""
    known = _features([found.pose for people in detections for found in people])
    ended: list[Tracklet] = []
    active: list[Tracklet] = []
    row = 0
    for frame, people in enumerate(detections):
        rows = np.arange(row, row + len(people))
        row += len(people)
        rows = rows[known.size[rows] > 0]
        lost = [t for t in active if (frame - t.frames[-1]) / fps > LOST_S]
        if lost:
            ended += lost
            active = [t for t in active if t not in lost]
        if not len(rows):
            continue
        worn = [people[r - row + len(people)].appearance for r in rows]
        pairs = []
        if active:
            pairs = assign(_costs(active, known, rows, worn, frame, fps), REFUSAL)
        crowded = _crowded(known.box[rows])
        for index, column in pairs:
            appearance = None if crowded[column] else worn[column]
            at = int(rows[column]) - row + len(people)
            _append(active[index], known, int(rows[column]), appearance, frame, at, fps)
        for column in set(range(len(rows))) - {column for _, column in pairs}:
            at = int(rows[column]) - row + len(people)
            active.append(_begin(known, int(rows[column]), worn[column], frame, at))
    return sorted(ended + active, key=lambda tracklet: tracklet.frames[0])


def _costs(
    tracklets: list[Tracklet],
    known: _Features,
    rows: Integers,
    worn: list[Histogram | None],
    frame: int,
    fps: float,
) -> Floats:
    """(tracklets, detections): distance in reaches plus that of clothes; infinite out of reach."""
    seconds = [(frame - tracklet.frames[-1]) / fps for tracklet in tracklets]
    moved = np.stack([t.expected(s) for t, s in zip(tracklets, seconds, strict=True)])
    size = np.array([tracklet.size for tracklet in tracklets])[:, None]
    size = (size + known.size[rows]) / 2
    marks = np.stack([tracklet.marks for tracklet in tracklets]) + moved[:, None]
    centers = np.stack([tracklet.center for tracklet in tracklets]) + moved
    by_center = np.hypot(*np.moveaxis(centers[:, None] - known.center[rows], 2, 0)) / size
    found = known.marks[rows]
    distance = np.minimum(
        _apart(marks, found, size, by_center), _apart(marks, found[:, MIRRORED], size, by_center)
    )
    reach = np.minimum(REACH + REACH_PER_S * np.array(seconds), MAX_REACH)[:, None]
    with np.errstate(invalid="ignore"):
        return np.where(distance <= reach, distance / reach, np.inf) + _appearance_costs(
            tracklets, worn
        )


def _apart(marks: Floats, found: Floats, size: Floats, by_center: Floats) -> Floats:
    """(tracklets, detections): mean distance of the marks both show, in sizes of the person."""
    distance = np.hypot(*np.moveaxis(marks[:, None] - found, 3, 0)) / size[..., None]
    both = np.isfinite(distance)
    count = both.sum(axis=2)
    total = np.where(both, np.minimum(distance, MAX_REACH), 0.0).sum(axis=2)
    return np.where(count > 0, total / np.maximum(count, 1), by_center)


def _appearance_costs(tracklets: list[Tracklet], worn: list[Histogram | None]) -> Floats:
    costs = np.full((len(tracklets), len(worn)), UNKNOWN_APPEARANCE)
    remembered = {i: t.appearance for i, t in enumerate(tracklets) if t.appearance is not None}
    shown = {j: appearance for j, appearance in enumerate(worn) if appearance is not None}
    if remembered and shown:
        one, other = np.stack(list(remembered.values())), np.stack(list(shown.values()))
        apart = appearance_distance(one[:, None], other[None])
        apart = np.where(np.isnan(apart), UNKNOWN_APPEARANCE, apart)
        costs[np.ix_(list(remembered), list(shown))] = apart
    return costs


def _crowded(boxes: Floats) -> Floats:
    """(n,) whether another's box covers a good part of one's own."""
    if len(boxes) == 1:
        return np.zeros(1, dtype=bool)
    low = np.maximum(boxes[:, None, :2], boxes[None, :, :2])
    high = np.minimum(boxes[:, None, 2:], boxes[None, :, 2:])
    covered = np.maximum(high - low, 0.0).prod(axis=2)
    np.fill_diagonal(covered, 0.0)
    area = np.maximum((boxes[:, 2:] - boxes[:, :2]).prod(axis=1), 1e-6)
    crowded: Floats = covered.max(axis=1) > CROWDED * area
    return crowded


def _begin(
    known: _Features, row: int, appearance: Histogram | None, frame: int, index: int
) -> Tracklet:
    return Tracklet(
        frames=[frame],
        detection_index=[index],
        marks=known.marks[row],
        center=known.center[row],
        size=float(known.size[row]),
        first_center=known.center[row],
        appearance=None if appearance is None else appearance.astype(np.float32),
    )


def _append(
    tracklet: Tracklet,
    known: _Features,
    row: int,
    appearance: Histogram | None,
    frame: int,
    index: int,
    fps: float,
) -> None:
    """Go on with a detection; an appearance of None is not remembered."""
    seconds = (frame - tracklet.frames[-1]) / fps
    marks = known.marks[row]
    steps = marks - tracklet.marks
    steps = steps[np.isfinite(steps[:, 0])]
    step = np.median(steps, axis=0) if len(steps) else known.center[row] - tracklet.center
    share = 1 - math.exp(-seconds / STEADINESS_S)
    tracklet.velocity = tracklet.velocity + share * (step / seconds - tracklet.velocity)
    tracklet.marks, tracklet.center = marks, known.center[row]
    tracklet.size += share * (float(known.size[row]) - tracklet.size)
    if appearance is not None:
        before = appearance if tracklet.appearance is None else tracklet.appearance
        new = np.float32(NEW_APPEARANCE_SHARE) * appearance
        tracklet.appearance = (1 - NEW_APPEARANCE_SHARE) * before + new
    tracklet.frames.append(frame)
    tracklet.detection_index.append(index)


def _features(poses: list[Pose]) -> _Features:
    marks = np.full((len(poses), MARK_COUNT, 2), np.nan, dtype=np.float32)
    size = np.zeros(len(poses))
    box = np.zeros((len(poses), 4))
    for start in range(0, len(poses), _BLOCK):
        block = slice(start, start + _BLOCK)
        clip = PoseClip.of(poses[block])
        clip.forget_impossible_points()
        points = clip.points
        marks[block, :18] = points[:, :18]
        for index, part in enumerate(("face", "left_hand", "right_hand"), start=18):
            marks[block, index] = _middle(points[:, PART_COLUMNS[part]])
        size[block] = np.where(
            np.isfinite(points).any(axis=(1, 2)), np.maximum(box_diagonals(points), 1.0), 0.0
        )
        box[block, :2] = np.nan_to_num(points, nan=np.inf).min(axis=1)
        box[block, 2:] = np.nan_to_num(points, nan=-np.inf).max(axis=1)
    seen = size > 0
    box[~seen] = 0.0
    return _Features(marks, (box[:, :2] + box[:, 2:]) / 2, size, box)


def _middle(points: Floats) -> Floats:
    """(n, k, 2) -> (n, 2), NaN where no point is seen."""
    count = np.isfinite(points[..., 0]).sum(axis=1)[:, None]
    return np.where(count > 0, np.nansum(points, axis=1) / np.maximum(count, 1), np.nan)
