"""A ControlNet that others have trained as the pose network's beginning: it knows skeletons."""

from __future__ import annotations

from diffusers import ControlNetModel

from magicpose_cli.diffusion.adapters.controlnet import fill_controlnet
from magicpose_cli.diffusion.adapters.named import place_of

EXPECTED_CONTROLNET = (
    "expected a ControlNet of Stable Diffusion 1.5: control_v11p_sd15_openpose.pth "
    "(`magicpose models fetch openpose-controlnet`), or a diffusers folder"
)


def start_from_controlnet(pose: ControlNetModel, name: str) -> None:
    """Put another ControlNet's weights into the pose network, in place.

    Args:
        pose: The network that is filled.
        name: Whatever `fill_controlnet` reads, `openpose-controlnet`, or a fetched ORG/NAME.

    Raises:
        ModelError: A weight is lacking or of another shape.
    """
    fill_controlnet(pose, place_of(name), "model.pose_start", EXPECTED_CONTROLNET)
