"""Pose detection with MediaPipe's Tasks, for wheels without the holistic models.

Three models, fetched once: bodies of everybody in the picture, then the face and the hands of each
person in a crop around the head and each wrist. In a whole picture both are too small to be found,
and a crop tells whose they are. Every frame is taken by itself: the Tasks' film mode follows faces
and hands only in whole pictures, and smooths with a lag.
"""

from __future__ import annotations

import contextlib
from typing import Any, NamedTuple

import numpy as np

from magicpose_cli.arrays import Floats, Picture
from magicpose_cli.models import weights_folder
from magicpose_cli.pose.detection.detect import largest_first
from magicpose_cli.pose.detection.mediapipe_points import Landmarks, pose_of
from magicpose_cli.pose.detection.quiet_stderr import native_stderr_silenced
from magicpose_cli.pose.detection.views import cut, surest_in_views
from magicpose_cli.pose.keypoints import Pose

MODELS = ("pose_landmarker_full.task", "face_landmarker.task", "hand_landmarker.task")
MAX_PEOPLE = 8
MIN_TASKS_SCORE = 0.5
MIN_STILL_SCORE = 0.6  # as of the holistic models: at 0.5 people are seen in textures
IN_CROP = 2  # faces or hands: a neighbor's, or the other hand, may be the clearer one
# Points of a face's 478 and of the body's 33, the person's own.
NOSE, HEAD = 4, range(11)
BODY_WRISTS = {"left_hand": (13, 15), "right_hand": (14, 16)}  # elbow, wrist
HEAD_CROP = 3.0  # sides of the box around the points of the head
HAND_CROP = 1.6  # forearms; one that points at the camera is short, so at least the head's crop
MAX_DISTANCE = 0.25  # of the crop's side, from where the body has the nose or the wrist


class Point(NamedTuple):
    """x, y in parts of the picture's size, z in parts of its width."""

    x: float
    y: float
    z: float


class MediaPipeTasks:
    """PoseDetector on the CPU."""

    def __init__(self, *, still: bool = False) -> None:
        self._still = still
        self._quiet_tasks: set[str] = set()
        with native_stderr_silenced():
            from mediapipe.tasks.python import vision
            from mediapipe.tasks.python.core.base_options import BaseOptions

            body, face, hand = (
                BaseOptions(model_asset_path=str(weights_folder("mediapipe-tasks") / name))
                for name in MODELS
            )
            self._tasks: dict[str, Any] = {
                "pose": vision.PoseLandmarker.create_from_options(
                    vision.PoseLandmarkerOptions(
                        body,
                        num_poses=MAX_PEOPLE,
                        min_pose_detection_confidence=MIN_STILL_SCORE if still else MIN_TASKS_SCORE,
                    )
                ),
                "face": vision.FaceLandmarker.create_from_options(
                    vision.FaceLandmarkerOptions(face, num_faces=IN_CROP)
                ),
                "hand": vision.HandLandmarker.create_from_options(
                    vision.HandLandmarkerOptions(hand, num_hands=IN_CROP)
                ),
            }

    def detect(self, frame: Picture) -> list[Pose]:
        """Everybody up to MAX_PEOPLE; a point outside of the picture is unseen.

        A single picture where nobody is found is searched again in parts for the surest person.
        """
        poses = self._look(frame)
        if self._still and not poses:
            poses = surest_in_views(frame, self._look)
        return largest_first(poses)

    def close(self) -> None:
        """Give the models back."""
        for task in self._tasks.values():
            task.close()

    def _look(self, picture: Picture) -> list[Pose]:
        height, width = picture.shape[:2]
        found = self._ask("pose", picture)
        poses = []
        for body, world in zip(found.pose_landmarks, found.pose_world_landmarks, strict=True):
            points = np.array([(p.x * width, p.y * height) for p in body])
            head = points[HEAD]
            side = HEAD_CROP * float(np.ptp(head, axis=0).max())
            parts = {"face": self._part("face", NOSE, picture, head.mean(axis=0), head[0], side)}
            for part, (elbow, wrist) in BODY_WRISTS.items():
                forearm = points[wrist] - points[elbow]
                center = points[wrist] + 0.4 * forearm  # about the middle of the hand
                room = max(HAND_CROP * float(np.hypot(*forearm)), side)
                parts[part] = self._part("hand", 0, picture, center, points[wrist], room)
            poses.append(pose_of(width, height, body=body, world=world, **parts))
        return poses

    def _part(
        self,
        task: str,
        anchor: int,
        picture: Picture,
        center: Floats,
        expected: Floats,
        side: float,
    ) -> Landmarks | None:
        """The face or hand whose point `anchor` is nearest to where it is expected, in a square."""
        height, width = picture.shape[:2]
        left, top = (int(value) for value in center - side / 2)
        length = max(int(side), 1)
        if left >= width or top >= height or left + length <= 0 or top + length <= 0:
            return None
        answer = self._ask(task, cut(picture, left, top, left + length, top + length))
        nearest, limit = None, MAX_DISTANCE * length
        for landmarks in getattr(answer, f"{task}_landmarks"):
            x, y = left + landmarks[anchor].x * length, top + landmarks[anchor].y * length
            distance = float(np.hypot(*(expected - (x, y))))
            if distance < limit:
                nearest, limit = landmarks, distance
        if nearest is None:
            return None
        return [
            Point(
                (left + p.x * length) / width,
                (top + p.y * length) / height,
                p.z * length / width,
            )
            for p in nearest
        ]

    def _ask(self, task: str, picture: Picture) -> Any:
        from mediapipe import Image, ImageFormat

        image = Image(image_format=ImageFormat.SRGB, data=np.ascontiguousarray(picture))
        # The C++ side has something to say each time a model finds its first person.
        quiet = task in self._quiet_tasks
        with contextlib.nullcontext() if quiet else native_stderr_silenced():
            answer = self._tasks[task].detect(image)
        if getattr(answer, f"{task}_landmarks"):
            self._quiet_tasks.add(task)
        return answer
