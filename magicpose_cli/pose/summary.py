"""What is in a clip of poses, in numbers: how much is seen, how much it shakes, what is missing."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from magicpose_cli.pose.files.clip import PoseClip
from magicpose_cli.pose.tracking.stack import COLUMNS, Stack, runs, sizes

USUAL_FPS = 25.0  # where the clip does not tell; only the window of the person's size hangs on it


@dataclass(frozen=True)
class PartSummary:
    """One part of the largest person.

    seen: mean share of its points that are seen, 0..1. jitter: mean length of the second difference
    of its points, in % of the person's size (diagonal of the box around the joints), where three
    frames in a row show them; None where none do. gaps: runs of frames without any of its points.
    """

    seen: float
    jitter: float | None
    gaps: int
    longest_gap: int
    """Frames."""


@dataclass(frozen=True)
class Summary:
    """A clip; times are None where the frame rate is not known.

    seen: share of frames with anybody. gaps: runs of frames without anybody, the ends included.
    people_mean, people_most: in a frame.
    """

    frames: int
    fps: float | None
    duration_s: float | None
    width: int
    height: int
    people_mean: float
    people_most: int
    seen: float
    gaps: int
    longest_gap: int
    """Frames."""
    longest_gap_s: float | None
    parts: dict[str, PartSummary]


def summarize(clip: PoseClip) -> Summary:
    """Numbers of a clip; those of the parts are of the largest person in each frame."""
    stack = Stack.of(clip.largest)
    size = sizes(stack, clip.fps or USUAL_FPS)
    people = [len(people) for people in clip.people]
    empty = list(runs(np.array(people) == 0))
    longest = max((end - start for start, end in empty), default=0)
    return Summary(
        frames=len(people),
        fps=clip.fps,
        duration_s=len(people) / clip.fps if clip.fps else None,
        width=clip.width,
        height=clip.height,
        people_mean=float(np.mean(people)),
        people_most=max(people),
        seen=float(np.mean(np.array(people) > 0)),
        gaps=len(empty),
        longest_gap=longest,
        longest_gap_s=longest / clip.fps if clip.fps else None,
        parts={part: _part(stack, size, columns) for part, columns in COLUMNS.items()},
    )


def _part(stack: Stack, size: np.ndarray, columns: slice) -> PartSummary:
    seen = stack.seen[:, columns]
    gaps = list(runs(~seen.any(axis=1)))
    bend = np.hypot(
        *np.moveaxis(np.diff(stack.points[:, columns].astype(np.float64), 2, axis=0), 2, 0)
    )
    bend = 100 * bend / size[1:-1, None]
    bend = bend[np.isfinite(bend)]
    return PartSummary(
        seen=float(seen.mean()),
        jitter=float(bend.mean()) if len(bend) else None,
        gaps=len(gaps),
        longest_gap=max((end - start for start, end in gaps), default=0),
    )
