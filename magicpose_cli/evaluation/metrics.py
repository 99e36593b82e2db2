"""The table of metrics that are measured picture by picture; a metric is one entry."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

from magicpose_cli.evaluation import colors, flicker, pixels, pose_following
from magicpose_cli.evaluation.samples import MadeSample

COPY, TRUTH = "copying the reference", "the truth itself"


@dataclass(frozen=True)
class Metric:
    """What is measured, how, and what it is held against.

    Attributes:
        key: In metrics.json.
        name: For people.
        unit: Of the value; empty without one.
        better: "higher", "lower" or "closer to 1".
        baseline: COPY (the difference to it is told) or TRUTH (the ratio is told); None where
            neither says anything.
        function: Measures a picture; gives None where the picture has no such value.
        protocol: How the value is measured, for people.
    """

    key: str
    name: str
    unit: str
    better: str
    baseline: str | None
    function: Callable[[MadeSample], float | None]
    protocol: str


INSIDE_MASKS = "inside the union of the reference's and the truth's person masks"
METRICS = (
    Metric(
        "psnr", "PSNR", "dB", "higher", COPY, pixels.psnr,
        "10 log10(255^2 / MSE) of each picture, MSE over all pixels and channels of float RGB in "
        "0..255; mean over the pictures, identical ones count as 100 dB. This is what later "
        "papers print as PSNR*",
    ),
    Metric(
        "psnr_inside", "PSNR inside", "dB", "higher", COPY, pixels.psnr_inside,
        f"the same {INSIDE_MASKS}",
    ),
    Metric(
        "ssim", "SSIM", "", "higher", COPY, pixels.ssim,
        "Wang et al. 2004 on float RGB in 0..255: Gaussian window of 11 pixels, sigma 1.5, "
        "K1 0.01, K2 0.03, range 255, population covariance, each channel alone, mean over "
        "channels and over pixels whose window lies in the picture (scikit-image)",
    ),
    Metric(
        "ssim_inside", "SSIM inside", "", "higher", COPY, pixels.ssim_inside,
        f"mean of the SSIM map {INSIDE_MASKS}",
    ),
    Metric(
        "l1", "L1", "levels", "lower", COPY, pixels.l1,
        "mean absolute difference of float RGB in 0..255 over pixels and channels",
    ),
    Metric(
        "l1_inside", "L1 inside", "levels", "lower", COPY, pixels.l1_inside,
        f"the same {INSIDE_MASKS}",
    ),
    Metric(
        "body", "body", "% height", "lower", TRUTH, pose_following.body_error,
        "mean distance between the joints asked for and those a detector reads off the picture "
        "(18 OpenPose joints, those seen in both, 3 at least) in % of the asked person's body "
        "height, which is told from the longest-looking bone; pictures with a shorter side below "
        "512 pixels are enlarged to it before detection; pictures without a person are left out "
        "and counted under `found`",
    ),
    Metric(
        "face", "face", "% eyes", "lower", TRUTH, pose_following.face_error,
        "mean distance of the 68 face points, asked for and detected, in % of the asked distance "
        "between the centers of the eyes; pictures without a detected face are left out",
    ),
    Metric(
        "found", "found", "%", "higher", TRUTH, pose_following.found_share,
        "share of the pictures in which the detector finds a person",
    ),
    Metric(
        "hands", "hands", "%", "higher", TRUTH, pose_following.hands_found,
        "share of the hands that the detector finds in the truth and in the picture as well, with "
        "their middle in the truth's box around them; pictures whose truth shows none are left out",
    ),
    Metric(
        "color", "color", "dE00", "lower", COPY, colors.color_error,
        "CIEDE2000 between the mean CIELAB (D65) colors of result and truth in each region of "
        "the person (skin, hair, clothes) under the truth's masks, regions above 0.1 % "
        "of the picture, mean over the regions. Copying the reference is measured under the "
        "reference's own masks: what the same person differs by in another pose, the floor",
    ),
    Metric(
        "flicker", "flicker", "levels", "lower", TRUTH, flicker.flicker,
        "mean absolute change in 0..255 from frame to frame along the truth's DIS optical flow, "
        "where forward and backward flow agree; clips only",
    ),
    Metric(
        "psnr_wrapped", "PSNR 8-bit", "dB", "higher", COPY, pixels.psnr_wrapped,
        "for comparison with tables whose PSNR is near 29 only: difference and square are taken "
        "in 8 bits and wrap around, as in the code those papers share. It says little: no "
        "picture can fall below 24 dB",
    ),
)  # fmt: skip
BY_KEY = {metric.key: metric for metric in METRICS}
FILM_METRICS = (
    BY_KEY["psnr"],
    BY_KEY["psnr_inside"],
    Metric(
        "psnr_moved", "PSNR moved", "dB", "higher", COPY, pixels.psnr_moved,
        "the same where the truth differs from the reference by more than 24 levels in a channel",
    ),
    Metric(
        "ssim_gray", "SSIM gray", "", "higher", COPY, pixels.ssim_gray,
        "Wang et al. 2004 on gray levels in 0..255: Gaussian window of 11 pixels, sigma 1.5, "
        "K1 0.01, K2 0.03, mean over all pixels, the picture mirrored at its edges",
    ),
    Metric(
        "sharpness", "sharpness", "", "closer to 1", COPY, pixels.sharpness,
        "mean length of the gradient (Sobel) of the gray levels over that of the truth",
    ),
    Metric(
        "background", "background", "levels", "lower", COPY, pixels.background_error,
        "mean absolute difference of float RGB in 0..255 outside of both person masks, the truth's "
        "and the reference's, each found by MediaPipe's segmentation and widened by 2.4 % of the "
        "short side; where the camera stands still nothing moves there",
    ),
    BY_KEY["flicker"],
    Metric(
        "flicker_error", "flicker error", "levels", "lower", COPY, flicker.flicker_error,
        "absolute difference between the result's flicker and the truth's own, of each picture: "
        "| mean|r[t] - W(r[t-1])| - mean|g[t] - W(g[t-1])| | for results r and truths g, W moving "
        "the frame before along the truth's DIS flow; like tLP of Chu et al. 2020, in gray levels",
    ),
    Metric(
        "psnr_mouth", "PSNR mouth", "dB", "higher", COPY, pose_following.psnr_mouth,
        "PSNR in the box around the 20 points of the mouth that the detector reads off the truth, "
        "enlarged by a quarter of its width on each side",
    ),
    Metric(
        "mouth", "mouth", "% eyes", "lower", COPY, pose_following.mouth_error,
        "mean distance of the 20 points of the mouth, detected in truth and result, in % of the "
        "truth's distance between the centers of the eyes",
    ),
    replace(BY_KEY["body"], baseline=COPY),
    replace(BY_KEY["face"], baseline=COPY),
    replace(BY_KEY["found"], baseline=COPY),
)  # fmt: skip
"""What is measured where a film acts itself again: the pose asked for is the one in the truth."""
