"""Whether what stands at an output is what a job asks for, as the sidecar beside it tells."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

from magicpose_cli.batch.jobs import Job
from magicpose_cli.config.preset import Preset
from magicpose_cli.errors import InputError
from magicpose_cli.files import content_hash
from magicpose_cli.run.fingerprint import content_hashes
from magicpose_cli.run.resume_folder import work_path
from magicpose_cli.run.run_record import read_run_record

# Where and how fast it is made: rounding apart the same video.
NEUTRAL = {"device", "batch_size", "offload", "slicing", "compile"}


def stands(job: Job) -> bool:
    """Something is there, and no interrupted run is still about to make it."""
    output = Path(job.output)
    return os.path.lexists(output) and not work_path(output).exists()


def differences(job: Job, preset: Preset) -> list[str]:
    """How what stands differs from what is asked; [] where it is the same.

    Contents are compared, of what went in and of what came out, not names and times.
    """
    from magicpose_cli.diffusion.checkpoint.loading import resolve_model, unconverted

    output = Path(job.output)
    try:
        record = read_run_record(output)
        former = _decisive(Preset.model_validate(record.preset))  # settings it lacks were off
    except (InputError, ValueError):
        return ["no readable settings beside it"]
    if not record.output_sha256:  # made by a version that kept no hashes
        return ["no readable settings beside it"]
    if checkpoint := unconverted(preset.model.name):
        return [f"model: {record.plan.model}, now {checkpoint}, which is not converted yet"]
    model = str(resolve_model(preset.model.name))
    plan = record.plan
    files = {"reference": plan.reference, "driver": plan.driver, "model": plan.model}
    asked_files = {"reference": job.reference, "driver": job.driver, "model": model}
    try:
        contents = content_hashes(job.reference, job.driver, model, preset)
        made = content_hash(output)
    except OSError as error:
        return [f"{error.filename}: {error.strerror}"]
    found = [
        f"{name}: {_change(was, asked_files[name])}"
        for name, was in files.items()
        if getattr(record, f"{name}_sha256") != contents[f"{name}_sha256"]
    ]
    if list(record.files_sha256) != contents["files_sha256"]:
        found.append("a file that the settings of the model name: changed since")
    if record.output_sha256 != made:
        found.append("the video itself: changed since")
    asked = _decisive(preset)
    found += [
        f"{name}: {was!r}, now {asked[name]!r}"
        for name, was in former.items()
        if was != asked[name]
    ]
    return found


def _change(was: str, now: str) -> str:
    same = os.path.realpath(was) == os.path.realpath(now)
    return f"{now} has changed since" if same else f"{was}, now {now}"


def _decisive(preset: Preset) -> dict[str, Any]:
    """What decides a video, by dotted name. 4 and "4" are the same steps."""
    return {
        f"{section}.{name}": str(value) if name in ("steps", "size") and value else value
        for section, settings in preset.model_dump().items()
        if isinstance(settings, dict)
        for name, value in settings.items()
        if name not in NEUTRAL
    }
