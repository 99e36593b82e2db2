"""The film or picture that lies beside a pose file and is what its poses are of."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np

from magicpose_cli.pose.files.clip import Beside, Told

MeasureFile = Callable[[Path], Beside | None]
"""Size and rate of a film or picture; None for what is neither."""

FILMS = (".mp4", ".mov", ".mkv", ".webm", ".avi", ".m4v", ".gif")
PICTURE_SUFFIXES_BESIDE = (
    ".png",
    ".jpg",
    ".jpeg",
    ".webp",
    ".bmp",
    ".tif",
    ".tiff",
    ".ppm",
    ".pgm",
)
PICTURE_FOLDERS = ("", "images", "vis")  # beside the file; AlphaPose draws into the last
RENDERED = re.compile(r".*_rendered\.(png|jpe?g)", re.IGNORECASE)  # what OpenPose draws
OPENPOSE_FRAME_NAME = re.compile(
    r"(.*)_\d{12}_keypoints\.json"
)  # of OpenPose: the film's name and more
ALPHAPOSE = "alphapose-results"  # which lies beside AlphaPose_NAME.mp4
LONGEST_NAME = 200
MOST_TRIED = 4
BEYOND = 1.25  # of a side: points that lie farther away are not of that picture


def find_beside(path: Path, told: Told, measure: MeasureFile) -> Beside | None:
    """The first that lies beside the file, or in the folder, and into which the points fit.

    It has the file's name, or a beginning of it (dance.mp4 of dance_keypoints.json, or of MMPose's
    results_dance.json), or is named in the file; in a folder of a file a frame it is what OpenPose
    drew, or the one film there is.
    """
    reach = np.abs(told.reach()).max(axis=0, initial=0.0)
    tried = 0
    try:
        for candidate in _candidates(path, told):
            tried += 1
            found = measure(candidate)
            if found and (reach <= BEYOND * np.array(found.size)).all():
                return found
            if tried == MOST_TRIED:
                break
    except OSError:  # a folder that may not be read
        pass
    return None


def _candidates(path: Path, told: Told) -> Iterator[Path]:
    folder = path if path.is_dir() else path.absolute().parent
    for name in told.pictures[:1]:
        plain = re.split(r"[/\\]", name)[-1]  # a stranger's name leads nowhere else
        if (
            plain.lower().endswith(PICTURE_SUFFIXES_BESIDE)
            and len(plain) < LONGEST_NAME
            and plain.isprintable()
        ):
            places = (folder / inner / plain for inner in PICTURE_FOLDERS)
            yield from (place for place in places if place.is_file())
    own = path.name if path.is_dir() else path.stem
    names, films = [own, own.removeprefix("results_")], list[Path]()
    if path.is_dir():
        inside = sorted(file for file in path.iterdir() if not file.name.startswith("."))
        yield from [file for file in inside if RENDERED.fullmatch(file.name)][:1]
        names += [
            found[1] for file in inside if (found := OPENPOSE_FRAME_NAME.fullmatch(file.name))
        ][:1]
        films = [file for file in inside if file.suffix.lower() in FILMS]
        if len(films) == 1:
            yield films[0]
    around = [*films, *sorted(path.absolute().parent.iterdir())]
    kinds = (*FILMS, *PICTURE_SUFFIXES_BESIDE) if len(told.frames) == 1 else FILMS
    seen = [file for file in around if file.suffix.lower() in kinds]
    named = [file for file in seen if any(_is_named(name, file) for name in names)]
    yield from sorted(named, key=lambda file: (-len(file.stem), file.suffix.lower() not in FILMS))
    if path.stem.lower() == ALPHAPOSE:
        yield from (file for file in seen if file.name.lower().startswith("alphapose_"))


def _is_named(name: str, file: Path) -> bool:
    """Whether a film's name, or all of it and its suffix, begins another name."""
    return any(
        name == begin or (name.startswith(begin) and not name[len(begin)].isalnum())
        for begin in (file.stem, file.name)
    )
