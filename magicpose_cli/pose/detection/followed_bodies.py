"""People whom a detector follows: where they are found, read and looked for in the next frame."""

from __future__ import annotations

import math
from dataclasses import dataclass, field, replace

import numpy as np

from magicpose_cli.pose.detection.detect import box_of
from magicpose_cli.pose.detection.mediapipe_graphs import Region
from magicpose_cli.pose.detection.mediapipe_points import Landmarks
from magicpose_cli.pose.keypoints import Pose

PAINT_MARGIN = 0.1  # of a person's size, around the box of their points
SAME_PLACE = 0.25  # of a region's side: the hips move less from one frame to the next
SAME_BODY = 0.05  # of a region's side: joints of one person are nearer, from one frame to the next
MIN_COMMON_JOINTS = 5  # that tell so
SAME_POSE_SHARE = 0.03  # of a region's side: nearer joints, on average, are of one person


@dataclass(frozen=True)
class Find:
    """Where the finder sees somebody, and how sure it is, 0..1."""

    region: Region
    score: float

    def moved(self, dx: float, dy: float) -> Find:
        """The same find so many pixels to the right and down."""
        region = replace(self.region, x=self.region.x + dx, y=self.region.y + dy)
        return Find(region, self.score)


@dataclass(frozen=True, eq=False)
class FollowedBody:
    """Somebody as read in one frame, and where to look for them in the next one.

    landmarks: what was read, by its name in GRAPH_PARTS. hands: where the hands are next, by
    theirs.
    """

    pose: Pose
    region: Region
    landmarks: dict[str, Landmarks] = field(default_factory=dict)
    hands: dict[str, Region] = field(default_factory=dict)


def add_person(people: list[FollowedBody], new: FollowedBody | None) -> bool:
    """Add a person unless they are there already; returns whether they are new.

    Two regions can run into one person.
    """
    if new is None or any(_same_pose(new, other) for other in people):
        return False
    people.append(new)
    return True


def region_distance(one: Region, other: Region) -> float:
    """Pixels between the middles of two regions."""
    return math.hypot(one.x - other.x, one.y - other.y)


def _same_pose(one: FollowedBody, other: FollowedBody) -> bool:
    """Whether two are read alike, or the one is the other stood on their head."""
    side = max(one.region.side, other.region.side)
    if math.cos(one.region.turn - other.region.turn) < 0:
        return region_distance(one.region, other.region) < SAME_PLACE * side
    both = (one.pose.body_score > 0) & (other.pose.body_score > 0)
    if not both.any():
        return False
    apart = np.hypot(*(one.pose.body - other.pose.body)[both].T).mean()
    return bool(apart < SAME_POSE_SHARE * side)


def is_where_they_were(before: FollowedBody, now: FollowedBody) -> bool:
    """Whether somebody is where they were a frame ago, and read surely enough."""
    both = (before.pose.body_score > 0) & (now.pose.body_score > 0)
    if both.sum() < MIN_COMMON_JOINTS:
        return False
    apart = np.hypot(*(before.pose.body - now.pose.body)[both].T)
    return bool(np.median(apart) < SAME_BODY * before.region.side)


def box_around(pose: Pose) -> tuple[slice, slice]:
    """Rows and columns of the box around a person's points, with room for hair and clothes."""
    left, top, right, bottom = box_of(pose)
    margin = PAINT_MARGIN * max(right - left, bottom - top)
    rows = slice(max(int(top - margin), 0), int(bottom + margin) + 1)
    return rows, slice(max(int(left - margin), 0), int(right + margin) + 1)
