"""Poses out of whatever shows people or holds poses: followed, retargeted, written, drawn."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from fractions import Fraction
from itertools import repeat
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from magicpose_cli.arrays import Picture
from magicpose_cli.config.preset import MotionSettings
from magicpose_cli.errors import ConfigError, DetectionError, InputError
from magicpose_cli.files import check_writable
from magicpose_cli.motion.detections import Detections, detect_in_picture, detect_people
from magicpose_cli.motion.driver import (
    DEFAULT_FPS,
    Driver,
    clip_of_poses,
    driver_kind_of,
    measure,
    open_driver,
    rate_of,
)
from magicpose_cli.motion.person_motion import follow_person, retarget_person
from magicpose_cli.pose.clip import PeopleClip, PoseClip
from magicpose_cli.pose.files.read_write import (
    check_pose_output,
    is_pose_file,
    read_clip,
    write_people,
)
from magicpose_cli.pose.keypoints import Pose
from magicpose_cli.pose.plot import check_plot, write_plot
from magicpose_cli.pose.retargeting.retarget import Retargeted
from magicpose_cli.pose.summary import Summary, summarize
from magicpose_cli.pose.tracking.appearance import appearance_histogram
from magicpose_cli.pose.tracking.linking import Detection
from magicpose_cli.pose.tracking.track import TrackReport
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

if TYPE_CHECKING:
    from magicpose_cli.motion.motion_driver import LaidMotion


@dataclass(frozen=True)
class Extracted:
    """What was found.

    Attributes:
        clip: what is written: everybody, or the one person that was followed.
        summary: the same in numbers.
        tracked: how the person was followed; None where that was not asked for.
        retargeted: the motion on another person; None where that was not asked for.
        notes: what was assumed, a line each.
    """

    clip: PeopleClip
    summary: Summary
    tracked: TrackReport | None
    retargeted: Retargeted | None
    notes: list[str]


@dataclass(frozen=True)
class _Source:
    """What poses come from: a film, one picture, a pose file with everybody in it, or a motion."""

    path: Path
    film: Driver | None = None
    picture: Picture | None = None
    poses: PeopleClip | None = None
    motion: Driver | None = None

    @property
    def kind(self) -> Literal["film", "picture", "poses", "motion"]:
        """Which of the four the poses come from."""
        if self.motion is not None:
            return "motion"
        if self.film is not None:
            return "film"
        return "poses" if self.picture is None else "picture"

    @property
    def rate(self) -> Fraction:
        """Frames a second of what is drawn from it."""
        opened = self.film or self.motion
        if opened is not None:
            return opened.rate
        return rate_of(self.poses.fps if self.poses else None)

    def frames(self) -> Iterator[Picture]:
        """Its pictures, (H, W, 3) uint8 RGB."""
        if self.film is not None:
            yield from self.film.frames()
        elif self.picture is not None:
            yield self.picture


@dataclass(frozen=True)
class _Reference:
    """The person on whom a motion is put, and the picture they are in where there is one."""

    pose: Pose
    picture: Picture | None
    notes: Sequence[str] = ()


def extract_poses(
    path: str | Path,
    out: str | Path | None = None,
    motion: MotionSettings | None = None,
    *,
    follow: bool | None = None,
    cleanup: bool | None = None,
    retarget_to: str | Path | None = None,
    overlay_to: str | Path | None = None,
    plot_to: str | Path | None = None,
    overwrite: bool = False,
    on_progress: OnProgress = silent,
) -> Extracted:
    """Find the poses of a film, a picture or a pose file, and write what is asked for.

    Args:
        path: the film, picture or pose file.
        out: a pose file of any kind, see `write_people`; None writes none.
        motion: what is read, whom to follow, how the motion is put on another person; the default
            settings where None are given.
        follow: whether one person is followed and gaps are filled; None does so with films and
            takes everything else as it is, with everybody.
        cleanup: whether what is followed is cleaned up and smoothed; None does so with films alone.
        retarget_to: a picture or a pose file of the person (the largest) on whom the motion is put,
            by motion.retarget; the poses are then in that picture.
        overlay_to: a video (of a picture, a picture) of the poses over the frames, or over the
            reference picture where they were retargeted.
        plot_to: a PNG of the clip.
        overwrite: whether files that exist are replaced.
        on_progress: told of each frame.

    Raises:
        MagicPoseError: for everything the user can mend.
    """
    path, motion = Path(path), motion or MotionSettings()
    out, retarget_to, overlay_to, plot_to = (
        None if place is None else Path(place) for place in (out, retarget_to, overlay_to, plot_to)
    )
    source = _open(path, motion)
    _check_outputs(source, retarget_to, out, overlay_to, plot_to, overwrite)
    reference = _read_reference(retarget_to, motion) if retarget_to else None
    laid = _lay_motion_file(source, reference, motion, on_progress)
    found, detections = _find_people(source, laid, motion, on_progress)
    fps, is_film = float(source.rate), source.kind == "film"
    report, clip, person = None, found, None
    if is_film if follow is None else follow:
        cleanup = is_film if cleanup is None else cleanup
        person, report = follow_person(detections.people, fps, motion, cleanup=cleanup)
        clip = PeopleClip.of(person, found.fps)
    moved = _retargeted(found if person is None else person, fps, laid, reference, motion)
    notes = [*found.notes, *detections.notes, *(reference.notes if reference else ())]
    if motion.face is not None:
        moved, told = _with_face_file(moved, source, reference, motion)
        notes += told
    if moved is not None:
        clip = PeopleClip.of(moved.poses, found.fps)
    if out is not None:
        write_people(out, clip, overwrite=overwrite)
    if overlay_to is not None:
        _write_overlay(overlay_to, source, reference, clip, overwrite, on_progress)
    if plot_to is not None:
        write_plot(plot_to, clip, path.name, overwrite=overwrite)
    notes += _notes(found, report, moved)
    return Extracted(clip, summarize(clip, report), report, moved, notes)


def _lay_motion_file(
    source: _Source,
    reference: _Reference | None,
    settings: MotionSettings,
    on_progress: OnProgress,
) -> LaidMotion | None:
    """A motion file on the reference's body; None for other sources and other ways."""
    if source.motion is None or source.motion.motion is None or reference is None:
        return None
    from magicpose_cli.motion.motion_driver import BODY_MODES, lay_motion

    if settings.retarget not in BODY_MODES and not source.motion.is_face:
        return None
    return lay_motion(source.motion.motion, reference.pose, settings, on_progress)


