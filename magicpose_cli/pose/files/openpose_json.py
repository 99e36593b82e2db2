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
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from magicpose_cli.arrays import AnyArray
from magicpose_cli.errors import InputError
from magicpose_cli.files import natural, whole_file, whole_folder
from magicpose_cli.pose.clip import PeopleClip, PoseClip
from magicpose_cli.pose.files.clip import PersonPoints, PixelSize, Told, seen_rows, settle
from magicpose_cli.pose.files.json_values import (
    Document,
    flat_rows,
    load_json,
    numbers,
    rate_of_times,
    refuse,
    size_in,
)
from magicpose_cli.pose.files.layouts import body_25_of, body_of
from magicpose_cli.pose.files.loose_parts import KEYS, POINT_COUNTS, attach, loose_in, part_of
from magicpose_cli.pose.files.numbering import in_number_order
from magicpose_cli.pose.keypoints import BODY_JOINTS, PARTS, Pose

KEYS_3D = {"body": "pose_keypoints_3d", "face": "face_keypoints_3d"}
PUPILS = [BODY_JOINTS.index("right_eye"), BODY_JOINTS.index("left_eye")]  # face points 68 and 69
OPENPOSE_VERSION = 1.3
FRAME_FILES = "*_keypoints.json"
POSE_FILE_PATTERN = r".*_keypoints\.json"
NUMBERED = re.compile(r"(.*)_\d{12}_keypoints\.json")


def write_poses(
    path: Path, poses: Iterable[Pose], fps: float | None, *, overwrite: bool = False
) -> None:
    """Write one pose a frame; the file appears only when it is complete.

    Errors: OutputError where `path` exists (without `overwrite`) or cannot be written.
    """
    frames = (([pose], (pose.width, pose.height)) for pose in poses)
    _write_list(Path(path), frames, fps, overwrite)


def write_clip_list(path: Path, clip: PeopleClip, *, overwrite: bool = False) -> None:
    """Write everybody as one list of frames; see write_poses."""
    size = (clip.width, clip.height)
    _write_list(Path(path), ((people, size) for people in clip.people), clip.fps, overwrite)


def write_clip_folder(folder: Path, clip: PeopleClip, *, overwrite: bool = False) -> None:
    """Write everybody as OpenPose does, one file a frame, with the canvas and times added.

    Errors: OutputError, also where the folder holds anything else.
    """
    with whole_folder(Path(folder), overwrite, POSE_FILE_PATTERN) as hidden:
        for index, people in enumerate(clip.people):
            entry = {
                "version": OPENPOSE_VERSION,
                "people": [_openpose_person(pose) for pose in people],
                **_about((clip.width, clip.height), index, clip.fps),
            }
            name = f"{Path(folder).name}_{index:012d}_keypoints.json"
            (hidden / name).write_text(json.dumps(entry, allow_nan=False), encoding="utf-8")


def read_poses(path: Path) -> tuple[PoseClip, float | None]:
    """Read (one pose a frame, frames per second); the rate is None where it is not told.

    Of several people in a frame the largest is taken. Errors: InputError naming the file, the
    frame (from 0) and the key.
    """
    clip = read_openpose(Path(path))
    return clip.largest, clip.fps


def read_openpose(path: Path, *, canvas: PixelSize | None = None) -> PeopleClip:
    """Read a file of one frame or of a list of them, or a folder of such files, with everybody.

    canvas: its size, for files that do not tell. Errors: InputError, as read_poses.
    """
    files = frame_files(path) if path.is_dir() else [path]
    told = openpose_frames(str(path), [(str(file), load_json(file)) for file in files])
    return settle(str(path), told, asked=canvas)


def is_openpose(content: Any) -> bool:
    """True for what has OpenPose's marks, or an editor's, in the first frame that shows people."""
    if isinstance(content, list):
        frames = [frame for frame in content if isinstance(frame, dict)]
        return bool(frames) and is_openpose(next((f for f in frames if f.get("people")), frames[0]))
    if not isinstance(content, dict):
        return False
    people = content.get("people")
    if people and isinstance(people, list):
        return any("_keypoints" in key for one in people if isinstance(one, dict) for key in one)
    by_editor = "keypoints" in content and {"height", "canvas_height"} & set(content)
    return bool(by_editor or {"animals", *KEYS.values()} & set(content) or _by_picture(content))


def is_without_people(content: Any) -> bool:
    """True for frames of OpenPose's that show nobody."""
    frame = content[0] if isinstance(content, list) and content else content
    return isinstance(frame, dict) and frame.get("people") == []


