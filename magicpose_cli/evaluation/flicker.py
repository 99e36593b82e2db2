"""Flicker: what changes from frame to frame along the truth's own motion."""

from __future__ import annotations

import numpy as np

from magicpose_cli.arrays import Mask, Picture, Points
from magicpose_cli.evaluation.samples import MadeSample


def flicker(made: MadeSample) -> float | None:
    """Compute the mean change in gray levels from the frame before, moved to the place of this one.

    The optical flow is the truth's, so a picture that moves as the truth does and keeps its
    colors has none. Pixels whose flow does not lead back (they were hidden before) do not count.
    None at the start of a clip.
    """
    flow = made.sample.flow
    if made.before is None or flow is None:
        return None
    return change_along(made.before, made.picture, *flow)


def flicker_error(made: MadeSample) -> float | None:
    """Compute how far the picture's flicker is from the truth's own, in gray levels.

    With the truth's flow from the frame before and W, which moves a frame before along it,

        | mean|r[t] - W(r[t-1])| - mean|g[t] - W(g[t-1])| |

    for results r and truths g; means are over the channels of the pixels whose flow leads back.
    This follows tLP of Chu et al. (2020), who compare the change from frame to frame of result and
    truth by a perceptual distance and without flow. A result that stands still while the truth
    moves is as wrong as one that flickers. None at the start of a clip.
    """
    flow, true_before = made.sample.flow, made.sample.before
    if made.before is None or true_before is None or flow is None:
        return None
    change = change_along(made.before, made.picture, *flow)
    true_change = change_along(true_before, made.sample.truth, *flow)
    return None if change is None or true_change is None else abs(change - true_change)


def flow_sources(before: Picture, after: Picture) -> tuple[Points, Mask]:
    """Find where each pixel of `after` was in `before`.

    By DIS optical flow (Kroeger et al., 2016) both ways; a pixel counts where the two agree (the
    rule of Ruder et al., 2016).

    Returns:
        The places (H, W, 2), x and y in pixels, and where they are valid, (H, W).
    """
    import cv2

    one, other = (cv2.cvtColor(f, cv2.COLOR_RGB2GRAY) for f in (before, after))
    dis = cv2.DISOpticalFlow.create(cv2.DISOPTICAL_FLOW_PRESET_MEDIUM)
    height, width = one.shape
    back, forth = (
        dis.calc(start, end, np.zeros((height, width, 2), np.float32))
        for start, end in ((other, one), (one, other))
    )
    grid = np.stack(np.meshgrid(np.arange(width), np.arange(height)), -1).astype(np.float32)
    sources = grid + back
    returned = cv2.remap(forth, sources[..., 0], sources[..., 1], cv2.INTER_LINEAR)
    lengths = np.square(back).sum(-1) + np.square(returned).sum(-1)
    agreed = np.square(back + returned).sum(-1) < 0.01 * lengths + 0.5
    inside = ((sources >= 0) & (sources <= (width - 1, height - 1))).all(-1)
    return sources, agreed & inside


def change_along(before: Picture, after: Picture, sources: Points, valid: Mask) -> float | None:
    """Compute the mean |after - before at its sources| over the valid pixels, None without any."""
    import cv2

    if not valid.any():
        return None
    moved = cv2.remap(before.astype(np.float32), sources[..., 0], sources[..., 1], cv2.INTER_LINEAR)
    return float(np.abs(after.astype(np.float32) - moved)[valid].mean())
