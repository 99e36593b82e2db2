"""Read a re-identification set: pictures by person, from names, folders or a CSV file."""

from __future__ import annotations

import csv
import re
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

from magicpose_cli.augmentation.reid_names import parse_name
from magicpose_cli.errors import InputError
from magicpose_cli.files import natural
from magicpose_cli.video.picture import PICTURE_SUFFIXES

TRAINING_FOLDERS = (
    "bounding_box_train", "Market-1501-v15.09.15/bounding_box_train",
    "DukeMTMC-reID/bounding_box_train", "MSMT17_V1/train", "MSMT17_V2/mask_train_v2",
    "MSMT17_V1/mask_train_v2", "train", "mask_train_v2", "images_detected", "images_labeled",
)  # fmt: skip
"""Where the sets keep their training pictures; the first that is there is read."""
CSV_COLUMNS = ("path", "person", "camera")


@dataclass(frozen=True)
class PersonPicture:
    """One picture of a person.

    Attributes:
        path: Of the file.
        person: Their name in the set.
        camera: From 1; 0 where it is not known.
    """

    path: Path
    person: str
    camera: int


@dataclass(frozen=True)
class ReidData:
    """A set of pictures of people.

    Attributes:
        root: The folder or CSV file.
        people: Each person's pictures, people and pictures in natural order.
        dropped: Lines that tell what was left out and why.
    """

    root: Path
    people: dict[str, tuple[PersonPicture, ...]]
    dropped: tuple[str, ...]

    @property
    def cameras(self) -> tuple[int, ...]:
        """All that the set's names tell, rising."""
        found = {p.camera for pictures in self.people.values() for p in pictures if p.camera}
        return tuple(sorted(found))


def read_reid_data(root: Path) -> ReidData:
    """Read the training pictures of a set.

    Args:
        root: The set's folder, its folder of training pictures, a folder with a folder for each
            person, or a CSV file with the columns path, person and, if known, camera.

    Raises:
        InputError: There is no such folder or file, or it names no person.
    """
    if not root.exists():
        raise InputError(
            f"{root} does not exist; expected the folder of a set such as Market-1501, a folder "
            "with a folder for each person, or a CSV file"
        )
    dropped: list[str] = []
    if root.is_file():
        found = list(_rows_of_csv(root, dropped))
    else:
        found = list(_pictures_below(root, dropped))
    found = list(_distinct_pictures(found, dropped))
    if not found:
        first = f" ({dropped[0]})" if dropped else ""
        raise InputError(
            f"{root} names no person{first}; expected names such as 0002_c1s1_000451_03.jpg "
            "(Market-1501, DukeMTMC, MSMT17, CUHK03), a folder for each person, or a CSV file with "
            "the columns path,person,camera"
        )
    people: dict[str, list[PersonPicture]] = {}
    for picture in sorted(found, key=lambda p: (natural(p.person), natural(str(p.path)))):
        people.setdefault(picture.person, []).append(picture)
    return ReidData(root, {name: tuple(own) for name, own in people.items()}, tuple(dropped))


def folder_that_is_read(root: Path) -> Path:
    """The folder of a set's training pictures; the set's own where no part of it is named so."""
    return next((root / name for name in TRAINING_FOLDERS if (root / name).is_dir()), root)


def _pictures_below(root: Path, dropped: list[str]) -> Iterator[PersonPicture]:
    """Pictures of a folder, by their names where these tell a person, else by their folders."""
    inside = folder_that_is_read(root)
    files = sorted(
        file
        for file in inside.rglob("*")
        if file.suffix.lower() in PICTURE_SUFFIXES
        and file.is_file()
        and not any(part.startswith(".") for part in file.relative_to(inside).parts)
    )
    named = [(file, parse_name(file)) for file in files]
    if 2 * sum(name is not None for _, name in named) > len(named):
        unnamed = [file.name for file, name in named if name is None]
        dropped += _listed("name tells no person", unnamed)
        junk = [file.name for file, name in named if name and name.is_junk]
        dropped += _listed("distractor", junk)
        for file, name in named:
            if name is not None and not name.is_junk:
                yield PersonPicture(file, name.person, name.camera)
        return
    loose = [file.name for file in files if file.parent == inside]
    dropped += _listed("in no person's folder", loose)
    for file in files:
        if file.parent != inside:
            camera = re.search(r"(?:^|_)c(?:am)?(\d{1,2})(?:_|\D|$)", file.stem)
            person = file.relative_to(inside).parts[0]
            yield PersonPicture(file, person, int(camera[1]) if camera else 0)


def _rows_of_csv(path: Path, dropped: list[str]) -> Iterator[PersonPicture]:
    """Rows of a CSV file; relative paths are beside it."""
    try:
        with path.open(newline="", encoding="utf-8-sig") as file:
            rows = csv.DictReader(file)
            columns = [name.strip().lower() for name in rows.fieldnames or ()]
            if not {"path", "person"} <= set(columns):
                raise InputError(
                    f"{path}: has the columns {', '.join(columns) or 'none'}; expected "
                    f"{', '.join(CSV_COLUMNS)} (camera may be left out)"
                )
            rows.fieldnames = columns
            for line, row in enumerate(rows, 2):
                name, person = (row.get("path") or "").strip(), (row.get("person") or "").strip()
                camera = (row.get("camera") or "").strip()
                if not name or not person or (camera and not camera.isdecimal()):
                    dropped.append(f"{path.name} line {line}: no path, person or whole camera")
                    continue
                if re.search(r"[/\\\0]", person) or person in (".", ".."):
                    dropped.append(f"{path.name} line {line}: person is no name for a folder")
                    continue
                yield PersonPicture(path.parent / name, person, int(camera or 0))
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise InputError(f"{path} cannot be read ({error}); expected a CSV file") from error


def _distinct_pictures(
    pictures: Iterable[PersonPicture], dropped: list[str]
) -> Iterator[PersonPicture]:
    """Leave out what is named twice: a file again, or a set's name in two folders."""
    seen: set[tuple[str, str]] = set()
    again: Counter[str] = Counter()
    for picture in pictures:
        is_named = parse_name(picture.path) is not None  # else names need not be a picture's own
        key = (picture.person, picture.path.name if is_named else str(picture.path))
        if key in seen:
            again[picture.path.name] += 1
            continue
        seen.add(key)
        yield picture
    dropped += _listed("named twice", list(again))


def _listed(reason: str, names: list[str]) -> list[str]:
    """A line for a few names, one line for many."""
    if len(names) <= 3:
        return [f"{name}: {reason}" for name in names]
    return [f"{len(names)} pictures: {reason} ({', '.join(names[:3])}, ...)"]
