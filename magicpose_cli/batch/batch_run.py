"""A batch at work: one job after the other, what came of each, and the report of it all."""

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
"""ready: checked by a dry run; stopped: by Ctrl-C or a bug, its finished frames are kept."""


@dataclass
class Outcome:
    """What came of a job. frames: of its video; error: the line of a failed one."""

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


class Batch:
    """Jobs and what came of each, in their order.

    overwrite: replace what stands at an output. skip_done: leave what stands where it was made of
    the same files with the same settings. report: a JSON file, whole and true after each job.
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
        """Do all jobs with the same resources; what fails is told in its outcome, the rest goes on.

        Raises OutputError before the work where the report cannot be written, and after it where it
        could not be any more. What is no MagicPoseError (a bug, Ctrl-C) ends the batch.
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
        """Look at all jobs and make none: those that can be made are "ready". Writes nothing."""
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
                # A disk that is full now may have room after the next job; `run` has the last word.
                with suppress(OutputError):
                    self._write_report()
            on_outcome(job, outcome)
        on_progress(Progress("jobs", total, total, "jobs"))

    def _skips(self, job: Job, preset: Preset, outcome: Outcome) -> bool:
        """Whether the job's video stands. Raises OutputError for another one, without overwrite."""
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
        """How many jobs there are of each status, and their seconds and frames."""
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
        """The report: totals, and an entry for each job."""
        return {"totals": self.totals, "jobs": [asdict(outcome) for outcome in self.outcomes]}

    def _write_report(self) -> None:
        """In one step, so that a killed batch leaves a true one."""
        if self._report is None:
            return
        write_json(self._report, self.as_dict())


def _named(error: BaseException) -> str:
    """A bug in one line; its traceback is the caller's."""
    return " ".join(format_exception_only(error)[-1].split())
