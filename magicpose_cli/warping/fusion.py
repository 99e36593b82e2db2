"""What is shown of the warped reference, and what of the network's frame.

A small model draws no likeness: of its frame only what no pixel of the reference shows is taken. A
model that draws people keeps its frame, and gets the reference's pixels back where the two agree,
which restores a face and clothes without undoing what the network has turned or uncovered.
"""

from __future__ import annotations

import cv2
import numpy as np

from magicpose_cli.motion.framing import Framing
from magicpose_cli.pose.keypoints import Pose
from magicpose_cli.pose.region import fill_hull
from magicpose_cli.warping.modeled_hand import ModeledHands
from magicpose_cli.warping.smoothed_points import Points, known
from magicpose_cli.warping.warp import ReferenceWarp, Warped, as_bytes

COLOR_SMOOTH = 1 / 64  # of the short side, over which colors are compared
SAME, OTHER = 15.0, 50.0  # levels of 255 by which they differ, for all and for nothing of the warp
PLACE_SMOOTH = 1 / 48  # of the short side, over which edges are compared
EDGES = 30.0  # variance of gray levels below which an area has no edges to compare
IN_PLACE, ELSEWHERE = 0.5, 0.0  # correlation of the edges, for all and for nothing of the warp
FADE = 0.05  # of the network's window, at its edges inside the result
HAND_ROOM = 0.3  # of a hand's size, around its points
FOREARM = 0.25  # thickness of a forearm in its length


