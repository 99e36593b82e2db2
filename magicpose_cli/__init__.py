"""magicpose: animate the person of one picture with the motion of a video.

Python: `from magicpose_cli import animate`. Each name is imported from its module at its first use,
so that importing the package costs nothing.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from magicpose_cli.animation import animate
    from magicpose_cli.config.preset import load_preset
    from magicpose_cli.diffusion.pipeline import MagicPosePipeline
    from magicpose_cli.errors import MagicPoseError
    from magicpose_cli.motion.extract import extract_poses
    from magicpose_cli.pose.clip import PoseClip
    from magicpose_cli.pose.keypoints import Pose
    from magicpose_cli.run.resources import Resources
    from magicpose_cli.run.run_record import Result

    __version__: str

__all__ = [
    "MagicPoseError",
    "MagicPosePipeline",
    "Pose",
    "PoseClip",
    "Resources",
    "Result",
    "__version__",
    "animate",
    "extract_poses",
    "load_preset",
]

_MODULES = {
    "MagicPoseError": "magicpose_cli.errors",
    "MagicPosePipeline": "magicpose_cli.diffusion.pipeline",
    "Pose": "magicpose_cli.pose.keypoints",
    "PoseClip": "magicpose_cli.pose.clip",
    "Resources": "magicpose_cli.run.resources",
    "Result": "magicpose_cli.run.run_record",
    "animate": "magicpose_cli.animation",
    "extract_poses": "magicpose_cli.motion.extract",
    "load_preset": "magicpose_cli.config.preset",
}


def __getattr__(name: str) -> Any:
    if name == "__version__":
        from importlib.metadata import version

        return version("magicpose")
    if name not in _MODULES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(_MODULES[name]), name)


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
