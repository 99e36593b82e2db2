"""The windows of frames that a motion module sees together, and how overlapping ones are joined.

A motion module attends over 16 frames (Guo et al., "AnimateDiff", ICLR 2024), a clip has more. Its
frames are made in windows that overlap, as MagicPose (Chang et al., ICML 2024) does it, but at
fixed places of the clip: a window depends on nothing but its own frames, so that it does not matter
who makes it and when, and no more than one window and its overlap is held.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from itertools import pairwise

import numpy as np
import numpy.typing as npt

from magicpose_cli.arrays import AnyArray

FRAMES_TOGETHER = 16
"""Frames of a window, which AnimateDiff's motion modules were trained on."""
WINDOW_STRIDE = 12
"""Frames from the beginning of one window to that of the next."""


def motion_windows(frames: int) -> list[range]:
    """Cut a clip into overlapping windows.

    All windows have `FRAMES_TOGETHER` frames; the last one ends with the clip and overlaps more
    than the others. A shorter clip is one window.

    Args:
        frames: Number of frames of the clip, at least 1.

    Returns:
        Indices of the frames of each window, in order.
    """
    if frames <= FRAMES_TOGETHER:
        return [range(frames)]
    starts = [*range(0, frames - FRAMES_TOGETHER, WINDOW_STRIDE), frames - FRAMES_TOGETHER]
    return [range(start, start + FRAMES_TOGETHER) for start in starts]


def finished_frames(windows: Sequence[range]) -> list[range]:
    """Tell which frames are finished with each window, because no later window has them."""
    ends = [min(w.stop, later.start) for w, later in pairwise(windows)]
    ends.append(windows[-1].stop)
    return [range(window.start, end) for window, end in zip(windows, ends, strict=True)]


def first_window_with(windows: Sequence[range], frame: int) -> int:
    """Find the first window that has a frame."""
    return next(at for at, window in enumerate(windows) if frame in window)


def blended(windows: Sequence[range], made: Iterable[AnyArray]) -> Iterator[AnyArray]:
    """Join the frames of overlapping windows as soon as they are finished.

    Where windows overlap, the weight of each grows from its edge inward: 1, 2, 3, 4 against
    4, 3, 2, 1. Frames on which all windows agree come out as they are, to the last bit.

    Args:
        windows: Windows in order; some of the clip's may be left out.
        made: For each window its frames, (n, ...): uint8 pictures, or float32 latents.

    Yields:
        For each window the frames that `finished_frames` tells, in the type that they came in.
    """
    sums: dict[int, AnyArray] = {}
    totals: dict[int, int] = {}
    for window, finished, frames in zip(windows, finished_frames(windows), made, strict=True):
        frames = np.asarray(frames)
        for index, weight, frame in zip(window, _weights(len(window)), frames, strict=True):
            weighted = weight * frame.astype(_summed_as(frames.dtype))
            sums[index] = weighted if index not in sums else sums[index] + weighted
            totals[index] = totals.get(index, 0) + weight
        means = [sums.pop(index) / totals.pop(index) for index in finished]
        joined = np.stack(means) if means else np.empty((0, *frames.shape[1:]))
        if frames.dtype == np.uint8:
            joined = np.rint(joined)
        yield joined.astype(frames.dtype)


def _weights(length: int) -> list[int]:
    """How much each frame of a window counts: less near its edges."""
    most = FRAMES_TOGETHER - WINDOW_STRIDE + 1
    return [min(at + 1, length - at, most) for at in range(length)]


def _summed_as(kind: npt.DTypeLike) -> npt.DTypeLike:
    """The type in which weighted sums of such numbers lose nothing."""
    return np.float32 if kind == np.uint8 else np.float64
