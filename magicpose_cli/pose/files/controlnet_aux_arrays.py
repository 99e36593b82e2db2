"""The dictionary of controlnet_aux's DWPose detector, its arrays by themselves in a .npz.

For one frame, or for several stacked along a first axis:

    candidate    (18 people, 2)     joints, coordinates from 0 to 1
    subset       (people, 18)       the row of candidate of each joint, -1 where it is unseen
    faces        (people, 68, 2)    -1 where unseen
    hands        (2 people, 21, 2)  all left hands, then all right ones; -1 where unseen
    score        (people, 18)       likewise faces_score and hands_score: where there are any

A subset may have OpenPose's two more columns. Feet are not kept. `size` (or `width` and `height`)
and `fps` at will; the canvas has to be known, from there or from the user.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np

from magicpose_cli.arrays import AnyArray
from magicpose_cli.errors import InputError
from magicpose_cli.pose.clip import PeopleClip
from magicpose_cli.pose.files.arrays import save_arrays
from magicpose_cli.pose.files.clip import PersonPoints, Told
from magicpose_cli.pose.files.dwpose_arrays import (
    check_frames,
    rows_of,
    scored,
    size_and_rate,
)
from magicpose_cli.pose.files.layouts import SEEN
from magicpose_cli.pose.keypoints import BODY_JOINTS, PARTS

DICTIONARY_KEY = "candidate"
# A point is never that many canvases away: where one is, the coordinates are pixels, as OpenPose's
# own arrays of the same names have it.
PARTS_REACH = 20.0
JOINTS, FACE, HAND = len(BODY_JOINTS), PARTS["face"], PARTS["left_hand"]


def told_by_dictionary(path: Path, arrays: dict[str, AnyArray]) -> Told:
    """What a file's arrays say. Errors: InputError naming the array that does not fit."""
    told, fps = size_and_rate(path, arrays)
    named = {
        n: arrays[n] for n in (DICTIONARY_KEY, "subset", *(s for s in _shapes(0))) if n in arrays
    }
    if named[DICTIONARY_KEY].ndim == 2:
        named = {name: data[None] for name, data in named.items()}
    _check(path, named)
    people = [
        _people(path, {name: data[frame] for name, data in named.items()})
        for frame in range(len(named[DICTIONARY_KEY]))
    ]
    far = max(
        (np.abs(data[:, :2]).max() for p in people for q in p for data in q.values()), default=0
    )
    in_pixels = bool(far > PARTS_REACH)
    return Told(people, size=told, fps=fps, in_pixels=in_pixels)


def write_dictionary(path: Path, clip: PeopleClip, *, overwrite: bool = False) -> None:
    """All frames stacked, float64, with scores, canvas and rate. Errors: OutputError."""
    frames, most = len(clip.people), max(1, *(len(people) for people in clip.people))
    parts = {part: np.zeros((frames, most, n, 3)) for part, n in PARTS.items()}
    for frame, people in enumerate(clip.people):
        for number, pose in enumerate(people):
            for part, rows in rows_of(pose).items():
                parts[part][frame, number] = rows
    size = np.array([clip.width, clip.height])
    points = {p: np.where(d[..., 2:] > 0, d[..., :2] / size, -1.0) for p, d in parts.items()}
    scores = {part: data[..., 2] for part, data in parts.items()}
    rows = np.arange(most * JOINTS).reshape(most, JOINTS)
    arrays = {
        DICTIONARY_KEY: points["body"].reshape(frames, most * JOINTS, 2),
        "subset": np.where(scores["body"] > 0, rows, -1),
        "faces": points["face"],
        "hands": np.concatenate([points["left_hand"], points["right_hand"]], axis=1),
        "score": scores["body"],
        "faces_score": scores["face"],
        "hands_score": np.concatenate([scores["left_hand"], scores["right_hand"]], axis=1),
        "size": size,
    }
    if clip.fps:
        arrays["fps"] = np.array(clip.fps)
    save_arrays(path, arrays, overwrite=overwrite)


def _shapes(people: int) -> dict[str, tuple[int, ...]]:
    """Of what may stand beside the joints of a frame."""
    return {
        "faces": (people, FACE, 2),
        "hands": (2 * people, HAND, 2),
        "score": (people, JOINTS),
        "faces_score": (people, FACE),
        "hands_score": (2 * people, HAND),
    }


def _check(path: Path, named: dict[str, AnyArray]) -> None:
    """That all arrays, stacked, are of the same frames and people."""
    candidate, subset = named[DICTIONARY_KEY], named.get("subset")
    if candidate.ndim != 3 or candidate.shape[2] not in (2, 3, 4):
        raise InputError(
            f"{path}: {DICTIONARY_KEY}: expected the shape (joints, 2) or (frames, joints, 2), got "
            f"{candidate.shape}"
        )
    check_frames(f"{path}: {DICTIONARY_KEY}", len(candidate))
    frames, joints = candidate.shape[:2]
    if subset is None or subset.ndim != 3 or subset.shape[2] not in (JOINTS, JOINTS + 2):
        shape = None if subset is None else subset.shape
        raise InputError(f"{path}: subset: expected the shape (people, {JOINTS}), got {shape}")
    rows = subset[..., :JOINTS]
    # not all(): NaN compares false
    if len(subset) != frames or not (rows < max(joints, 1)).all() or not (rows >= -1).all():
        raise InputError(
            f"{path}: subset: expected {frames} frames of rows of {DICTIONARY_KEY}, "
            f"-1 to {joints - 1}"
        )
    for name, shape in _shapes(subset.shape[1]).items():
        if name in named and named[name].shape != (frames, *shape):
            raise InputError(
                f"{path}: {name}: expected the shape {(frames, *shape)}, got {named[name].shape}"
            )


def _people(path: Path, frame: dict[str, AnyArray]) -> list[PersonPoints]:
    """Everybody in the arrays of one frame."""
    candidate = np.asarray(frame[DICTIONARY_KEY], dtype=np.float64)[:, :2]
    rows = frame["subset"][:, :JOINTS].astype(np.int64)
    people = len(rows)
    nowhere = np.full((1, 2), -1.0)  # the row of index -1
    points = {"body": np.concatenate([candidate, nowhere])[rows]}
    scores = {"body": frame.get("score")}
    if "faces" in frame:
        points["face"], scores["face"] = frame["faces"], frame.get("faces_score")
    for hand, side in (("left_hand", slice(people)), ("right_hand", slice(people, None))):
        if "hands" in frame:
            points[hand] = frame["hands"][side]
            scores[hand] = frame["hands_score"][side] if "hands_score" in frame else None
    data = {}
    for part, xy in points.items():
        seen = ~(xy == -1).all(axis=-1, keepdims=True)
        data[part] = scored(f"{path}: {part}", np.where(seen, xy, np.nan), scores[part], SEEN)
    return [{part: rows[number] for part, rows in data.items()} for number in range(people)]
