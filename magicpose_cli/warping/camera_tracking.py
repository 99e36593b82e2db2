"""The camera of a driver, followed by the background around the driver's person.

Points of the background are tracked (Lucas and Kanade 1981, in pyramids: Bouguet 2000) from each
frame to the anchor frame, which is moved beforehand as the frame before was. So an error does not
add up while the two show the same place; where they no longer do, a later frame serves as the key.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import cv2
import numpy as np

from magicpose_cli.arrays import AnyArray, Floats, Picture
from magicpose_cli.motion.framing import Framing
from magicpose_cli.pose.keypoints import Pose
from magicpose_cli.pose.region import person_region
from magicpose_cli.warping.camera_motion import CameraMotion, mesh_places, values_at

CAMERA_SIDE_PX = 384  # short side of the frames in which the camera is followed
MAX_CORNERS = 300  # points that are tracked
CORNER_QUALITY = 0.003  # of the best corner's
CORNER_DISTANCE_PX = 9
ROUND_TRIP_PX = 0.5  # a point that is tracked there and back may come back by so much beside
PERSON_GROWTH = 0.04  # of the short side, around the person's region: hair and clothes move
MIN_OVERLAP = 0.4  # of the frame's background, that a key must show as well
MIN_AGREEING_POINTS = 12.0  # that agree
MIN_AGREEING_SHARE = 0.2  # of the points
PLANE_SPREAD_PX = 2.0  # from the similarity, where a point counts half
MESH_SPREAD_PX = 1.0  # from the smooth field, where a point counts half
MESH_SIGMA = 0.08  # of the short side: standard deviation of the average over the picture
MAX_MESH = 0.03  # of the short side: what is further off the similarity is another thing
MESH_CELL_PX = 8
STILL_POINTS = 4.0  # as good as so many points say that the camera neither turns nor zooms
STILL_POINT_SPREAD = 0.15  # of the short side, so far are these from their middle
ROUNDS = 3  # in which points are weighted anew, and in which tracking begins anew at most
NEAR_PX = 1.5  # from nearer by, tracking need not begin anew
DETAIL_SIGMA = 1 / 16  # of the short side: coarser differences are light, not motion
MIN_GAIN = 0.03  # by so much a motion must reduce the difference of the two pictures to count
FULL_GAIN = 0.15  # from so much on it counts wholly
MIN_SAME_PLACE = 0.5  # correlation of two pictures' details, from which on they show one place
PLACED_EDGE_PX = 9  # at the edges of a picture that is laid onto a frame, where it is not compared
MAX_LOSS = 1.05  # of the difference that the frame before would leave


@dataclass(frozen=True)
class _View:
    """A frame that others are compared with.

    Attributes:
        gray: (h, w) uint8.
        half: The same at half the size, in which noise does not count.
        background: (h, w) uint8, 255 where the person is not.
        motion: Of this frame.
    """

    gray: Picture
    half: Picture
    background: Picture
    motion: CameraMotion


@dataclass(frozen=True)
class PlacedPicture:
    """A picture of a person, and where a film's frame lies in it.

    Attributes:
        picture: (H, W, 3) uint8 RGB.
        pose: Of the person, in its pixels.
        scale: Pixels of the picture in one of the frame's.
        origin: The picture's pixel x + iy that shows the frame's first one.
    """

    picture: Picture
    pose: Pose
    scale: float
    origin: complex


class CameraTracker:
    """Follows the camera from the anchor frame on, through frames in their order or in reverse.

    Args:
        picture: The anchor frame, (h, w, 3) uint8 RGB, of `camera_size`.
        pose: Of its person, in pixels of the film.
    """

    def __init__(self, picture: Picture, pose: Pose) -> None:
        height, width = picture.shape[:2]
        self._size = (width, height)
        self._anchor = self._view(picture, pose, CameraMotion.none(self._size))
        self._key = self._last = self._anchor

    def follow(self, picture: Picture, pose: Pose) -> tuple[CameraMotion, bool]:
        """Find the camera's motion in the next frame.

        Args:
            picture: (h, w, 3) uint8 RGB.
            pose: Of the frame's person, in pixels of the film.

        Returns:
            The motion, and whether it was found: else it is the last one.
        """
        frame = self._view(picture, pose, self._last.motion)
        keys = {id(key): key for key in (self._anchor, self._key, self._last)}
        for key in keys.values():
            found = _motion_between(key, frame)
            if found is not None:
                self._last = replace(frame, motion=key.motion.after(found))
                self._key = self._last if key is self._anchor else key
                return self._last.motion, True
        self._key = self._last = frame
        return frame.motion, False

    def shows_place_of(self, other: PlacedPicture) -> bool:
        """Tell whether the anchor frame shows the place that another picture shows."""
        found = _motion_between(self._anchor, frame := self._placed_view(other))
        if found is None:
            return False
        there = found.all_come_from()
        where = _shared_background(self._anchor, frame, there)[::2, ::2] > 0
        one, two = (
            _details(picture)[where]
            for picture in (_moved(self._anchor.half, there[::2, ::2] / 2), frame.half)
        )
        alike = float(np.mean(one * two) / np.sqrt(np.mean(one**2) * np.mean(two**2) + 1e-9))
        return alike >= MIN_SAME_PLACE

    def _placed_view(self, other: PlacedPicture) -> _View:
        """See a picture as the anchor frame's camera would, who stands where its person does."""
        height, width = other.picture.shape[:2]
        smaller = max(1.0, other.scale)  # before it is laid: a lookup would skip pixels
        size = (max(1, round(width / smaller)), max(1, round(height / smaller)))
        scaled = cv2.resize(other.picture, size, interpolation=cv2.INTER_AREA)
        first = np.array([other.origin.real, other.origin.imag])
        matrix = np.column_stack([other.scale * np.eye(2), first]) / smaller
        shown, inside = (
            cv2.warpAffine(values, matrix, self._size, flags=flags | cv2.WARP_INVERSE_MAP)
            for values, flags in (
                (scaled, cv2.INTER_LINEAR),
                (np.full(size[::-1], 255, np.uint8), cv2.INTER_NEAREST),
            )
        )
        pose = other.pose.map_points(lambda points: (points - first) / other.scale, *self._size)
        view = self._view(np.asarray(shown, np.uint8), pose, CameraMotion.none(self._size))
        edge = np.ones((PLACED_EDGE_PX,) * 2, np.uint8)
        shrunk = np.asarray(cv2.erode(np.asarray(inside, np.uint8), edge), np.uint8)
        background = np.asarray(view.background & shrunk, np.uint8)
        gray = _in_light_of(self._anchor, view.gray, background)
        return replace(
            view, gray=gray, half=np.asarray(cv2.pyrDown(gray), np.uint8), background=background
        )

    def _view(self, picture: Picture, pose: Pose, motion: CameraMotion) -> _View:
        gray = cv2.cvtColor(picture, cv2.COLOR_RGB2GRAY)
        shown = Framing((0, 0, pose.width, pose.height), *self._size).pose(pose)
        side = 2 * round(PERSON_GROWTH * min(self._size)) + 1
        person = cv2.dilate(person_region(shown), np.ones((side, side), np.uint8))
        background = np.asarray(255 * (1 - person), np.uint8)
        return _View(np.asarray(gray, np.uint8), np.asarray(cv2.pyrDown(gray)), background, motion)


