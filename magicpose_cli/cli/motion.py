"""`magicpose motion`"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from magicpose_cli.cli.events import tell
from magicpose_cli.cli.options import option
from magicpose_cli.cli.say import say
from magicpose_cli.config.preset import MOTION

if TYPE_CHECKING:
    from magicpose_cli.body.motion_conversion import ConvertedMotion

OUT = "Output"


def command(
    source: Annotated[Path, typer.Argument(metavar="IN", show_default=False,
        help="A file of motion in space: .bvh (CMU, LaFAN1, Mixamo, Rokoko, MocapNET and others), "
        ".glb, .vrma, .npz (magicpose's own or AMASS's), or face curves: .csv (Live Link Face).")],
    out: Annotated[Path | None, option("--out", "-o", panel=OUT, metavar="OUT",
        help="File to write: .bvh, .glb (VRM's bones), .npz (exact), .csv (Live Link Face) or "
        ".arkit.csv (seconds and curves); without it the motion is summarized alone.")] = None,
    plot: Annotated[Path | None, option("--plot", panel=OUT, metavar="PNG",
        help="Draw the body, angles of the joints, contacts of the feet and speed.")] = None,
    start: Annotated[float | None, option("--start", panel=MOTION, metavar="SECONDS",
        help="Begin here.")] = None,
    end: Annotated[float | None, option("--end", panel=MOTION, metavar="SECONDS",
        help="Stop here.")] = None,
    mirror: Annotated[bool, option("--mirror", panel=MOTION,
        help="Exchange left and right.")] = False,
    speed: Annotated[float | None, option("--speed", panel=MOTION, metavar="FACTOR",
        help="So many times as fast.")] = None,
    blend: Annotated[str | None, option("--blend", panel=MOTION, metavar="FILE[:SECONDS]",
        help="Go over into another motion at the end, within so many seconds (0.5).")] = None,
    humanoid: Annotated[bool, option("--humanoid", panel=MOTION,
        help="Put it on the bones of VRM's humanoid, in a T-pose at rest (.glb: always).")] = False,
    onto: Annotated[str | None, option("--onto", panel=MOTION, metavar="CREATURE",
        help="Put it on another kind of body: dog, bird, puppet, or a TOML file.")] = None,
    smooth: Annotated[float | None, option("--smooth", panel=MOTION, metavar="0..2",
        help="Take out jitter, without lag: 0 none, 1 usual.")] = None,
    loop: Annotated[bool, option("--loop", panel=MOTION,
        help="Let the end go over into the start, in place.")] = False,
    fps: Annotated[float | None, option("--fps", panel=MOTION, metavar="RATE",
        help="Another frame rate; time is kept.")] = None,
    overwrite: Annotated[bool, option("--overwrite", "-y", panel=OUT,
        help="Replace files.")] = False,
    as_json: Annotated[bool, option("--json", panel=OUT,
        help="The summary as JSON on stdout.")] = False,
    quiet: Annotated[bool, option("--quiet", "-q", panel=OUT, help="No summary.")] = False,
) -> None:  # fmt: skip
    """Convert, change, summarize and draw motion in space.

    Examples:
    * `magicpose motion walk.bvh --plot walk.png`
    * `magicpose motion walk.bvh -o walk.glb`
    * `magicpose motion walk.bvh --onto dog -o dog.glb`
    * `magicpose motion walk.bvh -o loop.bvh --start 0.5 --loop --fps 30`
    """
    from magicpose_cli.body.motion_conversion import MotionEdits, convert_motion

    edits = MotionEdits(
        start_s=start, end_s=end, mirror=mirror, speed=speed, blend=_blend_of(blend),
        humanoid=humanoid, smooth=smooth, loop=loop, fps=fps, onto=onto,
    )  # fmt: skip
    result = convert_motion(source, out, edits, plot_to=plot, overwrite=overwrite)
    if as_json:
        _print_json(source, out, result)
    elif not quiet:
        _print(source, out, result)


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


def _print_json(source: Path, out: Path | None, result: ConvertedMotion) -> None:
    from dataclasses import asdict

    told = {"input": str(source), "output": str(out) if out else None, **asdict(result.summary)}
    tell("result", **told, notes=result.notes)


def _print(source: Path, out: Path | None, result: ConvertedMotion) -> None:
    """The table on stdout; where the file is and what was assumed on stderr."""
    from rich import box
    from rich.console import Console
    from rich.table import Table

    told = result.summary
    table = Table(box=box.SIMPLE_HEAD, padding=(0, 1, 0, 0), show_header=False)
    person = f", {told.bones} of them known as a person's" if told.bones else ", no person's"
    table.add_row("joints", f"{told.joints}{person}")
    if told.bones:
        table.add_row("height to the head", f"{told.height_m:.2f} m")
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
