"""The command `magicpose report`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from magicpose_cli.cli.options import Quiet
from magicpose_cli.cli.say import say


def command(
    output: Annotated[
        Path, typer.Argument(metavar="OUT", help="Video or folder that a finished run has written.")
    ],
    page: Annotated[
        Path | None,
        typer.Option("--out", "-o", metavar="PAGE", help="HTML file (default: OUT.html)."),
    ] = None,
    max_seconds: Annotated[
        float,
        typer.Option(min=0.01, metavar="SECONDS", help="Of a longer clip, show its beginning."),
    ] = 60.0,
    overwrite: Annotated[
        bool, typer.Option("--overwrite", "-y", help="Replace PAGE where it exists.")
    ] = False,
    as_json: Annotated[
        bool, typer.Option("--json", help="Print events and the result as JSON on stdout.")
    ] = False,
    quiet: Quiet = False,
) -> None:
    """Write one HTML page to look at a run: its films in step, its settings, its gaps.

    Example: `magicpose report me_dancing.mp4 -o look.html`
    """
    from dataclasses import asdict

    from magicpose_cli.cli.events import tell
    from magicpose_cli.cli.progress_bars import shown
    from magicpose_cli.run_report.page import write_page

    with shown(quiet, as_json) as on_progress:
        written = write_page(
            output, page, max_seconds=max_seconds, overwrite=overwrite, on_progress=on_progress
        )
    if as_json:
        tell("result", **asdict(written))
    if quiet:
        return
    line = f"{written.page}: {written.frames} frames, {written.size / 1e6:.1f} MB"
    say(line, *written.notes)
