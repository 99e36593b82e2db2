"""The commands of `magicpose bench` that measure machines: a lent GPU, and many workers."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from magicpose_cli.cli.options import Quiet, Typed, setting_options, whole_numbers
from magicpose_cli.cli.outcome import with_exit_code
from magicpose_cli.cli.say import say

if TYPE_CHECKING:
    from magicpose_cli.benchmarks.worker_costs import SeenRun
    from magicpose_cli.benchmarks.worker_simulation import WorkerCosts

AsJson = Annotated[bool, typer.Option("--json", help="Print everything as JSON on stdout.")]


@with_exit_code
def gpu_command(
    minutes: Annotated[float, typer.Option(min=0.1, max=1440, metavar="N",
        help="Time for all parts of this call together.")] = 12.0,
    folder: Annotated[Path, typer.Option("--out", "-o", metavar="FOLDER",
        help="Results, and the training; a run that was cut goes on from here.")
    ] = Path("magicpose-gpu"),
    device: Annotated[str, typer.Option(metavar="CUDA", help="cuda or cuda:N.")] = "cuda",
    recipe: Annotated[str | None, typer.Option(metavar="RECIPE",
        help="To train in the time that is left, or none. [default: mini, or mini-half where the "
        "model that mini grows from is not there]", show_default=False)] = None,
    count: Annotated[bool, typer.Option("--count",
        help="Only count the operations, beforehand; needs no GPU.")] = False,
    rehearse: Annotated[bool, typer.Option("--rehearse",
        help="All parts at a tiny size on the CPU, in a few minutes.")] = False,
    as_json: AsJson = False,
    quiet: Quiet = False,
) -> None:  # fmt: skip
    """Measure everything on a GPU that is at hand for a quarter of an hour, part after part.

    Every part has a process and a time limit of its own; the same command goes on after a cut.

    Example: `magicpose bench gpu --count -o lent && magicpose bench gpu --minutes 12 -o lent`
    """
    from dataclasses import asdict

    from magicpose_cli.benchmarks.gpu_run import (
        RECORDS,
        TABLE,
        PartRecord,
        check_gpu,
        open_gpu_run,
        run_gpu_parts,
    )
    from magicpose_cli.cli.bench_tables import print_json
    from magicpose_cli.cli.gpu_tables import print_gpu_run, write_gpu_markdown

    if rehearse:
        device = "cpu"
    elif not count:
        check_gpu(device)
    trained = _recipe_to_train(recipe, rehearse)
    run = open_gpu_run(folder, device, rehearse=rehearse, recipe=trained)

    def tell(name: str, record: PartRecord) -> None:
        write_gpu_markdown(run, folder / TABLE)
        if not quiet:
            why = f": {record.reason}" if record.reason else ""
            say(f"{name}: {record.status} in {record.seconds:.0f} s{why}")

    only = ("operations",) if count else ()
    left = run_gpu_parts(run, folder, minutes, only, tell)
    if as_json:
        print_json(asdict(run))
    else:
        print_gpu_run(run)
    if left and not quiet:
        say(f"no time was left for {', '.join(left)}; the same command goes on from {folder}")
    if not quiet:
        say(f"{folder / RECORDS} and {folder / TABLE}: all that was measured")


def _recipe_to_train(recipe: str | None, rehearse: bool) -> str:
    """Its name, empty for none; what is wrong in it is told before the work, not after it."""
    from magicpose_cli.benchmarks.gpu_run import default_recipe
    from magicpose_cli.training.recipe import load_recipe

    name = default_recipe(rehearse=rehearse) if recipe is None else recipe
    if name == "none":
        return ""
    if name:
        load_recipe(name)
    return name


@with_exit_code
@setting_options("model.name")
def workers_command(
    workers: Annotated[str, typer.Option(metavar="NUMBERS",
        help="Numbers of workers, by commas.")] = "1,2,4,8,16,32,64",
    frames: Annotated[int, typer.Option(min=1, max=1_000_000, metavar="N",
        help="Frames of the simulated film.")] = 10_000,
    batch_size: Annotated[int, typer.Option(min=1, max=256, metavar="N",
        help="Frames of a batch.")] = 16,
    frame_ms: Annotated[float | None, typer.Option(min=0.1, max=1e6, metavar="MS",
        help="Of a worker for a frame, such as a GPU's. [default: the model's on one CPU thread]",
        show_default=False)] = None,
    size: Annotated[int | None, typer.Option(min=16, max=4096, metavar="PX",
        help="Side of the frames that are moved and written. [default: the model's]",
        show_default=False)] = None,
    spread: Annotated[float | None, typer.Option(min=0, max=2, metavar="SHARE",
        help="How far the time of batches strays. [default: as measured]",
        show_default=False)] = None,
    slow_share: Annotated[float, typer.Option(min=0, max=1, metavar="SHARE",
        help="Share of the batches that stragglers make.")] = 0.01,
    slow_factor: Annotated[float, typer.Option(min=1, max=1000, metavar="N",
        help="How much longer a straggler takes.")] = 3.0,
    lost_per_hour: Annotated[float, typer.Option(min=0, max=1000, metavar="N",
        help="How often an hour a worker is lost.")] = 0.1,
    network_gbit: Annotated[float | None, typer.Option(min=0.01, max=10_000, metavar="GBIT/S",
        help="Of the first machine, where workers are on others. [default: all on one]",
        show_default=False)] = None,
    ray: Annotated[bool, typer.Option("--ray",
        help="Move frames as Ray does, not by pipes; measured here, too.")] = False,
    seeds: Annotated[int, typer.Option(min=1, max=1000, metavar="N",
        help="Runs for each number of workers.")] = 5,
    as_json: AsJson = False,
    quiet: Quiet = False,
    *,
    typed: Typed,
) -> None:  # fmt: skip
    """Measure what workers cost here, then simulate 1 to 64 of them: where that saturates, and why.

    The simulation is the real scheduler in virtual time; two real workers check it.

    Example: `magicpose bench workers --frame-ms 300 --size 512 --ray --network-gbit 10`
    """
    from dataclasses import replace

    from magicpose_cli.benchmarks.worker_scaling import measure_scaling
    from magicpose_cli.cli.bench_tables import print_json
    from magicpose_cli.cli.worker_tables import print_workers

    numbers = sorted(set(whole_numbers("--workers", workers, 4096, "1,2,4,8")))
    costs, seen = _costs_here(typed, batch_size, size, ray, quiet)
    costs = replace(
        costs,
        frame_s=costs.frame_s if frame_ms is None else frame_ms / 1000,
        spread=costs.spread if spread is None else spread,
        slow_share=slow_share, slow_factor=slow_factor, lost_per_hour=lost_per_hour,
        link_bytes_per_s=None if network_gbit is None else network_gbit * 1e9 / 8,
    )  # fmt: skip
    measured = measure_scaling(costs, numbers, batch_size, frames, seeds, seen)
    if as_json:
        print_json(measured)
    else:
        print_workers(measured)


def _costs_here(
    typed: Typed, batch_size: int, size: int | None, ray: bool, quiet: bool
) -> tuple[WorkerCosts, list[SeenRun]]:
    """What a worker costs here, at that size and by that way, and what was seen of it."""
    from dataclasses import replace

    from magicpose_cli.benchmarks.worker_costs import (
        check_ray,
        costs_of_size,
        measure_worker_costs,
        ray_costs,
    )
    from magicpose_cli.cli.progress_bars import shown
    from magicpose_cli.run.preflight import resolve_preset

    if ray:
        check_ray()
    preset = resolve_preset(None).with_options(**typed)
    with shown(quiet) as on_progress:
        costs, seen = measure_worker_costs(preset, batch_size, on_progress=on_progress)
        if size is not None:
            costs = costs_of_size(costs, size, batch_size)
        if ray:
            send_s, receive_s = ray_costs(costs.frame_bytes, batch_size)
            costs = replace(costs, send_s=send_s, receive_s=receive_s, one_at_a_time=True)
    return costs, seen
