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

from magicpose_cli.errors import DetectionError
from magicpose_cli.motion.framing import Framing, person_box
from magicpose_cli.pose.keypoints import Pose
from magicpose_cli.warping.matte import find_matte
from magicpose_cli.warping.warp import Driven, ReferenceWarp, as_bytes

SIDE = 384  # pixels of the short side of the driver's window, in which the flow is looked for
SMALL = 256  # pixels of it, from where on a quarter of the size is enough for the flow
SMOOTH = 1 / 64  # of the short side: standard deviation of what is averaged over
COARSE = 4  # pixels of the window for one of the drift: it is smooth
FURTHEST = 1 / 40  # of the short side: what goes further is mistaken
STEADY_S = 0.025  # seconds: standard deviation of the average over time
REACH = 2.5  # of these, where it ends
DOUBT = 20.0  # levels of 255 by which the two still differ where a flow counts half
PRIOR = 0.1  # weight of no motion, against that of one pixel in each
LEAST_WINDOW = 16  # pixels of the short side: in a smaller one nobody is seen
NEARLY = 0.95
LEAST_SIDE = 64  # pixels: a flow is looked for in no smaller part of the window


class DriverTracker:
    """Finds the secondary motion of one driver.

    picture: its anchor frame, (H, W, 3) uint8 RGB, of `size_to_track` or larger, as all frames are;
    poses: the person of all of them, in the driver's pixels; anchor: which of them the picture
    shows; laid: the same in the result's pixels. Raises DetectionError where the driver's person
    cannot be told from what is behind them.
    """

    def __init__(self, picture: np.ndarray, poses: Sequence[Pose], anchor: int, laid: Pose) -> None:
        self._box = _box_of_all(poses, (picture.shape[1], picture.shape[0]))
        left, top, right, bottom = self._box
        scale = _scale_to_track(right - left, bottom - top)
        across, down = poses[0].width / picture.shape[1], poses[0].height / picture.shape[0]
        self._framing = Framing(
            (left * across, top * down, right * across, bottom * down),
            *(max(LEAST_WINDOW, round(scale * side)) for side in (right - left, bottom - top)),
        )
        still = self._framing.pose(poses[anchor])
        start = self._cut(picture)
        matte = find_matte(start, still)
        if matte is None:
            raise DetectionError("the driver's person cannot be told from the background")
        self._warp = ReferenceWarp(start, still, matte, gray=True)
        self._flow = cv2.DISOpticalFlow.create(cv2.DISOPTICAL_FLOW_PRESET_FAST)
        if min(start.shape[:2]) < SMALL:
            self._flow.setFinestScale(1)  # half the size, where a quarter tells too little
        self._size = _ratio(laid, still)

    def track(self, picture: np.ndarray, pose: Pose) -> Driven:
        """A frame of the driver and its person."""
        there = self._framing.pose(pose)
        warped = self._warp(there)
        frame = cv2.cvtColor(self._cut(picture), cv2.COLOR_RGB2GRAY)
        predicted = as_bytes(warped.picture[..., 0])
        return Driven(there, drift_between(predicted, warped.cover, frame, self._flow), self._size)

    def _cut(self, picture: np.ndarray) -> np.ndarray:
        left, top, right, bottom = self._box
        size = (self._framing.width, self._framing.height)
        return cv2.resize(picture[top:bottom, left:right], size, interpolation=cv2.INTER_AREA)


def size_to_track(poses: Sequence[Pose]) -> tuple[int, int]:
    """(width, height) of the driver's frames, of which nothing is lost to a tracker."""
    width, height = poses[0].width, poses[0].height
    left, top, right, bottom = _box_of_all(poses, (width, height))
    scale = _scale_to_track(right - left, bottom - top)
    return max(1, round(scale * width)), max(1, round(scale * height))


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


