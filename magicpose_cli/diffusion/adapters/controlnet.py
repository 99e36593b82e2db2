"""ControlNets that others have trained: for the pose network's beginning, or for maps of a body."""

from __future__ import annotations

from pathlib import Path

from diffusers import ControlNetModel, UNet2DConditionModel

from magicpose_cli.diffusion.body_control import new_body_controlnet
from magicpose_cli.diffusion.checkpoint.kinds import file_in
from magicpose_cli.diffusion.checkpoint.layout import (
    by_names_of_diffusers,
    controlnet_modules,
    shape_of,
)
from magicpose_cli.diffusion.checkpoint.loading import CHECKPOINTS
from magicpose_cli.diffusion.checkpoint.opening import fill, read_checkpoint

ORIGINAL_CONTROLNET_PREFIX = "control_model."
EXPECTED_FOR_BODY = (
    "expected a ControlNet of Stable Diffusion 1.5 for depth or normals, such as depth-controlnet "
    "of the catalog"
)
_PREFERRED_FILES = ("diffusion_pytorch_model.safetensors", "diffusion_pytorch_model.bin")


def fill_controlnet(network: ControlNetModel, place: Path, at: str, expected: str) -> None:
    """Put another ControlNet's weights into a network, in place.

    Args:
        network: The network that is filled.
        place: A checkpoint with the names of the original code (`control_model.`) or of diffusers,
            or a folder with one.
        at: How a message begins.
        expected: How it ends.

    Raises:
        ModelError: A weight is lacking or of another shape.
    """
    file = file_in(place, at, (*CHECKPOINTS, ".bin"), _PREFERRED_FILES)
    state = read_checkpoint(file, expected)
    if any(key.startswith(ORIGINAL_CONTROLNET_PREFIX) for key in state):
        hint_layers = 2 * len(network.config.conditioning_embedding_out_channels)
        modules = controlnet_modules(shape_of(network.config), hint_layers)
        state = by_names_of_diffusers(state, ORIGINAL_CONTROLNET_PREFIX, modules)
    fill(network, state, f"{at} {place}", "ControlNet", lacking=expected, misfit=expected)


def load_body_controlnet(
    place: Path, unet: UNet2DConditionModel, pose_controlnet: ControlNetModel
) -> ControlNetModel:
    """Load a ControlNet that reads one map, in the denoiser's number format and on its device.

    Args:
        place: A file, or a folder with one.
        unet: The denoiser.
        pose_controlnet: Its pose network, which has the same shape.

    Raises:
        ModelError: The file is none, is incomplete, or is for another denoiser.
    """
    network = new_body_controlnet(pose_controlnet, 1).to("cpu", unet.dtype)
    fill_controlnet(network, place, "body-map-model", EXPECTED_FOR_BODY)
    return network.to(unet.device).eval().requires_grad_(False)
