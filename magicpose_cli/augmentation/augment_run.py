"""A run of `magicpose augment`: look at all people, find what lacks, make it, write the set.

    OUT/augment.json            what was asked for, and the totals once all is done
    OUT/bounding_box_train/...  pictures (by the format: MSMT17_V1, people, images)
    OUT/labels.csv              a row a kept picture
    OUT/report.html             the gap before and after, what was dropped, samples
    OUT/work/                   a record a person, by which a stopped run goes on

People are worked at by themselves, and a person's pictures depend on the seed and their name alone,
so that a run that was killed, or one with other workers, ends with the same files.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import as_completed
from concurrent.futures.process import BrokenProcessPool
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from magicpose_cli.arrays import Floats
from magicpose_cli.augmentation.augment_job import AugmentJob, pictures_to_look_at
from magicpose_cli.augmentation.coverage import (
    Coverage,
    PoseClusters,
    pose_lack,
    viewpoint_lack,
)
from magicpose_cli.augmentation.person_work import Row, look_at_person, make_person, tools_of
from magicpose_cli.augmentation.reid_data import (
    ReidData,
    folder_that_is_read,
    read_reid_data,
)
from magicpose_cli.augmentation.reid_names import SetFormat
from magicpose_cli.augmentation.written_set import (
    SetNames,
    names_for,
    write_labels,
    write_lists,
)
from magicpose_cli.config.extras import needed
from magicpose_cli.dataset.data_folder import writing
from magicpose_cli.dataset.processes import worker_processes
from magicpose_cli.errors import DetectionError, DeviceError, InputError, OutputError
from magicpose_cli.files import content_hash, write_bytes, write_json
from magicpose_cli.progress import OnProgress, Progress, silent
from magicpose_cli.video.picture import read_picture

AUGMENT_FILE, WORK_FOLDER = "augment.json", "work"
AUGMENT_VERSION = 1


@dataclass(frozen=True, eq=False)
class AugmentResult:
    """What a run made.

    Attributes:
        folder: Of the set.
        rows: Of all made pictures, dropped ones with their reason.
        looked: Of DATA's pictures that were looked at, useless ones with their reason.
        before: What the looked-at pictures show.
        after: These and the kept ones.
        notes: What the user should know, a line each.
        clusters: Groups of the asked poses.
        job: What was asked for.
    """

    folder: Path
    rows: list[Row]
    looked: list[Row]
    before: Coverage
    after: Coverage
    notes: tuple[str, ...]
    clusters: PoseClusters
    job: AugmentJob

    @property
    def kept(self) -> list[Row]:
        """The pictures that were written."""
        return [row for row in self.rows if not row["reason"]]

    def dropped(self) -> Counter[str]:
        """How many pictures were dropped, by reason."""
        reasons = (row["reason"] for row in self.rows if row["reason"])
        return Counter(reason.partition(":")[0] for reason in reasons)

    def totals(self) -> dict[str, Any]:
        """Everything in numbers, for JSON."""
        useless = [row for row in self.looked if "reason" in row]
        return {
            "people": len({row["person"] for row in self.looked}),
            "people_drawn": len({row["person"] for row in self.kept}),
            "pictures_looked_at": len(self.looked),
            "pictures_useless": len(useless),
            "made": len(self.rows),
            "kept": len(self.kept),
            "dropped": dict(sorted(self.dropped().items())),
            "ways": dict(sorted(Counter(row["way"] for row in self.kept).items())),
            "before": self.before.diversity(),
            "after": self.after.diversity(),
            "kept_means": {
                name: _mean_of(self.kept, name)
                for name in ("joints_found", "pose_error", "silhouette", "color_difference",
                             "sharpness")
            },
        }  # fmt: skip


def augment_set(
    data: Path,
    folder: Path,
    job: AugmentJob,
    *,
    kind: SetFormat = "market1501",
    copies_data: bool = False,
    workers: int = 1,
    overwrite: bool = False,
    on_progress: OnProgress = silent,
) -> AugmentResult:
    """Make the pictures of a set that it lacks.

    Args:
        data: The set; see `read_reid_data`.
        folder: Where the new one goes: a new folder, or one of the same run to go on with.
        job: What is asked for.
        kind: How the pictures are named.
        copies_data: DATA's own pictures are copied beside the made ones.
        workers: Processes; one makes everything in this one.
        overwrite: A folder of a run with other settings is made anew.
        on_progress: Told of the stages "looking" and "people".

    Raises:
        InputError: DATA names no person.
        DetectionError: None of its pictures shows a person of use.
        OutputError: The folder holds something else, or cannot be written.
        ConfigError: A package of the extra `train` is missing.
    """
    needed("skimage.color")
    read = read_reid_data(data)
    _check_outside(folder, read)
    with writing(folder):
        _open_output(folder, job, read, kind, copies_data, overwrite)
    names, notes = names_for(read, kind)
    most = job.settings.source.pictures_per_person
    chosen = {person: pictures_to_look_at(own, most) for person, own in read.people.items()}
    work = folder / WORK_FOLDER
    looked = _each_person(
        work / "looked", list(chosen), workers, ("looking", on_progress),
        lambda person: (look_at_person, job, chosen[person]),
    )  # fmt: skip
    found = [row for person in chosen for row in looked[person]]
    _check_anybody(data, found)
    clusters = tools_of(job).clusters
    before = Coverage.of(job.ranges, len(clusters.centers), _cells(found))
    weights = _lacks(job, before, clusters, job.per_person * len(chosen))
    made = _each_person(
        work / "made", list(chosen), workers, ("people", on_progress),
        lambda person: (make_person, job, looked[person], names, folder, *weights),
    )  # fmt: skip
    rows = [row for person in chosen for row in made[person]]
    kept = [row for row in rows if not row["reason"]]
    after = before.joined(Coverage.of(job.ranges, len(clusters.centers), _cells(kept)))
    with writing(folder):
        copied, torn = copy_data(folder, read, names, kept) if copies_data else ([], [])
        write_labels(folder, kept)
        write_lists(folder, names, kept, copied, job.size)
    notes = (*read.dropped, *notes, *_untold(torn, found))
    return AugmentResult(folder, rows, found, before, after, notes, clusters, job)


def _untold(torn: Sequence[tuple[str, str]], found: Sequence[Row]) -> Iterator[str]:
    """Lines on pictures that cannot be read, but for those that were told when looked at."""
    told = {row["path"] for row in found if "reason" in row}
    return (line for path, line in torn if path not in told)


def _lacks(
    job: AugmentJob, before: Coverage, clusters: PoseClusters, count: int
) -> tuple[Floats | None, Floats | None]:
    """How often viewpoints and pose clusters are to be chosen; None for all alike."""
    if job.settings.making.sampling == "uniform":
        return None, None
    return viewpoint_lack(before, job.ranges, count), pose_lack(before, clusters, count)


def _check_outside(folder: Path, read: ReidData) -> None:
    """The output may not be a folder that is read, or a file."""
    if folder.is_file():
        raise OutputError(f"{folder} is a file; name a new folder")
    own, root = folder.resolve(), read.root.resolve()
    if own == root or own in root.parents:
        raise OutputError(f"{folder} holds DATA itself; choose another folder")
    pictures = folder_that_is_read(root).resolve()
    if pictures == own or pictures in own.parents:
        raise OutputError(f"{folder} is in {pictures}, which is read; choose a folder outside")


def _open_output(
    folder: Path, job: AugmentJob, read: ReidData, kind: str, copies: bool, overwrite: bool
) -> None:
    """Make the folder, or check that it is of the same run; OSError where it cannot be written."""
    asked = {
        "version": AUGMENT_VERSION, "job": job.told(), "format": kind, "copies_data": copies,
        "pictures": [str(p.path) for own in read.people.values() for p in own],
        "hash": _hash_of(read),
    }  # fmt: skip
    path = folder / AUGMENT_FILE
    folder.mkdir(parents=True, exist_ok=True)
    if not path.exists() and any(folder.iterdir()):
        raise OutputError(f"{folder} holds other files; choose a new or an empty folder")
    if path.exists():
        try:
            former = json.loads(path.read_text(encoding="utf-8")).get("asked")
        except (ValueError, AttributeError):
            former = None
        if former == asked:
            return
        if not overwrite:
            raise OutputError(
                f"{folder} was made of other data or with other settings; give --overwrite to make "
                "it anew, or choose another folder"
            )
        _clear(folder)
    write_json(path, {"asked": asked})


def _clear(folder: Path) -> None:
    """Remove what a former run has made here."""
    import shutil

    from magicpose_cli.augmentation.written_set import COCO_FILE, LABELS_FILE, SET_FOLDERS

    for name in (WORK_FOLDER, *(Path(own).parts[0] for own in SET_FOLDERS.values())):
        shutil.rmtree(folder / name, ignore_errors=True)
    for name in (AUGMENT_FILE, LABELS_FILE, COCO_FILE, "report.html"):
        (folder / name).unlink(missing_ok=True)


def _hash_of(read: ReidData) -> str:
    """A hash over the contents of all pictures, so that a changed set is another run."""
    import hashlib

    digest = hashlib.sha256()
    for own in read.people.values():
        for picture in own:
            try:
                digest.update(content_hash(picture.path).encode())
            except OSError:
                digest.update(b"unreadable")
    return digest.hexdigest()


def _check_anybody(data: Path, looked: Sequence[Row]) -> None:
    if any("azimuth" in row for row in looked):
        return
    reasons = [row["reason"] for row in looked][:3]
    raise DetectionError(
        f"{data}: none of {len(looked)} pictures shows a person of use ({'; '.join(reasons)}); "
        "expected pictures of whole people"
    )


def _cells(rows: Sequence[Row]) -> Iterator[tuple[str, float, float, int]]:
    for row in rows:
        if "azimuth" in row:
            yield row["person"], row["azimuth"], row["elevation"], row["cluster"]


def _each_person(
    folder: Path,
    people: Sequence[str],
    workers: int,
    stage: tuple[str, OnProgress],
    task: Callable[[str], tuple[Any, ...]],
) -> dict[str, list[Row]]:
    """Do a task for each person that has no record yet, and keep a record of each.

    Args:
        folder: Of the records.
        people: Names.
        workers: Processes.
        stage: Its name, and who is told of it.
        task: From a name to a function and its arguments, which gives rows.
    """
    name, on_progress = stage
    records = {person: folder / f"{number:06d}.json" for number, person in enumerate(people)}
    found: dict[str, list[Row]] = {}
    for person, path in records.items():
        if path.exists():
            found[person] = _read_record(path)
    left = [person for person in people if person not in found]
    on_progress(Progress(name, len(found), len(people), "people"))

    def keep(person: str, rows: list[Row]) -> None:
        with writing(folder):
            write_json(records[person], rows)
        found[person] = rows
        on_progress(Progress(name, len(found), len(people), "people"))

    if workers <= 1:
        for person in left:
            function, *arguments = task(person)
            keep(person, function(*arguments))
        return found
    try:
        with worker_processes(workers) as pool:
            waiting = {}
            for person in left:
                function, *arguments = task(person)
                waiting[pool.submit(function, *arguments)] = person
            try:
                for done in as_completed(waiting):
                    keep(waiting[done], done.result())
            except BaseException:
                pool.shutdown(wait=False, cancel_futures=True)
                raise
    except BrokenProcessPool as error:
        raise DeviceError(
            "a worker process was ended from outside, most often for lack of memory; run the same "
            "command with fewer --workers, it goes on where it stopped"
        ) from error
    return found


def _read_record(path: Path) -> list[Row]:
    try:
        rows: list[Row] = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise InputError(f"{path} cannot be read ({error}); remove it and run again") from error
    return rows


def copy_data(
    folder: Path, read: ReidData, names: SetNames, kept: Sequence[Row]
) -> tuple[list[tuple[str, str]], list[tuple[str, str]]]:
    """Copy DATA's own pictures, but those at which a loader would stop.

    Returns:
        The copies' paths in the folder of pictures and whose they are; the paths of what cannot be
        read, each with a line that tells so.
    """
    copied: list[tuple[str, str]] = []
    torn: list[tuple[str, str]] = []
    taken = {row["file"].removeprefix(f"{names.folder}/") for row in kept}
    for person, own in read.people.items():
        for number, picture in enumerate(own):
            try:
                read_picture(picture.path)
                content = picture.path.read_bytes()
            except (OSError, InputError) as error:
                torn.append((str(picture.path), " ".join(str(error).splitlines())))
                continue
            name = names.original_name(picture, number)
            if name in taken:
                path = picture.path.with_name(f"own_{number:06d}_{picture.path.name}")
                name = names.original_name(replace(picture, path=path), number)
            taken.add(name)
            target = folder / names.folder / name
            target.parent.mkdir(parents=True, exist_ok=True)
            write_bytes(target, content)
            copied.append((name, person))
    return copied, torn


def _mean_of(rows: Sequence[Row], name: str) -> float | None:
    values = [row[name] for row in rows if row.get(name) is not None]
    return round(sum(values) / len(values), 4) if values else None
