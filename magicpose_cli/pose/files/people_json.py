"""Lists of people with `keypoints`, frame by frame, as MMPose and its like write them.

    {"meta_info": {"keypoint_id2name": {"0": "nose", ...}, ...},    MMPose's demos, Sapiens
     "instance_info": [{"frame_id": 1, "instances": [PERSON, ...]}, ...]}
    {"instance_info": [PERSON, ...]}                                 of one picture
    [{"frame_id": 0, "instances": [PERSON, ...]}, ...]               MMPoseInferencer, of a film
    [PERSON, ...]                                                    of a picture; Ultralytics,
                                                                     OpenPifPaf, TensorFlow.js
    [[PERSON, ...], ...]                                             a list a frame
    [{"frame": 0, PERSON's keys}, ...]                               one person a frame

`instances` says what a PERSON may be; lists are called people, predictions or poses as well.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from magicpose_cli.pose.files.clip import Told
from magicpose_cli.pose.files.instances import INSTANCES_KEY, frames_of
from magicpose_cli.pose.files.json_values import (
    Document,
    objects,
    rate_in,
    rate_in_times,
    refuse,
    size_in,
)
from magicpose_cli.pose.files.numbering import NumberedName, in_number_order, name_in

LISTS = ("instance_info", "instances", "predictions", "people", "poses", "frames")
PERSON_NUMBERS = ("frame_id", "frame", "frame_index", "frame_idx", "frame_number", "image_id")

Instances = list[dict[str, Any]]


def is_people(content: Any, depth: int = 4) -> bool:
    """True for what has such people in it, at most so many lists deep."""
    if isinstance(content, list) and depth > 0:
        return any(is_people(item, depth - 1) for item in content)
    if not isinstance(content, dict) or depth == 0:
        return False
    if {INSTANCES_KEY, "instance_info", "instances"} & set(content):
        return True
    return any(is_people(content[key], depth - 1) for key in LISTS if key in content)


def read_people(where: str, documents: Sequence[Document]) -> Told:
    """What files of such lists say, one after another. Errors: InputError."""
    notes: list[str] = []
    frames: list[Instances] = []
    for path, content in documents:
        frames += _frames(path, content, notes)
    about = documents[0][1] if isinstance(documents[0][1], dict) else {}
    meta = about.get("meta_info")
    names = _names(where, meta) if isinstance(meta, dict) else None
    return Told(
        frames_of(where, frames, names, notes),
        size=size_in(where, about),
        fps=rate_in(where, about) or rate_in_times(_listed(documents[-1][1]), len(frames)),
        notes=notes,
    )


def _frames(where: str, content: Any, notes: list[str]) -> list[Instances]:
    if isinstance(content, dict):
        key = next((key for key in LISTS if isinstance(content.get(key), list)), None)
        return [[content]] if key is None else _frames(where, content[key], notes)
    if not isinstance(content, list):
        refuse(where, "", "a list of people or of frames", content)
    if any(isinstance(item, list) for item in content):
        return [objects(where, f"frame {n}", [] if i is None else i) for n, i in enumerate(content)]
    entries = objects(where, "", content)
    if not entries:
        return [[]]
    key = next((key for key in PERSON_NUMBERS if key in entries[0]), None)
    by_name: dict[NumberedName, Instances] = {}
    for number, entry in enumerate(entries):
        inner = next((name for name in LISTS if name in entry), None)
        if inner is None and key is None:  # people of one picture
            return [entries]
        place = f"{where}: entry {number}"
        name = number if key is None else name_in(place, entry, key)
        people = [entry] if inner is None else objects(place, inner, entry[inner])
        by_name.setdefault(name, []).extend(people)
    return in_number_order(where, by_name, notes)


def _listed(content: Any) -> list[Any]:
    inner = [content[key] for key in LISTS if key in content] if isinstance(content, dict) else []
    return next((value for value in [*inner, content] if isinstance(value, list)), [])


def _names(where: str, meta: dict[str, Any]) -> list[str] | None:
    """The points' names in their order, where MMPose tells them."""
    value = meta.get("keypoint_id2name")
    if not isinstance(value, dict) or not value:
        return None
    names = [value.get(str(number)) for number in range(len(value))]
    if not all(isinstance(name, str) for name in names):
        refuse(where, "keypoint_id2name", f"names of 0 to {len(value) - 1}", value)
    return names  # type: ignore[return-value]
