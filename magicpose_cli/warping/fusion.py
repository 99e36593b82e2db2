"""The warped reference and the network's frame, fused into one picture.

A small model draws no likeness: its frame is shown only where no pixel of the reference can be. A
model that draws people keeps its frame, and gets the reference's pixels back where the two agree,
which restores a face and clothes without undoing what the network has turned or uncovered.
"""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
import numpy.typing as npt

from magicpose_cli.arrays import AnyArray, Floats, Integers, Picture
from magicpose_cli.motion.framing import Framing
from magicpose_cli.pose.keypoints import OTHER_SIDE, Pose
from magicpose_cli.pose.region import fill_hull
from magicpose_cli.warping.boxes import PixelBox, bounding_box
from magicpose_cli.warping.modeled_hand import ModeledHands
from magicpose_cli.warping.warp import ReferenceWarp, WarpedFrame, as_bytes
from magicpose_cli.warping.warp_points import WarpPoints, is_known

COLOR_SIGMA = 1 / 64  # of the short side, over which colors are compared
SAME_COLOR, OTHER_COLOR = 15.0, 50.0  # levels of 255 apart, for all and for nothing of the warp
EDGE_SIGMA = 1 / 48  # of the short side, over which edges are compared
MIN_EDGE_VARIANCE = 30.0  # of gray levels, below which an area has no edges to compare
EDGES_MATCH, EDGES_DIFFER = 0.5, 0.0  # correlation, for all and for nothing of the warp
NETWORK_WINDOW_FADE = 0.05  # of the window, at those of its edges that lie inside the result
HAND_MARGIN = 0.3  # of a hand's size, around its points
FOREARM_THICKNESS = 0.25  # of a forearm's length


@dataclass(frozen=True)
class _Gap:
    """Hands and forearms of a pose that the reference does not show.

    Attributes:
        box: Rows and columns of the result around the gap and its soft edge.
        packed: (h, w) of the box, 1 in the gap, as bits: one gap is kept for each frame.
    """

    box: PixelBox
    packed: npt.NDArray[np.uint8]

    def mask(self) -> Floats:
        """Unpack the mask, (h, w) float32, 0 or 1."""
        height, width = (part.stop - part.start for part in self.box)
        bits = np.unpackbits(self.packed, count=height * width)
        return bits.reshape(height, width).astype(np.float32)


