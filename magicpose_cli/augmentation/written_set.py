"""Where made pictures go: names that torchreid and fastreid parse, and the tables beside them."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from magicpose_cli.augmentation.reid_data import PersonPicture, ReidData
from magicpose_cli.augmentation.reid_names import (
    DUKE_CAMERAS,
    MARKET_CAMERAS,
    MARKET_NAME,
    MARKET_PEOPLE,
    SetFormat,
    market_name,
    msmt_name,
)
from magicpose_cli.files import write_bytes
from magicpose_cli.pose.files.layouts import COCO_17
from magicpose_cli.pose.keypoints import BODY_JOINTS

LABELS_FILE, COCO_FILE = "labels.csv", "annotations.json"
SET_FOLDERS: dict[SetFormat, str] = {
    "market1501": "bounding_box_train",
    "msmt17": "MSMT17_V1/train",
    "folders": "people",
    "coco": "images",
}
VIEW_CAMERAS = 4  # new cameras: front, left, back, right
COCO_PERSON = 1
LABEL_COLUMNS = (
    "file", "person", "camera", "source", "pose", "azimuth", "elevation", "distance", "seed",
    "way", "joints_found", "pose_error", "silhouette", "color_difference", "sharpness",
)  # fmt: skip


@dataclass(frozen=True)
class SetNames:
    """How the pictures of a run are named.

    Attributes:
        format: The set's.
        numbers: Each person's number, their own where their name is one.
        new_cameras: For views from the front, left, back and right; none where the loaders of
            the format have no room for more, and pictures keep their source's camera.
        most_cameras: That the loaders of the format take.
    """

    format: SetFormat
    numbers: Mapping[str, int]
    new_cameras: tuple[int, ...]
    most_cameras: int

    @property
    def folder(self) -> str:
        """Of the pictures, in the output's folder."""
        return SET_FOLDERS[self.format]

    def camera_for(self, azimuth_deg: float, own: int) -> int:
        """The camera of a made picture; own: that of its source."""
        if not self.new_cameras:
            return self._within(own)
        quarter = round(azimuth_deg / 90) % VIEW_CAMERAS
        return self.new_cameras[quarter % len(self.new_cameras)]

    def _within(self, camera: int) -> int:
        """A camera that the loaders of the format take."""
        return min(max(camera, 1), self.most_cameras)

    def made_name(self, person: str, camera: int, number: int) -> str:
        """The path of a made picture in the folder of pictures."""
        own = self.numbers[person]
        if self.format == "market1501":
            return market_name(own, camera, number)
        if self.format == "msmt17":
            return msmt_name(own, camera, number)
        if self.format == "folders":
            return f"{person}/made_c{camera:02d}_{number:06d}.jpg"
        return f"{own:06d}_{number:06d}.jpg"

    def original_name(self, picture: PersonPicture, number: int) -> str:
        """The path of a copy of DATA's own picture; its suffix is the file's."""
        own, camera = self.numbers[picture.person], self._within(picture.camera)
        suffix = picture.path.suffix.lower()
        if self.format == "market1501":
            named = MARKET_NAME.match(picture.path.stem)
            told = (int(named["person"]), int(named["camera"])) if named else None
            if told == (own, camera) and suffix == ".jpg":
                return picture.path.name
            return f"{own:04d}_c{camera}s1_{number:06d}_00.jpg"
        if self.format == "msmt17":
            return f"{own:04d}/{own:04d}_{number:03d}_{camera:02d}_0000own_{number:04d}_0.jpg"
        if self.format == "folders":
            return f"{picture.person}/{picture.path.name}"
        return f"own_{own:06d}_{number:06d}{suffix}"


