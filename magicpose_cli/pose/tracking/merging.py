"""Tracklets put together to people: somebody who was hidden, left the picture or was cut away."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from magicpose_cli.arrays import Integers, Mask
from magicpose_cli.pose.tracking.appearance import appearance_distance
from magicpose_cli.pose.tracking.linking import Tracklet

MAX_TRACKLETS = 400  # the longest ones; in a crowd there is no end of those who pass by
ALIKE = 0.45  # histograms nearer than this are the same clothes
NEAR_S = 3.0  # how long somebody may be hidden and be known by the place alone
NEAR, NEAR_PER_S = 0.5, 0.5  # sizes of the person
UNKNOWN_MERGE_APPEARANCE = 0.35
DISTANCE_WEIGHT = 0.1  # of a distance in sizes against that of the clothes


@dataclass(frozen=True, eq=False)
class TrackedPerson:
    """One person of a clip.

    Attributes:
        detection_index: (frames,) of their detection in each frame, -1 where they are not seen.
    """

    detection_index: Integers

    @property
    def seen(self) -> Mask:
        """(frames,) in which frames they are seen."""
        return self.detection_index >= 0


def merge_tracklets(tracklets: list[Tracklet], frame_count: int, fps: float) -> list[TrackedPerson]:
    """Put together the tracklets that are one person's, the cheapest pairs first.

    Never two that are seen in the same frame. They are alike by clothes or, where those are not
    known, near each other in time and place.
    """
    longest = sorted(tracklets, key=lambda tracklet: -len(tracklet.frames))
    groups = [[tracklet] for tracklet in longest[:MAX_TRACKLETS]]
    seen = np.zeros((len(groups), frame_count), dtype=bool)
    for row, (tracklet,) in zip(seen, groups, strict=True):
        row[tracklet.frames] = True
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


def _cost(one: Tracklet, other: Tracklet, fps: float) -> float:
    """Of being the same person, 0 at best; infinite where they cannot be."""
    first, second = sorted((one, other), key=lambda tracklet: tracklet.frames[0])
    gap_s = (second.frames[0] - first.frames[-1]) / fps
    near = False
    distance = NEAR_S
    if gap_s > 0:
        size = (first.size + second.size) / 2
        expected = first.center + first.expected(gap_s)
        distance = float(np.hypot(*(second.first_center - expected))) / size
        near = gap_s <= NEAR_S and distance <= NEAR + NEAR_PER_S * gap_s
    apart = np.nan
    if first.appearance is not None and second.appearance is not None:
        apart = float(appearance_distance(first.appearance, second.appearance))
    if np.isnan(apart):
        if not near:
            return np.inf
        apart = UNKNOWN_MERGE_APPEARANCE
    if apart > ALIKE:
        return np.inf
    return apart + DISTANCE_WEIGHT * min(distance, NEAR_S)


def _person(tracklets: list[Tracklet], frame_count: int) -> TrackedPerson:
    detection_index = np.full(frame_count, -1, dtype=np.int32)
    for tracklet in tracklets:
        detection_index[tracklet.frames] = tracklet.detection_index
    return TrackedPerson(detection_index)
