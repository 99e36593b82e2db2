"""Models, weights and folders on the disk, a probe each."""

from __future__ import annotations

import os
import shutil
import time
from collections.abc import Iterator
from pathlib import Path

from magicpose_cli.doctor.finding import Finding
from magicpose_cli.errors import ModelError, OutputError
from magicpose_cli.models import CATALOG, in_units, missing_files, models_home
from magicpose_cli.run.temporary import check_temporary

_WALK_LIMIT_S = 0.7  # for the files of one folder
LITTLE = 2e9  # bytes of a disk that are soon full


def models() -> Iterator[Finding]:
    """The installed ones; the default is the one that `animate` takes."""
    from magicpose_cli.diffusion.checkpoint.loading import (
        installed_models,
        read_index,
        resolve_model,
    )

    default = resolve_model("auto")
    for name, folder in installed_models().items():
        size, _ = size_of(folder)
        facts = {"path": str(folder), "size": size, "default": folder == default}
        mark = ", the default" if folder == default else ""
        try:
            read_index(folder)
            yield Finding(name, f"{in_units(size)}{mark}, {folder}", facts)
        except ModelError as error:
            yield Finding(name, f"broken, {folder}", facts, str(error))


def weights() -> Iterator[Finding]:
    """What the catalog knows, and what of it is here."""
    for name, entry in CATALOG.items():
        here = not missing_files(name)
        yield Finding(
            name, f"{'fetched' if here else 'not fetched'}, {entry.told_size}", {"here": here}
        )


def folders() -> Iterator[Finding]:
    """Where models and downloads lie, and how much room is left."""
    from huggingface_hub import constants

    for name, folder in (("models", models_home()), ("hub cache", Path(constants.HF_HUB_CACHE))):
        size, whole = size_of(folder)
        value = f"{'' if whole else 'at least '}{in_units(size)}" if folder.is_dir() else "none yet"
        yield _with_room(name, value, folder, {"size": size})
    yield _with_room("work", "here", Path.cwd(), {})
    try:
        yield _with_room("temporary", "files", check_temporary(), {})
    except OutputError as error:
        yield Finding("temporary", "none", {}, str(error))


def _with_room(name: str, value: str, folder: Path, facts: dict[str, object]) -> Finding:
    there = folder
    while not there.exists():
        there = there.parent
    free = shutil.disk_usage(there).free
    warning = ""
    if not os.access(there, os.W_OK):
        warning = f"{there} cannot be written; choose another place"
        if name == "models":
            warning += " by MAGICPOSE_HOME"
    elif free < LITTLE:
        warning = f"{in_units(free)} are soon full; make room"
    return Finding(
        name,
        f"{value}, {in_units(free)} free, {folder}",
        {"path": str(folder), "free": free, **facts},
        warning,
    )


def size_of(folder: Path) -> tuple[int, bool]:
    """Add up the files below a folder; links are not followed.

    Returns:
        Bytes, and whether there was time for all of the files.
    """
    size, until = 0, time.monotonic() + _WALK_LIMIT_S
    for place, _, names in os.walk(folder):
        for name in names:
            path = Path(place, name)
            if not path.is_symlink():
                size += path.stat().st_size
        if time.monotonic() > until:
            return size, False
    return size, True
