"""Two who were taken for each other where they crossed: told by how they went on, and put right.

While one passes another, both are in one place, and what each of them does there is read badly. But
people go on as they came: who stood still stands still, who walked walks on. Clothes tell, too.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import combinations

import numpy as np

from magicpose_cli.arrays import AnyArray, Floats, Integers
from magicpose_cli.pose.tracking.appearance import appearance_distance
from magicpose_cli.pose.tracking.linking import Detection, Tracklet
from magicpose_cli.pose.tracking.merging import MAX_TRACKLETS
from magicpose_cli.pose.tracking.outliers import row_medians
from magicpose_cli.pose.tracking.runs import runs

# Lengths are in sizes of the person.
MET = 0.25  # between two people who are in one place
LONGEST_S = 1.0  # that they are there: who stays longer may go anywhere
BEFORE_S = 0.4  # in which is seen how each of them comes and goes
CLEARLY = 0.15  # by which they must go on better as exchanged
CLOTHES = 2.0  # what a distance of two histograms counts: other clothes decide alone


def undo_crossing_swaps(
    tracklets: Sequence[Tracklet], detections: Sequence[Sequence[Detection]], fps: float
) -> None:
    """Exchange, in place, how two tracklets go on after a crossing, where that is more likely.

    Args:
        tracklets: Of `link`.
        detections: Everybody in each frame.
        fps: Frames a second.
    """
    longest = sorted(tracklets, key=lambda tracklet: -len(tracklet.frames))[:MAX_TRACKLETS]
    places = {tracklet: _places(tracklet, detections) for tracklet in longest}
    for one, other in combinations(longest, 2):
        if min(one.frames[-1], other.frames[-1]) <= max(one.frames[0], other.frames[0]):
            continue
        size = (one.size + other.size) / 2
        for first, last in _meetings(one, other, places, size, fps):
            if _swapped(one, other, places, detections, (first, last), size, fps):
                _exchange_tails(one, other, (first + last) // 2)
                places |= {t: _places(t, detections) for t in (one, other)}


def _places(tracklet: Tracklet, detections: Sequence[Sequence[Detection]]) -> Floats:
    """(seen frames, 2) pixels, the middle of the joints; NaN where there is none."""
    bodies = [
        detections[frame][index].pose.body
        for frame, index in zip(tracklet.frames, tracklet.detection_index, strict=True)
    ]
    joints = np.moveaxis(np.array(bodies, dtype=np.float64), 2, 1)
    return row_medians(joints.reshape(-1, joints.shape[2])).reshape(-1, 2)


def _meetings(
    one: Tracklet, other: Tracklet, places: dict[Tracklet, Floats], size: float, fps: float
) -> list[tuple[int, int]]:
    """Frames, first and after the last, of each time that two are in one place for a while."""
    common, mine, theirs = np.intersect1d(one.frames, other.frames, return_indices=True)
    apart = np.hypot(*(places[one][mine] - places[other][theirs]).T)
    common, apart = common[np.isfinite(apart)], apart[np.isfinite(apart)]
    if not (apart < MET * size).any():
        return []
    frames = np.arange(common[0], common[-1] + 1)
    met = np.interp(frames, common, apart) < MET * size
    return [
        (int(common[0]) + first, int(common[0]) + last)
        for first, last in runs(met)
        if last - first <= LONGEST_S * fps
    ]


def _swapped(
    one: Tracklet,
    other: Tracklet,
    places: dict[Tracklet, Floats],
    detections: Sequence[Sequence[Detection]],
    meeting: tuple[int, int],
    size: float,
    fps: float,
) -> bool:
    """Whether two go on more likely as each other after they met."""
    first, last = meeting
    reach = max(3, round(BEFORE_S * fps))
    before, after = np.arange(first - reach, first), np.arange(last, last + reach)
    coming = [_line(tracklet, places[tracklet], before) for tracklet in (one, other)]
    going = [_line(tracklet, places[tracklet], after) for tracklet in (one, other)]
    if any(line is None for line in (*coming, *going)):
        return False
    middle = (before[-1] + after[0]) / 2
    looks = [
        [_look(tracklet, detections, frames) for frames in (before, after)]
        for tracklet in (one, other)
    ]
    costs = np.zeros((2, 2))
    for i, line in enumerate(coming):
        for j, following in enumerate(going):
            assert line is not None and following is not None
            gap = (line[0] + line[1] * (middle - before.mean())) - (
                following[0] + following[1] * (middle - after.mean())
            )
            turn = (line[1] - following[1]) * (last - first + reach) / 2
            costs[i, j] = (np.hypot(*gap) + np.hypot(*turn)) / size
            worn, wears = looks[i][0], looks[j][1]
            if worn is not None and wears is not None:
                costs[i, j] += CLOTHES * float(np.nan_to_num(appearance_distance(worn, wears)))
    return bool(costs[0, 1] + costs[1, 0] + CLEARLY < costs[0, 0] + costs[1, 1])


def _line(tracklet: Tracklet, places: Floats, frames: Integers) -> tuple[Floats, Floats] | None:
    """(2,) the middle of a way and (2,) its speed a frame; None where too little is seen of it."""
    rows = np.flatnonzero(np.isin(tracklet.frames, frames) & np.isfinite(places[:, 0]))
    if len(rows) < max(3, len(frames) // 2):
        return None
    time = np.array(tracklet.frames)[rows] - frames.mean()
    speed, middle = np.polyfit(time, places[rows], 1)
    return middle, speed


def _look(
    tracklet: Tracklet, detections: Sequence[Sequence[Detection]], frames: Integers
) -> AnyArray | None:
    """What somebody wears in some frames; None where that is not known."""
    index = dict(zip(tracklet.frames, tracklet.detection_index, strict=True))
    looks = [detections[f][index[f]].appearance for f in frames.tolist() if f in index]
    known = [look for look in looks if look is not None]
    return np.mean(known, axis=0) if known else None


def _exchange_tails(one: Tracklet, other: Tracklet, frame: int) -> None:
    """Give each tracklet what the other one has from a frame on, in place."""
    at, across = (int(np.searchsorted(t.frames, frame)) for t in (one, other))
    one.frames, other.frames = (
        one.frames[:at] + other.frames[across:],
        other.frames[:across] + one.frames[at:],
    )
    one.detection_index, other.detection_index = (
        one.detection_index[:at] + other.detection_index[across:],
        other.detection_index[:across] + one.detection_index[at:],
    )
    for name in ("marks", "center", "size", "velocity"):
        mine, theirs = getattr(one, name), getattr(other, name)
        setattr(one, name, theirs)
        setattr(other, name, mine)
