"""The command `magicpose doctor`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from magicpose_cli.cli.complete import preset_names
from magicpose_cli.cli.say import say

if TYPE_CHECKING:
    from magicpose_cli.doctor.examine import Examination


def command(
    preset: Annotated[
        str | None,
        typer.Option(
            "--preset",
            "-p",
            metavar="NAME|FILE",
            help="What is to run (default: as for animate).",
            autocompletion=preset_names,
        ),
    ] = None,
    as_json: Annotated[
        bool, typer.Option("--json", help="Print everything as JSON on stdout.")
    ] = False,
) -> None:
    """Tell what is installed, what a preset would use here, and whether it can run.

    Plain text to paste into a report of a problem; lines with ! say what to do. No model is loaded,
    nothing is fetched. Ends with 1 where the preset cannot run.

    Example: `magicpose doctor --preset lowvram`
    """
    from magicpose_cli.cli.events import tell
    from magicpose_cli.doctor.examine import examine

    examination = examine(preset)
    if as_json:
        tell("result", **examination.as_dict())
    else:
        typer.echo("\n".join(as_text(examination)))
    if not examination.can_run:
        say(f"error: {examination.obstacle}")
        raise typer.Exit(1)


def as_text(examination: Examination) -> list[str]:
    """The examination in lines, with ~ for the home folder."""
    from magicpose_cli.doctor.finding import without_home
    from magicpose_cli.errors import printable

    lines: list[str] = []
    for section, findings in examination.sections.items():
        title = f"{section} {examination.preset}" if section == "preset" else section
        lines += ["", title] if lines else [title]
        for found in findings:
            lines.append(f"  {found.name:<22} {found.value}")
            if found.warning:
                lines.append(f"! {'':<22} {found.warning}")
    lines += ["", "can run" if examination.can_run else f"cannot run: {examination.obstacle}"]
    return [printable(without_home(line)) for line in lines]
