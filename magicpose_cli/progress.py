"""Progress as an event; who draws it is the caller's affair."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass


@dataclass(frozen=True)
class Progress:
    """Something got done: `done` of `total` units of a stage; note: what else is worth saying."""

    stage: str
    done: int
    total: int
    unit: str = "frames"
    note: str = ""


OnProgress = Callable[[Progress], None]


def silent(progress: Progress) -> None:
    """Draws nothing."""
