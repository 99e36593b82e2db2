"""An arm of which the reference shows too little for a frame, taken from the other one, mirrored.

A forearm that points at the viewer, or lies folded before its own upper arm, has few pixels.
Stretched to the length that a frame asks for it would be a stick; the other arm often shows all.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from magicpose_cli.arrays import Floats
from magicpose_cli.pose.keypoints import OTHER_SIDE
from magicpose_cli.warping.field import MotionField
from magicpose_cli.warping.grid import Grid
from magicpose_cli.warping.interpolation import ramp_at
from magicpose_cli.warping.layers import Layer
from magicpose_cli.warping.parts import mirrored_part
from magicpose_cli.warping.splat import SplattedLayer, Splatter
from magicpose_cli.warping.warp_points import WarpPoints, colors_at, is_known

if TYPE_CHECKING:
    from magicpose_cli.warping.warp import TrackedFrame

STRETCH = (1.8, 1.9)  # of the reference's own arm: from the first on the other one fades in
LESS_STRETCH = (1.3, 1.35)  # how much less the other one must be stretched, likewise
FOLDED_COSINE = (0.85, 0.95)  # of the angle at the elbow: a forearm hides its upper arm
UNFOLDED_COSINE = (0.4, 0.7)  # likewise: up to the first it does not
HALF_LINES = np.linspace(0.35, 0.95, 15), np.linspace(0.05, 0.95, 15)  # shares of a half's bone
COVERED_SHARE = (0.7, 0.85)  # of these that are in the arm's layer: with fewer the half is hidden
HAND_SHOWN = 0.5  # of the points of a hand that are in its layer, from which on it is seen
STILL_COSINE = (0.9, 0.97)  # of the turn of a half: from the second on it is as it was
UNSEEN_STRETCH = 1e3  # of an arm that the reference does not show
MIN_LENGTH = (0.06, 0.08)  # body heights of half an arm in a frame, from which on it counts

Halves = tuple[Floats, Floats]
"""An upper arm and a forearm, (2,) pixels each."""


@dataclass(frozen=True)
class SourceArm:
    """An arm as the reference shows it.

    Attributes:
        halves: Of it.
        hidden: How surely something else hides each half, 0 to 1.
        shows_hand: Whether its hand is seen.
    """

    halves: Halves
    hidden: tuple[float, float]
    shows_hand: bool

    @classmethod
    def of(cls, points: WarpPoints, layer: Layer, grid: Grid) -> SourceArm | None:
        """Look at an arm; None where its joints are not known.

        Args:
            points: Of the picture that the layer is of.
            layer: Of the arm.
            grid: Of the picture.
        """
        halves = _halves(points, layer.name)
        if halves is None:
            return None
        covered, start = [], points.joint(f"{layer.name}_shoulder") + grid.pad
        for half, shares in zip(halves, HALF_LINES, strict=True):
            line: Floats = start + shares[:, None] * half
            covered.append(float(colors_at(layer.alpha[..., None], line).mean()))
            start = start + half
        upper, forearm = (1 - ramp_at(share, COVERED_SHARE) for share in covered)
        shows_hand = layer.name in points.wrists
        if points.has_hand(layer.name):
            hand = points.hands[layer.name][is_known(points.hands[layer.name])] + grid.pad
            shows_hand = float(colors_at(layer.alpha[..., None], hand).mean()) > HAND_SHOWN
        return cls(halves, (upper, forearm), shows_hand)

    def stretch(self, asked: Halves, height: float) -> float:
        """Return how much longer the arm of a frame is, by its worse half.

        An arm that the frame unfolds counts as stretched to twice its length, and so does a half
        that was hidden and turns. A half that points at the viewer of the frame counts less.

        Args:
            asked: The frame's arm.
            height: Of the whole body, in pixels.
        """
        folded = ramp_at(_cosine(-self.halves[0], self.halves[1]), FOLDED_COSINE)
        stretches = [1 + folded * (1 - ramp_at(_cosine(-asked[0], asked[1]), UNFOLDED_COSINE))]
        for was, is_, hidden in zip(self.halves, asked, self.hidden, strict=True):
            long = float(np.hypot(*is_))
            stretch = long / max(float(np.hypot(*was)), 1e-6)
            appears = hidden * (1 - ramp_at(_cosine(was, is_), STILL_COSINE))
            counts = ramp_at(long / height, MIN_LENGTH)
            stretches.append(1 + counts * (max(stretch, 1 + appears) - 1))
        return max(stretches)


class MirroredArms:
    """Moves the mirror image of each arm of a reference into the other arm's place.

    Attributes:
        sides: Of which the reference shows the other one.

    Args:
        layers: Of the reference.
        parts: As of `body_parts`.
        weights: As of `skin_weights`.
        reference: The reference's points.
        height: Of the whole body, in pixels.
        grid: Of the reference.
    """

    def __init__(
        self,
        layers: Sequence[Layer],
        parts: list[str],
        weights: Floats,
        reference: WarpPoints,
        height: float,
        grid: Grid,
    ) -> None:
        arms = [layer for layer in layers if layer.name in OTHER_SIDE]
        images = [_mirrored(layer) for layer in arms]
        points = reference.mirrored(grid.width)
        windows = {image.name: grid.window(image.near(grid)) for image in images}
        self._height = height
        self._own = {arm.name: SourceArm.of(reference, arm, grid) for arm in arms}
        self._images = {image.name: SourceArm.of(points, image, grid) for image in images}
        self._splatters = {i.name: Splatter(i, grid, windows[i.name]) for i in images}
        self.sides = tuple(self._images)
        self._field = MotionField(
            [mirrored_part(part) for part in parts], np.ascontiguousarray(weights[:, :, ::-1]),
            points, height, grid, windows,
        )  # fmt: skip

    def share(self, side: str, now: WarpPoints) -> float:
        """Tell how much of an arm is to be the other one's mirror image in a frame, 0 to 1."""
        image = self._images.get(side)
        asked = None if image is None else _halves(now, side)
        if image is None or asked is None:
            return 0.0
        own = self._own.get(side)
        if own is not None and own.shows_hand and not (image.shows_hand or any(own.hidden)):
            return 0.0  # a hand is worth more than a forearm
        stretch = UNSEEN_STRETCH if own is None else own.stretch(asked, self._height)
        less = stretch / image.stretch(asked, self._height)
        return ramp_at(stretch, STRETCH) * ramp_at(less, LESS_STRETCH)

    def __call__(
        self, side: str, now: WarpPoints, tracked: TrackedFrame | None
    ) -> SplattedLayer | None:
        """Move the other arm's mirror image into a frame; None where nothing of it arrives there.

        Args:
            side: Whose place it takes.
            now: The frame's points.
            tracked: As of `ReferenceWarp`.
        """
        drift = None if tracked is None else tracked.drift_of(self._field)
        return self._splatters[side](self._field.displacements(now, drift)[side])


