"""The command `magicpose poses`."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from magicpose_cli.cli.events import tell
from magicpose_cli.cli.options import Typed, option, setting_options
from magicpose_cli.cli.say import say
from magicpose_cli.config.preset import MOTION
from magicpose_cli.config.preset import OUTPUT as OUT

if TYPE_CHECKING:
    from magicpose_cli.motion.extract import Extracted
    from magicpose_cli.pose.summary import PartSummary, Summary


@setting_options("motion", without=["motion.driver_kind"])
def command(
    source: Annotated[Path, typer.Argument(metavar="INPUT", show_default=False,
        help="A video, an animated GIF, a folder of pictures, a single picture, a pose file "
        "(.json, .npz, .npy; of OpenPose, DWPose, COCO, AlphaPose, MMPose, MediaPipe), a folder of "
        "those, one a frame, or a motion in space (.bvh, .glb, .vrma, .npz).")],
    out: Annotated[Path | None, option("--out", "-o", panel=OUT, metavar="OUT",
        help="Pose file: .json, .npz (compact, exact), .npy or .dwpose.npz (DWPose's arrays), or "
        "a name without suffix for a folder of OpenPose's files (default: INPUT.poses.json; of a "
        "pose file none is written).")] = None,
    plot: Annotated[Path | None, option("--plot", panel=OUT, metavar="PNG",
        help="Draw what is seen when, how the joints move and where the gaps are.")] = None,
    overlay: Annotated[Path | None, option("--overlay", panel=OUT, metavar="VIDEO",
        help="Draw the poses over the frames; over the reference with --retarget-to.")] = None,
    tracked: Annotated[bool | None, option("--track/--raw", panel=MOTION,
        help="Follow one person, mend and smooth; or take everybody as found (default: films are "
        "tracked, pictures and pose files taken as they are; of these, the options below follow "
        "one person without mending).")] = None,
    retarget_to: Annotated[Path | None, option("--retarget-to", panel=MOTION, metavar="REF",
        help="Put the motion on the person of this picture or pose file.")] = None,
    *,
    typed: Typed,
    overwrite: Annotated[bool, option("--overwrite", "-y", panel=OUT,
        help="Replace files.")] = False,
    as_json: Annotated[bool, option("--json", panel=OUT,
        help="Events on stdout, one JSON object a line; the last is the summary.")] = False,
    quiet: Annotated[bool, option("--quiet", "-q", panel=OUT,
        help="No progress and no summary.")] = False,
) -> None:  # fmt: skip
    """Find, convert, summarize, draw and retarget poses.

    `animate` takes what is written as its DRIVER, and so do ControlNet tools.

    Examples:
    * `magicpose poses dance.mp4 -o dance.json --overlay dance_poses.mp4`
    * `magicpose poses dance.json --plot dance.png`
    * `magicpose poses dance.json -o dance.npz`
    * `magicpose poses dance.json --retarget-to me.png -o mine.json`
    """
    from magicpose_cli.cli.progress_bars import shown
    from magicpose_cli.config.preset import Preset
    from magicpose_cli.files import name_that_fits
    from magicpose_cli.motion.extract import extract_poses
    from magicpose_cli.pose.files.read_write import is_pose_file

    asks = {f"motion__{name}" for name in ("person", "smooth", "max_gap_s")} & typed.keys()
    if tracked is False and asks:
        raise typer.BadParameter("--raw follows nobody; leave out --person, --smooth, --max-gap")
    onto = {f"motion__{name}" for name in ("retarget", "anchor", "expression", "head", "follow")}
    if retarget_to is None and onto & typed.keys():
        raise typer.BadParameter("say with --retarget-to whom the motion is put on")
    settings = Preset().with_options(**typed)
    if out is None and not is_pose_file(source):
        out = Path(name_that_fits("{}.poses.json".format, source.absolute().stem))
    with shown(quiet, as_json) as on_progress:
        result = extract_poses(
            source, out, settings.motion, follow=True if asks else tracked,
            cleanup=True if tracked else None, retarget_to=retarget_to,
            overlay_to=overlay, plot_to=plot, overwrite=overwrite, on_progress=on_progress,
        )  # fmt: skip
    if as_json:
        _print_json(source, out, result)
    elif not quiet:
        _print(source, out, result)


def _print_json(source: Path, out: Path | None, result: Extracted) -> None:
    from dataclasses import asdict

    moved = result.retargeted
    told = {
        "input": str(source),
        "output": str(out) if out else None,
        **asdict(result.summary),
        "tracked": asdict(result.tracked) if result.tracked else None,
        "retargeted": moved
        and {name: getattr(moved, name) for name in ("mode", "anchor", "dropped", "held")},
        "notes": result.notes,
    }
    tell("result", **told)


def _print(source: Path, out: Path | None, result: Extracted) -> None:
    """The table on stdout; where the file is and what was assumed on stderr."""
    from rich import box
    from rich.console import Console
    from rich.table import Table

    told = result.summary
    table = Table(box=box.SIMPLE_HEAD, padding=(0, 1, 0, 0), title_justify="left")
    mended = ("mended", "held") if result.tracked else ()
    for head in ("", "seen", *mended, "jitter", "gaps", "longest"):
        table.add_column(head, justify="left" if not head else "right", no_wrap=True)

    def lasting(frames: int) -> str:
        if not frames:
            return "–"
        return f"{frames / told.fps:.2f} s" if told.fps else f"{frames} frames"

    def shares(row: Summary | PartSummary) -> list[str]:
        return [f"{100 * getattr(row, name):.1f} %" for name in ("seen", *mended)]

    table.add_row("person", *shares(told), "", str(told.gaps), lasting(told.longest_gap))
    for name, part in told.parts.items():
        jitter = "–" if part.jitter is None else f"{part.jitter:.2f} %"
        table.add_row(
            name.replace("_", " "), *shares(part), jitter, str(part.gaps),
            lasting(part.longest_gap),
        )  # fmt: skip
    Console().print(table)
    for note in result.notes:
        say(f"note: {note}")
    length = f"{told.frames} frames" + (f" at {told.fps:g} fps" if told.fps else "")
    people = f", up to {told.people_most} people" if told.people_most > 1 else ""
    found = round(told.seen * told.frames)
    say(
        f"{out or source}: {length} of {told.width}x{told.height}, a person found in {found}"
        f"{people}{_retargeted(result)}"
    )


def _retargeted(result: Extracted) -> str:
    if result.retargeted is None:
        return ""
    anchor = result.retargeted.anchor
    where = "" if anchor is None else f", frame {anchor} laid onto the reference"
    return f", retargeted ({result.retargeted.mode}{where})"
