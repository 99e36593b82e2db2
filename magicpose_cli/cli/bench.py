"""`magicpose bench`"""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from magicpose_cli.cli.outcome import with_exit_code

if TYPE_CHECKING:
    from rich.table import Table

    from magicpose_cli.evaluation.pose_benchmark import Exactness, PoseBenchmark, Spread

TABLE_WIDTH = 120
app = typer.Typer(help="Measure how exact and how fast the stages are.", no_args_is_help=True)


@app.callback()
def _group() -> None:
    pass  # keeps `poses` a command of its own while there is only one


@app.command("poses")
@with_exit_code
def poses(
    people: Annotated[int, typer.Option("--people", "-n", min=1, max=1000, metavar="N",
        help="Drawn people to detect, one picture each.")] = 64,
    films: Annotated[int, typer.Option(min=1, max=50, metavar="N",
        help="Drawn films of 48 frames.")] = 4,
    detector: Annotated[list[str] | None, typer.Option("--detector", metavar="NAME",
        help="Only this detector; several times for several (default: all).")] = None,
    as_json: Annotated[bool, typer.Option("--json",
        help="Print everything as JSON on stdout.")] = False,
    quiet: Annotated[bool, typer.Option("--quiet", "-q", help="No progress.")] = False,
) -> None:  # fmt: skip
    """Measure the detectors, tracking, retargeting and drawing on people whose points are known.

    Example: magicpose bench poses -n 256 --detector mediapipe
    """
    import json
    from dataclasses import asdict

    from magicpose_cli.animate import versions
    from magicpose_cli.cli.progress import shown
    from magicpose_cli.evaluation.pose_benchmark import measure_poses

    with shown(quiet) as on_progress:
        measured = measure_poses(people, films, detector or (), on_progress=on_progress)
    if as_json:
        typer.echo(json.dumps({**asdict(measured), "versions": versions()}, indent=2))
        return
    _print(measured)


def _print(measured: PoseBenchmark) -> None:
    from rich.console import Console

    console = Console(highlight=False)
    console.width = max(console.width, TABLE_WIDTH)  # a narrow terminal wraps, nothing is cut off
    console.print(_detectors(measured))
    for result in measured.detectors:
        if result.lack:
            console.print(f"{result.name} left out: {result.lack}", markup=False, soft_wrap=True)
    console.print(_tracking(measured.tracking))
    stages = _table("between detection and diffusion", "frames/s")
    for name, rate in measured.stages.items():
        stages.add_row(name, f"{rate:,.0f}")
    console.print(stages)


def _detectors(measured: PoseBenchmark) -> Table:
    """Two rows a detector: single pictures and films."""
    table = _table(
        f"{measured.people} drawn people and {measured.films} films of {measured.film_frames} "
        f"frames, {measured.size} pixels",
        *("people\nfound %", "joints\nfound %", "hands\nfound %"),
        *("body error (p95)\n% of height", "face error (p95)\n% of eye distance"),
        *("hand error (p95)\n% of height", "speed\nper s"),
    )
    for result in measured.detectors:
        if result.pictures is not None and result.films is not None:
            table.add_row(f"{result.name}, pictures", *_row(result.pictures, result.pictures_per_s))
            table.add_row(f"{result.name}, films", *_row(result.films, result.frames_per_s))
        else:
            table.add_row(result.name, *["–"] * 7, style="dim")
    return table


def _row(exact: Exactness, rate: float | None) -> list[str]:
    shares = (exact.people_found, exact.joints_found, exact.hands_found)
    return [
        *("–" if share is None else f"{share:.1f}" for share in shares),
        *map(_told, (exact.body, exact.face, exact.hands)),
        "–" if rate is None else f"{rate:.1f}",
    ]


def _told(spread: Spread | None) -> str:
    return "–" if spread is None else f"{spread.mean:.2f} ({spread.p95:.2f})"


def _tracking(numbers: dict[str, float]) -> Table:
    table = _table(
        f"tracking, planted mistakes; lag {numbers['lag_frames']:.2f} frames",
        *("error before\n% of height", "after"),
        *("jitter before\n% of height", "after", "of the truth"),
    )
    for part in ("body", "face", "hands"):
        keys = ("error_before", "error_after", "jitter_before", "jitter_after", "jitter_truth")
        table.add_row(part, *(f"{numbers[f'{part}_{key}']:.3f}" for key in keys))
    return table


def _table(title: str, *columns: str) -> Table:
    from rich import box
    from rich.table import Table

    table = Table(box=box.SIMPLE_HEAD, padding=(0, 1, 0, 0))
    table.add_column(title, ratio=1)
    for column in columns:
        table.add_column(column, justify="right", no_wrap=True)
    return table