def steadied_share(shares: Sequence[float]) -> float:
    """Return the mean of the middle half: one frame in between changes nothing, a change fades in.

    Args:
        shares: Of a frame and those around it, 0 to 1.
    """
    left_out = len(shares) // 4
    return float(np.mean(sorted(shares)[left_out : len(shares) - left_out]))


def _halves(points: WarpPoints, side: str) -> Halves | None:
    """Return the upper arm and the forearm as vectors, (2,) pixels each; None if one is unknown."""
    shoulder, elbow, wrist = (
        points.joint(f"{side}_{name}") for name in ("shoulder", "elbow", "wrist")
    )
    halves = elbow - shoulder, wrist - elbow
    return halves if np.isfinite(halves).all() else None


def _cosine(one: Floats, other: Floats) -> float:
    """Return the cosine of the angle between two vectors, (2,) each."""
    return float(one @ other) / max(float(np.hypot(*one) * np.hypot(*other)), 1e-6)


def _mirrored(layer: Layer) -> Layer:
    """Return the layer of the mirrored picture, where it is the other arm."""
    alpha, colors, rank = (
        np.ascontiguousarray(values[:, ::-1]) for values in (layer.alpha, layer.colors, layer.rank)
    )
    return Layer(OTHER_SIDE[layer.name], alpha, colors, rank)
