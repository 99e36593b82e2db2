"""Packages that only training and evaluation need."""

from __future__ import annotations

import importlib
from typing import Any

from magicpose_cli.errors import ConfigError

PACKAGES = ("skimage", "matplotlib", "jinja2")  # of every evaluation; torchmetrics at times


def check_extras() -> None:
    """Raise ConfigError where a package is missing: before the work, not after it."""
    for package in PACKAGES:
        needed(package)


def needed(module: str) -> Any:
    """Import a module of the extra `train`. Raises ConfigError where it is not installed."""
    try:
        return importlib.import_module(module)
    except ModuleNotFoundError as error:
        raise ConfigError(
            f"evaluation needs the package {error.name!r}, which is not installed; "
            "run: pip install 'magicpose[train]'"
        ) from error
