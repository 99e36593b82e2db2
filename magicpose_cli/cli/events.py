"""Events on stdout for scripts: one JSON object a line, each with the key `event`.

`progress` has stage, done, total, unit and note; `result` is the last line of a run that ends well,
`error` of one that does not.
"""

from __future__ import annotations

import json
import sys
import time
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from magicpose_cli.progress import Progress

EVENT_INTERVAL_S = 0.2  # between two events of one stage, but for its first and its last


def tell(event: str, **facts: Any) -> None:
    """Write one event; it is there at once, whoever reads it."""
    sys.stdout.write(json.dumps({"event": event, **facts}) + "\n")
    sys.stdout.flush()


class Events:
    """Shows progress as events, a few a second."""

    def __init__(self) -> None:
        self._stage, self._told = "", 0.0

    def __call__(self, progress: Progress) -> None:
        """Write an event, unless one of the same stage was written a moment ago."""
        now = time.monotonic()
        begins, ends = progress.stage != self._stage, progress.done >= progress.total
        if not begins and not ends and now - self._told < EVENT_INTERVAL_S:
            return
        self._stage, self._told = progress.stage, now
        tell("progress", **asdict(progress))
