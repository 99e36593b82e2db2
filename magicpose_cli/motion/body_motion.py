"""The motion of a body in space, out of a film, a picture or a pose file."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from fractions import Fraction
from pathlib import Path

from magicpose_cli.arrays import Picture, Scores
from magicpose_cli.body.detector_joints import joint_offsets
from magicpose_cli.body.fit import FittedClip, fit_clip
from magicpose_cli.body.fit_level import found_tilt_deg, turned_level
from magicpose_cli.body.fit_overlay import fit_overlay
from magicpose_cli.body.fitted_mesh import humanoid_mesh
from magicpose_cli.body.fitted_motion import FitSummary, fitted_motion, summarize_fit
from magicpose_cli.body.model import Body
from magicpose_cli.body.motion_conversion import (
    ConvertedMotion,
    MotionEdits,
    check_outputs,
    write_edited,
)
from magicpose_cli.body.motion_files.glb_writer import SkinnedMesh
from magicpose_cli.body.skeletal_motion import SkeletalMotion
from magicpose_cli.config.preset import MotionSettings
from magicpose_cli.errors import InputError, OutputError
from magicpose_cli.files import check_writable
from magicpose_cli.pose.clip import PoseClip
from magicpose_cli.pose.files.read_write import is_pose_file
from magicpose_cli.pose.keypoints import BODY_JOINTS
from magicpose_cli.progress import OnProgress, Progress, silent
from magicpose_cli.video import VideoWriter, check_output, read_picture, write_picture
from magicpose_cli.video.picture import PICTURE_SUFFIXES, WRITTEN_SUFFIXES, open_picture

FITTED_LAYERS = ("skin", "eyes", "tights")  # MakeHuman's tights, as a suit
LEG_JOINTS = [BODY_JOINTS.index(f"{side}_{joint}") for side in ("left", "right")
        for joint in ("knee", "ankle")]  # fmt: skip
ANKLE_COLUMNS = [BODY_JOINTS.index(f"{side}_ankle") for side in ("left", "right")]
HARDLY_SEEN = 0.25  # of the legs' joints in all frames


@dataclass(frozen=True, eq=False)
class FittedPerson:
    """One person of a film, as a body that moves.

    Attributes:
        body: The parametric body.
        fitted: Its shape and its motion before the film's camera.
        motion: The same on the ground, as it is written.
        summary: How well the body fits.
        rate: Frames a second, exact.
    """

    body: Body
    fitted: FittedClip
    motion: SkeletalMotion
    summary: FitSummary
    rate: Fraction


@dataclass(frozen=True)
class FilmedMotion:
    """What `convert_film` wrote: the motion, and how well the body fits the film."""

    converted: ConvertedMotion
    fit: FitSummary


def convert_film(
    source: Path,
    out: Path | None,
    settings: MotionSettings,
    edits: MotionEdits,
    *,
    overlay_to: Path | None = None,
    plot_to: Path | None = None,
    overwrite: bool = False,
    on_progress: OnProgress = silent,
) -> FilmedMotion:
    """Fit a body to the person of a film, change its motion, write and draw it.

    Args:
        source: A film, a folder of pictures, a picture, or a pose file.
        out: A motion file that holds a body; None writes none.
        settings: Which part and which person, and how they are found and followed.
        edits: What is changed afterward.
        overlay_to: A video (of a picture, a picture) of the body over the frames.
        plot_to: A PNG of the motion.
        overwrite: Replace files.
        on_progress: Is told of the stages "poses", "fit" and "overlay".

    Raises:
        InputError: For what cannot be read, or an overlay over poses that have no pictures.
        DetectionError: Where nobody is found.
        ConfigError: For edits out of range.
        OutputError: Where a file cannot be written.
    """
    _check_film_outputs(source, out, overlay_to, overwrite)
    check_outputs(out, plot_to, overwrite)
    person = fit_person(source, settings, on_progress)

    def skin() -> SkinnedMesh:
        return humanoid_mesh(person.body, person.fitted.shape, person.motion)

    converted = write_edited(
        person.motion, out, edits,
        title=(out or source).name, skin=skin, plot_to=plot_to, overwrite=overwrite,
    )  # fmt: skip
    if overlay_to is not None:
        write_fit_overlay(overlay_to, source, settings, person, overwrite, on_progress)
    return FilmedMotion(converted, person.summary)


def fit_person(
    source: Path, settings: MotionSettings, on_progress: OnProgress = silent
) -> FittedPerson:
    """Fit a body to the one person that is followed through a film or a pose file.

    Raises:
        InputError: For what cannot be read, or where no frame shows four points of a body.
        DetectionError: Where nobody is found.
    """
    poses, rate, notes = poses_of_person(source, settings, on_progress)
    person = fit_followed(poses, rate, source, on_progress)
    notes += _guesses(person.summary, poses.scores, poses.body_3d is not None)
    return replace(person, motion=replace(person.motion, notes=tuple(notes)))


def fit_followed(
    poses: PoseClip, rate: Fraction, source: Path, on_progress: OnProgress = silent
) -> FittedPerson:
    """Fit a body to the poses of one person, and find how far the camera is tilted.

    Raises:
        InputError: Where no frame shows four points of a body; it names the source.
    """
    body = Body.load(FITTED_LAYERS)
    fitted = fit_poses(body, poses, rate, source, on_progress)
    tilt_deg = found_tilt_deg(body, fitted, (poses.scores[:, ANKLE_COLUMNS] > 0).all(axis=1))
    motion = fitted_motion(body, turned_level(body, fitted, tilt_deg), rate)
    summary = summarize_fit(body, fitted, motion, tilt_deg)
    return FittedPerson(body, fitted, motion, summary, rate)


def fit_poses(
    body: Body,
    poses: PoseClip,
    rate: Fraction,
    source: Path,
    on_progress: OnProgress = silent,
) -> FittedClip:
    """Fit a body to one person's poses.

    Raises:
        InputError: Where no frame shows four points of a body; it names the source.
    """
    try:
        return fit_clip(
            body, poses.points, poses.scores, poses.width, poses.height,
            fps=float(rate), points_3d=poses.body_3d,
            offsets_m=joint_offsets(poses.body_3d), on_progress=on_progress,
        )  # fmt: skip
    except InputError as error:
        raise InputError(f"{source}: {error}") from error


def poses_of_person(
    source: Path, settings: MotionSettings, on_progress: OnProgress = silent
) -> tuple[PoseClip, Fraction, list[str]]:
    """Find the poses of the one person that is followed, their exact rate, and notes.

    Raises:
        InputError: For what cannot be read.
        DetectionError: Where nobody is found.
    """
    from magicpose_cli.motion.driver import rate_of
    from magicpose_cli.motion.extract import extract_poses

    found = extract_poses(source, None, settings, follow=True, on_progress=on_progress)
    return found.clip.largest, rate_of(found.clip.fps), list(found.notes)


def _pictures_of(source: Path, settings: MotionSettings) -> Iterator[Picture]:
    """The frames that the poses are of."""
    from magicpose_cli.motion.driver import open_driver

    if is_picture(source):
        yield read_picture(source)
    else:
        yield from open_driver(source, settings).frames()


def _guesses(summary: FitSummary, scores: Scores, in_space: bool) -> list[str]:
    """What a picture does not tell and was guessed, a sentence each."""
    notes = [
        f"the focal length is guessed ({summary.focal_px:.0f} px); the camera is taken for one at "
        f"rest that looks {abs(summary.tilt_deg):.0f} degrees "
        f"{'down' if summary.tilt_deg >= 0 else 'up'}, by how the person stands",
        f"the person's size is guessed from the proportions: {summary.height_m:.2f} m",
    ]
    if not in_space:
        notes.append("the poses tell no depth: it is guessed from their points in the picture")
    if (scores[:, LEG_JOINTS] > 0).mean() < HARDLY_SEEN:
        notes.append("the legs are hardly seen: they are held near the rest pose")
    if summary.unseen:
        notes.append(f"nobody is seen in {summary.unseen} of {len(scores)} frames: these are held")
    return notes


def is_picture(path: Path) -> bool:
    """True for a picture that stands alone, whose overlay is a picture as well."""
    if path.suffix.lower() not in PICTURE_SUFFIXES or not path.is_file():
        return False
    try:
        with open_picture(path) as picture:
            return getattr(picture, "n_frames", 1) == 1
    except (OSError, SyntaxError, ValueError):
        return False  # whoever reads it says what is wrong


def _check_film_outputs(
    source: Path, out: Path | None, overlay_to: Path | None, overwrite: bool
) -> None:
    if out is not None and out.suffix.lower() == ".csv":
        raise OutputError(
            f"{out}: .csv holds curves of a face, and from {source.name} a body is found; choose "
            ".bvh, .glb or .npz"
        )
    if overlay_to is None:
        return
    if is_pose_file(source):
        raise InputError(f"{source}: a pose file has no pictures to draw over; leave out --overlay")
    if not is_picture(source):
        check_output(overlay_to, overwrite)
        return
    if overlay_to.suffix.lower() not in WRITTEN_SUFFIXES:
        raise InputError(
            f"{overlay_to}: over a picture a picture is drawn; expected a name with "
            f"{', '.join(WRITTEN_SUFFIXES)}"
        )
    check_writable(overlay_to, overwrite)


def write_fit_overlay(
    overlay_to: Path,
    source: Path,
    settings: MotionSettings,
    person: FittedPerson,
    overwrite: bool = False,
    on_progress: OnProgress = silent,
) -> None:
    """Draw the fitted body over the frames of its film. Raises OutputError."""
    pictures = _pictures_of(source, settings)
    if is_picture(source):
        drawn = fit_overlay(person.body, person.fitted, 0, next(pictures))
        write_picture(overlay_to, drawn, overwrite)
        return
    total = len(person.motion)
    with VideoWriter(overlay_to, person.rate, quick=True, overwrite=overwrite) as writer:
        for number, picture in zip(range(total), pictures, strict=True):
            writer.write(fit_overlay(person.body, person.fitted, number, picture))
            on_progress(Progress("overlay", writer.frame_count, total))
