"""An arm of which the reference shows too little for a frame, taken from the other one, mirrored.

A forearm that points at the viewer, or lies folded before its own upper arm, has few pixels.
Stretched to the length that a frame asks for it would be a stick; the other arm often shows all.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np

from magicpose_cli.arrays import AnyArray, Floats
from magicpose_cli.warping.field import MotionField
from magicpose_cli.warping.grid import Grid
from magicpose_cli.warping.interpolation import ramp_at
from magicpose_cli.warping.layers import Layer
from magicpose_cli.warping.parts import mirrored_part
from magicpose_cli.warping.splat import SplattedLayer, Splatter
from magicpose_cli.warping.warp_points import OTHER_SIDE, WarpPoints

if TYPE_CHECKING:
    from magicpose_cli.warping.warp import TrackedFrame

STRETCH = (1.8, 1.9)  # of the reference's own arm: from the first on the other one fades in
LESS_STRETCH = (1.3, 1.35)  # how much less the other one must be stretched, likewise
FOLDED_COSINE = (0.85, 0.95)  # of the angle at the elbow: a forearm hides its upper arm
UNFOLDED_COSINE = (0.4, 0.7)  # likewise: up to the first it does not
UNSEEN_STRETCH = 1e3  # of an arm that the reference does not show
MIN_LENGTH = (0.06, 0.08)  # body heights of half an arm in a frame, from which on it counts

Halves = tuple[Floats, Floats]
"""An upper arm and a forearm, (2,) pixels each."""


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
        images = {
            OTHER_SIDE[layer.name]: replace(
                layer, alpha=_flip(layer.alpha), colors=_flip(layer.colors), rank=_flip(layer.rank)
            )
            for layer in layers
            if layer.name in OTHER_SIDE
        }
        self.sides = tuple(images)
        windows = {side: grid.window(image.near(grid)) for side, image in images.items()}
        self._splatters = {side: Splatter(images[side], grid, windows[side]) for side in images}
        self._reference, self._height = reference, height
        names = [mirrored_part(part) for part in parts]
        image_points = reference.mirrored(grid.width)
        self._field = MotionField(
            names, np.ascontiguousarray(weights[:, :, ::-1]), image_points, height, grid, windows
        )

    def share(self, side: str, now: WarpPoints) -> float:
        """Tell how much of an arm is to be the other one's mirror image in a frame, 0 to 1."""
        asked = _halves(now, side) if side in self.sides else None
        if asked is None:
            return 0.0
        own, other = (self._stretch(source, asked) for source in (side, OTHER_SIDE[side]))
        less = own / max(other, 1e-6)
        return ramp_at(own, STRETCH) * ramp_at(less, LESS_STRETCH)

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

    def _stretch(self, side: str, asked: Halves) -> float:
        """Return how much longer a frame's arm is than one of the reference, of its worse half.

        An arm that the frame unfolds counts as stretched to twice its length, one that the
        reference does not show as UNSEEN_STRETCH, and a half that points at the viewer of the
        frame as none.
        """
        own = _halves(self._reference, side)
        if own is None:
            return UNSEEN_STRETCH
        unfolded = ramp_at(_fold(own), FOLDED_COSINE) * (1 - ramp_at(_fold(asked), UNFOLDED_COSINE))
        stretches = [1 + unfolded]
        for was, is_ in zip(own, asked, strict=True):
            long = float(np.hypot(*is_))
            shown = ramp_at(long / self._height, MIN_LENGTH)
            stretches.append(1 + shown * (long / max(float(np.hypot(*was)), 1e-6) - 1))
        return max(stretches)


def _halves(points: WarpPoints, side: str) -> Halves | None:
    """Return the upper arm and the forearm as vectors, (2,) pixels each; None if one is unknown."""
    shoulder, elbow, wrist = (
        points.joint(f"{side}_{name}") for name in ("shoulder", "elbow", "wrist")
    )
    halves = elbow - shoulder, wrist - elbow
    return halves if np.isfinite(halves).all() else None


def _fold(halves: Halves) -> float:
    """Return the cosine of the angle at the elbow, 1 where the forearm lies on its upper arm."""
    upper, forearm = halves
    length = float(np.hypot(*upper) * np.hypot(*forearm))
    return -float(upper @ forearm) / max(length, 1e-6)


def _flip(picture: AnyArray) -> AnyArray:
    """Mirror (H, W) or (H, W, n)."""
    return np.ascontiguousarray(picture[:, ::-1])
