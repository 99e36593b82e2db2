"""Poses out of whatever shows people or holds poses: followed, retargeted, written, drawn."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from fractions import Fraction
from itertools import repeat
from pathlib import Path
from typing import Literal

import numpy as np

from magicpose_cli.config.preset import MotionSettings
from magicpose_cli.errors import DetectionError, InputError
from magicpose_cli.files import check_writable
from magicpose_cli.motion.driver import (
    DEFAULT_FPS,
    Driver,
    clip_of_poses,
    measure,
    open_driver,
    rate_of,
    see,
)
from magicpose_cli.pose.files.clip import PoseClip
from magicpose_cli.pose.files.read_write import (
    check_pose_output,
    is_pose_file,
    read_clip,
    write_people,
)
from magicpose_cli.pose.keypoints import Pose
from magicpose_cli.pose.retargeting.in_place import in_place
from magicpose_cli.pose.retargeting.retarget import Retargeted, retarget
from magicpose_cli.pose.summary import Summary, summarize
from magicpose_cli.pose.tracking.track import Detection, TrackReport, look_of, track
from magicpose_cli.progress import OnProgress, Progress, silent
from magicpose_cli.video import (
    Selection,
    VideoWriter,
    check_output,
    read_picture,
    select,
    write_picture,
)
from magicpose_cli.video.picture import PICTURE_SUFFIXES, WRITTEN_SUFFIXES, open_picture


@dataclass(frozen=True)
class Extracted:
    """What was found, and is written: everybody, or the one person that was followed.

    tracked, retargeted: None where that was not asked for. notes: what was assumed, a line each.
    """

    clip: PoseClip
    summary: Summary
    tracked: TrackReport | None
    retargeted: Retargeted | None
    notes: list[str]


@dataclass(frozen=True)
class _Source:
    """What poses come from: a film, one picture, or a pose file with everybody in it."""

    path: Path
    film: Driver | None = None
    picture: np.ndarray | None = None
    poses: PoseClip | None = None

    @property
    def kind(self) -> Literal["film", "picture", "poses"]:
        if self.film is not None:
            return "film"
        return "poses" if self.picture is None else "picture"

    @property
    def rate(self) -> Fraction:
        """Frames a second of what is drawn from it."""
        if self.film is not None:
            return self.film.rate
        return rate_of(self.poses.fps if self.poses else None)

    def frames(self) -> Iterator[np.ndarray]:
        """Its pictures, (H, W, 3) uint8 RGB."""
        if self.film is not None:
            yield from self.film.frames()
        elif self.picture is not None:
            yield self.picture


@dataclass(frozen=True)
class _Reference:
    """The person on whom a motion is put, and the picture they are in where there is one."""

    pose: Pose
    picture: np.ndarray | None
    notes: Sequence[str] = ()


def extract_poses(
    path: Path,
    out: Path | None,
    motion: MotionSettings,
    *,
    follow: bool | None = None,
    mend: bool | None = None,
    retarget_to: Path | None = None,
    overlay_to: Path | None = None,
    plot_to: Path | None = None,
    overwrite: bool = False,
    on_progress: OnProgress = silent,
) -> Extracted:
    """Find the poses of a film, a picture or a pose file, and write what is asked for.

    out: a pose file of any kind, see `write_people`; None writes none. follow: whether one person
    is followed and gaps are filled; None does so with films and takes everything else as it is,
    with everybody. mend: whether what is followed is mended and smoothed; None mends films alone.
    retarget_to: a picture or a pose file of the person (the
    largest) on whom the motion is put, by motion.retarget; the poses are then in that picture.
    overlay_to: a video (of a picture, a picture) of the poses over the frames, or over the
    reference picture where they were retargeted. plot_to: a PNG of the clip.
    Errors: MagicPoseError.
    """
    source = _open(path, motion)
    _check_outputs(source, retarget_to, out, overlay_to, plot_to, overwrite)
    reference = _read_reference(retarget_to, motion) if retarget_to else None
    found, sightings, seen_notes = _find_people(source, motion, on_progress)
    report, moved, clip = None, None, found
    is_film = source.kind == "film"
    if is_film if follow is None else follow:
        mend = is_film if mend is None else mend
        poses, report = track(
            sightings,
            float(source.rate),
            person=str(motion.person),
            max_gap_s=motion.max_gap_s,
            smooth=float(mend) if motion.smooth is None else motion.smooth,
            mend=mend,
        )
        clip = PoseClip.of(poses, found.fps)
    if reference is not None:
        largest = clip.largest
        moved = retarget(
            in_place(largest, float(source.rate)) if motion.follow else largest,
            reference.pose,
            motion.retarget,
            anchor=str(motion.anchor),
            expression=motion.expression,
            head=motion.head,
        )
        clip = PoseClip.of(moved.poses, found.fps)
    if out is not None:
        write_people(out, clip, overwrite=overwrite)
    if overlay_to is not None:
        _write_overlay(overlay_to, source, reference, clip, overwrite, on_progress)
    if plot_to is not None:
        from magicpose_cli.pose.plot import write_plot

        write_plot(plot_to, clip, path.name, overwrite=overwrite)
    notes = [*found.notes, *seen_notes, *(reference.notes if reference else ())]
    notes += _notes(found, report, moved)
    return Extracted(clip, summarize(clip, report), report, moved, notes)


def _open(path: Path, motion: MotionSettings) -> _Source:
    if is_pose_file(path):
        return _Source(
            path,
            poses=_select(
                path, read_clip(path, canvas=motion.canvas_size, measure=measure), motion
            ),
        )
    if path.suffix.lower() in PICTURE_SUFFIXES and path.is_file() and not _is_animated(path):
        return _Source(path, picture=read_picture(path))
    return _Source(path, film=open_driver(path, motion))


def _is_animated(path: Path) -> bool:
    try:
        with open_picture(path) as picture:
            return getattr(picture, "n_frames", 1) > 1
    except (OSError, SyntaxError, ValueError):
        return False  # read_picture says what is wrong with it


def _select(path: Path, clip: PoseClip, motion: MotionSettings) -> PoseClip:
    """The frames that were asked for; a rate that is not known stays so unless one is asked for."""
    frames = clip_of_poses(path, clip, motion.fps)
    chosen = select(frames, Selection(motion.start_s, motion.end_s, motion.every, motion.fps))
    if len(chosen.sources) == len(clip.people) and not motion.fps and motion.every == 1:
        return clip  # with its rate to the last digit
    people = [clip.people[source] for source in chosen.sources]
    return PoseClip(
        people, clip.width, clip.height, chosen.fps if clip.fps or motion.fps else None, clip.notes
    )


def _check_outputs(
    source: _Source,
    retarget_to: Path | None,
    out: Path | None,
    overlay_to: Path | None,
    plot_to: Path | None,
    overwrite: bool,
) -> None:
    """Refuse what can be refused before the work."""
    if out is not None:
        check_pose_output(out, overwrite)
    if plot_to is not None:
        from magicpose_cli.pose.plot import check_plot

        check_plot(plot_to, overwrite)
    if overlay_to is None:
        return
    if (source.kind == "poses") if retarget_to is None else is_pose_file(retarget_to):
        raise InputError(
            f"{retarget_to or source.path}: a pose file has no pictures to draw over; leave out "
            "--overlay"
        )
    if source.kind != "picture":
        check_output(overlay_to, overwrite)
        return
    if overlay_to.suffix.lower() not in WRITTEN_SUFFIXES:
        raise InputError(
            f"{overlay_to}: over a picture a picture is drawn; expected a name with "
            f"{', '.join(WRITTEN_SUFFIXES)}"
        )
    check_writable(overlay_to, overwrite)


def _read_reference(path: Path, motion: MotionSettings) -> _Reference:
    """The largest person of a picture, or of the first frame with somebody of a pose file."""
    picture, notes = None, []
    if is_pose_file(path):
        clip = read_clip(path, canvas=motion.canvas_size, measure=measure)
        people, notes = next((people for people in clip.people if people), []), clip.notes
    else:
        picture = read_picture(path)
        people = _detect(picture, motion)
    if not people:
        raise DetectionError(
            f"{path}: no person was found in the reference; choose a picture or a pose file that "
            "shows one"
        )
    return _Reference(people[0], picture, notes)


def _detect(picture: np.ndarray, motion: MotionSettings) -> list[Pose]:
    from magicpose_cli.pose.detection.detect import detect_settled, load_detector

    detector = load_detector(motion.detector, still=True)
    try:
        return detect_settled(detector, motion.detector, picture)
    finally:
        detector.close()


def _find_people(
    source: _Source, motion: MotionSettings, on_progress: OnProgress
) -> tuple[PoseClip, list[list[Detection]], Sequence[str]]:
    """Everybody in each frame, the same with what they wear where there are pictures, and what
    there was to tell of the frames."""
    if source.film is not None:
        film = source.film
        seen = see(film, motion, on_progress)
        sightings, notes = seen.people, (*film.notes, *seen.notes)
        people = [[sighting.pose for sighting in frame] for frame in sightings]
        clip = PoseClip(people, film.clip.width, film.clip.height, float(film.rate))
        return clip, sightings, notes
    if source.poses is not None:
        people = source.poses.people
        return source.poses, [[Detection(pose) for pose in frame] for frame in people], ()
    assert source.picture is not None
    on_progress(Progress("poses", 0, 1))
    found = _detect(source.picture, motion)
    on_progress(Progress("poses", 1, 1))
    if not found:
        raise DetectionError(
            f"{source.path}: no person was found; expected a picture that shows one, large enough"
        )
    height, width = source.picture.shape[:2]
    worn = [Detection(pose, look_of(source.picture, pose)) for pose in found]
    return PoseClip([found], width, height), [worn], ()


def _write_overlay(
    overlay_to: Path,
    source: _Source,
    reference: _Reference | None,
    clip: PoseClip,
    overwrite: bool,
    on_progress: OnProgress,
) -> None:
    from magicpose_cli.pose.draw import overlay

    pictures: Iterable[np.ndarray] = source.frames()
    if reference is not None and reference.picture is not None:
        pictures = repeat(reference.picture, len(clip.people))
    if source.kind == "picture":
        write_picture(overlay_to, overlay(next(iter(pictures)), *clip.people[0]), overwrite)
        return
    with VideoWriter(overlay_to, source.rate, quick=True, overwrite=overwrite) as writer:
        for picture, people in zip(pictures, clip.people, strict=True):
            writer.write(overlay(picture, *people))
            on_progress(Progress("overlay", writer.frame_count, len(clip.people)))


def _notes(found: PoseClip, report: TrackReport | None, moved: Retargeted | None) -> list[str]:
    """What a user has to know of the work."""
    notes = []
    most = max(len(people) for people in found.people)
    if report is not None and found.fps is None and len(found.people) > 1:
        notes.append(f"the frame rate is not known; taken as {DEFAULT_FPS:g} (--fps sets it)")
    if report is not None:
        notes += report.notes()
    if report is None and moved is not None and most > 1:
        notes.append(
            f"up to {most} people in a frame; the largest of each was taken (--person follows one)"
        )
    if moved is not None:
        notes += moved.notes()
    return notes
