"""The command `magicpose turn`."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from magicpose_cli.cli.options import OverwriteFiles, Silent, SummaryEvents, option
from magicpose_cli.config.preset import OUTPUT as OUT

if TYPE_CHECKING:
    from magicpose_cli.views.turn import TurnResult

VIEWS_PANEL = "Views"


def command(
    reference: Annotated[Path, typer.Argument(metavar="REF", show_default=False,
        help="A picture of a person.")],
    out: Annotated[Path | None, option("--out", "-o", panel=OUT, metavar="OUT",
        help="A film (.mp4, .webm, .mov, .gif) that can be looped; or a name without suffix for a "
        "folder: the views cut out, transforms.json with their cameras, and head.glb "
        "(default: REF_turn.mp4).")] = None,
    yaw: Annotated[str, option("--yaw", panel=VIEWS_PANEL, metavar="LOW..HIGH",
        help="Degrees to the picture's left (negative) and right, within -90..90.")] = "-45..45",
    pitch: Annotated[str, option("--pitch", panel=VIEWS_PANEL, metavar="LOW..HIGH",
        help="Degrees down (negative) and up, within -45..45.")] = "-10..10",
    views: Annotated[int, option("--views", panel=VIEWS_PANEL, metavar="N",
        help="How many; the first shows the picture's own side where the ranges hold 0.")] = 48,
    orbit: Annotated[bool, option("--orbit", panel=VIEWS_PANEL,
        help="Turn the whole person as one piece, not the head on the neck alone.")] = False,
    size: Annotated[int, option("--size", panel=VIEWS_PANEL, metavar="N",
        help="Pixels of the short side; a smaller picture is not enlarged.")] = 512,
    detector: Annotated[str, option("--detector", panel=VIEWS_PANEL, metavar="NAME",
        help="As of animate.")] = "auto",
    fps: Annotated[float, option("--fps", panel=OUT, metavar="RATE",
        help="Views a second of a film.")] = 24.0,
    overwrite: OverwriteFiles = False,
    as_json: SummaryEvents = False,
    quiet: Silent = False,
) -> None:  # fmt: skip
    """Show the person of one picture from other sides.

    Examples:
    * `magicpose turn me.jpg`
    * `magicpose turn me.jpg --yaw -60..60 --pitch -20..20 --views 16 -o me_views`
    * `magicpose turn dancer.jpg --orbit --yaw -40..40 -o dancer_turn.mp4`
    """
    from magicpose_cli.cli.progress_bars import shown
    from magicpose_cli.files import name_that_fits
    from magicpose_cli.views.turn import TurnSettings, turn

    if out is None:
        out = Path(name_that_fits("{}_turn.mp4".format, reference.absolute().stem))
    settings = TurnSettings(yaw, pitch, views, orbit, size, fps, detector)
    with shown(quiet, as_json) as on_progress:
        result = turn(reference, out, settings, overwrite=overwrite, on_progress=on_progress)
    if as_json:
        _print_json(reference, result)
    elif not quiet:
        _print(result)


def _print_json(reference: Path, result: TurnResult) -> None:
    from dataclasses import asdict

    from magicpose_cli.cli.events import tell

    angles = [each._asdict() for each in result.angles]
    tell("result", input=str(reference), **(asdict(result) | {"angles": angles}))


def _print(result: TurnResult) -> None:
    from magicpose_cli.cli.say import say

    for note in result.notes:
        say(f"note: {note}")
    size = f"{result.width}x{result.height}"
    besides = f", with {' and '.join(result.files)}" if result.files else ""
    say(
        f"{result.output}: {len(result.angles)} views of {size}{besides}; "
        f"{result.seconds_once:.1f} s for the person, {result.seconds_per_view:.2f} s a view"
    )
