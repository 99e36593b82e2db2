"""What a run will do, checked before anything heavy is done."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from magicpose_cli.arrays import Picture
from magicpose_cli.config.preset import Preset, load_preset
from magicpose_cli.config.resolved import ModelDefaults, ResolvedSettings, resolve_settings
from magicpose_cli.diffusion.adapters.named import body_maps_read, named_files
from magicpose_cli.errors import ConfigError, OutputError
from magicpose_cli.files import name_that_fits
from magicpose_cli.motion.driver import Driver, open_driver
from magicpose_cli.motion.read_motion import needs_target
from magicpose_cli.pose.detection.detect import pick_detector
from magicpose_cli.progress import OnProgress, silent
from magicpose_cli.run.resume_folder import work_path
from magicpose_cli.run.run_record import Plan, is_run_record, poses_path, sidecar_path
from magicpose_cli.run.temporary import check_temporary
from magicpose_cli.video import check_output, read_picture


def resolve_preset(preset: Preset | str | Path | None, model: str | None = None) -> Preset:
    """Load a preset; by default `magicpose` where the released model is installed, else `mini`.

    Args:
        preset: A preset, its name or its file.
        model: Model that is asked for by name; without a preset it is run as its own folder says.
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
) -> tuple[Plan, Picture, Driver]:
    """Check everything that can be checked without work, and say what the run will do.

    Args:
        reference: Any picture.
        driver: Whatever `open_driver` takes.
        output: Video or folder to write; REFERENCE_DRIVER.mp4 by default.
        preset: All settings.
        overwrite: Whether the run may replace what stands at the output.
        dry_run: Look at a released checkpoint instead of converting it; nothing is written.
        on_progress: Told of a conversion.

    Returns:
        The plan, the reference (H, W, 3) uint8 RGB, and the opened driver.

    Raises:
        MagicPoseError: Something that the run needs is missing or does not fit.
    """
    check_temporary()  # ffmpeg's messages and torch need it
    if output is None:
        output = name_that_fits("{}_{}.mp4".format, Path(reference).stem, Path(driver).stem)
    inputs = {"reference": Path(reference), "driver": Path(driver)}
    _check_outputs(Path(output), inputs, overwrite, preset.output.save_poses)
    picture = read_picture(reference)
    opened = open_driver(Path(driver), preset.motion)
    _check_driver(opened, driver, preset)
    folder, defaults, has_motion = _model(preset, dry_run, on_progress)
    named_files(preset.model, folder)  # what is not there is told before the work, not after it
    body_maps = body_maps_read(preset.model, defaults.body_maps)
    _check_body_maps(body_maps, preset, opened, (picture.shape[1], picture.shape[0]))
    resolved = resolve_settings(
        preset,
        defaults,
        reference_size=(picture.shape[1], picture.shape[0]),
        driver_kind=opened.kind,
        finds_person=needs_target(opened, preset),
    )
    paths = (str(reference), str(driver), str(output), str(folder))
    plan = _plan_of(*paths, opened, preset, resolved)
    steady = preset.model.makes_steady(has_motion)
    return replace(plan, steady=steady, body_maps=body_maps), picture, opened


def _plan_of(
    reference: str,
    driver: str,
    output: str,
    model: str,
    opened: Driver,
    preset: Preset,
    resolved: ResolvedSettings,
) -> Plan:
    return Plan(
        reference=reference,
        driver=driver,
        driver_kind=opened.kind,
        output=output,
        model=model,
        width=resolved.size[0],
        height=resolved.size[1],
        network_width=resolved.network_size[0],
        network_height=resolved.network_size[1],
        frames=opened.frame_count,
        fps=float(opened.rate),
        duration_s=opened.selected.duration_s,
        steps=resolved.steps,
        guidance=resolved.guidance,
        scheduler=preset.sampling.scheduler,
        seed=preset.sampling.seed,
        pose_canvas=resolved.pose_canvas,
        audio=preset.output.audio and bool(opened.clip.sound_tracks),
        keep_background=resolved.keep_background,
        warp=resolved.warp,
        trusts_network=resolved.trusts_network,
    )


