"""The films of a page: what a run was given and what it made, small, of one rate and length.

Frame by frame, so that memory does not grow with the clip.
"""

from __future__ import annotations

import io
from collections.abc import Iterable, Iterator
from contextlib import nullcontext, suppress
from dataclasses import dataclass, field
from fractions import Fraction
from itertools import islice
from pathlib import Path

import numpy as np

from magicpose_cli.arrays import Picture
from magicpose_cli.config.preset import Preset
from magicpose_cli.errors import (
    ConfigError,
    DetectionError,
    InputError,
    MagicPoseError,
    ModelError,
    OutputError,
)
from magicpose_cli.motion.detections import detect_people, find_people
from magicpose_cli.motion.driver import Driver, open_driver
from magicpose_cli.motion.framing import Framing
from magicpose_cli.motion.pose_maps import draw_maps
from magicpose_cli.motion.read_motion import (
    lacks_person,
    needs_detections,
    needs_target,
    read_motion,
)
from magicpose_cli.progress import OnProgress, Progress, silent
from magicpose_cli.run.run_record import Result, poses_path
from magicpose_cli.run_report.finished_run import source_of
from magicpose_cli.video import Clip, Sound, VideoWriter, probe, read_frames, read_picture

MAX_HEIGHT, MAX_WIDTH = 512, 1024  # pixels of a film
CRF = 27  # x264's quality: a page is to be small
FOUND_AGAIN = 3000  # frames at most in which poses are looked for once more
CANNOT = (InputError, DetectionError, ConfigError, ModelError)  # a source is gone or has changed


@dataclass(frozen=True)
class Film:
    """A film on the disk, H.264."""

    name: str
    path: Path
    width: int
    height: int
    frames: int
    has_sound: bool = False


@dataclass
class PageMedia:
    """Everything that a page shows in films and pictures.

    Attributes:
        films: By name.
        reference: A JPEG, None where the file is gone.
        notes: Lines about what is left out.
    """

    films: dict[str, Film]
    reference: bytes | None = None
    notes: list[str] = field(default_factory=list)


def make_media(
    run: Result, output: Path, folder: Path, most: int, on_progress: OnProgress = silent
) -> PageMedia:
    """Encode the result, the driver and the poses of a run as films, and its reference.

    Args:
        run: As its sidecar has it.
        output: The result, which must exist; the other sources may be gone.
        folder: Where the films are written.
        most: Frames of each film.
        on_progress: Called for each frame.

    Raises:
        InputError: The result cannot be read, or is not the run's.
    """
    clip = probe(output, pictures_fps=run.plan.fps)
    wide = bool(run.preset.get("output", {}).get("compare"))
    # In a row: the reference, the pose, of a warped one the network's own frame, the result.
    width, columns = run.plan.width, 4 if run.plan.warp else 3
    if wide and run.preset.get("frame", {}).get("paste_back"):
        width = clip.width // columns  # of the whole picture
    if wide and clip.width != columns * width:
        raise InputError(f"{output} is {clip.width} pixels wide, its run made {columns * width}")
    count = min(most, run.frames, clip.frame_count)
    studio = _Studio(folder, run, count, on_progress)

    def strip(index: int) -> Iterator[Picture]:
        shown = slice(index * width, (index + 1) * width) if wide else slice(None)
        return (frame[:, shown] for frame in read_frames(clip, part=slice(0, count)))

    media = PageMedia({"result": studio.film("result", strip(columns - 1), clip)})
    if clip.frame_count != run.frames:
        media.notes.append(
            f"{output.name} has {clip.frame_count} frames, its run made {run.frames}: it has been "
            "changed since"
        )
    sources = _Sources(run, output, count, on_progress)
    if wide:
        media.reference = jpeg(next(strip(0)))
        media.films["poses"] = studio.film("poses", strip(1))
    for name, make in (("driver", sources.driver_frames), ("poses", sources.pose_frames)):
        if name not in media.films:
            try:
                media.films[name] = studio.film(name, make())
            except CANNOT as error:
                media.notes.append(f"The {name} cannot be shown: {error}")
    if media.reference is None:
        try:
            media.reference = jpeg(sources.reference())
        except CANNOT as error:
            media.notes.append(f"The reference cannot be shown: {error}")
    return media


