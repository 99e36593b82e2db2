"""Poses in COCO's JSON: results, as most networks write them, and annotations.

Results, one object a person (AlphaPose's image_id is the picture's name, "10.jpg"):

    [{"image_id": 1, "category_id": 1, "keypoints": [x, y, score, ...], "score": 0.9}, ...]

Annotations (COCO, Halpe, PoseTrack), which also list the pictures of which nobody is told:

    {"images": [{"id": 1, "file_name": "1.jpg", "width": 640, "height": 480}],
     "annotations": [{"image_id": 1, "category_id": 1, "keypoints": [x, y, visibility, ...]}],
     "categories": [{"id": 1, "name": "person", "keypoints": ["nose", ...]}]}

Points as `instances` reads them: 17, 26, 133 or 136, or as the category names them.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from magicpose_cli.errors import InputError
from magicpose_cli.files import natural
from magicpose_cli.pose.files.clip import Told
from magicpose_cli.pose.files.instances import frames_of
from magicpose_cli.pose.files.json_values import Document, objects, refuse, size_in
from magicpose_cli.pose.files.layouts import COCO_17, POSETRACK_17, order_of_names
from magicpose_cli.pose.files.numbering import NumberedName, in_number_order, name_in

FILM_KEYS = ("vid_id", "video_id")  # of a picture
POSETRACK_KEYS = ("vid_id", "nframes", "is_labeled")


def is_coco(content: Any) -> bool:
    """True for what has COCO's marks."""
    if isinstance(content, dict):
        return isinstance(content.get("annotations"), list)
    return (
        isinstance(content, list)
        and bool(content)
        and isinstance(content[0], dict)
        and {"image_id", "keypoints"} <= set(content[0])
    )


def read_coco(where: str, documents: Sequence[Document]) -> Told:
    """What files of COCO's kinds say, one after another. Errors: InputError."""
    told = [
        _annotations(path, content) if isinstance(content, dict) else _results(path, content)
        for path, content in documents
    ]
    sizes = {one.size for one in told if one.size}
    if len(sizes) > 1:
        raise InputError(f"{where}: holds pictures of {len(sizes)} sizes; expected one film's")
    return Told(
        frames=[frame for one in told for frame in one.frames],
        size=sizes.pop() if sizes else None,
        fps=told[0].fps,
        notes=[note for one in told for note in one.notes],
        pictures=[name for one in told for name in one.pictures],
    )


def _results(where: str, content: Any) -> Told:
    notes: list[str] = []
    people: dict[NumberedName, list[dict[str, Any]]] = {}
    for number, result in enumerate(objects(where, "", content)):
        people.setdefault(name_in(f"{where}: result {number}", result, "image_id"), []).append(
            result
        )
    pictures = sorted((name for name in people if isinstance(name, str)), key=natural)
    frames = in_number_order(where, people, notes)
    return Told(
        frames_of(where, frames, None, notes, unnamed=COCO_17), notes=notes, pictures=pictures
    )


def _annotations(where: str, content: dict[str, Any]) -> Told:
    notes: list[str] = []
    images = objects(where, "images", content.get("images"))
    films = {
        name_in(f"{where}: images", image, key)
        for key in FILM_KEYS
        for image in images
        if key in image
    }
    if not images or len(films) > 1:
        refuse(where, "images", "pictures of one film", f"{len(films)} films" if films else images)
    names = [
        name_in(f"{where}: image {number}", image, "id") for number, image in enumerate(images)
    ]
    people: dict[NumberedName, list[dict[str, Any]]] = {name: [] for name in names}
    points, others = _categories(where, content.get("categories"))
    left_out = 0
    for number, annotation in enumerate(objects(where, "annotations", content["annotations"])):
        place = f"{where}: annotation {number}"
        name = name_in(place, annotation, "image_id")
        if name not in people:
            refuse(place, "image_id", "the id of an image", name)
        if _category(annotation, "category_id") in others:
            left_out += 1
        else:
            people[name].append(annotation)
    if left_out:
        notes.append(f"{where}: {left_out} that are no people were left out")
    ordered = sorted(images, key=_key(images))
    sizes = {size for image in ordered if (size := size_in(f"{where}: images", image))}
    if len(sizes) > 1:
        refuse(where, "images", "pictures of one size", f"{len(sizes)} sizes")
    unnamed = POSETRACK_17 if set(POSETRACK_KEYS) & set(images[0]) else COCO_17
    frames = [people[image["id"]] for image in ordered]
    return Told(
        frames_of(where, frames, points, notes, unnamed=unnamed),
        size=sizes.pop() if sizes else None,
        notes=notes,
        pictures=[file for image in ordered if isinstance(file := image.get("file_name"), str)],
    )


def _category(entry: dict[str, Any], key: str) -> NumberedName | None:
    return entry[key] if isinstance(entry.get(key), str | int) else None


def _categories(where: str, value: Any) -> tuple[list[str] | None, set[NumberedName | None]]:
    """The names of a person's points, and the categories of those who are no people."""
    named: dict[NumberedName | None, list[str]] = {}
    for category in objects(where, "categories", value) if value is not None else []:
        names = category.get("keypoints")
        if names and isinstance(names, list) and all(isinstance(name, str) for name in names):
            named[_category(category, "id")] = names
    people = [names for names in named.values() if order_of_names(names)]
    if named and not people:
        return next(iter(named.values())), set()  # whoever uses the names refuses them
    if any(names != people[0] for names in people):
        refuse(where, "categories", "one kind of people", f"{len(people)} of other points")
    others = {one for one, names in named.items() if not order_of_names(names)}
    return (people[0] if people else None), others


def _key(images: Sequence[dict[str, Any]]) -> Callable[[dict[str, Any]], Any]:
    """What tells the order of the pictures: the frame's number, the file's name or the id."""
    if all(type(image.get("frame_id")) is int for image in images):
        return lambda image: image["frame_id"]
    key = "file_name" if all(isinstance(image.get("file_name"), str) for image in images) else "id"
    return lambda image: natural(str(image[key]))
