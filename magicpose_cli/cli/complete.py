"""Values that the shell offers after an option, looked up when it asks for them."""

from __future__ import annotations

from collections.abc import Iterable


def preset_names(incomplete: str) -> list[str]:
    """The shipped presets; the shell itself completes files."""
    from magicpose_cli.config.sections import presets_folder

    return starting_with(incomplete, (path.stem for path in presets_folder().glob("*.toml")))


def installed_model_names(incomplete: str) -> list[str]:
    """The installed models."""
    from magicpose_cli.diffusion.checkpoint.loading import installed_models

    return starting_with(incomplete, installed_models())


def known_model_names(incomplete: str) -> list[str]:
    """Installed models, and what the catalog has."""
    from magicpose_cli.models import CATALOG

    return sorted({*installed_model_names(incomplete), *starting_with(incomplete, CATALOG)})


def starting_with(incomplete: str, names: Iterable[str]) -> list[str]:
    """The names that begin with what stands there, sorted."""
    return sorted(name for name in names if name.startswith(incomplete))
