"""Frames and points that the detector missed: short for a while, held for longer."""

from __future__ import annotations

import numpy as np

from magicpose_cli.arrays import Floats, Integers, Mask
from magicpose_cli.errors import DetectionError
from magicpose_cli.pose.clip import PART_COLUMNS, PoseClip, has_mesh
from magicpose_cli.pose.tracking.runs import columns_seen_alike

# A face or hand is where this joint is.
GAP_ANCHORS = {"face": "nose", "left_hand": "left_wrist", "right_hand": "right_wrist"}
MIN_SEEN_SHARE = 0.5  # of the points that are usually seen: a person, not a piece of one
SURE_GUESS = 0.5  # score from which on a guess is a joint that the picture's edge hides
FILLED_SCORE = 0.5  # scores of filled points, as a share of their neighbors'
SLOPE_POINTS = 4  # sightings on each side of a gap that tell the speed there
# The speeds at both ends of a gap are believed by this much, else the way across it is straight.
SLOPE_TRUST = 0.8


def fill_from_guesses(clip: PoseClip) -> None:
    """Place, in place, joints just outside of the picture where the detector guesses them surely.

    Of joints that are seen half of the time: else they would come and go with each step over the
    edge. The points' scores are lower, as of all that is filled.
    """
    if clip.body_guess is None:
        return
    somebody = clip.seen.any(axis=1)
    body = PART_COLUMNS["body"]
    usual = clip.seen[somebody][:, body].mean(axis=0) >= MIN_SEEN_SHARE if somebody.any() else False
    for frame in np.flatnonzero(somebody):
        guess = clip.body_guess[frame]
        with np.errstate(invalid="ignore"):
            outside = ~((guess[:, :2] >= 0) & (guess[:, :2] < (clip.width, clip.height))).all(
                axis=1
            )
            filled = usual & outside & (guess[:, 2] >= SURE_GUESS) & ~clip.seen[frame, body]
        clip.points[frame, body][filled] = guess[filled, :2]
        clip.scores[frame, body][filled] = FILLED_SCORE * guess[filled, 2]


def interpolate_gaps(clip: PoseClip, max_gap_frames: int) -> None:
    """Fill in place the points unseen for at most `max_gap_frames` frames.

    They go on a curve between the detections before and after that keeps the speed at both ends
    (cubic Hermite). Faces and hands move with their joint where it is known all the way. Filled
    points have lower scores. The mesh of a face that is filled in goes where the face goes.
    """
    faceless = ~clip.seen[:, PART_COLUMNS["face"]].any(axis=1)
    for part, columns in PART_COLUMNS.items():  # the body first: the others are anchored to it
        points, scores = clip.points[:, columns], clip.scores[:, columns]
        anchor = clip.joint(GAP_ANCHORS[part]) if part in GAP_ANCHORS else None
        for frames, group in columns_seen_alike(scores > 0):
            gap = np.diff(frames)
            if ((gap > 1) & (gap <= max_gap_frames + 1)).any():
                _interpolate_alike(points, scores, frames, group, anchor, max_gap_frames)
    if clip.face_mesh is not None:
        filled = faceless & clip.seen[:, PART_COLUMNS["face"]].any(axis=1)
        _interpolate_mesh(clip.face_mesh, clip.part("face"), filled, max_gap_frames)


def hold_last(clip: PoseClip) -> Mask:
    """Give frames that are still empty, in place, the last person before them, with lower scores.

    At the start they get the first one. Of a person who leaves the picture the last that is seen is
    an arm; they are held as they were when most of them was seen.

    Returns:
        (frames,) which frames were filled.
    """
    somebody = clip.seen.any(axis=1)
    empty = np.flatnonzero(~somebody)
    if len(empty) and somebody.any():
        count = clip.seen.sum(axis=1)
        frames = np.flatnonzero(count >= MIN_SEEN_SHARE * np.median(count[somebody]))
        source = frames[np.maximum(np.searchsorted(frames, empty) - 1, 0)]
        clip.points[empty] = clip.points[source]
        clip.scores[empty] = FILLED_SCORE * clip.scores[source]
        if clip.face_mesh is not None:
            clip.face_mesh[empty] = clip.face_mesh[source]
    held: Mask = ~somebody
    return held


def nobody_seen(frame_count: int) -> DetectionError:
    """The error for a film in which nobody is seen."""
    return DetectionError(
        f"driver: no person was found in any of its {frame_count} frames; "
        "expected a film of one person, large enough and not cut off at the head"
    )


