"""Poses of a clip as OpenPose JSON, the way ControlNet tools write it.

A file is a list with one entry a frame:

    {"people": [{"pose_keypoints_2d": [x, y, score, ...],         18 points
                 "face_keypoints_2d": [...] or null,              68 points (70 are read as well)
                 "hand_left_keypoints_2d": [...] or null,         21 points
                 "hand_right_keypoints_2d": [...] or null}],      21 points
     "canvas_width": 512, "canvas_height": 768,
     "timestamp": 0.0}                                            seconds, our addition

Coordinates are pixels of the canvas; an unseen point is 0, 0, 0 in the file and NaN in a Pose; a
frame without anybody has no people. Some tools write coordinates from 0 to 1 instead: a file
without timestamps whose points all lie in that range is taken for one of those and scaled.
"""

from __future__ import annotations

import contextlib
import json
import math
import os
from collections.abc import Iterable
from itertools import pairwise
from pathlib import Path
from typing import Any, NoReturn

import numpy as np

from magicpose_cli.errors import InputError, OutputError
from magicpose_cli.pose.keypoints import PARTS, Pose

KEYS = {
    "body": "pose_keypoints_2d",
    "face": "face_keypoints_2d",
    "left_hand": "hand_left_keypoints_2d",
    "right_hand": "hand_right_keypoints_2d",
}
POINT_COUNTS = {part: (count,) for part, count in PARTS.items()} | {"face": (68, 70)}
MAX_SIDE = 16384  # pixels of a canvas
MAX_COORDINATE = 1e6  # pixels; OpenPose points lie near their canvas


def write_poses(path: Path, poses: Iterable[Pose], fps: float, *, overwrite: bool = False) -> None:
    """Write one entry a frame; the file appears only when it is complete.

    Errors: OutputError where `path` exists (without `overwrite`) or cannot be written.
    """
    path = Path(path)
    if path.exists() and not overwrite:
        raise OutputError(f"{path}: exists already; pass --overwrite to replace it")
    partial = path.with_name(f".{path.name}.{os.getpid()}.part")
    try:
        with partial.open("w", encoding="utf-8") as file:
            for index, pose in enumerate(poses):
                file.write("[\n" if index == 0 else ",\n")
                json.dump(_entry(pose, index / fps), file, allow_nan=False)
            file.write("\n]\n")
        partial.replace(path)
    except OSError as error:
        raise OutputError(f"{path}: cannot be written ({error.strerror})") from error
    finally:
        with contextlib.suppress(OSError):
            partial.unlink()


def read_poses(path: Path) -> tuple[list[Pose], float | None]:
    """Read (poses, frames per second); the rate is None without timestamps or with one frame.

    A file of a single frame object is read as a clip of one frame; of several people in a frame
    the first is taken. Errors: InputError naming the file, the frame (from 0) and the key.
    """
    path = Path(path)
    content = _load(path)
    entries = [content] if isinstance(content, dict) else content
    if not isinstance(entries, list) or not entries:
        raise InputError(f"{path}: expected OpenPose JSON, a list with one entry a frame")
    canvas: tuple[int, int] | None = None
    frames: list[dict[str, np.ndarray]] = []
    timestamps: list[float] = []
    for index, entry in enumerate(entries):
        where = f"{path}: frame {index}"
        if not isinstance(entry, dict):
            _refuse(where, "", "an object with 'people' and the canvas size", entry)
        size = _side(where, entry, "canvas_width"), _side(where, entry, "canvas_height")
        canvas = canvas or size
        if size != canvas:
            _refuse(where, "canvas_width, canvas_height", f"{canvas} as in frame 0", size)
        frames.append(_person(where, entry.get("people")))
        if "timestamp" in entry:
            timestamps.append(_number(where, "timestamp", entry["timestamp"]))
    assert canvas is not None
    if not timestamps and _normalized(frames):
        scale = np.array([*canvas, 1.0])
        frames = [{part: data * scale for part, data in parts.items()} for parts in frames]
    width, height = canvas
    poses = [Pose.of(width, height, **parts) for parts in frames]
    return poses, _rate(path, timestamps) if len(timestamps) == len(poses) else None


