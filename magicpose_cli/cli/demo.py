"""The command `magicpose demo`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from magicpose_cli.cli.options import Quiet
from magicpose_cli.cli.say import say


def command(
    folder: Annotated[
        Path, typer.Option("--out", "-o", metavar="FOLDER", help="Where the files go.")
    ] = Path("magicpose-demo"),
    preset: Annotated[
        str | None, typer.Option("--preset", "-p", metavar="NAME|FILE", help="As for animate.")
    ] = None,
    frames: Annotated[
        int, typer.Option(min=1, max=1200, help="Length of the dance at 12 fps.")
    ] = 36,
    seed: Annotated[int, typer.Option(min=0, help="Draws other people.")] = 0,
    overwrite: Annotated[bool, typer.Option("--overwrite", "-y", help="Replace files.")] = False,
    quiet: Quiet = False,
) -> None:
    """Render a person and another who gestures, then run the main job on them.

    Leaves ref.png, driver.mp4, out.mp4 and a contact sheet out.png. Needs no download.

    Example: `magicpose demo -o look --seed 3`
    """
    from magicpose_cli.cli import run_summary as summary
    from magicpose_cli.cli.progress_bars import shown
    from magicpose_cli.demo import run_demo

    with shown(quiet) as on_progress:
        result = run_demo(
            folder, preset, frames=frames, seed=seed, overwrite=overwrite, on_progress=on_progress
        )
    summary.result(result, as_json=False, quiet=quiet)
    if not quiet:
        say(f"{folder / 'out.png'}: contact sheet")
