"""Left and right exchanged for some frames by the detector: found and swapped back.

For each group of joints a path through the frames is sought (Viterbi) that says in which of them
its sides are exchanged, so that the joints go on as they went before. A person who turns around is
no flip: the sides then pass through each other at a steady speed, and taking them for exchanged
would make them bounce.
"""

from __future__ import annotations

import numpy as np

from magicpose_cli.arrays import Floats, Integers, Mask
from magicpose_cli.pose.clip import PART_COLUMNS, PoseClip
from magicpose_cli.pose.keypoints import BODY_JOINTS


def _pairs(*names: str) -> Integers:
    """(n, 2) columns of right and left."""
    return np.array(
        [[BODY_JOINTS.index(f"{side}_{name}") for side in ("right", "left")] for name in names]
    )


_FINGERS = np.column_stack(
    [np.arange(*PART_COLUMNS[f"{side}_hand"].indices(128)) for side in ("right", "left")]
)
_ARMS, _LEGS, _HEAD = (
    _pairs("shoulder", "elbow", "wrist"),
    _pairs("hip", "knee", "ankle"),
    _pairs("eye", "ear"),
)
_KNUCKLES = _FINGERS[[0, 5, 17]]  # enough to tell where a hand is
# What tells whether a group is exchanged, and what is swapped with it (pairs of columns). The whole
# body first: alone, a small group may not be sure.
SWAP_GROUPS = (
    (np.concatenate([_ARMS, _LEGS, _HEAD]), np.concatenate([_ARMS, _LEGS, _HEAD, _FINGERS])),
    (_ARMS, np.concatenate([_ARMS, _FINGERS])),
    (_LEGS, _LEGS),
    (_HEAD, _HEAD),
    (_KNUCKLES, _FINGERS),
)
# Costs are distances in sizes of the person, meant over the joints of a group.
MAX_JOINT_COST = 0.5  # a joint that is farther off than this counts as much as one at this distance
APPEARING = 0.05  # a joint that is seen in one of two frames only
# Being exchanged costs this much once, and by the second: what lasts is no mistake of a moment.
ONCE, PER_S = 0.04, 0.4
HAND_REACH = 1.2  # lengths of a hand that it may begin away from the wrist and belong to it


def undo_side_swaps(clip: PoseClip, size: Floats, fps: float) -> int:
    """Swap back in place what is exchanged, points in space along.

    size: (frames,) pixels, see `person_sizes`. Returns in how many frames something was exchanged.
    Hands are for `give_hands_to_wrists` to see to, too.
    """
    swapped_back = np.zeros(len(clip), dtype=bool)
    for telling, swapped in SWAP_GROUPS:
        frames = _swapped_frames(clip, telling, size, fps)
        swap_sides(clip, frames, swapped)
        swapped_back[frames] ^= True
    return int(swapped_back.sum())


def swap_sides(clip: PoseClip, frames: Integers, pairs: Integers) -> None:
    """Exchange the columns of the pairs (n, 2) in some frames (indices), in place."""
    if not len(frames):
        return
    here, there = pairs.ravel(), pairs[:, ::-1].ravel()
    rows = frames[:, None]
    clip.points[rows, here] = clip.points[rows, there]
    clip.scores[rows, here] = clip.scores[rows, there]
    joints = pairs[pairs[:, 0] < len(BODY_JOINTS)]
    if clip.body_3d is not None and len(joints):
        clip.body_3d[rows, joints.ravel()] = clip.body_3d[rows, joints[:, ::-1].ravel()]


def _swapped_frames(clip: PoseClip, pairs: Integers, size: Floats, fps: float) -> Integers:
    return exchanged_frames(clip.points[:, pairs], size, fps)


def exchanged_frames(points: Floats, size: Floats, fps: float) -> Integers:
    """Tell in which frames (indices) two sides of a group of joints are exchanged.

    Args:
        points: (frames, joints, 2 sides, 2) pixels, NaN where unseen.
        size: (frames,) of the person, pixels.
        fps: frames a second.
    """
    frames = np.flatnonzero(np.isfinite(points[..., 0]).any(axis=(1, 2)))
    if len(frames) < 3:
        return np.empty(0, dtype=np.intp)
    steps = np.diff(frames)
    costs = _transition_costs(points[frames].astype(np.float64), steps, size[frames[1:]])
    if not (costs[:, 1, :].min(axis=1) < costs[:, 0, 0]).any():
        return np.empty(0, dtype=np.intp)
    return frames[_cheapest_path(costs, PER_S * np.append(1, steps) / fps)]


