"""What a run will do, checked before anything heavy is done."""

from __future__ import annotations

import json
import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from magicpose_cli.config.preset import Preset, load_preset
from magicpose_cli.errors import ConfigError, OutputError
from magicpose_cli.files import fitting
from magicpose_cli.motion.driver import Driver, open_driver
from magicpose_cli.motion.read_motion import needs_target
from magicpose_cli.pose.detection.detect import pick_detector
from magicpose_cli.progress import OnProgress, silent
from magicpose_cli.run.resume_folder import by_name, work_path
from magicpose_cli.run.temporary import check_temporary
from magicpose_cli.video import check_output, read_picture

MOST_OF_SIDECAR = 256 << 20  # bytes: hours of frames without a detection are far below


@dataclass
class Plan:
    """What a run will do, known before anything heavy is done; `--dry-run` shows it.

    width, height: pixels of the result; network_width, network_height: of the frames that the
    network makes, which differ with `warp` alone. trusts_network: whether a warped frame shows the
    reference's pixels only where the network's agree with them.
    """

    reference: str
    driver: str
    driver_kind: str
    output: str
    model: str
    width: int
    height: int
    network_width: int
    network_height: int
    frames: int
    fps: float
    duration_s: float
    steps: int
    guidance: float
    scheduler: str | None
    seed: int
    pose_canvas: int
    audio: bool
    keep_background: bool
    warp: bool
    trusts_network: bool

    @property
    def model_line(self) -> str:
        """Which model it will be, and what to expect of it, for the first line of a run."""
        from magicpose_cli.diffusion.checkpoint.loading import MINI

        size = f"{self.width}x{self.height}, {self.steps} step{'s' * (self.steps != 1)}"
        if self.model == str(MINI) and self.warp:
            return (
                f"model mini ({size}): the reference's own pixels, moved; what they do not show is "
                "drawn by an embedded diffusion model of 13 million parameters"
            )
        if self.model == str(MINI):
            return f"model mini ({size}): small, embedded, trained on drawn people alone"
        return f"model {self.model} ({size})"


def resolve_preset(preset: Preset | str | None, model: str | None = None) -> Preset:
    """By default: `magicpose` where the released model is installed, else `mini`.

    model: what is asked for by name; without a preset it is run as its own folder says.
    """
    if isinstance(preset, Preset):
        return preset
    if preset is None and model is not None:
        return Preset()
    return load_preset(preset or default_preset())


def default_preset() -> str:
    """The name of the preset that is used where none is asked for."""
    from magicpose_cli.diffusion.checkpoint.loading import MINI, resolve_model

    return "mini" if resolve_model("auto") == MINI else "magicpose"


