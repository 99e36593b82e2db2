"""What the page needs of a finished run: its record, its sources, the gaps in its driver."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import groupby
from pathlib import Path

from magicpose_cli.config.user_home import expanded
from magicpose_cli.errors import InputError
from magicpose_cli.run.run_record import Result, read_run_record, sidecar_path

MAX_SHOWN_FRAMES = 2_000_000


@dataclass(frozen=True)
class Gap:
    """Frames in a row without a detection. held: shown as seen last, else filled by neighbors."""

    first: int
    last: int
    held: bool


def read_run(output: Path) -> Result:
    """The run that made this video or folder. Raises InputError, for too many frames as well."""
    run = read_run_record(output)
    missing = run.motion.track.missing if run.motion.track else ()
    if max([run.frames, *missing]) > MAX_SHOWN_FRAMES:
        raise InputError(
            f"{sidecar_path(output)} tells of more than {MAX_SHOWN_FRAMES} frames, which is too "
            "many for a page"
        )
    return run


def source_of(run: Result, output: Path, named: str) -> Path:
    """Where a file that the run was given lies now.

    It is named as it was typed: below the folder in which the run was started, which the output
    tells by its own name, else below this one, else beside the output.
    """
    path, typed = expanded(named), Path(run.plan.output)
    if path.is_absolute():
        return path
    places = [Path(), output.parent]
    whole = output.resolve()
    if not typed.is_absolute() and whole.parts[-len(typed.parts) :] == typed.parts:
        places.insert(0, Path(*whole.parts[: -len(typed.parts)]))
    found = [place / path for place in places if (place / path).exists()]
    return found[0] if found else path


def gaps_of(run: Result) -> list[Gap]:
    """The frames without a detection, in order, those in a row together."""
    track = run.motion.track
    if track is None:
        return []
    held: set[int] = set()
    for first, last in track.held:
        held.update(range(first, min(last, MAX_SHOWN_FRAMES) + 1))
    marked = [(frame, frame in held) for frame in sorted(set(track.missing) | held)]
    gaps = []
    for _, row in groupby(enumerate(marked), lambda at: (at[1][0] - at[0], at[1][1])):
        frames = [frame for _, (frame, _) in row]
        gaps.append(Gap(first=frames[0], last=frames[-1], held=frames[0] in held))
    return gaps