class Fusion:
    """Fuses the warped reference with the network's frames.

    Args:
        warp: Of the reference.
        network: The framing of the reference for the network's frames.
        result: The framing of the reference for the warped frames.
        trusts_network: The network's frame is shown wherever the two differ.
        strength: 0 shows the network's frame alone, 1 as much of the warp as fits.
    """

    def __init__(
        self,
        warp: ReferenceWarp,
        network: Framing,
        result: Framing,
        *,
        trusts_network: bool,
        strength: float = 1.0,
    ) -> None:
        self._trusts, self._strength = trusts_network, strength
        self._warp, self._hidden_hands = warp, warp.hidden_hands
        self._hands = ModeledHands(warp)
        self._parts = warp.parts
        self._size = (result.width, result.height)
        self._network_size = (network.width, network.height)
        left, top, right, bottom = network.between(result).window
        across, down = (right - left) / result.width, (bottom - top) / result.height
        # Maps the center of a result's pixel into the network's frame.
        self._into = np.array(
            [[across, 0, left + across / 2 - 0.5], [0, down, top + down / 2 - 0.5]], np.float64
        )
        self._inside = self._faded(network)
        self._gap_sigma_px = max(1.0, min(self._size) / 128)
        self._gaps: dict[bytes, _Gap | None] = {}

    def needs(self, pose: Pose) -> bool:
        """Tell whether anything of the network's frame can be shown in a pose.

        Args:
            pose: In the result's pixels.
        """
        if self._trusts or self._strength < 1:
            return True
        gap = self._gap(pose)
        return gap is not None and bool(self._inside[gap.box].any())

    def __call__(self, warped: WarpedFrame, made: Picture | None) -> Picture:
        """Fuse one frame.

        Args:
            warped: The reference in the frame's pose.
            made: The network's frame, (h, w, 3) uint8 RGB; None for a pose that does not need it.

        Returns:
            (H, W, 3) uint8 RGB.
        """
        if not self._trusts:
            warped = self._hands.over(warped)
        frame = as_bytes(warped.picture)
        if made is None:
            return frame
        box = self._whole
        if self._trusts:
            drawn = self._in_result(made, box)
            share = 1 - self._strength * self._agreement(warped, drawn)
        else:
            gap = self._gap(warped.pose)
            if self._strength == 1:
                if gap is None:
                    return frame
                box = gap.box
            drawn = self._in_result(made, box)
            soft = self._soft_gap(gap, box)
            share = np.maximum(1 - self._strength, soft * (1 - warped.cover[box]))
        share = (self._inside[box] * share)[..., None]
        picture = warped.picture[box]
        frame[box] = as_bytes(picture + share * (drawn - picture))
        return frame

    def for_network(self, picture: Floats) -> Picture:
        """Bring a picture of the result, (H, W, 3) float32, into the network's frame, uint8."""
        shrinking = 1 / float(self._into[0, 0])
        if shrinking > 1:  # an affine warp would leave pixels out
            blurred = cv2.GaussianBlur(picture, (0, 0), 0.5 * np.sqrt(shrinking**2 - 1))
            picture = np.asarray(blurred, np.float32)
        frame = cv2.warpAffine(
            picture,
            self._into,
            self._network_size,
            flags=cv2.INTER_CUBIC,
            borderMode=cv2.BORDER_REPLICATE,
        )
        return as_bytes(frame)

    def in_result(self, made: Picture) -> Picture:
        """Lay the network's frame, or its pose map, where it lies in the result, on black.

        Args:
            made: (h, w, 3) uint8 RGB.

        Returns:
            (H, W, 3) uint8 RGB.
        """
        return as_bytes(self._in_result(made, self._whole) * (self._inside > 0)[..., None])

    @property
    def _whole(self) -> PixelBox:
        return slice(0, self._size[1]), slice(0, self._size[0])

    def _in_result(self, made: Picture, box: PixelBox) -> Floats:
        """Return a box of the result in float32; around the network's frame its edge goes on."""
        rows, columns = box
        first = np.array([columns.start, rows.start])
        shifted = self._into[:, :2] @ first + self._into[:, 2]
        drawn = cv2.warpAffine(
            made.astype(np.float32),
            np.column_stack([self._into[:, :2], shifted]),
            (columns.stop - columns.start, rows.stop - rows.start),
            flags=cv2.INTER_CUBIC | cv2.WARP_INVERSE_MAP,
            borderMode=cv2.BORDER_REPLICATE,
        )
        return np.asarray(drawn, np.float32)

    def _faded(self, network: Framing) -> Floats:
        """Return 1 in the network's window, less at its edges inside the result, (H, W) float32."""
        width, height = self._size
        shares = []
        for length, side, (scale, shift) in (
            (width, network.width, (self._into[0, 0], self._into[0, 2])),
            (height, network.height, (self._into[1, 1], self._into[1, 2])),
        ):
            at = scale * np.arange(length) + shift + 0.5
            first, last = np.full(length, np.inf), np.full(length, np.inf)
            if at[0] < 0:
                first = at
            if at[-1] > side:
                last = side - at
            depth = np.minimum(first, last) / (NETWORK_WINDOW_FADE * side)
            shares.append(np.clip(depth, 0, 1).astype(np.float32))
        return np.asarray(np.outer(shares[1], shares[0]), np.float32)

    def _agreement(self, warped: WarpedFrame, drawn: Floats) -> Floats:
        """Tell where both show the person alike, with edges in place, (H, W) float32, 0 to 1."""
        side = min(self._size)
        color = cv2.GaussianBlur(drawn - warped.picture, (0, 0), COLOR_SIGMA * side)
        alike = (OTHER_COLOR - np.abs(color).max(2)) / (OTHER_COLOR - SAME_COLOR)
        one, other = (cv2.cvtColor(p, cv2.COLOR_RGB2GRAY) for p in (drawn, warped.picture))

        def mean(values: AnyArray) -> AnyArray:
            return cv2.GaussianBlur(values, (0, 0), EDGE_SIGMA * side)

        mean_one, mean_other = mean(one), mean(other)
        common: Floats = mean(one * other) - mean_one * mean_other
        spread = (mean(one**2) - mean_one**2) * (mean(other**2) - mean_other**2)
        related = (common + MIN_EDGE_VARIANCE) / (
            np.sqrt(np.maximum(spread, 0)) + MIN_EDGE_VARIANCE
        )
        placed = (related - EDGES_DIFFER) / (EDGES_MATCH - EDGES_DIFFER)
        agreed: Floats = warped.cover * np.clip(alike, 0, 1) * np.clip(placed, 0, 1)
        return agreed

    def _soft_gap(self, gap: _Gap | None, box: PixelBox) -> Floats:
        """Return 1 in the gap and less around it, (h, w) float32, of the gap's box or all."""
        mask = np.zeros([part.stop - part.start for part in box], np.float32)
        if gap is not None:
            mask[gap.box if box == self._whole else ...] = gap.mask()
        return np.asarray(cv2.GaussianBlur(mask, (0, 0), self._gap_sigma_px), np.float32)

    def _gap(self, pose: Pose) -> _Gap | None:
        """Find the gap of a pose; it is drawn once, to choose the frames and to fuse them."""
        key = b"".join(points.tobytes() for points in (pose.body, pose.right_hand, pose.left_hand))
        if key not in self._gaps:
            mask = self._drawn_gap(pose)
            box = bounding_box(mask, margin_px=round(4 * self._gap_sigma_px))
            self._gaps[key] = None if box is None else _Gap(box, np.packbits(mask[box]))
        return self._gaps[key]

    def _drawn_gap(self, pose: Pose) -> Integers:
        """Draw what the network alone can show of a pose, (H, W) uint8.

        That are hands and forearms that the reference does not show, except modeled hands and
        arms that are the other one's mirror image.
        """
        now, modeled = WarpPoints.of(pose), self._hands.sides(pose)
        mirrored, hidden = self._warp.mirrored_arms(pose), self._hidden_hands
        mask = np.zeros(self._size[::-1], np.uint8)
        for side in hidden:
            has_hand = side in modeled or (side in mirrored and OTHER_SIDE[side] not in hidden)
            if now.has_hand(side) and not has_hand:
                hand = now.hands[side][is_known(now.hands[side])]
                fill_hull(mask, hand, HAND_MARGIN / 2 * float(np.ptp(hand, axis=0).max()))
            has_forearm = side in mirrored or f"{side}_forearm" in self._parts
            if not has_forearm and now.has(f"{side}_elbow", f"{side}_wrist"):
                start, end = now.joint(f"{side}_elbow"), now.joint(f"{side}_wrist")
                thick = max(1, round(FOREARM_THICKNESS * float(np.linalg.norm(end - start))))
                one, other = (np.rint(point).astype(int).tolist() for point in (start, end))
                cv2.line(mask, one, other, (1,), thick)
        return mask
