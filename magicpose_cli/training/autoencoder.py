"""mini's autoencoder: a linear encoder found by statistics, a decoder trained against it.

Both live in a stock AutoencoderTiny. The encoder projects each 8x8 patch on its four principal
components, which needs no training, so the denoiser's latents are fixed from the first minute.
The decoder starts as a smooth enlargement of the patches' mean colors and learns the rest.
"""

from __future__ import annotations

import torch
from diffusers import AutoencoderTiny
from diffusers.models.unets.unet_2d_blocks import AutoencoderTinyBlock
from torch import Tensor

from magicpose_cli.arrays import Pictures, to_tensor

LATENT_CHANNELS = 4
RAW_LATENT_STD = 0.25  # of the latents in the file: AutoencoderTiny's decoder bends values beyond 1


def new_autoencoder(width: int, blocks: tuple[int, int, int, int]) -> AutoencoderTiny:
    """An AutoencoderTiny whose encoder is nothing but a patch projection, yet to be fitted."""
    return AutoencoderTiny(
        encoder_block_out_channels=(48,) * 4,
        num_encoder_blocks=(0, 0, 0, 0),
        decoder_block_out_channels=(width,) * 4,
        num_decoder_blocks=blocks,
        latent_channels=LATENT_CHANNELS,
        scaling_factor=1 / RAW_LATENT_STD,
        shift_factor=0.0,
    )


@torch.no_grad()
def fit_autoencoder(vae: AutoencoderTiny, images: Pictures) -> None:
    """Set the encoder from the statistics of square pictures, and start the decoder."""
    patches = _unshuffle(to_tensor(images)).permute(0, 2, 3, 1).flatten(0, 2)  # (patches, 192)
    mean = patches.mean(0)
    axes = torch.linalg.eigh((patches - mean).T @ (patches - mean)).eigenvectors
    axes = axes.flip(1)[:, :LATENT_CHANNELS]  # (192, 4), largest first
    std = ((patches - mean) @ axes).std(0)
    # whitened, but components of little variance are not blown up to the size of the others
    scale = RAW_LATENT_STD / std.clamp_min(0.35 * float(std[0]))
    _set_encoder(vae, axes * scale, mean)
    _start_decoder(vae, axes / scale, mean)


def _unshuffle(pictures: Tensor) -> Tensor:
    """(n, 3, S, S) -> (n, 192, S / 8, S / 8), halving three times as the encoder does."""
    for _ in range(3):
        pictures = torch.nn.functional.pixel_unshuffle(pictures, 2)
    return pictures


def _set_encoder(vae: AutoencoderTiny, projection: Tensor, mean: Tensor) -> None:
    """Weights that make the encoder's convolutions a patch projection (192, 4)."""
    first, *halvings, last = (m for m in vae.encoder.layers if isinstance(m, torch.nn.Conv2d))
    for layer in (first, *halvings, last):
        layer.weight.zero_()
    _bias(first).zero_()
    for c in range(3):
        first.weight[c, c, 1, 1] = 1
    channels = 3
    for layer in halvings[:2]:
        for c in range(channels):
            for row in range(2):
                for column in range(2):
                    layer.weight[4 * c + 2 * row + column, c, 1 + row, 1 + column] = 1
        channels *= 4
    taps = projection.T.reshape(
        LATENT_CHANNELS, channels, 2, 2
    )  # the third halving and the projection
    halvings[2].weight[:LATENT_CHANNELS, :channels, 1:, 1:] = taps
    for c in range(LATENT_CHANNELS):
        last.weight[c, c, 1, 1] = 1
    _bias(last).copy_(-(mean @ projection))


def _start_decoder(vae: AutoencoderTiny, axes: Tensor, mean: Tensor) -> None:
    """Let channels 0..2 carry the mean color of each patch through to the picture."""
    convolutions = [m for m in vae.decoder.layers if isinstance(m, torch.nn.Conv2d)]
    first, *enlargings, last = convolutions
    for block in vae.decoder.modules():
        if isinstance(block, AutoencoderTinyBlock):
            block.conv[4].weight.zero_()
            block.conv[4].bias.zero_()
    colors = axes.reshape(3, 64, LATENT_CHANNELS).mean(1)  # (3, 4)
    first.weight[:3] = 0
    first.weight[:3, :, 1, 1] = colors
    _bias(first)[:3] = mean.reshape(3, 64).mean(1)
    smooth = torch.tensor([0.25, 0.5, 0.25])
    for layer in enlargings:
        layer.weight[:3] = 0
        for c in range(3):
            layer.weight[c, c] = smooth[:, None] * smooth
    last.weight.mul_(0.1)
    _bias(last).zero_()
    for c in range(3):
        last.weight[c, :3] = 0
        last.weight[c, c, 1, 1] = 1


def _bias(layer: torch.nn.Conv2d) -> Tensor:
    assert layer.bias is not None
    return layer.bias


class DecoderTraining(torch.nn.Module):
    """The decoder's task: pictures from their latents."""

    def __init__(self, vae: AutoencoderTiny):
        super().__init__()
        self.vae = vae

    def forward(self, target: Tensor, noise: Tensor) -> Tensor:
        """Compute the loss, see `picture_error`.

        Args:
            target: Pictures (n, 3, s, s) in 0..1.
            noise: Unit noise (n, 4, s / 8, s / 8); a little of it is added to the latents, as
                those of a denoiser are never exact.
        """
        with torch.no_grad():
            latents = self.vae.encode(target * 2 - 1).latents + 0.15 * RAW_LATENT_STD * noise
        return picture_error((self.vae.decode(latents).sample + 1) / 2, target)


def picture_error(made: Tensor, target: Tensor, weights: Tensor | None = None) -> Tensor:
    """Compute the L1 of colors and of their differences from pixel to pixel.

    Args:
        made: Pictures (n, 3, s, s) in 0..1.
        target: Pictures of the same shape.
        weights: How much each pixel counts, (n, 1, s, s) with mean 1; all alike by default.
    """
    error = made - target
    weights = torch.ones_like(error[:, :1]) if weights is None else weights
    across = (error.diff(dim=-1).abs() * weights[..., 1:]).mean()
    down = (error.diff(dim=-2).abs() * weights[..., 1:, :]).mean()
    return (error.abs() * weights).mean() + across + down
