"""Points of people as plain arrays, the way users of DWPose and rtmlib save them.

A .npy, or a .npz with the points as `keypoints` (or under any name where they are alone) and
`scores` beside them:

    (points, 2 or 3)                   one person in one frame
    (frames, points, 2 or 3)           one person
    (frames, people, points, 2 or 3)   several; rows of NaN or zeros where there are fewer
    scores: the same without the last axis; without them the third column is the score

with 17, 18, 25 or 26 points of the body, or 133, 134 or 136 of the whole person (see layouts), or
MediaPipe's (see mediapipe_file), and at will `width` and `height` (or `size`, both) and `fps`. 17
points may be COCO's or Human3.6M's: named `coco` or `human36m` they are these, else those into
which their limbs fit. Coordinates are pixels, or parts of the canvas from 0 to 1. Without any
scores a point is seen unless it is NaN or has no coordinate above 0. Networks of the COCO and
DWPose kind tell points for everything, seen or not: those that score up to SEEN are unseen, as
DWPose's own programs have it. A seen point of ours that scores less is written with
MIN_PIXEL_COORDINATE.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np

from magicpose_cli.arrays import AnyArray
from magicpose_cli.errors import InputError
from magicpose_cli.pose.clip import PeopleClip
from magicpose_cli.pose.files.arrays import save_array
from magicpose_cli.pose.files.clip import (
    MAX_CLIP_FRAMES,
    MAX_COORDINATE,
    MAX_FPS,
    MAX_SIDE,
    MIN_FPS,
    PersonPoints,
    PixelSize,
    Told,
    seen_rows,
)
from magicpose_cli.pose.files.instances import check_scores, order_of_unnamed
from magicpose_cli.pose.files.layouts import (
    COCO_17,
    DWPOSE,
    HUMAN36M_17,
    KNOWN,
    least_of,
    parts_of_whole,
    whole_of,
)
from magicpose_cli.pose.files.mediapipe_file import (
    HOLISTIC,
    is_in_pixels,
    person_of,
    read_holistic,
)
from magicpose_cli.pose.keypoints import PARTS, Pose

MIN_PIXEL_COORDINATE = 0.31
MEDIAPIPE = 33  # points of its body
ORDERS_BY_NAME = {"coco": COCO_17, "human36m": HUMAN36M_17, "reconstruction": HUMAN36M_17}
PEOPLE_FIRST = ("reconstruction",)  # of programs for 3D poses: (people, frames, points, 2)
POINTS_NAMES = ("keypoints", "kpts", *ORDERS_BY_NAME, "arr_0")
SCORES_NAMES = ("scores", "keypoint_scores", "score", "arr_1")
ABOUT = ("width", "height", "size", "fps")


def told_by_points(path: Path, arrays: dict[str, AnyArray], *, one_frame: bool = False) -> Told:
    """What a file's arrays say. Errors: InputError naming the array that does not fit.

    one_frame: of a folder with a file a frame, so that several rows are several people.
    """
    told, fps = size_and_rate(path, arrays)
    named = {name: data for name, data in arrays.items() if name not in ABOUT}
    name = next((n for n in POINTS_NAMES if n in named), None)
    if name is None and len(named) == 1:
        name = next(iter(named))
    if name is None:
        raise InputError(
            f"{path}: holds the arrays {', '.join(sorted(named)):.120}; expected 'keypoints' and "
            "'scores', or controlnet_aux's 'candidate', 'subset', 'faces' and 'hands'"
        )
    where, points = f"{path}: {name}" if name else str(path), named[name]
    if points.shape[-1:] == (HOLISTIC,) and points.ndim <= 2:
        holistic = read_holistic(where, points)
        check_frames(where, len(holistic.frames))
        return replace(holistic, size=told, fps=fps)
    beside = next((n for n in SCORES_NAMES if n in named and n != name), None)
    scores = named[beside] if beside else None
    if scores is not None and scores.shape != points.shape[:-1]:
        raise InputError(
            f"{path}: {beside}: expected the shape {points.shape[:-1]}, got {scores.shape}"
        )
    _check_points(where, points)
    if name in PEOPLE_FIRST and points.shape[-1] == 3:
        raise InputError(f"{where}: points in space are not read; give those in the picture")
    if name in PEOPLE_FIRST and points.ndim == 4:
        points = points.swapaxes(0, 1)
        scores = None if scores is None else scores.swapaxes(0, 1)
    if points.ndim == 2 or (one_frame and points.ndim == 3):
        points, scores = points[None], None if scores is None else scores[None]
    check_frames(where, len(points))
    people, notes = _people(where, points, scores, ORDERS_BY_NAME.get(name))
    return Told(people, size=told, fps=fps, notes=notes)


def _people(
    where: str, points: AnyArray, scores: AnyArray | None, order: Sequence[str] | None
) -> tuple[list[list[PersonPoints]], list[str]]:
    """Everybody in (frames, people or none, points, columns), and what was taken of their order."""
    if points.ndim == 3:
        points, scores = points[:, None], None if scores is None else scores[:, None]
    count, notes = points.shape[-2], list[str]()
    if count == MEDIAPIPE:
        frames = [
            [person_of(where, {"body": p.astype(np.float64)}, in_pixels=is_in_pixels(points))
             for p in frame if np.isfinite(p).all() and p.any()]
            for frame in points
        ]  # fmt: skip
        return frames, notes
    rows = [
        scored(where, frame, None if scores is None else scores[index], least_of(count))
        for index, frame in enumerate(points)
    ]
    if count != len(COCO_17):
        order = None
    elif order is None:
        order = order_of_unnamed(where, [person for frame in rows for person in frame], notes)
    return [[parts_of_whole(person, order) for person in frame] for frame in rows], notes


def write_npy(path: Path, clip: PeopleClip, *, overwrite: bool = False) -> None:
    """Write DWPose's 134 points in pixels; neither the canvas nor the frame rate is kept.

    The array is (frames, 134, 3), or (frames, people, 134, 3) where a frame shows several.

    Raises:
        OutputError: where the file cannot be written.
    """
    most = max(1, *(len(people) for people in clip.people))
    data = np.zeros((len(clip.people), most, DWPOSE, 3), np.float32)
    for row, people in zip(data, clip.people, strict=True):
        for place, pose in zip(row, people, strict=False):
            place[:] = whole_of(rows_of(pose))
    save_array(path, data[:, 0] if most == 1 else data, overwrite=overwrite)


def rows_of(pose: Pose) -> dict[str, AnyArray]:
    """(n, 3) x, y, score by part, with a score above SEEN; zero where unseen."""
    parts = {part: seen_rows(pose, part) for part in PARTS}
    for rows in parts.values():
        rows[rows[:, 2] > 0, 2] = np.maximum(rows[rows[:, 2] > 0, 2], MIN_PIXEL_COORDINATE)
    return parts


def scored(where: str, points: AnyArray, scores: AnyArray | None, least: float) -> AnyArray:
    """(..., 3) float64 x, y, score of (..., 2 or 3) points; zero where unseen, up to `least`."""
    data = np.ones((*points.shape[:-1], 3))
    data[..., : points.shape[-1]] = points
    if scores is not None:
        data[..., 2] = scores
    elif points.shape[-1] == 3:
        check_scores(where, data[..., 2])
    elif points.shape[-1] == 2:
        data[..., 2] = (data[..., :2] > 0).any(axis=-1)
    seen = np.isfinite(data).all(axis=-1) & (data[..., 2] > least)
    data = np.where(seen[..., None], data, 0.0)
    if (np.abs(data[..., :2]) > MAX_COORDINATE).any():
        raise InputError(f"{where}: expected coordinates up to {MAX_COORDINATE:.0f}")
    return data


def size_and_rate(path: Path, arrays: dict[str, AnyArray]) -> tuple[PixelSize | None, float | None]:
    """What a file says of its canvas and its frames a second."""
    sides = arrays.get("size", np.zeros(0)).ravel()
    if len(sides) not in (0, 2):
        raise InputError(f"{path}: size: expected width and height, got {len(sides)} numbers")
    width, height = sides if len(sides) else (arrays.get("width"), arrays.get("height"))
    size: PixelSize | None = None
    if width is not None and height is not None:
        wide, high = (int(_number(path, "size", side, 1, MAX_SIDE)) for side in (width, height))
        size = (wide, high)
    rate = arrays.get("fps")
    return size, None if rate is None else _number(path, "fps", rate, MIN_FPS, MAX_FPS)


def check_frames(where: str, count: int) -> None:
    """Raise InputError for none and for too many."""
    if not 1 <= count <= MAX_CLIP_FRAMES:
        raise InputError(f"{where}: expected 1 to {MAX_CLIP_FRAMES} frames, got {count}")


def _check_points(where: str, points: AnyArray) -> None:
    columns = (2, 3, 4, 5) if points.shape[-2:-1] == (MEDIAPIPE,) else (2, 3)
    if points.ndim not in (2, 3, 4) or points.shape[-1] not in columns:
        raise InputError(
            f"{where}: expected an array (frames, points, 3) or (frames, people, points, 3), got "
            f"the shape {points.shape}"
        )
    if points.shape[-2] not in (*KNOWN, MEDIAPIPE):
        raise InputError(
            f"{where}: {points.shape[-2]} points a person are not known; expected one of "
            f"{', '.join(map(str, sorted((*KNOWN, MEDIAPIPE))))}"
        )


def _number(path: Path, name: str, value: AnyArray, low: float, high: float) -> float:
    if value.size != 1 or not low <= value.item() <= high:
        raise InputError(f"{path}: {name}: expected one number from {low:g} to {high:g}")
    return float(value.item())
