"""The inputs of Wan-Animate's generator out of a film and a reference, as a folder of its names."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np

from magicpose_cli.arrays import Picture
from magicpose_cli.config.preset import MotionSettings
from magicpose_cli.errors import InputError, OutputError
from magicpose_cli.files import check_writable, whole_folder
from magicpose_cli.motion.body_motion import is_picture
from magicpose_cli.motion.detections import find_people
from magicpose_cli.motion.driver import Driver, open_driver
from magicpose_cli.motion.extract import Extracted, extract_poses
from magicpose_cli.motion.framing import Framing, frame, frame_clip
from magicpose_cli.motion.person_motion import retarget_person
from magicpose_cli.motion.wan_rules import (
    WAN_AREA,
    WAN_FACE_SIDE,
    WAN_FPS,
    grown_mask,
    wan_face_boxes,
    wan_size,
    wan_sticks,
)
from magicpose_cli.pose.clip import PoseClip
from magicpose_cli.pose.draw import draw
from magicpose_cli.pose.files.read_write import is_pose_file
from magicpose_cli.pose.keypoints import Pose
from magicpose_cli.progress import OnProgress, Progress, silent
from magicpose_cli.video import VideoWriter, read_picture, write_picture
from magicpose_cli.warping.matte import person_mask

WAN_FILE_PATTERN = r"src_(pose|face|mask|bg)\.mp4|src_ref\.png"
REFERENCE_NAME = "src_ref.png"
# x264's quality of each film: what is drawn is kept as it is, as a mask's noise is part of it.
ANIMATION_FILMS = {"src_pose.mp4": 0, "src_face.mp4": 10}
REPLACEMENT_FILMS = {**ANIMATION_FILMS, "src_mask.mp4": 0, "src_bg.mp4": 10}


@dataclass(frozen=True)
class WanInputs:
    """What `write_wan_inputs` wrote.

    Attributes:
        extracted: The film's person, as found.
        files: Names in the folder.
        width: Of the frames, pixels.
        height: Of the frames, pixels.
        notes: What a user should know, a line each.
    """

    extracted: Extracted
    files: tuple[str, ...]
    width: int
    height: int
    notes: tuple[str, ...]


@dataclass(frozen=True)
class _Plan:
    """How the frames are made.

    Attributes:
        reference: The picture of the person as it is written.
        poses: In the frames' pixels.
        film: The framing of the film's frames; None where these are not shown.
        notes: A line each.
    """

    reference: Picture
    poses: PoseClip
    film: Framing | None
    notes: tuple[str, ...] = ()


def write_wan_inputs(
    source: Path,
    reference: Path,
    out: Path,
    motion: MotionSettings,
    *,
    replace_person: bool = False,
    area: tuple[int, int] = WAN_AREA,
    overwrite: bool = False,
    on_progress: OnProgress = silent,
) -> WanInputs:
    """Write a folder that Wan-Animate's `generate.py` takes as its source.

    For animation the poses are put on the reference's person, in the reference's picture. To
    replace the film's person the poses stay in the film, and masks and backgrounds are written.

    Args:
        source: A film, a GIF or a folder of pictures.
        reference: A picture of the person who is to move.
        out: A folder.
        motion: What is read and whom to follow; its rate is 30 frames a second unless it says so.
        replace_person: Write the inputs that replace the film's person.
        area: A width and a height whose product is the most pixels of a frame.
        overwrite: Replace the files of a former run.
        on_progress: Is told of the stages "poses" and "maps".

    Raises:
        InputError: For what cannot be read.
        DetectionError: Where nobody is found.
        ConfigError: The area is too small.
        OutputError: Where the folder cannot be written.
    """
    _check_wan_inputs(source, reference, out, overwrite)
    if motion.fps is None:
        motion = motion.model_copy(update={"fps": WAN_FPS})
    picture, driver = read_picture(reference), open_driver(source, motion)
    size = _frame_size(picture, driver, replace_person, area)
    target = None
    if not replace_person and motion.retarget != "none":
        target = find_people(reference, picture, motion.detector)[0]
    found = extract_poses(source, None, motion, follow=True, on_progress=on_progress)
    person = found.clip.largest
    if target is not None:
        plan = _laid_on(picture, target, person, float(driver.rate), motion, size)
    else:
        plan = _in_the_film(picture, person, size, replace_person)
    films = REPLACEMENT_FILMS if replace_person else ANIMATION_FILMS
    with whole_folder(out, overwrite, WAN_FILE_PATTERN) as folder:
        write_picture(folder / REFERENCE_NAME, plan.reference)
        _write_films(folder, films, driver, person, plan, on_progress)
    notes = (*plan.notes, *_face_notes(person))
    return WanInputs(found, (*films, REFERENCE_NAME), *size, notes)


def _check_wan_inputs(source: Path, reference: Path, out: Path, overwrite: bool) -> None:
    """Refuse what can be refused before the work."""
    if is_pose_file(source) or is_picture(source):
        raise InputError(
            f"{source}: Wan-Animate needs the person's face in motion; expected a film or a "
            "folder of pictures"
        )
    if is_pose_file(reference):
        raise InputError(f"{reference}: Wan-Animate shows the person; expected a picture of them")
    if out.suffix:
        raise OutputError(
            f"{out}: Wan-Animate's inputs are several files; expected the name of a folder, "
            "without a suffix"
        )
    check_writable(out, overwrite, WAN_FILE_PATTERN)


def _frame_size(
    picture: Picture, driver: Driver, replace_person: bool, area: tuple[int, int]
) -> tuple[int, int]:
    """(width, height) of the frames, in the shape of what they show the background of."""
    if replace_person:
        return wan_size(driver.clip.width, driver.clip.height, area)
    return wan_size(picture.shape[1], picture.shape[0], area)


def _laid_on(
    picture: Picture,
    target: Pose,
    person: PoseClip,
    fps: float,
    motion: MotionSettings,
    size: tuple[int, int],
) -> _Plan:
    """The motion on the reference's person, in a crop of the reference's picture."""
    moved = retarget_person(person, fps, target, motion)
    whole = (picture.shape[1], picture.shape[0])
    framing = frame_clip(whole, size, "crop", target, moved.poses)
    return _Plan(framing.picture(picture), framing.clip(moved.poses), None, tuple(moved.notes()))


def _in_the_film(
    picture: Picture, person: PoseClip, size: tuple[int, int], replace_person: bool
) -> _Plan:
    """The motion where the film has it; the generator itself fits the reference into the frame."""
    whole = (person.width, person.height)
    if replace_person:
        framing = frame(whole, size, "crop")
        return _Plan(picture, framing.clip(person), framing)
    framing = frame((picture.shape[1], picture.shape[0]), size, "crop")
    return _Plan(framing.picture(picture), frame(whole, size, "pad").clip(person), None)


def _write_films(
    folder: Path,
    films: Mapping[str, int],
    driver: Driver,
    person: PoseClip,
    plan: _Plan,
    on_progress: OnProgress,
) -> None:
    """Write all films in one pass over the driver's frames."""
    sticks = wan_sticks(plan.poses.width, plan.poses.height)
    with ExitStack() as stack:
        pose_film, face_film, *replacing = (
            stack.enter_context(
                VideoWriter(folder / name, driver.rate, crf=crf, keeps_partial=False)
            )
            for name, crf in films.items()
        )
        frames = zip(driver.frames(), plan.poses, wan_face_boxes(person), strict=True)
        for number, (picture, pose, box) in enumerate(frames):
            pose_film.write(draw(pose, sizes=sticks))
            face_film.write(_face(picture, box))
            if replacing and plan.film is not None:
                shown = plan.film.picture(picture)
                mask = grown_mask(person_mask(shown, pose))
                replacing[0].write(np.repeat(mask[..., None].astype(np.uint8) * 255, 3, axis=2))
                replacing[1].write(np.where(mask[..., None], 0, shown).astype(np.uint8))
            on_progress(Progress("maps", number + 1, len(person)))


def _face(picture: Picture, box: tuple[slice, slice] | None) -> Picture:
    """The face in a square, stretched as the generator's own preprocessing does; black for None."""
    side = (WAN_FACE_SIDE, WAN_FACE_SIDE)
    if box is None:
        return np.zeros((*side, 3), np.uint8)
    return np.asarray(cv2.resize(picture[box], side, interpolation=cv2.INTER_LINEAR), np.uint8)


def _face_notes(person: PoseClip) -> Iterator[str]:
    unseen = int((~np.isfinite(person.part("face")).any(axis=(1, 2))).sum())
    if unseen == len(person):
        yield "the film shows no face: src_face.mp4 is black"
    elif unseen:
        yield (
            f"no face is seen in {unseen} of {len(person)} frames: src_face.mp4 shows the place "
            "between those around"
        )
