"""Pose detection with MediaPipe's holistic models, whose weights lie inside its wheel.

MediaPipe's own holistic graph reads one person and smooths them with a lag of a third of a frame.
Its parts do better when joined anew: one graph finds everybody in a picture, another reads body,
face and hands of the person in a region, unsmoothed, and says where to look in the next frame.
People are found anew in every frame, for a region that follows from frame to frame slides off a
fast limb at times; only who is not found is followed. The finder overlooks people beside or behind
others, so now and then those who were found are painted over and the rest is searched.

The wheel carries the pose model of complexity 1 alone; the other two would be downloaded, so they
are not offered.
"""

from __future__ import annotations

import contextlib
import math
from dataclasses import dataclass
from typing import Any

import numpy as np

from magicpose_cli.pose.detection.detect import box_of, largest_first
from magicpose_cli.pose.detection.mediapipe_points import pose_of
from magicpose_cli.pose.detection.views import surest_in_views
from magicpose_cli.pose.keypoints import Pose
from magicpose_cli.stderr import native_stderr_silenced

# The parts by their names in the wheel, see mediapipe/modules in MediaPipe's sources.
FIND = """
input_stream: "image"  output_stream: "people"
node {
  calculator: "PoseDetectionCpu"
  input_stream: "IMAGE:image"  output_stream: "DETECTIONS:people"
}
"""
READ = """
input_stream: "image"  input_stream: "region"
input_side_packet: "complexity"  input_side_packet: "segment"  input_side_packet: "refine"
output_stream: "body"  output_stream: "world"  output_stream: "face"
output_stream: "left_hand"  output_stream: "right_hand"  output_stream: "next_region"
node {
  calculator: "ImagePropertiesCalculator"
  input_stream: "IMAGE_CPU:image"  output_stream: "SIZE:size"
}
node {
  calculator: "PoseLandmarkByRoiCpu"
  input_stream: "IMAGE:image"  input_stream: "ROI:region"
  input_side_packet: "MODEL_COMPLEXITY:complexity"  input_side_packet: "ENABLE_SEGMENTATION:segment"
  output_stream: "LANDMARKS:body"  output_stream: "WORLD_LANDMARKS:world"
  output_stream: "AUXILIARY_LANDMARKS:circle"
}
node {
  calculator: "PoseLandmarksToRoi"
  input_stream: "LANDMARKS:circle"  input_stream: "IMAGE_SIZE:size"
  output_stream: "ROI:next_region"
}
node {
  calculator: "HandLandmarksLeftAndRightCpu"
  input_stream: "IMAGE:image"  input_stream: "POSE_LANDMARKS:body"
  output_stream: "LEFT_HAND_LANDMARKS:left_hand"  output_stream: "RIGHT_HAND_LANDMARKS:right_hand"
}
node {
  calculator: "SplitNormalizedLandmarkListCalculator"
  input_stream: "body"  output_stream: "head"
  options { [mediapipe.SplitVectorCalculatorOptions.ext] { ranges { begin: 0 end: 11 } } }
}
node {
  calculator: "FaceLandmarksFromPoseCpu"
  input_stream: "IMAGE:image"  input_stream: "FACE_LANDMARKS_FROM_POSE:head"
  input_side_packet: "REFINE_LANDMARKS:refine"  output_stream: "FACE_LANDMARKS:face"
}
"""
PARTS = ("body", "world", "face", "left_hand", "right_hand")
MODEL = {"complexity": 1, "segment": False, "refine": True}  # refine: sharper eyes, lips, irises
MIN_SCORE = 0.6  # of a find in a still picture or beside others; at 0.5 textures are people
SEARCH_REST_EVERY = 8  # frames of a film: a twentieth of the time for one person
PAINT_MARGIN = 0.1  # of a person's size, around the box of their points
REGION_SCALE = 1.25  # of the circle around a body, as MediaPipe cuts it out
SAME_PLACE = 0.25  # of a region's side: the hips move less from one frame to the next
SAME_POSE = 0.03  # of a region's side: nearer joints, on average, are of one person


@dataclass(frozen=True)
class Region:
    """A turned square in a picture, in its pixels; turn in radians, clockwise."""

    x: float
    y: float
    side: float
    turn: float


@dataclass(frozen=True, eq=False)
class Person:
    """Somebody as read in one frame, and where to look for them in the next one."""

    pose: Pose
    region: Region


