"""The record of a run, OUT.mp4.json beside the video: all that is needed to make it again.

`animate` writes the record, the page about a run and `batch --skip-done` read it. The classes are
plain dataclasses, because a run must not fail at its end for what it has to tell: names of files,
for instance, may hold bytes that are no text. Only what is read is validated, by pydantic.
"""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass, field
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

from pydantic import Field, TypeAdapter, ValidationError

from magicpose_cli.errors import InputError, OutputError
from magicpose_cli.files import move_into_place, unwritable, write_json
from magicpose_cli.run.resume_folder import by_name
from magicpose_cli.video.write import PARTIAL_STEM

if TYPE_CHECKING:
    from magicpose_cli.motion.motion import Motion

MAX_RECORD_BYTES = 256 << 20  # hours of frames without a detection are far below
_MAX_SIDE_PX = 16384

Side = Annotated[int, Field(ge=1, le=_MAX_SIDE_PX)]
FrameIndex = Annotated[int, Field(ge=0, lt=2**31)]
Finite = Annotated[float, Field(allow_inf_nan=False)]
WindowEdges = tuple[Finite, Finite, Finite, Finite]
"""left, top, right, bottom in pixels of the reference; may reach beyond it."""


@dataclass(frozen=True, kw_only=True)
class Plan:
    """What a run will do, known before anything heavy is done; `--dry-run` shows it.

    Attributes:
        reference: Picture, as it was typed.
        driver: Film, folder or file of the motion, as it was typed.
        driver_kind: Kind of the driver as `motion.driver` names it.
        output: File or folder that is written.
        model: Folder of the model; in a dry run the checkpoint that would be converted first.
        width: Pixels of the result.
        height: Pixels of the result.
        network_width: Pixels of the frames that the network makes; differs from `width` with
            `warp` alone.
        network_height: As `network_width`.
        frames: Number of frames.
        fps: Frames per second.
        duration_s: Length in seconds.
        steps: Denoising steps.
        guidance: Scale of the image guidance; 1 is none.
        scheduler: Name of the scheduler; None is the model's own.
        seed: Seed of the noise that all frames share.
        pose_canvas: Side in pixels of the square on which poses are drawn.
        audio: Whether the driver's sound is kept.
        keep_background: Whether frames keep the reference's background.
        warp: Whether the reference's own pixels are moved.
        trusts_network: Whether a warped frame shows the reference's pixels only where the
            network's agree with them.
        steady: Whether the frames of a window attend to each other.
        body_maps: Names of the maps of the body that the network reads beside the pose map.
    """

    reference: str
    driver: str
    driver_kind: str
    output: str
    model: str
    width: Side
    height: Side
    network_width: Side
    network_height: Side
    frames: int = 0
    fps: Annotated[float, Field(gt=0, le=1000)]
    duration_s: float = 0.0
    steps: int
    guidance: Finite
    scheduler: str | None = None
    seed: int
    pose_canvas: Side
    audio: bool = False
    keep_background: bool = False
    warp: bool = False
    trusts_network: bool = True
    steady: bool = False
    body_maps: tuple[str, ...] = ()

    @property
    def size(self) -> tuple[int, int]:
        """(width, height) of the result in pixels."""
        return self.width, self.height

    @property
    def network_size(self) -> tuple[int, int]:
        """(width, height) of the network's frames in pixels."""
        return self.network_width, self.network_height

    @property
    def model_line(self) -> str:
        """Which model it will be, and what to expect of it, for the first line of a run."""
        from magicpose_cli.diffusion.checkpoint.loading import MINI

        size = f"{self.width}x{self.height}, {self.steps} step{'s' * (self.steps != 1)}"
        if self.model == str(MINI) and self.warp:
            return (
                f"model mini ({size}): the reference's own pixels, moved; what they do not show is "
                "drawn by an embedded diffusion model of 14 million parameters"
            )
        if self.model == str(MINI):
            return f"model mini ({size}): small, embedded, trained on drawn and rendered people"
        return f"model {self.model} ({size})"


@dataclass(frozen=True, kw_only=True)
class TrackRecord:
    """What was found and cleaned up in a driver; see `pose.tracking.track.TrackReport`."""

    frames: int
    missing: tuple[FrameIndex, ...]
    held: tuple[tuple[FrameIndex, FrameIndex], ...]
    people: int
    flips: int
    jumps: int
    jitter_before: Finite
    jitter_after: Finite
    upside_down: int = 0
    mixed: int = 0
    parts: dict[str, dict[str, float]] = field(default_factory=dict)