def openpose_frames(where: str, documents: Sequence[Document]) -> Told:
    """What files of a frame each, or a file of several, say. Errors: InputError."""
    notes: list[str] = []
    entries: list[tuple[str, Any]] = []
    pictures: list[str] = []
    for path, content in documents:
        named = _by_picture(content)
        if named:
            pictures += sorted(named, key=natural)
            frames = in_number_order(path, {name: [frame] for name, frame in named.items()}, notes)
            content = [frame[0] if frame else {"people": []} for frame in frames]
        listed = [content] if isinstance(content, dict) else content
        if not isinstance(listed, list) or not listed:
            raise InputError(
                f"{path}: expected OpenPose JSON, a frame or a list with one entry a frame"
            )
        numbered = len(documents) == 1
        entries += [(f"{path}: frame {i}" if numbered else path, e) for i, e in enumerate(listed)]
    frames_read = [_frame(place, entry) for place, entry in entries]
    told: PixelSize | None = None
    for (place, _), frame in zip(entries, frames_read, strict=True):
        told = told or frame.size
        if frame.size and frame.size != told:
            refuse(place, "canvas_width, canvas_height", f"{told} as before", frame.size)
    times = [frame.timestamp for frame in frames_read if frame.timestamp is not None]
    if left_out := sum(frame.animals for frame in frames_read):
        notes.append(f"{where}: {left_out} animals were left out; only people are read")
    return Told(
        [frame.people for frame in frames_read],
        size=told,
        fps=rate_of_times(where, times) if len(times) == len(frames_read) else None,
        in_pixels=True if times else None,
        notes=notes,
        pictures=pictures,
    )


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
        raise InputError(f"{folder}: holds no JSON; expected a file of poses a frame")
    films = {found[1] for f in files if (found := NUMBERED.fullmatch(f.name))}
    if len(films) > 1:
        named = ", ".join(sorted(films)[:3])
        raise InputError(
            f"{folder}: holds frames of {len(films)} films ({named}); expected those of one"
        )
    return sorted(files, key=lambda file: (natural(file.name), file.name))


@dataclass
class _Frame:
    people: list[PersonPoints]
    size: PixelSize | None
    timestamp: float | None
    animals: int


def _frame(where: str, entry: Any) -> _Frame:
    if not isinstance(entry, dict):
        refuse(where, "", "an object with 'people' and the canvas size", entry)
    people, animals, loose = entry.get("people"), entry.get("animals"), loose_in(where, entry)
    if people is None and (loose or isinstance(animals, list) or entry.get("keypoints") == []):
        people = []
    if not isinstance(people, list):
        refuse(where, "people", "a list", people)
    persons = []
    for number, person in enumerate(people):
        if not isinstance(person, dict):
            refuse(where, "people", "a list of objects", person)
        persons.append(_person(f"{where}, person {number}", person))
    timestamp = entry.get("timestamp")
    return _Frame(
        attach(persons, loose),
        size_in(where, entry),
        None if timestamp is None else float(numbers(where, "timestamp", [timestamp])[0]),
        len(animals) if isinstance(animals, list) else 0,
    )


def _by_picture(content: Any) -> dict[str, Any]:
    """AlphaPose's frames by the name of their picture; none where these are others."""
    frames = content if isinstance(content, dict) else {}
    whole = all(isinstance(f, dict) and {"people", "bodies"} & set(f) for f in frames.values())
    return frames if whole else {}


def _person(where: str, person: dict[str, Any]) -> PersonPoints:
    if person and not any("_keypoints" in key for key in person):
        refuse(where, "", f"{KEYS['body']!r} and its like", person)
    parts: PersonPoints = {}
    for part, key in KEYS.items():
        key = key if person.get(key) else key.removesuffix("_2d")  # OpenPose before its 3D
        if person.get(key) not in (None, []):
            parts[part] = part_of(where, key, part, person[key])[1]
    for part, key in KEYS_3D.items():
        if person.get(key) not in (None, []):
            data = flat_rows(where, key, person[key], POINT_COUNTS[part], 4)
            data = body_of(data) if part == "body" else data[: PARTS[part]]
            if (known := data[:, 3] > 0).any():
                space = np.where(known[:, None], data[:, :3], np.nan)
                parts[f"{part}_3d"] = space.astype(np.float32)
    return parts


def _write_list(
    path: Path, frames: Iterable[tuple[list[Pose], PixelSize]], fps: float | None, overwrite: bool
) -> None:
    with whole_file(path, overwrite) as hidden, hidden.open("w", encoding="utf-8") as file:
        for index, (people, size) in enumerate(frames):
            persons = [_controlnet_person(pose) for pose in people if not pose.is_empty]
            file.write("[\n" if index == 0 else ",\n")
            json.dump({"people": persons, **_about(size, index, fps)}, file, allow_nan=False)
        file.write("\n]\n")


def _about(size: PixelSize, index: int, fps: float | None) -> dict[str, Any]:
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


def _space(pose: Pose, part: str) -> AnyArray | None:
    """(n, 4) x, y, z, 1; zero where unknown. None where nothing is known."""
    space = getattr(pose, f"{part}_3d")
    known = None if space is None else np.isfinite(space).all(axis=1)
    if space is None or known is None or not known.any():
        return None
    return np.where(known[:, None], np.column_stack([space, np.ones(len(space))]), 0.0)


def _shortest(data: AnyArray) -> list[float]:
    """The shortest decimal of a float32: small files that read back bit for bit."""
    return [float(str(value)) for value in data.astype(np.float32).ravel()]