class Fusion:
    """Puts frames together.

    network, result: framings of the reference for both. trusts_network: whether the network's frame
    is shown wherever the two differ. strength: 0 is the network's frame, 1 all that is wanted.
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
        self._lacking = warp.hidden_hands
        self._hands = ModeledHands(warp)
        self._parts = warp.parts
        self._size = (result.width, result.height)
        self._network_size = (network.width, network.height)
        left, top, right, bottom = network.between(result).window
        across, down = (right - left) / result.width, (bottom - top) / result.height
        # The center of a result's pixel, in the network's frame.
        self._into = np.array(
            [[across, 0, left + across / 2 - 0.5], [0, down, top + down / 2 - 0.5]], np.float64
        )
        self._inside = self._faded(network)
        self._soft = max(1.0, min(self._size) / 128)  # pixels, at a gap's edge

    def needs(self, pose: Pose) -> bool:
        """Whether anything of the network's frame can be shown in this pose, in the result's
        pixels."""
        if self._trusts or self._strength < 1:
            return True
        box = self._around(self._gap(pose))
        return box is not None and bool(self._inside[box].any())

    def __call__(self, warped: Warped, made: np.ndarray | None) -> np.ndarray:
        """made: the network's frame, (h, w, 3) uint8 RGB; None of a pose that does not need it.
        Returns (H, W, 3) uint8 RGB."""
        if not self._trusts:
            warped = self._hands.over(warped)
        frame, box = as_bytes(warped.picture), np.s_[0 : self._size[1], 0 : self._size[0]]
        if made is None:
            return frame
        if self._trusts:
            drawn = self._in_result(made, box)
            share = 1 - self._strength * self._agreement(warped, drawn)
        else:
            gap = self._gap(warped.pose)
            if self._strength == 1:
                if (found := self._around(gap)) is None:
                    return frame
                box = found
            drawn = self._in_result(made, box)
            soft = cv2.GaussianBlur(gap[box].astype(np.float32), (0, 0), self._soft)
            share = np.maximum(1 - self._strength, soft * (1 - warped.cover[box]))
        share = (self._inside[box] * share)[..., None]
        picture = warped.picture[box]
        frame[box] = as_bytes(picture + share * (drawn - picture))
        return frame

    def for_network(self, picture: np.ndarray) -> np.ndarray:
        """A picture of the result, (H, W, 3) float32, as the network's frame shows it, uint8."""
        shrinking = 1 / float(self._into[0, 0])
        if shrinking > 1:  # an affine warp would leave pixels out
            picture = cv2.GaussianBlur(picture, (0, 0), 0.5 * np.sqrt(shrinking**2 - 1))
        frame = cv2.warpAffine(
            picture,
            self._into,
            self._network_size,
            flags=cv2.INTER_CUBIC,
            borderMode=cv2.BORDER_REPLICATE,
        )
        return as_bytes(frame)

    def in_result(self, made: np.ndarray) -> np.ndarray:
        """The network's frame, or its pose map, where it lies in the result, (H, W, 3) uint8; black
        around it."""
        whole = np.s_[0 : self._size[1], 0 : self._size[0]]
        return as_bytes(self._in_result(made, whole) * (self._inside > 0)[..., None])

    def _in_result(self, made: np.ndarray, box: tuple[slice, slice]) -> np.ndarray:
        """The same in float32, in a box (rows, columns); around the frame its edge goes on."""
        rows, columns = box
        first = np.array([columns.start, rows.start])
        shifted = self._into[:, :2] @ first + self._into[:, 2]
        return cv2.warpAffine(
            made.astype(np.float32),
            np.column_stack([self._into[:, :2], shifted]),
            (columns.stop - columns.start, rows.stop - rows.start),
            flags=cv2.INTER_CUBIC | cv2.WARP_INVERSE_MAP,
            borderMode=cv2.BORDER_REPLICATE,
        )

    def _faded(self, network: Framing) -> np.ndarray:
        """(H, W) float32: 1 in the network's window, fading at those of its edges inside the
        result."""
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
            depth = np.minimum(first, last) / (FADE * side)
            shares.append(np.clip(depth, 0, 1).astype(np.float32))
        return np.outer(shares[1], shares[0])

    def _agreement(self, warped: Warped, drawn: np.ndarray) -> np.ndarray:
        """(H, W) float32 in 0..1: where both show the person, in the same colors, in place."""
        side = min(self._size)
        color = cv2.GaussianBlur(drawn - warped.picture, (0, 0), COLOR_SMOOTH * side)
        alike = (OTHER - np.abs(color).max(2)) / (OTHER - SAME)
        one, other = (cv2.cvtColor(p, cv2.COLOR_RGB2GRAY) for p in (drawn, warped.picture))

        def mean(values: np.ndarray) -> np.ndarray:
            return cv2.GaussianBlur(values, (0, 0), PLACE_SMOOTH * side)

        mean_one, mean_other = mean(one), mean(other)
        common = mean(one * other) - mean_one * mean_other
        spread = (mean(one**2) - mean_one**2) * (mean(other**2) - mean_other**2)
        related = (common + EDGES) / (np.sqrt(np.maximum(spread, 0)) + EDGES)
        placed = (related - ELSEWHERE) / (IN_PLACE - ELSEWHERE)
        return warped.cover * np.clip(alike, 0, 1) * np.clip(placed, 0, 1)

    def _gap(self, pose: Pose) -> np.ndarray:
        """(H, W) uint8: 1 at hands and forearms of the pose that the reference does not show, but
        for hands that are modeled."""
        now, modeled = Points.of(pose), self._hands.sides(pose)
        mask = np.zeros(self._size[::-1], np.uint8)
        for side in self._lacking:
            if now.has_hand(side) and side not in modeled:
                hand = now.hands[side][known(now.hands[side])]
                fill_hull(mask, hand, HAND_ROOM / 2 * float(np.ptp(hand, axis=0).max()))
            if f"{side}_forearm" not in self._parts and now.has(f"{side}_elbow", f"{side}_wrist"):
                start, end = now.joint(f"{side}_elbow"), now.joint(f"{side}_wrist")
                thick = max(1, round(FOREARM * float(np.linalg.norm(end - start))))
                one, other = (np.rint(point).astype(int).tolist() for point in (start, end))
                cv2.line(mask, one, other, (1,), thick)
        return mask

    def _around(self, mask: np.ndarray) -> tuple[slice, slice] | None:
        """Rows and columns of what is not 0 and of its soft edge; None where all is."""
        left, top, wide, high = cv2.boundingRect(mask)
        if not wide:
            return None
        room, (width, height) = round(4 * self._soft), self._size
        right, bottom = min(left + wide + room, width), min(top + high + room, height)
        return np.s_[max(top - room, 0) : bottom, max(left - room, 0) : right]