def _check_outputs(
    output: Path, inputs: dict[str, Path], overwrite: bool, saves_poses: bool
) -> None:
    """Check that everything a run writes has a place, and that no input is written over."""
    # Where a former run was interrupted, what stands at the output may be its own.
    replaces = overwrite or work_path(output).exists()
    check_output(output, replaces)
    saved, sidecar = poses_path(output), sidecar_path(output)
    if saves_poses and not replaces and saved.exists():
        raise OutputError(f"{saved} exists already; pass --overwrite")
    for path in [output, sidecar, *([saved] if saves_poses else [])]:
        for role, read in inputs.items():
            if path.exists() and read.exists() and path.samefile(read):
                raise OutputError(
                    f"{path} is the {role} of this run and would be written over; choose another "
                    "output"
                )
    if os.path.lexists(sidecar) and not is_run_record(sidecar):
        raise OutputError(
            f"{sidecar} is not the settings of a run, but its name is needed for them; move it "
            "away or choose another output"
        )


def _check_driver(opened: Driver, driver: str | Path, preset: Preset) -> None:
    """Check what the settings ask of an opened driver."""
    tracks, track = opened.clip.sound_tracks, preset.output.audio_track
    if preset.output.audio and track is not None and track > len(tracks):
        raise ConfigError(
            f"audio-track: {driver} has {len(tracks)} sound tracks; expected one of them, counted "
            "from 1"
        )
    if opened.kind == "pose-maps" and preset.sampling.refine_hands:
        raise ConfigError(
            "pose maps are pictures and do not tell where hands are; leave --refine-hands out"
        )
    if opened.kind == "pose-maps" and preset.frame.keep_background:
        raise ConfigError(
            "pose maps are pictures and do not tell where people are; leave --keep-background out"
        )
    if opened.kind == "video":
        pick_detector(preset.motion.detector)
    if (face := preset.motion.face) is not None:
        from magicpose_cli.motion.face_driver import read_face_file

        # read here for its mistakes alone: they are told before the driver is looked at
        read_face_file(Path(face), float(opened.rate), opened.frame_count, preset.motion.smooth)
    anchor = str(preset.motion.anchor)
    if anchor.isdigit() and int(anchor) >= opened.frame_count:
        raise ConfigError(
            f"anchor: frame {anchor} is beyond the last, {opened.frame_count - 1}; expected best, "
            "first or the number of a frame with the person in it"
        )


def _check_body_maps(
    names: Sequence[str], preset: Preset, opened: Driver, reference_size: tuple[int, int]
) -> None:
    """Check that the maps of the body can be had. Raises ConfigError, or InputError."""
    ready = preset.model.ready_body_maps
    if names and ready is not None:
        from magicpose_cli.motion.body_control_maps import chosen_maps, films_of_maps

        chosen_maps(films_of_maps(Path(ready), names), opened, reference_size)
    elif names and opened.kind == "pose-maps":
        raise ConfigError(
            "pose maps are pictures, to which no body is fitted; give the body's maps with "
            "--body-map DIR, or leave them out"
        )


def _model(
    preset: Preset, dry_run: bool, on_progress: OnProgress
) -> tuple[Path, ModelDefaults, bool]:
    """Find the model's folder, its defaults, and whether it has a motion adapter.

    In a dry run of a checkpoint that would have to be converted first: the file, and the defaults
    that its conversion would have.

    Raises:
        ConfigError: There is a prompt, and the model reads none.
        MagicPoseError: It cannot be had, or is not whole.
    """
    from magicpose_cli.diffusion.checkpoint.loading import (
        has_part,
        read_index,
        resolve_model,
        unconverted,
    )

    name, words = preset.model.name, (preset.sampling.prompt, preset.sampling.negative_prompt)
    if dry_run and (checkpoint := unconverted(name)):
        from magicpose_cli.diffusion.checkpoint.conversion import check_checkpoint

        check_checkpoint(checkpoint)
        return checkpoint, ModelDefaults(), False
    folder = resolve_model(name, on_progress)
    index = read_index(folder)
    if any(words) and not all(has_part(index, part) for part in ("text_encoder", "tokenizer")):
        raise ConfigError(
            f"prompt: {name} has no text encoder or no tokenizer, so that it reads no words; leave "
            "the prompt out, or use a model that has both"
        )
    return folder, ModelDefaults.of(index), has_part(index, "motion_adapter")
