"""Progress as an event, which the caller may draw."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass


@dataclass(frozen=True)
class Progress:
    """So much of a stage is done.

    Attributes:
        stage: Its short name, such as "render".
        done: How many of `total` units are done.
        total: All units of the stage.
        unit: What is counted.
        note: A remark for the user, or "".
    """

    stage: str
    done: int
    total: int
    unit: str = "frames"
    note: str = ""


OnProgress = Callable[[Progress], None]


def silent(progress: Progress) -> None:
    """Ignore progress."""
