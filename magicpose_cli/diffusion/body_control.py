"""Maps of a body as a second condition beside the skeleton, read by a ControlNet of their own.

VividPose (arXiv:2405.18156) guides a person by renders of a body beside the skeleton: they tell
how thick a limb is, what lies before what, and which way it faces. Where maps are given they lie
behind the pose map in further channels, so that they take its way through batches and workers.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from diffusers import ControlNetModel, UNet2DConditionModel

POSE_CHANNELS = 3  # of the pose map, before those of the body

Residuals = tuple[Sequence[torch.Tensor], torch.Tensor]
"""What a ControlNet adds to the denoiser: to its skip connections, and to its middle."""


def new_body_controlnet(
    unet: UNet2DConditionModel, pose_controlnet: ControlNetModel, maps: int
) -> ControlNetModel:
    """Make a ControlNet that begins as the denoiser's encoder and adds nothing yet.

    Args:
        unet: The denoiser.
        pose_controlnet: Whose first layers give the shape of this one's.
        maps: How many maps it reads, of three channels each.
    """
    made: ControlNetModel = ControlNetModel.from_unet(
        unet,
        conditioning_embedding_out_channels=(
            pose_controlnet.config.conditioning_embedding_out_channels
        ),
        conditioning_channels=3 * maps,
    )
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
