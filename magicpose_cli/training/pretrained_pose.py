"""A ControlNet that others have trained as the pose network's beginning: it knows skeletons."""

from __future__ import annotations

from pathlib import Path

from diffusers import ControlNetModel

from magicpose_cli.diffusion.adapters.named import place_of
from magicpose_cli.diffusion.checkpoint.layout import (
    by_names_of_diffusers,
    controlnet_modules,
    shape_of,
)
from magicpose_cli.diffusion.checkpoint.loading import CHECKPOINTS
from magicpose_cli.diffusion.checkpoint.opening import fill, read_checkpoint
from magicpose_cli.errors import ModelError

ORIGINAL_CONTROLNET_PREFIX = "control_model."
EXPECTED_CONTROLNET = (
    "expected a ControlNet of Stable Diffusion 1.5: control_v11p_sd15_openpose.pth "
    "(`magicpose models fetch openpose-controlnet`), or a diffusers folder"
)


def start_from_controlnet(pose: ControlNetModel, name: str) -> None:
    """Put another ControlNet's weights into the pose network, in place.

    Args:
        pose: The network that is filled.
        name: A checkpoint with the names of the original code (`control_model.`) or of diffusers,
            a folder of diffusers, `openpose-controlnet`, or a fetched ORG/NAME.

    Raises:
        ModelError: A weight is lacking or of another shape.
    """
    place = place_of(name)
    state = read_checkpoint(_file(place), EXPECTED_CONTROLNET)
    if any(key.startswith(ORIGINAL_CONTROLNET_PREFIX) for key in state):
        hint_layers = 2 * len(pose.config.conditioning_embedding_out_channels)
        modules = controlnet_modules(shape_of(pose.config), hint_layers)
        state = by_names_of_diffusers(state, ORIGINAL_CONTROLNET_PREFIX, modules)
    at = f"model.pose_start {place}"
    fill(pose, state, at, "pose network", lacking=EXPECTED_CONTROLNET, misfit=EXPECTED_CONTROLNET)


def _file(place: Path) -> Path:
    if not place.is_dir():
        return place
    weights = [file for file in sorted(place.iterdir()) if file.suffix in CHECKPOINTS]
    if len(weights) != 1:
        raise ModelError(
            f"model.pose_start {place}: holds {len(weights)} checkpoints; {EXPECTED_CONTROLNET}"
        )
    return weights[0]
