"""Cases in which the reference's own pixels are moved, as `animate` moves them.

They are single pictures: there is no driver's film whose swing hair and clothes could take.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from magicpose_cli.evaluation.cases import Sample
from magicpose_cli.motion.framing import Framing
from magicpose_cli.pose.keypoints import Pose
from magicpose_cli.warping.fusion import Fusion
from magicpose_cli.warping.matte import find_matte
from magicpose_cli.warping.warp import ReferenceWarp


@dataclass(frozen=True)
class CaseWarp:
    """A reference that is ready to be moved and fused with a network's pictures of its size."""

    warp: ReferenceWarp
    fusion: Fusion

    def fused(self, case: Sample, made: np.ndarray) -> np.ndarray:
        """The picture of a case with a known pose; made: the network's, (H, W, 3) uint8 RGB."""
        assert case.pose is not None
        return self.fusion(self.warp(case.pose), made)


class WarpedCases:
    """Prepares the references of cases; the last one is kept, for the cases of a clip share theirs.

    trusts_network, strength: see Fusion.
    """

    def __init__(self, trusts_network: bool, strength: float) -> None:
        self._trusts_network, self._strength = trusts_network, strength
        self._last: tuple[np.ndarray, Pose, CaseWarp | None] | None = None

    def of(self, case: Sample) -> CaseWarp | None:
        """None where a pose is not known, or where the person cannot be told from the rest."""
        picture, still = case.reference, case.reference_pose
        if picture is None or still is None or case.pose is None:
            return None
        if self._last is not None:
            former, former_still, made = self._last
            if np.array_equal(former, picture) and former_still.equals(still):
                return made
        made = self._prepared(picture, still)
        self._last = (picture, still, made)
        return made

    def _prepared(self, picture: np.ndarray, still: Pose) -> CaseWarp | None:
        matte = find_matte(picture, still)
        if matte is None:
            return None
        height, width = picture.shape[:2]
        whole = Framing((0, 0, width, height), width, height)
        warp = ReferenceWarp(picture, still, matte)
        fusion = Fusion(
            warp, whole, whole, trusts_network=self._trusts_network, strength=self._strength
        )
        return CaseWarp(warp, fusion)
