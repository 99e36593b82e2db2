"""The command `magicpose train`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from magicpose_cli.cli.options import DeviceName, Minutes, Quiet, TrainingData
from magicpose_cli.cli.say import say


def command(
    recipe: Annotated[str, typer.Argument(metavar="RECIPE",
        help="mini, mini-half, mini-cpu, mini-rendered, mini-reference-pose, "
        "mini-reference-start, mini-small-motions, mini-compositor, "
        "mini-compositor-small-motions, mini-motion, mini-identity, mini-geometry, "
        "mini-steps, magicpose, magicpose-motion, magicpose-identity, magicpose-geometry, "
        "ablation, toy, "
        "or a TOML file.")],
    run: Annotated[Path, typer.Option("--out", "-o", metavar="RUN",
        help="Checkpoints, sheets and models.")] = Path("magicpose-run"),
    data: TrainingData = None,
    start: Annotated[str | None, typer.Option(metavar="MODEL",
        help="Stable Diffusion 1.5 folder or MagicPose model.")] = None,
    pose_start: Annotated[str | None, typer.Option(metavar="CONTROLNET",
        help="openpose-controlnet or a file: what the pose network begins as.")] = None,
    minutes: Minutes = None,
    device: DeviceName = "auto",
    benchmark: Annotated[int | None, typer.Option(min=2, metavar="STEPS",
        help="Time so many steps of each stage and keep nothing.")] = None,
    overwrite: Annotated[bool, typer.Option("--overwrite", "-y",
        help="Begin anew where RUN exists.")] = False,
    quiet: Quiet = False,
) -> None:  # fmt: skip
    """Train MagicPose in its stages; the same command again goes on where it stopped.

    Examples:
    * `magicpose dataset films/ -o data`
    * `magicpose train magicpose --data data --start sd15 -o run`
    * `magicpose train magicpose --data data --pose-start openpose-controlnet -o run`
    * `magicpose train mini-half -o run && magicpose animate me.jpg dance.mp4 --model run/model`
    * `accelerate launch -m magicpose_cli train magicpose --data data -o run` (several GPUs)
    """
    from magicpose_cli.cli.progress_bars import shown
    from magicpose_cli.training.recipe import load_recipe

    settings = load_recipe(
        recipe, data__source=data, model__start=start, model__pose_start=pose_start
    )
    with shown(quiet) as on_progress:
        if benchmark is not None:
            from magicpose_cli.benchmarks.training_speed import measure_training

            rows = measure_training(settings, benchmark, device=device, on_progress=on_progress)
            for row in rows:
                typer.echo(row.line())
            return
        from magicpose_cli.training.run import train

        result = train(
            settings, run, device=device, minutes=minutes, overwrite=overwrite,
            on_progress=on_progress,
        )  # fmt: skip
    for folder in result.models.values():
        typer.echo(str(folder))
    if not result.complete and not quiet:
        say(f"not finished yet; the same command goes on from {run}")
