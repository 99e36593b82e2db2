"""The driver: whatever the motion comes from, as poses or ready-drawn maps at a constant rate."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from fractions import Fraction
from itertools import pairwise
from pathlib import Path
from threading import Event, Lock

import numpy as np

from magicpose_cli.config.preset import MotionSettings
from magicpose_cli.errors import DetectionError, InputError
from magicpose_cli.pose.files.clip import Beside, PoseClip
from magicpose_cli.pose.files.read_write import is_pose_file, read_clip
from magicpose_cli.pose.keypoints import Pose
from magicpose_cli.pose.tracking.linking import Detection
from magicpose_cli.pose.tracking.track import TrackReport, look_of, track
from magicpose_cli.progress import OnProgress, Progress, silent
from magicpose_cli.video import Clip, SelectedClip, Selection, probe, read_frames, select
from magicpose_cli.video.picture import PICTURE_SUFFIXES, picture_size

DEFAULT_FPS = 25.0  # of pose files and folders that do not say
SECTION = 64  # frames at most that one detector sees in a row, where several share a film
SECTIONS_PIPED = 4  # at most of a film without an index, which is decoded from its start for each


@dataclass(frozen=True)
class Driver:
    """A driver that has been looked at, its frames chosen, nothing decoded yet.

    kind: "video", "poses" (a pose file) or "pose-maps" (ready-drawn pictures).
    """

    kind: str
    selected: SelectedClip
    selection: Selection
    people: tuple[list[Pose], ...] = ()
    """Of a pose file: everybody in each of its frames."""
    notes: tuple[str, ...] = ()
    """What was assumed in reading it, a line each."""

    @property
    def clip(self) -> Clip:
        return self.selected.clip

    @property
    def rate(self) -> Fraction:
        """Frames a second of what is made from it, exact."""
        return self.selected.rate

    @property
    def frame_count(self) -> int:
        return self.selected.frame_count

    def frames(
        self,
        part: slice = slice(None),
        size: tuple[int, int] | None = None,
        on_held: Callable[[], None] = lambda: None,
    ) -> Iterator[np.ndarray]:
        """The chosen frames, or a part of them, (H, W, 3) uint8 RGB; size: (width, height), where
        it is not to be the film's own; on_held: called for each that cannot be decoded."""
        return read_frames(self.clip, self.selection, part, size, on_held)


def open_driver(path: Path, motion: MotionSettings) -> Driver:
    """Look at a driver. Raises InputError for what cannot be read or does not fit."""
    selection = Selection(motion.start_s, motion.end_s, motion.every, motion.fps)
    kind = motion.driver_kind
    if kind == "auto":
        kind = "poses" if is_pose_file(path) else "video"
    if kind == "poses":
        saved = read_clip(path, canvas=motion.canvas_size, measure=measure)
        selected = select(clip_of_poses(path, saved, motion.fps), selection)
        return Driver(kind, selected, selection, tuple(saved.people), tuple(saved.notes))
    clip = probe(path, pictures_fps=motion.fps or DEFAULT_FPS)
    return Driver(kind, select(clip, selection), selection, notes=clip.notes)


def measure(path: Path) -> Beside | None:
    """The size and the rate of a film or picture that lies beside a pose file; None for others."""
    try:
        if path.suffix.lower() in PICTURE_SUFFIXES - {".gif"}:
            return Beside(path.name, picture_size(path))
        film = probe(path)
    except InputError:
        return None
    return Beside(path.name, (film.width, film.height), film.fps, film.frame_count)


def rate_of(fps: float | None) -> Fraction:
    """The exact rate of poses that tell this one, if any."""
    return Fraction(fps or DEFAULT_FPS).limit_denominator(1001)


def clip_of_poses(path: Path, saved: PoseClip, fps: float | None) -> Clip:
    """A pose file as if it were a film; fps: of files that do not tell theirs."""
    rate = rate_of(saved.fps or fps)
    return Clip(
        path=path,
        kind="pictures",
        width=saved.width,
        height=saved.height,
        rate=rate,
        frame_count=len(saved.people),
        times=np.arange(len(saved.people)) / float(rate),
    )


