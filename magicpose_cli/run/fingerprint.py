"""What identifies a run: the contents of all that it reads, its settings and the versions."""

from __future__ import annotations

import importlib.metadata
import platform
from functools import lru_cache
from pathlib import Path
from typing import Any

from magicpose_cli.config.preset import Preset
from magicpose_cli.errors import InputError
from magicpose_cli.files import content_hash
from magicpose_cli.run.run_record import Plan

_VERSIONED = (
    "magicpose",
    "torch",
    "diffusers",
    "transformers",
    "numpy",
    "mediapipe",
    "onnxruntime",
    "rtmlib",
)


def run_fingerprint(plan: Plan, preset: Preset) -> dict[str, Any]:
    """Collect everything that decides the frames.

    A run may go on with what another of the same fingerprint has left.

    Returns:
        JSON: hashes as of `content_hashes`, sizes, steps, guidance, settings and versions.

    Raises:
        InputError: Something that the run reads cannot be read.
    """
    settings = preset.model_dump(exclude={"output": True, "description": True})
    try:
        hashes = content_hashes(plan.reference, plan.driver, plan.model, preset)
    except OSError as error:
        raise InputError(f"{error.filename} cannot be read: {error.strerror}") from error
    settings["model"].pop("batch_size")  # rounding apart it changes nothing; the journal holds it
    return {
        **hashes,
        "size": [*plan.size, *plan.network_size],
        "steps": plan.steps,
        "guidance": plan.guidance,
        "settings": settings,
        "versions": versions(),
    }


def content_hashes(reference: str, driver: str, model: str, preset: Preset) -> dict[str, Any]:
    """Hash everything that a run reads.

    Returns:
        SHA-256 by `reference_sha256`, `driver_sha256` and `model_sha256`; by `files_sha256` those
        of the files that the preset names beside the model: for the networks, and curves of a face.

    Raises:
        OSError: Something is not there.
    """
    from magicpose_cli.diffusion.adapters.named import files_of

    files = files_of(preset.model, Path(model)) + (
        [Path(face)] if (face := preset.motion.face) else []
    )
    if (ready := preset.model.ready_body_maps) is not None:
        files.append(Path(ready))
    return {
        "reference_sha256": content_hash(Path(reference)),
        "driver_sha256": content_hash(Path(driver)),
        "model_sha256": cached_model_hash(model),
        "files_sha256": [content_hash(file) for file in files if file.exists()],
    }


def versions() -> dict[str, str]:
    """Versions of the program, of Python and of what decides the result."""
    found = {"python": platform.python_version()}
    for name in _VERSIONED:
        try:
            found[name] = importlib.metadata.version(name)
        except importlib.metadata.PackageNotFoundError:
            found[name] = "not installed"
    return found


def cached_model_hash(folder: str) -> str:
    """The model's hash, computed once for as long as its files stay as they are."""
    return _model_hash(
        folder, max(file.stat().st_mtime_ns for file in Path(folder).rglob("*") if file.is_file())
    )


@lru_cache(maxsize=8)
def _model_hash(folder: str, changed_ns: int) -> str:
    from magicpose_cli.diffusion.checkpoint.loading import model_hash

    return model_hash(Path(folder))
