"""Poses as OpenPose JSON, the way OpenPose itself, ControlNet tools and editors write them.

A frame is an object:

    {"people": [{"pose_keypoints_2d": [x, y, score, ...],         18, 25 or 17 points
                 "face_keypoints_2d": [...] or null,              68 or 70 points
                 "hand_left_keypoints_2d": [...] or null,         21 points
                 "hand_right_keypoints_2d": [...] or null,        21 points
                 "pose_keypoints_3d": [x, y, z, known, ...],      where the detector tells them
                 "face_keypoints_3d": [...]}],
     "canvas_width": 512, "canvas_height": 768,
     "timestamp": 0.0}                                            seconds, our addition

A file holds one frame or a list of them. A folder holds one frame a file, as OpenPose writes them:
NAME_000000000000_keypoints.json, 25 body and 70 face points, no canvas. Bodies of 25 points lose
their feet, bodies of 17 (COCO) gain a neck, faces of 70 lose the pupils. An editor's object
{"keypoints": [[[x, y], ...]], "width": 512, "height": 512} is read as well.

Coordinates are pixels of the canvas, or parts of it (0 to 1) in files without timestamps whose
points all lie there; see `settle` for a canvas that is not told. An unseen point is 0, 0, 0 in the
file and NaN in a Pose; a frame without anybody has no people.
"""

from __future__ import annotations

import json
import math
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Any, NoReturn

import numpy as np

from magicpose_cli.errors import InputError
from magicpose_cli.pose.files.clip import (
    MAX_COORDINATE,
    MAX_SIDE,
    MIN_FPS,
    Person,
    PoseClip,
    Size,
    seen_rows,
    settle,
)
from magicpose_cli.pose.files.layouts import BODY_25, COCO_17, body_25_of, body_of
from magicpose_cli.pose.files.saving import whole_file, whole_folder
from magicpose_cli.pose.keypoints import BODY_JOINTS, PARTS, Pose

KEYS = {
    "body": "pose_keypoints_2d",
    "face": "face_keypoints_2d",
    "left_hand": "hand_left_keypoints_2d",
    "right_hand": "hand_right_keypoints_2d",
}
KEYS_3D = {"body": "pose_keypoints_3d", "face": "face_keypoints_3d"}
POINT_COUNTS = {part: (count,) for part, count in PARTS.items()} | {
    "body": (len(BODY_JOINTS), len(BODY_25), len(COCO_17)),
    "face": (68, 70),
}
PUPILS = [BODY_JOINTS.index("right_eye"), BODY_JOINTS.index("left_eye")]  # face points 68 and 69
OPENPOSE_VERSION = 1.3
FRAME_FILES = "*_keypoints.json"
NUMBERED = re.compile(r"(.*)_\d{12}_keypoints\.json")


def write_poses(
    path: Path, poses: Iterable[Pose], fps: float | None, *, overwrite: bool = False
) -> None:
    """Write one pose a frame; the file appears only when it is complete.

    Errors: OutputError where `path` exists (without `overwrite`) or cannot be written.
    """
    frames = (([pose], (pose.width, pose.height)) for pose in poses)
    _write_list(Path(path), frames, fps, overwrite)


def write_clip_list(path: Path, clip: PoseClip, *, overwrite: bool = False) -> None:
    """Write everybody as one list of frames; see write_poses."""
    size = (clip.width, clip.height)
    _write_list(Path(path), ((people, size) for people in clip.people), clip.fps, overwrite)


def write_clip_folder(folder: Path, clip: PoseClip, *, overwrite: bool = False) -> None:
    """Write everybody as OpenPose does, one file a frame, with the canvas and times added.

    Errors: OutputError, also where the folder holds anything else.
    """
    with whole_folder(Path(folder), overwrite, FRAME_FILES) as hidden:
        for index, people in enumerate(clip.people):
            entry = {
                "version": OPENPOSE_VERSION,
                "people": [_openpose_person(pose) for pose in people],
                **_about((clip.width, clip.height), index, clip.fps),
            }
            name = f"{Path(folder).name}_{index:012d}_keypoints.json"
            (hidden / name).write_text(json.dumps(entry, allow_nan=False), encoding="utf-8")


def read_poses(path: Path) -> tuple[list[Pose], float | None]:
    """Read (one pose a frame, frames per second); the rate is None where it is not told.

    Of several people in a frame the largest is taken. Errors: InputError naming the file, the
    frame (from 0) and the key.
    """
    clip = read_openpose(Path(path))
    return clip.largest, clip.fps


