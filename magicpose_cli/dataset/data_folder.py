"""The data folder: what lies where, and how it stays whole when a run is killed.

    DATA/dataset.json                  settings, and the report in numbers
    DATA/clips/NAME/00000.jpg ...      square pictures of one person before one background
                    labels/00000.png   drawn people only: index into canvas.LABELS, one channel
                    poses.json         OpenPose JSON in the pixels of the pictures
                    clip.json          source, crop, times, what was seen
    DATA/pieces/NAME.json              what became of each stretch of film

A clip's folder gets its name in one step when it is full, and a piece its record after its clips:
a clip without a record was left by a killed run and is made again.
"""

from __future__ import annotations

import json
import re
import shutil
from collections import Counter
from collections.abc import Collection, Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

from magicpose_cli.dataset.dataset_config import DatasetSettings
from magicpose_cli.errors import InputError, OutputError
from magicpose_cli.files import new_folder, write_json

DATASET_VERSION = 1
INDEX_FILE, CLIPS_FOLDER, PIECES_FOLDER, LABELS_FOLDER = "dataset.json", "clips", "pieces", "labels"
PARTIAL_SUFFIX = ".partial"
DRAWN_CLIP = re.compile(r"(drawn|held-out)-\d{8,}")
FILMED_CLIP = re.compile(r".+-[0-9a-f]{8}-\d{4}-\d{2}")


@dataclass(frozen=True)
class Record:
    """What became of a piece, or of a whole film; the fields are keys of its record.

    Attributes:
        source: Name of the film with a hash of its content.
        file: Name of the film.
        looked_at: Frames that were judged.
        kept: Frames of the clips.
        clips: How many came out.
        dropped: Frames by the reason they were dropped.
        error: Why the film cannot be read, else empty.
    """

    source: str
    file: str
    looked_at: int = 0
    kept: int = 0
    clips: int = 0
    dropped: dict[str, int] = field(default_factory=dict)
    error: str = ""


@dataclass(frozen=True)
class Report:
    """A data folder in numbers.

    Attributes:
        clips: All of them.
        drawn_clips: Those of drawn people.
        kept: Frames of all clips.
        looked_at: Frames of films that were judged.
        dropped: Frames of films by the reason they were dropped.
        sources: What became of each film, by name.
    """

    clips: int
    drawn_clips: int
    kept: int
    looked_at: int
    dropped: dict[str, int]
    sources: dict[str, Record]


def drawn_name(number: int, settings: DatasetSettings) -> str:
    """The folder of the drawn person of this number."""
    kind = "held-out" if settings.drawn.held_out else "drawn"
    return f"{kind}-{settings.drawn.first_seed + number:08d}"


def filmed_name(piece: str, number: int) -> str:
    """The folder of a piece's clip of this number."""
    return f"{piece}-{number:02d}"


def read_dataset_index(folder: Path) -> dict[str, Any]:
    """Read dataset.json of a data folder.

    Raises:
        InputError: There is none, or it is of another version.
    """
    path = folder / INDEX_FILE
    try:
        index = json.loads(path.read_text(encoding="utf-8"))
    except (FileNotFoundError, NotADirectoryError):
        raise InputError(
            f"{folder} is no data folder; make one with: magicpose dataset VIDEOS -o {folder}"
        ) from None
    except (OSError, ValueError) as error:
        raise InputError(f"{path} cannot be read ({error}); make the data anew") from error
    keys = {"version", "complete", "settings"}
    if (
        not isinstance(index, dict)
        or not keys <= index.keys()
        or index["version"] != DATASET_VERSION
    ):
        raise InputError(
            f"{path}: expected an index of version {DATASET_VERSION}; make the data anew"
        )
    return index


def write_index(
    folder: Path, settings: DatasetSettings | None, report: Report | None = None
) -> None:
    """Write dataset.json; the folder is complete with a report, being emptied without settings."""
    index = {
        "version": DATASET_VERSION,
        "complete": report is not None,
        "settings": settings.model_dump() if settings else None,
    }
    write_json(folder / INDEX_FILE, index | ({"report": asdict(report)} if report else {}))


def open_folder(folder: Path, settings: DatasetSettings, overwrite: bool) -> Report | None:
    """Make the folder, or check that it was made with these settings; its report if complete.

    Raises:
        OutputError: The folder holds something else.
        OSError: The folder cannot be written.
    """
    folder.mkdir(parents=True, exist_ok=True)
    ours = (folder / INDEX_FILE).exists()
    if not ours and any(folder.iterdir()):
        raise OutputError(f"{folder} holds other files; choose a new or an empty folder")
    index = read_dataset_index(folder) if ours and not overwrite else {}
    if index.get("settings") is None:
        write_index(folder, None)
        for path in (folder / PIECES_FOLDER).glob("*.json"):
            path.unlink()
        remove_clips(folder, DRAWN_CLIP, FILMED_CLIP)
    elif differing := _differences(index["settings"], settings.model_dump()):
        raise OutputError(
            f"{folder} was made with other settings ({', '.join(differing)}); give --overwrite to "
            "make it anew, or choose another folder"
        )
    elif index["complete"]:
        return _report_of(index["report"])
    return None