@dataclass
class _Studio:
    """Encodes films; all of them together are one stage of progress."""

    folder: Path
    run: Result
    count: int
    on_progress: OnProgress
    done: int = 0

    def film(self, name: str, frames: Iterable[Picture], sound: Clip | None = None) -> Film:
        """A film of these (H, W, 3) frames. Raises InputError where they are too few."""
        path = self.folder / f"{name}.mp4"
        rate = Fraction(self.run.plan.fps).limit_denominator(100_000)
        heard = None
        if sound is not None and sound.has_audio:
            heard = Sound(sound.path, sound.start_s, tracks=sound.sound_tracks)
        try:
            with VideoWriter(path, rate, sound=heard, crf=CRF) as writer:
                for frame in islice(frames, self.count):
                    shown = _small(frame)
                    writer.write(shown)
                    self.done += 1
                    self.on_progress(Progress("page", self.done, max(3 * self.count, self.done)))
                if writer.frame_count < self.count:
                    raise InputError(f"it has {writer.frame_count} of {self.count} frames")
        except (KeyboardInterrupt, OutputError) as error:
            # Without the word that a part of the film is kept: it goes with the folder.
            raise type(error)(*error.args) from None
        height, width = shown.shape[:2]
        return Film(name, path, width, height, writer.frame_count, heard is not None)


@dataclass
class _Sources:
    """What the run was given, as far as it is still there. All raise one of CANNOT."""

    run: Result
    output: Path
    count: int
    on_progress: OnProgress

    def reference(self) -> Picture:
        """The part of the picture that the result shows, or all of it where it was put back."""
        picture = self._picture()
        if self._preset().frame.paste_back:
            return picture
        plan = self.run.plan
        return Framing(self.run.motion.window, plan.width, plan.height).picture(picture)

    def driver_frames(self) -> Iterator[Picture]:
        """The driver's pictures; of a pose file everybody in it, drawn."""
        driver = self._driver()
        if driver.kind not in ("poses", "motion"):
            yield from driver.frames(slice(0, self.count))
            return
        from magicpose_cli.pose.draw import draw

        size = (driver.clip.width, driver.clip.height)
        found = detect_people(driver, self._preset().motion, self.on_progress)
        for people in found.people[: self.count]:
            everybody = [draw(detection.pose, size) for detection in people]
            yield np.maximum.reduce([np.zeros((size[1], size[0], 3), np.uint8), *everybody])

    def pose_frames(self) -> Iterator[Picture]:
        """What the network saw of the motion: as saved, else found again in the driver."""
        plan = self.run.plan
        saved = poses_path(self.output)
        if self.run.poses is not None and saved.exists():
            from magicpose_cli.pose.files.read_write import read_clip
            from magicpose_cli.pose.pose_map import pose_map

            clip = read_clip(saved)
            return (pose_map(pose, plan.pose_canvas) for pose in clip.largest)
        driver, preset = self._driver(), self._preset()
        if driver.kind == "video" and driver.frame_count > FOUND_AGAIN:
            raise InputError(
                f"they were not saved, and {driver.frame_count} frames are too many to look "
                "through again; --save-poses keeps them"
            )
        picture, target, seen = self._picture(), None, None
        size = (plan.network_width, plan.network_height)
        moves = needs_target(driver, preset)
        if moves or lacks_person(driver, preset, picture, size):
            with nullcontext() if moves else suppress(MagicPoseError):
                people = find_people(self._path(plan.reference), picture, preset.motion.detector)
                target = people[0]
        if needs_detections(driver, preset):
            seen = detect_people(driver, preset.motion, self.on_progress)
        motion = read_motion(driver, target, picture, size, preset, seen)
        return draw_maps(driver, motion, plan.pose_canvas, range(self.count))

    def _preset(self) -> Preset:
        """What the run's settings say of frames and motion, with the detector that it took."""
        from magicpose_cli.config.sections import validated

        told = {name: self.run.preset.get(name, {}) for name in ("frame", "motion")}
        preset = validated(Preset, told, "the run's settings")
        return preset.with_options(motion__detector=self.run.motion.detector or None)

    def _driver(self) -> Driver:
        driver = open_driver(self._path(self.run.plan.driver), self._preset().motion)
        if driver.frame_count != self.run.frames:
            raise InputError(
                f"{driver.clip.path} has changed since: {driver.frame_count} frames of it would be "
                f"taken now, the run made {self.run.frames}"
            )
        return driver

    def _picture(self) -> Picture:
        return read_picture(self._path(self.run.plan.reference))

    def _path(self, named: str) -> Path:
        return source_of(self.run, self.output, named)


def jpeg(picture: Picture) -> bytes:
    """(H, W, 3) uint8 RGB as a JPEG, no larger than a film."""
    from PIL import Image

    file = io.BytesIO()
    Image.fromarray(_small(picture)).save(file, "JPEG", quality=88)
    return file.getvalue()


def _small(frame: Picture) -> Picture:
    """At most MAX_WIDTH x MAX_HEIGHT, with even sides where it is made smaller."""
    from PIL import Image

    height, width = frame.shape[:2]
    scale = min(MAX_HEIGHT / height, MAX_WIDTH / width)
    if scale >= 1:
        return frame
    size = (max(2, 2 * round(scale * width / 2)), max(2, 2 * round(scale * height / 2)))
    picture = Image.fromarray(np.ascontiguousarray(frame))
    return np.asarray(picture.resize(size, Image.Resampling.LANCZOS, reducing_gap=2.0))
