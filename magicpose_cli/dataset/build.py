"""From films, and drawn people, to a folder of training data, over all cores.

A run that was killed goes on where it stopped and ends with the same bytes: every piece of film is
looked at by itself, and those that are done have a record. Running again with more films or more
drawn people adds them.
"""

from __future__ import annotations

import os
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import Future, ProcessPoolExecutor, as_completed
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager
from pathlib import Path
from typing import TypeVar

from magicpose_cli.dataset.cut import cut_piece, draw_clip, plan_pieces, source_name
from magicpose_cli.dataset.data_folder import (
    CLIPS_FOLDER,
    Report,
    begin,
    drawn_name,
    finish,
    open_folder,
    writing,
)
from magicpose_cli.dataset.dataset_config import DatasetSettings
from magicpose_cli.dataset.processes import worker_processes
from magicpose_cli.errors import DetectionError, DeviceError, InputError
from magicpose_cli.progress import OnProgress, Progress, silent

FILM_SUFFIXES = frozenset(
    (".mp4", ".m4v", ".mov", ".webm", ".mkv", ".avi", ".mpg", ".mpeg", ".ts", ".wmv", ".flv",
     ".ogv", ".3gp", ".gif")
)  # fmt: skip
FutureResult = TypeVar("FutureResult")


def make_dataset(
    videos: Sequence[Path],
    folder: Path,
    settings: DatasetSettings | None = None,
    *,
    synthetic: int = 0,
    workers: int | None = None,
    overwrite: bool = False,
    on_progress: OnProgress = silent,
) -> tuple[Report, int]:
    """Make a data folder or go on with it.

    Args:
        videos: Films, or folders that are searched for them.
        folder: Of the data.
        settings: What is kept; the defaults without.
        synthetic: How many drawn people.
        workers: Processes; as many as there are cores by default.
        overwrite: Whether a folder that was made with other settings is made anew.
        on_progress: Is told frames.

    Returns:
        The report of the folder, and how many of its clips are new.

    Raises:
        InputError: A path is no film.
        OutputError: The folder is not ours, was made with other settings or cannot be written.
        DetectionError: No clip with a person came out.
    """
    settings = settings or DatasetSettings()
    films = {source_name(path): path for path in find_films(videos)}
    if not films and not synthetic:
        raise InputError("nothing to do; expected videos, or --synthetic N for drawn people")
    with writing(folder):
        report = open_folder(folder, settings, overwrite)
        numbers = [
            number
            for number in range(synthetic)
            if not (folder / CLIPS_FOLDER / drawn_name(number, settings)).is_dir()
        ]
        if report is not None and films.keys() <= report.sources.keys() and not numbers:
            return _useful(report, folder), 0
        done = begin(folder, settings)
    with _processes(workers) as pool:
        _cut_films(pool, films, done, folder, settings, on_progress)
        _draw(pool, numbers, folder, settings, on_progress)
    with writing(folder):
        report = finish(folder, settings)
    return _useful(report, folder), report.clips - sum(r.clips for r in done.values())


def find_films(videos: Iterable[Path]) -> list[Path]:
    """Find the files themselves, and the films anywhere in the folders, sorted.

    Raises:
        InputError: A path does not exist, or a folder holds no films.
    """
    found: list[Path] = []
    for path in videos:
        if path.is_dir():
            files = (Path(place, name) for place, _, names in os.walk(path) for name in names)
            inside = sorted(
                film
                for film in files
                if film.suffix.lower() in FILM_SUFFIXES
                and not film.name.startswith(".")
                and film.is_file()
            )
            if not inside:
                raise InputError(f"{path} holds no videos; expected files such as .mp4 or .mov")
            found += inside
        elif path.exists():
            found.append(path)
        else:
            raise InputError(f"{path} does not exist; expected a video or a folder of videos")
    return found


def _cut_films(
    pool: ProcessPoolExecutor,
    films: Mapping[str, Path],
    done: Collection[str],
    folder: Path,
    settings: DatasetSettings,
    on_progress: OnProgress,
) -> None:
    if not films:
        return
    on_progress(Progress("looking at videos", 0, 1))
    planned = [
        pool.submit(plan_pieces, path, name, folder, settings) for name, path in films.items()
    ]
    pieces = [piece for found in _finished(planned) for piece in found if piece.name not in done]
    on_progress(Progress("looking at videos", 1, 1))
    total, looked_at = sum(piece.frame_count for piece in pieces), 0
    for record in _finished([pool.submit(cut_piece, p, folder, settings) for p in pieces]):
        looked_at += record.looked_at
        on_progress(Progress("poses", looked_at, total))


def _draw(
    pool: ProcessPoolExecutor,
    numbers: Sequence[int],
    folder: Path,
    settings: DatasetSettings,
    on_progress: OnProgress,
) -> None:
    drawn = [pool.submit(draw_clip, number, folder, settings) for number in numbers]
    frames = settings.drawn.frames
    for done, _ in enumerate(_finished(drawn), start=1):
        on_progress(Progress("drawing people", done * frames, len(numbers) * frames))


def _useful(report: Report, folder: Path) -> Report:
    """Give the report back.

    Raises:
        DetectionError: The report has not a single clip.
    """
    if report.clips:
        return report
    unreadable = [record.error for record in report.sources.values() if record.error]
    reasons = [f"{reason} ({count})" for reason, count in report.dropped.items()]
    raise DetectionError(
        f"{folder}: no clip with a person came out of {len(report.sources)} videos and "
        f"{report.looked_at} frames: {'; '.join(reasons + unreadable) or 'nothing to see'}; give "
        "other videos, or a --config with lower thresholds and --overwrite"
    )


@contextmanager
def _processes(workers: int | None) -> Iterator[ProcessPoolExecutor]:
    """Started when there is work for them; what waits is given up when something goes wrong."""
    with worker_processes(workers) as pool:
        try:
            yield pool
        except BrokenProcessPool as error:
            raise DeviceError(
                "a worker process was ended from outside, most often for lack of memory; run the "
                "same command with fewer --workers, it goes on where it stopped"
            ) from error
        except BaseException:
            pool.shutdown(wait=False, cancel_futures=True)
            raise


def _finished(futures: Iterable[Future[FutureResult]]) -> Iterator[FutureResult]:
    for future in as_completed(futures):
        yield future.result()
