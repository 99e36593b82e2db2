"""Whether what stands at an output is what a job asks for, as the sidecar beside it tells."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

from magicpose_cli.batch.jobs import Job
from magicpose_cli.config import Preset
from magicpose_cli.plan import sidecar_path
from magicpose_cli.work import work_path

# Where and how fast it is made: rounding apart the same video.
NEUTRAL = {"device", "batch_size", "offload", "slicing", "compile"}


def stands(job: Job) -> bool:
    """Something is there, and no interrupted run is still about to make it."""
    output = Path(job.output)
    return os.path.lexists(output) and not work_path(output).exists()


def differences(job: Job, preset: Preset) -> list[str]:
    """How what stands differs from what is asked; [] where it is the same."""
    from magicpose_cli.diffusion.weights import resolve_model

    try:
        sidecar = json.loads(sidecar_path(Path(job.output)).read_text(encoding="utf-8"))
        former = _decisive(Preset.model_validate(sidecar["preset"]))  # settings it lacks were off
        files = {name: str(sidecar["plan"][name]) for name in ("reference", "driver", "model")}
    except (OSError, ValueError, KeyError, TypeError, RecursionError):
        return ["no readable settings beside it"]
    model = str(resolve_model(preset.model.name))
    asked_files = {"reference": job.reference, "driver": job.driver, "model": model}
    found = [
        f"{name}: {was}, now {asked_files[name]}"
        for name, was in files.items()
        if os.path.realpath(was) != os.path.realpath(asked_files[name])
    ]
    asked = _decisive(preset)
    found += [
        f"{name}: {was!r}, now {asked[name]!r}"
        for name, was in former.items()
        if was != asked[name]
    ]
    return found


def _decisive(preset: Preset) -> dict[str, Any]:
    """What decides a video, by dotted name. 4 and "4" are the same steps."""
    return {
        f"{section}.{name}": str(value) if name in ("steps", "size") and value else value
        for section, settings in preset.model_dump().items()
        if isinstance(settings, dict)
        for name, value in settings.items()
        if name not in NEUTRAL
    }
