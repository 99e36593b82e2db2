"""Secondary motion: what the points do not tell, tracked in the driver's own picture.

Hair swings, shoulders and clothes sway, and points are a little off. So the driver's anchor frame
is warped to each frame as the reference is, and where the driver really is is found by optical flow
(Kroeger et al. 2016, "Fast Optical Flow using Dense Inverse Search"). Of this only what is smooth
and small is taken along: a motion, none of the driver's looks or shape.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace

import cv2
import numpy as np

from magicpose_cli.framing import Framing, person_box
from magicpose_cli.pose.keypoints import Pose
from magicpose_cli.warping.matte import find_matte
from magicpose_cli.warping.warp import Driven, ReferenceWarp

SIDE = 384  # pixels of the short side of the driver's window, in which the flow is looked for
SMOOTH = 1 / 64  # of the short side: standard deviation of what is averaged over
FURTHEST = 1 / 40  # of the short side: what goes further is mistaken
STEADY_S = 0.025  # seconds: standard deviation of the average over time
REACH = 2.5  # of these, where it ends
DOUBT = 20.0  # levels of 255 by which the two still differ where a flow counts half
PRIOR = 0.1  # weight of no motion, against that of one pixel in each


class DriverTracker:
    """Finds the secondary motion of one driver.

    picture: its anchor frame, (H, W, 3) uint8 RGB; poses: the person of all frames, in its pixels;
    anchor: which of them the picture shows; laid: the same in the result's pixels. Raises
    ValueError where the driver's person cannot be told from what is behind them.
    """

    def __init__(self, picture: np.ndarray, poses: Sequence[Pose], anchor: int, laid: Pose) -> None:
        self._framing = _window(poses)
        still = self._framing.pose(poses[anchor])
        start = self._cut(picture)
        matte = find_matte(start, still)
        if matte is None:
            raise ValueError("the driver's person cannot be told from the background")
        self._warp = ReferenceWarp(start, still, matte)
        self._flow = cv2.DISOpticalFlow.create(cv2.DISOPTICAL_FLOW_PRESET_FAST)
        self._flow.setFinestScale(1)  # half the size instead of a quarter, for as little time
        self._size = _ratio(laid, still)

    def track(self, picture: np.ndarray, pose: Pose) -> Driven:
        """A frame of the driver and its person."""
        there = self._framing.pose(pose)
        warped = self._warp(there)
        predicted = np.rint(warped.picture.clip(0, 255)).astype(np.uint8)
        drift = drift_between(predicted, warped.cover, self._cut(picture), self._flow)
        return Driven(there, drift, self._size)

    def _cut(self, picture: np.ndarray) -> np.ndarray:
        left, top, right, bottom = (int(side) for side in self._framing.window)
        size = (self._framing.width, self._framing.height)
        return cv2.resize(picture[top:bottom, left:right], size, interpolation=cv2.INTER_AREA)


def steady_reach(rate: float) -> int:
    """How many frames before and after one take part in what `steadied` makes of it."""
    return int(REACH * STEADY_S * rate)


def steadied(frames: Iterable[tuple[int, Driven]], rate: float) -> Iterator[tuple[int, Driven]]:
    """The same frames, in order, each drift averaged with those around it in time.

    frames: rising indices of a film of `rate` frames a second. A flow is found frame by frame and
    trembles; people do not. At most `2 * steady_reach(rate) + 1` frames are held.
    """
    reach = steady_reach(rate)
    held: deque[tuple[int, Driven]] = deque()
    waiting: deque[tuple[int, Driven]] = deque()

    def averaged(index: int, driven: Driven) -> tuple[int, Driven]:
        near = [(i, d) for i, d in held if abs(i - index) <= reach]
        shares = np.exp([-(((i - index) / (STEADY_S * rate)) ** 2) / 2 for i, _ in near])
        shares = (shares / shares.sum()).astype(np.float32)
        drift = sum(share * d.drift for share, (_, d) in zip(shares, near, strict=True))
        return index, replace(driven, drift=np.asarray(drift, np.float32))

    for frame in frames:
        held.append(frame)
        waiting.append(frame)
        while waiting and frame[0] - waiting[0][0] >= reach:
            yield averaged(*waiting.popleft())
        while held and waiting and held[0][0] < waiting[0][0] - reach:
            held.popleft()
    while waiting:
        yield averaged(*waiting.popleft())


def _window(poses: Sequence[Pose]) -> Framing:
    """Where the driver's person is over the whole clip, not enlarged."""
    width, height = poses[0].width, poses[0].height
    box = person_box(poses) or (0, 0, width, height)
    left, top, right, bottom = (
        int(np.clip(side, 0, end)) for side, end in zip(box, (width, height) * 2, strict=True)
    )
    if min(right - left, bottom - top) < 16:
        left, top, right, bottom = 0, 0, width, height
    scale = min(1.0, SIDE / min(right - left, bottom - top))
    size = (max(16, round(scale * side)) for side in (right - left, bottom - top))
    return Framing((left, top, right, bottom), *size)


def _ratio(one: Pose, other: Pose) -> float:
    """How much larger the first pose is, by what both show."""
    points = [np.concatenate([pose.body, pose.face]).astype(np.float64) for pose in (one, other)]
    both = np.isfinite(points[0]).all(1) & np.isfinite(points[1]).all(1)
    spread = [p[both].std(0).sum() if both.sum() > 1 else 0.0 for p in points]
    return float(spread[0] / spread[1]) if spread[1] > 0 else 0.0


def drift_between(
    predicted: np.ndarray, cover: np.ndarray, frame: np.ndarray, flow: cv2.DISOpticalFlow
) -> np.ndarray:
    """(h, w, 2) float32 pixels from where the person is predicted to where they are.

    predicted, frame: (h, w, 3) uint8 RGB; cover: (h, w) float32, where the prediction shows them.
    """
    shown, real = (cv2.cvtColor(p, cv2.COLOR_RGB2GRAY) for p in (predicted, frame))
    start = np.zeros((*cover.shape, 2), np.float32)  # it is where the search begins
    back = np.asarray(flow.calc(real, shown, start), np.float32)
    height, width = cover.shape
    x, y = np.meshgrid(np.arange(width, dtype=np.float32), np.arange(height, dtype=np.float32))
    found = cv2.remap(shown, x + back[..., 0], y + back[..., 1], cv2.INTER_LINEAR)
    error = found.astype(np.float32) - real
    weight = cover / (1 + (error / DOUBT) ** 2)
    side = min(height, width)
    furthest = FURTHEST * side
    length = np.linalg.norm(back, axis=-1)
    drift = back * -np.minimum(1, furthest / np.maximum(length, 1e-6))[..., None]
    moved = cv2.GaussianBlur(drift * weight[..., None], (0, 0), SMOOTH * side)
    return moved / (cv2.GaussianBlur(weight, (0, 0), SMOOTH * side) + PRIOR)[..., None]
