"""MediaPipe's landmarks, the way users of its holistic and pose models save them.

A frame is an object with any of these, in any spelling (poseLandmarks, pose_landmarks):

    pose landmarks, or landmarks       33 points; several people are a list of such lists
    pose world landmarks               33 points in meters around the hips
    face landmarks                     468 or 478 points
    left, right hand landmarks         21 points; or both as left and right of hands

or the 33 points alone; null or [] where nobody is. A file holds a frame, a list of them, or an
object with a list of `frames` and, at will, `width`, `height` and `fps`. A point is {"x", "y", "z",
"visibility"} or a list of these numbers. In .npy files holistic frames are rows of 1662 numbers
(pose 33x4, face 468x3, hands 21x3), a habit of those who teach it.

Coordinates are parts of the picture, or pixels. As our own detector has it, joints less visible
than MIN_VISIBILITY and points outside of the picture are unseen.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from magicpose_cli.arrays import AnyArray
from magicpose_cli.errors import InputError
from magicpose_cli.pose.detection.mediapipe_points import (
    BODY_FROM_33,
    FACE_FROM_478,
    MIN_VISIBILITY,
    NECK,
    SHOULDERS,
    place_head,
)
from magicpose_cli.pose.files.clip import PersonPoints, Told
from magicpose_cli.pose.files.json_values import (
    Document,
    rate_in,
    rate_in_times,
    refuse,
    rows,
    size_in,
)
from magicpose_cli.pose.files.numbering import NumberedName, in_number_order

PARTS_OF = {  # by their names without _ and -, in lower case
    "body": ("poselandmarks", "pose", "landmarks"),
    "world": ("poseworldlandmarks", "worldlandmarks"),
    "face": ("facelandmarks", "face"),
    "left_hand": ("lefthandlandmarks", "lefthand"),
    "right_hand": ("righthandlandmarks", "righthand"),
}
COUNTS = {part: (21,) for part in PARTS_OF} | {"body": (33,), "world": (33,), "face": (468, 478)}
FRAME_KEYS = ("frames", "poses", "results", "data")
LANDMARK_NUMBERS = ("frame", "frame_id", "frame_index", "frame_idx", "frame_number", "frameIndex")
POSE_33 = (
    "nose", "left_eye_inner", "left_eye", "left_eye_outer",
    "right_eye_inner", "right_eye", "right_eye_outer",
    "left_ear", "right_ear", "mouth_left", "mouth_right", "left_shoulder", "right_shoulder",
    "left_elbow", "right_elbow", "left_wrist", "right_wrist", "left_pinky", "right_pinky",
    "left_index", "right_index", "left_thumb", "right_thumb", "left_hip", "right_hip",
    "left_knee", "right_knee", "left_ankle", "right_ankle", "left_heel", "right_heel",
    "left_foot_index", "right_foot_index",
)  # fmt: skip
HIPS = [23, 24]
AROUND_HIPS = 0.02  # points in meters are told from the middle of the hips: that near is no picture
PIXELS = 10.0  # nobody is that many pictures away: where points are, they are in pixels
HOLISTIC = 33 * 4 + 468 * 3 + 21 * 3 * 2


def is_mediapipe(content: Any) -> bool:
    """True for what has its marks in the first frame that shows somebody."""
    return any(_parts(entry) for entry in _entries(content)[1][:1000])


def read_mediapipe(where: str, documents: Sequence[Document]) -> Told:
    """What files of its landmarks say, one after another. Errors: InputError."""
    notes: list[str] = []
    by_name: dict[NumberedName, list[dict[str, AnyArray]]] = {}
    entries: list[Any] = []
    about: dict[str, Any] = {}
    for path, content in documents:
        told, entries = _entries(content)
        about = about or told
        for entry in entries:
            name = _number(entry) if len(documents) == 1 else None
            people = _people(f"{path}: frame {len(by_name)}", entry)
            by_name.setdefault(len(by_name) if name is None else name, []).extend(people)
    frames = in_number_order(where, by_name, notes)
    flat = (one[part] for people in frames for one in people for part in one if part != "world")
    in_pixels = any([is_in_pixels(points) for points in flat])
    return Told(
        [[person_of(where, parts, in_pixels=in_pixels) for parts in people] for people in frames],
        size=size_in(where, about),
        fps=rate_in(where, about) or rate_in_times(entries, len(frames)),
        in_pixels=in_pixels,
        notes=notes,
    )


def read_holistic(where: str, numbers: AnyArray) -> Told:
    """What rows of 1662 numbers say, (1662,) or (frames, 1662); a part of zeros is unseen."""
    sizes = (33 * 4, 468 * 3, 21 * 3, 21 * 3)
    frames = []
    for row in numbers.reshape(-1, HOLISTIC).astype(np.float64):
        parts = np.split(row, np.cumsum(sizes)[:-1])
        shaped = (part.reshape(-1, 4 if n == 0 else 3) for n, part in enumerate(parts))
        named = zip(("body", "face", "left_hand", "right_hand"), shaped, strict=True)
        seen = {name: part for name, part in named if np.isfinite(part).all() and part.any()}
        frames.append([person_of(where, seen, in_pixels=False)] if seen else [])
    return Told(frames, in_pixels=False)


def is_in_pixels(points: AnyArray) -> bool:
    """True where (..., columns) x, y, ... can be no parts of a picture."""
    return bool(np.nanmax(np.abs(points[..., :2]), initial=0.0) > PIXELS)


def person_of(where: str, parts: dict[str, AnyArray], *, in_pixels: bool) -> PersonPoints:
    """Our parts of (n, columns) x, y, z, visibility; see the module."""
    person: PersonPoints = {}
    joints = np.zeros((len(BODY_FROM_33), 3))
    body, face = parts.get("body"), parts.get("face")
    if body is not None:
        middle = body[HIPS, :2].mean(axis=0)
        if not in_pixels and np.abs(middle).max() < AROUND_HIPS:
            raise InputError(
                f"{where}: its points lie around the middle of the hips, in meters (world "
                "landmarks); expected those in the picture (pose landmarks)"
            )
        joints = _flat(body)[list(BODY_FROM_33)]
        shoulders = _flat(body)[SHOULDERS]
        joints[NECK] = *shoulders[:, :2].mean(axis=0), shoulders[:, 2].min()
    if face is not None:
        person["face"] = _in_picture(_flat(face, seen=True)[list(FACE_FROM_478)], in_pixels)
        if face.shape[1] > 2 and np.isfinite(face).all():
            person["mesh"] = face[:, :3]
        place_head(joints, _flat(face, seen=True))
    joints[joints[:, 2] < MIN_VISIBILITY, 2] = 0.0
    person["body"] = _in_picture(joints, in_pixels)
    for hand in ("left_hand", "right_hand"):
        if hand in parts:
            person[hand] = _in_picture(_flat(parts[hand], seen=True), in_pixels)
    if (world := parts.get("world")) is not None and world.shape[1] > 2:
        space = world[list(BODY_FROM_33), :3]
        space[NECK] = world[SHOULDERS, :3].mean(axis=0)
        space[person["body"][:, 2] == 0] = np.nan
        person["body_3d"] = space.astype(np.float32)
    return person


def _flat(points: AnyArray, seen: bool = False) -> AnyArray:
    """(n, 3) x, y and the visibility, 1 where none is told or all are `seen`."""
    told = points.shape[1] > 3 and not seen
    return np.column_stack([points[:, :2], points[:, 3] if told else np.ones(len(points))])


def _in_picture(points: AnyArray, in_pixels: bool) -> AnyArray:
    inside = np.isfinite(points).all(axis=1)
    if not in_pixels:
        inside &= ((points[:, :2] >= 0) & (points[:, :2] < 1)).all(axis=1)
    return np.where(inside[:, None], points, 0.0)


def _entries(content: Any) -> tuple[dict[str, Any], list[Any]]:
    """What is told of the whole, and the frames."""
    if isinstance(content, dict):
        key = next((key for key in FRAME_KEYS if isinstance(content.get(key), list)), None)
        return (content, [content]) if key is None or _parts(content) else (content, content[key])
    if not isinstance(content, list) or not content or _is_body(content):
        return {}, [content]
    first = next((item for item in content if isinstance(item, dict)), {})
    return first, content


def _is_body(value: Any) -> bool:
    return isinstance(value, list) and len(value) == 33 and all(_is_point(point) for point in value)


def _is_point(value: Any) -> bool:
    if isinstance(value, dict):
        return {"x", "y"} <= set(value)
    return isinstance(value, list) and 2 <= len(value) <= 5 and type(value[0]) in (int, float)


def _parts(entry: Any) -> dict[str, Any]:
    """The landmarks of a frame by our names, as they stand there."""
    if _is_body(entry):
        return {"body": entry}
    found: dict[str, Any] = {}
    entry = entry if isinstance(entry, dict) else {}
    hands = entry.get("hands")
    sides = (
        {f"{side}_hand": hand for side, hand in hands.items()} if isinstance(hands, dict) else {}
    )
    for key, value in (*entry.items(), *sides.items()):
        word = key.lower().replace("_", "").replace("-", "")
        part = next((part for part, words in PARTS_OF.items() if word in words), None)
        if part and part not in found and (value is None or isinstance(value, list | dict)):
            found[part] = value
    return found


def _people(where: str, entry: Any) -> list[dict[str, AnyArray]]:
    """Everybody in a frame, (n, columns) x, y, z, visibility by part; [] where nobody is."""
    parts = _parts(entry)
    if not parts and entry is not None and not isinstance(entry, list | dict):
        refuse(where, "", "an object with landmarks", entry)
    told = {part: _each(value) for part, value in parts.items()}
    people: list[dict[str, AnyArray]] = []
    for number in range(max(map(len, told.values()), default=0)):
        place = f"{where}, person {number}"
        person = {
            part: _points(f"{place}: {part.replace('_', ' ')}", each[number], COUNTS[part])
            for part, each in told.items()
            if number < len(each)
        }
        if set(person) - {"world"}:
            people.append(person)
    return people


def _each(value: Any) -> list[Any]:
    """The landmarks of each of the people."""
    value = _unwrapped(value)
    if not value:
        return []
    if not isinstance(value, list) or _is_point(value[0]) or value[0] is None:
        return [value]
    return [inner for people in value if (inner := _unwrapped(people))]


def _unwrapped(value: Any) -> Any:
    """The list of one's landmarks, out of an object of it, or of landmarks by their names."""
    if isinstance(value, dict):
        value = next((value[key] for key in ("landmark", "landmarks") if key in value), value)
    if isinstance(value, dict):
        points = {name.lower(): point for name, point in value.items()}
        value = [points.get(name) for name in POSE_33] if points else []
    return value


def _points(where: str, value: Any, counts: tuple[int, ...]) -> AnyArray:
    if not isinstance(value, list) or len(value) not in counts:
        refuse(where, "", f"{' or '.join(map(str, counts))} landmarks", value)
    points = [
        [point.get("x"), point.get("y"), point.get("z", 0.0), point.get("visibility", 1.0)]
        if isinstance(point, dict)
        else point
        for point in value
    ]
    data = rows(where, "", points, (2, 3, 4, 5))[:, :4]
    if not np.isfinite(data[:, :2]).all():
        refuse(where, "", "x and y of each landmark", "null")
    return np.nan_to_num(data, nan=1.0)


def _number(entry: Any) -> int | None:
    if not isinstance(entry, dict):
        return None
    return next((entry[key] for key in LANDMARK_NUMBERS if type(entry.get(key)) is int), None)
