"""Find the person of a small picture, enlarged, and the viewpoint and pose that it shows."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from magicpose_cli.arrays import Picture
from magicpose_cli.augmentation.augment_settings import SourceSettings
from magicpose_cli.augmentation.camera_ranges import RANGE_LIMITS, Viewpoint
from magicpose_cli.body.model import Body
from magicpose_cli.body.reference_body import (
    REFERENCE_LAYERS,
    ReferenceBody,
    fit_reference_body,
)
from magicpose_cli.errors import DetectionError
from magicpose_cli.motion.framing import Framing
from magicpose_cli.pose.keypoints import BODY_JOINTS, Pose
from magicpose_cli.video.picture import read_picture

if TYPE_CHECKING:
    from magicpose_cli.pose.detection.detect import PoseDetector

ENLARGED_HEIGHT_PX = 320  # of a crop: detectors miss people of fewer pixels
WIDEST_PX = 320  # of an enlarged crop
CANVAS_PX = 448  # side of the square around it, with room for raised arms and another size
CROP_ASPECT = 1.3  # height over width, from which on a picture is a crop of a person already
PHOTO_PX = 768  # longest side at which a photograph is searched
PERSON_ROOM = 0.15  # around a person in a photograph, of their height
NEEDED = ("right_shoulder", "left_shoulder", "right_hip", "left_hip")
_KNEES = [BODY_JOINTS.index(f"{side}_knee") for side in ("right", "left")]


@dataclass(frozen=True, eq=False)
class SeenPerson:
    """A person in an enlarged crop, in the middle of a square canvas.

    Attributes:
        path: Of the file.
        crop: (h, w, 3) uint8 RGB, h at most ENLARGED_HEIGHT_PX.
        crop_pose: In pixels of the crop.
        pose: In pixels of the canvas of CANVAS_PX.
        body: The body that was fitted in the canvas.
        viewpoint: From where the picture shows them; the elevation is a guess, as a person who
            leans looks like one who is seen from above.
        enlarged: Pixels of the crop in one of the file.
    """

    path: Path
    crop: Picture
    crop_pose: Pose
    pose: Pose
    body: ReferenceBody
    viewpoint: Viewpoint
    enlarged: float

    @property
    def corner(self) -> tuple[int, int]:
        """(x, y) of the crop's corner in the canvas."""
        height, width = self.crop.shape[:2]
        return (CANVAS_PX - width) // 2, (CANVAS_PX - height) // 2


