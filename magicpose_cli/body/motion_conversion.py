"""From one motion to a file of another kind, changed on the way: what `magicpose motion` does."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from fractions import Fraction
from functools import partial
from pathlib import Path

from magicpose_cli.body.chain_retargeting import retarget_chain
from magicpose_cli.body.creature_mesh import creature_mesh
from magicpose_cli.body.creature_transfer import creature_motion
from magicpose_cli.body.creatures import load_creature
from magicpose_cli.body.humanoid import humanoid, humanoid_of_person
from magicpose_cli.body.humanoid_names import humanoid_joints
from magicpose_cli.body.motion_editing import (
    blended_motions,
    cut_motion,
    looped_motion,
    mirrored_motion,
    resampled_motion,
    smoothed_motion,
    sped_motion,
)
from magicpose_cli.body.motion_files.files import (
    check_motion_output,
    lost_in,
    read_motion_file,
    write_motion_file,
)
from magicpose_cli.body.motion_files.glb_writer import SkinnedMesh, write_glb
from magicpose_cli.body.motion_plot import check_motion_plot, write_motion_plot
from magicpose_cli.body.motion_summary import MotionSummary, summarize_motion
from magicpose_cli.body.skeletal_motion import SkeletalMotion
from magicpose_cli.errors import ConfigError

DEFAULT_BLEND_S = 0.5


@dataclass(frozen=True)
class MotionEdits:
    """What is done to a motion, in this order.

    start_s, end_s: the part to take, in seconds of the input.
    mirror: exchange left and right.
    speed: how many times as fast.
    blend: another motion file to go over into at the end, and the seconds it takes.
    humanoid: put it on VRM's bones in a T-pose.
    smooth: take out jitter; 0 none, 1 usual.
    loop: let the end go over into the start.
    fps: another frame rate; time is kept.
    onto: a creature to put it on: the name of one that ships, or a TOML file.
    """

    start_s: float | None = None
    end_s: float | None = None
    mirror: bool = False
    speed: float | None = None
    blend: tuple[Path, float] | None = None
    humanoid: bool = False
    smooth: float | None = None
    loop: bool = False
    fps: float | None = None
    onto: str | None = None


@dataclass(frozen=True)
class ConvertedMotion:
    """The motion as it was written, its figures, and what was assumed and lost."""

    motion: SkeletalMotion
    summary: MotionSummary
    notes: tuple[str, ...]


def convert_motion(
    source: Path,
    out: Path | None,
    edits: MotionEdits,
    *,
    plot_to: Path | None = None,
    overwrite: bool = False,
) -> ConvertedMotion:
    """Read a motion, change it, write and draw it.

    Args:
        source: a file of any kind that read_motion_file knows.
        out: where to write it; None: nowhere.
        edits: what to change.
        plot_to: a PNG to draw it to.
        overwrite: replace files.

    Errors: InputError, OutputError and ConfigError of one line, before anything is written.
    """
    check_outputs(out, plot_to, overwrite)
    return write_edited(
        read_motion_file(source), out, edits,
        title=(out or source).name, plot_to=plot_to, overwrite=overwrite,
    )  # fmt: skip


def check_outputs(out: Path | None, plot_to: Path | None, overwrite: bool) -> None:
    """Raise OutputError where a file could not be written, before any work."""
    if out is not None:
        check_motion_output(out, overwrite)
    if plot_to is not None:
        check_motion_plot(plot_to, overwrite)


def write_edited(
    motion: SkeletalMotion,
    out: Path | None,
    edits: MotionEdits,
    *,
    title: str,
    skin: Callable[[], SkinnedMesh] | None = None,
    plot_to: Path | None = None,
    overwrite: bool = False,
) -> ConvertedMotion:
    """Change a motion, write and draw it.

    Args:
        motion: As it was read or found.
        out: Where to write it; None: nowhere.
        edits: What to change.
        title: Of the plot.
        skin: Makes the mesh that a .glb gets, on VRM's bones in a T-pose.
        plot_to: A PNG to draw it to.
        overwrite: Replace files.

    Raises:
        InputError: Where an edit does not fit the motion, or a second motion cannot be read.
        ConfigError: For edits out of range.
        OutputError: Where a file cannot be written.
    """
    creature = load_creature(edits.onto) if edits.onto is not None else None
    motion = edited_motion(motion, edits)
    is_glb = out is not None and out.suffix.lower() == ".glb"
    if creature is not None:
        motion = creature_motion(motion, creature)
        skin = partial(creature_mesh, creature, motion)
    elif is_glb and not edits.humanoid:
        motion = humanoid_of_person(motion)
    notes: Sequence[str] = motion.notes
    if out is not None:
        notes = (*notes, *lost_in(out, motion))
        if is_glb and skin is not None:
            write_glb(out, motion, skin(), overwrite=overwrite)
        else:
            write_motion_file(out, motion, overwrite=overwrite)
    if plot_to is not None:
        write_motion_plot(plot_to, motion, title, overwrite=overwrite)
    return ConvertedMotion(motion, summarize_motion(motion), tuple(notes))


def edited_motion(motion: SkeletalMotion, edits: MotionEdits) -> SkeletalMotion:
    """The motion with all edits but `onto`. Errors: ConfigError and InputError."""
    if edits.start_s is not None or edits.end_s is not None:
        motion = cut_motion(motion, edits.start_s or 0.0, edits.end_s)
    if edits.mirror:
        motion = mirrored_motion(motion)
    if edits.speed is not None:
        motion = sped_motion(motion, edits.speed)
    if edits.humanoid:
        motion = humanoid(motion)
    if edits.blend is not None:
        motion = _blended(motion, *edits.blend)
    if edits.smooth is not None:
        motion = smoothed_motion(motion, edits.smooth)
    if edits.loop:
        motion = looped_motion(motion)
    if edits.fps is not None:
        whole = edits.fps == int(edits.fps) if edits.fps < 1e6 else False
        motion = resampled_motion(motion, Fraction(int(edits.fps)) if whole else edits.fps)
    return motion


def _blended(motion: SkeletalMotion, path: Path, seconds: float) -> SkeletalMotion:
    """Over into the motion of a file; of another skeleton's, if both are people, on this one's."""
    following = read_motion_file(path)
    if following.names != motion.names:
        people = [humanoid_joints(one.names, one.parents) for one in (motion, following)]
        if not all(people):
            raise ConfigError(
                f"--blend {path}: has other joints; expected the same ones, or two people"
            )
        motion = humanoid(motion)
        following = retarget_chain(following, motion.names, motion.parents, motion.rest_offsets_m)
    return blended_motions(motion, following, seconds)
