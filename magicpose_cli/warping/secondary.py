"""Secondary motion: hair and clothes that swing, tracked in the driver's own picture.

The points do not show it, and are a little off themselves. So the driver's anchor frame is warped
to each frame as the reference is, and optical flow finds by how much that warp is still wrong
(Kroeger et al. 2016, "Fast Optical Flow using Dense Inverse Search"). The smooth and small part of
this drift moves the reference too; it carries none of the driver's looks or shape.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace
from typing import Any

import cv2
import numpy as np

from magicpose_cli.arrays import AnyArray, Floats, Mask, Picture
from magicpose_cli.errors import DetectionError
from magicpose_cli.motion.framing import Framing, person_box
from magicpose_cli.pose.keypoints import Pose, shared_points, spread_of
from magicpose_cli.pose.retargeting.head_shape import HEAD_JOINTS
from magicpose_cli.warping.boxes import PixelBox, bounding_box
from magicpose_cli.warping.matte import find_matte
from magicpose_cli.warping.warp import ReferenceWarp, TrackedFrame, as_bytes
from magicpose_cli.warping.warp_points import MIN_KNOWN_FACE_POINTS

TRACKING_SIDE_PX = (160, 384)  # short side of the driver's window, in which the flow is found:
TRACKED_PER_SHOWN = 1.25  # at least, at most, and between these pixels for each of the result's
FINE_FLOW_SIDE_PX = 256  # short side from which on a quarter of the size is enough for the flow
DRIFT_SIGMA = 1 / 64  # of the short side: standard deviation of the average over the picture
DRIFT_STRIDE_PX = 4  # of the window for one pixel of the drift, which is smooth
MAX_DRIFT = 1 / 40  # of the short side: a larger one is a mistake
MAX_FACE_DRIFT = 0.01  # of the face's height, in the face, whose points tell how it moves
# Face heights around its middle, from which on more is allowed, and beyond which MAX_DRIFT is.
END_OF_FACE, FREE_OF_FACE = 0.7, 2.0
LARGEST_SCALE = 1.5  # the result's pixels in one of the window, beyond which a flow is too coarse
STEADY_S = 0.025  # standard deviation of the average over time
STEADY_REACH = 2.5  # standard deviations, where that average ends
DOUBT_LEVELS = 20.0  # of 255, by which the two pictures still differ where a flow counts half
ZERO_DRIFT_WEIGHT = 0.1  # of no motion, against that of one pixel
MIN_WINDOW_PX = 16  # of the short side: in a smaller window nobody is seen
MIN_SHRINKING = 0.95  # a window that would be made less small keeps its size
MIN_FLOW_SIDE_PX = 64  # the flow is found in no smaller part of the window


class DriverTracker:
    """Finds the secondary motion of one driver.

    Args:
        picture: The driver's anchor frame, (H, W, 3) uint8 RGB; all frames have its size, which is
            `size_to_track` or larger.
        poses: Of the person in all frames, in the driver's pixels.
        anchor: The index of the pose that the picture shows.
        placed: This pose as it is laid onto the reference, in the result's pixels.

    Raises:
        DetectionError: The driver's person cannot be told from the background.
    """

    def __init__(self, picture: Picture, poses: Sequence[Pose], anchor: int, placed: Pose) -> None:
        self._box = _box_of_all(poses, (picture.shape[1], picture.shape[0]))
        left, top, right, bottom = self._box
        scale = _scale_to_track(right - left, bottom - top, _side_to_track(poses, anchor, placed))
        across, down = poses[0].width / picture.shape[1], poses[0].height / picture.shape[0]
        self._framing = Framing(
            (left * across, top * down, right * across, bottom * down),
            *(max(MIN_WINDOW_PX, round(scale * side)) for side in (right - left, bottom - top)),
        )
        anchor_pose = self._framing.pose(poses[anchor])
        start = self._cut(picture)
        matte = find_matte(start, anchor_pose)
        if matte is None:
            raise DetectionError("the driver's person cannot be told from the background")
        self._warp = ReferenceWarp(start, anchor_pose, matte, gray=True)
        self._flow = self._new_flow()
        self._scale = _ratio(placed, anchor_pose)
        self._face_height = _face_height(anchor_pose)

    def __getstate__(self) -> dict[str, Any]:
        return {name: value for name, value in vars(self).items() if name != "_flow"}

    def __setstate__(self, state: dict[str, Any]) -> None:
        vars(self).update(state)
        self._flow = self._new_flow()

    def _new_flow(self) -> cv2.DISOpticalFlow:
        """What finds the flow; it cannot be sent to another process."""
        flow = cv2.DISOpticalFlow.create(cv2.DISOPTICAL_FLOW_PRESET_FAST)
        if min(self._framing.width, self._framing.height) < FINE_FLOW_SIDE_PX:
            flow.setFinestScale(1)  # half the size, where a quarter tells too little
        return flow

    def track(self, picture: Picture, pose: Pose) -> TrackedFrame:
        """Find the drift in one frame of the driver.

        Args:
            picture: (H, W, 3) uint8 RGB.
            pose: Of the frame's person, in the driver's pixels.
        """
        there = self._framing.pose(pose)
        warped = self._warp(there)
        frame = cv2.cvtColor(self._cut(picture), cv2.COLOR_RGB2GRAY)
        predicted = as_bytes(warped.picture[..., 0])
        drift = drift_between(predicted, warped.cover, frame, self._flow)
        drift *= min(1.0, LARGEST_SCALE / max(self._scale, 1e-9)) ** 2
        self._hold_face(drift, there)
        return TrackedFrame(there, drift, self._scale)

    def _hold_face(self, drift: Floats, there: Pose) -> None:
        """Shorten the drift of a face, in place, to what its points may have missed.

        Where it turns, speaks or is blurred it looks otherwise all over, which no flow can follow.
        """
        height = _face_height(there) or self._face_height
        head = there.body[list(HEAD_JOINTS)]
        if not height or not np.isfinite(head).any():
            return
        middle = np.nanmean(head, axis=0)
        rows, columns = (np.arange(n) * DRIFT_STRIDE_PX for n in drift.shape[:2])
        apart = np.hypot(columns - middle[0], rows[:, None] - middle[1]) / height
        free = np.clip((apart - END_OF_FACE) / (FREE_OF_FACE - END_OF_FACE), 0, 1)
        side = min(self._framing.width, self._framing.height)
        most = MAX_FACE_DRIFT * height + free * MAX_DRIFT * side
        length = np.maximum(np.linalg.norm(drift, axis=2), 1e-6)
        drift *= np.minimum(1, most / length)[..., None]

    def _cut(self, picture: Picture) -> Picture:
        """Cut out the window around the person, at the size in which it is tracked."""
        left, top, right, bottom = self._box
        size = (self._framing.width, self._framing.height)
        window = cv2.resize(picture[top:bottom, left:right], size, interpolation=cv2.INTER_AREA)
        return np.asarray(window, np.uint8)


def _face_height(pose: Pose) -> float:
    """Return the height of a face, brows to chin, in pixels; 0 where it is not known."""
    face = pose.face[np.isfinite(pose.face).all(1)]
    return float(np.ptp(face, axis=0).max()) if len(face) >= MIN_KNOWN_FACE_POINTS else 0.0


def _side_to_track(poses: Sequence[Pose], anchor: int, placed: Pose) -> int:
    """Short side in pixels at which the driver's window is tracked: what the result shows of it.

    Args:
        poses: Of the person in all frames, in the driver's pixels.
        anchor: The index of the pose that was laid onto the reference.
        placed: This pose, in the result's pixels.
    """
    left, top, right, bottom = _box_of_all(poses, (poses[0].width, poses[0].height))
    shown = _ratio(placed, poses[anchor]) * min(right - left, bottom - top)
    return round(float(np.clip(TRACKED_PER_SHOWN * shown, *TRACKING_SIDE_PX)))


def size_to_track(poses: Sequence[Pose], anchor: int, placed: Pose) -> tuple[int, int]:
    """(width, height) of the driver's frames, of which nothing is lost to a tracker of these."""
    width, height = poses[0].width, poses[0].height
    left, top, right, bottom = _box_of_all(poses, (width, height))
    scale = _scale_to_track(right - left, bottom - top, _side_to_track(poses, anchor, placed))
    return max(1, round(scale * width)), max(1, round(scale * height))


