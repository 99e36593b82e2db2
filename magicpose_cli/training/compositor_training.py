"""The compositor's task: the better of the denoiser's frame and the reference, pixel by pixel."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from magicpose_cli.diffusion.body_control import split_maps
from magicpose_cli.diffusion.compositor import composited
from magicpose_cli.training.end_to_end import (
    check_predicts_v,
    first_timestep,
    starting_latents,
)
from magicpose_cli.training.networks import Networks
from magicpose_cli.training.pair_source import PairBatch

SOFT_CELLS_PX = (4, 8, 16, 32)  # sides of the squares whose mean is left of a softened frame
CRISP_SHARE = 0.2  # of the frames, which stay as the denoiser has made them


class CompositorTraining(nn.Module):
    """The error of what the compositor makes of frames that the other networks make in one step.

    Raises:
        ConfigError: The networks predict noise, which from noise alone tells nothing.
    """

    def __init__(self, networks: Networks):
        super().__init__()
        check_predicts_v(networks, "compositor")
        assert networks.compositor is not None
        self.networks = networks
        self.compositor = networks.compositor
        self._first = first_timestep(networks)

    def forward(self, batch: PairBatch, noise: Tensor, softness: Tensor) -> Tensor:
        """Compute the mean absolute error of colors.

        That of their differences from pixel to pixel would ask for softness where anything moves.

        Args:
            batch: Pairs of pictures.
            noise: Unit noise in the shape of `batch.target`.
            softness: Values (n,) in 0..1 that choose how much the frames are softened.
        """
        with torch.no_grad():
            frames = softened(self._frames(batch, noise), softness)
        made = composited(
            self.compositor,
            frames,
            batch.reference_picture,
            batch.reference_maps,
            split_maps(batch.maps)[0],
        )
        return F.l1_loss(made, batch.picture)

    def _frames(self, batch: PairBatch, noise: Tensor) -> Tensor:
        """Make the denoiser's pictures of the targets, (n, 3, S, S) in 0..1."""
        t = torch.full((len(noise),), self._first, device=noise.device)
        a, s = self.networks.factors(t)
        noisy = starting_latents(self.networks, batch, t, noise)
        velocity = self.networks(noisy, t, batch.reference, batch.maps).float()
        return self.networks.decode(a * noisy - s * velocity).clamp(0, 1)


def softened(frames: Tensor, softness: Tensor) -> Tensor:
    """Take details out of frames, as a denoiser's are that has seen nobody like this person.

    Of people whom it has learned from it makes better frames than of others; a compositor that saw
    these alone would trust it too much.

    Args:
        frames: (n, 3, S, S).
        softness: Values (n,) in 0..1; below CRISP_SHARE nothing is taken out, then ever more.
    """
    levels = [frames]
    for cell in SOFT_CELLS_PX:
        mean = F.avg_pool2d(frames, cell, ceil_mode=True)
        levels.append(F.interpolate(mean, frames.shape[-2:], mode="bilinear"))
    soft = (softness - CRISP_SHARE) / (1 - CRISP_SHARE) * len(SOFT_CELLS_PX)
    chosen = (soft.floor() + 1).clamp(0, len(SOFT_CELLS_PX)).long()
    return torch.stack(levels, 1)[torch.arange(len(frames), device=frames.device), chosen]
