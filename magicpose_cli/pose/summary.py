"""What is in a clip of poses, in numbers: how much is seen, how much it shakes, what is missing."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from magicpose_cli.arrays import Floats
from magicpose_cli.pose.clip import PART_COLUMNS, PeopleClip, PoseClip
from magicpose_cli.pose.tracking.person_size import person_sizes
from magicpose_cli.pose.tracking.runs import runs
from magicpose_cli.pose.tracking.track import TrackReport

USUAL_FPS = 25.0  # where the clip does not tell; only the window of the person's size hangs on it


@dataclass(frozen=True)
class PartSummary:
    """One part of the largest person.

    seen: mean share of its points that are seen, 0..1. mended, held: that were not seen but filled
    from neighbors, or left as seen last; 0 where nobody was followed. jitter: mean length of the
    second difference of its points, in % of the person's size (diagonal of the box around the
    joints), where three frames in a row show them; None where none do. gaps: runs of frames in
    which none of its points was seen.
    """

    seen: float
    mended: float
    held: float
    jitter: float | None
    gaps: int
    longest_gap: int
    """Frames."""


@dataclass(frozen=True)
class Summary:
    """A clip; times are None where the frame rate is not known.

    seen: share of frames in which anybody was seen; mended, held: in which the person was not, and
    is shown between or as seen last. gaps: runs of frames without anybody seen, the ends included.
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
    mended: float
    held: float
    gaps: int
    longest_gap: int
    """Frames."""
    longest_gap_s: float | None
    parts: dict[str, PartSummary]


def summarize(clip: PeopleClip, track: TrackReport | None = None) -> Summary:
    """Numbers of a clip; those of the parts are of the largest person in each frame.

    track: how the clip was made out of what was seen; without it all that is there was seen.
    """
    person = clip.largest
    person.forget_impossible_points()
    size = person_sizes(person, clip.fps or USUAL_FPS)
    people = [len(people) for people in clip.people]
    unseen = np.array(people) == 0
    held = 0
    if track is not None:
        unseen[list(track.missing)] = True
        held = sum(last - first + 1 for first, last in track.held)
    empty = list(runs(unseen))
    longest = max((end - start for start, end in empty), default=0)
    return Summary(
        frames=len(people),
        fps=clip.fps,
        duration_s=len(people) / clip.fps if clip.fps else None,
        width=clip.width,
        height=clip.height,
        people_mean=float(np.mean(people)),
        people_most=max(people),
        seen=float(np.mean(~unseen)),
        mended=(len(track.missing) - held) / len(people) if track is not None else 0.0,
        held=held / len(people),
        gaps=len(empty),
        longest_gap=longest,
        longest_gap_s=longest / clip.fps if clip.fps else None,
        parts={
            part: _part(
                person,
                size,
                columns,
                track.parts.get(part) if track and person.seen[:, columns].any() else None,
            )
            for part, columns in PART_COLUMNS.items()
        },
    )


def _part(
    clip: PoseClip, size: Floats, columns: slice, track: dict[str, float] | None
) -> PartSummary:
    seen = clip.seen[:, columns]
    gaps = [end - start for start, end in runs(~seen.any(axis=1))]
    bend = np.hypot(
        *np.moveaxis(np.diff(clip.points[:, columns].astype(np.float64), 2, axis=0), 2, 0)
    )
    bend = 100 * bend / size[1:-1, None]
    bend = bend[np.isfinite(bend)]
    told = track or {
        "seen": float(seen.mean()),
        "mended": 0.0,
        "held": 0.0,
        "gaps": len(gaps),
        "longest_gap": max(gaps, default=0),
    }
    return PartSummary(
        seen=told["seen"],
        mended=told["mended"],
        held=told["held"],
        jitter=float(bend.mean()) if len(bend) else None,
        gaps=int(told["gaps"]),
        longest_gap=int(told["longest_gap"]),
    )
