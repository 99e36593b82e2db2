"""Parts of people as editors write them: points in pairs, hands and faces as objects of their own.

An editor's frame may hold, beside OpenPose's people or instead of them,

    "keypoints": [OBJECT, ...]                         bodies, hands and faces, told by their number
    "keypoints": [[x, y], ...]                         18 points a body, then 21 a hand
    "hands": {"left": OBJECT, "right": OBJECT}         or a list of hands of either side
    "faces": [OBJECT, ...], "face": OBJECT, "bodies": [OBJECT, ...]
    "hand_left_keypoints_2d": OBJECT and so on         a person's keys without a person

where an OBJECT is [[x, y], ...], [x, y, score, ...] or an object of such `keypoints`; an unseen
point is null or [-1, -1]. OpenPose's people who have a hand or a face alone are such objects, too.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from typing import Any

import numpy as np

from magicpose_cli.arrays import AnyArray
from magicpose_cli.pose.files.clip import PersonPoints
from magicpose_cli.pose.files.json_values import flat_rows
from magicpose_cli.pose.files.layouts import BODY_25, COCO_17, body_of
from magicpose_cli.pose.keypoints import BODY_JOINTS, PARTS

KEYS = {
    "body": "pose_keypoints_2d",
    "face": "face_keypoints_2d",
    "left_hand": "hand_left_keypoints_2d",
    "right_hand": "hand_right_keypoints_2d",
}
BODY, HAND = len(BODY_JOINTS), PARTS["left_hand"]
POINT_COUNTS: dict[str, tuple[int, ...]] = {
    "body": (BODY, len(BODY_25), len(COCO_17)),
    "face": (68, 70),
    "left_hand": (HAND,),
    "right_hand": (HAND,),
    "hand": (HAND,),
}
POINT_COUNTS[""] = tuple(n for part in ("body", "face", "hand") for n in POINT_COUNTS[part])
LOOSE = {  # what stands beside people, and the part that it is; "" where the number of points tells
    "keypoints": "",
    "bodies": "body",
    "hands": "hand",
    "hand": "hand",
    "faces": "face",
    "face": "face",
    **{key: part for part, key in KEYS.items()},
}
# Where a part belongs on a body: the first joint that is seen. A "hand" is one of either side.
PART_ANCHORS = {
    "left_hand": ("left_wrist", "left_elbow"),
    "right_hand": ("right_wrist", "right_elbow"),
    "face": ("nose", "neck"),
}
MAX_REACH_SHARE = (
    0.5  # of a body's size: a part that lies farther from where it belongs is another's
)
PERSON_SIDES = ("left_hand", "right_hand")

LoosePart = tuple[str, AnyArray]
""""body", "face", "left_hand", "right_hand" or "hand", and its (n, 3) x, y, score."""


def loose_in(where: str, entry: dict[str, Any]) -> list[LoosePart]:
    """The objects of an editor's frame. Errors: InputError naming the key."""
    found: list[LoosePart] = []
    for key in LOOSE:
        value = entry.get(key) if key != "keypoints" or "people" not in entry else None
        if not value or not isinstance(value, list | dict):
            continue
        sides = {"": value}
        if isinstance(value, dict) and {"left", "right"} & set(value):
            sides = value
        for side, inner in sides.items():
            part = f"{side}_hand" if side in ("left", "right") else LOOSE[key]
            for number, one in enumerate(_single(inner)):
                if one not in (None, []):
                    found.append(part_of(where, f"{key} {side or number}", part, one))
    return found


def part_of(where: str, key: str, part: str, value: Any) -> LoosePart:
    """A part's name and its points; of "" whichever has as many. Errors: InputError."""
    data = flat_rows(where, key, _flattened(value), POINT_COUNTS[part], 3)
    if not part:
        part = next(one for one in ("body", "face", "hand") if len(data) in POINT_COUNTS[one])
    return part, body_of(data) if part == "body" else data[: PARTS.get(part, HAND)]


