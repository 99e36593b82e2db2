"""The whole way of a motion: detected, followed, retargeted and framed for the network."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace

import numpy as np

from magicpose_cli.arrays import Picture
from magicpose_cli.config.preset import MotionSettings, Preset
from magicpose_cli.motion.detections import Detections, detect_people
from magicpose_cli.motion.driver import Driver
from magicpose_cli.motion.framing import (
    DrawnExtent,
    Extent,
    Framing,
    extent,
    frame,
    frame_both,
    frame_clip,
    frame_figure,
    same_shape,
)
from magicpose_cli.motion.motion import Motion
from magicpose_cli.motion.person_motion import follow_person, retarget_person
from magicpose_cli.pose.clip import PoseClip
from magicpose_cli.pose.keypoints import BODY_JOINTS, Pose
from magicpose_cli.pose.retargeting.missing_parts import names_of
from magicpose_cli.pose.retargeting.retarget import Retargeted
from magicpose_cli.pose.tracking.track import TrackReport
from magicpose_cli.progress import OnProgress, silent

GONE = 1 / 3  # of the joints outside of the picture: the person leaves it, not a raised hand
FrameSize = tuple[int, int]
"""Width, height in pixels."""


def needs_target(driver: Driver, preset: Preset) -> bool:
    """Whether the driver's motion is laid onto the reference's person."""
    if driver.is_face:
        return True
    return driver.kind != "pose-maps" and preset.motion.retarget != "none"


def needs_detections(driver: Driver, preset: Preset) -> bool:
    """Whether people have to be looked for in the driver's frames.

    Ready-drawn maps have none, and a motion file is laid onto the reference in space.
    """
    if driver.is_face:
        return False
    if driver.kind == "motion":
        return preset.motion.retarget not in ("auto", "chain")
    return driver.kind != "pose-maps"


def lacks_person(driver: Driver, preset: Preset, picture: Picture, size: FrameSize) -> bool:
    """Whether the reference's person should be looked for although nothing is laid onto them.

    A window of another shape than the picture has to know where they are.
    """
    whole = (picture.shape[1], picture.shape[0])
    crops = preset.frame.fit == "crop" and not same_shape(whole, size)
    return crops and not needs_target(driver, preset)


def read_motion(
    driver: Driver,
    target: Pose | None,
    picture: Picture,
    size: FrameSize,
    preset: Preset,
    detections: Detections | None = None,
    shown_size: FrameSize | None = None,
    on_progress: OnProgress = silent,
) -> Motion:
    """The driver's motion in the network's frame, moved onto the reference's body.

    Args:
        driver: where the motion comes from. Ready-drawn maps, and with `retarget = "none"` poses,
            keep their place in the driver's own picture.
        target: the person of the reference, where it is known.
        picture: the reference.
        size: (width, height) of the network's frame.
        preset: how the motion is read, laid on and framed.
        detections: what `detect_people` has found; None looks now.
        shown_size: (width, height) of a result that is more than the network's frame.
        on_progress: told of the frames of a motion file, or of those that are looked at here.
    """
    whole = (picture.shape[1], picture.shape[0])
    if driver.kind == "pose-maps":
        return _drawn_motion(driver, target, whole, size, preset)
    settings = preset.motion
    read = _lay_motion_file(driver, target, preset, on_progress)
    if read is None:
        read = _follow(driver, target, settings.without_expression, detections, on_progress)
    read = _with_face_file(read, driver, target, settings)
    moved, tracked, report = read.moved, read.tracked, read.report
    framing, placing = _framings(driver, moved, target, whole, size, preset)
    shown = None
    if shown_size is not None:
        laid = moved.poses if moved.mode != "none" else PoseClip.empty(0, 0)
        shown = _shown(whole, shown_size, preset, framing, target, laid)
    poses = placing.clip(moved.poses)
    result = framing.between(shown) if shown else Framing((0, 0, *size), *size)
    notes = (
        *driver.notes, *read.notes, *moved.notes(),
        *_cut(shown or framing, target), *_leaving(result, poses, read.is_followed),
    )  # fmt: skip
    motion = Motion(
        poses, framing, read.detector, moved.mode, moved.anchor, report, notes, shown=shown
    )
    if shown and driver.kind == "video" and moved.anchor is not None:
        motion.tracked = tracked
    return motion


@dataclass(frozen=True)
class _ReadMotion:
    """One person's motion, laid on.

    Attributes:
        moved: the poses in the reference's picture.
        tracked: the poses in the driver's own, where it has pictures.
        report: how the person was followed.
        detector: that saw the person; "" for a file.
        is_followed: whether the person is kept in place.
        notes: a line each.
    """

    moved: Retargeted
    tracked: PoseClip
    report: TrackReport | None = None
    detector: str = ""
    is_followed: bool = False
    notes: tuple[str, ...] = ()


def _follow(
    driver: Driver,
    target: Pose | None,
    settings: MotionSettings,
    detections: Detections | None,
    on_progress: OnProgress,
) -> _ReadMotion:
    """The person who is followed through a film's frames or those of a pose file."""
    fps = float(driver.rate)
    detections = detections or detect_people(driver, settings, on_progress)
    tracked, report = follow_person(
        detections.people, fps, settings, cleanup=driver.kind == "video"
    )
    moved = retarget_person(tracked, fps, target, settings)
    notes = (*detections.notes, *report.notes())
    is_followed = bool(settings.follow) or moved.is_held
    return _ReadMotion(moved, tracked, report, detections.detector, is_followed, notes)


