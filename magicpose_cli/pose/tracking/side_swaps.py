"""Left and right exchanged for some frames by the detector: found and swapped back.

For each group of joints a path through the frames is sought (Viterbi) that says in which of them
its sides are exchanged, so that the joints go on as they went before. A person who turns around is
no flip: the sides then pass through each other at a steady speed, and taking them for exchanged
would make them bounce.
"""

from __future__ import annotations

import numpy as np

from magicpose_cli.pose.keypoints import BODY_JOINTS
from magicpose_cli.pose.tracking.stack import COLUMNS, Stack


def _pairs(*names: str) -> np.ndarray:
    """(n, 2) columns of right and left."""
    return np.array(
        [[BODY_JOINTS.index(f"{side}_{name}") for side in ("right", "left")] for name in names]
    )


_FINGERS = np.column_stack(
    [np.arange(*COLUMNS[f"{side}_hand"].indices(128)) for side in ("right", "left")]
)
_ARMS, _LEGS, _HEAD = (
    _pairs("shoulder", "elbow", "wrist"),
    _pairs("hip", "knee", "ankle"),
    _pairs("eye", "ear"),
)
_KNUCKLES = _FINGERS[[0, 5, 17]]  # enough to tell where a hand is
# What tells whether a group is exchanged, and what is swapped with it (pairs of columns). The whole
# body first: alone, a small group may not be sure.
GROUPS = (
    (np.concatenate([_ARMS, _LEGS, _HEAD]), np.concatenate([_ARMS, _LEGS, _HEAD, _FINGERS])),
    (_ARMS, np.concatenate([_ARMS, _FINGERS])),
    (_LEGS, _LEGS),
    (_HEAD, _HEAD),
    (_KNUCKLES, _FINGERS),
)
# Costs are distances in sizes of the person, meant over the joints of a group.
FARTHEST = 0.5  # a joint that is farther off than this counts as much as one at this distance
APPEARING = 0.05  # a joint that is seen in one of two frames only
# Being exchanged costs this much once, and by the second: what lasts is no mistake of a moment.
ONCE, PER_S = 0.04, 0.4
HAND_REACH = 1.2  # lengths of a hand that it may begin away from the wrist and belong to it


def mend_flips(stack: Stack, space: list[np.ndarray | None], size: np.ndarray, fps: float) -> int:
    """Swap back in place what is exchanged; space: the poses' body_3d, swapped along.

    size: (frames,) pixels, see `sizes`. Returns in how many frames something was exchanged.
    Hands are for `give_hands_to_wrists` to see to, too.
    """
    mended = np.zeros(len(stack), dtype=bool)
    for telling, swapped in GROUPS:
        flipped = _flipped_frames(stack, telling, size, fps)
        swap_sides(stack, space, flipped, swapped)
        mended[flipped] ^= True
    return int(mended.sum())


def swap_sides(
    stack: Stack, space: list[np.ndarray | None], frames: np.ndarray, pairs: np.ndarray
) -> None:
    """Exchange the columns of the pairs (n, 2) in some frames (indices), in place."""
    if not len(frames):
        return
    here, there = pairs.ravel(), pairs[:, ::-1].ravel()
    rows = frames[:, None]
    stack.points[rows, here] = stack.points[rows, there]
    stack.scores[rows, here] = stack.scores[rows, there]
    joints = pairs[pairs[:, 0] < len(BODY_JOINTS)]
    for frame in frames:
        known = space[frame]
        if known is not None and len(joints):
            known = known.copy()
            known[joints.ravel()] = known[joints[:, ::-1].ravel()]
            space[frame] = known


def _flipped_frames(stack: Stack, pairs: np.ndarray, size: np.ndarray, fps: float) -> np.ndarray:
    frames = np.flatnonzero(stack.seen[:, pairs.ravel()].any(axis=1))
    if len(frames) < 3:
        return np.empty(0, dtype=np.intp)
    steps = np.diff(frames)
    points = stack.points[frames][:, pairs].astype(np.float64)
    costs = _transition_costs(points, steps, size[frames[1:]])
    if not (costs[:, 1, :].min(axis=1) < costs[:, 0, 0]).any():
        return np.empty(0, dtype=np.intp)
    return frames[_cheapest_path(costs, PER_S * np.append(1, steps) / fps)]


def _transition_costs(points: np.ndarray, steps: np.ndarray, size: np.ndarray) -> np.ndarray:
    """(n - 1, 2, 2) of going on from each frame to the next one, by whether the sides are exchanged
    between the two, and between the two before.

    points: (n, pairs, 2 sides, 2) pixels; steps: (n - 1,) frames between them; size: (n - 1,)
    pixels. Half of a cost is how far a joint moves, half how far it is from where its speed would
    have brought it.
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


def _moved(before: np.ndarray, after: np.ndarray, size: np.ndarray) -> np.ndarray:
    """(n,) mean cost over the joints that are seen in either frame."""
    distance = np.hypot(*np.moveaxis(before - after, 3, 0)) / size[:, None, None]
    one, both = np.isfinite(before[..., 0]), np.isfinite(distance)
    other = np.isfinite(after[..., 0])
    cost = np.where(both, np.minimum(distance, FARTHEST), APPEARING * (one ^ other))
    return cost.sum(axis=(1, 2)) / np.maximum((one | other).sum(axis=(1, 2)), 1)


def _cheapest_path(costs: np.ndarray, lasting: np.ndarray) -> np.ndarray:
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


def give_hands_to_wrists(stack: Stack) -> tuple[int, int]:
    """Give each hand, in place, to the wrist it begins at; take out one that begins at neither.

    Returns in how many frames hands were exchanged, and how many were taken out.
    """
    sides = ("right", "left")
    columns = [COLUMNS[f"{side}_hand"] for side in sides]
    roots = np.stack([stack.points[:, c.start] for c in columns], axis=1)  # (frames, 2, 2)
    wrists = np.stack([stack.joint(f"{side}_wrist") for side in sides], axis=1)
    length = np.stack(
        [np.hypot(*(stack.points[:, c.start + 9] - stack.points[:, c.start]).T) for c in columns],
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
        free = stray | ~stack.seen[:, [c.start for c in columns]]
        both = moves.any(axis=1) & (moves | free).all(axis=1)
        # Where the other hand is at its own wrist already, the one that lies upon it is a second
        # find, but for one whose own wrist is not seen: that may be held.
        lost = stray | (moves & ~both[:, None] & (own > HAND_REACH))
    for hand, c in enumerate(columns):
        gone = lost[:, hand]
        stack.points[gone, c], stack.scores[gone, c] = np.nan, 0.0
    swap_sides(stack, [None] * len(stack), np.flatnonzero(both), _FINGERS)
    return int(both.sum()), int(lost.sum())
