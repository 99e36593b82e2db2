"""Searching a single picture again, in parts of it and with a margin around it.

MediaPipe's finder overlooks close-ups, which fill the picture, and small people.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from magicpose_cli.arrays import Picture
from magicpose_cli.pose.detection.mediapipe_points import confidence, within_picture
from magicpose_cli.pose.keypoints import Pose

# left, top, right, bottom in parts of the picture's size.
VIEWS = (
    (-0.5, -0.5, 1.5, 1.5),
    (0.2, 0.2, 0.8, 0.8),
    *((x, y, x + 0.5, y + 0.5) for y in (0.0, 0.25, 0.5) for x in (0.0, 0.25, 0.5)),
)
MIN_VIEW_CONFIDENCE = 13.0  # textures without anybody reach 12.5 in one of the views


def surest_in_views(frame: Picture, look: Callable[[Picture], list[Pose]]) -> list[Pose]:
    """The surest person that `look` finds in one of the VIEWS; none where none is sure enough."""
    found = [pose for view in VIEWS for pose in _look_at(frame, view, look)]
    surest = max(found, key=confidence, default=None)
    return [surest] if surest is not None and confidence(surest) >= MIN_VIEW_CONFIDENCE else []


def cut(frame: Picture, left: int, top: int, right: int, bottom: int) -> Picture:
    """The rectangle of `frame` in pixels; its border color continues outside of the picture.

    The rectangle and the picture must have a pixel in common.
    """
    import cv2

    height, width = frame.shape[:2]
    inner = frame[max(top, 0) : min(bottom, height), max(left, 0) : min(right, width)]
    margins = (max(-top, 0), max(bottom - height, 0), max(-left, 0), max(right - width, 0))
    padded: Picture = cv2.copyMakeBorder(inner, *margins, cv2.BORDER_REPLICATE)  # type: ignore[assignment]  # as its stub has it
    return padded


def _look_at(
    frame: Picture,
    view: tuple[float, float, float, float],
    look: Callable[[Picture], list[Pose]],
) -> list[Pose]:
    height, width = frame.shape[:2]
    sizes = (width, height, width, height)
    left, top, right, bottom = (round(v * size) for v, size in zip(view, sizes, strict=True))
    if right <= left or bottom <= top:  # of a picture that is a few pixels wide
        return []
    corner = np.array([left, top], dtype=np.float32)
    return [
        within_picture(pose.map_points(lambda points: points + corner, width, height))
        for pose in look(cut(frame, left, top, right, bottom))
    ]
