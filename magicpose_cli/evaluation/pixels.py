"""Pixel metrics on float RGB in 0..255: L1, PSNR, SSIM, over the picture or inside a mask."""

from __future__ import annotations

import math

import numpy as np

from magicpose_cli.arrays import Floats, Picture
from magicpose_cli.evaluation.extras import needed
from magicpose_cli.evaluation.samples import MadeSample

PEAK = 255.0
MOST_DB = 100.0  # of identical pictures, whose PSNR would be infinite


def l1(made: MadeSample) -> float:
    """Mean absolute difference in gray levels."""
    return float(np.abs(made.difference).mean())


def psnr(made: MadeSample) -> float:
    """Peak signal-to-noise ratio in dB over all pixels and channels."""
    return decibel(float(np.square(made.difference).mean(dtype=np.float64)))


def ssim(made: MadeSample) -> float:
    """Structural similarity, mean over pixels and channels; the window never leaves the picture."""
    edge = 5
    return float(made.ssim_map[edge:-edge, edge:-edge].mean(dtype=np.float64))


def l1_inside(made: MadeSample) -> float | None:
    """L1 inside the people's masks."""
    mask = made.sample.mask
    return None if mask is None else float(np.abs(made.difference[mask]).mean())


def psnr_inside(made: MadeSample) -> float | None:
    """PSNR inside the people's masks."""
    mask = made.sample.mask
    if mask is None:
        return None
    return decibel(float(np.square(made.difference[mask]).mean(dtype=np.float64)))


def ssim_inside(made: MadeSample) -> float | None:
    """Mean of the SSIM map inside the people's masks."""
    mask = made.sample.mask
    return None if mask is None else float(made.ssim_map[mask].mean(dtype=np.float64))


def psnr_wrapped(made: MadeSample) -> float:
    """PSNR as the code of the paper's table computes it: difference and square wrap at 8 bits."""
    wrapped = (made.picture - made.sample.truth) ** 2  # uint8, on purpose
    return decibel(float(wrapped.mean(dtype=np.float64)))


def decibel(mean_square: float) -> float:
    """PSNR of a mean squared error on 0..255."""
    if mean_square <= 0:
        return MOST_DB
    return min(MOST_DB, 10 * math.log10(PEAK**2 / mean_square))


def ssim_map(one: Picture, other: Picture) -> Floats:
    """Compute SSIM around each pixel, for each channel, (H, W, 3).

    As Wang et al. (2004) do: Gaussian window of 11 pixels, sigma 1.5, range 255.
    """
    metrics = needed("skimage.metrics")
    full: Floats
    _, full = metrics.structural_similarity(
        one.astype(np.float64),
        other.astype(np.float64),
        data_range=PEAK,
        channel_axis=2,
        gaussian_weights=True,
        sigma=1.5,
        use_sample_covariance=False,
        full=True,
    )
    return full
