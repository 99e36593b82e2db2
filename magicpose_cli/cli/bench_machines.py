"""The commands of `magicpose bench` that measure machines: a GPU lent for minutes."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from magicpose_cli.cli.options import Quiet
from magicpose_cli.cli.outcome import with_exit_code
from magicpose_cli.cli.say import say

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
        default_recipe,
        open_gpu_run,
        run_gpu_parts,
    )
    from magicpose_cli.cli.bench_tables import print_json
    from magicpose_cli.cli.gpu_tables import print_gpu_run, write_gpu_markdown
    from magicpose_cli.training.recipe import load_recipe

    if rehearse:
        device = "cpu"
    elif not count:
        check_gpu(device)
    trained = default_recipe(rehearse=rehearse) if recipe is None else recipe
    trained = "" if trained == "none" else trained
    if trained:
        load_recipe(trained)  # before the work, not after it
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