def make_plan(
    reference: str | Path,
    driver: str | Path,
    output: str | Path | None,
    preset: Preset,
    *,
    overwrite: bool = False,
    dry_run: bool = False,
    on_progress: OnProgress = silent,
) -> tuple[Plan, np.ndarray, Driver]:
    """Check everything that can be checked without work: the plan, the reference, the driver.

    dry_run: a released checkpoint is looked at and not converted; nothing is written.

    Raises a MagicPoseError.
    """

    check_temporary()  # ffmpeg's words and torch need it
    if output is None:
        output = fitting("{}_{}.mp4".format, Path(reference).stem, Path(driver).stem)
    # Where a former run was interrupted, what stands at the output may be its own.
    replaces = overwrite or work_path(Path(output)).exists()
    check_output(output, replaces)
    saved = poses_path(Path(output))
    if preset.output.save_poses and not replaces and saved.exists():
        raise OutputError(f"{saved} exists already; pass --overwrite")
    sidecar = sidecar_path(Path(output))
    written = [Path(output), sidecar, *([saved] if preset.output.save_poses else [])]
    _check_not_read(written, {"reference": Path(reference), "driver": Path(driver)})
    if os.path.lexists(sidecar) and not _is_sidecar(sidecar):
        raise OutputError(
            f"{sidecar} is not the settings of a run, but its name is needed for them; move it "
            "away or choose another output"
        )
    picture = read_picture(reference)
    opened = open_driver(Path(driver), preset.motion)
    tracks, track = opened.clip.sound_tracks, preset.output.audio_track
    if preset.output.audio and track is not None and track > len(tracks):
        raise ConfigError(
            f"audio-track: {driver} has {len(tracks)} sound tracks; expected one of them, counted "
            "from 1"
        )
    keeps = preset.frame.keep_background
    if opened.kind == "pose-maps" and keeps:
        raise ConfigError(
            "pose maps are pictures and do not tell where people are; leave --keep-background out"
        )
    if opened.kind == "video":
        pick_detector(preset.motion.detector)
    anchor = str(preset.motion.anchor)
    if anchor.isdigit() and int(anchor) >= opened.frame_count:
        raise ConfigError(
            f"anchor: frame {anchor} is beyond the last, {opened.frame_count - 1}; expected best, "
            "first or the number of a frame with the person in it"
        )
    folder, index = _model(preset.model.name, dry_run, on_progress)
    warp = warps(opened.kind, preset, index)
    shape, own = (picture.shape[1], picture.shape[0]), index["sample_size"]
    width, height = made = preset.size_for(own, shape)
    if warp:
        made = preset.network_size_for(shape, own)
        width, height = preset.warped_size_for(shape, own)
    plan = Plan(
        reference=str(reference),
        driver=str(driver),
        driver_kind=opened.kind,
        output=str(output),
        model=str(folder),
        width=width,
        height=height,
        network_width=made[0],
        network_height=made[1],
        frames=opened.frame_count,
        fps=float(opened.rate),
        duration_s=opened.selected.duration_s,
        steps=preset.steps_for(index["default_steps"]),
        guidance=preset.sampling.guidance or index["default_guidance"],
        scheduler=preset.sampling.scheduler,
        seed=preset.sampling.seed,
        pose_canvas=index["pose_canvas"],
        audio=preset.output.audio and bool(tracks),
        # without a word it costs no search for the reference's person
        keep_background=(
            index["keep_background"] and needs_target(opened, preset) if keeps is None else keeps
        ),
        warp=warp,
        trusts_network=not index["warp"],
    )
    return plan, picture, opened


def _model(name: str, dry_run: bool, on_progress: OnProgress) -> tuple[Path, dict[str, Any]]:
    """The model's folder and settings; in a dry run of a checkpoint that would have to be converted
    first the file, and the settings that it would get."""
    from magicpose_cli.diffusion.checkpoint.loading import (
        SETTINGS,
        read_index,
        resolve_model,
        unconverted,
    )

    if dry_run and (checkpoint := unconverted(name)):
        from magicpose_cli.diffusion.checkpoint.conversion import check_checkpoint

        check_checkpoint(checkpoint)
        return checkpoint, SETTINGS
    folder = resolve_model(name, on_progress)
    return folder, read_index(folder)


def _check_not_read(written: Sequence[Path], inputs: dict[str, Path]) -> None:
    """Raise OutputError where a run would write over what it reads, whatever leads there."""
    for path in written:
        for role, read in inputs.items():
            if path.exists() and read.exists() and path.samefile(read):
                raise OutputError(
                    f"{path} is the {role} of this run and would be written over; choose another "
                    "output"
                )


def _is_sidecar(path: Path) -> bool:
    try:
        with path.open("rb") as file:
            told = json.loads(file.read(MOST_OF_SIDECAR))
    except (OSError, ValueError, RecursionError):
        return False
    return isinstance(told, dict) and {"plan", "output", "versions"} <= told.keys()


def warps(driver_kind: str, preset: Preset, index: dict[str, Any]) -> bool:
    """Whether the reference's own pixels are moved. Raises ConfigError where that cannot be."""
    asked, start = preset.frame.warp, preset.sampling.start_from_warp
    if driver_kind == "pose-maps" and (asked == "on" or start):
        raise ConfigError(
            "pose maps are pictures and do not tell where the person's parts go; leave --warp and "
            "--start-from-warp out, or give the poses themselves"
        )
    if start and asked == "off":
        raise ConfigError("start-from-warp begins from what warp off leaves out; leave out one")
    by_itself = asked == "auto" and driver_kind != "pose-maps" and index["warp"]
    return bool(start) or asked == "on" or by_itself


def poses_path(output: Path) -> Path:
    """Where the saved poses of a video stand: OUT.poses.json."""
    named = by_name(output)
    return named.with_name(f"{named.stem}.poses.json")


def sidecar_path(output: Path) -> Path:
    """Where the settings of a video stand: OUT.mp4.json."""
    named = by_name(output)
    return named.with_name(f"{named.name}.json")
