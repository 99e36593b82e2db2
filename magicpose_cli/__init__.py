"""magicpose: animate the person of one picture with the motion of a video.

Python: `from magicpose_cli import animate, load_preset, MagicPosePipeline`. Nothing heavy is
imported before it is used.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from magicpose_cli.animation import animate
    from magicpose_cli.config.preset import load_preset
    from magicpose_cli.diffusion.pipeline import MagicPosePipeline

__all__ = ["MagicPosePipeline", "animate", "load_preset"]

_HOMES = {
    "MagicPosePipeline": "magicpose_cli.diffusion.pipeline",
    "animate": "magicpose_cli.animation",
    "load_preset": "magicpose_cli.config.preset",
}


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    import importlib

    return getattr(importlib.import_module(_HOMES[name]), name)
