"""A finished run as its sidecar tells it: OUT.mp4.json, checked before anything of it is used."""

from __future__ import annotations

import json
from itertools import groupby
from pathlib import Path
from typing import Annotated, Any

from pydantic import BaseModel, Field, ValidationError, model_validator

from magicpose_cli.config.user_home import expanded
from magicpose_cli.errors import InputError
from magicpose_cli.run.preflight import MOST_OF_SIDECAR, sidecar_path

MAX_FRAMES = 2_000_000
Side = Annotated[int, Field(ge=1, le=16384)]
Frame = Annotated[int, Field(ge=0, lt=MAX_FRAMES)]
Finite = Annotated[float, Field(allow_inf_nan=False)]


class Planned(BaseModel):
    """What the run was to do; see plan.Plan. A former run knew no warp: its network made frames of
    the result's size."""

    reference: str
    driver: str
    driver_kind: str
    output: str
    model: str
    width: Side
    height: Side
    network_width: Side
    network_height: Side
    fps: float = Field(gt=0, le=1000)
    steps: int
    guidance: Finite
    scheduler: str | None = None
    seed: int
    pose_canvas: Side
    warp: bool = False
    trusts_network: bool = True

    @model_validator(mode="before")
    @classmethod
    def _of_a_former_run(cls, told: Any) -> Any:
        if not isinstance(told, dict):
            return told
        sides = {f"network_{side}": told[side] for side in ("width", "height") if side in told}
        return {**sides, **told}


class Tracked(BaseModel):
    """What was found and mended; see TrackReport."""

    frames: int
    missing: list[Frame]
    held: list[tuple[Frame, Frame]]
    people: int
    flips: int
    jumps: int
    jitter_before: Finite
    jitter_after: Finite


class Moved(BaseModel):
    """How the motion came onto the reference; see motion.Motion."""

    detector: str
    retarget: str
    anchor: int | None = None
    window: tuple[Finite, Finite, Finite, Finite]
    track: Tracked | None = None
    notes: list[str] = []


class Run(BaseModel):
    """A finished run; see animation.Result. What a later version adds is passed over."""

    plan: Planned
    frames: int = Field(ge=1, le=MAX_FRAMES)
    motion: Moved
    seconds: dict[str, Finite]
    preset: dict[str, Any]
    versions: dict[str, str]
    model_sha256: str
    poses: str | None = None
    resumed: int = 0
    notes: list[str] = []


class Gap(BaseModel):
    """Frames in a row without a detection. held: shown as seen last, else filled by neighbors."""

    first: int
    last: int
    held: bool


def read_run(output: Path) -> Run:
    """The run that made this video or folder. Raises InputError."""
    if not output.exists():
        raise InputError(f"{output} does not exist; give what `magicpose animate` has written")
    path = sidecar_path(output)
    if not path.is_file():
        raise InputError(
            f"{output}: there is no {path.name} beside it, which `magicpose animate` writes; give "
            "a finished run's video or folder"
        )
    try:
        if path.stat().st_size > MOST_OF_SIDECAR:
            most = MOST_OF_SIDECAR >> 20
            raise InputError(f"{path} is larger than {most} MiB: no sidecar of a run")
        return Run.model_validate(json.loads(path.read_bytes()))
    except OSError as error:
        raise InputError(f"{path} cannot be read: {error.strerror}; check its rights") from error
    except (ValueError, RecursionError) as error:
        said = str(error)
        if isinstance(error, ValidationError):
            first = error.errors(include_url=False)[0]
            said = ": ".join(filter(None, (".".join(map(str, first["loc"])), first["msg"])))
        raise InputError(
            f"{path} does not describe a finished run ({' '.join(said.split())[:200]}); make the "
            "video again with `magicpose animate`"
        ) from error


def source_of(run: Run, output: Path, named: str) -> Path:
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


def gaps_of(run: Run) -> list[Gap]:
    """The frames without a detection, in order, those in a row together."""
    track = run.motion.track
    if track is None:
        return []
    held: set[int] = set()
    for first, last in track.held:
        held.update(range(first, min(last, MAX_FRAMES) + 1))
    marked = [(frame, frame in held) for frame in sorted(set(track.missing) | held)]
    gaps = []
    for _, row in groupby(enumerate(marked), lambda at: (at[1][0] - at[0], at[1][1])):
        frames = [frame for _, (frame, _) in row]
        gaps.append(Gap(first=frames[0], last=frames[-1], held=frames[0] in held))
    return gaps