def steady_reach(rate: float) -> int:
    """Return how many frames before and after each one `steadied` averages.

    Args:
        rate: Frames a second.
    """
    return int(STEADY_REACH * STEADY_S * rate)


def steadied(
    frames: Iterable[tuple[int, TrackedFrame]], rate: float
) -> Iterator[tuple[int, TrackedFrame]]:
    """Average each frame's drift with those around it in time.

    A flow is found frame by frame and trembles; people do not.

    Args:
        frames: With their rising indices in the film. At most `2 * steady_reach(rate) + 1` of them
            are held at a time.
        rate: Frames a second.

    Yields:
        The same frames in order.
    """
    reach = steady_reach(rate)
    held: deque[tuple[int, TrackedFrame]] = deque()
    waiting: deque[tuple[int, TrackedFrame]] = deque()

    def averaged(index: int, driven: TrackedFrame) -> tuple[int, TrackedFrame]:
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
    """Return left, top, right, bottom of the person over the whole clip, in frames of this size."""
    box = person_box(poses) or (0, 0, poses[0].width, poses[0].height)
    across, down = size[0] / poses[0].width, size[1] / poses[0].height
    left, right = (int(np.clip(round(across * x), 0, size[0])) for x in (box[0], box[2]))
    top, bottom = (int(np.clip(round(down * y), 0, size[1])) for y in (box[1], box[3]))
    if min(right - left, bottom - top) < MIN_WINDOW_PX:
        return 0, 0, *size
    return left, top, right, bottom


