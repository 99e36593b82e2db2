"""Limbs of somebody else on the person, told by where both were before and after: taken out.

Where two people touch or cross, a detector gives both the same arm or leg, or sees one person who
has some limbs of each. Such a limb is compared with the ways of both people's from when it was sure
to when it is sure again; it belongs to whom it is nearer. What two who are seen have exchanged for
a moment is given back. What is in the colors that the other one wears is theirs, too.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from magicpose_cli.arrays import AnyArray, Floats, Integers, Mask
from magicpose_cli.pose.clip import PART_COLUMNS, PoseClip
from magicpose_cli.pose.keypoints import BODY_JOINTS, Pose
from magicpose_cli.pose.tracking.appearance import HISTOGRAM_SIZE, REGIONS, region_distances
from magicpose_cli.pose.tracking.linking import Detection
from magicpose_cli.pose.tracking.side_swaps import exchanged_frames

# Of the person's size, as all lengths here.
SHARED = 0.05  # limbs of two people that are nearer are one limb, read twice
AWAY = 0.08  # from its own way, at least, of a limb that is somebody else's
NEARER = 0.6  # to the other's way, of the distance from its own
NEAR = 0.25  # between two boxes: people are mixed no farther apart
REACH_S = 1.0  # from a sure sighting on: a limb may be anywhere later
ALIKER = 0.1  # by how much nearer, in histograms, colors are to the other's clothes to be theirs
MIN_LOOKS = 5  # frames apart that tell what somebody wears
WHILE_S = 0.3  # around frames in which they are near


def _limbs() -> list[tuple[list[int], list[int], list[int]]]:
    """Of each limb the joints, the other side's, and the columns of all that goes with it."""
    at = BODY_JOINTS.index
    limbs = []
    for side, opposite in (("right", "left"), ("left", "right")):
        for names, tip in ((("elbow", "wrist"), True), (("knee", "ankle"), False)):
            own = [at(f"{side}_{name}") for name in names]
            hand = PART_COLUMNS[f"{side}_hand"] if tip else slice(0)
            mirrored = [at(f"{opposite}_{name}") for name in names]
            limbs.append((own, mirrored, [*own, *range(*hand.indices(128))]))
    head = [at(name) for name in ("nose", "right_eye", "left_eye", "right_ear", "left_ear")]
    limbs.append(([at("nose")], [at("nose")], [*head, *range(*PART_COLUMNS["face"].indices(128))]))
    for name in ("hip", "shoulder"):
        pair = [at(f"right_{name}"), at(f"left_{name}")]
        limbs.append((pair, pair[::-1], [*pair, at("neck")] if name == "shoulder" else pair))
    return limbs


def _regions() -> list[list[int]]:
    """The columns of what `appearance_histogram` looks at: torso, arms, legs; and all."""
    named: dict[str, list[int]] = {}
    for column, name in enumerate(BODY_JOINTS):
        named.setdefault(name.split("_")[-1], []).append(column)
    hands = [c for side in ("right", "left")
             for c in range(*PART_COLUMNS[f"{side}_hand"].indices(128))]  # fmt: skip
    return [
        [*named["neck"], *named["shoulder"], *named["hip"]],
        [*named["elbow"], *named["wrist"], *hands],
        [*named["knee"], *named["ankle"]],
        list(range(128)),
    ]


_LIMBS, _REGIONS = _limbs(), _regions()