def attach(people: Sequence[PersonPoints], loose: Sequence[LoosePart]) -> list[PersonPoints]:
    """Everybody, each loose part with the nearest who lacks it and is near.

    Other parts stay together, as somebody without a body. Parts of people without a body are loose
    as well.
    """
    bodies = [dict(person) for person in people if _has(person, "body")]
    bodies += [{"body": points} for part, points in loose if part == "body"]
    left: list[PersonPoints] = []
    for person in people:
        if not _has(person, "body"):
            rest = {
                part: points
                for part, points in person.items()
                if part not in PART_ANCHORS or not _give(bodies, part, points)
            }
            left += [rest] if set(rest) & set(PART_ANCHORS) else []
    for part, points in loose:
        if part != "body" and not _give(bodies, part, points):
            names = PERSON_SIDES if part == "hand" else (part,)
            home = next((one for one in left if set(names) - set(one)), None)
            if home is None:
                left.append(home := {})
            home[next(name for name in names if name not in home)] = points
    return [*bodies, *left]


def _give(people: Sequence[PersonPoints], part: str, points: AnyArray) -> bool:
    """Whether somebody lacked it: the nearest of them, at MAX_REACH_SHARE of their size at most."""
    seen = points[points[:, 2] > 0, :2]
    if not len(seen):
        return True  # nothing to give
    middle = seen.mean(axis=0) if part == "face" else seen[0]
    free = [
        (float(np.hypot(*(place - middle))), number, name)
        for number, person in enumerate(people)
        for name in (PERSON_SIDES if part == "hand" else (part,))
        if not _has(person, name) and (place := _anchor(person, name)) is not None
    ]
    near = [one for one in free if one[0] <= MAX_REACH_SHARE * _size(people[one[1]])]
    if near:
        _, number, name = min(near)
        people[number][name] = points
    return bool(near)


def _has(person: PersonPoints, part: str) -> bool:
    return part in person and bool((person[part][:, 2] > 0).any())


def _size(person: PersonPoints) -> float:
    """The diagonal of the box around a body."""
    body = person["body"]
    return float(np.hypot(*np.ptp(body[body[:, 2] > 0, :2], axis=0)))


def _anchor(person: PersonPoints, part: str) -> AnyArray | None:
    for joint in PART_ANCHORS[part]:
        place = person["body"][BODY_JOINTS.index(joint)]
        if place[2] > 0:
            place_in_picture: AnyArray | None = place[:2]
            return place_in_picture
    return None


def _single(value: Any) -> list[Any]:
    """One object or several: each a list of numbers, of points, or an object of `keypoints`."""
    if not isinstance(value, list) or not value:
        return [value]
    if not any(_is_pair(point) for point in value[:BODY]):
        return [value] if type(value[0]) in (int, float) else value
    hands = next((n for n in range(9) if (rest := len(value) - HAND * n) >= 0 == rest % BODY), None)
    if hands is None:
        return [value]
    middle = len(value) - HAND * hands
    starts = [*range(0, middle, BODY), *range(middle, len(value), HAND)]
    return [value[start:end] for start, end in pairwise([*starts, len(value)])]


def _is_pair(value: Any) -> bool:
    return isinstance(value, list) and len(value) in (2, 3) and type(value[0]) in (int, float)


def _flattened(points: Any) -> Any:
    """x, y, score of [[x, y], ...], one after another; what is none stays as it is."""
    if isinstance(points, dict):
        points = next((points[k] for k in ("keypoints", "points", "joints") if k in points), points)
    if not isinstance(points, list) or not any(isinstance(point, list) for point in points):
        return points
    full = [[0.0, 0.0, 0.0] if point in (None, [-1, -1]) else point for point in points]
    if not all(isinstance(row, list) and len(row) in (2, 3) for row in full):
        return points
    return [number for row in full for number in (*row[:2], row[2] if len(row) == 3 else 1.0)]
