"""Films that act themselves again: one frame is the reference, the film the driver and the truth.

This is how the papers measure on films of real people: of each clip one frame is given, and the
poses of all frames. Each film is animated by `animate` itself, its frames kept without loss until
they are measured.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from magicpose_cli.arrays import Picture
from magicpose_cli.errors import DetectionError, InputError
from magicpose_cli.evaluation.pose_following import PoseReader
from magicpose_cli.evaluation.readings import Reading, read_person
from magicpose_cli.evaluation.samples import Sample, SampleSet
from magicpose_cli.evaluation.videos import clips_in
from magicpose_cli.motion.driver import Driver, open_driver
from magicpose_cli.motion.framing import Framing
from magicpose_cli.progress import OnProgress, Progress, silent
from magicpose_cli.video import Selection, read_frames, read_picture, select, write_picture
from magicpose_cli.video.picture import pictures_in

if TYPE_CHECKING:
    from magicpose_cli.config.preset import Preset
    from magicpose_cli.run.resources import Resources
    from magicpose_cli.run.run_record import Result

OnFailed = Callable[[str], None]
"""Is told the line of a film that cannot be measured."""


@dataclass(frozen=True)
class Reenactment:
    """A film that was animated by itself.

    Attributes:
        name: Of the film.
        driver: The film and its chosen frames.
        record: Of the run.
        framing: What the result shows of the film.
        results: Pictures of the result, one for each chosen frame.
        compared: Which of the frames are compared: all but the reference.
        reference: As the result would show it, of the result's size.
        in_reference: What the reference shows.
        in_truths: What the compared frames show.
    """

    name: str
    driver: Driver
    record: Result
    framing: Framing
    results: tuple[Path, ...]
    compared: tuple[int, ...]
    reference: Picture
    in_reference: Reading
    in_truths: tuple[Reading, ...]

    def truths(self) -> Iterator[Picture]:
        """The compared frames of the film, as the result shows them."""
        chosen = set(self.compared)
        for index, frame in enumerate(self.driver.frames()):
            if index in chosen:
                yield as_shown(frame, self.framing)


def films_in(paths: Sequence[Path]) -> dict[str, Path]:
    """Find the films of files and folders, by name.

    Raises:
        InputError: A folder holds neither films nor pictures.
    """
    found: dict[str, Path] = {}
    for path in paths:
        for name, film in clips_in(path).items():
            found[str(film) if name in found else name] = film
    return found


def reenact_films(
    films: dict[str, Path],
    folder: Path,
    preset: Preset,
    reader: PoseReader | None,
    *,
    at_s: float = 0.0,
    on_progress: OnProgress = silent,
    on_failed: OnFailed,
) -> tuple[list[Reenactment], dict[str, str]]:
    """Animate each film by itself; one that fails does not keep the others from being made.

    Args:
        films: By name.
        folder: Where the frames are kept.
        preset: All settings.
        reader: Reads poses off the truths; None goes without.
        at_s: Where in the films their reference stands, in seconds.
        on_progress: Is told each step.
        on_failed: Is told each film that fails.

    Returns:
        The films that were made, and the lines of those that were not by name.

    Raises:
        InputError: Not one film was made.
        MagicPoseError: The settings are wrong, which no other film would mend.
    """
    from magicpose_cli.run.resources import Resources

    made: list[Reenactment] = []
    failed: dict[str, str] = {}
    with Resources() as resources:
        for number, (name, path) in enumerate(films.items()):
            if len(films) > 1:
                on_progress(Progress("jobs", number, len(films), "films"))
            own = folder / str(number)
            try:
                made.append(reenact(name, path, own, preset, reader, resources, at_s, on_progress))
            except (InputError, DetectionError) as error:
                line = str(error).replace(str(own / "reference.png"), f"{path} at {at_s:g} s")
                failed[name] = line if str(path) in line else f"{path}: {line}"
                if len(films) == 1:
                    raise InputError(failed[name]) from error
                on_failed(failed[name])
        if len(films) > 1:
            on_progress(Progress("jobs", len(films), len(films), "films"))
    if not made:
        first = next(iter(failed.values()), "none is given")
        raise InputError(f"none of {len(films)} films can be measured; the first one: {first}")
    return made, failed


def reenact(
    name: str,
    path: Path,
    folder: Path,
    preset: Preset,
    reader: PoseReader | None,
    resources: Resources,
    at_s: float,
    on_progress: OnProgress,
) -> Reenactment:
    """Animate one film by itself; see `reenact_films`."""
    from magicpose_cli.animation import animate

    driver = open_driver(path, preset.motion)
    number, frame = _reference_frame(driver, at_s)
    compared = np.flatnonzero(driver.selected.sources != number)
    if not len(compared):
        raise InputError(
            f"{path}: its only frame is the reference; expected a film of two frames or more, or a "
            "smaller --every"
        )
    still = folder / "reference.png"
    write_picture(still, frame)
    try:
        resources.people(still, frame, preset.motion)
    except DetectionError as error:
        raise DetectionError(
            f"{path}: no person was found at {at_s:g} s; choose another time for the reference "
            "with --at, or leave the film out"
        ) from error
    record = animate(
        still, path, folder / "result", preset, resources=resources, on_progress=on_progress
    )
    framing = Framing(record.motion.window, record.plan.width, record.plan.height)
    reference = as_shown(frame, framing)
    made = Reenactment(
        name, driver, record, framing, tuple(pictures_in(folder / "result")),
        tuple(compared.tolist()), reference, read_person(reference, reader), (),
    )  # fmt: skip
    in_truths: list[Reading] = []
    for truth in made.truths():
        on_progress(Progress("reading the truth", len(in_truths), len(compared)))
        in_truths.append(read_person(truth, reader))
    return replace(made, in_truths=tuple(in_truths))


def film_samples(films: Sequence[Reenactment], at_s: float) -> SampleSet:
    """Take the compared frames of films that were made; the pose asked for is the truth's own."""

    def opened() -> Iterator[Sample]:
        for film in films:
            before = None
            reference_person = film.in_reference.mask(film.reference)
            for index, reading, truth in zip(
                film.compared, film.in_truths, film.truths(), strict=True
            ):
                yield Sample(
                    name=f"{film.name} {index:05d}",
                    clip=film.name,
                    reference=film.reference,
                    truth=truth,
                    pose=reading.pose,
                    reference_pose=film.in_reference.pose,
                    person=reading.mask(truth),
                    reference_person=reference_person,
                    before=before,
                )
                before = truth

    count = sum(len(film.compared) for film in films)
    which = "the first frame" if at_s == 0 else f"the frame at {at_s:g} s"
    return SampleSet(
        "films", f"{len(films)} films, {count} frames, {which} to the rest", count, opened,
        has_truth_poses=True,
    )  # fmt: skip


