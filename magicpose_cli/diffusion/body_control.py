"""Maps of a body as a second condition beside the skeleton, read by a ControlNet of their own.

VividPose (arXiv:2405.18156) guides a person by renders of a body beside the skeleton: they tell
how thick a limb is, what lies before what, and which way it faces. Where maps are given they lie
behind the pose map in further channels, so that they take its way through batches and workers.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from diffusers import ControlNetModel

POSE_CHANNELS = 3  # of the pose map, before those of the body

_FIRST_LAYER = "controlnet_cond_embedding.conv_in.weight"
_LAST_LAYERS = ("controlnet_down_blocks.", "controlnet_mid_block.")

Residuals = tuple[Sequence[torch.Tensor], torch.Tensor]
"""What a ControlNet adds to the denoiser: to its skip connections, and to its middle."""


def new_body_controlnet(pose_controlnet: ControlNetModel, maps: int) -> ControlNetModel:
    """Make a ControlNet that begins as the pose network and adds nothing yet.

    It knows how to read a map from the start. New layers in its place would first have to learn
    that: what they make of a map is faint, and nothing of it comes through for hundreds of steps.

    Args:
        pose_controlnet: The pose network.
        maps: How many maps it reads, of three channels each.
    """
    shape = {name: value for name, value in pose_controlnet.config.items() if name[0] != "_"}
    made = ControlNetModel(**{**shape, "conditioning_channels": 3 * maps})
    weights = dict(pose_controlnet.state_dict())
    weights[_FIRST_LAYER] = weights[_FIRST_LAYER].repeat(1, maps, 1, 1) / maps
    for name in weights:
        if name.startswith(_LAST_LAYERS):
            weights[name] = torch.zeros_like(weights[name])
    made.load_state_dict(weights)
    return made


def split_maps(maps: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor | None]:
    """Part pose maps from those of the body behind them; None where there are no more.

    Args:
        maps: (n, 3 + 3k, H, W) in 0..1.
    """
    pose, body = maps[:, :POSE_CHANNELS], maps[:, POSE_CHANNELS:]
    return pose, body if body.shape[1] else None


def added(one: Residuals, other: Residuals) -> Residuals:
    """Add what two ControlNets tell the denoiser."""
    down = [a + b for a, b in zip(one[0], other[0], strict=True)]
    return down, one[1] + other[1]
