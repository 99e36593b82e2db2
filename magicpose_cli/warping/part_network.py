"""The network that tells which part of the person a pixel belongs to, clothes included."""

from __future__ import annotations

from itertools import pairwise

import torch
from torch import Tensor, nn
from torch.nn.functional import interpolate, pixel_shuffle, pixel_unshuffle

from magicpose_cli.warping.part_features import FEATURE_CHANNELS, SEGMENTED_PARTS

PART_NETWORK_WIDTHS = (24, 40, 64, 96)  # channels at half the size and each further halving


class PartNetwork(nn.Module):
    """A U-Net (Ronneberger et al. 2015) that works on blocks of 2 x 2 pixels."""

    def __init__(self, widths: tuple[int, ...] = PART_NETWORK_WIDTHS) -> None:
        super().__init__()
        self.stem = _convolution(4 * FEATURE_CHANNELS, widths[0], 1)
        self.down = nn.ModuleList(
            nn.Sequential(_convolution(before, width, 2), _convolution(width, width, 1))
            for before, width in pairwise(widths)
        )
        self.up = nn.ModuleList(
            _convolution(deep + width, width, 1) for width, deep in reversed(list(pairwise(widths)))
        )
        self.head = nn.Conv2d(widths[0], 4 * len(SEGMENTED_PARTS), 1)

    def forward(self, features: Tensor) -> Tensor:
        """Return logits (B, classes, s, s) of features (B, FEATURE_CHANNELS, s, s)."""
        kept = [self.stem(pixel_unshuffle(features, 2))]
        for block in self.down:
            kept.append(block(kept[-1]))
        found = kept.pop()
        for block in self.up:
            wide = interpolate(found, scale_factor=2.0, mode="nearest")
            found = block(torch.cat([wide, kept.pop()], dim=1))
        return pixel_shuffle(self.head(found), 2)


def _convolution(channels: int, width: int, stride: int) -> nn.Sequential:
    return nn.Sequential(
        nn.Conv2d(channels, width, 3, stride=stride, padding=1, bias=False),
        nn.BatchNorm2d(width),
        nn.ReLU(inplace=True),
    )
