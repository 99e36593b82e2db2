"""Hands that the holistic models miss: looked for a second time around the wrist.

The holistic graph guesses from three points of the body where a hand is, which fails where the
wrist is bent. The palm finder, which the wheel carries too, needs no such guess, but a picture in
which the hand is large. Once found, a hand is read where it was in the frame before, which takes
less time than finding it.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import Any

import numpy as np

from magicpose_cli.arrays import Floats, Picture
from magicpose_cli.pose.detection.mediapipe_graphs import Region, open_graph
from magicpose_cli.pose.detection.mediapipe_points import MIN_VISIBILITY, Landmarks, points_of

FIND_HANDS = """
input_stream: "image"  input_side_packet: "complexity"  output_stream: "palms"
node {
  calculator: "PalmDetectionCpu"
  input_stream: "IMAGE:image"  input_side_packet: "MODEL_COMPLEXITY:complexity"
  output_stream: "DETECTIONS:palms"
}
"""
READ_HAND = """
input_stream: "image"  input_stream: "region"
input_side_packet: "complexity"  output_stream: "hand"  output_stream: "next_region"
node {
  calculator: "ImagePropertiesCalculator"
  input_stream: "IMAGE_CPU:image"  output_stream: "SIZE:size"
}
node {
  calculator: "HandLandmarkCpu"
  input_stream: "IMAGE:image"  input_stream: "ROI:region"
  input_side_packet: "MODEL_COMPLEXITY:complexity"  output_stream: "LANDMARKS:hand"
}
node {
  calculator: "HandLandmarkLandmarksToRoi"
  input_stream: "LANDMARKS:hand"  input_stream: "IMAGE_SIZE:size"
  output_stream: "ROI:next_region"
}
"""
WRIST_JOINTS = {
    "left_hand": (13, 15),
    "right_hand": (14, 16),
}  # elbow, wrist of the body's 33 points
# In sides of the person's region, which is a third larger than they are tall.
CROPS = (0.16, 0.32)
NEAR_WRIST = 0.04  # where a hand may begin
APART = 0.02  # nearer points, on average, are of the one hand that both wrists are at
FIND_EVERY = 2  # frames of a film: a tenth of the time where a hand is hidden throughout
HAND_AHEAD = 0.35  # forearms from the wrist to the middle of the hand
MIN_HAND_CROP = 32  # pixels; a hand in a smaller one is a blot
MIN_INSIDE_SHARE = (
    0.5  # of the points of a hand: what is more than half outside of the picture is guessed
)
# How MediaPipe gets from a palm to its hand.
HAND_SCALE, HAND_SHIFT = 2.6, 0.5


class HandFinder:
    """Looks around a person's wrists; keeps nothing from one picture to the next."""

    def __init__(self) -> None:
        self._finder = open_graph(FIND_HANDS, complexity=1)
        self._reader = open_graph(READ_HAND, complexity=1)
        nothing = np.zeros((64, 64, 3), np.uint8)  # the graphs' parts start lazily
        self._finder.process(nothing)
        self._read(nothing, Region(32, 32, 64, 0))

    def close(self) -> None:
        """Give the models back."""
        self._finder.close()
        self._reader.close()

    def find(
        self,
        picture: Picture,
        side: float,
        parts: dict[str, Landmarks],
        before: dict[str, Region],
        look: int | None,
    ) -> dict[str, Region]:
        """Add to a person's `parts` the hands that they lack; returns where those are next.

        side: of the person's region, pixels. before: where hands are to be seen, from the last
        frame. look: the frame's number, for palms take a while to find: one crop is searched in
        every FIND_EVERY frames, by turns; None: all are.
        """
        height, width = picture.shape[:2]
        missing = {}
        for part, (elbow, wrist) in WRIST_JOINTS.items():
            ends = points_of([parts["body"][elbow], parts["body"][wrist]], width, height)[:, :2]
            seen = parts["body"][wrist].visibility >= MIN_VISIBILITY
            inside = ((ends[1] >= 0) & (ends[1] < (width, height))).all()
            if part not in parts and seen and inside:
                missing[part] = ends
        found: dict[str, Region] = {}
        for part in missing.keys() & before.keys():
            self._take(picture, side, parts, missing, found, part, before[part])
        crops = [(part, share * side) for share in CROPS for part in sorted(missing)]
        if look is not None and crops:
            turn, rest = divmod(look, FIND_EVERY)
            crops = [] if rest else [crops[turn % len(crops)]]
        for part, length in crops:
            if part not in missing or length < MIN_HAND_CROP:
                continue
            elbow_at, wrist_at = missing[part]
            center = wrist_at + HAND_AHEAD * (wrist_at - elbow_at)
            for region in self._palms(picture, center, length):
                self._take(picture, side, parts, missing, found, part, region)
                if part in found:
                    break
        return found

    def _take(
        self,
        picture: Picture,
        side: float,
        parts: dict[str, Landmarks],
        missing: dict[str, Floats],
        found: dict[str, Region],
        part: str,
        region: Region,
    ) -> None:
        """Read a hand, and move it from the missing to the found ones if it is that wrist's."""
        height, width = picture.shape[:2]
        hand, following = self._read(picture, region)
        if hand is None:
            return
        points = points_of(hand, width, height)[:, :2]
        inside = ((points >= 0) & (points < (width, height))).all(axis=1)
        begins = float(np.hypot(*(points[0] - missing[part][1])))
        if begins > NEAR_WRIST * side or inside.mean() < MIN_INSIDE_SHARE:
            return
        other = parts.get(next(name for name in WRIST_JOINTS if name != part))
        if other is not None:
            apart = np.hypot(*(points - points_of(other, width, height)[:, :2]).T).mean()
            if apart < APART * side:
                return
        parts[part], found[part] = hand, following
        del missing[part]

    def _palms(self, picture: Picture, center: Floats, length: float) -> Iterator[Region]:
        """The hands in a square around a point, by their palms, the surest first."""
        left, top = (max(int(value), 0) for value in center - length / 2)
        right, bottom = (center + length / 2).astype(int)
        crop = np.ascontiguousarray(picture[top : max(bottom, 0), left : max(right, 0)])
        high, wide = crop.shape[:2]
        if min(high, wide) < 2:
            return
        for palm in self._finder.process(crop).palms or []:
            box, marks = palm.location_data.relative_bounding_box, palm.location_data
            root, knuckle = marks.relative_keypoints[0], marks.relative_keypoints[2]
            turn = math.atan2((knuckle.x - root.x) * wide, (root.y - knuckle.y) * high)
            side = max(box.width * wide, box.height * high)
            x = left + (box.xmin + box.width / 2) * wide + HAND_SHIFT * side * math.sin(turn)
            y = top + (box.ymin + box.height / 2) * high - HAND_SHIFT * side * math.cos(turn)
            yield Region(x, y, HAND_SCALE * side, turn)

    def _read(self, picture: Picture, region: Region) -> tuple[Landmarks | None, Any]:
        """The hand in a region and where it is next; None, None where there is none."""
        height, width = picture.shape[:2]
        read = self._reader.process({"image": picture, "region": region.rect(width, height)})
        if read.hand is None:
            return None, None
        return read.hand.landmark, Region.of(read.next_region, width, height)
