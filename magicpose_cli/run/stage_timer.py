"""Who worked when: the seconds of each stage, and the spans that show what ran at the same time."""

from __future__ import annotations

import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from typing import TypeVar

TimedItem = TypeVar("TimedItem")
Span = tuple[str, float, float]
"""stage, begin and end in seconds since the clock was started."""


class StageTimer:
    """Measures stages, also those of several threads at once.

    spans: every piece of work, at most MAX_SPANS of them, so that a long film costs no memory.
    """

    MAX_SPANS = 10_000

    def __init__(self) -> None:
        self.start = time.perf_counter()
        self.spans: list[Span] = []
        self._busy: dict[str, float] = {}

    @property
    def seconds(self) -> dict[str, float]:
        """Seconds that each stage was at work; stages overlap, so they do not add up."""
        return {stage: round(busy, 3) for stage, busy in self._busy.items()}

    @contextmanager
    def __call__(self, stage: str) -> Iterator[None]:
        """Measure a block; one stage is measured by one thread at a time."""
        begin = time.perf_counter() - self.start
        try:
            yield
        finally:
            end = time.perf_counter() - self.start
            self._busy[stage] = self._busy.get(stage, 0.0) + end - begin
            if len(self.spans) < self.MAX_SPANS:
                self.spans.append((stage, round(begin, 4), round(end, 4)))

    def each(self, stage: str, items: Iterable[TimedItem]) -> Iterator[TimedItem]:
        """The same items; the time that making each of them took counts as the stage's."""
        iterator = iter(items)
        while True:
            with self(stage):
                try:
                    item = next(iterator)
                except StopIteration:
                    return
            yield item
