"""Pose detection with MediaPipe's holistic models, whose weights lie inside its wheel.

MediaPipe's own holistic graph reads one person and smooths them with a lag of a third of a frame.
Its parts do better when joined anew: one graph finds everybody in a picture, another reads body,
face and hands of the person in a region, unsmoothed, and says where to look in the next frame.
People are found anew in every frame, for a region that follows from frame to frame slides off a
fast limb at times; only who is not found is followed. The finder overlooks people beside or behind
others, so now and then those who were found are painted over and the rest is searched. The reader
mixes people who touch, so each of them is read with the others painted over. The finder takes
dim and small people for ones who stand on their heads: a doubtful find is read both ways up.

The wheel carries the pose model of complexity 1 alone; the other two would be downloaded, so they
are not offered.
"""

from __future__ import annotations

import contextlib
import math
from dataclasses import replace
from itertools import combinations

import cv2
import numpy as np

from magicpose_cli.arrays import Picture
from magicpose_cli.pose.detection.detect import largest_first
from magicpose_cli.pose.detection.followed_bodies import (
    SAME_PLACE,
    Find,
    FollowedBody,
    add_person,
    box_around,
    is_where_they_were,
    region_distance,
)
from magicpose_cli.pose.detection.mediapipe_graphs import Region, open_graph
from magicpose_cli.pose.detection.mediapipe_hands import (
    WRIST_JOINTS,
    HandFinder,
    forget_doubled_hand,
)
from magicpose_cli.pose.detection.mediapipe_points import (
    confidence,
    forget_misplaced_face,
    pose_of,
)
from magicpose_cli.pose.detection.others_hidden import are_near, hide_others
from magicpose_cli.pose.detection.quiet_stderr import native_stderr_silenced
from magicpose_cli.pose.detection.views import (
    MIN_VIEW_CONFIDENCE,
    VIEWS,
    cut,
    surest_in_views,
)
from magicpose_cli.pose.keypoints import Pose

