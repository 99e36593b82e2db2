"""The reference's own pose, beside its latents: where in the picture each limb and feature is.

An appearance network of more input channels than latents have reads the pose map of the reference,
too. Keys and values then say of what they are: without, the denoiser has to guess which part of
the reference a limb of the frame corresponds to. Reference-guided poses are of One-to-All Animation
(arXiv:2511.22940); as further channels that begin at zero they leave a trained
network as it was (as InstructPix2Pix widens its denoiser, Brooks et al. 2023).
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from diffusers import ControlNetModel, UNet2DConditionModel
from torch import Tensor, nn

MAP_CHANNELS = 3  # of a pose map, RGB


def latent_factor(pose_controlnet: ControlNetModel) -> int:
    """Pixels a latent cell is wide: what the pose network's hint encoder shrinks by."""
    return int(2 ** (len(pose_controlnet.config.conditioning_embedding_out_channels) - 1))


def pose_channels(factor: int) -> int:
    """How many channels a pose map has at the size of latents.

    Args:
        factor: Pixels that a latent cell is wide.
    """
    return MAP_CHANNELS * factor**2


def with_pose(latents: Tensor, maps: Tensor) -> Tensor:
    """Put pose maps beside latents.

    Args:
        latents: (n, c, h, w).
        maps: (n, 3, f h, f w), RGB in 0..1, of the same pictures.

    Returns:
        (n, c + 3 f^2, h, w) of the latents' type and device.
    """
    factor = maps.shape[-1] // latents.shape[-1]
    beside = F.pixel_unshuffle(maps.to(latents), factor)
    return torch.cat([latents, beside.expand(len(latents), -1, -1, -1)], 1)


def reads_reference_pose(appearance: UNet2DConditionModel, latent_channels: int) -> bool:
    """Tell whether an appearance network takes pose maps beside its latents."""
    return bool(appearance.config.in_channels > latent_channels)


def widen_for_pose(appearance: UNet2DConditionModel, factor: int) -> None:
    """Let an appearance network read pose maps, too; until it has learned, they have no effect.

    Args:
        appearance: Is changed in place.
        factor: Pixels that a latent cell is wide.
    """
    _set_inputs(appearance, appearance.config.in_channels + pose_channels(factor))


def forget_pose(appearance: UNet2DConditionModel, latent_channels: int) -> None:
    """Let an appearance network read latents alone. It is changed in place."""
    _set_inputs(appearance, latent_channels)


def _set_inputs(appearance: UNet2DConditionModel, channels: int) -> None:
    """Give the first convolution so many inputs; what is new begins at zero."""
    old = appearance.conv_in
    if channels == old.in_channels:
        return
    # No chance is drawn, so that a run's other numbers stay what they are.
    new: nn.Conv2d = nn.utils.skip_init(  # type: ignore[no-untyped-call]
        nn.Conv2d, channels, old.out_channels, old.kernel_size, padding=old.padding,
        device=old.weight.device, dtype=old.weight.dtype,
    )  # fmt: skip
    assert new.bias is not None and old.bias is not None
    with torch.no_grad():
        kept = min(channels, old.in_channels)
        new.weight.zero_()
        new.weight[:, :kept] = old.weight[:, :kept]
        new.bias.copy_(old.bias)
    appearance.conv_in = new
    appearance.register_to_config(in_channels=channels)
