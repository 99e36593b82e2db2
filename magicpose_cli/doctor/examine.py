"""The whole examination: the machine, what is installed on it, and what a preset would do here."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from magicpose_cli.config.preset import ModelSettings, Preset, SamplingSettings, load_preset
from magicpose_cli.config.resolved import ModelDefaults, resolve_settings
from magicpose_cli.config.user_home import expanded
from magicpose_cli.diffusion.adapters.named import body_maps_read, identity_place, named_files
from magicpose_cli.doctor import machine, places
from magicpose_cli.doctor.estimate import Need, estimate
from magicpose_cli.doctor.finding import BROKEN, Finding, probed
from magicpose_cli.errors import ConfigError, DeviceError, MagicPoseError
from magicpose_cli.models import in_units
from magicpose_cli.run.preflight import default_preset
from magicpose_cli.run.temporary import check_temporary

PROBES = {
    "program": (machine.program,),
    "machine": (machine.torch_build, machine.memory),
    "films": (machine.films,),
    "detectors": (machine.detectors, machine.segmentation),
    "models": (places.models,),
    "weights": (places.weights,),
    "folders": (places.folders,),
    "packages": (machine.packages,),
}


@dataclass(frozen=True)
class Examination:
    """What was found.

    Attributes:
        preset: Name of the preset.
        sections: Findings by what they are about.
        obstacle: Why the preset cannot run, "" where it can.
    """

    preset: str
    sections: dict[str, list[Finding]] = field(default_factory=dict)
    obstacle: str = ""

    @property
    def can_run(self) -> bool:
        """Whether the preset can run here."""
        return not self.obstacle

    def as_dict(self) -> dict[str, Any]:
        """Everything, for JSON."""
        return {
            "preset": self.preset,
            "can_run": self.can_run,
            "obstacle": self.obstacle,
            "sections": {
                section: {
                    found.name: {"value": found.value, **found.facts, "warning": found.warning}
                    for found in findings
                }
                for section, findings in self.sections.items()
            },
        }


def examine(preset: Preset | str | None = None) -> Examination:
    """Look at everything; no model is loaded, nothing is fetched or written.

    preset: as `animate` takes it. A part that is broken becomes a line; never raises for one.
    """
    sections = {
        section: [found for probe in probes for found in probed(probe)]
        for section, probes in PROBES.items()
    }
    name = "settings of its own" if isinstance(preset, Preset) else preset or ""
    obstacle = ""
    sections["preset"] = []
    try:
        name = name or default_preset()
        for found in _used(preset if isinstance(preset, Preset) else load_preset(name)):
            sections["preset"].append(found)
    except BROKEN as error:
        obstacle = str(error) if isinstance(error, MagicPoseError) else repr(error)
    return Examination(name, sections, " ".join(obstacle.split()))


def _used(preset: Preset) -> Iterator[Finding]:
    """Find what a preset would use here.

    Raises:
        DeviceError: The memory does not do; or one of BROKEN at the first thing that is not to be
            had.
    """
    from magicpose_cli.diffusion.checkpoint.loading import CHECKPOINTS, resolve_model

    check_temporary()
    if preset.description:
        yield Finding("description", preset.description)
    file = expanded(preset.model.name)
    if file.suffix.lower() in CHECKPOINTS and file.is_file():
        told = "convert it by `magicpose models convert` to have its memory estimated"
        yield Finding("model", f"{file}, a checkpoint: the first run converts it", {}, told)
        return
    folder = resolve_model(preset.model.name)
    yield Finding("model", str(folder))
    yield from _used_with(preset, folder)


def _used_with(preset: Preset, folder: Path) -> Iterator[Finding]:
    """What runs with the model in this folder, and whether the memory does. Raises as _used."""
    from magicpose_cli.diffusion.checkpoint.loading import has_part, read_index
    from magicpose_cli.diffusion.motion_windows import FRAMES_TOGETHER
    from magicpose_cli.pose.detection.detect import lacks, pick_detector
    from magicpose_cli.rendering.local import pick_device_and_dtype
    from magicpose_cli.video.ffmpeg import run_ffmpeg

    model, sampling = preset.model, preset.sampling
    device, dtype = pick_device_and_dtype(model)
    yield Finding("device, dtype", f"{device}, {dtype}", {"device": device, "dtype": dtype})
    index = read_index(folder)
    # of a square reference; the frames of others have its aspect, and as much more memory each
    resolved = resolve_settings(preset, ModelDefaults.of(index))
    width, height = resolved.network_size
    yield Finding("warp", "on" if resolved.warp else "off", {"on": resolved.warp})
    steps, guidance = resolved.steps, resolved.guidance
    square = "" if "x" in str(preset.frame.size) else " of a square reference"
    yield Finding(
        "size, steps, guidance",
        f"{width}x{height}{square}, {steps}, {guidance:g}",
        {"width": width, "height": height, "steps": steps, "guidance": guidance},
    )
    _check_scheduler(sampling, folder, index)
    own = f"the model's own, {index['scheduler'][1]}"
    spacing = f", {sampling.timestep_spacing}" if sampling.timestep_spacing else ""
    yield Finding("scheduler", (sampling.scheduler or own) + spacing)
    files = named_files(model, folder)
    for kind, path in files:
        yield Finding(kind, str(path))
    yield from _options(model, device)
    steady = model.makes_steady(has_part(index, "motion_adapter"))
    body = None
    if maps := body_maps_read(model, index["body_maps"]):
        body = dict(files).get("body_map_model", folder / "body_controlnet")
        yield Finding("body maps", ", ".join(maps), {"maps": list(maps)})
    yield from _extras(model, folder, steady)
    detector = pick_detector(preset.motion.detector)
    yield Finding("detector", detector)
    if lack := lacks(detector):
        raise ConfigError(f"detector: {detector!r} {lack}")
    run_ffmpeg("-version").check_returncode()
    free, total = _memory_of(device)
    on_gpu = device.startswith("cuda")
    need = estimate(
        folder, index, size=(width, height), steps=steps, dtype=dtype,
        free=free if on_gpu else None, offload=model.offload if on_gpu else "none",
        quantize=model.quantize, batch_size=FRAMES_TOGETHER if steady else model.batch_size,
        vae=dict(files).get("vae"), motion_adapter=dict(files).get("motion_adapter"),
        steady=steady, body_controlnet=body,
    )  # fmt: skip
    yield Finding("frames at once", str(need.batch_size), {"batch_size": need.batch_size})
    yield from _fit(need, device, free, total)


def _fit(need: Need, device: str, free: int, total: int) -> Iterator[Finding]:
    """Whether the memory does. Raises DeviceError where it does not."""
    main_total, main_free = machine.memory_limits()
    obstacle = warning = ""
    if need.least > free:
        obstacle = (
            f"about {in_units(need.least)} of memory are needed on {device} (estimated), "
            f"{in_units(free)} of {in_units(total)} are free; try --preset lowvram, a smaller "
            "--size, or close other programs"
        )
    elif need.main > main_free:
        obstacle = (
            f"about {in_units(need.main)} of main memory are needed (estimated), "
            f"{in_units(main_free)} of {in_units(main_total)} are free; close other programs"
        )
    elif need.device > free:
        warning = (
            f"fits with fewer frames at once alone, to which a run goes down by itself; "
            f"--batch-size 1 takes {in_units(need.least)}"
        )
    yield Finding(
        "memory",
        f"{'does not fit' if obstacle else 'fits'}, estimated: {in_units(need.device)} of "
        f"{in_units(free)} free on {device} (weights {in_units(need.weights)}, the reference "
        f"{in_units(need.reference)}, a frame {in_units(need.frame)})",
        {"needed": need.device, "least": need.least, "main": need.main, "free": free},
        warning,
    )
    if obstacle:
        raise DeviceError(obstacle)


def _memory_of(device: str) -> tuple[int, int]:
    """Bytes of memory that a device computes in: free now, in total."""
    if not device.startswith("cuda"):
        total, free = machine.memory_limits()
        return free, total
    import torch

    free, total = torch.cuda.mem_get_info(device)
    return free, total


def _options(model: ModelSettings, device: str) -> Iterator[Finding]:
    """The settings that need a package or a kind of device."""
    if model.quantize != "none":
        if find_spec("torchao") is None:
            raise ConfigError(
                "model.quantize: torchao is not installed; `pip install 'magicpose[quant]'` "
                "brings it"
            )
        yield Finding("quantize", model.quantize)
    if model.offload != "none":
        effect = "" if device.startswith("cuda") else " (no effect: it is for CUDA)"
        yield Finding("offload", f"{model.offload}{effect}")


def _extras(model: ModelSettings, folder: Path, steady: bool) -> Iterator[Finding]:
    """What frames are made with beside the three networks. steady: whether there is an adapter."""
    if model.is_steady:
        lack = "" if steady else ", but the model has no motion adapter: frames are made one by one"
        yield Finding("steady", f"on{lack}", {"on": steady})
    if model.identity:
        place = str(identity_place(model, folder))
        told = f"{model.identity:g}, {place}"
        yield Finding("identity", told, {"scale": model.identity, "adapter": place})


def _check_scheduler(sampling: SamplingSettings, folder: Path, index: dict[str, Any]) -> None:
    """Raise ConfigError for a scheduler that cannot be used; usual names need no look."""
    from magicpose_cli.diffusion.schedulers import SHORT_NAMES, asked_scheduler

    name, spacing = sampling.scheduler, sampling.timestep_spacing
    if spacing is None and (name is None or name.lower() in SHORT_NAMES):
        return
    import diffusers

    own = getattr(diffusers, index["scheduler"][1])
    current = own.from_pretrained(folder / "scheduler", local_files_only=True)
    asked_scheduler(name, spacing, current)
