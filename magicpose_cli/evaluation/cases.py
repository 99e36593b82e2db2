"""What is compared: a case with its truth, and a picture that was made of it."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from magicpose_cli.pose.keypoints import Pose


@dataclass
class Sample:
    """One picture to be made: a reference and a pose are given, the truth is known.

    reference, truth, before: (H, W, 3) uint8 RGB of one size. pose: asked for, in the truth's
    pixels; None where nobody knows it. labels: (H, W) uint8 index into training.drawing.LABELS, 0
    where the person is not. before: the truth of the frame before in the same clip; None at the
    start of a clip and between single pictures.
    """

    name: str
    clip: str
    reference: np.ndarray | None
    truth: np.ndarray
    pose: Pose | None = None
    reference_pose: Pose | None = None
    labels: np.ndarray | None = None
    reference_labels: np.ndarray | None = None
    before: np.ndarray | None = None

    @cached_property
    def mask(self) -> np.ndarray | None:
        """(H, W) bool: where the reference's or the truth's person is; None without labels."""
        if self.labels is None or self.reference_labels is None:
            return None
        mask = (self.labels > 0) | (self.reference_labels > 0)
        return mask if mask.any() else None


@dataclass
class MadeSample:
    """A picture beside the truth of its case, with what could be read off both.

    picture: (H, W, 3) uint8 RGB of the truth's size. labels: where the picture's regions are taken
    to be. found, truth_found: the detector's poses in picture and truth; None without a detector.
    before: the picture of the frame before; None where there is none.
    """

    case: Sample
    picture: np.ndarray
    labels: np.ndarray | None = None
    found: Pose | None = None
    truth_found: Pose | None = None
    before: np.ndarray | None = None

    @cached_property
    def difference(self) -> np.ndarray:
        """(H, W, 3) float32, picture minus truth, in -255..255."""
        return self.picture.astype(np.float32) - self.case.truth.astype(np.float32)

    @cached_property
    def ssim_map(self) -> np.ndarray:
        """(H, W, 3) SSIM around each pixel, for each channel."""
        from magicpose_cli.evaluation.pixels import ssim_map

        return ssim_map(self.picture, self.case.truth)


@dataclass(frozen=True)
class Cases:
    """Cases that can be gone through again and again, one in memory at a time.

    kind: "drawn", "data" or "videos".
    """

    kind: str
    description: str
    count: int
    open: Callable[[], Iterator[Sample]]