def remove_shared_limbs(
    clip: PoseClip,
    detections: Sequence[Sequence[Detection]],
    own_index: Integers,
    others: Sequence[Integers],
    size: Floats,
    fps: float,
) -> Mask:
    """Forget, in place, limbs of others that are on the person.

    Args:
        clip: the followed person.
        detections: everybody in each frame.
        own_index: (frames,) the person's index there, -1 where they are not seen.
        others: the same of everybody else.
        size: (frames,) of the person, pixels.
        fps: frames a second.

    Returns:
        (frames,) in which something was taken out.
    """
    taken = np.zeros(len(clip), dtype=bool)
    own_look = _looks(detections, own_index)
    for index in others:
        near = _near(clip, detections, index, size, fps)
        if not near.any():
            continue
        worn = _in_others_clothes(own_look, _looks(detections, index), near)
        for region, columns in enumerate(_REGIONS):
            taken |= _forget(clip, worn[:, region], columns)
        other = _clip_of(clip, detections, index)
        for joints, _, columns in _LIMBS:
            pairs = np.stack([clip.points[:, joints], other.points[:, joints]], axis=2)
            pairs[~near] = np.nan
            frames = exchanged_frames(pairs, size, fps)
            _exchange(clip, other, frames, columns)
            taken[frames] = True
        units = size[:, None, None]
        for joints, mirrored, columns in _LIMBS:
            own, theirs, across = (
                points.astype(np.float64) / units
                for points in (
                    clip.points[:, joints], other.points[:, joints], other.points[:, mirrored],
                )
            )  # fmt: skip
            foreign = _foreign(own, theirs, across, near, fps)
            taken |= _forget(clip, foreign, columns)
    return taken


def _forget(clip: PoseClip, chosen: Mask, columns: list[int]) -> Mask:
    """Forget columns in the chosen frames, in place; returns in which frames any was seen."""
    gone = np.zeros(clip.seen.shape, dtype=bool)
    gone[np.ix_(np.flatnonzero(chosen), np.array(columns))] = True
    gone &= clip.seen
    clip.forget(gone)
    touched: Mask = gone.any(axis=1)
    return touched


def _looks(detections: Sequence[Sequence[Detection]], index: Integers) -> AnyArray:
    """(frames, HISTOGRAM_SIZE) what somebody wears; 0 where that is not seen."""
    looks = np.zeros((len(index), HISTOGRAM_SIZE), np.uint8)
    for frame in np.flatnonzero(index >= 0):
        appearance = detections[frame][index[frame]].appearance
        if appearance is not None:
            looks[frame] = appearance
    return looks


def _in_others_clothes(own: AnyArray, other: AnyArray, near: Mask) -> Mask:
    """(frames, REGIONS + 1) which regions of the person are in colors of the other's.

    The last column is all of the body: where most of what is seen is.

    Args:
        own: (frames, HISTOGRAM_SIZE) as of `_looks`.
        other: The same of the other person.
        near: (frames,) in which they may be mixed; the others tell what each of them wears.
    """
    foreign = np.zeros((len(own), REGIONS + 1), dtype=bool)
    remembered = [look[~near & look.any(axis=1)] for look in (own, other)]
    if min(map(len, remembered)) < MIN_LOOKS:
        return foreign
    mine, theirs = (
        region_distances(own, look.astype(np.float32).mean(axis=0)) for look in remembered
    )
    with np.errstate(invalid="ignore"):
        foreign[:, :REGIONS] = near[:, None] & (mine - theirs > ALIKER)
    seen = np.isfinite(mine - theirs).sum(axis=1)
    foreign[:, REGIONS] = 2 * foreign[:, :REGIONS].sum(axis=1) > np.maximum(seen, 1)
    return foreign


def _clip_of(
    clip: PoseClip, detections: Sequence[Sequence[Detection]], index: Integers
) -> PoseClip:
    """Somebody else's poses, empty where they are not seen."""
    nobody = Pose.of(clip.width, clip.height)
    return PoseClip.of(
        [p[i].pose if i >= 0 else nobody for p, i in zip(detections, index, strict=True)]
    )


def _exchange(clip: PoseClip, other: PoseClip, frames: Integers, columns: list[int]) -> None:
    """Give each person what is on the other one, in place; in space it is not known then."""
    where = np.ix_(frames, np.array(columns))
    for one, two in ((clip.points, other.points), (clip.scores, other.scores)):
        one[where], two[where] = two[where], one[where]
    joints = np.array([column for column in columns if column < len(BODY_JOINTS)])
    for person in (clip, other):
        if person.body_3d is not None:
            person.body_3d[np.ix_(frames, joints)] = np.nan
        if columns[-1] in range(*PART_COLUMNS["face"].indices(128)):
            for values in (person.face_3d, person.face_mesh):
                if values is not None:
                    values[frames] = np.nan