def _scale_to_track(width: int, height: int, side_px: int) -> float:
    """Return by how much a window is made smaller: 1 where it would only lose."""
    scale = side_px / min(width, height)
    return scale if scale < MIN_SHRINKING else 1.0


def _ratio(one: Pose, other: Pose) -> float:
    """Return how much larger the first pose is, by the points that both show."""
    spread = [spread_of(points) for points in shared_points(one, other)]
    return float(spread[0] / spread[1]) if spread[1] > 0 else 0.0


def drift_between(
    predicted: AnyArray, cover: Floats, frame: AnyArray, flow: cv2.DISOpticalFlow
) -> Floats:
    """Find how far the person is from where they are predicted.

    Args:
        predicted: (h, w) uint8, the brightness of the warped anchor frame.
        cover: (h, w) float32, 1 where the prediction shows the person.
        frame: (h, w) uint8, the brightness of the driver's frame.
        flow: The method that finds it.

    Returns:
        (h / DRIFT_STRIDE_PX, w / DRIFT_STRIDE_PX, 2) float32 pixels from the prediction to the
        frame; 0 where the person is not near.
    """
    height, width = cover.shape
    side = min(height, width)
    furthest = MAX_DRIFT * side
    drift = np.zeros((-(-height // DRIFT_STRIDE_PX), -(-width // DRIFT_STRIDE_PX), 2), np.float32)
    box = _flow_box(cover > 0, round(furthest) + DRIFT_STRIDE_PX)
    if box is None:
        return drift
    shown, real, weight = (np.ascontiguousarray(p[box]) for p in (predicted, frame, cover))
    start = np.zeros((*weight.shape, 2), np.float32)  # where the search begins
    back = np.asarray(flow.calc(real, shown, start), np.float32)
    y, x = (np.arange(length, dtype=np.float32) for length in weight.shape)
    found = cv2.remap(shown, x + back[..., 0], y[:, None] + back[..., 1], cv2.INTER_LINEAR)
    weight /= 1 + ((found.astype(np.float32) - real) / DOUBT_LEVELS) ** 2
    length = cv2.magnitude(back[..., 0], back[..., 1])
    told = weight * np.minimum(1, furthest / np.maximum(length, 1e-6))
    told = cv2.merge([-told * back[..., 0], -told * back[..., 1], weight])
    size = (-(-weight.shape[1] // DRIFT_STRIDE_PX), -(-weight.shape[0] // DRIFT_STRIDE_PX))
    told = cv2.resize(told, size, interpolation=cv2.INTER_AREA)
    told = cv2.GaussianBlur(told, (0, 0), DRIFT_SIGMA * side / DRIFT_STRIDE_PX)
    rows, columns = (
        slice(part.start // DRIFT_STRIDE_PX, -(-part.stop // DRIFT_STRIDE_PX)) for part in box
    )
    drift[rows, columns] = told[..., :2] / (told[..., 2:] + ZERO_DRIFT_WEIGHT)
    return drift


def _flow_box(where: Mask, margin_px: int) -> PixelBox | None:
    """Return the part around all that is True in which the flow is found; None of an empty mask.

    Its ends are multiples of DRIFT_STRIDE_PX, or the mask's own.
    """
    found = bounding_box(where)
    if found is None:
        return None
    stride = DRIFT_STRIDE_PX
    parts = []
    for part, length in zip(found, where.shape, strict=True):
        first, end = part.start - margin_px, part.stop + margin_px
        lacking = max(0, MIN_FLOW_SIDE_PX - (end - first)) // 2 + 1
        first, end = max(0, first - lacking), end + lacking
        parts.append(slice(first // stride * stride, min(length, -(-end // stride) * stride)))
    return parts[0], parts[1]