class PersonFinder:
    """Finds people with one detector for many pictures; use it as a context.

    Args:
        settings: What a picture must show.
    """

    def __init__(self, settings: SourceSettings) -> None:
        from magicpose_cli.pose.detection.detect import load_detector, pick_detector

        self.name = pick_detector(settings.detector)
        self._settings = settings
        self._detector: PoseDetector = load_detector(self.name, still=True)
        self.body = Body.load(REFERENCE_LAYERS)

    def __enter__(self) -> PersonFinder:
        return self

    def __exit__(self, *raised: object) -> None:
        self._detector.close()

    def detect(self, picture: Picture) -> Pose | None:
        """The largest person of a picture (h, w, 3) uint8 RGB; None where nobody is found."""
        people = self._detector.detect(picture)
        return people[0] if people else None

    def find(self, path: Path) -> SeenPerson:
        """Look for the person of a picture.

        Raises:
            InputError: The file cannot be read.
            DetectionError: Nobody is found, or too little of them; the message tells what.
        """
        picture = read_picture(path)
        crop, pose, scale = self._enlarged(path, picture)
        self._check_pose(path, pose, scale)
        width, height = pose.width, pose.height
        corner = np.array([(CANVAS_PX - width) // 2, (CANVAS_PX - height) // 2])
        in_canvas = pose.map_points(lambda points: points + corner, CANVAS_PX, CANVAS_PX)
        body = fit_reference_body(self.body, in_canvas)
        if body is None:
            raise DetectionError(f"{path.name}: no body fits the person that was found")
        return SeenPerson(path, crop, pose, in_canvas, body, viewpoint_of(body), scale)

    def _enlarged(self, path: Path, picture: Picture) -> tuple[Picture, Pose, float]:
        """The crop around the person, their pose in it, and how much it is enlarged."""
        height, width = picture.shape[:2]
        window = (0.0, 0.0, float(width), float(height))
        is_crop = height >= CROP_ASPECT * width
        if not is_crop:
            share = min(1.0, PHOTO_PX / max(width, height))
            whole = Framing(window, max(1, round(width * share)), max(1, round(height * share)))
            found = self.detect(whole.picture(picture))
            if found is None:
                raise DetectionError(f"{path.name}: nobody was found")
            window = _around(found, share, width, height)
        tall, wide = window[3] - window[1], window[2] - window[0]
        scale = min(ENLARGED_HEIGHT_PX / tall, WIDEST_PX / wide)
        framing = Framing(window, max(1, round(wide * scale)), max(1, round(tall * scale)))
        crop = np.ascontiguousarray(framing.picture(picture))
        pose = self.detect(crop)
        if pose is None:
            raise DetectionError(f"{path.name}: nobody was found")
        return crop, pose, scale

    def _check_pose(self, path: Path, pose: Pose, scale: float) -> None:
        seen = (pose.body_score > 0) & np.isfinite(pose.body).all(axis=1)
        unseen = [name for name in NEEDED if not seen[BODY_JOINTS.index(name)]]
        if unseen:
            raise DetectionError(f"{path.name}: {', '.join(unseen).replace('_', ' ')} not seen")
        if not seen[_KNEES].any():
            raise DetectionError(f"{path.name}: the legs are not seen")
        if seen.sum() < self._settings.min_joints:
            raise DetectionError(
                f"{path.name}: {int(seen.sum())} of 18 joints seen; expected "
                f"{self._settings.min_joints}"
            )
        tall = float(np.ptp(pose.body[seen, 1])) / scale
        if tall < self._settings.min_height_px:
            raise DetectionError(
                f"{path.name}: the person is {tall:.0f} pixels tall; expected "
                f"{self._settings.min_height_px}"
            )


def _around(pose: Pose, share: float, width: int, height: int) -> tuple[float, float, float, float]:
    """The window of a photograph around its person; share: pixels of the pose in one of it."""
    points = pose.body[np.isfinite(pose.body).all(axis=1)] / share
    low, high = points.min(axis=0), points.max(axis=0)
    room = PERSON_ROOM * max(float(high[1] - low[1]), 1.0)
    left, top = np.maximum(low - room, 0)
    right, bottom = np.minimum(high + room, [width, height])
    return float(left), float(top), max(float(right), left + 8), max(float(bottom), top + 8)


def viewpoint_of(reference: ReferenceBody) -> Viewpoint:
    """From where a picture's camera sees the body that was fitted to its person."""
    turn = reference.rotations[0].double().numpy()
    to_camera = -reference.root_joint_m.double().numpy()
    to_camera /= max(float(np.linalg.norm(to_camera)), 1e-9)
    left, up, ahead = turn.T @ to_camera
    azimuth = float(np.degrees(np.arctan2(left, ahead))) % 360
    elevation = float(np.degrees(np.arcsin(np.clip(up, -1, 1))))
    return Viewpoint(azimuth, float(np.clip(elevation, *RANGE_LIMITS["elevation"])))


def azimuth_apart(one_deg: float, other_deg: float) -> float:
    """How far two azimuths are from each other, 0..180 degrees."""
    return abs((one_deg - other_deg + 180) % 360 - 180)


def without_picture(seen: SeenPerson) -> SeenPerson:
    """The same without its pixels, for whoever needs the body alone."""
    return replace(seen, crop=np.zeros((1, 1, 3), np.uint8))