def _box_of_all(poses: Sequence[Pose], size: tuple[int, int]) -> tuple[int, int, int, int]:
    """left, top, right, bottom: where the person is over the whole clip, in frames of this size."""
    box = person_box(poses) or (0, 0, poses[0].width, poses[0].height)
    across, down = size[0] / poses[0].width, size[1] / poses[0].height
    left, right = (int(np.clip(round(across * x), 0, size[0])) for x in (box[0], box[2]))
    top, bottom = (int(np.clip(round(down * y), 0, size[1])) for y in (box[1], box[3]))
    if min(right - left, bottom - top) < LEAST_WINDOW:
        return 0, 0, *size
    return left, top, right, bottom


def _scale_to_track(width: int, height: int) -> float:
    """By how much a window is made smaller; not by so little that it would only lose."""
    scale = SIDE / min(width, height)
    return scale if scale < NEARLY else 1.0


def _ratio(one: Pose, other: Pose) -> float:
    """How much larger the first pose is, by what both show."""
    points = [np.concatenate([pose.body, pose.face]).astype(np.float64) for pose in (one, other)]
    both = np.isfinite(points[0]).all(1) & np.isfinite(points[1]).all(1)
    spread = [p[both].std(0).sum() if both.sum() > 1 else 0.0 for p in points]
    return float(spread[0] / spread[1]) if spread[1] > 0 else 0.0


def drift_between(
    predicted: np.ndarray, cover: np.ndarray, frame: np.ndarray, flow: cv2.DISOpticalFlow
) -> np.ndarray:
    """(h / COARSE, w / COARSE, 2) float32 pixels from where the person is predicted to where they
    are.

    predicted, frame: (h, w) uint8, brightness; cover: (h, w) float32, where the prediction shows
    the person. Where nobody is near it is 0.
    """
    height, width = cover.shape
    side = min(height, width)
    furthest = FURTHEST * side
    drift = np.zeros((-(-height // COARSE), -(-width // COARSE), 2), np.float32)
    box = _around(cover > 0, round(furthest) + COARSE)
    if box is None:
        return drift
    shown, real, weight = (np.ascontiguousarray(p[box]) for p in (predicted, frame, cover))
    start = np.zeros((*weight.shape, 2), np.float32)  # it is where the search begins
    back = np.asarray(flow.calc(real, shown, start), np.float32)
    y, x = (np.arange(length, dtype=np.float32) for length in weight.shape)
    found = cv2.remap(shown, x + back[..., 0], y[:, None] + back[..., 1], cv2.INTER_LINEAR)
    weight /= 1 + ((found.astype(np.float32) - real) / DOUBT) ** 2
    length = cv2.magnitude(back[..., 0], back[..., 1])
    told = weight * np.minimum(1, furthest / np.maximum(length, 1e-6))
    told = cv2.merge([-told * back[..., 0], -told * back[..., 1], weight])
    size = (-(-weight.shape[1] // COARSE), -(-weight.shape[0] // COARSE))
    told = cv2.resize(told, size, interpolation=cv2.INTER_AREA)
    told = cv2.GaussianBlur(told, (0, 0), SMOOTH * side / COARSE)
    rows, columns = (slice(part.start // COARSE, -(-part.stop // COARSE)) for part in box)
    drift[rows, columns] = told[..., :2] / (told[..., 2:] + PRIOR)
    return drift


def _around(where: np.ndarray, room: int) -> tuple[slice, slice] | None:
    """Rows and columns with room around all that is True, beginning and ending at multiples of
    COARSE or the end; None where nothing is."""
    parts = []
    for axis in (0, 1):
        found, length = np.flatnonzero(where.any(1 - axis)), where.shape[axis]
        if not len(found):
            return None
        first, end = int(found[0]) - room, int(found[-1]) + 1 + room
        lacking = max(0, LEAST_SIDE - (end - first)) // 2 + 1
        first, end = max(0, first - lacking), end + lacking
        parts.append(slice(first // COARSE * COARSE, min(length, -(-end // COARSE) * COARSE)))
    return parts[0], parts[1]