class MediaPipeHolistic:
    """PoseDetector on the CPU; follows people from frame to frame unless `still`."""

    def __init__(self, *, still: bool = False) -> None:
        self._still = still
        self._warned = False
        self._people: list[Person] = []
        self._frame_count = 0
        with native_stderr_silenced():
            self._finder = _graph(FIND)
            self._reader = _graph(READ, **MODEL)
            nothing = np.zeros((64, 64, 3), np.uint8)  # the graphs' parts start lazily
            self._find(nothing, MIN_SCORE)
            self._read(nothing, Region(32, 32, 64, 0))

    def detect(self, frame: np.ndarray) -> list[Pose]:
        """Everybody; a point outside of the picture is unseen.

        A single picture where nobody is found is searched again in parts for the surest person.
        """
        picture = np.ascontiguousarray(frame)
        people = self._look(picture, self._people)
        if self._still:
            poses = [person.pose for person in people]
            return largest_first(poses or surest_in_views(picture, self._poses_in))
        self._people = people
        return largest_first(person.pose for person in people)

    def close(self) -> None:
        self._finder.close()
        self._reader.close()

    def _look(self, picture: np.ndarray, followed: list[Person]) -> list[Person]:
        """Who is found, and who is not found but still where they were about to be."""
        people: list[Person] = []
        lost = list(followed)
        for region in self._find(picture, MIN_SCORE if self._still else 0.0):
            if lost:
                nearest = min(lost, key=lambda person: _distance(person.region, region))
                if _distance(nearest.region, region) < SAME_PLACE * region.side:
                    lost.remove(nearest)
            _add(people, self._read(picture, region))
        for person in lost:
            _add(people, self._read(picture, person.region))
        if people and self._frame_count % SEARCH_REST_EVERY == 0:
            self._look_beside(picture, people)
        self._frame_count += 0 if self._still else 1
        return people

    def _look_beside(self, picture: np.ndarray, people: list[Person]) -> None:
        """Add who is found once the others are painted over, until nobody more is."""
        rest, known = picture.copy(), 0
        color = picture.mean(axis=(0, 1))
        while known < len(people):
            for person in people[known:]:
                rest[_around(person.pose)] = color
            known = len(people)
            for region in self._find(rest, MIN_SCORE):
                _add(people, self._read(picture, region))

    def _poses_in(self, picture: np.ndarray) -> list[Pose]:
        return [person.pose for person in self._look(picture, [])]

    def _find(self, picture: np.ndarray, min_score: float) -> list[Region]:
        """The regions of the people in the picture, the surest first."""
        height, width = picture.shape[:2]
        regions = []
        for found in self._finder.process(picture).people or []:
            if found.score[0] >= min_score:
                # The first two key points are the hips and a point of the circle above the head.
                hips, top = found.location_data.relative_keypoints[:2]
                x, y = hips.x * width, hips.y * height
                dx, dy = top.x * width - x, top.y * height - y
                side = 2 * REGION_SCALE * math.hypot(dx, dy)
                regions.append(Region(x, y, side, math.atan2(dx, -dy)))
        return regions

    def _read(self, picture: np.ndarray, region: Region) -> Person | None:
        """The person in the region; None where nobody is."""
        from mediapipe.framework.formats.rect_pb2 import NormalizedRect

        height, width = picture.shape[:2]
        rect = NormalizedRect(
            x_center=region.x / width,
            y_center=region.y / height,
            width=region.side / width,
            height=region.side / height,
            rotation=region.turn,
        )
        # The C++ side has one more thing to say when it finds its first person.
        with contextlib.nullcontext() if self._warned else native_stderr_silenced():
            found = self._reader.process({"image": picture, "region": rect})
        if found.body is None:
            return None
        self._warned = True
        parts = {part: getattr(found, part) for part in PARTS if getattr(found, part) is not None}
        pose = pose_of(width, height, **{part: list_.landmark for part, list_ in parts.items()})
        if pose.is_empty:
            return None
        then = found.next_region
        place = Region(
            then.x_center * width, then.y_center * height, then.width * width, then.rotation
        )
        return Person(pose, place)


def _graph(text: str, **side_inputs: bool | int) -> Any:
    # The options that the text names are known once the calculator's own module is imported.
    import mediapipe.calculators.core.split_vector_calculator_pb2  # noqa: F401
    from google.protobuf import text_format
    from mediapipe.framework.calculator_pb2 import CalculatorGraphConfig
    from mediapipe.python.solution_base import SolutionBase

    config = text_format.Parse(text, CalculatorGraphConfig())
    return SolutionBase(graph_config=config, side_inputs=side_inputs)


def _add(people: list[Person], new: Person | None) -> None:
    """Unless it is somebody who is there already: two regions can run into one person."""
    if new is not None and not any(_same_pose(new, other) for other in people):
        people.append(new)


def _distance(one: Region, other: Region) -> float:
    return math.hypot(one.x - other.x, one.y - other.y)


def _same_pose(one: Person, other: Person) -> bool:
    both = (one.pose.body_score > 0) & (other.pose.body_score > 0)
    if not both.any():
        return False
    apart = np.hypot(*(one.pose.body - other.pose.body)[both].T).mean()
    return bool(apart < SAME_POSE * max(one.region.side, other.region.side))


def _around(pose: Pose) -> tuple[slice, slice]:
    """Rows and columns of the box around a person's points, with room for hair and clothes."""
    left, top, right, bottom = box_of(pose)
    margin = PAINT_MARGIN * max(right - left, bottom - top)
    rows = slice(max(int(top - margin), 0), int(bottom + margin) + 1)
    return rows, slice(max(int(left - margin), 0), int(right + margin) + 1)
