"""`magicpose motion`"""

from __future__ import annotations

from dataclasses import asdict, replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from magicpose_cli.cli.events import tell
from magicpose_cli.cli.options import (
    OverwriteFiles,
    Silent,
    SummaryEvents,
    Typed,
    option,
    setting_options,
)
from magicpose_cli.cli.say import say
from magicpose_cli.config.preset import MOTION
from magicpose_cli.config.preset import OUTPUT as OUT

if TYPE_CHECKING:
    from magicpose_cli.body.fitted_motion import FitSummary
    from magicpose_cli.body.motion_conversion import ConvertedMotion, MotionEdits
    from magicpose_cli.config.preset import MotionSettings
    from magicpose_cli.motion.filmed_face import FaceFitSummary
    from magicpose_cli.progress import OnProgress

MotionSource = Annotated[Path, typer.Argument(metavar="IN", show_default=False,
    help="A film, a folder of pictures, a picture or a pose file (.json, .npz, .npy), to whose "
    "person a body (with -o .csv a face) is fitted; or a file of motion in space: .bvh (CMU, "
    "LaFAN1, Mixamo, Rokoko, MocapNET and others), .glb, .vrma, .npz (magicpose's own or "
    "AMASS's), or face curves: .csv (Live Link Face).")]  # fmt: skip
MotionOutput = Annotated[Path | None, option("--out", "-o", panel=OUT, metavar="OUT",
    help="File to write: .bvh, .glb (VRM's bones), .npz (exact), .csv (Live Link Face) or "
    ".arkit.csv (seconds and curves); without it the motion is summarized alone.")]  # fmt: skip
Mirror = Annotated[bool, option("--mirror", panel=MOTION, help="Exchange left and right.")]
Blend = Annotated[str | None, option("--blend", panel=MOTION, metavar="FILE[:SECONDS]",
    help="Go over into another motion at the end, within so many seconds (0.5).")]  # fmt: skip
OntoHumanoid = Annotated[bool, option("--humanoid", panel=MOTION,
    help="Put it on the bones of VRM's humanoid, in a T-pose at rest (.glb: always).")]  # fmt: skip
CreatureName = Annotated[str | None, option("--onto", panel=MOTION, metavar="CREATURE",
    help="Put it on another kind of body: dog, bird, puppet, or a TOML file.")]  # fmt: skip
OF_FILMS = {
    "motion__detector": "--detector", "motion__canvas": "--canvas", "motion__every": "--every",
    "motion__person": "--person", "motion__max_gap_s": "--max-gap",
}  # fmt: skip
NOT_OF_BODIES = ("driver_kind", "camera", "follow", "retarget", "anchor", "expression", "head",
                 "gaze", "face")  # fmt: skip


@setting_options("motion", without=[f"motion.{name}" for name in NOT_OF_BODIES])
def command(
    source: MotionSource,
    out: MotionOutput = None,
    plot: Annotated[Path | None, option("--plot", panel=OUT, metavar="PNG",
        help="Draw the body, angles of the joints, contacts of the feet and speed.")] = None,
    overlay: Annotated[Path | None, option("--overlay", panel=OUT, metavar="VIDEO",
        help="Draw the fitted body over the frames of a film: left green, right orange.")] = None,
    mirror: Mirror = False,
    speed: Annotated[float | None, option("--speed", panel=MOTION, metavar="FACTOR",
        help="So many times as fast.")] = None,
    blend: Blend = None,
    humanoid: OntoHumanoid = False,
    onto: CreatureName = None,
    loop: Annotated[bool, option("--loop", panel=MOTION,
        help="Let the end go over into the start, in place.")] = False,
    *,
    typed: Typed,
    overwrite: OverwriteFiles = False,
    as_json: SummaryEvents = False,
    quiet: Silent = False,
) -> None:  # fmt: skip
    """Find a person's motion in space, convert, change, summarize and draw it.

    Examples:
    * `magicpose motion dance.mp4 -o dance.bvh --overlay dance_body.mp4`
    * `magicpose motion dance.mp4 -o dance.glb --end 10`
    * `magicpose motion talking.mp4 -o talk.csv`
    * `magicpose motion walk.bvh --plot walk.png`
    * `magicpose motion walk.bvh -o walk.glb`
    * `magicpose motion walk.bvh --onto dog -o dog.glb`
    * `magicpose motion walk.bvh -o loop.bvh --start 0.5 --loop --fps 30`
    """
    from magicpose_cli.body.motion_conversion import MotionEdits, convert_motion
    from magicpose_cli.body.motion_files.files import is_motion_file
    from magicpose_cli.config.preset import Preset

    edits = MotionEdits(
        mirror=mirror, speed=speed, blend=_blend_of(blend), humanoid=humanoid, loop=loop,
        onto=onto,
    )  # fmt: skip
    fit: FitSummary | FaceFitSummary | None = None
    if is_motion_file(source):
        _check_no_film(source, typed, overlay)
        part = {key.removeprefix("motion__"): value for key, value in typed.items()}
        result = convert_motion(
            source, out, replace(edits, **part), plot_to=plot, overwrite=overwrite
        )
    else:
        from magicpose_cli.cli.progress_bars import shown

        settings = Preset().with_options(**typed).motion
        with shown(quiet, as_json) as on_progress:
            result, fit = _of_film(
                source, out, settings, edits, plot=plot, overlay=overlay, overwrite=overwrite,
                on_progress=on_progress,
            )  # fmt: skip
    if as_json:
        _print_json(source, out, result, fit)
    elif not quiet:
        _print(source, out, result, fit)