def camera_size(size: tuple[int, int]) -> tuple[int, int]:
    """Return the size in which the camera of a film of (width, height) pixels is followed."""
    scale = min(1.0, CAMERA_SIDE_PX / min(size))
    return max(1, round(scale * size[0])), max(1, round(scale * size[1]))


def _motion_between(key: _View, frame: _View) -> CameraMotion | None:
    """Find where the background of a frame is in the key; None where that cannot be told.

    The frame's own motion is the guess from which the search begins.
    """
    size = key.motion.size
    turn = frame.motion.turn / key.motion.turn
    shift = (frame.motion.shift - key.motion.shift) / key.motion.turn
    start = CameraMotion(turn, shift, CameraMotion.none(size).mesh, size)
    there = start.all_come_from()
    guessed, found = there, start
    for _ in range(ROUNDS):
        pairs = _tracked_points(key, frame, found, there)
        if pairs is None:
            return None
        here, at = pairs
        fitted = _fit_similarity(here, at, found)
        if fitted is None:
            return None
        step = abs((fitted.turn - found.turn) * found.center + fitted.shift - found.shift)
        found = fitted
        if step < NEAR_PX:
            break
        there = found.all_come_from()
    found = _with_mesh(found, here, at)
    there = found.all_come_from()
    where = _shared_background(key, frame, there)
    left = _difference(key, frame, there, where)
    if left > MAX_LOSS * _difference(key, frame, guessed, where):
        return None
    unmoved = _difference(key, frame, CameraMotion.none(size).all_come_from(), where)
    gain = 1 - left / max(unmoved, 1e-6)
    return found.weakened(float(np.clip((gain - MIN_GAIN) / (FULL_GAIN - MIN_GAIN), 0, 1)))


