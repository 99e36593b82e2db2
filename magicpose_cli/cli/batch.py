"""The command `magicpose batch`."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from magicpose_cli.cli.events import tell
from magicpose_cli.cli.options import Devices, RayAddress, Workers, option
from magicpose_cli.cli.say import say

if TYPE_CHECKING:
    from magicpose_cli.batch import BatchRun, ForAll, Job, Outcome

JOBS, ALL, OUT = "Jobs", "For all jobs", "Output"
JobList = Annotated[str | None, typer.Argument(metavar="JOBS", show_default=False,
    help="Job list: .csv, .jsonl or .toml, or - for JSONL on stdin. Each job has a reference, "
    "a driver, an out and any settings; its paths are relative to the list's folder.")]  # fmt: skip
RefPatterns = Annotated[list[str] | None, option("--refs", panel=JOBS, metavar="PATTERN",
    help="Instead of a list, all pairs of these pictures (quote the pattern; repeatable)...")
    ]  # fmt: skip
DriverPatterns = Annotated[list[str] | None, option("--drivers", panel=JOBS, metavar="PATTERN",
    help="...and these drivers.")]  # fmt: skip


def command(
    jobs: JobList = None,
    refs: RefPatterns = None,
    drivers: DriverPatterns = None,
    name: Annotated[str | None, option("--name", panel=JOBS, metavar="TEMPLATE",
        help="Output of a job that names none, with {ref}, {driver}, {n} and {preset} (default: "
        "{ref}_{driver}.mp4).")] = None,
    out_dir: Annotated[Path | None, option("--out-dir", panel=JOBS, metavar="DIR",
        help="Where outputs go (default: the list's folder).")] = None,
    preset: Annotated[str | None, option("--preset", "-p", panel=ALL, metavar="NAME|FILE",
        help="Preset of every job, whatever it says itself.")] = None,
    settings: Annotated[list[str] | None, option("--set", panel=ALL, metavar="KEY=VALUE",
        help="A setting of every job, such as steps=20 or frame.fit=pad; repeatable.")] = None,
    workers: Workers = 0,
    devices: Devices = "",
    ray: RayAddress = None,
    skip_done: Annotated[bool, option("--skip-done", panel=OUT,
        help="Leave videos that stand, made of the same files with the same settings.")] = False,
    overwrite: Annotated[bool, option("--overwrite", "-y", panel=OUT,
        help="Replace what stands at an output.")] = False,
    jobs_report: Annotated[Path | None, option("--jobs-report", panel=OUT, metavar="FILE",
        help="JSON of what came of each job, kept true after each.")] = None,
    dry_run: Annotated[bool, option("--dry-run", panel=OUT,
        help="Check all jobs, list every problem, make nothing.")] = False,
    as_json: Annotated[bool, option("--json", panel=OUT,
        help="Events on stdout, one JSON object a line; the last is the report.")] = False,
    quiet: Annotated[bool, option("--quiet", "-q", panel=OUT,
        help="No progress; failures are told.")] = False,
) -> None:  # fmt: skip
    """Make many videos with the models loaded once; a failing job does not stop the others.

    Examples:
    * `magicpose batch jobs.csv --skip-done --jobs-report report.json`
    * `magicpose batch --refs 'people/*.png' --drivers 'moves/*.mp4' --out-dir videos`
    """
    from magicpose_cli.batch import BatchRun, ForAll
    from magicpose_cli.cli.progress_bars import shown
    from magicpose_cli.run.resources import Resources, WorkerConfig

    for_all = ForAll.typed(preset, settings or (), name, out_dir)
    batch = BatchRun(
        _listed(jobs, refs or [], drivers or [], for_all),
        overwrite=overwrite, skip_done=skip_done, report=jobs_report,
    )  # fmt: skip
    try:
        with shown(quiet, as_json) as on_progress:
            if dry_run:
                batch.check(on_progress, _tell)
            else:
                with Resources(WorkerConfig.typed(workers, devices, ray)) as resources:
                    batch.run(resources, on_progress, _tell)
    finally:
        if not quiet:
            _sum_up(batch)
    if as_json:
        tell("result", **batch.as_dict())
    if batch.totals["failed"]:
        raise typer.Exit(1)


def _listed(jobs: str | None, refs: list[str], drivers: list[str], for_all: ForAll) -> list[Job]:
    from magicpose_cli.batch import pair_jobs, read_jobs
    from magicpose_cli.errors import ConfigError

    if jobs is not None and not refs and not drivers:
        return read_jobs(jobs, for_all)
    if jobs is None and refs and drivers:
        return pair_jobs(refs, drivers, for_all)
    raise ConfigError(
        "expected either one job list or both --refs and --drivers; quote patterns, as in "
        "--refs 'people/*.png', so that the shell leaves them alone"
    )


def _tell(job: Job, outcome: Outcome) -> None:
    if outcome.status == "failed":
        say(f"{job}: {outcome.error}")


def _sum_up(batch: BatchRun) -> None:
    """One line at the end; by then it may have been stopped."""
    totals = batch.totals
    states = ("done", "ready", "skipped", "failed", "stopped", "waiting")
    told = ", ".join(f"{totals[state]} {state}" for state in states if totals[state])
    say(f"{totals['jobs']} jobs: {told} ({totals['seconds']:.1f} s)")
