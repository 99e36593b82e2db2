"""All commands in one place; each lives in a file of its own name."""

from __future__ import annotations

import os
from typing import Annotated

import typer

from magicpose_cli.cli import (
    animate,
    batch,
    bench,
    dataset,
    demo,
    doctor,
    evaluate,
    models,
    motion,
    poses,
    presets,
    report,
    train,
)
from magicpose_cli.cli.outcome import with_exit_code

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
    help=HELP,
    epilog=EPILOG,
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    rich_markup_mode="markdown",
    context_settings={"help_option_names": ["-h", "--help"]},
)
app.command("animate")(with_exit_code(animate.command))
app.command("batch")(with_exit_code(batch.command))
app.command("demo")(with_exit_code(demo.command))
app.command("poses")(with_exit_code(poses.command))
app.command("motion")(with_exit_code(motion.command))
app.command("report")(with_exit_code(report.command))
app.command("doctor")(with_exit_code(doctor.command))
app.command("presets")(with_exit_code(presets.command))
app.command("dataset")(with_exit_code(dataset.command))
app.command("train")(with_exit_code(train.command))
app.command("evaluate")(with_exit_code(evaluate.command))
app.add_typer(bench.app, name="bench")
app.add_typer(models.app, name="models")


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