def _tracked_points(
    key: _View, frame: _View, start: CameraMotion, places: Floats
) -> tuple[Floats, Floats] | None:
    """Track points of the frame's background to the key.

    Args:
        key: Where they are looked for.
        frame: Where they are.
        start: The motion that is nearly right.
        places: From where in the key all pixels come by it, (h, w, 2).

    Returns:
        Points of the frame and of the key, complex (n,); None where too little of the background
        is in both.
    """
    both = _shared_background(key, frame, places)
    if np.count_nonzero(both) < MIN_OVERLAP * max(1, np.count_nonzero(frame.background)):
        return None
    corners = cv2.goodFeaturesToTrack(
        frame.gray, MAX_CORNERS, CORNER_QUALITY, CORNER_DISTANCE_PX, mask=both, blockSize=7
    )
    if corners is None or len(corners) < MIN_AGREEING_POINTS:
        return None
    predicted = _moved(key.gray, places)
    there, ahead = _lucas_kanade(frame.gray, predicted, corners)
    again, back = _lucas_kanade(predicted, frame.gray, there)
    height, width = frame.gray.shape
    inside = ((there >= 0) & (there <= (width - 1, height - 1))).all((1, 2))
    good = ahead & back & inside & (np.abs(again - corners).max((1, 2)) < ROUND_TRIP_PX)
    x, y = np.rint(there[good, 0]).astype(int).T
    good[good] = both[y, x] > 0
    if np.count_nonzero(good) < MIN_AGREEING_POINTS:
        return None
    return _complex(corners[good, 0]), _complex(start.come_from(there[good, 0].astype(np.float64)))


def _lucas_kanade(one: Picture, other: Picture, points: AnyArray) -> tuple[Floats, AnyArray]:
    """Track (n, 1, 2) points from one picture to another; also tell which were found, (n,)."""
    moved, found, _ = cv2.calcOpticalFlowPyrLK(
        one, other, points, np.empty_like(points),
        winSize=(21, 21), maxLevel=3, criteria=(3, 10, 0.02), minEigThreshold=1e-5,
    )  # fmt: skip
    return np.asarray(moved, np.float32), found[:, 0] > 0


def _fit_similarity(here: Floats, there: Floats, guess: CameraMotion) -> CameraMotion | None:
    """Fit a similarity to most of the points; None where too few agree.

    Weights are those of Cauchy's distribution. The fit begins at the guess, which is the motion of
    the frame before, or where RANSAC finds more that agree: of two depths, the same one in all
    frames.

    Args:
        here: Points of the frame, complex (n,).
        there: Points of the key, complex (n,).
        guess: The motion to begin with.
    """
    starts = [(guess.turn, guess.shift)]
    matrix, _ = cv2.estimateAffinePartial2D(
        _pairs(here), _pairs(there), method=cv2.RANSAC, ransacReprojThreshold=PLANE_SPREAD_PX
    )
    if matrix is not None:
        starts.append((complex(matrix[0, 0], matrix[1, 0]), complex(matrix[0, 2], matrix[1, 2])))

    def weights(turn: complex, shift: complex) -> Floats:
        away = np.abs(turn * here + shift - there)
        found: Floats = 1 / (1 + (away / PLANE_SPREAD_PX) ** 2)
        return found

    turn, shift = max(starts, key=lambda start: float(np.log(weights(*start)).sum()))
    still = STILL_POINTS * (STILL_POINT_SPREAD * min(guess.size)) ** 2
    for _ in range(2 * ROUNDS):
        share = weights(turn, shift)
        mean_here, mean_there = ((share * p).sum() / share.sum() for p in (here, there))
        x, y = here - mean_here, there - mean_there
        turn = ((share * y * x.conj()).sum() + still) / ((share * np.abs(x) ** 2).sum() + still)
        shift = mean_there - turn * mean_here
    agreeing = float(weights(turn, shift).sum())
    if agreeing < max(MIN_AGREEING_POINTS, MIN_AGREEING_SHARE * len(here)):
        return None
    return CameraMotion(complex(turn), complex(shift), guess.mesh, guess.size)


