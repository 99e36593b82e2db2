"""Pixel metrics in levels of 0..255: L1, PSNR, SSIM, sharpness, over the picture or in a mask."""

from __future__ import annotations

import math

import numpy as np

from magicpose_cli.arrays import Floats, Mask, Picture
from magicpose_cli.config.extras import needed
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


def ssim_gray(made: MadeSample) -> float:
    """Structural similarity of gray levels, mean over all pixels; the picture is mirrored at edges.

    As Wang et al. (2004) do: Gaussian window of 11 pixels, sigma 1.5, range 255.
    """
    one, other = _gray(made.picture), _gray(made.sample.truth)
    mean, true_mean = _blurred(one), _blurred(other)
    variance = _blurred(one * one) - mean * mean
    true_variance = _blurred(other * other) - true_mean * true_mean
    covariance = _blurred(one * other) - mean * true_mean
    c1, c2 = (0.01 * PEAK) ** 2, (0.03 * PEAK) ** 2
    above = (2 * mean * true_mean + c1) * (2 * covariance + c2)
    below = (mean * mean + true_mean * true_mean + c1) * (variance + true_variance + c2)
    return float((above / below).mean())


def psnr_moved(made: MadeSample) -> float | None:
    """PSNR where the truth differs from the reference; None where it does not."""
    return _psnr_where(made, made.sample.moved)


def sharpness(made: MadeSample) -> float | None:
    """Mean length of the gray levels' gradient over the truth's: 1 is as sharp, below is blur.

    None for a truth of one color.
    """
    true_gradient = _mean_gradient(made.sample.truth)
    return _mean_gradient(made.picture) / true_gradient if true_gradient else None


def background_error(made: MadeSample) -> float | None:
    """L1 outside of the people's masks, None without masks or where they fill the picture."""
    mask = made.sample.mask
    if mask is None or mask.all():
        return None
    return float(np.abs(made.difference[~mask]).mean())


def l1_inside(made: MadeSample) -> float | None:
    """L1 inside the people's masks."""
    mask = made.sample.mask
    return None if mask is None else float(np.abs(made.difference[mask]).mean())


def psnr_inside(made: MadeSample) -> float | None:
    """PSNR inside the people's masks."""
    return _psnr_where(made, made.sample.mask)


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


def _psnr_where(made: MadeSample, mask: Mask | None) -> float | None:
    if mask is None:
        return None
    return decibel(float(np.square(made.difference[mask]).mean(dtype=np.float64)))


def _gray(picture: Picture) -> Floats:
    """Gray levels (H, W) float64 of 0..255, rounded."""
    import cv2

    return cv2.cvtColor(picture, cv2.COLOR_RGB2GRAY).astype(np.float64)


def _blurred(levels: Floats) -> Floats:
    import cv2

    return np.asarray(cv2.GaussianBlur(levels, (11, 11), 1.5), np.float64)


def _mean_gradient(picture: Picture) -> float:
    """Mean length of Sobel's gradient of the gray levels."""
    import cv2

    gray = _gray(picture)
    across, down = (cv2.Sobel(gray, -1, x, 1 - x) for x in (1, 0))
    return float(np.hypot(across, down).mean())


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