def _lay_motion_file(
    driver: Driver, target: Pose | None, preset: Preset, on_progress: OnProgress
) -> _ReadMotion | None:
    """The motion of a file on the reference's body; None for other drivers and other ways."""
    if driver.motion is None or target is None or needs_detections(driver, preset):
        return None
    from magicpose_cli.motion.motion_driver import lay_motion

    laid = lay_motion(driver.motion, target, preset.motion, on_progress)
    if laid is None:
        return None
    nobody = PoseClip.empty(0, 0)
    return _ReadMotion(laid.retargeted, nobody, is_followed=laid.is_followed, notes=laid.notes)


def _with_face_file(
    read: _ReadMotion, driver: Driver, target: Pose | None, settings: MotionSettings
) -> _ReadMotion:
    """The same with the curves of a second file, where one is named."""
    if settings.face is None:
        return read
    from magicpose_cli.motion.face_driver import lay_face_file

    moved, notes = lay_face_file(
        read.moved, target, float(driver.rate), settings, is_face=driver.is_face
    )
    return replace(read, moved=moved, notes=(*read.notes, *notes))


def _drawn_motion(
    driver: Driver, target: Pose | None, whole: FrameSize, size: FrameSize, preset: Preset
) -> Motion:
    """Of ready-drawn maps: where they are placed."""
    own, fit = (driver.clip.width, driver.clip.height), preset.frame.fit
    drawn = None if same_shape(own, size) or fit != "crop" else _drawn(driver)
    framing, placing = _in_place(whole, own, size, fit, target, drawn)
    lines = [*driver.notes, *_cut(framing, target)]
    if preset.output.save_poses:
        lines.append("pose maps are pictures, so that there are no poses to save")
    return Motion(PoseClip.empty(*size), framing, notes=tuple(lines), placing=placing)


def _framings(
    driver: Driver,
    moved: Retargeted,
    target: Pose | None,
    whole: FrameSize,
    size: FrameSize,
    preset: Preset,
) -> tuple[Framing, Framing]:
    """Of the reference's picture and of the poses, which differ where these keep their place."""
    frames, own = preset.frame, (driver.clip.width, driver.clip.height)
    if moved.mode == "none":
        return _in_place(whole, own, size, frames.fit, target, extent(moved.poses))
    framing = frame_clip(
        whole, size, frames.fit, target, moved.poses, zoom=frames.paste_back, fade=frames.feather
    )
    return framing, framing


def _in_place(
    whole: FrameSize,
    own: FrameSize,
    size: FrameSize,
    fit: str,
    person: Pose | None,
    held: Extent | None,
) -> tuple[Framing, Framing]:
    """The framings of the reference and of poses that keep their place in pictures of size `own`.

    Two pictures of one shape show the same place: they have one window. person: of the reference.
    held: where the poses are.
    """
    if fit != "crop":
        return frame(whole, size, fit), frame(own, size, fit)
    reference = None if person is None else extent([person])
    if not same_shape(own, whole):
        return frame_both(whole, size, reference, None), frame_figure(own, size, held)
    across, down = whole[0] / own[0], whole[1] / own[1]
    moving = None if held is None else held.scaled(across, down)
    framing = frame_both(whole, size, reference, moving)
    left, top, right, bottom = framing.window
    window = (left / across, top / down, right / across, bottom / down)
    return framing, Framing(window, *size)


def _drawn(driver: Driver) -> Extent | None:
    """Where somebody is drawn in ready-drawn maps; takes a look through all of the film."""
    drawn = DrawnExtent()
    for picture in driver.frames():
        drawn.add(picture)
    return drawn.extent()


def _cut(framing: Framing, person: Pose | None) -> Iterator[str]:
    """A line where the window of a crop leaves out what the reference shows of its person."""
    if person is None:
        return
    inside = Framing((0, 0, person.width, person.height), person.width, person.height)
    cut = inside.shows(person.body) & ~framing.shows(person.body)
    names = names_of({name for name, lost in zip(BODY_JOINTS, cut, strict=True) if lost})
    if names:
        yield (
            f"a frame of {framing.width}x{framing.height} leaves out the reference's "
            f"{', '.join(names)}; --size with one number takes the picture's own shape, --fit pad "
            "shows all of it"
        )


def _leaving(window: Framing, poses: PoseClip, followed: bool) -> Iterator[str]:
    """A line where the person moves out of the picture."""
    body = poses.part("body")
    seen = np.isfinite(body).all(axis=2)
    out = seen & ~window.shows(body)
    count = int((out.sum(axis=1) > GONE * seen.sum(axis=1)).sum())
    if count:
        help = "" if followed else "; --follow keeps them in it"
        yield f"the person leaves the picture in {count} of {len(poses)} frames{help}"


def _shown(
    whole: FrameSize,
    size: FrameSize,
    preset: Preset,
    framing: Framing,
    target: Pose | None,
    poses: PoseClip,
) -> Framing:
    """The part of the reference that a warped result shows.

    All of it, or the window that is pasted back into it, or what another aspect cuts out.
    """
    if preset.frame.paste_back:
        left, top, right, bottom = framing.window
        wide, high = right - left, bottom - top
        scale = min(1.0, min(size) / min(wide, high))
        return Framing(framing.window, max(1, round(scale * wide)), max(1, round(scale * high)))
    if "x" not in str(preset.frame.size) and same_shape(whole, size):
        return frame(whole, size, "stretch")  # of its own aspect but for a rounded pixel
    return frame_clip(whole, size, preset.frame.fit, target, poses)
