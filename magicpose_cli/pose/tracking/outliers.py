"""Points that jump away for a few frames or flicker in for one: taken out; and where a film is cut.

What is taken out is a gap like any other and filled as one.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from magicpose_cli.arrays import Floats, Integers
from magicpose_cli.pose.clip import PART_COLUMNS, PoseClip
from magicpose_cli.pose.tracking.runs import columns_seen_alike

JUMP_FRAMES = 3  # the longest jump
JUMP_S = 0.15  # and no longer than this, where frames are few
JUMP = 0.07  # sizes of the person by which a point must leave its path
# A point that comes back to elsewhere has moved, and one that is off as far all the time is shaken:
# the deviation must be so many times as large as each.
OVER_MOTION, OVER_USUAL = 1.2, 4.0
NEIGHBORHOOD_S = 0.4  # to both sides, where the usual deviation is measured
INNER = 0.5  # of the deviation: what moves farther in a frame within or around the jump is a motion
WHOLE = 0.4  # share of a part's points whose jump is the jump of the part
FLICKER_FRAMES, FLICKER_S = 2, 0.15  # what is seen no longer is no part of a motion
# Of the middle score of the joints: what never reaches it is a guess, unless it is there for
# LASTING_S, in more than FULL of the frames.
STRONG, LASTING_S, FULL = 0.85, 1.0, 0.75
EDGE = 0.06  # of the picture's longer side
BODY_END = PART_COLUMNS["body"].stop
# Between two frames of one shot a person moves by less than this, in sizes, and by so much a second
# more where frames lie between.
CUT, CUT_PER_S = 0.4, 1.5


def remove_outliers(clip: PoseClip, parts: Sequence[str], size: Floats, fps: float) -> int:
    """Forget, in place, points that leave their path for up to JUMP_FRAMES frames and come back.

    Where frames are so few that one lasts longer than JUMP_S, a motion looks the same: nothing is
    forgotten. size: (frames,) pixels. Returns how many joints, hands and faces were taken out,
    counted by frames: a hand in one frame is one.
    """
    longest = min(JUMP_FRAMES, round(JUMP_S * fps))
    count = 0
    if longest == 0:
        return count
    for part in parts:
        points, seen = clip.points[:, PART_COLUMNS[part]], clip.seen[:, PART_COLUMNS[part]]
        jumped = np.zeros(seen.shape, dtype=bool)
        for frames, columns in columns_seen_alike(seen):
            path = points[np.ix_(frames, columns)].astype(np.float64)
            jumped[np.ix_(frames, columns)] = _off_path(path, frames, size[frames], longest, fps)
        jumped |= (jumped.sum(axis=1) > WHOLE * seen.sum(axis=1))[:, None] & seen
        count += int(jumped.sum() if part == "body" else jumped.any(axis=1).sum())
        points[jumped], clip.scores[:, PART_COLUMNS[part]][jumped] = np.nan, 0.0
    return count


def remove_flicker(clip: PoseClip, fps: float, max_gap_s: float) -> int:
    """Forget, in place, what comes and goes: what is seen for a moment or hardly trusted.

    Sightings of a point with gaps of up to `max_gap_s`, which will be filled, are a spell. One is
    forgotten that lasts less than FLICKER_S with the person seen for `max_gap_s` before and after,
    and one that is never seen as surely as the rest of the person and lasts less than LASTING_S or
    has holes: a joint under a table. One of a joint that is not there half of the time is, too,
    where it does not come farther into the picture than its edge: the hips of a
    half body. Returns how many joints, hands and faces, counted by frames.
    """
    somebody = np.flatnonzero(clip.seen.any(axis=1))
    scores = clip.scores[somebody]
    picture = clip.width, clip.height
    away = max(1, round(max_gap_s * fps))
    shortest, lasting = max(FLICKER_FRAMES, round(FLICKER_S * fps)), round(LASTING_S * fps)
    body = scores[:, PART_COLUMNS["body"]]
    strong = STRONG * float(np.median(body[body > 0])) if (body > 0).any() else 0.0
    gone = np.zeros(clip.seen.shape, dtype=bool)
    count = 0
    for frames, columns in columns_seen_alike(scores > 0):
        breaks = np.flatnonzero(np.diff(frames) > away)
        starts, ends = np.append(0, breaks + 1), np.append(breaks, len(frames) - 1)
        for start, end in zip(starts, ends, strict=True):
            first, last, rows = frames[start], frames[end], frames[start : end + 1]
            inside = first >= away and len(somebody) - 1 - last >= away
            length = last - first + 1
            holes = len(rows) < FULL * length
            weak = scores[np.ix_(rows, columns)].max() < strong and not (
                len(rows) == len(somebody) or (length >= lasting and not holes)
            )
            if len(frames) < len(somebody) / 2 and columns[0] < BODY_END:
                points = clip.points[np.ix_(somebody[rows], columns)]
                weak |= bool((_from_edge(points, picture) < EDGE * max(picture)).all())
            if weak or (inside and length <= shortest):
                gone[np.ix_(somebody[rows], columns)] = True
                count += len(rows)
    clip.forget(gone)
    return count


def _from_edge(points: Floats, picture: tuple[int, int]) -> Floats:
    """(...,) of (..., 2) pixels from the nearest edge of the picture; negative outside of it."""
    distance: Floats = np.minimum(points, np.array(picture) - points).min(axis=-1)
    return distance


def shot_bounds(clip: PoseClip, size: Floats, fps: float) -> list[int]:
    """Frames with which a new shot begins, or the person is back at another place.

    There nothing may be interpolated nor smoothed across. The bounds of what belongs together are
    [0, ..., frames].
    """
    frames = np.flatnonzero(clip.seen.any(axis=1))
    if len(frames) < 2:
        return [0, len(clip)]
    points = clip.points[frames]
    step = np.hypot(*np.moveaxis(np.diff(points, axis=0), 2, 0).astype(np.float64))
    between = np.diff(frames)
    limit = CUT + CUT_PER_S * (between - 1) / fps
    moved = row_medians(step) / size[frames[1:]]
    # Nothing in common to compare: the middles of what is seen.
    middle = row_medians(np.moveaxis(points, 2, 1).reshape(-1, points.shape[1])).reshape(-1, 2)
    strange = np.isnan(moved)
    moved[strange] = np.hypot(*np.diff(middle, axis=0)[strange].T) / size[frames[1:]][strange]
    return [0, *(int(f) for f in frames[1:][moved > limit]), len(clip)]


def row_medians(values: Floats) -> Floats:
    """(n,) medians of the numbers in each row; NaN where there are none."""
    ordered = np.sort(values, axis=1)  # NaN last
    count = np.isfinite(values).sum(axis=1)
    rows = np.arange(len(values))
    low, high = np.maximum(count - 1, 0) // 2, np.minimum(count // 2, values.shape[1] - 1)
    return np.where(count > 0, (ordered[rows, low] + ordered[rows, high]) / 2, np.nan)


def _off_path(path: Floats, frames: Integers, size: Floats, longest: int, fps: float) -> Floats:
    """(n, columns) bool: which of the points (n, columns, 2) are off their path.

    frames: (n,) in which they are seen; size: (n,) of the person there.
    """
    off = np.zeros(path.shape[:2], dtype=bool)
    reach = longest + max(2, round(NEIGHBORHOOD_S * fps))
    steps = np.hypot(*np.moveaxis(np.diff(path, axis=0), 2, 0))
    still = np.zeros((1, path.shape[1]))
    for length in range(1, longest + 1):
        if len(path) < length + 2:
            break
        away = _deviations(path, frames, length)
        least = away.min(axis=0)
        motion = np.hypot(*np.moveaxis(path[length + 1 :] - path[: -length - 1], 2, 0))
        found = (least > JUMP * size[1:-length, None]) & (least > OVER_MOTION * motion)
        found &= (frames[length + 1 :] - frames[: -length - 1] < 2 * length + 2)[:, None]
        # A motion speeds up and slows down: it moves before the way out and after the way back.
        coming, going = np.vstack([still, steps])[: len(least)], np.vstack([steps, still])
        found &= np.minimum(coming, going[length + 1 :]) < INNER * least
        for inside in range(1, length):
            found &= steps[inside : inside + len(least)] < INNER * least
        for start, column in zip(*np.nonzero(found), strict=True):
            near = np.r_[start - reach : start - length, start + length + 1 : start + reach]
            near = near[(near >= 0) & (near < len(least))]
            typical = np.median(least[near, column]) if len(near) else 0.0
            if least[start, column] > OVER_USUAL * typical:
                off[start + 1 : start + 1 + length, column] = True
    return off


def _deviations(path: Floats, frames: Integers, length: int) -> Floats:
    """How far each point of a run of `length` points is from the straight line across the run.

    Returns:
        (length, n - length - 1, columns); the line goes from the point before the run to the one
        after it.
    """
    before, after = path[: -length - 1], path[length + 1 :]
    start, end = frames[: -length - 1], frames[length + 1 :]
    away = []
    for inside in range(1, length + 1):
        stop = len(path) - length - 1 + inside
        share = ((frames[inside:stop] - start) / (end - start))[:, None, None]
        line = before + share * (after - before)
        away.append(np.hypot(*np.moveaxis(path[inside:stop] - line, 2, 0)))
    return np.stack(away)