def _interpolate_alike(
    points: Floats,
    scores: Floats,
    frames: Integers,
    columns: Integers,
    anchor: Floats | None,
    max_gap_frames: int,
) -> None:
    """Fill the gaps of some columns of a part that are seen in the same `frames`."""
    gap = np.diff(frames)
    short = (gap > 1) & (gap <= max_gap_frames + 1)
    missing = np.setdiff1d(np.arange(frames[0], frames[-1]), frames, assume_unique=True)
    which = np.searchsorted(frames, missing) - 1
    missing, which = missing[short[which]], which[short[which]]
    path = points[np.ix_(frames, columns)].astype(np.float64)
    filled = _curve(path, frames, missing, which)
    if anchor is not None:
        base = anchor.astype(np.float64)
        known = np.append(0, np.cumsum(np.isfinite(base).all(axis=1)))
        through = known[frames[which + 1] + 1] - known[frames[which]] == gap[which] + 1
        moving = _curve(path - base[frames, None], frames, missing, which) + base[missing, None]
        filled = np.where(through[:, None, None], moving, filled)
    points[np.ix_(missing, columns)] = filled
    neighbors = np.minimum(
        scores[np.ix_(frames[which], columns)], scores[np.ix_(frames[which + 1], columns)]
    )
    scores[np.ix_(missing, columns)] = FILLED_SCORE * neighbors


def _interpolate_mesh(meshes: Floats, faces: Floats, chosen: Mask, max_gap_frames: int) -> None:
    """Fill in place the meshes of the `chosen` frames, as shares of those before and after.

    meshes: (frames, 478, 3); between two that are known at most `max_gap_frames` may lie. faces:
    (frames, 68, 2), already filled, which tell where the mesh is.
    """
    frames = np.flatnonzero(has_mesh(meshes))
    missing = np.flatnonzero(chosen & ~has_mesh(meshes))
    after = np.searchsorted(frames, missing)
    inside = (after > 0) & (after < len(frames))
    missing, after = missing[inside], after[inside]
    for frame, start, end in zip(missing, frames[after - 1], frames[after], strict=True):
        if end - start <= max_gap_frames + 1:
            share = np.float32((frame - start) / (end - start))
            meshes[frame] = meshes[start] + share * (meshes[end] - meshes[start])
            straight = faces[start] + share * (faces[end] - faces[start])
            aside = (faces[frame] - straight)[np.isfinite(faces[[start, frame, end]]).all((0, 2))]
            if len(aside):
                meshes[frame, :, :2] += aside.mean(axis=0)


def _curve(path: Floats, frames: Integers, missing: Integers, which: Integers) -> Floats:
    """(missing, columns, 2) on the way from detection `which` to the next one.

    path: (detections, columns, 2), seen in `frames`.
    """
    before, after = _slopes(path, frames)
    length = np.diff(frames)[which][:, None, None].astype(np.float64)
    share = (missing - frames[which])[:, None, None] / length
    chord = path[which + 1] - path[which]
    # Cubic Hermite, written as the straight line and what the speeds bend it by.
    leaving = _bending(before[which], chord, length)
    arriving = _bending(after[which + 1], chord, length)
    bend = share * (1 - share) * ((1 - share) * leaving - share * arriving)
    filled: Floats = path[which] + share * chord + bend
    return filled


def _bending(slope: Floats, chord: Floats, length: Floats) -> Floats:
    """How the speed at an end differs from the straight way's, over the whole gap; 0 if unknown."""
    return SLOPE_TRUST * np.nan_to_num(slope * length - chord)


def _slopes(path: Floats, frames: Integers) -> tuple[Floats, Floats]:
    """Speeds a frame at each detection, told from those before it and from those after it.

    Least squares over SLOPE_POINTS neighboring frames; NaN where these are not all there.
    """
    before = np.full_like(path, np.nan)
    after = np.full_like(path, np.nan)
    if len(frames) >= SLOPE_POINTS:
        last = SLOPE_POINTS - 1
        time = np.arange(SLOPE_POINTS) - last / 2
        rows = len(frames) - last
        fitted = sum(t * path[k : k + rows] for k, t in enumerate(time)) / (time**2).sum()
        close = frames[last:] - frames[:rows] == last
        before[last:][close] = fitted[close]
        after[:rows][close] = fitted[close]
    return before, after
