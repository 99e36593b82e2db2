"""Pose detection with MediaPipe's holistic model, whose weights lie inside its wheel.

The wheel carries the pose model of complexity 1 alone; the other two would be downloaded, so they
are not offered. MediaPipe gives 33 body points, 478 face points and 21 points a hand; the tables
below pick the OpenPose points out of them.
"""

from __future__ import annotations

import contextlib
from typing import Any

import numpy as np

from magicpose_cli.errors import ConfigError
from magicpose_cli.pose.keypoints import BODY_JOINTS, PARTS, Pose
from magicpose_cli.stderr import native_stderr_silenced

# MediaPipe's body point for each OpenPose joint; the neck (-1) is the middle of the shoulders.
BODY_FROM_33 = (0, -1, 12, 14, 16, 11, 13, 15, 24, 26, 28, 23, 25, 27, 5, 2, 8, 7)
# MediaPipe's face mesh point for each of the 68 iBUG points. "right" is the person's own, so it
# stands on the left of the picture.
FACE_FROM_478 = (
    127, 234, 132, 58, 172, 136, 150, 176, 152, # jaw, right ear to chin
    400, 379, 365, 397, 288, 361, 454, 356,     # jaw, chin to left ear
    70, 63, 105, 66, 107,                       # right brow, outer end to inner
    336, 296, 334, 293, 300,                    # left brow, inner end to outer
    168, 197, 5, 4,                             # nose bridge, down to the tip
    98, 97, 2, 326, 327,                        # nose base, right to left
    33, 160, 158, 133, 153, 144,                # right eye, from its outer corner over the top
    362, 385, 387, 263, 373, 380,               # left eye, from its inner corner over the top
    61, 40, 37, 0, 267, 270, 291,               # outer lips, right corner over the top to the left
    321, 314, 17, 84, 91,                       # outer lips, back along the bottom
    78, 81, 13, 311, 308,                       # inner lips, right corner over the top to the left
    402, 14, 178,                               # inner lips, back along the bottom
)  # fmt: skip
# Head joints, where the face was found, from the mesh: the body model's are on the cheeks at times.
HEAD_FROM_478 = {"nose": 4, "right_eye": 468, "left_eye": 473, "right_ear": 234, "left_ear": 454}
MIN_VISIBILITY = 0.5  # MediaPipe invents the legs of a half body at about 0.0 to 0.3
# An ear is hidden by the head once it stands nearer to the nose than this share of the other ear's
# distance, measured along the line between the ears.
HIDDEN_EAR_SHARE = 0.3
# Where else to search a single picture, as left, top, right, bottom in parts of its size: with a
# margin (a close-up fills the picture), then in overlapping windows (a small person).
VIEWS = (
    (-0.5, -0.5, 1.5, 1.5),
    (0.2, 0.2, 0.8, 0.8),
    *((x, y, x + 0.5, y + 0.5) for y in (0.0, 0.25, 0.5) for x in (0.0, 0.25, 0.5)),
)
MIN_VIEW_CONFIDENCE = 13.0  # textures without anybody reach 12.5 in one of the views


class MediaPipeHolistic:
    """PoseDetector on the CPU; tracks from frame to frame unless `still`."""

    def __init__(self, *, still: bool = False) -> None:
        import mediapipe

        if not hasattr(mediapipe, "solutions"):
            raise ConfigError(
                f"detector: mediapipe {mediapipe.__version__} comes without its holistic models; "
                "run: pip install 'mediapipe==0.10.21'"
            )
        self._still = still
        self._warned = False
        with native_stderr_silenced():
            self._graph: Any = mediapipe.solutions.holistic.Holistic(
                static_image_mode=still,
                model_complexity=1,
                refine_face_landmarks=True,
                min_detection_confidence=0.6 if still else 0.5,  # 0.5 sees people in textures
            )
            self._graph.process(np.zeros((64, 64, 3), np.uint8))  # its parts start lazily

    def detect(self, frame: np.ndarray) -> list[Pose]:
        """One person at most; a point outside of the picture is unseen.

        Where nobody is found in a single picture, it is searched again in VIEWS and the surest is
        taken.
        """
        pose = self._look(frame)
        if self._still and pose.is_empty:
            pose = max((self._look_at(frame, view) for view in VIEWS), key=_confidence)
            return [pose] if _confidence(pose) >= MIN_VIEW_CONFIDENCE else []
        return [] if pose.is_empty else [pose]

    def close(self) -> None:
        self._graph.close()

    def _look_at(self, frame: np.ndarray, view: tuple[float, float, float, float]) -> Pose:
        height, width = frame.shape[:2]
        sizes = (width, height, width, height)
        left, top, right, bottom = (round(v * size) for v, size in zip(view, sizes, strict=True))
        pose = self._look(_cut(frame, left, top, right, bottom))
        corner = np.array([left, top], dtype=np.float32)
        return _within_picture(pose.map_points(lambda points: points + corner, width, height))

    def _look(self, frame: np.ndarray) -> Pose:
        # The C++ side has one more thing to say when it finds its first person.
        with contextlib.nullcontext() if self._warned else native_stderr_silenced():
            found = self._graph.process(np.ascontiguousarray(frame))
        self._warned = self._warned or found.pose_landmarks is not None
        height, width = frame.shape[:2]
        return _to_pose(found, width, height)


