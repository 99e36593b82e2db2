"""The driver: whatever the motion comes from, as poses or ready-drawn maps at a constant rate."""

from __future__ import annotations

from collections.abc import Generator
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from magicpose_cli.arrays import Picture
from magicpose_cli.config.preset import MotionSettings
from magicpose_cli.errors import InputError
from magicpose_cli.pose.clip import PeopleClip
from magicpose_cli.pose.files.clip import Beside
from magicpose_cli.pose.files.read_write import is_pose_file, read_clip
from magicpose_cli.pose.keypoints import Pose
from magicpose_cli.video import (
    Clip,
    OnHeld,
    SelectedClip,
    Selection,
    exact_rate,
    probe,
    read_frames,
    select,
)
from magicpose_cli.video.picture import PICTURE_SUFFIXES, picture_size

if TYPE_CHECKING:
    from magicpose_cli.body.skeletal_motion import SkeletalMotion

DEFAULT_FPS = 25.0  # of pose files and folders that do not say
NO_VIEWS = "camera: only a motion file, such as a BVH, can be seen from elsewhere; it is left out"
SAME_FRAME = 1e-3  # of a frame: a motion's frame that is asked for so nearly is that frame


@dataclass(frozen=True)
class Driver:
    """A driver that has been looked at, its frames chosen, nothing decoded yet.

    Attributes:
        kind: "video", "poses" (a pose file), "pose-maps" (ready-drawn pictures) or "motion" (a
            motion file).
        selected: the film and its chosen frames.
        selection: how these were chosen.
        people: of a pose file, everybody in each of its frames.
        motion: of a motion file, its chosen frames.
        notes: what was assumed in reading it, a line each.
    """

    kind: str
    selected: SelectedClip
    selection: Selection
    people: tuple[list[Pose], ...] = ()
    motion: SkeletalMotion | None = None
    notes: tuple[str, ...] = ()

    @property
    def clip(self) -> Clip:
        """The film, or a pose file as if it were one."""
        return self.selected.clip

    @property
    def rate(self) -> Fraction:
        """Frames a second of what is made from it, exact."""
        return self.selected.rate

    @property
    def frame_count(self) -> int:
        """How many frames are chosen."""
        return self.selected.frame_count

    @property
    def is_face(self) -> bool:
        """Whether the driver is curves of a face alone."""
        from magicpose_cli.body.face_motion import is_face_motion

        return self.motion is not None and is_face_motion(self.motion)

    def frames(
        self,
        part: slice = slice(None),
        size: tuple[int, int] | None = None,
        on_held: OnHeld = lambda number: None,
    ) -> Generator[Picture]:
        """The chosen frames, or a part of them.

        Args:
            part: of the chosen frames.
            size: (width, height) in pixels, where it is not to be the film's own.
            on_held: called with the number of each frame that cannot be decoded.
        """
        return read_frames(self.clip, self.selection, part, size, on_held)


def open_driver(path: Path, motion: MotionSettings) -> Driver:
    """Look at a driver.

    Raises:
        InputError: for what cannot be read or does not fit.
    """
    selection = Selection(motion.start_s, motion.end_s, motion.every, motion.fps)
    asked = motion.driver_kind
    kind = driver_kind_of(path) if asked == "auto" else asked
    if kind == "motion":
        return _open_motion(path, motion, selection)
    lacks = () if motion.camera is None else (NO_VIEWS,)
    if kind == "poses":
        saved = read_clip(path, canvas=motion.canvas_size, measure=measure)
        selected = select(clip_of_poses(path, saved, motion.fps), selection)
        people, notes = tuple(saved.people), (*saved.notes, *lacks)
        return Driver(kind, selected, selection, people, notes=notes)
    clip = probe(path, pictures_fps=motion.fps or DEFAULT_FPS)
    return Driver(kind, select(clip, selection), selection, notes=(*clip.notes, *lacks))


def driver_kind_of(path: Path) -> str:
    """Tell by the file what a driver is: "motion", "poses" or "video"."""
    from magicpose_cli.motion.motion_driver import is_driving_motion

    if is_driving_motion(path):
        return "motion"
    return "poses" if is_pose_file(path) else "video"


def _open_motion(path: Path, settings: MotionSettings, selection: Selection) -> Driver:
    """Look at a motion file; another frame rate is made of its turns, not by repeating frames."""
    from magicpose_cli.body.motion_editing import motion_at
    from magicpose_cli.motion.motion_driver import MOTION_CANVAS, read_driving_motion

    motion = read_driving_motion(path, settings)
    count, rate = len(motion), exact_rate(motion.fps)
    width, height = settings.canvas_size or MOTION_CANVAS
    clip = Clip(
        path=path,
        kind="pictures",
        width=width,
        height=height,
        rate=rate,
        frame_count=count,
        times=np.arange(count) / float(rate),
    )
    selected = select(clip, selection)
    times = selected.start_s + np.arange(selected.frame_count) / float(selected.rate)
    frames = np.minimum(times * float(rate), count - 1)
    whole = np.round(frames)
    frames = np.where(np.abs(frames - whole) < SAME_FRAME, whole, frames)
    chosen = motion_at(motion, frames, selected.rate)
    return Driver("motion", selected, selection, motion=chosen, notes=motion.notes)


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


def clip_of_poses(path: Path, saved: PeopleClip, fps: float | None) -> Clip:
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
