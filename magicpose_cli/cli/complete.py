"""Values that the shell offers after an option, looked up when it asks for them."""

from __future__ import annotations

from collections.abc import Iterable


def presets(incomplete: str) -> list[str]:
    """The shipped presets; the shell itself completes files."""
    from magicpose_cli.config.sections import presets_folder

    return fitting(incomplete, (path.stem for path in presets_folder().glob("*.toml")))


def models(incomplete: str) -> list[str]:
    """The installed models."""
    from magicpose_cli.diffusion.checkpoint.loading import installed_models

    return fitting(incomplete, installed_models())


def weights(incomplete: str) -> list[str]:
    """Installed models, and what the catalog has."""
    from magicpose_cli.models import CATALOG

    return sorted({*models(incomplete), *fitting(incomplete, CATALOG)})


def fitting(incomplete: str, names: Iterable[str]) -> list[str]:
    """The names that begin with what stands there, sorted."""
    return sorted(name for name in names if name.startswith(incomplete))
