"""The reference in further input channels: its pose beside its latents, both beside the noise.

An appearance network of more input channels than latents have reads the pose map of the reference,
too. Keys and values then say of what they are: without, the denoiser has to guess which part of
the reference a limb of the frame corresponds to. Reference-guided poses are of One-to-All Animation
(arXiv:2511.22940).

A denoiser of more input channels reads beside its noise what the appearance network reads.
Attention finds what has moved; what stays where it is, such as the background, stands in these
channels at its own place (InstructPix2Pix, Brooks et al., CVPR 2023, arXiv:2211.09800). As there,
new channels begin at zero, which leaves a trained network as it was.
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


def with_reference(noisy: Tensor, reference: Tensor | None, channels: int) -> Tensor:
    """Put references beside noisy latents, as a denoiser of so many channels reads them.

    Args:
        noisy: (n, c, h, w).
        reference: (r, channels - c, h, w) of the first r samples; the others see none. None is of
            no sample.
        channels: Of the denoiser's input.

    Returns:
        (n, channels, h, w); the noisy latents themselves for a denoiser that reads no more.
    """
    n, c, h, w = noisy.shape
    if channels == c:
        return noisy
    if reference is None:
        return torch.cat([noisy, noisy.new_zeros(n, channels - c, h, w)], 1)
    beside = F.pad(reference.to(noisy), (0, 0) * 3 + (0, n - len(reference)))
    return torch.cat([noisy, beside], 1)


def reads_more(network: UNet2DConditionModel) -> bool:
    """Tell whether a network reads more than latents: see above for what each reads."""
    return bool(network.config.in_channels > network.config.out_channels)


def widen_for_pose(appearance: UNet2DConditionModel, factor: int) -> None:
    """Let an appearance network read pose maps, too; until it has learned, they have no effect.

    Args:
        appearance: Is changed in place.
        factor: Pixels that a latent cell is wide.
    """
    _set_inputs(appearance, appearance.config.out_channels + pose_channels(factor))


def widen_for_reference(unet: UNet2DConditionModel, appearance: UNet2DConditionModel) -> None:
    """Let a denoiser read what the appearance network reads; it has to learn to.

    Args:
        unet: Is changed in place.
        appearance: Stays as it is.
    """
    _set_inputs(unet, unet.config.out_channels + appearance.config.in_channels)


def read_latents_alone(network: UNet2DConditionModel) -> None:
    """Let a network forget what it reads beside latents. It is changed in place."""
    _set_inputs(network, network.config.out_channels)


def _set_inputs(network: UNet2DConditionModel, channels: int) -> None:
    """Give the first convolution so many inputs; what is new begins at zero."""
    old = network.conv_in
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
    network.conv_in = new
    network.register_to_config(in_channels=channels)