@dataclass(frozen=True, kw_only=True)
class MotionRecord:
    """How the motion came onto the reference; see `motion.motion.Motion`.

    Attributes:
        detector: Name of the detector; "" where poses came from a file.
        retarget: How the motion was laid on.
        anchor: Index of the driver's frame that stands as the reference does.
        notes: What the user should know, a line each.
        window: Part of the reference that the result shows.
        shown: Framing of a warped result.
        network_window: Part of the reference that the network's frames show.
        maps_window: Part of ready-drawn pose maps that is used.
        track: What was found in the driver; None where nobody was looked for.
    """

    detector: str
    retarget: str
    anchor: int | None = None
    notes: tuple[str, ...] = ()
    window: WindowEdges
    shown: dict[str, Any] | None = None
    network_window: tuple[float, ...] | None = None
    maps_window: tuple[float, ...] | None = None
    track: TrackRecord | None = None

    @classmethod
    def of(cls, motion: Motion) -> MotionRecord:
        """Describe a motion."""
        report = motion.report()
        track = report.pop("track")
        return cls(**report, track=None if track is None else TrackRecord(**track))


@dataclass(frozen=True, kw_only=True)
class Result:
    """What a run has made, and everything needed to make it again.

    Attributes:
        plan: What the run was to do.
        output: File or folder that was written.
        frames: Number of frames written.
        motion: How the motion came onto the reference.
        seconds: Time in seconds that each stage was at work; stages overlap.
        preset: All settings, by section and name.
        versions: Versions of the program and of what decides the result.
        model_sha256: Hash of the model's folder.
        reference_sha256: Hash of the reference's content.
        driver_sha256: Hash of the driver's content.
        files_sha256: Hashes of the files that the settings of the model name.
        output_sha256: Hash of what was written.
        poses: File of the saved poses.
        resumed: Number of frames that an interrupted run had made.
        notes: What the user should know, a line each.
    """

    plan: Plan
    output: str = ""
    frames: Annotated[int, Field(ge=1)]
    motion: MotionRecord
    seconds: dict[str, Finite]
    preset: dict[str, Any]
    versions: dict[str, str]
    model_sha256: str
    reference_sha256: str = ""
    driver_sha256: str = ""
    files_sha256: tuple[str, ...] = ()
    output_sha256: str = ""
    poses: str | None = None
    resumed: int = 0
    notes: tuple[str, ...] = ()


def sidecar_path(output: Path) -> Path:
    """Where the record of a run lies: OUT.mp4.json."""
    named = by_name(output)
    return named.with_name(f"{named.name}.json")


def poses_path(output: Path) -> Path:
    """Where the saved poses of a video lie: OUT.poses.json."""
    named = by_name(output)
    return named.with_name(f"{named.stem}.poses.json")


def write_run_record(record: Result, work: Path) -> None:
    """Write a run's record beside its output in one step.

    Args:
        record: Record of a run whose output is finished.
        work: Folder of the work in progress, where what a killed run leaves is cleared.

    Raises:
        OutputError: The record cannot be written.
    """
    made = work / f"{PARTIAL_STEM}.json"
    try:
        write_json(made, asdict(record))
        place_beside_output(made, sidecar_path(Path(record.plan.output)))
    except OutputError as error:
        raise OutputError(
            f"{error}; {record.output} is finished: mend this and run the same command again for "
            "its settings"
        ) from error


def place_beside_output(made: Path, target: Path) -> None:
    """Move a finished file to its place, over what stands there. Raises OutputError."""
    try:
        move_into_place(made, target, overwrite=True)
    except OSError as error:
        made.unlink(missing_ok=True)
        raise unwritable(target, error) from error


def is_run_record(path: Path) -> bool:
    """Whether a file looks like the record of a run, so that a run may replace it."""
    try:
        with path.open("rb") as file:
            content = json.loads(file.read(MAX_RECORD_BYTES))
    except (OSError, ValueError, RecursionError):
        return False
    return isinstance(content, dict) and {"plan", "output", "versions"} <= content.keys()


def read_run_record(output: Path) -> Result:
    """Read the record of the run that made this video or folder.

    What a later version adds to a record is passed over; what a former version did not know has
    its default.

    Raises:
        InputError: There is no such record, or it does not describe a finished run.
    """
    if not output.exists():
        raise InputError(f"{output} does not exist; give what `magicpose animate` has written")
    path = sidecar_path(output)
    if not path.is_file():
        raise InputError(
            f"{output}: there is no {path.name} beside it, which `magicpose animate` writes; give "
            "a finished run's video or folder"
        )
    try:
        if path.stat().st_size > MAX_RECORD_BYTES:
            most = MAX_RECORD_BYTES >> 20
            raise InputError(f"{path} is larger than {most} MiB: no sidecar of a run")
        return _schema().validate_python(_with_network_size(json.loads(path.read_bytes())))
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


@lru_cache(maxsize=1)
def _schema() -> TypeAdapter[Result]:
    return TypeAdapter(Result)


def _with_network_size(content: Any) -> Any:
    """Complete the record of a former version, whose networks made frames of the result's size."""
    if not (isinstance(content, dict) and isinstance(plan := content.get("plan"), dict)):
        return content
    sides = {f"network_{side}": plan[side] for side in ("width", "height") if side in plan}
    return {**content, "plan": {**sides, **plan}}