def names_for(data: ReidData, kind: SetFormat) -> tuple[SetNames, tuple[str, ...]]:
    """Choose numbers for people, and cameras that the set does not have.

    Returns:
        The names, and lines that the user should know.
    """
    notes: list[str] = []
    own = [int(name) if name.isdecimal() else -1 for name in data.people]
    if len(set(own)) < len(own) or min(own) < 0 or max(own) > 999_999:
        own = list(range(1, len(own) + 1))
    if kind == "market1501" and max(own) > MARKET_PEOPLE:
        own = list(range(1, len(own) + 1))
        notes.append(
            f"people are numbered anew: Market-1501's loaders take numbers up to {MARKET_PEOPLE}"
        )
    if kind == "market1501" and len(own) > MARKET_PEOPLE:
        notes.append(
            f"{len(own)} people: Market-1501's loaders take {MARKET_PEOPLE}; use --format msmt17"
        )
    used = set(data.cameras)
    most = max(used, default=0)
    numbers = dict(zip(data.people, own, strict=True))
    if kind != "market1501":
        new = tuple(range(most + 1, most + 1 + VIEW_CAMERAS))
        return SetNames(kind, numbers, new, new[-1]), tuple(notes)
    room = MARKET_CAMERAS if most <= MARKET_CAMERAS else DUKE_CAMERAS
    if most > room:
        notes.append(
            f"cameras above {room} are written as {room}, the most that loaders of these names "
            "take; --format msmt17 has room for all"
        )
    free = tuple(camera for camera in range(1, room + 1) if camera not in used)
    if not free:
        notes.append(
            "all cameras that Market-1501's loaders know are in use: made pictures keep their "
            "source's camera; --format msmt17 has room for new ones"
        )
    return SetNames(kind, numbers, free[:VIEW_CAMERAS], room), tuple(notes)


def write_labels(folder: Path, rows: Sequence[Mapping[str, Any]]) -> None:
    """Write labels.csv, a row a made picture that is kept."""
    text = io.StringIO()
    writer = csv.DictWriter(text, LABEL_COLUMNS, extrasaction="ignore", lineterminator="\n")
    writer.writeheader()
    writer.writerows(
        {name: "" if row.get(name) is None else row[name] for name in LABEL_COLUMNS} for row in rows
    )
    write_bytes(folder / LABELS_FILE, text.getvalue().encode())


def write_lists(
    folder: Path, names: SetNames, rows: Sequence[Mapping[str, Any]], copied: Iterable[
        tuple[str, str]], size: tuple[int, int],
) -> None:  # fmt: skip
    """Write what a format has beside its pictures.

    Args:
        folder: The output's.
        names: Of the pictures.
        rows: Of the kept pictures.
        copied: Paths in the folder of pictures, and people, of copies of DATA's own.
        size: (width, height) of made pictures.
    """
    if names.format == "msmt17":
        base = folder / Path(names.folder).parent
        base.mkdir(parents=True, exist_ok=True)  # where nothing was kept
        made = [(row["file"].removeprefix(f"{names.folder}/"), row["person"]) for row in rows]
        listed = [*copied, *made]
        # Loaders take these numbers for classes as they stand: from 0, without gaps.
        people = sorted({person for _, person in listed}, key=names.numbers.__getitem__)
        labels = {person: number for number, person in enumerate(people)}
        lines = [f"{name} {labels[person]}\n" for name, person in listed]
        write_bytes(base / "list_train.txt", "".join(lines).encode())
        _write_stand_ins(base, lines)
    elif names.format == "coco":
        content = json.dumps(_coco(names, rows, size)) + "\n"
        write_bytes(folder / COCO_FILE, content.encode())


def _write_stand_ins(base: Path, lines: Sequence[str]) -> None:
    """Write what loaders of MSMT17 want beside the training set, where the set's own is not there.

    They refuse lists without a picture, even where another set is the test: queries and gallery are
    then a picture of the training set.
    """
    one = "".join(f"../train/{line}" for line in lines[:1])
    for name, text in (("val", ""), ("query", one), ("gallery", one)):
        path = base / f"list_{name}.txt"
        if not path.exists():
            write_bytes(path, text.encode())
    (base / "test").mkdir(exist_ok=True)


def _coco(
    names: SetNames, rows: Sequence[Mapping[str, Any]], size: tuple[int, int]
) -> dict[str, Any]:
    """Key points of COCO, of the poses that were asked for."""
    images, annotations = [], []
    for number, row in enumerate(rows, 1):
        images.append(
            {"id": number, "file_name": Path(row["file"]).name, "width": size[0],
             "height": size[1]}
        )  # fmt: skip
        points = [row["joints"][BODY_JOINTS.index(name)] for name in COCO_17]
        left, top, right, bottom = row["box"]
        annotations.append({
            "id": number, "image_id": number, "category_id": COCO_PERSON, "iscrowd": 0,
            "bbox": [left, top, right - left, bottom - top],
            "area": (right - left) * (bottom - top),
            "keypoints": [value for point in points for value in point],
            "num_keypoints": sum(point[2] > 0 for point in points),
            "person": names.numbers[row["person"]],
        })  # fmt: skip
    category = {"id": COCO_PERSON, "name": "person", "keypoints": list(COCO_17), "skeleton": []}
    return {"images": images, "annotations": annotations, "categories": [category]}
