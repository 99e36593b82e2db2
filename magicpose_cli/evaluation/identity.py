"""Identity: whether a picture's face is that of the truth's person, as a network tells faces apart.

The network is dlib's ResNet of 128 numbers a face; distances below SAME_PERSON mean one person to
it (King, "High quality face recognition with deep metric learning", 2017). It and its weights are
packages of the extra `identity`.
"""

from __future__ import annotations

from collections import deque
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np

from magicpose_cli.arrays import Floats, Picture
from magicpose_cli.evaluation.metrics import COPY, Metric
from magicpose_cli.evaluation.samples import MadeSample
from magicpose_cli.pose.keypoints import Pose

SAME_PERSON = 0.6  # largest distance of one person's faces, as the network was trained
FACE_SIDE_PX = 320  # of the square that is shown to dlib's detector of faces
FACE_ROOM = 2.2  # sides of the face's points in that square
WEIGHTS_PACKAGE = "face_recognition_models"
LANDMARKS_FILE = "shape_predictor_5_face_landmarks.dat"
EMBEDDING_FILE = "dlib_face_recognition_resnet_model_v1.dat"
FACES_REMEMBERED = 8
PROTOCOL = (
    "between the 128 numbers of result's and truth's face (face_recognition_models 0.3), found by "
    f"dlib in a square of {FACE_ROOM} sides of the detected pose's face, aligned by 5 points"
)


class FaceIdentity:
    """The network, if it is installed.

    Attributes:
        missing: For each metric that cannot be measured, what to do.
    """

    def __init__(self, detector: bool) -> None:
        """Load what is there.

        Args:
            detector: Whether poses are read, without which no face is known.
        """
        self.missing: dict[str, str] = {}
        self._finder: Any = None
        self._faces: deque[tuple[Picture, Floats | None]] = deque(maxlen=FACES_REMEMBERED)
        weights = weights_folder_of_faces()
        if not detector:
            self.missing["identity"] = "identity not measured: it needs a detector"
        elif weights is None or find_spec("dlib") is None:
            self.missing["identity"] = (
                "identity not measured: it needs dlib and its weights; "
                "run: pip install 'magicpose[identity]'"
            )
        else:
            dlib = import_module("dlib")
            self._finder = dlib.get_frontal_face_detector()
            self._landmarks = dlib.shape_predictor(str(weights / LANDMARKS_FILE))
            self._embedding = dlib.face_recognition_model_v1(str(weights / EMBEDDING_FILE))

    @property
    def metrics(self) -> tuple[Metric, ...]:
        """Metrics that are measured picture by picture."""
        if self._finder is None:
            return ()
        return (
            Metric(
                "identity", "identity", "", "lower", COPY, self._distance,
                f"distance {PROTOCOL}; pictures without both faces are left out",
            ),
            Metric(
                "same_person", "same person", "%", "higher", COPY, self._is_same,
                f"share of the pictures whose distance is below {SAME_PERSON}, {PROTOCOL}; a "
                "result without a face is nobody, truths without one are left out",
            ),
        )  # fmt: skip

    def face_numbers(self, picture: Picture, pose: Pose | None) -> Floats | None:
        """Describe the face of a picture by the network's 128 numbers, (128,) float64.

        Args:
            picture: (H, W, 3) uint8 RGB.
            pose: Of the person, in its pixels.

        Returns:
            None where the pose has no face, or where dlib finds none there.
        """
        for known, numbers in self._faces:
            if known is picture:
                return numbers
        numbers = None
        square = None if pose is None else _face_square(picture, pose)
        if square is not None and (boxes := list(self._finder(square, 0))):
            box = max(boxes, key=lambda box: int(box.area()))
            points = self._landmarks(square, box)
            numbers = np.array(self._embedding.compute_face_descriptor(square, points))
        self._faces.append((picture, numbers))
        return numbers

    def _distance(self, made: MadeSample) -> float | None:
        face = self.face_numbers(made.picture, made.found)
        true_face = self.face_numbers(made.sample.truth, made.truth_found)
        return None if face is None or true_face is None else _apart(face, true_face)

    def _is_same(self, made: MadeSample) -> float | None:
        face = self.face_numbers(made.picture, made.found)
        true_face = self.face_numbers(made.sample.truth, made.truth_found)
        if true_face is None:
            return None
        return 100.0 if face is not None and _apart(face, true_face) < SAME_PERSON else 0.0


def weights_folder_of_faces() -> Path | None:
    """Find the folder of the network's weights; None where their package is not installed.

    The package itself is not imported: it needs a module that newer Pythons lack.
    """
    spec = find_spec(WEIGHTS_PACKAGE)
    places = [] if spec is None else spec.submodule_search_locations or []
    for place in places:
        folder = Path(place) / "models"
        if all((folder / name).is_file() for name in (LANDMARKS_FILE, EMBEDDING_FILE)):
            return folder
    return None


def _apart(one: Floats, other: Floats) -> float:
    return float(np.linalg.norm(one - other))


def _face_square(picture: Picture, pose: Pose) -> Picture | None:
    """The square around the pose's face, FACE_SIDE_PX wide; None without a face in the picture."""
    from magicpose_cli.warping.face_crop import cut_square

    face = pose.face[np.isfinite(pose.face).all(1)]
    if not len(face):
        return None
    low, high = face.min(0), face.max(0)
    side = FACE_ROOM * float((high - low).max())
    left, top = (low + high) / 2 - side / 2
    if side < 1 or (high < 0).any() or (low > picture.shape[1::-1]).any():
        return None
    scale = FACE_SIDE_PX / side
    matrix = np.array([[scale, 0, -scale * left], [0, scale, -scale * top]])
    return cut_square(picture, matrix, FACE_SIDE_PX)