def _retargeted(
    moves: PeopleClip | PoseClip,
    fps: float,
    laid: LaidMotion | None,
    reference: _Reference | None,
    motion: MotionSettings,
) -> Retargeted | None:
    """The one who was followed, or the largest of all, on the reference's person."""
    if laid is not None or reference is None:
        return None if laid is None else laid.retargeted
    person = moves.largest if isinstance(moves, PeopleClip) else moves
    return retarget_person(person, fps, reference.pose, motion.without_expression)


def _with_face_file(
    moved: Retargeted | None,
    source: _Source,
    reference: _Reference | None,
    motion: MotionSettings,
) -> tuple[Retargeted, tuple[str, ...]]:
    """The curves of a second file on the reference's face."""
    from magicpose_cli.motion.face_driver import lay_face_file

    if moved is None or reference is None:
        raise ConfigError(
            f"--face {motion.face}: curves are laid onto the face of a person; name one with "
            "--retarget-to"
        )
    is_face = source.motion is not None and source.motion.is_face
    return lay_face_file(moved, reference.pose, float(source.rate), motion, is_face=is_face)


def _open(path: Path, motion: MotionSettings) -> _Source:
    if driver_kind_of(path) == "motion":
        return _Source(path, motion=open_driver(path, motion))
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


def _select(path: Path, clip: PeopleClip, motion: MotionSettings) -> PeopleClip:
    """The frames that were asked for; a rate that is not known stays so unless one is asked for."""
    frames = clip_of_poses(path, clip, motion.fps)
    chosen = select(frames, Selection(motion.start_s, motion.end_s, motion.every, motion.fps))
    if len(chosen.sources) == len(clip.people) and not motion.fps and motion.every == 1:
        return clip  # with its rate to the last digit
    people = [clip.people[source] for source in chosen.sources]
    return PeopleClip(
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
        check_plot(plot_to, overwrite)
    if overlay_to is None:
        return
    shown = source.kind if retarget_to is None else driver_kind_of(retarget_to)
    if shown in ("poses", "motion"):
        kind = "pose" if shown == "poses" else "motion"
        raise InputError(
            f"{retarget_to or source.path}: a {kind} file has no pictures to draw over; leave out "
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
        people = detect_in_picture(picture, motion.detector)
    if not people:
        raise DetectionError(
            f"{path}: no person was found in the reference; choose a picture or a pose file that "
            "shows one"
        )
    return _Reference(people[0], picture, notes)


def _find_people(
    source: _Source, laid: LaidMotion | None, motion: MotionSettings, on_progress: OnProgress
) -> tuple[PeopleClip, Detections]:
    """Everybody in each frame, and the same with what they wear where there are pictures.

    Of a motion that is laid on a person already, that person.
    """
    if laid is not None and source.motion is not None:
        persons = [[Detection(pose)] for pose in laid.retargeted.poses]
        notes = (*source.motion.notes, *laid.notes)
        clip = PeopleClip.of(laid.retargeted.poses, float(source.rate))
        return clip, Detections(persons, "", notes)
    if (film := source.film or source.motion) is not None:
        seen = detect_people(film, motion, on_progress)
        people = [[found.pose for found in frame] for frame in seen.people]
        clip = PeopleClip(people, film.clip.width, film.clip.height, float(film.rate))
        return clip, Detections(seen.people, seen.detector, (*film.notes, *seen.notes))
    if source.poses is not None:
        people = source.poses.people
        return source.poses, Detections([[Detection(p) for p in frame] for frame in people], "")
    assert source.picture is not None
    on_progress(Progress("poses", 0, 1))
    poses = detect_in_picture(source.picture, motion.detector)
    on_progress(Progress("poses", 1, 1))
    if not poses:
        raise DetectionError(
            f"{source.path}: no person was found; expected a picture that shows one, large enough"
        )
    height, width = source.picture.shape[:2]
    worn = [Detection(pose, appearance_histogram(source.picture, pose)) for pose in poses]
    return PeopleClip([poses], width, height), Detections([worn], motion.detector)


def _write_overlay(
    overlay_to: Path,
    source: _Source,
    reference: _Reference | None,
    clip: PeopleClip,
    overwrite: bool,
    on_progress: OnProgress,
) -> None:
    from magicpose_cli.pose.draw import overlay

    pictures: Iterable[Picture] = source.frames()
    if reference is not None and reference.picture is not None:
        pictures = repeat(reference.picture, len(clip.people))
    if source.kind == "picture":
        write_picture(overlay_to, overlay(next(iter(pictures)), *clip.people[0]), overwrite)
        return
    with VideoWriter(overlay_to, source.rate, quick=True, overwrite=overwrite) as writer:
        for picture, people in zip(pictures, clip.people, strict=True):
            writer.write(overlay(picture, *people))
            on_progress(Progress("overlay", writer.frame_count, len(clip.people)))


def _notes(found: PeopleClip, report: TrackReport | None, moved: Retargeted | None) -> list[str]:
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
