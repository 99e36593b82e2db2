"""Tracks put together to people: somebody who was hidden, left the picture or was cut away."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from magicpose_cli.pose.tracking.appearance import look_distance
from magicpose_cli.pose.tracking.linking import Track

MOST_TRACKS = 400  # the longest ones; in a crowd there is no end of those who pass by
ALIKE = 0.45  # looks nearer than this are the same clothes
NEAR_S = 3.0  # how long somebody may be hidden and be known by the place alone
NEAR, NEAR_PER_S = 0.5, 0.5  # sizes of the person
UNKNOWN_LOOK = 0.35
DISTANCE_WEIGHT = 0.1  # of a distance in sizes against that of the looks


@dataclass(frozen=True, eq=False)
class Person:
    """One person of a clip: `who[frame]` (frames,) is their sighting's index, -1 where unseen."""

    who: np.ndarray
    look: np.ndarray | None

    @property
    def seen(self) -> np.ndarray:
        """(frames,) bool."""
        return self.who >= 0


def join(tracks: list[Track], frame_count: int, fps: float) -> list[Person]:
    """Join the tracks that are one person's: never two that are seen in the same frame; alike by
    clothes or, where those are not known, near each other in time and place. The cheapest first.
    """
    longest = sorted(tracks, key=lambda track: -len(track.frames))
    groups = [[track] for track in longest[:MOST_TRACKS]]
    seen = np.zeros((len(groups), frame_count), dtype=bool)
    for row, (track,) in zip(seen, groups, strict=True):
        row[track.frames] = True
    costs = sorted(
        (cost, i, j)
        for i in range(len(groups))
        for j in range(i)
        if np.isfinite(cost := _cost(groups[i][0], groups[j][0], fps))
    )
    owner = list(range(len(groups)))
    for _, i, j in costs:
        one, other = owner[i], owner[j]
        if one == other or (seen[one] & seen[other]).any():
            continue
        groups[one] += groups[other]
        seen[one] |= seen[other]
        owner = [one if o == other else o for o in owner]
    return [_person(groups[i], frame_count) for i in sorted(set(owner))]


def _cost(one: Track, other: Track, fps: float) -> float:
    """Of being the same person, 0 at best; infinite where they cannot be."""
    first, second = sorted((one, other), key=lambda track: track.frames[0])
    gap_s = (second.frames[0] - first.frames[-1]) / fps
    near = False
    distance = NEAR_S
    if gap_s > 0:
        size = (first.size + second.size) / 2
        expected = first.center + first.expected(gap_s)
        distance = float(np.hypot(*(second.first_center - expected))) / size
        near = gap_s <= NEAR_S and distance <= NEAR + NEAR_PER_S * gap_s
    apart = np.nan
    if first.look is not None and second.look is not None:
        apart = float(look_distance(first.look, second.look))
    if np.isnan(apart):
        if not near:
            return np.inf
        apart = UNKNOWN_LOOK
    if apart > ALIKE:
        return np.inf
    return apart + DISTANCE_WEIGHT * min(distance, NEAR_S)


def _person(tracks: list[Track], frame_count: int) -> Person:
    who = np.full(frame_count, -1, dtype=np.int32)
    for track in tracks:
        who[track.frames] = track.who
    looks = [(len(track.frames), track.look) for track in tracks if track.look is not None]
    return Person(who, max(looks, key=lambda pair: pair[0])[1] if looks else None)
