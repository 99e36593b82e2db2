"""The command `magicpose bench`."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Annotated, Any

import typer

from magicpose_cli.cli.bench_machines import AsJson, gpu_command, workers_command
from magicpose_cli.cli.bench_tables import print_json
from magicpose_cli.cli.options import Quiet, Typed, setting_options, whole_numbers
from magicpose_cli.cli.outcome import with_exit_code
from magicpose_cli.cli.say import say

app = typer.Typer()

BenchSteps = Annotated[int | None, typer.Option(min=1, max=1000, metavar="N",
    help="Stand for the model's own; the share of a preset is of these.")]  # fmt: skip
Guidance = Annotated[float | None, typer.Option(min=1, max=100, metavar="SCALE",
    help="Stands for the model's own.")]  # fmt: skip
PLOT_SUFFIXES = ("", ".png", ".svg", ".pdf", ".jpg")
Plot = Annotated[Path | None, typer.Option(metavar="PNG", help="Also draw it.")]


@app.callback(invoke_without_command=True)
@with_exit_code
@setting_options(
    "model.name", "model.device", "model.dtype", "model.batch_size", "model.compile", "frame.size"
)
def rendering(
    context: typer.Context,
    preset: Annotated[str | None, typer.Option("--preset", "-p", metavar="NAME|FILE",
        help="What to measure, or with --compare the model, size and device of all.")] = None,
    compare: Annotated[str | None, typer.Option(metavar="NAMES",
        help="Several in turns: naive (the original's schedule), exact, presets; by commas.")
    ] = None,
    frames: Annotated[int, typer.Option(min=1, max=100_000, metavar="N",
        help="Frames a turn, rounded up to whole batches.")] = 64,
    repeat: Annotated[int, typer.Option(min=1, max=1000, metavar="N",
        help="Turns of each; the fastest counts.")] = 3,
    random_weights: Annotated[str | None, typer.Option(metavar="SIZE",
        help="magicpose, mini or tiny: random networks of this size, no model needed.")] = None,
    steps: BenchSteps = None,
    guidance: Guidance = None,
    driver: Annotated[Path | None, typer.Option(metavar="DRIVER",
        help="Take its poses and time their detection (default: a drawn person).")] = None,
    as_json: AsJson = False,
    quiet: Quiet = False,
    *,
    typed: Typed,
) -> None:  # fmt: skip
    """Measure the speed, memory and arithmetic of making frames; subcommands measure the rest.

    Example: `magicpose bench --model mini --compare naive,exact,fast`
    """
    if context.invoked_subcommand is not None:
        return
    from magicpose_cli.benchmarks.render_benchmark import (
        EXACT,
        Variant,
        measure_rendering,
        named_variants,
    )
    from magicpose_cli.benchmarks.shared_networks import Weights
    from magicpose_cli.cli.bench_tables import print_rendering
    from magicpose_cli.cli.progress_bars import shown
    from magicpose_cli.config.preset import Preset, load_preset

    base = (load_preset(preset) if preset else Preset()).with_options(**typed)
    if preset and not compare:
        own = base.with_options(sampling__steps=steps, sampling__guidance=guidance)
        ways = [Variant(preset, own)]
    else:
        names = [name.strip() for name in (compare or EXACT).split(",") if name.strip()]
        ways = named_variants(names, base)
    with shown(quiet) as on_progress:
        measured = measure_rendering(
            ways, Weights(random_weights, steps, guidance), frames=frames, repeat=repeat,
            driver=driver, on_progress=on_progress,
        )  # fmt: skip
    _print(measured, as_json, print_rendering)


@app.command("shortcuts")
@with_exit_code
@setting_options("model.name", "model.device")
def shortcuts(
    drawn: Annotated[int, typer.Option(min=2, max=100_000, metavar="N",
        help="Pairs of drawn people that no training has seen.")] = 32,
    steps: BenchSteps = None,
    guidance: Guidance = None,
    frames: Annotated[int, typer.Option(min=1, max=100_000, metavar="N",
        help="Frames over which speed is measured.")] = 16,
    repeat: Annotated[int, typer.Option(min=1, max=1000, metavar="N",
        help="Turns of each; the fastest counts.")] = 2,
    detector: Annotated[str, typer.Option(metavar="NAME",
        help="As of animate, to measure pose following, which takes longest.")] = "none",
    as_json: AsJson = False,
    quiet: Quiet = False,
    *,
    typed: Typed,
) -> None:  # fmt: skip
    """Measure what every fast setting costs in quality and gives in speed, on drawn people.

    Example: `magicpose bench shortcuts --drawn 64 --model mini --steps 6 --guidance 1.5`
    """
    from magicpose_cli.benchmarks.shortcuts import measure_shortcuts
    from magicpose_cli.cli.bench_tables import print_shortcuts
    from magicpose_cli.cli.progress_bars import shown
    from magicpose_cli.config.preset import Preset

    base = Preset().with_options(**typed)
    with shown(quiet) as on_progress:
        measured = measure_shortcuts(
            drawn, base, detector=detector, steps=steps, guidance=guidance, frames=frames,
            repeat=repeat, on_progress=on_progress,
        )  # fmt: skip
    _print(measured, as_json, print_shortcuts)


@app.command("memory")
@with_exit_code
def memory_command(
    frames: Annotated[str, typer.Option(metavar="NUMBERS",
        help="Lengths of the clips, by commas.")] = "10,100,1000",
    plot: Plot = None,
    as_json: AsJson = False,
    quiet: Quiet = False,
) -> None:  # fmt: skip
    """Measure memory and time of `animate` over the length of a clip, with a tiny network.

    Example: `magicpose bench memory --frames 10,100,1000,5000 --plot memory.png`
    """
    from dataclasses import asdict

    from magicpose_cli.benchmarks.clip_length import measure_lengths, plot_lengths
    from magicpose_cli.cli.bench_tables import print_lengths
    from magicpose_cli.cli.progress_bars import shown

    lengths = whole_numbers("--frames", frames, 10_000_000, "10,100,1000")
    _check_plot(plot)
    with shown(quiet) as on_progress:
        results = measure_lengths(lengths, on_progress=on_progress)
    if plot is not None:
        plot_lengths(results, plot)
    if as_json:
        print_json({"lengths": [asdict(result) for result in results]})
    else:
        print_lengths(results)


@app.command("timeline")
@with_exit_code
@setting_options("model.device")
def timeline_command(
    reference: Annotated[Path, typer.Argument(metavar="REF", help="As for animate.")],
    driver: Annotated[Path, typer.Argument(metavar="DRIVER", help="As for animate.")],
    plot: Annotated[Path, typer.Option(metavar="PNG",
        help="The picture; .svg and .pdf, too.")] = Path("timeline.png"),
    preset: Annotated[str | None, typer.Option("--preset", "-p", metavar="NAME|FILE",
        help="As for animate.")] = None,
    as_json: AsJson = False,
    quiet: Quiet = False,
    *,
    typed: Typed,
) -> None:  # fmt: skip
    """Draw which stage of `animate` works when, on your own files.

    Example: `magicpose bench timeline me.jpg dance.mp4 --plot timeline.png`
    """
    from magicpose_cli.animation import animate
    from magicpose_cli.benchmarks.timeline_plot import plot_timeline
    from magicpose_cli.cli.progress_bars import shown
    from magicpose_cli.run.preflight import resolve_preset
    from magicpose_cli.run.stage_timer import StageTimer
    from magicpose_cli.run.temporary import temporary_folder

    _check_plot(plot)
    timer = StageTimer()
    settings = resolve_preset(preset).with_options(**typed)
    with temporary_folder() as folder, shown(quiet) as on_progress:
        out = folder / "out.mp4"
        result = animate(reference, driver, out, settings, timer=timer, on_progress=on_progress)
    plot_timeline(timer.spans, plot)
    if as_json:
        seconds, frames = result.seconds, result.frames
        print_json({"frames": frames, "seconds": seconds, "spans": timer.spans})
    elif not quiet:
        say(f"{plot}: who worked when, over {result.frames} frames")


@app.command("poses")
@with_exit_code
def poses(
    people: Annotated[int, typer.Option("--people", "-n", min=1, max=1000, metavar="N",
        help="Drawn people to detect, one picture each.")] = 64,
    films: Annotated[int, typer.Option(min=1, max=50, metavar="N",
        help="Drawn films of 48 frames.")] = 4,
    detector: Annotated[list[str] | None, typer.Option("--detector", metavar="NAME",
        help="Only this detector; several times for several (default: all).")] = None,
    as_json: AsJson = False,
    quiet: Quiet = False,
) -> None:  # fmt: skip
    """Measure the detectors, tracking, retargeting and drawing on people whose points are known.

    Example: `magicpose bench poses -n 256 --detector mediapipe`
    """
    from magicpose_cli.benchmarks.pose_benchmark import measure_poses
    from magicpose_cli.cli.bench_tables import print_poses
    from magicpose_cli.cli.progress_bars import shown

    with shown(quiet) as on_progress:
        measured = measure_poses(people, films, detector or (), on_progress=on_progress)
    _print(measured, as_json, print_poses)


@app.command("body")
@with_exit_code
def body_command(
    films: Annotated[int, typer.Option("--films", "-n", min=1, max=1000, metavar="N",
        help="Films of 2 seconds of rendered people: walking, dancing, gesturing in turn.")] = 18,
    as_json: AsJson = False,
    quiet: Quiet = False,
) -> None:  # fmt: skip
    """Measure how true the bodies of `motion` are, on rendered people whose motion is known.

    Example: `magicpose bench body -n 30`
    """
    from magicpose_cli.benchmarks.body_benchmark import measure_bodies
    from magicpose_cli.cli.bench_tables import print_bodies
    from magicpose_cli.cli.progress_bars import shown

    with shown(quiet) as on_progress:
        measured = measure_bodies(films, on_progress=on_progress)
    _print(measured, as_json, print_bodies)


@app.command("warp")
@with_exit_code
def warp(
    repeat: Annotated[int, typer.Option(min=1, max=1000, metavar="N",
        help="Turns, each with another frame; medians are told.")] = 9,
    detector: Annotated[str, typer.Option(metavar="NAME",
        help="As of animate, or none for the points as they are drawn, without a face's mesh.")
    ] = "auto",
    as_json: AsJson = False,
    quiet: Quiet = False,
) -> None:  # fmt: skip
    """Measure what moving the reference's own pixels takes, on a drawn person and one core.

    Example: `magicpose bench warp --repeat 25`
    """
    from magicpose_cli.benchmarks.warp_benchmark import measure_warp
    from magicpose_cli.cli.bench_tables import print_warp
    from magicpose_cli.cli.progress_bars import shown

    with shown(quiet) as on_progress:
        measured = measure_warp(repeat, detector=detector, on_progress=on_progress)
    _print(measured, as_json, print_warp)


@app.command("turn")
@with_exit_code
def turn_command(
    people: Annotated[int, typer.Option("--people", "-n", min=1, max=1000, metavar="N",
        help="Rendered people that no training has seen, six views each.")] = 8,
    orbit: Annotated[bool, typer.Option("--orbit",
        help="The whole person turns, not the head alone.")] = False,
    detector: Annotated[str, typer.Option(metavar="NAME", help="As of animate.")] = "auto",
    as_json: AsJson = False,
    quiet: Quiet = False,
) -> None:  # fmt: skip
    """Measure how true turned views are, on rendered people whose other sides are known.

    Example: `magicpose bench turn -n 16`
    """
    from magicpose_cli.benchmarks.turn_benchmark import measure_turns
    from magicpose_cli.cli.bench_tables import print_turns
    from magicpose_cli.cli.progress_bars import shown

    with shown(quiet) as on_progress:
        measured = measure_turns(people, orbit=orbit, detector=detector, on_progress=on_progress)
    _print(measured, as_json, print_turns)


@app.command("augment")
@with_exit_code
@setting_options("model.name", "model.device")
def augment_command(
    people: Annotated[int, typer.Option(min=2, max=10_000, metavar="N",
        help="Rendered people of the training set.")] = 100,
    test_people: Annotated[int, typer.Option(min=2, max=10_000, metavar="N",
        help="Others, for the test.")] = 50,
    pictures: Annotated[int, typer.Option(min=2, max=1000, metavar="N",
        help="Pictures of each in the training set.")] = 6,
    made: Annotated[int, typer.Option(min=1, max=1000, metavar="N",
        help="Pictures made of each.")] = 8,
    steps: Annotated[int, typer.Option(min=2, max=1_000_000, metavar="N",
        help="Steps of each training.")] = 1500,
    seeds: Annotated[int, typer.Option(min=1, max=100, metavar="N",
        help="Trainings of each set.")] = 3,
    folder: Annotated[Path | None, typer.Option(metavar="FOLDER",
        help="Keep the pictures here; a run that was stopped goes on.")] = None,
    as_json: AsJson = False,
    quiet: Quiet = False,
    *,
    typed: Typed,
) -> None:  # fmt: skip
    """Measure what `augment` brings to a re-identification network, on rendered people.

    Example: `magicpose bench augment --people 20 --test-people 20 --steps 400 --model mini`
    """
    from magicpose_cli.benchmarks.augment_benchmark import measure_augmenting
    from magicpose_cli.benchmarks.augment_sets import BenchScale
    from magicpose_cli.cli.bench_tables import print_augmenting
    from magicpose_cli.cli.progress_bars import shown
    from magicpose_cli.run.preflight import resolve_preset
    from magicpose_cli.run.temporary import temporary_folder

    scale = BenchScale(
        people=people, test_people=test_people, pictures=pictures, made=made, steps=steps,
        seeds=seeds,
    )  # fmt: skip
    preset = resolve_preset(None).with_options(**typed)
    with temporary_folder() as own, shown(quiet) as on_progress:
        measured = measure_augmenting(folder or own, scale, preset, on_progress)
    _print(measured.as_dict() if as_json else measured, as_json, print_augmenting)


app.command("gpu")(gpu_command)
app.command("workers")(workers_command)


def _check_plot(plot: Path | None) -> None:
    """Before the work, not after it: matplotlib is there, the picture can be written."""
    from magicpose_cli.config.extras import needed
    from magicpose_cli.errors import printable
    from magicpose_cli.files import check_writable

    if plot is not None:
        needed("matplotlib")
        if plot.suffix.lower() not in PLOT_SUFFIXES:
            raise typer.BadParameter(
                f"--plot {printable(str(plot))}: expected one of {', '.join(PLOT_SUFFIXES[1:])}"
            )
        check_writable(plot, overwrite=True)


def _print(measured: Any, as_json: bool, print_table: Callable[[Any], None]) -> None:
    """Print what was measured, as JSON or as a table."""
    if as_json:
        print_json(measured)
    else:
        print_table(measured)
