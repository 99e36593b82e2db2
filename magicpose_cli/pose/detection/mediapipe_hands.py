"""Hands that the holistic models miss: looked for a second time around the wrist.

The holistic graph guesses from three points of the body where a hand is, which fails where the
wrist is bent. The palm finder, which the wheel carries too, needs no such guess, but a picture in
which the hand is large, and a palm: a fist around a ball or a handle shows none. Such a hand is
read in squares that are laid along its forearm. Once found, a hand is read where it was in the
frame before, which takes less time than finding it.

The reader tells how likely it sees a hand. MediaPipe believes it from a half on; where a forearm
leads to it we do from MIN_LED_PRESENCE on, if the hand is of a person's size and goes on from it.
"""

from __future__ import annotations

import math
from collections.abc import Iterator

import numpy as np

from magicpose_cli.arrays import Floats, Picture
from magicpose_cli.pose.detection.mediapipe_graphs import Region, open_graph
from magicpose_cli.pose.detection.mediapipe_points import Landmarks, points_of

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
input_side_packet: "complexity"
output_stream: "hand"  output_stream: "presence"  output_stream: "next_region"
node {
  calculator: "ImagePropertiesCalculator"
  input_stream: "IMAGE_CPU:image"  output_stream: "SIZE:size"
}
node {
  calculator: "ImageToTensorCalculator"
  input_stream: "IMAGE:image"  input_stream: "NORM_RECT:region"
  output_stream: "TENSORS:pixels"  output_stream: "LETTERBOX_PADDING:padding"
  options { [mediapipe.ImageToTensorCalculatorOptions.ext] {
    output_tensor_width: 224  output_tensor_height: 224  keep_aspect_ratio: true
    output_tensor_float_range { min: 0.0  max: 1.0 }
  } }
}
node {
  calculator: "HandLandmarkModelLoader"
  input_side_packet: "MODEL_COMPLEXITY:complexity"  output_side_packet: "MODEL:model"
}
node {
  calculator: "InferenceCalculator"
  input_side_packet: "MODEL:model"
  input_stream: "TENSORS:pixels"  output_stream: "TENSORS:answers"
  options { [mediapipe.InferenceCalculatorOptions.ext] { delegate { xnnpack {} } } }
}
node {
  calculator: "SplitTensorVectorCalculator"
  input_stream: "answers"  output_stream: "points"  output_stream: "flag"
  options { [mediapipe.SplitVectorCalculatorOptions.ext] {
    ranges { begin: 0 end: 1 }  ranges { begin: 1 end: 2 }
  } }
}
node {
  calculator: "TensorsToFloatsCalculator"
  input_stream: "TENSORS:flag"  output_stream: "FLOAT:presence"
}
node {
  calculator: "TensorsToLandmarksCalculator"
  input_stream: "TENSORS:points"  output_stream: "NORM_LANDMARKS:in_square"
  options { [mediapipe.TensorsToLandmarksCalculatorOptions.ext] {
    num_landmarks: 21  input_image_width: 224  input_image_height: 224  normalize_z: 0.4
  } }
}
node {
  calculator: "LandmarkLetterboxRemovalCalculator"
  input_stream: "LANDMARKS:in_square"  input_stream: "LETTERBOX_PADDING:padding"
  output_stream: "LANDMARKS:in_region"
}
node {
  calculator: "LandmarkProjectionCalculator"
  input_stream: "NORM_LANDMARKS:in_region"  input_stream: "NORM_RECT:region"
  output_stream: "NORM_LANDMARKS:hand"
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
MIN_WRIST_VISIBILITY = 0.3  # of a wrist whose hand is looked for: a hand is seen more surely
NEAR_WRIST = 0.04  # where a hand may begin
APART = 0.02  # nearer points, on average, are of the one hand that both wrists are at
FIND_EVERY = 2  # frames of a film: a tenth of the time where a hand is hidden throughout
MIN_PRESENCE = 0.5  # what MediaPipe asks of a hand, 0..1
MIN_LED_PRESENCE = 0.35  # of a hand in a film to which a forearm leads
# Squares along a forearm in which its hand is read: how far they are ahead of the wrist and their
# side, in sides of the person's region, and their turn in degrees, clockwise. The first one finds
# the most: of a film it is looked at more often than the others.
LAID_SQUARES = (
    (0.018, 0.13, 0),
    (0.042, 0.10, 0),
    (0.018, 0.08, 30),
    (0.042, 0.10, -30),
    (0.018, 0.13, -30),
    (0.035, 0.10, 22),
    (0.018, 0.13, 0),
)
LAID_IN_FRAME = 2  # of them in a frame of a film, by turns; all where a hand was a frame before
PALM_LENGTHS = (0.018, 0.07)  # wrist to middle knuckle, in the same measure; it may be shortened
MAX_BEND_COSINE = -0.2  # between forearm and palm: a wrist bends by a right angle, hardly more
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
        self._reader = open_graph(READ_HAND, complexity=1, floats=["presence"])
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
            seen = parts["body"][wrist].visibility >= MIN_WRIST_VISIBILITY
            inside = ((ends[1] >= 0) & (ends[1] < (width, height))).all()
            if part not in parts and seen and inside:
                missing[part] = ends
        found: dict[str, Region] = {}
        for part in missing.keys() & before.keys():
            self._take(picture, side, parts, missing, found, part, before[part])
        for part, (elbow_at, wrist_at) in list(missing.items()):
            by_turns = None if part in before else look
            # A wrong hand of a single picture would take what it lies on along wherever it goes.
            surely = MIN_PRESENCE if look is None else MIN_LED_PRESENCE
            for region in _laid_squares(elbow_at, wrist_at, side, by_turns):
                if part in missing:
                    self._take(picture, side, parts, missing, found, part, region, surely, led=True)
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
        min_presence: float = MIN_PRESENCE,
        *,
        led: bool = False,
    ) -> None:
        """Read a hand, and move it from the missing to the found ones if it is that wrist's.

        led: whether its forearm alone tells that it is there.
        """
        height, width = picture.shape[:2]
        hand, presence, following = self._read(picture, region)
        if presence < min_presence:
            return
        points = points_of(hand, width, height)[:, :2]
        inside = ((points >= 0) & (points < (width, height))).all(axis=1)
        elbow_at, wrist_at = missing[part]
        begins = float(np.hypot(*(points[0] - wrist_at)))
        if begins > NEAR_WRIST * side or inside.mean() < MIN_INSIDE_SHARE:
            return
        if led and not _goes_on(wrist_at - elbow_at, points, side):
            return
        other_wrist_at = points_of(
            [parts["body"][wrist] for name, (_, wrist) in WRIST_JOINTS.items() if name != part],
            width,
            height,
        )[0, :2]
        if np.hypot(*(points[0] - other_wrist_at)) < begins:
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

    def _read(self, picture: Picture, region: Region) -> tuple[Landmarks, float, Region]:
        """What a hand in a region would be, how likely one is there, and where it is next."""
        height, width = picture.shape[:2]
        read = self._reader.process({"image": picture, "region": region.rect(width, height)})
        following = Region.of(read.next_region, width, height)
        return read.hand.landmark, read.presence, following