@dataclass(frozen=True)
class Detections:
    """Everybody in every chosen frame of a driver; the detector that saw them, "" for a file.

    notes: what there was to tell of the frames, a line each.
    """

    people: list[list[Detection]]
    detector: str
    notes: tuple[str, ...] = ()


def see(driver: Driver, motion: MotionSettings, on_progress: OnProgress = silent) -> Detections:
    """Everybody in every frame.

    A person takes 8.5 kB with a face's mesh, so an hour of one takes 765 MB; frames are never kept.
    Raises DetectionError where nobody is found in any frame.
    """
    from magicpose_cli.pose.detection.detect import pick_detector

    people: list[list[Detection]] = []
    name, notes = "", tuple[str, ...]()
    if driver.kind == "poses":
        for source in driver.selected.sources:
            people.append([Detection(pose, None) for pose in driver.people[source]])
    else:
        name = pick_detector(motion.detector)
        people, notes = _look(driver, name, on_progress)
    if not any(people):
        raise DetectionError(
            f"{driver.clip.path}: no person was found in any of its {len(people)} frames; expected "
            "a driver that shows one person (for ready-drawn poses say --driver-kind pose-maps)"
        )
    return Detections(people, name, notes)


def _look(
    driver: Driver, detector: str, on_progress: OnProgress
) -> tuple[list[list[Detection]], tuple[str, ...]]:
    """The film in sections, several at a time where that is faster.

    Sections depend on the film's length alone, so the same is seen on every machine.
    """
    from magicpose_cli.pose.detection.detect import DETECTORS

    total = driver.frame_count
    count = -(-total // SECTION) if DETECTORS[detector].threads else 1
    if driver.clip.decoder == "ffmpeg" and not driver.clip.seekable:
        count = min(count, SECTIONS_PIPED)
    bounds = [total * i // count for i in range(count + 1)]
    sections = [slice(first, last) for first, last in pairwise(bounds)]
    done, held, lock, stop = 0, 0, Lock(), Event()

    def tell() -> None:
        nonlocal done
        if stop.is_set():
            raise InterruptedError("another section has failed, or the run was stopped")
        with lock:
            done += 1
            on_progress(Progress("poses", done, total))

    def count_held() -> None:
        nonlocal held
        with lock:
            held += 1

    on_progress(Progress("poses", 0, total))
    with ThreadPoolExecutor(min(count, os.cpu_count() or 1)) as threads:
        looking = [
            threads.submit(_look_at, driver, detector, part, tell, count_held) for part in sections
        ]
        try:
            people = [people for section in looking for people in section.result()]
        except InputError:
            # A file that ends early is read whole once more: only then the last frame that there is
            # can stand for those that lack, or the line says how far it goes.
            if count == 1:
                raise
            done, held = 0, 0
            people = _look_at(driver, detector, slice(None), tell, count_held)
        finally:
            stop.set()
            for section in looking:
                section.cancel()
    if not held:
        return people, ()
    note = f"{held} of {total} frames of {driver.clip.path.name} cannot be decoded"
    return people, (f"{note}: the last one before is held; it may be damaged",)


def _look_at(
    driver: Driver,
    detector: str,
    part: slice,
    tell: Callable[[], None],
    on_held: Callable[[], None],
) -> list[list[Detection]]:
    from magicpose_cli.pose.detection.detect import detect_settled, load_detector

    people: list[list[Detection]] = []
    loaded = load_detector(detector)
    try:
        for frame in driver.frames(part, on_held=on_held):
            found = loaded.detect(frame) if people else detect_settled(loaded, detector, frame)
            people.append([Detection(pose, look_of(frame, pose)) for pose in found])
            tell()
    finally:
        loaded.close()
    return people


def follow(
    driver: Driver, people: Sequence[Sequence[Detection]], motion: MotionSettings
) -> tuple[list[Pose], TrackReport]:
    """One person's motion out of what was seen, one pose a frame.

    What a detector saw is mended and smoothed; a pose file is what somebody meant, so that only the
    person is chosen and gaps are filled. Raises DetectionError where there is no such person.
    """
    mend = driver.kind != "poses"
    return track(
        people,
        float(driver.rate),
        person=str(motion.person),
        max_gap_s=motion.max_gap_s,
        smooth=(1.0 if mend else 0.0) if motion.smooth is None else motion.smooth,
        mend=mend,
    )
