"""Pixel metrics on float RGB in 0..255: L1, PSNR, SSIM, over the picture or inside a mask."""

from __future__ import annotations

import math

import numpy as np

from magicpose_cli.evaluation.cases import MadeSample
from magicpose_cli.evaluation.extras import needed

PEAK = 255.0
MOST_DB = 100.0  # of identical pictures, whose PSNR would be infinite


def l1(seen: MadeSample) -> float:
    """Mean absolute difference in gray levels."""
    return float(np.abs(seen.difference).mean())


def psnr(seen: MadeSample) -> float:
    """Peak signal-to-noise ratio in dB over all pixels and channels."""
    return decibel(float(np.square(seen.difference).mean(dtype=np.float64)))


def ssim(seen: MadeSample) -> float:
    """Structural similarity, mean over pixels and channels; the window never leaves the picture."""
    edge = 5
    return float(seen.ssim_map[edge:-edge, edge:-edge].mean(dtype=np.float64))


def l1_inside(seen: MadeSample) -> float | None:
    """L1 inside the people's masks."""
    mask = seen.case.mask
    return None if mask is None else float(np.abs(seen.difference[mask]).mean())


def psnr_inside(seen: MadeSample) -> float | None:
    """PSNR inside the people's masks."""
    mask = seen.case.mask
    if mask is None:
        return None
    return decibel(float(np.square(seen.difference[mask]).mean(dtype=np.float64)))


def ssim_inside(seen: MadeSample) -> float | None:
    """Mean of the SSIM map inside the people's masks."""
    mask = seen.case.mask
    return None if mask is None else float(seen.ssim_map[mask].mean(dtype=np.float64))


def psnr_wrapped(seen: MadeSample) -> float:
    """PSNR as the code of the paper's table computes it: difference and square wrap at 8 bits."""
    wrapped = (seen.picture - seen.case.truth) ** 2  # uint8, on purpose
    return decibel(float(wrapped.mean(dtype=np.float64)))


def decibel(mean_square: float) -> float:
    """PSNR of a mean squared error on 0..255."""
    if mean_square <= 0:
        return MOST_DB
    return min(MOST_DB, 10 * math.log10(PEAK**2 / mean_square))


def ssim_map(one: np.ndarray, other: np.ndarray) -> np.ndarray:
    """(H, W, 3) of Wang et al. (2004): Gaussian window of 11 pixels, sigma 1.5, range 255."""
    metrics = needed("skimage.metrics")
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