def _laid_squares(elbow: Floats, wrist: Floats, side: float, look: int | None) -> Iterator[Region]:
    """Where a hand may be beyond its forearm; look: as of `HandFinder.find`."""
    along = wrist - elbow
    length = float(np.hypot(*along))
    if length == 0:
        return
    turn = math.atan2(along[0], -along[1])
    chosen = list(dict.fromkeys(LAID_SQUARES))
    if look is not None:
        turns = range(LAID_IN_FRAME * look, LAID_IN_FRAME * (look + 1))
        chosen = [LAID_SQUARES[turn % len(LAID_SQUARES)] for turn in turns]
    for ahead, share, turned_deg in chosen:
        x, y = wrist + ahead * side / length * along
        if share * side >= MIN_HAND_CROP:
            yield Region(x, y, share * side, turn + math.radians(turned_deg))


def _goes_on(forearm: Floats, points: Floats, side: float) -> bool:
    """Whether a hand's points (21, 2) are of a person's size and do not lie back on the forearm."""
    palm = points[9] - points[0]
    length = float(np.hypot(*palm))
    smallest, largest = PALM_LENGTHS
    if not smallest * side < length < largest * side:
        return False
    return bool(palm @ forearm > MAX_BEND_COSINE * length * np.hypot(*forearm))


def forget_doubled_hand(parts: dict[str, Landmarks], side: float, width: int, height: int) -> None:
    """Where both hands are read at one, forget that whose wrist is farther from it.

    side: of the person's region, pixels.
    """
    if not WRIST_JOINTS.keys() <= parts.keys():
        return
    hands = {part: points_of(parts[part], width, height)[:, :2] for part in WRIST_JOINTS}
    one, other = hands.values()
    if np.hypot(*(one - other).T).mean() >= APART * side:
        return
    body = points_of(parts["body"], width, height)[:, :2]
    wrists = {part: body[wrist] for part, (_, wrist) in WRIST_JOINTS.items()}
    del parts[max(hands, key=lambda part: float(np.hypot(*(hands[part][0] - wrists[part]))))]
