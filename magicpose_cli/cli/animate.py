"""The command `magicpose animate`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from magicpose_cli.cli import complete
from magicpose_cli.cli.options import Devices, RayAddress, Typed, Workers, option, setting_options
from magicpose_cli.cli.stdin import without_stdin
from magicpose_cli.config.preset import MODEL
from magicpose_cli.config.preset import OUTPUT as OUT

Reference = Annotated[
    Path, typer.Argument(metavar="REF", help="Picture of the person to be moved, or -.")
]
DriverFile = Annotated[
    Path,
    typer.Argument(
        metavar="DRIVER",
        help="Where the motion comes from: a video, an animated GIF, a folder of pictures, a pose "
        "file (.json, .npz, .npy) or a folder of OpenPose's, a motion in space (.bvh, .glb, .vrma, "
        ".npz), or ready-drawn pose maps with --driver-kind pose-maps; or -.",
    ),
]


@setting_options("model", "sampling", "frame", "motion", "output")
def command(
    reference: Reference,
    driver: DriverFile,
    out: Annotated[str | None, option("--out", "-o", metavar="OUT", panel=OUT, help="Video "
        "(.mp4, .webm, .mov, .gif) or folder for PNGs (default: REF_DRIVER.mp4).")] = None,
    preset: Annotated[str | None, option("--preset", "-p", panel=MODEL, metavar="NAME|FILE",
        complete=complete.preset_names, help="Shipped preset or a TOML file (default: magicpose "
        "where its weights are installed, else mini).")] = None,
    *,
    typed: Typed,
    workers: Workers = 0,
    devices: Devices = "",
    ray: RayAddress = None,
    overwrite: Annotated[bool, option("--overwrite", "-y", panel=OUT,
        help="Replace OUT where it exists.")] = False,
    resume: Annotated[bool, typer.Option("--resume/--no-resume", rich_help_panel=OUT,
        help="Go on where an interrupted run of the same job stopped.")] = True,
    dry_run: Annotated[bool, option("--dry-run", panel=OUT,
        help="Check everything, show what would be done, stop.")] = False,
    as_json: Annotated[bool, option("--json", panel=OUT,
        help="Events on stdout, one JSON object a line; the last is the result.")] = False,
    quiet: Annotated[bool, option("--quiet", "-q", panel=OUT, help="No progress.")] = False,
) -> None:  # fmt: skip
    """Move the person of REF like the person of DRIVER and write a video.

    The poses of DRIVER are found in every frame, laid onto the person of REF, and drawn with the
    appearance of REF. Frame rate, length and sound are the driver's. `-` in the place of REF or
    DRIVER reads it from standard input.

    Examples:
    * `magicpose animate me.jpg dance.mp4 -o me_dancing.mp4`
    * `magicpose animate me.jpg dance.mp4 --preset fast --compare --end 3`
    * `magicpose animate me.jpg walk.bvh --camera azimuth=30,elevation=10`
    * `magicpose animate me.jpg talk.mp4 --retarget full --expression 1.2 --paste-back`
    * `magicpose animate me.jpg dance.mp4 --base dreamshaper.safetensors --lora ink.safetensors:0.6`
    * `cat me.jpg | magicpose animate - dance.mp4 -o me.mp4`
    """
    from magicpose_cli.animation import animate
    from magicpose_cli.cli import run_summary as summary
    from magicpose_cli.cli.progress_bars import shown
    from magicpose_cli.run.preflight import make_plan, resolve_preset
    from magicpose_cli.run.resources import Resources, WorkerConfig

    settings = resolve_preset(preset, typed.get("model__name")).with_options(**typed)
    with without_stdin(reference, driver) as (picture, moves):
        if dry_run:
            plan, *_ = make_plan(
                picture, moves, out, settings, overwrite=overwrite, dry_run=True
            )  # fmt: skip
            summary.plan(plan, as_json)
            return
        spread = WorkerConfig.typed(workers, devices, ray)
        shows, at_hand = shown(quiet, as_json), Resources(spread, remember=False)
        with shows as on_progress, at_hand as resources:
            result = animate(
                picture, moves, out, settings, overwrite=overwrite, resume=resume,
                resources=resources, on_progress=on_progress,
            )  # fmt: skip
    summary.result(result, as_json, quiet)
