"""Everybody who is in a driver's frames or in a picture."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from dataclasses import dataclass
from itertools import islice, pairwise
from pathlib import Path
from threading import Event, Lock
from typing import Any

from magicpose_cli.arrays import Picture
from magicpose_cli.config.preset import MotionSettings
from magicpose_cli.errors import DetectionError
from magicpose_cli.motion.driver import Driver
from magicpose_cli.pose.keypoints import Pose
from magicpose_cli.pose.tracking.appearance import appearance_histogram
from magicpose_cli.pose.tracking.linking import Detection
from magicpose_cli.progress import OnProgress, Progress, silent
from magicpose_cli.video import OnHeld, held_note

SECTION = 64  # frames at most that one detector sees in a row, where several share a film
SECTIONS_PIPED = 4  # at most of a film without an index, which is decoded from its start for each


@dataclass(frozen=True)
class Detections:
    """Everybody in every chosen frame of a driver.

    Attributes:
        people: everybody in each frame.
        detector: that saw them; "" for a file.
        notes: what there was to tell of the frames, a line each.
    """

    people: list[list[Detection]]
    detector: str
    notes: tuple[str, ...] = ()


def detect_people(
    driver: Driver, motion: MotionSettings, on_progress: OnProgress = silent
) -> Detections:
    """Find everybody in every frame of a film, or take them from a pose file.

    Of a motion file that is a mean person who moves so before a camera.

    A person takes 8.5 kB with a face's mesh, so an hour of one takes 765 MB; frames are never kept.

    Raises:
        DetectionError: where nobody is found in any frame.
    """
    from magicpose_cli.pose.detection.detect import pick_detector

    people: list[list[Detection]] = []
    name, notes = "", tuple[str, ...]()
    if driver.motion is not None:
        from magicpose_cli.motion.motion_driver import film_mean_person

        filmed = film_mean_person(driver.motion, motion, on_progress)
        people = [[Detection(pose, None)] for pose in filmed]
    elif driver.kind == "poses":
        for source in driver.selected.sources:
            people.append([Detection(pose, None) for pose in driver.people[source]])
    else:
        name = pick_detector(motion.detector)
        people, notes = _detect_film(driver, name, on_progress)
    if not any(people):
        raise DetectionError(
            f"{driver.clip.path}: no person was found in any of its {len(people)} frames; expected "
            "a driver that shows one person (for ready-drawn poses say --driver-kind pose-maps)"
        )
    return Detections(people, name, notes)


def _detect_film(
    driver: Driver, detector: str, on_progress: OnProgress
) -> tuple[list[list[Detection]], tuple[str, ...]]:
    """The film in sections, several at a time where that is faster.

    Sections depend on the film's length alone, so the same is seen on every machine.
    """
    from magicpose_cli.pose.detection.detect import DETECTORS

    total = driver.frame_count
    count = -(-total // SECTION) if DETECTORS[detector].threads else 1
    if count > 2:
        count = -(-count // 4) * 4  # so that two or four cores come to an end together
    if driver.clip.decoder == "ffmpeg" and not driver.clip.seekable:
        count = min(count, SECTIONS_PIPED)
    bounds = [total * i // count for i in range(count + 1)]
    sections = [slice(first, last) for first, last in pairwise(bounds)]
    done, held, lock, stop = 0, set[int](), Lock(), Event()

    def tell() -> None:
        nonlocal done
        if stop.is_set():
            raise InterruptedError("another section has failed, or the run was stopped")
        with lock:
            done += 1
            on_progress(Progress("poses", done, total))

    on_progress(Progress("poses", 0, total))
    workers = min(count, os.cpu_count() or 1)
    runs = [sections[count * i // workers : count * (i + 1) // workers] for i in range(workers)]
    with ThreadPoolExecutor(workers) as threads:
        futures = [
            threads.submit(_detect_sections, driver, detector, run, tell, held.add) for run in runs
        ]
        try:
            found = [section for future in futures for section in future.result()]
        finally:
            stop.set()
            for future in futures:
                future.cancel()
    for number, part in enumerate(sections[1:], start=1):
        found[number] = _follow_on(driver, detector, part, found[number - 1], found[number])
    people = [people for section in found for people in section.people]
    return people, held_note(driver.selected, held)


@dataclass(frozen=True)
class _Section:
    """What is found in a section of a film.

    Attributes:
        people: everybody in each frame.
        touching: who may be mixed in the next frame, as the detector knows them; [] for nobody.
    """

    people: list[list[Detection]]
    touching: list[Any]


def _follow_on(
    driver: Driver, detector: str, part: slice, before: _Section, found: _Section
) -> _Section:
    """A section once more, where people touch at its begin and were told apart the frame before.

    Only until they are apart again.
    """
    from magicpose_cli.pose.detection.detect import load_detector

    if len(found.people[0]) >= len(before.touching):
        return found
    people = list(found.people)
    loaded: Any = load_detector(detector)
    try:
        loaded.follow(before.touching)
        with closing(driver.frames(part)) as frames:
            for number, frame in enumerate(frames):
                poses = loaded.detect(frame)
                people[number] = [Detection(p, appearance_histogram(frame, p)) for p in poses]
                if not loaded.touching and len(poses) <= len(found.people[number]):
                    return _Section(people, found.touching)
        return _Section(people, list(loaded.touching))
    finally:
        loaded.close()


def _detect_sections(
    driver: Driver,
    detector: str,
    sections: Sequence[slice],
    tell: Callable[[], None],
    on_held: OnHeld,
) -> list[_Section]:
    """Sections that follow each other: the film is decoded once, the detector begins anew in each.

    A decoder that begins amid a film begins at the key frame before, often the film's first.
    """
    whole = slice(sections[0].start, sections[-1].stop)
    with closing(driver.frames(whole, on_held=on_held)) as frames:
        return [
            _detect_section(islice(frames, part.stop - part.start), detector, tell)
            for part in sections
        ]


def _detect_section(frames: Iterable[Picture], detector: str, tell: Callable[[], None]) -> _Section:
    from magicpose_cli.pose.detection.detect import detect_settled, load_detector

    people: list[list[Detection]] = []
    loaded = load_detector(detector)
    try:
        for frame in frames:
            found = loaded.detect(frame) if people else detect_settled(loaded, detector, frame)
            people.append([Detection(pose, appearance_histogram(frame, pose)) for pose in found])
            tell()
        return _Section(people, list(getattr(loaded, "touching", ())))
    finally:
        loaded.close()


def detect_in_picture(picture: Picture, detector: str) -> list[Pose]:
    """Everybody in a single picture, the largest first; [] where nobody is."""
    from magicpose_cli.pose.detection.detect import detect_settled, load_detector

    loaded = load_detector(detector, still=True)
    try:
        return detect_settled(loaded, detector, picture)
    finally:
        loaded.close()


def find_people(path: Path, picture: Picture, detector: str) -> list[Pose]:
    """Who is in a reference; the first is the person to be moved.

    Raises:
        DetectionError: where nobody is.
    """
    people = detect_in_picture(picture, detector)
    if not people:
        raise DetectionError(
            f"{path}: no person was found in the reference; choose a picture that shows one, or "
            "use the driver's poses where they are with --retarget none --warp off"
        )
    return people