def begin(folder: Path, settings: DatasetSettings) -> dict[str, Record]:
    """Mark the folder as unfinished, clear what a killed run left; the records of what is done."""
    write_index(folder, settings)
    (folder / CLIPS_FOLDER).mkdir(exist_ok=True)
    (folder / PIECES_FOLDER).mkdir(exist_ok=True)
    records = read_records(folder)
    known = {filmed_name(name, k) for name, one in records.items() for k in range(one.clips)}
    remove_clips(folder, FILMED_CLIP, spared=known)
    return records


def finish(folder: Path, settings: DatasetSettings) -> Report:
    """Sum the records up and mark the folder as complete."""
    sources: dict[str, Record] = {}
    for record in read_records(folder).values():
        so_far = sources.get(record.source, Record(record.source, record.file))
        sources[record.source] = replace(
            so_far,
            looked_at=so_far.looked_at + record.looked_at,
            kept=so_far.kept + record.kept,
            clips=so_far.clips + record.clips,
            dropped=_added(so_far.dropped, record.dropped),
            error=so_far.error or record.error,
        )
    drawn = sum(bool(DRAWN_CLIP.fullmatch(path.name)) for path in (folder / CLIPS_FOLDER).iterdir())
    dropped: dict[str, int] = {}
    for record in sources.values():
        dropped = _added(dropped, record.dropped)
    report = Report(
        clips=drawn + sum(record.clips for record in sources.values()),
        drawn_clips=drawn,
        kept=drawn * settings.drawn.frames + sum(record.kept for record in sources.values()),
        looked_at=sum(record.looked_at for record in sources.values()),
        dropped=dropped,
        sources=sources,
    )
    write_index(folder, settings, report)
    return report


def read_records(folder: Path) -> dict[str, Record]:
    """By the name of the piece, sorted; what is no record is as good as none."""
    records = {}
    for path in sorted((folder / PIECES_FOLDER).glob("*.json")):
        try:
            records[path.stem] = Record(**json.loads(path.read_text(encoding="utf-8")))
        except (ValueError, TypeError):
            continue
    return records


def write_record(folder: Path, name: str, record: Record) -> None:
    """Say that a piece is done."""
    write_json(folder / PIECES_FOLDER / f"{name}.json", asdict(record))


def remove_clips(folder: Path, *patterns: re.Pattern[str], spared: Collection[str] = ()) -> None:
    """Remove the clips whose names are like this, finished or not, and nothing else."""
    for path in (folder / CLIPS_FOLDER).glob("*"):
        name = path.name.removesuffix(PARTIAL_SUFFIX)
        unfinished = path.name != name
        if unfinished or (
            name not in spared and any(pattern.fullmatch(name) for pattern in patterns)
        ):
            shutil.rmtree(path)


def complete_folder(target: Path) -> AbstractContextManager[Path]:
    """A folder to fill, which becomes the target when it is full and vanishes otherwise."""
    return new_folder(target, partial=target.with_name(f"{target.name}{PARTIAL_SUFFIX}"))


@contextmanager
def writing(folder: Path) -> Iterator[None]:
    """Say what the file system refuses (a full disk, no permission) as OutputError."""
    try:
        yield
    except OSError as error:
        raise OutputError(
            f"{folder} cannot be written: {error.strerror or error}; make room or choose another "
            "place, the same command goes on with what is done"
        ) from error


def _differences(former: Any, asked: dict[str, Any]) -> list[str]:
    """Settings that are not the same, as `frames.size 512, now 256`."""
    if not isinstance(former, dict):
        return ["unknown ones"]
    defaults = DatasetSettings().model_dump()  # of settings that an earlier version did not have
    return [
        f"{section}.{name} {was}, now {value}"
        for section, values in asked.items()
        for name, value in values.items()
        if (was := former.get(section, {}).get(name, defaults[section][name])) != value
    ]


def _report_of(data: dict[str, Any]) -> Report:
    sources = {name: Record(**record) for name, record in data["sources"].items()}
    return Report(**{**data, "sources": sources})


def _added(one: dict[str, int], other: dict[str, int]) -> dict[str, int]:
    return dict(sorted((Counter(one) + Counter(other)).items()))
