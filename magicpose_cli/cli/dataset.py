"""The command `magicpose dataset`."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from magicpose_cli.cli.options import Quiet
from magicpose_cli.cli.say import say
from magicpose_cli.errors import printable

if TYPE_CHECKING:
    from magicpose_cli.dataset.data_folder import Record, Report


def command(
    out: Annotated[Path, typer.Option("--out", "-o", metavar="DATA",
        help="Folder for the data: a new one, or one to go on with.")],
    videos: Annotated[list[Path] | None, typer.Argument(metavar="[VIDEOS]...",
        help="Videos, and folders that are searched for videos.")] = None,
    config: Annotated[Path | None, typer.Option("--config", "-c", metavar="FILE.toml",
        help="Thresholds; presets/training/dataset.toml shows them all.")] = None,
    synthetic: Annotated[int, typer.Option(min=0, max=10_000_000, metavar="N",
        help="Also N people who are drawn or rendered, with exact poses and masks.")] = 0,
    people: Annotated[str | None, typer.Option(metavar="KIND",
        help="How these are made: drawn (default), rendered, or mixed, both in turns.")] = None,
    wardrobe: Annotated[Path | None, typer.Option(metavar="FOLDER",
        help="A copy of MakeHuman's library, from which half of the rendered people wear "
        "something.")] = None,
    held_out: Annotated[bool, typer.Option("--held-out",
        help="Make people of the test seeds, whom no training sees.")] = False,
    size: Annotated[int | None, typer.Option(metavar="S",
        help="Side of the square pictures in pixels (default: 512).")] = None,
    fps: Annotated[float | None, typer.Option(metavar="F",
        help="Frames looked at in a second of film (default: 6).")] = None,
    detector: Annotated[str | None, typer.Option(metavar="NAME", help="As of animate.")] = None,
    workers: Annotated[int | None, typer.Option(min=1, max=1024, metavar="K",
        help="Processes (default: one for each core).")] = None,
    overwrite: Annotated[bool, typer.Option("--overwrite", "-y",
        help="Make the data anew where DATA holds some.")] = False,
    quiet: Quiet = False,
) -> None:  # fmt: skip
    """Make training data of VIDEOS: frames with their poses, cropped to the person and sorted out.

    A run that was stopped goes on when it is started again; more videos are added the same way.

    Example: `magicpose dataset dances/ -o data`
    """
    from magicpose_cli.cli.progress_bars import shown
    from magicpose_cli.dataset.build import make_dataset
    from magicpose_cli.dataset.dataset_config import load_settings

    settings = load_settings(config).with_options(
        frames__size=size,
        frames__fps=fps,
        frames__detector=detector,
        drawn__people=people,
        drawn__wardrobe=str(wardrobe) if wardrobe else None,
        drawn__held_out=held_out or None,
    )
    with shown(quiet) as on_progress:
        report, new = make_dataset(
            videos or [], out, settings, synthetic=synthetic, workers=workers,
            overwrite=overwrite, on_progress=on_progress,
        )  # fmt: skip
    if not quiet:
        _print(report, new, out)


def _print(report: Report, new: int, out: Path) -> None:
    from rich.console import Console
    from rich.table import Table

    console = Console(stderr=True, highlight=False, soft_wrap=True)
    if not new:
        say(f"{out}: all done already, {report.clips} clips")
        return
    if report.sources:
        table = Table("video", box=None)
        for column in ("looked at", "kept", "clips"):
            table.add_column(column, justify="right")
        table.add_column("dropped", overflow="fold")
        for record in report.sources.values():
            numbers = (record.looked_at, record.kept, record.clips)
            table.add_row(_plain(record.file), *map(str, numbers), _plain(_dropped(record)))
        console.print(table)
        for record in report.sources.values():
            if record.error:
                say(f"cannot be read: {record.error}")
    drawn = f", {report.drawn_clips} of drawn people" if report.drawn_clips else ""
    say(f"{out}: {report.kept} frames in {report.clips} clips ({new} new{drawn})")


def _dropped(record: Record) -> str:
    reasons = [f"{count} {reason}" for reason, count in record.dropped.items()]
    return ", ".join([*reasons, "cannot be read"] if record.error else reasons)


def _plain(text: str) -> str:
    from rich.markup import escape

    return escape(printable(text))
