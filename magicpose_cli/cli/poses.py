"""`magicpose poses`"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from magicpose_cli.cli.animate import DriverFile


def command(
    driver: DriverFile,
    out: Annotated[
        Path | None,
        typer.Option("--out", "-o", help="OpenPose JSON (default: DRIVER.poses.json)."),
    ] = None,
    overlay: Annotated[
        Path | None, typer.Option(help="Also write the driver with its poses drawn over it.")
    ] = None,
    detector: Annotated[str | None, typer.Option(help="auto or mediapipe.")] = None,
    start: Annotated[float | None, typer.Option(help="Begin here, in seconds.")] = None,
    end: Annotated[float | None, typer.Option(help="Stop here, in seconds.")] = None,
    every: Annotated[int | None, typer.Option(help="Take every N-th frame.")] = None,
    fps: Annotated[float | None, typer.Option(help="Another frame rate; time is kept.")] = None,
    overwrite: Annotated[bool, typer.Option("--overwrite", "-y", help="Replace files.")] = False,
    quiet: Annotated[bool, typer.Option("--quiet", "-q", help="No progress.")] = False,
) -> None:
    """Find the person in every frame of DRIVER and write OpenPose JSON.

    `animate` takes the file as its DRIVER, and so do ControlNet tools.

    Example: magicpose poses dance.mp4 -o dance.json --overlay dance_poses.mp4
    """
    from magicpose_cli.cli.progress import shown
    from magicpose_cli.config import Preset
    from magicpose_cli.driver import extract_poses

    settings = Preset().with_options(
        motion__detector=detector,
        motion__start_s=start,
        motion__end_s=end,
        motion__every=every,
        motion__fps=fps,
    )
    target = out or Path(f"{driver.stem}.poses.json")
    with shown(quiet) as on_progress:
        count, missing = extract_poses(
            driver, target, settings.motion, overlay_to=overlay, overwrite=overwrite,
            on_progress=on_progress,
        )  # fmt: skip
    if not quiet:
        found = count - len(missing)
        typer.echo(f"{target}: {count} frames, a person found in {found}", err=True)
