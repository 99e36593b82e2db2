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
    try:
        sidecar = json.loads(sidecar_path(Path(job.output)).read_text(encoding="utf-8"))
        former, plan = _decisive(sidecar["preset"]), sidecar["plan"]
        files = [(plan[name], getattr(job, name), name) for name in ("reference", "driver")]
        found = [
            f"{name}: {was}, now {now}"
            for was, now, name in files
            if os.path.realpath(was) != os.path.realpath(now)
        ]
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        return ["no readable settings beside it"]
    asked = _decisive(json.loads(preset.model_dump_json()))
    for name in sorted(former.keys() | asked.keys()):
        if former.get(name) != asked.get(name):
            found.append(f"{name}: {former.get(name)!r}, now {asked.get(name)!r}")
    return found


def _decisive(preset: dict[str, Any]) -> dict[str, Any]:
    """What decides a video, by dotted name. 4 and "4" are the same steps."""
    return {
        f"{section}.{name}": str(value) if name in ("steps", "size") and value else value
        for section, settings in preset.items()
        if isinstance(settings, dict)
        for name, value in settings.items()
        if name not in NEUTRAL
    }
