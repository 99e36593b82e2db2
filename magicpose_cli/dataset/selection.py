"""Which frames of a film are worth training on, and where a clip ends.

Detectors overlook whoever stands close to somebody. So now and then the person is painted over and
the rest is searched again; and where the person jumps from one frame to the next, it is another
scene or somebody else, and a new clip begins.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

import cv2
import numpy as np

from magicpose_cli.arrays import AnyArray, Floats, Picture, Points
from magicpose_cli.dataset.dataset_config import ClipSettings, DatasetSettings, PersonSettings
from magicpose_cli.motion.framing import Box, Framing, person_box
from magicpose_cli.pose.detection.detect import PoseDetector, detect_one
from magicpose_cli.pose.keypoints import Pose

NOBODY, BODY, SMALL, BLURRED, SAME, SECOND, SHORT, ENLARGED = (
    "nobody found", "too little of the body", "too small in the picture", "not sharp enough",
    "as the frame before", "a second person", "clip too short", "crop too small",
)  # fmt: skip
SECOND_PERSON_MARGIN = (
    0.25  # of the person's size around them: where a second one would be in the crop
)
SCENE_SIDE_PX = 64  # what a change of scene is seen on
CHANGE_SIDE_PX = 256  # the longer side; what a change of the person is seen on
BODY_SIDE_PX, FACE_SIDE_PX = 512, 128  # pixels that sharpness is measured at


@dataclass(frozen=True)
class FrameObservation:
    """One frame that was looked at.

    Attributes:
        tick: Its number among those looked at.
        pose: What the detector found.
        reason: Why it is dropped, empty where it is kept.
        new_scene: Whether it is of another scene than the frame before.
    """

    tick: int
    pose: Pose
    reason: str
    new_scene: bool


@dataclass(frozen=True)
class Chosen:
    """What came out of a piece of film.

    Attributes:
        clips: Each as its frames in order.
        dropped: All other frames by the reason they were dropped.
    """

    clips: list[list[FrameObservation]]
    dropped: Counter[str]


def choose(
    frames: Iterable[Picture], detector: PoseDetector, fps: float, settings: DatasetSettings
) -> Chosen:
    """Look at frames, `fps` a second, one at a time, and cut them into clips.

    The detector is one for still pictures: at a few frames a second one that tracks lags behind
    (1.7 times the error at the elbows, measured on drawn people), above all after a cut.
    """
    dropped: Counter[str] = Counter()
    clips = []
    for clip in _cut(observe(frames, detector, fps, settings), fps, settings.clips, dropped):
        if len(clip) < settings.clips.min_frames:
            dropped[SHORT] += len(clip)
        elif settings.frames.size > settings.clips.max_enlargement * _side(clip, settings):
            dropped[ENLARGED] += len(clip)
        else:
            clips.append(clip)
    return Chosen(clips, dropped)


def observe(
    frames: Iterable[Picture], detector: PoseDetector, fps: float, settings: DatasetSettings
) -> Iterator[FrameObservation]:
    """Judge every frame by itself and by those before it."""
    glance: Floats | None = None
    kept: Floats | None = None  # the last frame that was
    searched, second = -math.inf, False
    for tick, frame in enumerate(frames):
        pose = detect_one(detector, frame)
        gray = cv2.cvtColor(frame, cv2.COLOR_RGB2GRAY)
        before, glance = glance, _shrunk(gray, (SCENE_SIDE_PX, SCENE_SIDE_PX))
        new_scene = before is not None and (
            float(np.abs(glance - before).mean()) > settings.clips.max_scene_change
        )
        scale = CHANGE_SIDE_PX / max(gray.shape)
        small = _shrunk(gray, (round(gray.shape[1] * scale), round(gray.shape[0] * scale)))
        box = joint_box(pose, settings.person.min_score)
        reason = _verdict(gray, pose, box, settings.person)
        if not reason and box is not None and kept is not None and not new_scene:
            part = _inside(small, tuple(scale * value for value in box))
            if np.abs(small[part] - kept[part]).mean() < settings.person.min_change:
                reason = SAME
        if not reason:
            if new_scene or tick - searched >= settings.person.second_every_s * fps:
                searched, second = tick, has_second_person(frame, pose, detector, settings)
            if second:
                reason = SECOND
            else:
                kept = small
        yield FrameObservation(tick, pose, reason, new_scene)


def has_second_person(
    frame: Picture, pose: Pose, detector: PoseDetector, settings: DatasetSettings
) -> bool:
    """Whether somebody is found near the person once the person is painted over."""
    left, top, right, bottom = square_crop(
        [pose], SECOND_PERSON_MARGIN, "crop", settings.frames.size
    ).window
    rest = frame[int(top) : int(bottom), int(left) : int(right)].copy()
    box = person_box([pose])
    assert box is not None
    person = tuple(v - o for v, o in zip(box, (left, top, left, top), strict=True))
    rest[_inside(rest, person)] = rest.mean(axis=(0, 1))
    found = detect_one(detector, rest).body_score >= settings.person.min_score
    return int(found.sum()) >= settings.person.min_joints


def joint_box(pose: Pose, min_score: float) -> Box | None:
    """Around the body joints of at least this score; None where there are none."""
    seen = (pose.body_score >= min_score) & (pose.body_score > 0)
    return _around(pose.body[seen]) if seen.any() else None


def body_sharpness(gray: AnyArray, box: Box) -> float:
    """Variance of the Laplacian of (H, W) uint8 within the box, at a long side of 512 pixels.

    So a small person counts as blurred as they will look once enlarged.
    """
    part = gray[_inside(gray, box)]
    return _sharpness(part, BODY_SIDE_PX / max(part.shape))


def face_sharpness(gray: AnyArray, pose: Pose) -> float:
    """The same of the face, at most 128 pixels long; infinite where half of it is not seen.

    Clothes keep an edge in a blurred movement; a face does not.
    """
    seen = pose.face_score > 0
    if seen.mean() < 0.5:
        return float("inf")
    part = gray[_inside(gray, _around(pose.face[seen]))]
    return _sharpness(part, min(FACE_SIDE_PX / max(part.shape), 1.0))


def square_crop(poses: list[Pose], margin: float, fit: str, size: int) -> Framing:
    """The one square that holds the person of all these poses, with room, brought to `size`.

    Within the picture ("crop": of a person who does not fit the head stays) or beyond ("pad").
    """
    width, height = poses[0].width, poses[0].height
    box = person_box(poses)
    assert box is not None  # every kept frame has a person
    left, top, right, bottom = box
    side = max(right - left, bottom - top) * (1 + 2 * margin)
    x, y = (left + right - side) / 2, (top + bottom - side) / 2
    if fit == "crop":
        side = min(side, width, height)
        x = np.clip((left + right - side) / 2, 0, width - side)
        y = np.clip(min((top + bottom - side) / 2, top), 0, height - side)
    whole, x, y = int(side), round(float(x)), round(float(y))
    if fit == "crop":
        x, y = min(x, width - whole), min(y, height - whole)
    return Framing((x, y, x + whole, y + whole), size, size)


def _cut(
    seen: Iterable[FrameObservation], fps: float, settings: ClipSettings, dropped: Counter[str]
) -> Iterator[list[FrameObservation]]:
    """Runs of usable frames; the frames dropped on the way are counted."""
    clip: list[FrameObservation] = []
    last: FrameObservation | None = None  # usable, though perhaps as the one before
    new_scene = False
    for one in seen:
        new_scene = new_scene or one.new_scene
        if one.reason:
            dropped[one.reason] += 1
        if one.reason and one.reason != SAME:
            continue
        if last is not None:
            passed_s = (one.tick - last.tick) / fps
            gap = passed_s - 1 / fps > settings.max_gap_s
            if new_scene or gap or speed(last.pose, one.pose, passed_s) > settings.max_speed:
                if clip:
                    yield clip
                clip = []
        if not one.reason:
            clip.append(one)
        last, new_scene = one, False
    if clip:
        yield clip


def speed(before: Pose, after: Pose, passed_s: float) -> float:
    """How fast the person moves and grows, in lengths of the box around the joints a second.

    The median of the joints seen in both: one wrong joint is no jump. Infinite without any.
    """
    both = (before.body_score > 0) & (after.body_score > 0)
    if not both.any():
        return float("inf")
    start, end = before.body[both], after.body[both]
    length = max(float(np.hypot(*np.ptp(points, axis=0))) for points in (start, end))
    moved = float(np.median(np.hypot(*(end - start).T)))
    return moved / max(length, 1.0) / passed_s


def _verdict(gray: AnyArray, pose: Pose, box: Box | None, settings: PersonSettings) -> str:
    """Why the frame is dropped, "" where it is kept."""
    if box is None:
        return NOBODY
    if int((pose.body_score >= settings.min_score).sum()) < settings.min_joints:
        return BODY
    left, top, right, bottom = box
    if (right - left) * (bottom - top) < settings.min_area * pose.width * pose.height:
        return SMALL
    if body_sharpness(gray, box) < settings.min_sharpness:
        return BLURRED
    return BLURRED if face_sharpness(gray, pose) < settings.min_face_sharpness else ""


def _side(clip: list[FrameObservation], settings: DatasetSettings) -> float:
    """Of the crop in pixels of the film."""
    frames = settings.frames
    crop = square_crop([one.pose for one in clip], frames.margin, frames.fit, frames.size)
    return crop.window[2] - crop.window[0]


def _shrunk(gray: AnyArray, size: tuple[int, int]) -> Floats:
    """Resize to (width, height), in 0..1."""
    return cv2.resize(gray, size, interpolation=cv2.INTER_AREA).astype(np.float32) / 255


def _sharpness(part: AnyArray, scale: float) -> float:
    size = (max(1, round(part.shape[1] * scale)), max(1, round(part.shape[0] * scale)))
    interpolation = cv2.INTER_AREA if scale < 1 else cv2.INTER_LINEAR
    return float(cv2.Laplacian(cv2.resize(part, size, None, 0, 0, interpolation), cv2.CV_32F).var())


def _around(points: Points) -> Box:
    (left, top), (right, bottom) = points.min(axis=0), points.max(axis=0)
    return float(left), float(top), float(right), float(bottom)


def _inside(picture: AnyArray, box: tuple[float, ...]) -> tuple[slice, slice]:
    """The rows and columns of a box, at least one of each."""
    height, width = picture.shape[:2]
    left, top = min(max(int(box[0]), 0), width - 1), min(max(int(box[1]), 0), height - 1)
    return slice(top, max(int(box[3]), top) + 1), slice(left, max(int(box[2]), left) + 1)