def _with_mesh(motion: CameraMotion, here: Floats, there: Floats) -> CameraMotion:
    """Add the smooth field by which the points differ from the similarity.

    Args:
        motion: The similarity.
        here: Points of the frame, complex (n,).
        there: Points of the key, complex (n,).
    """
    width, height = motion.size
    side = min(width, height)
    further = there - (motion.turn * here + motion.shift)
    near = np.abs(further) < MAX_MESH * side
    here, further = here[near], further[near]
    x, y = ((part / MESH_CELL_PX).astype(int) for part in (here.real, here.imag))
    sigma = MESH_SIGMA * side / MESH_CELL_PX
    cells = (-(-height // MESH_CELL_PX), -(-width // MESH_CELL_PX))
    weight, field = np.ones(len(here)), np.zeros((*cells, 2), np.float32)
    for _ in range(ROUNDS):  # an average falls short of a slope at the frame's edges: add the rest
        away = further - _complex(field[y, x])
        sums = np.zeros((*cells, 3), np.float32)
        told = weight[:, None] * np.column_stack([away.real, away.imag, np.ones(len(here))])
        np.add.at(sums, (y, x), told)
        blurred = cv2.GaussianBlur(sums, (0, 0), sigma, borderType=cv2.BORDER_REFLECT_101)
        # as good as half a point in its middle says that there is none
        field = field + blurred[..., :2] / (blurred[..., 2:] + 0.5 / (2 * np.pi * sigma**2))
        weight = 1 / (1 + (np.abs(further - _complex(field[y, x])) / MESH_SPREAD_PX) ** 2)
    mesh = values_at(field, (mesh_places(motion.size) + 0.5) / MESH_CELL_PX - 0.5)
    return CameraMotion(motion.turn, motion.shift, mesh.astype(np.float16), motion.size)


def _shared_background(key: _View, frame: _View, places: Floats) -> Picture:
    """Return 255 where both show the background, (h, w) uint8 in the frame."""
    there = values_at(key.background, places, cv2.INTER_NEAREST, cv2.BORDER_CONSTANT)
    return np.asarray(there & frame.background, np.uint8)


def _difference(key: _View, frame: _View, places: Floats, where: Picture) -> float:
    """Return by how many levels the moved key and the frame differ, without what light does."""
    apart = cv2.subtract(_moved(key.half, places[::2, ::2] / 2), frame.half, dtype=cv2.CV_32F)
    return float(cv2.mean(np.abs(_details(apart)), mask=where[::2, ::2].copy())[0])


def _in_light_of(view: _View, gray: Picture, background: Picture) -> Picture:
    """Give a gray picture the brightness and the contrast of a view, as far as both tell."""
    (middle, spread), (own, own_spread) = (
        [float(value[0, 0]) for value in cv2.meanStdDev(picture, mask=mask)]
        for picture, mask in ((view.gray, view.background), (gray, background))
    )
    lit = (gray.astype(np.float32) - own) * (spread / max(own_spread, 1.0)) + middle
    return np.asarray(np.rint(lit).clip(0, 255), np.uint8)


def _details(gray: AnyArray) -> Floats:
    """Return what is left of a gray picture without its light, (h, w) float32."""
    values = gray.astype(np.float32)
    light = cv2.GaussianBlur(values, (0, 0), DETAIL_SIGMA * min(values.shape))
    return np.asarray(values - light)


def _moved(picture: Picture, places: Floats) -> Picture:
    """Look a picture up, (h, w) uint8, at (h, w, 2) places."""
    return np.asarray(values_at(picture, places), np.uint8)


def _complex(points: Floats) -> Floats:
    """Turn (n, 2) points into x + iy, (n,)."""
    return points[..., 0].astype(np.float64) + 1j * points[..., 1]


def _pairs(points: Floats) -> Floats:
    """Turn x + iy, (n,), into (n, 2) points."""
    return np.column_stack([points.real, points.imag])
