"""The person of one picture with all that their solid is built from."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from typing import NamedTuple

import cv2
import numpy as np

from magicpose_cli.arrays import Floats, Picture
from magicpose_cli.body.face_fit import fit_faces
from magicpose_cli.body.face_model import load_face_model
from magicpose_cli.body.face_rig import NECK_M, SKULL_M
from magicpose_cli.body.model import Body
from magicpose_cli.body.reference_body import ReferenceBody, fit_reference_body
from magicpose_cli.errors import InputError
from magicpose_cli.motion.detections import find_people
from magicpose_cli.pose.clip import PoseClip
from magicpose_cli.pose.keypoints import Pose
from magicpose_cli.warping.matte import Matte, find_matte


class HeadJoints(NamedTuple):
    """Where a head turns, (3,) pixels each, in the axes of the face's mesh.

    Attributes:
        neck: About which it turns on the neck.
        skull: The topmost joint of the neck.
    """

    neck: Floats
    skull: Floats


@dataclass(frozen=True, eq=False)
class Subject:
    """A person to be seen from other sides.

    Attributes:
        picture: (H, W, 3) uint8 RGB, even sides.
        pose: Of the person, in the picture's pixels.
        matte: Of the person.
        body: That was fitted to the person; None where the picture shows too little of one.
        head: Where the head turns; None where no face was found.
        notes: What a user should know, a line each.
    """

    picture: Picture
    pose: Pose
    matte: Matte
    body: ReferenceBody | None
    head: HeadJoints | None = None
    notes: tuple[str, ...] = ()


def find_subject(path: Path, picture: Picture, side_px: int, detector: str = "auto") -> Subject:
    """Find the largest person of a picture, cut them out and fit a body to them.

    Args:
        path: Of the picture, for messages.
        picture: (H, W, 3) uint8 RGB.
        side_px: Short side of the views; a smaller picture is not enlarged.
        detector: As of `pick_detector`.

    Raises:
        DetectionError: Nobody is found.
        InputError: Their face and body are not found, or they cannot be told from the background.
    """
    shown = resized(picture, side_px)
    people = find_people(path, shown, detector)
    pose = people[0]
    matte = find_matte(shown, pose, people[1:])
    if matte is None:
        raise InputError(
            f"{path}: the person cannot be told from what is behind them; expected a picture "
            "that shows them before something else"
        )
    body = fit_reference_body(Body.load(), pose)
    if body is None and pose.face_mesh is None:
        raise InputError(
            f"{path}: neither a face nor a body is seen well enough to be turned; expected a "
            "picture that shows one of them"
        )
    notes = []
    if len(people) > 1:
        notes.append(f"{len(people)} people in the picture: only the largest is turned")
    if pose.face_mesh is None:
        notes.append("no face is found: the head is as deep as that of the fitted body")
    pose, head = with_fitted_depth(pose)
    return Subject(shown, pose, matte, body, head, tuple(notes))


def with_fitted_depth(pose: Pose) -> tuple[Pose, HeadJoints | None]:
    """Give a dense face the depth of the face model that is fitted to it, and find its joints.

    Detectors guess depth: MediaPipe's is up to a fifth too large, along a nose two thirds.
    """
    if pose.face_mesh is None:
        return pose, None
    fitted, model = fit_faces(PoseClip.of([pose])), load_face_model()
    shape = fitted.neutral + np.tensordot(fitted.actions[0], model.actions, axes=1)
    turn, scale = fitted.rotations[0], fitted.scales[0]
    mesh = pose.face_mesh.copy()
    mesh[:, 2] = scale * shape @ turn[2]
    middle = np.array([*fitted.shifts[0, :2], 0.0])
    joints = HeadJoints(*(middle + scale * turn @ joint for joint in (NECK_M, SKULL_M)))
    return replace(pose, face_mesh=mesh), joints


def resized(picture: Picture, side_px: int) -> Picture:
    """Bring a picture's short side to `side_px` at most, and both sides to even numbers."""
    height, width = picture.shape[:2]
    scale = min(1.0, side_px / min(height, width))
    size = tuple(max(2, 2 * round(side * scale / 2)) for side in (width, height))
    if size == (width, height):
        return picture
    way = cv2.INTER_AREA if scale < 1 else cv2.INTER_LINEAR
    return np.asarray(cv2.resize(picture, size, interpolation=way), np.uint8)