def read_openpose(path: Path, *, canvas: Size | None = None) -> PoseClip:
    """Read a file of one frame or of a list of them, or a folder of such files, with everybody.

    canvas: its size, for files that do not tell. Errors: InputError, as read_poses.
    """
    if path.is_dir():
        entries = [(str(file), entry) for file in frame_files(path) for entry in _entries(file)]
    else:
        entries = [(f"{path}: frame {i}", entry) for i, entry in enumerate(_entries(path))]
    frames = [_frame(where, entry) for where, entry in entries]
    told: Size | None = None
    for (where, _), frame in zip(entries, frames, strict=True):
        told = told or frame.size
        if frame.size and frame.size != told:
            _refuse(where, "canvas_width, canvas_height", f"{told} as before", frame.size)
    times = [frame.timestamp for frame in frames if frame.timestamp is not None]
    clip = settle(
        str(path),
        [frame.people for frame in frames],
        told=told,
        asked=canvas,
        fps=_rate(path, times) if len(times) == len(frames) else None,
        in_pixels=True if times else None,
    )
    if left_out := sum(frame.animals for frame in frames):
        clip.notes.append(f"{path}: {left_out} animals were left out; only people are read")
    return clip


def frame_files(folder: Path) -> list[Path]:
    """The JSON files of a folder in natural order; those of OpenPose's names where there are any.

    Errors: InputError where there are none, or of more than one film.
    """
    try:
        files = [f for f in folder.glob("*.json") if not f.name.startswith(".") and f.is_file()]
    except OSError as error:
        raise InputError(f"{folder}: cannot be read ({error.strerror})") from error
    files = [f for f in files if f.match(FRAME_FILES)] or files
    if not files:
        raise InputError(f"{folder}: holds no JSON; expected one OpenPose file a frame")
    films = {found[1] for f in files if (found := NUMBERED.fullmatch(f.name))}
    if len(films) > 1:
        named = ", ".join(sorted(films)[:3])
        raise InputError(
            f"{folder}: holds frames of {len(films)} films ({named}); expected those of one"
        )
    return sorted(files, key=lambda file: (_natural(file.name), file.name))


def _natural(name: str) -> list[tuple[int, int, str]]:
    parts = re.split(r"(\d+)", name.casefold())
    return [(0, int(part), "") if part.isdecimal() else (1, 0, part) for part in parts]


@dataclass
class _Frame:
    people: list[Person]
    size: Size | None
    timestamp: float | None
    animals: int


def _frame(where: str, entry: Any) -> _Frame:
    if not isinstance(entry, dict):
        _refuse(where, "", "an object with 'people' and the canvas size", entry)
    if "people" not in entry and isinstance(entry.get("keypoints"), list):
        people: Any = [{"pose_keypoints_2d": _flattened(p)} for p in entry["keypoints"]]
    elif "people" not in entry and isinstance(entry.get("animals"), list):
        people = []
    else:
        people = entry.get("people")
    if not isinstance(people, list):
        _refuse(where, "people", "a list", people)
    persons = []
    for number, person in enumerate(people):
        if not isinstance(person, dict):
            _refuse(where, "people", "a list of objects", person)
        persons.append(_person(f"{where}, person {number}", person))
    sides = [
        _side(where, entry, key if key in entry else key.removeprefix("canvas_"))
        for key in ("canvas_width", "canvas_height")
    ]
    if (sides[0] is None) != (sides[1] is None):
        _refuse(where, "canvas_width, canvas_height", "both or neither", sides)
    timestamp = entry.get("timestamp")
    animals = entry.get("animals")
    return _Frame(
        persons,
        (sides[0], sides[1]) if sides[0] and sides[1] else None,
        None if timestamp is None else _numbers(where, "timestamp", [timestamp], (1,), 1).item(),
        len(animals) if isinstance(animals, list) else 0,
    )


def _flattened(points: Any) -> Any:
    """x, y, score of an editor's [[x, y], ...]; null and [-1, -1] stand for an unseen point."""
    if not isinstance(points, list):
        return points
    rows = [[0.0, 0.0, 0.0] if p in (None, [-1, -1]) else p for p in points]
    if not all(isinstance(row, list) and len(row) in (2, 3) for row in rows):
        return points
    return [number for row in rows for number in (*row[:2], row[2] if len(row) == 3 else 1.0)]


def _person(where: str, person: dict[str, Any]) -> Person:
    parts: Person = {}
    for part, key in KEYS.items():
        if person.get(key) not in (None, []):
            data = _numbers(where, key, person[key], POINT_COUNTS[part], 3)
            parts[part] = body_of(data) if part == "body" else data[: PARTS[part]]
    for part, key in KEYS_3D.items():
        if person.get(key) not in (None, []):
            data = _numbers(where, key, person[key], POINT_COUNTS[part], 4)
            data = body_of(data) if part == "body" else data[: PARTS[part]]
            if (known := data[:, 3] > 0).any():
                space = np.where(known[:, None], data[:, :3], np.nan)
                parts[f"{part}_3d"] = space.astype(np.float32)
    return parts


def _numbers(where: str, key: str, value: Any, counts: Sequence[int], columns: int) -> np.ndarray:
    """(n, columns) float64 of a flat list of numbers, n one of `counts`."""
    if not isinstance(value, list) or len(value) not in [columns * n for n in counts]:
        told = " or ".join(f"{columns * n} numbers ({n} points)" for n in counts)
        _refuse(where, key, told, value)
    for number in value:
        # The comparison is false for NaN and for infinity; bool is a subclass of int.
        if type(number) not in (int, float) or not -MAX_COORDINATE <= number <= MAX_COORDINATE:
            _refuse(where, key, f"numbers up to {MAX_COORDINATE:.0f}", number)
    return np.array(value, dtype=np.float64).reshape(-1, columns)