def _cut(frame: np.ndarray, left: int, top: int, right: int, bottom: int) -> np.ndarray:
    """The rectangle of `frame` in pixels; its border color continues outside of the picture."""
    import cv2

    height, width = frame.shape[:2]
    inner = frame[max(top, 0) : min(bottom, height), max(left, 0) : min(right, width)]
    margins = (max(-top, 0), max(bottom - height, 0), max(-left, 0), max(right - width, 0))
    return cv2.copyMakeBorder(inner, *margins, cv2.BORDER_REPLICATE)


def _to_pose(found: Any, width: int, height: int) -> Pose:
    parts: dict[str, np.ndarray] = {}
    if found.pose_landmarks:
        points = _points(found.pose_landmarks, width, height)
        points[:, 2] = [p.visibility for p in found.pose_landmarks.landmark]
        points[points[:, 2] < MIN_VISIBILITY, 2] = 0.0
        body = points[list(BODY_FROM_33)]
        shoulders = points[[11, 12]]
        body[1, :2], body[1, 2] = shoulders[:, :2].mean(axis=0), shoulders[:, 2].min()
        parts["body"] = body
    if found.face_landmarks:
        mesh = _points(found.face_landmarks, width, height)
        parts["face"] = mesh[list(FACE_FROM_478)]
        if "body" in parts:
            for joint, point in HEAD_FROM_478.items():
                parts["body"][BODY_JOINTS.index(joint)] = mesh[point]
            hidden = _hidden_ear(mesh)
            if hidden is not None:
                parts["body"][BODY_JOINTS.index(hidden), 2] = 0.0
    for side in ("left_hand", "right_hand"):
        hand = getattr(found, f"{side}_landmarks")
        if hand:
            parts[side] = _points(hand, width, height)
    return _within_picture(Pose.of(width, height, **parts))


def _confidence(pose: Pose) -> float:
    """How sure a pose is: the visibility of its joints; a found face is worth eight of them."""
    return float(pose.body_score.sum() + 8.0 * pose.face_score.max())


def _hidden_ear(mesh: np.ndarray) -> str | None:
    """Name of the ear that the turned head hides, if any."""
    nose, right, left = (mesh[HEAD_FROM_478[n], :2] for n in ("nose", "right_ear", "left_ear"))
    to_right = float((nose - right) @ (left - right))
    to_left = float((left - nose) @ (left - right))
    if to_left < HIDDEN_EAR_SHARE * to_right:
        return "left_ear"
    if to_right < HIDDEN_EAR_SHARE * to_left:
        return "right_ear"
    return None


def _within_picture(pose: Pose) -> Pose:
    """Drop the points outside of the picture: they are MediaPipe's guesses."""
    parts = {}
    for part in PARTS:
        points, score = getattr(pose, part), getattr(pose, f"{part}_score")
        inside = ((points >= 0) & (points < (pose.width, pose.height))).all(axis=1)
        parts[part] = np.column_stack([points, np.where(inside, score, 0.0)])
    return Pose.of(pose.width, pose.height, **parts)


def _points(landmarks: Any, width: int, height: int) -> np.ndarray:
    """(n, 3) x, y in pixels and a score of 1, which MediaPipe does not give for hands and faces."""
    return np.array([(p.x * width, p.y * height, 1.0) for p in landmarks.landmark])
