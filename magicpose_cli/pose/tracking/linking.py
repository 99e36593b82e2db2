"""Who is who from frame to frame: sightings linked by where they move and what they wear.

Each frame is assigned as a whole (Hungarian), so that two who cross do not both take the nearer
sighting. A track that is lost for long ends; `join.py` puts the pieces together.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np

from magicpose_cli.pose.keypoints import Pose
from magicpose_cli.pose.tracking.appearance import look_distance
from magicpose_cli.pose.tracking.assignment import assign
from magicpose_cli.pose.tracking.stack import COLUMNS, Stack, box_diagonals


@dataclass(frozen=True, eq=False)
class Detection:
    """Somebody in a frame, and what they wear (`look_of`); None where there is no picture."""

    pose: Pose
    look: np.ndarray | None = None


# A person is compared by 18 joints and the middles of face and hands.
MARKS = 21
MIRRORED = np.array([0, 1, 5, 6, 7, 2, 3, 4, 11, 12, 13, 8, 9, 10, 15, 14, 17, 16, 18, 20, 19])
# How far from where they are expected people may be, in sizes of their own (diagonals of the box
# around them): more the longer they have not been seen.
REACH, REACH_PER_S, MAX_REACH = 0.3, 1.5, 2.0
REFUSAL = 0.9  # cost above which two sightings are two people; the parts are reach and look
UNKNOWN_LOOK = 0.3  # stands for the distance of looks that are not known
LOST_S = 1.5  # a track that is not seen for longer ends
COASTING_S = 0.7  # nobody goes on for much longer as they went when they were hidden
STEADINESS_S = 0.15  # over which a velocity is averaged
LOOK_MEMORY = 0.05  # share of a new look in the remembered one
CROWDED = 0.25  # share of a box covered by another one from which on a look may be the other's
_BLOCK = 4096  # sightings worked on at a time


@dataclass(eq=False)
class Track:
    """One person over some frames.

    frames: where they are seen, in order; who: the index of the sighting in each of them.
    marks (MARKS, 2), center (2,): where they were last; velocity (2,) pixels a second; size pixels.
    look: remembered clothes, (LOOK_SIZE,) in 0..255, None where unknown.
    """

    frames: list[int]
    who: list[int]
    marks: np.ndarray
    center: np.ndarray
    size: float
    first_center: np.ndarray
    look: np.ndarray | None = None
    velocity: np.ndarray = field(default_factory=lambda: np.zeros(2))

    def expected(self, seconds: float) -> np.ndarray:
        """(2,) how far they have gone since they were seen last."""
        return self.velocity * COASTING_S * (1 - math.exp(-seconds / COASTING_S))


@dataclass(frozen=True)
class _Features:
    """Of all sightings of a clip, one row each: marks (S, MARKS, 2), center (S, 2), size (S,),
    box (S, 4) left, top, right, bottom."""

    marks: np.ndarray
    center: np.ndarray
    size: np.ndarray
    box: np.ndarray


def follow(sightings: Sequence[Sequence[Detection]], fps: float) -> list[Track]:
    """Link the sightings of each frame to tracks; every sighting of somebody is in one."""
    known = _features([s.pose for people in sightings for s in people])
    ended: list[Track] = []
    active: list[Track] = []
    row = 0
    for frame, people in enumerate(sightings):
        rows = np.arange(row, row + len(people))
        row += len(people)
        rows = rows[known.size[rows] > 0]
        lost = [t for t in active if (frame - t.frames[-1]) / fps > LOST_S]
        if lost:
            ended += lost
            active = [t for t in active if t not in lost]
        if not len(rows):
            continue
        looks = [people[r - row + len(people)].look for r in rows]
        pairs = []
        if active:
            pairs = assign(_costs(active, known, rows, looks, frame, fps), REFUSAL)
        crowded = _crowded(known.box[rows])
        for index, column in pairs:
            look = None if crowded[column] else looks[column]
            who = int(rows[column]) - row + len(people)
            _append(active[index], known, int(rows[column]), look, frame, who, fps)
        for column in set(range(len(rows))) - {column for _, column in pairs}:
            who = int(rows[column]) - row + len(people)
            active.append(_begin(known, int(rows[column]), looks[column], frame, who))
    return sorted(ended + active, key=lambda track: track.frames[0])


def _costs(
    tracks: list[Track],
    known: _Features,
    rows: np.ndarray,
    looks: list[np.ndarray | None],
    frame: int,
    fps: float,
) -> np.ndarray:
    """(tracks, sightings): distance in reaches and distance of the looks; infinite out of reach."""
    seconds = [(frame - track.frames[-1]) / fps for track in tracks]
    moved = np.stack([t.expected(s) for t, s in zip(tracks, seconds, strict=True)])
    size = np.array([track.size for track in tracks])[:, None]
    size = (size + known.size[rows]) / 2
    marks = np.stack([track.marks for track in tracks]) + moved[:, None]
    centers = np.stack([track.center for track in tracks]) + moved
    by_center = np.hypot(*np.moveaxis(centers[:, None] - known.center[rows], 2, 0)) / size
    found = known.marks[rows]
    distance = np.minimum(
        _apart(marks, found, size, by_center), _apart(marks, found[:, MIRRORED], size, by_center)
    )
    reach = np.minimum(REACH + REACH_PER_S * np.array(seconds), MAX_REACH)[:, None]
    with np.errstate(invalid="ignore"):
        return np.where(distance <= reach, distance / reach, np.inf) + _look_costs(tracks, looks)


def _apart(
    marks: np.ndarray, found: np.ndarray, size: np.ndarray, by_center: np.ndarray
) -> np.ndarray:
    """(tracks, sightings): mean distance of the marks both show, in sizes of the person."""
    distance = np.hypot(*np.moveaxis(marks[:, None] - found, 3, 0)) / size[..., None]
    both = np.isfinite(distance)
    count = both.sum(axis=2)
    total = np.where(both, np.minimum(distance, MAX_REACH), 0.0).sum(axis=2)
    return np.where(count > 0, total / np.maximum(count, 1), by_center)


def _look_costs(tracks: list[Track], looks: list[np.ndarray | None]) -> np.ndarray:
    costs = np.full((len(tracks), len(looks)), UNKNOWN_LOOK)
    remembered = [i for i, track in enumerate(tracks) if track.look is not None]
    shown = [j for j, look in enumerate(looks) if look is not None]
    if remembered and shown:
        one = np.stack([tracks[i].look for i in remembered])  # type: ignore[misc]
        other = np.stack([looks[j] for j in shown])  # type: ignore[misc]
        apart = look_distance(one[:, None], other[None])
        costs[np.ix_(remembered, shown)] = np.where(np.isnan(apart), UNKNOWN_LOOK, apart)
    return costs


def _crowded(boxes: np.ndarray) -> np.ndarray:
    """(n,) whether another's box covers a good part of one's own."""
    if len(boxes) == 1:
        return np.zeros(1, dtype=bool)
    low = np.maximum(boxes[:, None, :2], boxes[None, :, :2])
    high = np.minimum(boxes[:, None, 2:], boxes[None, :, 2:])
    covered = np.maximum(high - low, 0.0).prod(axis=2)
    np.fill_diagonal(covered, 0.0)
    area = np.maximum((boxes[:, 2:] - boxes[:, :2]).prod(axis=1), 1e-6)
    return covered.max(axis=1) > CROWDED * area


def _begin(known: _Features, row: int, look: np.ndarray | None, frame: int, who: int) -> Track:
    return Track(
        frames=[frame],
        who=[who],
        marks=known.marks[row],
        center=known.center[row],
        size=float(known.size[row]),
        first_center=known.center[row],
        look=None if look is None else look.astype(np.float32),
    )


def _append(
    track: Track,
    known: _Features,
    row: int,
    look: np.ndarray | None,
    frame: int,
    who: int,
    fps: float,
) -> None:
    """Go on with a sighting; a look of None is not remembered."""
    seconds = (frame - track.frames[-1]) / fps
    marks = known.marks[row]
    steps = marks - track.marks
    steps = steps[np.isfinite(steps[:, 0])]
    step = np.median(steps, axis=0) if len(steps) else known.center[row] - track.center
    share = 1 - math.exp(-seconds / STEADINESS_S)
    track.velocity = track.velocity + share * (step / seconds - track.velocity)
    track.marks, track.center = marks, known.center[row]
    track.size += share * (float(known.size[row]) - track.size)
    if look is not None:
        before = look if track.look is None else track.look
        track.look = (1 - LOOK_MEMORY) * before + np.float32(LOOK_MEMORY) * look
    track.frames.append(frame)
    track.who.append(who)


def _features(poses: list[Pose]) -> _Features:
    marks = np.full((len(poses), MARKS, 2), np.nan, dtype=np.float32)
    size = np.zeros(len(poses))
    box = np.zeros((len(poses), 4))
    for start in range(0, len(poses), _BLOCK):
        block = slice(start, start + _BLOCK)
        points = Stack.of(poses[block]).points
        marks[block, :18] = points[:, :18]
        for index, part in enumerate(("face", "left_hand", "right_hand"), start=18):
            marks[block, index] = _middle(points[:, COLUMNS[part]])
        size[block] = np.where(
            np.isfinite(points).any(axis=(1, 2)), np.maximum(box_diagonals(points), 1.0), 0.0
        )
        box[block, :2] = np.nan_to_num(points, nan=np.inf).min(axis=1)
        box[block, 2:] = np.nan_to_num(points, nan=-np.inf).max(axis=1)
    seen = size > 0
    box[~seen] = 0.0
    return _Features(marks, (box[:, :2] + box[:, 2:]) / 2, size, box)


def _middle(points: np.ndarray) -> np.ndarray:
    """(n, k, 2) -> (n, 2), NaN where no point is seen."""
    count = np.isfinite(points[..., 0]).sum(axis=1)[:, None]
    return np.where(count > 0, np.nansum(points, axis=1) / np.maximum(count, 1), np.nan)