# The parts by their names in the wheel, see mediapipe/modules in MediaPipe's sources.
FIND_BODY = """
input_stream: "image"  output_stream: "people"
node {
  calculator: "PoseDetectionCpu"
  input_stream: "IMAGE:image"  output_stream: "DETECTIONS:people"
}
"""
READ_BODY = """
input_stream: "image"  input_stream: "region"
input_side_packet: "complexity"  input_side_packet: "segment"  input_side_packet: "refine"
output_stream: "body"  output_stream: "world"  output_stream: "face"
output_stream: "left_hand"  output_stream: "right_hand"  output_stream: "next_region"
output_stream: "next_left_hand"  output_stream: "next_right_hand"
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
  calculator: "HandLandmarkLandmarksToRoi"
  input_stream: "LANDMARKS:left_hand"  input_stream: "IMAGE_SIZE:size"
  output_stream: "ROI:next_left_hand"
}
node {
  calculator: "HandLandmarkLandmarksToRoi"
  input_stream: "LANDMARKS:right_hand"  input_stream: "IMAGE_SIZE:size"
  output_stream: "ROI:next_right_hand"
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
GRAPH_PARTS = ("body", "world", "face", "left_hand", "right_hand")
MIN_HOLISTIC_SCORE = (
    0.6  # of a find in a still picture or beside others; at 0.5 textures are people
)
SURE_CONFIDENCE = (
    0.9  # the finder's score from which on nobody has been seen to be found upside down
)
# In the measure of `confidence`: of the right way up, and of the way that they were before.
UPRIGHT_WORTH, LASTING_WORTH = 1.0, 1.0
CLOSER = 1.2  # of a person's region: where they are looked for who are lost
SEARCH_REST_EVERY = 8  # frames of a film: a twentieth of the time for one person
REGION_SCALE = 1.25  # of the circle around a body, as MediaPipe cuts it out


class MediaPipeHolistic:
    """PoseDetector on the CPU; follows people from frame to frame unless `still`."""

    def __init__(self, *, still: bool = False) -> None:
        self._still = still
        self._warned = False
        self._people: list[FollowedBody] = []
        self._last: Region | None = None  # of the first of them, kept when nobody is found
        self._frame_count = 0
        with native_stderr_silenced():
            self._finder = open_graph(FIND_BODY)
            self._reader = open_graph(  # refined: sharper eyes, lips, irises
                READ_BODY, complexity=1, segment=False, refine=True
            )
            self._hands = HandFinder()
            nothing = np.zeros((64, 64, 3), np.uint8)  # the graphs' parts start lazily
            self._find(nothing, MIN_HOLISTIC_SCORE)
            self._read(nothing, Region(32, 32, 64, 0))

    def detect(self, frame: Picture) -> list[Pose]:
        """Everybody; a point outside of the picture is unseen.

        A single picture where nobody is found is searched again in parts for the surest person, and
        so is now and then a film.
        """
        picture = np.ascontiguousarray(frame)
        people = self._look(picture, self._people)
        if self._still:
            poses = [person.pose for person in people]
            return largest_first(poses or surest_in_views(picture, self._poses_in))
        self._people = people or self._look_closer(picture)
        if self._people:
            self._last = self._people[0].region
        self._frame_count += 1
        return largest_first(person.pose for person in self._people)

    @property
    def touching(self) -> list[FollowedBody]:
        """Everybody whom it has seen last, where some are so near each other that they may mix."""
        pairs = combinations(self._people, 2)
        near = any(are_near(one.pose, other.pose, one.region.side) for one, other in pairs)
        return self._people if near else []

    def follow(self, people: list[FollowedBody]) -> None:
        """Begin with the people whom another detector saw in the frame before."""
        self._people, self._last = people, people[0].region

    def close(self) -> None:
        """Give the models back."""
        self._finder.close()
        self._reader.close()
        self._hands.close()

    def _look(self, picture: Picture, followed: list[FollowedBody]) -> list[FollowedBody]:
        """Who is found, and who is not found but still where they were about to be."""
        before: dict[FollowedBody, FollowedBody] = {}
        people, shown = self._read_touching(picture, followed, before)
        lost = [person for person in followed if person not in before.values()]
        apart = list(people)
        for find in self._find(picture, MIN_HOLISTIC_SCORE if self._still else 0.0):
            nearest = min(lost, key=lambda p: region_distance(p.region, find.region), default=None)
            limit = SAME_PLACE * find.region.side
            if nearest and region_distance(nearest.region, find.region) < limit:
                lost.remove(nearest)
            else:
                nearest = None
                if any(region_distance(p.region, find.region) < limit for p in apart):
                    continue
            person = self._read_find(shown.get(nearest, picture), find, nearest)
            if add_person(people, person) and person and nearest:
                before[person] = nearest
        for nearest in lost:
            if nearest in shown:
                continue
            person = self._read(picture, nearest.region)
            if add_person(people, person) and person:
                before[person] = nearest
        if people and self._frame_count % SEARCH_REST_EVERY == 0:
            self._look_beside(picture, people)
        return [self._with_hands(picture, person, before.get(person)) for person in people]

    def _read_touching(
        self,
        picture: Picture,
        followed: list[FollowedBody],
        before: dict[FollowedBody, FollowedBody],
    ) -> tuple[list[FollowedBody], dict[FollowedBody | None, Picture]]:
        """Read those who touch or overlap, each with the others painted over.

        Args:
            picture: the frame.
            followed: everybody in the last one.
            before: takes who each one who is read was there.

        Returns:
            Those who are read, and the picture in which each one who is not may be looked for.
        """
        latest = {person: person for person in followed}
        people: list[FollowedBody] = []
        pictures: dict[FollowedBody | None, Picture] = {}
        for person in followed:
            side = person.region.side
            near = [
                latest[other].pose
                for other in followed
                if other is not person and are_near(person.pose, other.pose, side)
            ]
            if not near:
                continue
            shown = hide_others(picture, person.pose, near, side)
            read = self._read(shown, person.region)
            if read is not None and is_where_they_were(person, read) and add_person(people, read):
                before[read], latest[person] = person, read
            else:
                pictures[person] = shown
        return people, pictures

    def _look_beside(self, picture: Picture, people: list[FollowedBody]) -> None:
        """Add who is found once the others are painted over, until nobody more is."""
        rest, known = picture.copy(), 0
        color = cv2.mean(picture)[:3]
        while known < len(people):
            for person in people[known:]:
                rest[box_around(person.pose)] = color
            known = len(people)
            for find in self._find(rest, MIN_HOLISTIC_SCORE):
                add_person(people, self._read(picture, find.region))

    def _look_closer(self, picture: Picture) -> list[FollowedBody]:
        """The surest person in parts of the picture, in which they are larger.

        The parts are where somebody was last and, now and then, everywhere.
        """
        height, width = picture.shape[:2]
        boxes: list[tuple[float, ...]] = []
        if self._last is not None:
            x, y, reach = self._last.x, self._last.y, CLOSER * self._last.side / 2
            boxes.append((x - reach, y - reach, x + reach, y + reach))
        if self._frame_count % SEARCH_REST_EVERY == 0:
            sizes = (width, height, width, height)
            boxes += [
                tuple(v * size for v, size in zip(view, sizes, strict=True)) for view in VIEWS
            ]
        people = []
        for box in boxes:
            left, top, right, bottom = (round(v) for v in box)
            if right <= max(left, 0) or bottom <= max(top, 0) or left >= width or top >= height:
                continue
            for find in self._find(cut(picture, left, top, right, bottom), MIN_HOLISTIC_SCORE):
                person = self._read_find(picture, find.moved(left, top), None)
                if person is not None and confidence(person.pose) >= MIN_VIEW_CONFIDENCE:
                    people.append(person)
        return sorted(people, key=lambda person: -confidence(person.pose))[:1]

    def _poses_in(self, picture: Picture) -> list[Pose]:
        return [person.pose for person in self._look(picture, [])]

    def _find(self, picture: Picture, min_score: float) -> list[Find]:
        """The people in the picture, the surest first."""
        height, width = picture.shape[:2]
        finds = []
        for found in self._finder.process(picture).people or []:
            if found.score[0] >= min_score:
                # The first two key points are the hips and a point of the circle above the head.
                hips, top = found.location_data.relative_keypoints[:2]
                x, y = hips.x * width, hips.y * height
                dx, dy = top.x * width - x, top.y * height - y
                side = 2 * REGION_SCALE * math.hypot(dx, dy)
                finds.append(Find(Region(x, y, side, math.atan2(dx, -dy)), found.score[0]))
        return finds

    def _read_find(
        self, picture: Picture, find: Find, before: FollowedBody | None
    ) -> FollowedBody | None:
        """Who is at a find; before: the person who was there in the last frame.

        One that is not sure and stands the other way up than that person, or on its head where
        nobody was, is read turned around and where the person was about to be as well; who is read
        most surely is taken, and nobody who would have turned over on the spot.
        """
        person = self._read(picture, find.region)
        expected = before.region.turn if before else 0.0
        doubtful = find.score < SURE_CONFIDENCE and math.cos(find.region.turn - expected) < 0
        if person is not None and not doubtful:
            return person
        regions = [before.region] if before else []
        if doubtful:
            regions.append(replace(find.region, turn=find.region.turn + math.pi))
        read = [person, *(self._read(picture, region) for region in regions)]

        def surety(person: FollowedBody) -> float:
            turn = person.region.turn
            worth = UPRIGHT_WORTH * (math.cos(turn) > 0) + LASTING_WORTH * (
                math.cos(turn - expected) > 0
            )
            return confidence(person.pose) + worth

        def turned_over(person: FollowedBody) -> bool:
            turn = person.region.turn
            return before is not None and max(math.cos(turn), math.cos(turn - expected)) < 0

        return max((p for p in read if p and not turned_over(p)), key=surety, default=None)

    def _read(self, picture: Picture, region: Region) -> FollowedBody | None:
        """The person in the region; None where nobody is."""
        height, width = picture.shape[:2]
        # The C++ side has one more thing to say when it finds its first person.
        with contextlib.nullcontext() if self._warned else native_stderr_silenced():
            found = self._reader.process({"image": picture, "region": region.rect(width, height)})
        if found.body is None:
            return None
        self._warned = True
        read = {part: getattr(found, part) for part in GRAPH_PARTS}
        landmarks = {part: list_.landmark for part, list_ in read.items() if list_ is not None}
        forget_doubled_hand(landmarks, region.side, width, height)
        forget_misplaced_face(landmarks, width, height)
        pose = pose_of(width, height, **landmarks)
        if pose.is_empty:
            return None
        hands = {
            part: Region.of(getattr(found, f"next_{part}"), width, height)
            for part in WRIST_JOINTS
            if part in landmarks
        }
        return FollowedBody(pose, Region.of(found.next_region, width, height), landmarks, hands)

    def _with_hands(
        self, picture: Picture, person: FollowedBody, before: FollowedBody | None
    ) -> FollowedBody:
        """The same, with the hands that are found around the wrists."""
        found = self._hands.find(
            picture,
            person.region.side,
            person.landmarks,
            before.hands if before else {},
            None if self._still else self._frame_count,
        )
        if not found:
            return person
        height, width = picture.shape[:2]
        return FollowedBody(
            pose_of(width, height, **person.landmarks),
            person.region,
            person.landmarks,
            person.hands | found,
        )
