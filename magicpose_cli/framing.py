"""How a picture of any shape is brought to the network's: crop, pad or stretch."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from PIL import Image

from magicpose_cli.pose.keypoints import PARTS, Pose

Box = tuple[float, float, float, float]
"""left, top, right, bottom in pixels."""

HEAD_ROOM = 0.25  # of the person's height, above the topmost point: points end at the eyes or ears
MARGIN = 0.10


@dataclass(frozen=True)
class Framing:
    """The window of the source (pixels, may reach beyond it) that fills width x height."""

    window: Box
    width: int
    height: int

    def picture(self, picture: np.ndarray, resample: int = Image.Resampling.LANCZOS) -> np.ndarray:
        """(h, w, 3) uint8 -> (height, width, 3); what lies beyond the source is black."""
        source = Image.fromarray(picture)
        left, top, right, bottom = self.window
        if left < 0 or top < 0 or right > source.width or bottom > source.height:
            side = (round(right - left), round(bottom - top))
            padded = Image.new("RGB", side)
            padded.paste(source, (round(-left), round(-top)))
            source, (left, top, right, bottom) = padded, (0, 0, *side)
        if source.size == (self.width, self.height) == (right - left, bottom - top):
            return np.asarray(source)
        resized = source.resize(
            (self.width, self.height), Image.Resampling(resample), (left, top, right, bottom)
        )
        return np.asarray(resized)

    def pose(self, pose: Pose) -> Pose:
        """The same window laid over the pose's points."""
        left, top, right, bottom = self.window
        scale = np.array([self.width / (right - left), self.height / (bottom - top)])
        return pose.map_points(lambda p: (p - (left, top)) * scale, self.width, self.height)


def frame(
    source: tuple[int, int], target: tuple[int, int], fit: str, person: Box | None = None
) -> Framing:
    """The framing of a source of this size (width, height) for a target size.

    fit: "crop" cuts the longer side (around `person` where it is known, else around the middle,
        as the original does), "pad" adds black bars, "stretch" ignores the aspect ratio.
    """
    w, h = source
    width, height = target
    if fit == "stretch":
        return Framing((0, 0, w, h), width, height)
    scale = min(w / width, h / height) if fit == "crop" else max(w / width, h / height)
    side_x, side_y = scale * width, scale * height
    left, top = (w - side_x) / 2, (h - side_y) / 2
    if fit == "crop" and person is not None:
        left = _clamp((person[0] + person[2] - side_x) / 2, 0, w - side_x)
        # a person taller than the window keeps the head
        top = min((person[1] + person[3] - side_y) / 2, person[1])
        top = _clamp(top, 0, h - side_y)
    return Framing((left, top, left + side_x, top + side_y), width, height)


def person_box(poses: Sequence[Pose]) -> Box | None:
    """Where the person of these poses is, with room for hair and fingers; None without points.

    Of many frames, the 2nd to 98th percentile: a single wrong point does not move the window.
    """
    points = np.concatenate([getattr(pose, part) for pose in poses for part in PARTS])
    points = points[np.isfinite(points).all(1)]
    if not len(points):
        return None
    share = 2 if len(poses) > 20 else 0
    left, top = np.percentile(points, share, axis=0)
    right, bottom = np.percentile(points, 100 - share, axis=0)
    room = bottom - top
    return (
        float(left - MARGIN * room),
        float(top - HEAD_ROOM * min(room, 1.2 * (right - left))),
        float(right + MARGIN * room),
        float(bottom + MARGIN * room),
    )


def _clamp(value: float, low: float, high: float) -> float:
    return min(max(value, low), high)
