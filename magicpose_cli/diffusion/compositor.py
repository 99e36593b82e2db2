"""A small network that tells where a frame may keep the reference's own pixels.

A small denoiser's frame is soft where the reference is sharp. What both show alike is taken from
the reference, what has moved or was uncovered from the frame; a mask tells which is which, as the
occlusion map of a warped picture does (Siarohin et al. 2019, "First Order Motion Model for Image
Animation", equation 12).
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from diffusers import UNet2DModel
from torch import Tensor

from magicpose_cli.diffusion.reference_pose import MAP_CHANNELS

PICTURE_CHANNELS = 3  # RGB
INPUT_CHANNELS = 2 * (PICTURE_CHANNELS + MAP_CHANNELS)
MASK_CELL_PX = 2  # side of the square of pixels that has one value of the network
WIDTHS = (16, 32, 48, 64)  # channels from the finest level to the coarsest
NORM_GROUPS = 8


def new_compositor() -> UNet2DModel:
    """Make one that has learned nothing: it takes about half of everything from the reference."""
    levels = len(WIDTHS)
    return UNet2DModel(
        in_channels=INPUT_CHANNELS,
        out_channels=1,
        down_block_types=("DownBlock2D",) * levels,
        up_block_types=("UpBlock2D",) * levels,
        block_out_channels=WIDTHS,
        layers_per_block=1,
        norm_num_groups=NORM_GROUPS,
        add_attention=False,
    )


def composited(
    compositor: UNet2DModel, frames: Tensor, reference: Tensor, own_maps: Tensor, maps: Tensor
) -> Tensor:
    """Keep the reference's pixels where the compositor says so; gradients flow through.

    Args:
        compositor: Of `new_compositor`'s shape, in the pictures' type and on their device.
        frames: Pictures (n, 3, H, W) that a denoiser has made, RGB in 0..1.
        reference: (n or 1, 3, H, W) likewise.
        own_maps: Pose maps of the references, (n or 1, 3, H, W), RGB in 0..1; black is unknown.
        maps: Pose maps of the frames, (n, 3, H, W).

    Returns:
        (n, 3, H, W).
    """
    share = kept_share(compositor, frames, reference, own_maps, maps)
    return frames + share * (reference - frames)


def kept_share(
    compositor: UNet2DModel, frames: Tensor, reference: Tensor, own_maps: Tensor, maps: Tensor
) -> Tensor:
    """Tell how much of the reference each pixel is to show, (n, 1, H, W) in 0..1; see above."""
    count, _, height, width = frames.shape
    seen = torch.cat(
        [
            F.avg_pool2d(picture, MASK_CELL_PX, ceil_mode=True).expand(count, -1, -1, -1)
            for picture in (frames, reference, own_maps, maps)
        ],
        1,
    )
    rows, columns = seen.shape[-2:]
    at_rest = torch.zeros(count, dtype=torch.long, device=seen.device)  # there is one timestep
    coarsest = 2 ** (len(compositor.config.block_out_channels) - 1)
    # Levels are halved without a rest.
    seen = F.pad(seen, (0, -columns % coarsest, 0, -rows % coarsest), mode="replicate")
    share = compositor(2 * seen - 1, at_rest).sample[..., :rows, :columns]
    enlarged = F.interpolate(share, scale_factor=MASK_CELL_PX, mode="bilinear")
    return torch.sigmoid(enlarged[..., :height, :width])
