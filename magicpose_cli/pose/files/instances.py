"""One person as an object with `keypoints`, in the ways in which networks of others write it.

    "keypoints": [x, y, score, ...]                                flat: COCO, AlphaPose, Halpe
    "keypoints": [[x, y, score], ...], or [[x, y], ...] and
        "keypoint_scores" (or "scores"): [...]                     MMPose, rtmlib, Sapiens
    "keypoints": [{"x": .., "y": .., "score": .., "name": ..}]     TensorFlow.js
    "keypoints": {"x": [...], "y": [...], "visible": [...]}        Ultralytics
    "foot_kpts", "face_kpts", "lefthand_kpts", "righthand_kpts"    COCO-WholeBody, beside 17 points

The points are those of a body or of a whole person (see layouts) by their number, or in the order
of names that the file tells. Points that score up to SEEN are unseen, as their own programs have
it.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from magicpose_cli.arrays import AnyArray
from magicpose_cli.errors import InputError
from magicpose_cli.pose.files.clip import PersonPoints
from magicpose_cli.pose.files.json_values import numbers, objects, refuse, rows
from magicpose_cli.pose.files.layouts import (
    BODIES_OF_WHOLE,
    COCO_17,
    KNOWN,
    SEEN,
    least_of,
    order_of_17,
    order_of_names,
    parts_of_whole,
)
from magicpose_cli.pose.keypoints import PARTS

INSTANCES_KEY = "keypoints"
POINT_SCORES = ("score", "confidence", "visibility")
SCORES = ("keypoint_scores", "scores")
WHOLE_BODY = {"face": "face_kpts", "left_hand": "lefthand_kpts", "right_hand": "righthand_kpts"}
DEPTH = -0.1  # no network scores a point that low: it is a third coordinate


def frames_of(
    where: str,
    frames: Sequence[Sequence[dict[str, Any]]],
    names: Sequence[str] | None,
    notes: list[str],
    *,
    unnamed: Sequence[str] | None = None,
) -> list[list[PersonPoints]]:
    """Our parts of everybody who is told with points, frame by frame.

    names: of the points, where the file tells them. unnamed: the order of 17 points without names
    in files of this kind. COCO's may still be Human3.6M's, into which their limbs fit, and where
    the kind has no order (None) they are either: which one is taken is noted.
    Errors: InputError naming the frame (from 0) and the person.
    """
    told = [
        [
            _points(f"{where}: frame {frame}, person {number}", instance)
            for number, instance in enumerate(instances)
            if instance.get(INSTANCES_KEY) is not None
        ]
        for frame, instances in enumerate(frames)
    ]
    if any(frames) and not any(told):
        raise InputError(
            f"{where}: holds people without {INSTANCES_KEY!r}; expected the points of each"
        )
    if unnamed in (None, COCO_17):
        alone = [points for people in told for points, own in people if not (own or names)]
        unnamed = order_of_unnamed(where, alone, notes, likely=unnamed)
    orders = {tuple(own): named_order(where, own) for people in told for _, own in people if own}
    general = named_order(where, names) if names else None
    return [
        [
            _parts(where, points, orders[tuple(own)] if own else general, unnamed)
            | _beside(where, instance)
            for (points, own), instance in zip(
                people, (i for i in instances if i.get(INSTANCES_KEY) is not None), strict=True
            )
        ]
        for people, instances in zip(told, frames, strict=True)
    ]


def order_of_unnamed(
    where: str,
    people: Sequence[AnyArray],
    notes: list[str],
    *,
    likely: Sequence[str] | None = None,
) -> Sequence[str]:
    """The order of those of 17 points, by how their limbs fit; noted, unless it is the likely."""
    people = [points for points in people if len(points) == len(COCO_17)]
    order = order_of_17(people)
    if people and order != likely:
        taken, other = ("COCO", "Human3.6M")[:: 1 if order is COCO_17 else -1]
        notes.append(
            f"{where}: 17 points without names are taken in {taken}'s order, not in {other}'s (as "
            "their limbs fit; a .npz with the points named 'coco' or 'human36m' says which)"
        )
    return order


def named_order(where: str, names: Sequence[str]) -> tuple[str, ...]:
    """The order that a file names. Errors: InputError where it is of no person's body."""
    order = order_of_names(names)
    if order is None:
        raise InputError(
            f"{where}: its points are named {', '.join(names):.80}; expected a person's with "
            "left_shoulder, right_shoulder and so on to the ankles"
        )
    return order


