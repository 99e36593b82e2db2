"""The face of one picture, to be moved by ARKit's curves: its own points, where they would go."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy.spatial.transform import Rotation

from magicpose_cli.arrays import Floats
from magicpose_cli.body.face_fit import fit_faces
from magicpose_cli.body.face_model import (
    EYE_CORNERS,
    FACE_SIDES,
    IRIS_ROWS,
    FaceModel,
    curve_index,
    load_face_model,
)
from magicpose_cli.body.skeletal_motion import ARKIT_CURVES
from magicpose_cli.errors import InputError
from magicpose_cli.pose.clip import PoseClip
from magicpose_cli.pose.detection.mediapipe_points import FACE_FROM_478, HEAD_FROM_478
from magicpose_cli.pose.keypoints import MESH_POINTS, Pose

LID_PAIRS = {
    "right": ((246, 7), (161, 163), (160, 144), (159, 145), (158, 153), (157, 154), (173, 155)),
    "left": ((466, 249), (388, 390), (387, 373), (386, 374), (385, 380), (384, 381), (398, 382)),
}
"""Of the dense points: one of the upper lid's rim, and the one of the lower lid below."""
LIDS_MEET = 0.95  # of the way down to the lower lid, where a blink ends
FEATURE_SIZE_SHARES = (0.4, 2.5)  # of a reference's lids and chin to the model's; more is a mistake
EYE_ACTIONS = ("eyeBlink", "eyeSquint", "eyeWide", "eyeLookUp", "eyeLookDown")
MOUTH_ACTIONS = ("jaw", "mouth")
SKULL_M = np.array([0.0, 0.058, 0.0755])
"""The body's joint of the head, in the face's axes."""
NECK_M = np.array([0.0, 0.092, 0.0825])
"""About where a head turns on the neck, likewise: where rendered people, whose topmost joint makes
half of the turn and three below it the rest, have turned heads in their place (on ten of them)."""
NOSE_BASE, CHIN = 2, 152


@dataclass(frozen=True, eq=False)
class FaceRig:
    """A face of a picture.

    Attributes:
        points: (478, 3) pixels, the dense face; made of the model where there is none.
        actions: (52, 478, 3) pixels, how it moves.
        eyes_px: (2,) pixels from the middle of the right and of the left eyeball to the iris.
        rotation: (3, 3) of the head, from the face's axes to the picture's.
        pivot: (3,) pixels, about which the head turns.
        is_dense: whether the picture's own dense face is known.
    """

    points: Floats
    actions: Floats
    eyes_px: Floats
    rotation: Floats
    pivot: Floats
    is_dense: bool

    def moves(self, actions: Floats, gaze: Floats) -> Floats:
        """How far points go while the head stays.

        Args:
            actions: (F, 52), 0 at rest.
            gaze: (F, 2, 2) radians of the right and the left eye, to the person's left and down.

        Returns:
            (F, 478, 3) pixels.
        """
        flat = self.actions.reshape(len(self.actions), -1)
        moved = (actions @ flat).reshape(len(actions), MESH_POINTS, 3)
        for number, side in enumerate(FACE_SIDES):
            rows = slice(IRIS_ROWS[side], IRIS_ROWS[side] + 5)
            way = np.zeros((len(gaze), 3))
            way[:, :2] = np.sin(gaze[:, number]) * self.eyes_px[number]
            moved[:, rows] += (way @ self.rotation.T)[:, None]
        whole: Floats = moved
        return whole

    def turned(self, turns: Rotation) -> Floats:
        """(F, 478, 3) pixels: the face at rest, turned about the neck by F rotations."""
        arms = self.points - self.pivot
        whole: Floats = np.einsum("fij,nj->fni", turns.as_matrix(), arms) + self.pivot
        return whole


def make_face_rig(target: Pose) -> FaceRig:
    """Fit the face model to the face of one picture.

    Raises:
        InputError: The picture shows no face.
    """
    try:
        fitted = fit_faces(PoseClip.of([target]))
    except InputError as error:
        raise InputError(
            "the reference shows no face that curves could move; choose a picture with a face, "
            "large enough for a detector, or a driver that moves the body"
        ) from error
    model = load_face_model()
    rotation, scale, shift = fitted.rotations[0], float(fitted.scales[0]), fitted.shifts[0]
    placed = scale * fitted.neutral @ rotation.T + shift
    is_dense = target.face_mesh is not None
    points = placed
    if target.face_mesh is not None:
        points = target.face_mesh.astype(np.float64)
    else:
        known = np.isfinite(target.face[:, 0])
        points[np.array(FACE_FROM_478)[known], :2] = target.face[known]
    own = (points - shift) @ rotation / scale  # in the face's axes
    if not np.isfinite(shift[2]):
        own = fitted.neutral
    actions = _own_actions(model, own)
    eyes_px = np.array([_eye_share(model, own, side) for side in FACE_SIDES]) * model.iris_m * scale
    middle = np.where(np.isfinite(shift), shift, 0.0)
    return FaceRig(
        points, scale * actions @ rotation.T, eyes_px, rotation,
        middle + scale * rotation @ SKULL_M, is_dense,
    )  # fmt: skip


def _own_actions(model: FaceModel, own: Floats) -> Floats:
    """(52, 478, 3) meters: the model's actions, as large as lids, mouth and chin of this face."""
    actions = model.actions.copy()
    for side in FACE_SIDES:
        name = side.capitalize()
        uppers, lowers = (list(rows) for rows in zip(*LID_PAIRS[side], strict=True))
        gap, usual = (shape[lowers, 1] - shape[uppers, 1] for shape in (own, model.mean))
        share = np.clip(gap.max() / usual.max(), *FEATURE_SIZE_SHARES)
        for start in EYE_ACTIONS:
            actions[curve_index(f"{start}{name}")] *= share
        blink = actions[curve_index(f"eyeBlink{name}")]
        blink[uppers] = LIDS_MEET * (own[lowers] - own[uppers])
        blink[uppers, 2] = 0.0
    height, usual_height = (shape[CHIN, 1] - shape[NOSE_BASE, 1] for shape in (own, model.mean))
    share = float(np.clip(height / usual_height, *FEATURE_SIZE_SHARES))
    mouths = [n for n, name in enumerate(ARKIT_CURVES) if name.startswith(MOUTH_ACTIONS)]
    actions[mouths] *= share
    return actions


def _eye_share(model: FaceModel, own: Floats, side: str) -> float:
    """The width of an eye, as a share of the model's."""
    one, other = EYE_CORNERS[side]
    wide, usual = (np.linalg.norm(shape[one] - shape[other]) for shape in (own, model.mean))
    return float(np.clip(wide / usual, *FEATURE_SIZE_SHARES))


FACE_POINT_ROWS = list(FACE_FROM_478)
"""The dense points that stand for the 68."""
HEAD_ROWS = dict(HEAD_FROM_478)
"""The dense points that stand for joints of the head."""
