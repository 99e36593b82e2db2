"""The root of all commands; each lives in a file of its own name, see lazy_commands.py."""

from __future__ import annotations

import os
from typing import Annotated

import typer

from magicpose_cli.cli.lazy_commands import MARKUP, LazyGroup

HELP = """Animate the person of one picture with the motion of a video.

Examples:

* `magicpose demo`
* `magicpose animate me.jpg dance.mp4 -o me_dancing.mp4`
* `magicpose models fetch magicpose`
* `magicpose batch --refs 'people/*.png' --drivers 'moves/*.mp4' --out-dir videos`
"""
EPILOG = """Progress goes to stderr, what was asked for to stdout. Exit codes: 0 done, 1 something
you can mend (one line says what), 2 wrong usage, 130 Ctrl-C, 143 SIGTERM.

Environment: MAGICPOSE_HOME (where models lie), HF_HOME, HF_ENDPOINT, HF_TOKEN, HF_HUB_OFFLINE
(the hub's client), NO_COLOR, MAGICPOSE_MAX_MEGAPIXELS (as --max-megapixels).
"""

app = typer.Typer(
    name="magicpose",
    cls=LazyGroup,
    help=HELP,
    epilog=EPILOG,
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    rich_markup_mode=MARKUP,
    context_settings={"help_option_names": ["-h", "--help"]},
)


def _version(asked: bool) -> None:
    if asked:
        from importlib.metadata import version

        typer.echo(f"magicpose {version('magicpose')}")
        raise typer.Exit


@app.callback()
def _root(
    version: Annotated[
        bool,
        typer.Option("--version", callback=_version, is_eager=True, help="Show it and stop."),
    ] = False,
    max_megapixels: Annotated[
        str | None,
        typer.Option(
            "--max-megapixels",
            metavar="N",
            help="Millions of pixels that a picture or a film's frame may have (120).",
        ),
    ] = None,
) -> None:
    if max_megapixels is not None:
        from magicpose_cli.video.limits import MAX_MEGAPIXELS_VARIABLE

        os.environ[MAX_MEGAPIXELS_VARIABLE] = max_megapixels  # which processes of ours see, too