class FilmPredictor:
    """The frames of films that were animated by themselves."""

    def __init__(self, films: Sequence[Reenactment]) -> None:
        plan = films[0].record.plan
        self.name = Path(plan.model).name
        self._films = films
        self.metadata: dict[str, Any] = {
            "folder": plan.model,
            "sha256": films[0].record.model_sha256,
            **{name: getattr(plan, name) for name in ("steps", "guidance", "seed", "warp")},
            "films": {
                film.name: {
                    "path": str(film.driver.clip.path),
                    "sha256": film.record.driver_sha256,
                    "size": [film.framing.width, film.framing.height],
                    "window": list(film.framing.window),
                    "every": film.driver.selection.every,
                }
                for film in films
            },
        }

    def predict(self, samples: Iterable[Sample]) -> Iterator[tuple[Sample, Picture]]:
        """Give each sample with the frame of its result, in order."""
        frames = (read_picture(film.results[i]) for film in self._films for i in film.compared)
        yield from zip(samples, frames, strict=True)


def as_shown(frame: Picture, framing: Framing) -> Picture:
    """Bring a film's frame to the result's window and size, by averaging areas.

    This is no resampling of the program's own, with which it would be compared with itself.
    """
    import cv2

    left, top, right, bottom = map(round, framing.window)
    size = right - left, bottom - top
    window = Framing((left, top, right, bottom), *size).picture(frame)
    wanted = framing.width, framing.height
    if size == wanted:
        return window
    return np.asarray(cv2.resize(window, wanted, interpolation=cv2.INTER_AREA), np.uint8)


def _reference_frame(driver: Driver, at_s: float) -> tuple[int, Picture]:
    """The number of the reference in the film, and the frame itself."""
    clip = driver.clip
    if not at_s < clip.duration_s:
        raise InputError(
            f"{clip.path}: there is no frame at {at_s:g} s, it is {clip.duration_s:.3f} s long; "
            "give --at a time within it"
        )
    selection = Selection(start_s=at_s)
    number = int(select(clip, selection).sources[0])
    return number, next(read_frames(clip, selection, slice(1)))