def _transition_costs(points: Floats, steps: Floats, size: Floats) -> Floats:
    """(n - 1, 2, 2) costs of going on from each frame to the next one.

    They go by whether the sides are exchanged between the two, and between the two before. Half of
    a cost is how far a joint moves, half how far it is from where its speed would have brought it.

    Args:
        points: (n, pairs, 2 sides, 2) pixels.
        steps: (n - 1,) frames between them.
        size: (n - 1,) of the person, pixels.
    """
    before, after = points[:-1], points[1:]
    costs = np.empty((len(steps), 2, 2))
    speed = np.full_like(before, np.nan)
    for earlier in (0, 1):
        last = points[:-2, :, ::-1] if earlier else points[:-2]
        speed[1:] = (points[1:-1] - last) / np.minimum(steps[:-1], 3)[:, None, None, None]
        coming = before + np.nan_to_num(speed)
        for now in (0, 1):
            found = after[:, :, ::-1] if now else after
            costs[:, now, earlier] = (_moved(before, found, size) + _moved(coming, found, size)) / 2
    return costs / steps[:, None, None]  # over a gap anybody may have turned around


def _moved(before: Floats, after: Floats, size: Floats) -> Floats:
    """(n,) mean cost over the joints that are seen in either frame."""
    distance = np.hypot(*np.moveaxis(before - after, 3, 0)) / size[:, None, None]
    one, both = np.isfinite(before[..., 0]), np.isfinite(distance)
    other = np.isfinite(after[..., 0])
    cost = np.where(both, np.minimum(distance, MAX_JOINT_COST), APPEARING * (one ^ other))
    mean_cost: Floats = cost.sum(axis=(1, 2)) / np.maximum((one | other).sum(axis=(1, 2)), 1)
    return mean_cost


def _cheapest_path(costs: Floats, lasting: Floats) -> Mask:
    """(n,) bool, exchanged or not, over the states (now, before): the path of least cost.

    costs: of `_transition_costs`; lasting: (n,) what it costs to be exchanged in a frame.
    """
    best = {(0, 0): 0.0, (1, 0): float("inf"), (0, 1): float("inf"), (1, 1): ONCE + lasting[0]}
    choices: list[dict[tuple[int, int], int]] = []
    table, price = costs.tolist(), lasting.tolist()
    for index, here in enumerate(table):
        reached: dict[tuple[int, int], float] = {}
        choice: dict[tuple[int, int], int] = {}
        for now in (0, 1):
            for last in (0, 1):
                changed = here[now ^ last]
                plain = best[last, 0] + changed[last]
                other = best[last, 1] + changed[last ^ 1]
                choice[now, last] = int(other < plain)
                extra = price[index + 1] + (0.0 if last else ONCE) if now else 0.0
                reached[now, last] = min(plain, other) + extra
        best = reached
        choices.append(choice)
    now, last = min(best, key=lambda state: best[state])
    path = [now]
    for choice in reversed(choices):
        path.append(last)
        now, last = last, choice[now, last]
    return np.array(path[::-1], dtype=bool)


def give_hands_to_wrists(clip: PoseClip) -> tuple[int, int]:
    """Give each hand, in place, to the wrist it begins at; take out one that begins at neither.

    Returns in how many frames hands were exchanged, and how many were taken out.
    """
    sides = ("right", "left")
    columns = [PART_COLUMNS[f"{side}_hand"] for side in sides]
    roots = np.stack([clip.points[:, c.start] for c in columns], axis=1)  # (frames, 2, 2)
    wrists = np.stack([clip.joint(f"{side}_wrist") for side in sides], axis=1)
    length = np.stack(
        [np.hypot(*(clip.points[:, c.start + 9] - clip.points[:, c.start]).T) for c in columns],
        axis=1,
    )
    length[length == 0] = np.nan
    with np.errstate(invalid="ignore"):
        # [frame, hand, wrist]; the middle finger's root is half a hand away from the wrist
        away = (
            np.hypot(*np.moveaxis(roots[:, :, None] - wrists[:, None], 3, 0))
            / (2 * length)[:, :, None]
        )
        own, other = away[:, (0, 1), (0, 1)], away[:, (0, 1), (1, 0)]
        # (frames, hand); its own wrist may be out of the picture
        moves = ~(own <= HAND_REACH) & (other < HAND_REACH / 2)
        stray = (own > HAND_REACH) & ~moves & ~(other < HAND_REACH)
        free = stray | ~clip.seen[:, [c.start for c in columns]]
        both = moves.any(axis=1) & (moves | free).all(axis=1)
        # Where the other hand is at its own wrist already, the one that lies upon it is a second
        # find, but for one whose own wrist is not seen: that may be held.
        lost = stray | (moves & ~both[:, None] & (own > HAND_REACH))
    for hand, c in enumerate(columns):
        gone = lost[:, hand]
        clip.points[gone, c], clip.scores[gone, c] = np.nan, 0.0
    swap_sides(clip, np.flatnonzero(both), _FINGERS)
    return int(both.sum()), int(lost.sum())
