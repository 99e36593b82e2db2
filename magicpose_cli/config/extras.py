"""Packages of the extra `train`, which not every installation has."""

from __future__ import annotations

import importlib
from typing import Any

from magicpose_cli.errors import ConfigError

EVALUATION_PACKAGES = ("skimage", "matplotlib", "jinja2")  # torchmetrics at times


def check_extras() -> None:
    """Raise ConfigError where evaluation lacks a package: before the work, not after it."""
    for package in EVALUATION_PACKAGES:
        needed(package)


def needed(module: str, who: str = "evaluation") -> Any:
    """Import a module of the extra, for whom the message names.

    Raises:
        ConfigError: It is not installed.
    """
    try:
        return importlib.import_module(module)
    except ModuleNotFoundError as error:
        raise ConfigError(
            f"{who} needs the package {error.name!r}, which is not installed; "
            "run: pip install 'magicpose[train]'"
        ) from error
