"""Progress: bars on a terminal, plain lines elsewhere, both on stderr; or JSON on stdout."""

from __future__ import annotations

import sys
import time
from collections import deque
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from magicpose_cli.cli.events import Events
from magicpose_cli.cli.say import say
from magicpose_cli.errors import printable

if TYPE_CHECKING:
    from magicpose_cli.progress import OnProgress, Progress

STAGE_LABELS = {
    "model": "loading",
    "poses": "detecting poses",
    "camera": "following the camera",
    "convert": "converting",
    "page": "making the page",
    "render": "rendering",
    "fit": "fitting the body",
    "overlay": "drawing",
    "maps": "drawing maps",
}
LINE_EVERY_S = 5.0
MIN_PACE_S = 2.0  # before, a rate would mean nothing
MAX_PACE_MARKS = 30  # seconds, or batches that take longer, over which it is measured


@contextmanager
def shown(quiet: bool, as_json: bool = False) -> Iterator[OnProgress]:
    """A function that shows each Progress it is given; nothing where quiet.

    as_json: as events on stdout, see events.py.
    """
    if quiet:
        yield lambda progress: None
    elif as_json:
        yield Events()
    elif sys.stderr.isatty():
        with _bars() as draw:
            yield draw
    else:
        yield _Lines()


@contextmanager
def _bars() -> Iterator[OnProgress]:
    from rich import progress as bars
    from rich.console import Console

    columns = (
        bars.TextColumn("{task.description:>16}"),
        bars.BarColumn(),
        bars.MofNCompleteColumn(),
        bars.TextColumn("{task.fields[pace]}"),
    )
    with bars.Progress(*columns, console=Console(stderr=True)) as drawn:
        tasks: dict[str, bars.TaskID] = {}
        paces: dict[str, Pace] = {}
        said = ""

        def draw(progress: Progress) -> None:
            nonlocal said
            if progress.stage == "plan":
                if progress.note != said:  # the jobs of a batch mostly share it
                    drawn.console.print(printable(progress.note), markup=False, highlight=False)
                said = progress.note
                return
            if progress.stage == "jobs":  # the next one begins, and its stages with it
                for stage in [name for name in tasks if name != "jobs"]:
                    drawn.remove_task(tasks.pop(stage))
            if progress.stage not in tasks:
                name = STAGE_LABELS.get(progress.stage, progress.stage)
                tasks[progress.stage] = drawn.add_task(name, total=progress.total, pace="")
                paces[progress.stage] = Pace()
            drawn.update(
                tasks[progress.stage],
                completed=progress.done,
                total=progress.total,
                pace=paces[progress.stage](progress, time.monotonic()),
            )

        yield draw


class _Lines:
    """A line when a stage starts and ends, and every few seconds between."""

    def __init__(self) -> None:
        self._stage, self._said, self._plan = "", 0.0, ""
        self._pace = Pace()

    def __call__(self, progress: Progress) -> None:
        now = time.monotonic()
        if progress.stage == "plan":
            if progress.note != self._plan:  # the jobs of a batch mostly share it
                say(progress.note)
            self._plan = progress.note
            return
        if progress.stage != self._stage:
            self._stage, self._said, self._pace = progress.stage, 0.0, Pace()
        pace = self._pace(progress, now)
        name = STAGE_LABELS.get(progress.stage, progress.stage)
        if progress.total <= 1:
            if progress.done == 0:
                say(name)
            return
        if progress.done < progress.total and now - self._said < LINE_EVERY_S:
            return
        self._said = now
        line = f"{name}: {progress.done}/{progress.total} {progress.unit}"
        say(f"{line}, {pace}" if pace else line)


class Pace:
    """How fast a stage goes, in its own words where it has some, and when it ends.

    It is measured from the first piece that is done: what comes before is getting ready, once. And
    of the last pieces alone: those that a former run has made are there at once. Pieces come many
    at a time, so that only the first of each second counts.
    """

    def __init__(self) -> None:
        self._marks: deque[tuple[float, int]] = deque(maxlen=MAX_PACE_MARKS)
        self._begin: int | None = None
        self._rate = 0.0

    def __call__(self, progress: Progress, now: float) -> str:
        """What can be said now, a time in seconds; "" where a rate would mean nothing yet."""
        if self._begin is None:
            self._begin = progress.done
        if progress.done > self._begin and (not self._marks or now - self._marks[-1][0] >= 1):
            self._marks.append((now, progress.done))
            since, first = self._marks[0]
            span = now - since
            self._rate = (progress.done - first) / span if span >= MIN_PACE_S else 0.0
        told = [progress.note] if progress.note else []
        if self._rate:
            told = told or [f"{self._rate:.1f} {progress.unit}/s"]
            if left := progress.total - progress.done:
                told.append(f"{left / self._rate:.0f} s left")
        return ", ".join(told)
