"""A run of many jobs: one after the other, the outcome of each, and a report of all."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass
from pathlib import Path
from traceback import format_exception_only
from typing import Any, Literal

from magicpose_cli.animation import animate
from magicpose_cli.batch.done import differences, stands
from magicpose_cli.batch.jobs import Job
from magicpose_cli.config.preset import Preset
from magicpose_cli.errors import MagicPoseError, OutputError
from magicpose_cli.files import check_writable, write_json
from magicpose_cli.progress import OnProgress, Progress, silent
from magicpose_cli.run.preflight import make_plan
from magicpose_cli.run.resources import Resources

Status = Literal["waiting", "ready", "done", "skipped", "failed", "stopped"]
"""A "ready" job was checked by a dry run; a "stopped" one ended by Ctrl-C or a bug, with its
finished frames kept."""


@dataclass
class Outcome:
    """The outcome of one job.

    Attributes:
        job: Its number, from 1.
        reference: Path.
        driver: Path.
        output: Path.
        status: How it ended, or "waiting".
        error: The line of a failed or stopped job.
        seconds: That it took.
        frames: Of its video.
        notes: Lines for the user.
    """

    job: int
    reference: str
    driver: str
    output: str
    status: Status = "waiting"
    error: str | None = None
    seconds: float = 0.0
    frames: int = 0
    notes: tuple[str, ...] = ()


OnOutcome = Callable[[Job, Outcome], None]


class BatchRun:
    """Jobs and their outcomes, in order.

    Args:
        jobs: To be done.
        overwrite: Replace existing outputs.
        skip_done: Leave outputs that were made of the same files with the same settings.
        report: A JSON file, written anew after each job.
    """

    def __init__(
        self,
        jobs: Sequence[Job],
        *,
        overwrite: bool = False,
        skip_done: bool = False,
        report: Path | None = None,
    ):
        self.jobs = jobs
        self.outcomes = [Outcome(j.number, j.reference, j.driver, j.output) for j in jobs]
        self._overwrite = overwrite
        self._skip_done = skip_done
        self._report = report

    def run(
        self,
        resources: Resources,
        on_progress: OnProgress = silent,
        on_outcome: OnOutcome = lambda job, outcome: None,
    ) -> None:
        """Do all jobs with the same resources; a failed job does not keep others from being done.

        Args:
            resources: Shared by all jobs.
            on_progress: Called with the progress of the jobs and of each job.
            on_outcome: Called after each job.

        Raises:
            OutputError: The report cannot be written, which is found before the first job, or
                after the last one. Any other error than a MagicPoseError ends the batch.
        """

        def make(job: Job, preset: Preset, outcome: Outcome) -> None:
            record = animate(
                job.reference, job.driver, job.output, preset,
                overwrite=self._overwrite, resources=resources, on_progress=on_progress,
            )  # fmt: skip
            outcome.status, outcome.frames = "done", record.frames
            outcome.notes = (*record.motion.notes, *record.notes)

        if self._report is not None:
            check_writable(self._report, overwrite=True)
            self._report.parent.mkdir(parents=True, exist_ok=True)
        self._each(make, on_progress, on_outcome)
        try:
            self._write_report()
        except OutputError as error:
            raise OutputError(f"{error}; all jobs have been worked off") from error

    def check(
        self,
        on_progress: OnProgress = silent,
        on_outcome: OnOutcome = lambda job, outcome: None,
    ) -> None:
        """Check all jobs and write nothing: those that can be made get the status "ready"."""
        self._report = None

        def look(job: Job, preset: Preset, outcome: Outcome) -> None:
            plan, *_ = make_plan(
                job.reference, job.driver, job.output, preset,
                overwrite=self._overwrite, dry_run=True,
            )  # fmt: skip
            outcome.status, outcome.frames = "ready", plan.frames

        self._each(look, on_progress, on_outcome)

    def _each(
        self,
        do: Callable[[Job, Preset, Outcome], None],
        on_progress: OnProgress,
        on_outcome: OnOutcome,
    ) -> None:
        total = len(self.jobs)
        for at, (job, outcome) in enumerate(zip(self.jobs, self.outcomes, strict=True)):
            on_progress(Progress("jobs", at, total, "jobs"))
            start = time.perf_counter()
            try:
                preset = job.resolve()
                if not self._skips(job, preset, outcome):
                    do(job, preset, outcome)
            except MagicPoseError as error:
                outcome.status, outcome.error = "failed", " ".join(str(error).splitlines())
            except BaseException as error:
                outcome.status, outcome.error = "stopped", _named(error)
                raise
            finally:
                outcome.seconds = round(time.perf_counter() - start, 3)
                # A disk that is full now may have room after the next job; `run` tries once more.
                with suppress(OutputError):
                    self._write_report()
            on_outcome(job, outcome)
        on_progress(Progress("jobs", total, total, "jobs"))

    def _skips(self, job: Job, preset: Preset, outcome: Outcome) -> bool:
        """Tell whether the job's video exists already.

        Raises:
            OutputError: Another video exists at its output, and `overwrite` is not given.
        """
        if not self._skip_done or not stands(job):
            return False
        others = differences(job, preset)
        if others and not self._overwrite:
            raise OutputError(
                f"{job.output} stands, but not as asked ({'; '.join(others)}); give --overwrite to "
                "make it again"
            )
        if not others:
            outcome.status = "skipped"
        return not others

    @property
    def totals(self) -> dict[str, Any]:
        """The number of jobs of each status, and their seconds and frames."""
        statuses = [outcome.status for outcome in self.outcomes]
        counts = {name: statuses.count(name) for name in ("done", "skipped", "failed", "waiting")}
        counts.update({name: statuses.count(name) for name in ("ready", "stopped")})
        return {
            "jobs": len(self.jobs),
            **counts,
            "seconds": round(sum(outcome.seconds for outcome in self.outcomes), 3),
            "frames": sum(o.frames for o in self.outcomes if o.status in ("done", "ready")),
        }

    def as_dict(self) -> dict[str, Any]:
        """Return the report: totals, and an entry for each job."""
        return {"totals": self.totals, "jobs": [asdict(outcome) for outcome in self.outcomes]}

    def _write_report(self) -> None:
        if self._report is not None:
            write_json(self._report, self.as_dict())


def _named(error: BaseException) -> str:
    """Describe a bug in one line; the caller shows its traceback."""
    return " ".join(format_exception_only(error)[-1].split())