def _side(where: str, entry: dict[str, Any], key: str) -> int | None:
    value: Any = entry.get(key)
    if value is None:
        return None
    if type(value) not in (int, float) or not 1 <= value <= MAX_SIDE or value != int(value):
        _refuse(where, key, f"whole pixels from 1 to {MAX_SIDE}", value)
    return int(value)


def _rate(path: Path, timestamps: list[float]) -> float | None:
    if len(timestamps) < 2:
        return None
    if not all(a < b for a, b in pairwise(timestamps)):
        raise InputError(f"{path}: timestamp: expected seconds that grow from frame to frame")
    rate = (len(timestamps) - 1) / (timestamps[-1] - timestamps[0])
    if not math.isfinite(rate):
        raise InputError(f"{path}: timestamp: the frames lie too close together")
    if rate < MIN_FPS:
        raise InputError(f"{path}: timestamp: the frames lie {1 / rate:.0f} seconds apart")
    return round(rate, 9)


def _entries(path: Path) -> list[Any]:
    def refuse_constant(name: str) -> NoReturn:
        raise ValueError(f"{name} is not a number of JSON")

    try:
        content = json.loads(path.read_text(encoding="utf-8-sig"), parse_constant=refuse_constant)
    except OSError as error:
        raise InputError(f"{path}: cannot be read ({error.strerror})") from error
    except (ValueError, RecursionError) as error:  # bad UTF-8, bad JSON, NaN, too deep
        raise InputError(f"{path}: is not JSON ({error}); expected OpenPose JSON") from error
    entries = [content] if isinstance(content, dict) else content
    if not isinstance(entries, list) or not entries:
        raise InputError(
            f"{path}: expected OpenPose JSON, a frame or a list with one entry a frame"
        )
    return entries


def _refuse(where: str, key: str, expected: str, got: Any) -> NoReturn:
    if isinstance(got, list):
        shown = f"a list of {len(got)}"
    elif got is None:
        shown = "nothing"
    else:
        shown = repr(got) if len(repr(got)) <= 40 else repr(got)[:40] + "..."
    place = f"{where}: {key}" if key else where
    raise InputError(f"{place}: expected {expected}, got {shown}")


def _write_list(
    path: Path, frames: Iterable[tuple[list[Pose], Size]], fps: float | None, overwrite: bool
) -> None:
    with whole_file(path, overwrite) as hidden, hidden.open("w", encoding="utf-8") as file:
        for index, (people, size) in enumerate(frames):
            persons = [_controlnet_person(pose) for pose in people if not pose.is_empty]
            file.write("[\n" if index == 0 else ",\n")
            json.dump({"people": persons, **_about(size, index, fps)}, file, allow_nan=False)
        file.write("\n]\n")


def _about(size: Size, index: int, fps: float | None) -> dict[str, Any]:
    about: dict[str, Any] = {"canvas_width": size[0], "canvas_height": size[1]}
    return about if fps is None else about | {"timestamp": index / fps}


def _controlnet_person(pose: Pose) -> dict[str, Any]:
    """18 joints; a part without points is null."""
    person: dict[str, Any] = {}
    for part, key in KEYS.items():
        data = seen_rows(pose, part)
        person[key] = _shortest(data) if part == "body" or data[:, 2].any() else None
    return person | {
        key: _shortest(space)
        for part, key in KEYS_3D.items()
        if (space := _space(pose, part)) is not None
    }


def _openpose_person(pose: Pose) -> dict[str, Any]:
    """25 joints, 70 face points; a part without points is []."""
    rows = {part: seen_rows(pose, part) for part in PARTS}
    rows["face"] = np.concatenate([rows["face"], rows["body"][PUPILS]])
    person: dict[str, Any] = {"person_id": [-1]}
    for part, key in KEYS.items():
        seen = getattr(pose, f"{part}_score").any()
        data = body_25_of(rows[part]) if part == "body" else rows[part]
        person[key] = _shortest(data) if part == "body" or seen else []
    for part, key in KEYS_3D.items():
        space = _space(pose, part)
        person[key] = [] if space is None else _shortest(space)
    return person


def _space(pose: Pose, part: str) -> np.ndarray | None:
    """(n, 4) x, y, z, 1; zero where unknown. None where nothing is known."""
    space = getattr(pose, f"{part}_3d")
    known = None if space is None else np.isfinite(space).all(axis=1)
    if space is None or known is None or not known.any():
        return None
    return np.where(known[:, None], np.column_stack([space, np.ones(len(space))]), 0.0)


def _shortest(data: np.ndarray) -> list[float]:
    """The shortest decimal of a float32: small files that read back bit for bit."""
    return [float(str(value)) for value in data.astype(np.float32).ravel()]