def _entry(pose: Pose, timestamp: float) -> dict[str, Any]:
    person = {}
    for part, key in KEYS.items():
        points, score = getattr(pose, part), getattr(pose, f"{part}_score")
        data = np.where((score > 0)[:, None], np.column_stack([points, score]), 0.0)
        # The shortest decimal of a float32: small files that read back bit for bit.
        numbers = [float(str(value)) for value in data.astype(np.float32).ravel()]
        person[key] = numbers if part == "body" or (score > 0).any() else None
    return {
        "people": [] if pose.is_empty else [person],
        "canvas_width": pose.width,
        "canvas_height": pose.height,
        "timestamp": timestamp,
    }


def _load(path: Path) -> Any:
    def refuse_constant(name: str) -> NoReturn:
        raise ValueError(f"{name} is not a number of JSON")

    try:
        return json.loads(path.read_text(encoding="utf-8"), parse_constant=refuse_constant)
    except OSError as error:
        raise InputError(f"{path}: cannot be read ({error.strerror})") from error
    except (ValueError, RecursionError) as error:  # bad UTF-8, bad JSON, NaN, too deep
        raise InputError(f"{path}: is not JSON ({error}); expected OpenPose JSON") from error


def _person(where: str, people: Any) -> dict[str, np.ndarray]:
    """(n, 3) arrays by part of the first of `people`."""
    if not isinstance(people, list):
        _refuse(where, "people", "a list", people)
    if not people:
        return {}
    if not isinstance(people[0], dict):
        _refuse(where, "people", "a list of objects", people)
    parts = {}
    for part, key in KEYS.items():
        numbers = people[0].get(key)
        if numbers is None or numbers == []:
            continue
        counts = POINT_COUNTS[part]
        if not isinstance(numbers, list) or len(numbers) not in [3 * n for n in counts]:
            expected = " or ".join(f"{3 * n} numbers ({n} points)" for n in counts)
            _refuse(where, key, expected, numbers)
        values = [_number(where, key, number) for number in numbers]
        parts[part] = np.array(values).reshape(-1, 3)[: PARTS[part]]
    return parts


def _number(where: str, key: str, value: Any) -> float:
    # The comparison is false for NaN and for infinity; bool is a subclass of int.
    if type(value) not in (int, float) or not -MAX_COORDINATE <= value <= MAX_COORDINATE:
        _refuse(where, key, f"numbers up to {MAX_COORDINATE:.0f}", value)
    return float(value)


def _side(where: str, entry: dict[str, Any], key: str) -> int:
    value: Any = entry.get(key)
    if type(value) not in (int, float) or not 1 <= value <= MAX_SIDE or value != int(value):
        _refuse(where, key, f"whole pixels from 1 to {MAX_SIDE}", value)
    return int(value)


def _normalized(frames: list[dict[str, np.ndarray]]) -> bool:
    """True where every seen point lies in 0..1, so that nobody could be seen in pixels."""
    seen = [data[data[:, 2] > 0, :2] for parts in frames for data in parts.values()]
    points = np.concatenate(seen) if seen else np.zeros((0, 2))
    return len(points) > 1 and bool(((points >= 0) & (points <= 1)).all())


def _rate(path: Path, timestamps: list[float]) -> float | None:
    if len(timestamps) < 2:
        return None
    if not all(a < b for a, b in pairwise(timestamps)):
        raise InputError(f"{path}: timestamp: expected seconds that grow from frame to frame")
    rate = (len(timestamps) - 1) / (timestamps[-1] - timestamps[0])
    if not math.isfinite(rate):
        raise InputError(f"{path}: timestamp: the frames lie too close together")
    return round(rate, 9)


def _refuse(where: str, key: str, expected: str, got: Any) -> NoReturn:
    if isinstance(got, list):
        shown = f"a list of {len(got)}"
    elif got is None:
        shown = "nothing"
    else:
        shown = repr(got) if len(repr(got)) <= 40 else repr(got)[:40] + "..."
    place = f"{where}: {key}" if key else where
    raise InputError(f"{place}: expected {expected}, got {shown}")