def _near(
    clip: PoseClip,
    detections: Sequence[Sequence[Detection]],
    index: Integers,
    size: Floats,
    fps: float,
) -> Mask:
    """(frames,) whether two people are near each other, or have been or will be in a moment."""
    theirs = np.full((len(index), len(BODY_JOINTS), 2), np.nan)
    for frame in np.flatnonzero(index >= 0):
        theirs[frame] = detections[frame][index[frame]].pose.body
    (low, high), (other_low, other_high) = (
        _box(points, fps) for points in (clip.points[:, : len(BODY_JOINTS)], theirs)
    )
    apart = np.maximum(np.maximum(other_low - high, low - other_high), 0.0)
    with np.errstate(invalid="ignore"):
        near = np.hypot(*apart.T) < NEAR * size
    reach = round(WHILE_S * fps)
    whole = np.convolve(near, np.ones(2 * reach + 1))  # "same" would be as long as the longer one
    around: Mask = whole[reach : reach + len(near)] > 0.5
    return around


def _box(joints: Floats, fps: float) -> tuple[Floats, Floats]:
    """(frames, 2) left top and right bottom of a body, for a while where it is not seen."""
    low = np.nan_to_num(joints, nan=np.inf).min(axis=1).astype(np.float64)
    high = np.nan_to_num(joints, nan=-np.inf).max(axis=1).astype(np.float64)
    corners = np.stack([low, high], axis=1)
    way = _way(corners, np.isfinite(low).all(axis=1), fps)
    return way[:, 0], way[:, 1]


def _foreign(own: Floats, other: Floats, mirrored: Floats, near: Mask, fps: float) -> Mask:
    """(frames,) whether a limb (frames, joints, 2) is the other person's."""
    seen, other_seen = (np.isfinite(p[..., 0]).all(axis=1) for p in (own, other))
    shared = near & (np.fmin(_apart(own, other), _apart(own, mirrored)) < SHARED)
    doubtful: Mask = seen & (shared | (near & ~other_seen))
    if not doubtful.any():
        return doubtful
    away = _apart(own, _way(own, seen & ~doubtful, fps))
    to_other = np.fmin(
        _apart(own, _way(other, other_seen & ~shared, fps)),
        _apart(own, _way(mirrored, other_seen & ~shared, fps)),
    )
    with np.errstate(invalid="ignore"):
        foreign: Mask = doubtful & (away > AWAY) & (to_other < NEARER * away)
    return foreign


def _apart(one: Floats, other: Floats) -> Floats:
    """(frames,) mean distance of joints; NaN where one is not known."""
    distance: Floats = np.hypot(*np.moveaxis(one - other, 2, 0)).mean(axis=1)
    return distance


def _way(points: Floats, sure: Mask, fps: float) -> Floats:
    """(frames, joints, 2) straight between sure sightings; NaN farther than REACH_S from one."""
    frames = np.flatnonzero(sure)
    everywhere = np.arange(len(points))
    way = np.full(points.shape, np.nan)
    if not len(frames):
        return way
    after = np.clip(np.searchsorted(frames, everywhere), 0, len(frames) - 1)
    before = np.clip(np.searchsorted(frames, everywhere, side="right") - 1, 0, len(frames) - 1)
    nearest = np.minimum(np.abs(frames[after] - everywhere), np.abs(everywhere - frames[before]))
    known = nearest <= REACH_S * fps
    for joint in range(points.shape[1]):
        for axis in (0, 1):
            path = np.interp(everywhere, frames, points[frames, joint, axis])
            way[known, joint, axis] = path[known]
    return way
