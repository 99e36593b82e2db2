"""Where models and weights lie on this machine, and in what state."""

from __future__ import annotations

import os
import re
import shutil
import sys
from pathlib import Path

from magicpose_cli.config.user_home import expanded, user_home
from magicpose_cli.errors import ConfigError, ModelError
from magicpose_cli.models.catalog import CATALOG, Entry

UNFINISHED_FOLDER = ".unfinished"  # folder beside the files, for what is still coming
_HUB_ID = re.compile(r"[A-Za-z0-9][\w.-]*/[A-Za-z0-9][\w.-]*")
_INDEX_FILE = "model_index.json"


def models_home() -> Path:
    """The folder of installed models: below $MAGICPOSE_HOME, or the platform's cache folder."""
    if home := os.environ.get("MAGICPOSE_HOME"):
        return expanded(home) / "models"
    if sys.platform == "win32":
        cache = Path(os.environ.get("LOCALAPPDATA") or user_home() / "AppData/Local")
    elif sys.platform == "darwin":
        cache = user_home() / "Library/Caches"
    else:
        cache = Path(os.environ.get("XDG_CACHE_HOME") or user_home() / ".cache")
    return cache / "magicpose" / "models"


def is_hub_id(name: str) -> bool:
    """Whether it looks like ORG/NAME."""
    return _HUB_ID.fullmatch(name) is not None


def entry_of(name: str) -> Entry:
    """The catalog's entry of this name. Raises ConfigError that lists the known."""
    if name not in CATALOG:
        known = ", ".join(CATALOG)
        raise ConfigError(f"weights {name!r}: expected one of {known}, or a hub's ORG/NAME")
    return CATALOG[name]


def weights_folder(name: str) -> Path:
    """Where the files of an entry, or of a hub's ORG/NAME, lie or are to lie."""
    if is_hub_id(name):
        return models_home() / name.replace("/", "--")
    return models_home() / (entry_of(name).folder or name)


def missing_files(name: str) -> list[Path]:
    """The files of an entry that are not there, or not of their size where that is known."""
    folder = weights_folder(name)
    return [
        folder / file.name
        for file in entry_of(name).files
        if not (folder / file.name).is_file()
        or file.size not in (None, (folder / file.name).stat().st_size)
    ]


def state_of(name: str) -> str:
    """Say: installed (a model that runs), fetched, interrupted or not fetched."""
    if CATALOG[name].kind == "model" and (models_home() / name / _INDEX_FILE).is_file():
        return "installed"
    if not missing_files(name):
        return "fetched"
    return "interrupted" if weights_folder(name).is_dir() else "not fetched"


def located(name: str) -> Path | None:
    """Where what `models fetch` has brought lies: an entry of the catalog or a hub's ORG/NAME.

    A LoRA is a file, all else a folder. None where the name is neither, or nothing has been fetched
    under such an ORG/NAME. Raises ModelError for an entry that is not there.
    """
    if name in CATALOG:
        if missing_files(name):
            raise ModelError(f"{name} is not fetched; run: magicpose models fetch {name}")
        folder = weights_folder(name)
        return folder / CATALOG[name].files[0].name if CATALOG[name].kind == "lora" else folder
    if not is_hub_id(name) or not (folder := weights_folder(name)).is_dir():
        return None
    weights = list(folder.glob("*.safetensors"))
    alone = len(weights) == 1 and not list(folder.glob("*/*.safetensors"))
    return weights[0] if alone and not (folder / "config.json").is_file() else folder


def fetched_repositories() -> list[str]:
    """Every ORG/NAME that has been fetched."""
    return sorted(
        folder.name.replace("--", "/", 1)
        for folder in models_home().glob("*--*")
        if folder.is_dir() and not folder.name.startswith(".")
    )


def remove_weights(name: str) -> None:
    """Delete the files of an entry alone, not what has been made of them."""
    shutil.rmtree(weights_folder(name))


def folders_to_remove(name: str) -> list[Path]:
    """Find what is here under a name: a model, an entry, ORG/NAME.

    Raises:
        ModelError: There is nothing, or it is the embedded model.
    """
    if name == "mini":
        raise ModelError("mini is part of the package; it goes with `pip uninstall magicpose`")
    home = models_home()
    folders = {home / name.replace("/", "--")} if is_hub_id(name) else {home / name}
    if name in CATALOG:
        folders.add(weights_folder(name))
    elif not is_hub_id(name) and (Path(name).name != name or name in ("", ".", "..")):
        raise ModelError(f"{name!r}: no name of a model; `magicpose models list` shows them")
    there = sorted(folder for folder in folders if folder.is_dir())
    if not there:
        raise ModelError(f"{name}: nothing is here under this name; `magicpose models list`")
    return there


def remove(name: str) -> list[Path]:
    """Delete what is here under a name; returns the folders. Raises as `folders_to_remove`."""
    there = folders_to_remove(name)
    for folder in there:
        if folder.is_symlink():  # what it leads to is the user's own
            folder.unlink()
        else:
            shutil.rmtree(folder)
    return there