def _check_no_film(source: Path, typed: Typed, overlay: Path | None) -> None:
    """Refuse what only a film has."""
    if wrong := [name for key, name in OF_FILMS.items() if key in typed]:
        raise typer.BadParameter(f"{source} is a file of motion; leave out {', '.join(wrong)}")
    if overlay is not None:
        raise typer.BadParameter(f"{source} has no pictures to draw over; leave out --overlay")


def _of_film(
    source: Path,
    out: Path | None,
    settings: MotionSettings,
    edits: MotionEdits,
    *,
    plot: Path | None,
    overlay: Path | None,
    overwrite: bool,
    on_progress: OnProgress,
) -> tuple[ConvertedMotion, FitSummary | FaceFitSummary]:
    """A film's face where curves are written, else its body."""
    if out is not None and out.suffix.lower() == ".csv":
        from magicpose_cli.motion.filmed_face import convert_film_face

        if overlay is not None:
            raise typer.BadParameter(f"{out} holds a face and no body; leave out --overlay")
        face = convert_film_face(
            source, out, settings, edits, plot_to=plot, overwrite=overwrite,
            on_progress=on_progress,
        )  # fmt: skip
        return face.converted, face.fit
    from magicpose_cli.motion.body_motion import convert_film

    body = convert_film(
        source, out, settings, edits, overlay_to=overlay, plot_to=plot, overwrite=overwrite,
        on_progress=on_progress,
    )  # fmt: skip
    return body.converted, body.fit


def _blend_of(text: str | None) -> tuple[Path, float] | None:
    """A file and seconds; a name may hold colons itself."""
    from magicpose_cli.body.motion_conversion import DEFAULT_BLEND_S

    if text is None:
        return None
    name, colon, seconds = text.rpartition(":")
    try:
        length = float(seconds) if colon else 0.0
    except ValueError:
        colon, length = "", 0.0
    if not colon:
        return Path(text), DEFAULT_BLEND_S
    if not 0 < length < 3600:
        raise typer.BadParameter(f"--blend {text}: expected FILE:SECONDS with seconds above 0")
    return Path(name), length


def _print_json(
    source: Path,
    out: Path | None,
    result: ConvertedMotion,
    fit: FitSummary | FaceFitSummary | None,
) -> None:
    told = {"input": str(source), "output": str(out) if out else None, **asdict(result.summary)}
    tell("result", **told, fit=asdict(fit) if fit else None, notes=result.notes)


def _print(
    source: Path,
    out: Path | None,
    result: ConvertedMotion,
    fit: FitSummary | FaceFitSummary | None,
) -> None:
    """The table on stdout; where the file is and what was assumed on stderr."""
    from rich import box
    from rich.console import Console
    from rich.table import Table

    from magicpose_cli.body.fitted_motion import FitSummary
    from magicpose_cli.body.motion_files.face_csv import FACE_JOINTS

    told = result.summary
    table = Table(box=box.SIMPLE_HEAD, padding=(0, 1, 0, 0), show_header=False)
    person = f", {told.bones} of them known as a person's" if told.bones else ", no person's"
    table.add_row("joints", f"{told.joints}{person}")
    if told.bones:
        table.add_row("height to the head", f"{told.height_m:.2f} m")
    if fit is not None:
        table.add_row("reprojection error", f"{fit.reprojection_px:.1f} px")
    if isinstance(fit, FitSummary):
        table.add_row("height, standing", f"{fit.height_m:.2f} m")
        table.add_row("bones' lengths vary by", f"{fit.bone_length_spread_mm:.2f} mm")
        if fit.foot_skate_m_s is not None:
            table.add_row("standing feet slide", f"{fit.foot_skate_m_s:.2f} m/s")
    if told.joints > len(FACE_JOINTS):
        table.add_row("way of the root", f"{told.traveled_m:.2f} m")
        table.add_row("speed", f"{told.speed[0]:.2f} m/s, at most {told.speed[1]:.2f}")
    for side, share in told.contact.items():
        table.add_row(f"{side} foot stands", f"{100 * share:.0f} % of the time")
    if told.curves:
        table.add_row("face curves", str(told.curves))
    Console().print(table)
    for note in result.notes:
        say(f"note: {note}")
    say(f"{out or source}: {told.frames} frames at {told.fps:.6g} fps, {told.seconds:.2f} s")
