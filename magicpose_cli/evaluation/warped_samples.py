"""Samples in which the reference's own pixels are moved, as `animate` moves them.

They are single pictures: there is no driver's film whose swing hair and clothes could take.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from magicpose_cli.arrays import Picture
from magicpose_cli.evaluation.samples import Sample
from magicpose_cli.motion.framing import Framing
from magicpose_cli.pose.keypoints import Pose
from magicpose_cli.warping.fusion import Fusion
from magicpose_cli.warping.matte import find_matte
from magicpose_cli.warping.warp import ReferenceWarp


@dataclass(frozen=True)
class SampleWarp:
    """A reference that is ready to be moved and fused with a network's pictures of its size."""

    warp: ReferenceWarp
    fusion: Fusion

    def fused(self, sample: Sample, made: Picture) -> Picture:
        """Make the picture of a sample with a known pose.

        Args:
            sample: Whose reference this is.
            made: Picture of the network.
        """
        assert sample.pose is not None
        return self.fusion(self.warp(sample.pose), made)


class WarpedSamples:
    """Prepares the references of samples.

    The last one is kept, for the samples of a clip share theirs.
    """

    def __init__(self, trusts_network: bool, strength: float) -> None:
        """Keep what `Fusion` is told."""
        self._trusts_network, self._strength = trusts_network, strength
        self._last: tuple[Picture, Pose, SampleWarp | None] | None = None

    def of(self, sample: Sample) -> SampleWarp | None:
        """Prepare the reference of a sample.

        Returns:
            None where a pose is not known, or where the person cannot be told from the rest.
        """
        picture, reference_pose = sample.reference, sample.reference_pose
        if picture is None or reference_pose is None or sample.pose is None:
            return None
        if self._last is not None:
            former, former_pose, made = self._last
            if np.array_equal(former, picture) and former_pose.equals(reference_pose):
                return made
        made = self._prepared(picture, reference_pose)
        self._last = (picture, reference_pose, made)
        return made

    def _prepared(self, picture: Picture, reference_pose: Pose) -> SampleWarp | None:
        matte = find_matte(picture, reference_pose)
        if matte is None:
            return None
        height, width = picture.shape[:2]
        whole = Framing((0, 0, width, height), width, height)
        warp = ReferenceWarp(picture, reference_pose, matte)
        fusion = Fusion(
            warp, whole, whole, trusts_network=self._trusts_network, strength=self._strength
        )
        return SampleWarp(warp, fusion)
