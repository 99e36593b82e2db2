"""What is compared: a sample with its truth, and a picture that was made of it."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from magicpose_cli.arrays import Floats, Integers, Mask, Picture, Points
from magicpose_cli.pose.keypoints import Pose

MOVED_LEVELS = 24  # of 255, by which compression and light alone hardly change a pixel


@dataclass
class Sample:
    """One picture to be made: a reference and a pose are given, the truth is known.

    Attributes:
        name: For people.
        clip: Name of the clip that the sample belongs to.
        reference: A picture of the truth's size; None where there is none.
        truth: What should come out.
        pose: Asked for, in the truth's pixels; None where it is not known.
        reference_pose: In the reference's pixels; None where it is not known.
        labels: (H, W) index into synthetic.canvas.LABELS, 0 where the person is not.
        reference_labels: The same of the reference.
        person: (H, W) where the truth's person is; None where labels tell it, or nothing does.
        reference_person: The same of the reference.
        before: Truth of the frame before in the same clip; None at the start of a clip and
            between single pictures.
    """

    name: str
    clip: str
    reference: Picture | None
    truth: Picture
    pose: Pose | None = None
    reference_pose: Pose | None = None
    labels: Integers | None = None
    reference_labels: Integers | None = None
    person: Mask | None = None
    reference_person: Mask | None = None
    before: Picture | None = None

    @cached_property
    def mask(self) -> Mask | None:
        """Where the reference's or the truth's person is, (H, W); None where it is not known."""
        person, reference_person = self.person, self.reference_person
        if self.labels is not None and self.reference_labels is not None:
            person, reference_person = self.labels > 0, self.reference_labels > 0
        if person is None or reference_person is None:
            return None
        mask: Mask = person | reference_person
        return mask if mask.any() else None

    @cached_property
    def moved(self) -> Mask | None:
        """Where a channel of the truth is more than MOVED_LEVELS off the reference, (H, W).

        None without a reference, or where nothing does.
        """
        if self.reference is None:
            return None
        apart = np.abs(self.truth.astype(np.int16) - self.reference).max(2)
        mask: Mask = apart > MOVED_LEVELS
        return mask if mask.any() else None

    @cached_property
    def flow(self) -> tuple[Points, Mask] | None:
        """`flow_sources` from the truth's frame before; None without one."""
        from magicpose_cli.evaluation.flicker import flow_sources

        return None if self.before is None else flow_sources(self.before, self.truth)


@dataclass
class MadeSample:
    """A picture beside the truth of its sample, with what could be read off both.

    Attributes:
        sample: What was asked for.
        picture: What was made, of the truth's size.
        labels: Where the picture's regions are taken to be, as of `Sample.labels`.
        found: Pose of the detector in the picture; None without a detector.
        truth_found: Pose of the detector in the truth; None without a detector.
        before: Picture of the frame before; None where there is none.
    """

    sample: Sample
    picture: Picture
    labels: Integers | None = None
    found: Pose | None = None
    truth_found: Pose | None = None
    before: Picture | None = None

    @cached_property
    def difference(self) -> Floats:
        """Picture minus truth, (H, W, 3) in -255..255."""
        return self.picture.astype(np.float32) - self.sample.truth.astype(np.float32)

    @cached_property
    def ssim_map(self) -> Floats:
        """SSIM around each pixel, for each channel, (H, W, 3)."""
        from magicpose_cli.evaluation.pixels import ssim_map

        return ssim_map(self.picture, self.sample.truth)


@dataclass(frozen=True)
class SampleSet:
    """Samples that can be gone through again and again, one in memory at a time.

    Attributes:
        kind: "drawn", "rendered", "data", "videos" or "films".
        description: For people.
        count: How many there are.
        open: Begins to go through them.
        has_truth_poses: Whether the samples' poses are those that the detector reads off the
            truths, which then need not be read again.
    """

    kind: str
    description: str
    count: int
    open: Callable[[], Iterator[Sample]]
    has_truth_poses: bool = False