def check_scores(where: str, scores: AnyArray) -> None:
    """Raise InputError where a third column is no score."""
    if np.nanmin(scores, initial=0.0) < DEPTH:
        raise InputError(
            f"{where}: the third number of its points runs below 0, so that it is no score; points "
            "in space are not read, give those in the picture"
        )


def seen_points(points: AnyArray, least: float) -> AnyArray:
    """(..., 3) x, y, score; zero where unseen: not finite, or scored up to `least`."""
    seen = np.isfinite(points).all(axis=-1) & (points[..., 2] > least)
    return np.where(seen[..., None], points, 0.0)


def _points(where: str, instance: dict[str, Any]) -> tuple[AnyArray, list[str] | None]:
    """(n, 3) x, y, score, zero where unseen, and the names that the points carry themselves."""
    value, own = instance[INSTANCES_KEY], None
    scores = next((instance[key] for key in SCORES if isinstance(instance.get(key), list)), None)
    if isinstance(value, dict):
        told = [value.get(key, []) for key in ("x", "y", "visible", "confidence")]
        columns = [*told[:2], *[column for column in told[2:] if column][:1]]
        if not all(isinstance(c, list) and len(c) == len(told[0]) for c in columns):
            refuse(where, INSTANCES_KEY, "lists 'x', 'y' and 'visible' of one length", value)
        value = [list(point) for point in zip(*columns, strict=True)]
    if not isinstance(value, list) or not value:
        refuse(where, INSTANCES_KEY, "a list of points", value)
    if isinstance(value[0], dict):
        value, own = _of_objects(where, value)
    if list in set(map(type, value)):
        data = rows(where, INSTANCES_KEY, value, (2, 3))
    else:
        flat = numbers(where, INSTANCES_KEY, value)
        wide = len(flat) % 3 or (len(flat) // 3 not in KNOWN and len(flat) // 2 in KNOWN)
        data = flat.reshape(-1, 2 if wide and len(flat) % 2 == 0 else 1 if wide else 3)
        if data.shape[1] == 1:
            refuse(where, INSTANCES_KEY, "two or three numbers a point", value)
    if scores is not None and len(scores) == len(data):
        if data.shape[1] == 3 and set(np.unique(data[:, 2])) - {0.0, 1.0, 2.0}:
            refuse(
                where, INSTANCES_KEY, "x and y of each point, its score beside", "points in space"
            )
        score = rows(where, SCORES[0], [[number] for number in scores], (1,))
        data = np.hstack([data[:, :2], score])
    elif data.shape[1] == 2:
        data = np.hstack([data, (data > 0).any(axis=1, keepdims=True)])
    check_scores(f"{where}: {INSTANCES_KEY}", data[:, 2])
    return seen_points(data, least_of(len(data))), own


def _of_objects(where: str, value: list[Any]) -> tuple[list[list[Any]], list[str] | None]:
    points, names = [], []
    for point in objects(where, INSTANCES_KEY, value):
        place = point["position"] if isinstance(point.get("position"), dict) else point
        score = next((point[key] for key in POINT_SCORES if key in point), 1)
        points.append([place.get("x"), place.get("y"), score])
        names.append(next((point[key] for key in ("name", "part") if key in point), None))
    named = [name for name in names if isinstance(name, str)]
    return points, named if len(named) == len(names) else None


def _parts(
    where: str,
    points: AnyArray,
    order: Sequence[str] | None,
    unnamed: Sequence[str],
) -> PersonPoints:
    if order is not None and len(order) != len(points):
        if len(points) not in BODIES_OF_WHOLE:  # which name their bodies alone
            refuse(
                where, INSTANCES_KEY, f"the {len(order)} points that the file names", len(points)
            )
        order = None
    if order is None and len(points) not in KNOWN:
        raise InputError(
            f"{where}: {len(points)} points a person are not known; expected one of "
            f"{', '.join(map(str, sorted(KNOWN)))}, or their names"
        )
    return parts_of_whole(points, order or (unnamed if len(points) == len(unnamed) else None))


def _beside(where: str, instance: dict[str, Any]) -> PersonPoints:
    """COCO-WholeBody's parts beside the body."""
    parts: PersonPoints = {}
    for part, key in WHOLE_BODY.items():
        value = instance.get(key)
        if value:
            if not isinstance(value, list) or len(value) != 3 * PARTS[part]:
                refuse(where, key, f"{3 * PARTS[part]} numbers ({PARTS[part]} points)", value)
            parts[part] = seen_points(numbers(where, key, value).reshape(-1, 3), SEEN)
    return parts
