"""Progress: bars on a terminal, plain lines elsewhere, both on stderr; or JSON on stdout."""

from __future__ import annotations

import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from magicpose_cli.cli.events import Events

if TYPE_CHECKING:
    from magicpose_cli.progress import OnProgress, Progress

NAMES = {
    "model": "loading",
    "poses": "detecting poses",
    "convert": "converting",
    "page": "making the page",
    "render": "rendering",
    "overlay": "drawing",
}
LINE_EVERY_S = 5.0


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

    class Pace(bars.ProgressColumn):
        """Over the whole stage: frames come in batches, a momentary rate would jump."""

        def render(self, task: bars.Task) -> str:
            elapsed = task.finished_time or task.elapsed
            if task.total == 1 or not task.completed or not elapsed:
                return ""
            progress = task.fields["progress"]
            return _pace(task.completed - task.fields["first"], elapsed, progress)

    columns = (
        bars.TextColumn("{task.description:>16}"),
        bars.BarColumn(),
        bars.MofNCompleteColumn(),
        Pace(),
    )
    with bars.Progress(*columns, console=Console(stderr=True)) as drawn:
        tasks: dict[str, bars.TaskID] = {}

        said = ""

        def draw(progress: Progress) -> None:
            nonlocal said
            if progress.stage == "plan":
                if progress.note != said:  # the jobs of a batch mostly share it
                    drawn.console.print(progress.note, markup=False, highlight=False)
                said = progress.note
                return
            if progress.stage == "jobs":  # the next one begins, and its stages with it
                for stage in [name for name in tasks if name != "jobs"]:
                    drawn.remove_task(tasks.pop(stage))
            if progress.stage not in tasks:
                name = NAMES.get(progress.stage, progress.stage)
                tasks[progress.stage] = drawn.add_task(
                    name, total=progress.total, progress=progress, first=progress.done
                )
            drawn.update(
                tasks[progress.stage],
                completed=progress.done,
                total=progress.total,
                progress=progress,
            )

        yield draw


class _Lines:
    """A line when a stage starts and ends, and every few seconds between."""

    def __init__(self) -> None:
        self._stage, self._start, self._said, self._first = "", 0.0, 0.0, 0
        self._plan = ""

    def __call__(self, progress: Progress) -> None:
        now = time.monotonic()
        if progress.stage == "plan":
            if progress.note != self._plan:  # the jobs of a batch mostly share it
                sys.stderr.write(f"{progress.note}\n")
            self._plan = progress.note
            return
        if progress.stage != self._stage:
            self._stage, self._start, self._said = progress.stage, now, 0.0
            self._first = progress.done
        name = NAMES.get(progress.stage, progress.stage)
        if progress.total <= 1:
            if progress.done == 0:
                sys.stderr.write(f"{name}\n")
            return
        if progress.done < progress.total and now - self._said < LINE_EVERY_S:
            return
        self._said = now
        line = f"{name}: {progress.done}/{progress.total} {progress.unit}"
        elapsed = now - self._start
        if progress.done and elapsed > 0.5:  # before, a rate would mean nothing
            line += f", {_pace(progress.done - self._first, elapsed, progress)}"
        sys.stderr.write(f"{line}\n")
        sys.stderr.flush()


def _pace(done: float, elapsed: float, progress: Progress) -> str:
    """How fast it goes, in the stage's own words where it has some, and when it ends.

    done: what has been done in `elapsed` seconds; a resumed stage does not begin at 0.
    """
    rate = done / elapsed
    told = progress.note or f"{rate:.1f} {progress.unit}/s"
    left = progress.total - progress.done
    return f"{told}, {left / rate:.0f} s left" if rate else told
