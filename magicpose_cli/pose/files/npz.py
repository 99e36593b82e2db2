"""Our own pose file: compact, exact to the bit, as a NumPy archive of version 1.

magicpose_poses  ()            the version
size             (2,)          width and height in pixels
fps              () float64    frames a second, 0 where they are unknown
people           (frames,)     how many people each frame shows
body             (all, 18, 3)  float32 x, y, score of everybody, frame by frame, the largest
face             (all, 68, 3)  first; all = sum of people; unseen points are 0, 0, 0
left_hand        (all, 21, 3)
right_hand       (all, 21, 3)
body_3d          (some, 18, 3) float32 points in space of those who have them, NaN where unknown
body_3d_of       (some,)       which of all these are; likewise face_3d and face_3d_of
face_mesh        (some, 478, 3) float32 MediaPipe's face of those who have it, x and y in pixels, z
face_mesh_of     (some,)       in as large steps, see `Pose`; which of all these are. Left out of
                               hours that would be too large to be read again with it
"""

from __future__ import annotations

from pathlib import Path
from typing import Any, NoReturn

import numpy as np

from magicpose_cli.arrays import AnyArray
from magicpose_cli.errors import InputError
from magicpose_cli.pose.clip import PeopleClip
from magicpose_cli.pose.files.arrays import MAX_ARCHIVE_BYTES, save_arrays
from magicpose_cli.pose.files.clip import (
    MAX_CLIP_FRAMES,
    MAX_COORDINATE,
    MAX_FPS,
    MAX_SIDE,
    MIN_FPS,
    seen_rows,
)
from magicpose_cli.pose.keypoints import EXTRAS, PARTS, Pose

VERSION_KEY = "magicpose_poses"
FILE_VERSION = 1
HEADER = 1024  # bytes, at most, that an array takes in a file besides its numbers
SPACE = {name: EXTRAS[name] for name in ("body_3d", "face_3d", "face_mesh")}


def write_npz(path: Path, clip: PeopleClip, *, overwrite: bool = False) -> None:
    """Write everybody in one step. Errors: OutputError."""
    everybody = [pose for people in clip.people for pose in people]
    arrays: dict[str, AnyArray] = {
        VERSION_KEY: np.array(FILE_VERSION),
        "size": np.array([clip.width, clip.height]),
        "fps": np.array(clip.fps or 0.0, np.float64),
        "people": np.array([len(people) for people in clip.people], np.int32),
    }
    for part, count in PARTS.items():
        rows = [seen_rows(pose, part) for pose in everybody]
        arrays[part] = np.array(rows, np.float32).reshape(-1, count, 3)
    for name, count in SPACE.items():
        known = [index for index, pose in enumerate(everybody) if getattr(pose, name) is not None]
        if known:
            points = [getattr(everybody[index], name) for index in known]
            arrays[name] = np.array(points, np.float32).reshape(-1, count, 3)
            arrays[f"{name}_of"] = np.array(known, np.int32)
    if sum(array.nbytes + HEADER for array in arrays.values()) > MAX_ARCHIVE_BYTES:
        arrays = {name: arrays[name] for name in arrays if not name.startswith("face_mesh")}
    save_arrays(path, arrays, overwrite=overwrite)


def clip_of_arrays(path: Path, arrays: dict[str, AnyArray]) -> PeopleClip:
    """The clip of a file's arrays. Errors: InputError naming the array that does not fit."""
    version = _array(path, arrays, VERSION_KEY, (), "iu").item()
    if version != FILE_VERSION:
        raise InputError(
            f"{path}: is of version {version} of magicpose's pose files; expected {FILE_VERSION}, "
            "update magicpose"
        )
    width, height = _array(path, arrays, "size", (2,), "iu").tolist()
    if not (1 <= width <= MAX_SIDE and 1 <= height <= MAX_SIDE):
        _refuse(path, "size", f"pixels from 1 to {MAX_SIDE}", f"{width} and {height}")
    fps = float(_array(path, arrays, "fps", (), "f").item())
    if fps != 0 and not MIN_FPS <= fps <= MAX_FPS:
        _refuse(path, "fps", f"0 or {MIN_FPS:g} to {MAX_FPS:g} frames a second", fps)
    people = _array(path, arrays, "people", (None,), "iu")
    if not 1 <= len(people) <= MAX_CLIP_FRAMES:
        _refuse(path, "people", f"1 to {MAX_CLIP_FRAMES} frames", len(people))
    if people.min() < 0 or people.max() > MAX_CLIP_FRAMES:
        _refuse(path, "people", "numbers of people", people[people.argmin()])
    total = int(people.sum(dtype=np.int64))
    parts = {part: _points(path, arrays, part, (total, n, 3)) for part, n in PARTS.items()}
    space = {name: _space(path, arrays, name, total) for name in SPACE if name in arrays}
    everybody = iter(
        [
            Pose.of(
                width,
                height,
                **{part: data[index] for part, data in parts.items()},
                **{name: known[index] for name, known in space.items() if index in known},
            )
            for index in range(total)
        ]
    )
    return PeopleClip(
        [[next(everybody) for _ in range(count)] for count in people.tolist()],
        width,
        height,
        fps or None,
    )


def _points(path: Path, arrays: dict[str, AnyArray], name: str, shape: tuple[int, ...]) -> AnyArray:
    points = _array(path, arrays, name, shape, "f")
    score = points[..., 2]
    if not (np.abs(points) <= MAX_COORDINATE).all() or not ((score >= 0) & (score <= 1)).all():
        _refuse(path, name, f"pixels up to {MAX_COORDINATE:.0f} and scores from 0 to 1", "others")
    return points


def _space(path: Path, arrays: dict[str, AnyArray], name: str, total: int) -> dict[int, AnyArray]:
    """The points in space by the number of whose they are."""
    of = _array(path, arrays, f"{name}_of", (None,), "iu").astype(np.int64)
    points = _array(path, arrays, name, (len(of), SPACE[name], 3), "f").astype(np.float32)
    if len(of) and (of[0] < 0 or of[-1] >= total or (np.diff(of) <= 0).any()):
        _refuse(path, f"{name}_of", f"ascending numbers below {total}", "others")
    if name == "face_mesh" and not (np.abs(points) <= MAX_COORDINATE).all():  # nor NaN: it is whole
        _refuse(path, name, f"pixels up to {MAX_COORDINATE:.0f}", "others")
    if np.isinf(points).any():
        _refuse(path, name, "finite numbers or NaN", "infinity")
    return dict(zip(of.tolist(), points, strict=True))


def _array(
    path: Path, arrays: dict[str, AnyArray], name: str, shape: tuple[int | None, ...], kinds: str
) -> AnyArray:
    """An array of this shape (None: any length) and one of these kinds of numbers."""
    array = arrays.get(name)
    if array is None:
        _refuse(path, name, "an array", "nothing")
    fits = len(array.shape) == len(shape) and all(
        want in (None, got) for want, got in zip(shape, array.shape, strict=True)
    )
    if not fits or array.dtype.kind not in kinds:
        wanted = "float" if kinds == "f" else "whole"
        _refuse(
            path,
            name,
            f"{wanted} numbers of shape {_shown(shape)}",
            f"{array.dtype} of shape {_shown(array.shape)}",
        )
    return array


def _shown(shape: tuple[int | None, ...]) -> str:
    return "(" + ", ".join("n" if side is None else str(side) for side in shape) + ")"


def _refuse(path: Path, name: str, expected: str, got: Any) -> NoReturn:
    raise InputError(f"{path}: {name}: expected {expected}, got {got}")
