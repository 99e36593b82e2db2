"""What a run says at its end: a line for people on stderr, JSON for scripts on stdout."""

from __future__ import annotations

from dataclasses import asdict
from typing import TYPE_CHECKING

import typer

from magicpose_cli.cli.events import tell
from magicpose_cli.cli.say import say
from magicpose_cli.errors import printable

if TYPE_CHECKING:
    from magicpose_cli.run.run_record import Plan, Result

WARPED_NOTE = (
    "made with mini: the reference's own pixels, moved; hands that they do not show are drawn by a "
    "diffusion model of 14 million parameters, and what else was hidden stays a guess (see README)"
)
MINI_NOTE = (
    "made with mini, the small embedded model trained on drawn and rendered people at 256x256: it "
    "shows that everything works; for real pictures install the released weights (see README)"
)


def plan(plan: Plan, as_json: bool) -> None:
    """Show what would be done."""
    if as_json:
        tell("plan", **asdict(plan))
        return
    for name, value in asdict(plan).items():
        typer.echo(printable(f"{name.replace('_', ' '):>12}  {value}"))


def result(result: Result, as_json: bool, quiet: bool) -> None:
    """Where the file is and how long each stage took."""
    if as_json:
        tell("result", **asdict(result))
    if quiet:
        return
    from magicpose_cli.diffusion.checkpoint.loading import MINI

    stages = ", ".join(f"{name} {seconds:.1f} s" for name, seconds in result.seconds.items())
    lines = [f"{result.output}: {result.frames} frames at {result.plan.fps:g} fps ({stages})"]
    if detector := result.motion.detector:
        lines[0] += f"; poses by {detector}, retarget {result.motion.retarget}"
    lines += [*result.motion.notes, *result.notes]
    if result.resumed:
        lines.append(f"{result.resumed} frames were kept from an interrupted run")
    if result.plan.model == str(MINI):
        lines.append(WARPED_NOTE if result.plan.warp else MINI_NOTE)
    say(*lines)
