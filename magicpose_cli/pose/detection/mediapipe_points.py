"""From MediaPipe's points to a Pose: 33 of the body, 478 of the face, 21 of each hand.

The tables pick the OpenPose points. A landmark is anything with x, y in parts of the picture's
size, z in parts of its width and, for the body, a visibility in 0..1.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from magicpose_cli.arrays import Floats
from magicpose_cli.pose.keypoints import BODY_JOINTS, MESH_POINTS, PARTS, Pose

# MediaPipe's body point for each OpenPose joint; the neck (-1) is the middle of the shoulders.
BODY_FROM_33 = (0, -1, 12, 14, 16, 11, 13, 15, 24, 26, 28, 23, 25, 27, 5, 2, 8, 7)
NECK = BODY_JOINTS.index("neck")
SHOULDERS = [11, 12]
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
# Nose and eyes of the body, and the mesh's corners of the same eyes: both models see a face apart
# by up to 0.67 of the mesh's extent, and a small one by 0.13 of the shoulders' width. A mesh that
# lies on hair or on an ear is 0.73 and 0.16 off and more.
NOSE_AND_EYES = {0: (4,), 2: (362, 263), 5: (33, 133)}
MAX_FACE_DISTANCES = (0.7, 0.145)
GUESS_MARGIN = 0.1  # of the picture's size: a guess that is farther outside is worth nothing

Landmarks = Sequence[Any]


def pose_of(
    width: int,
    height: int,
    *,
    body: Landmarks,
    world: Landmarks | None = None,
    face: Landmarks | None = None,
    left_hand: Landmarks | None = None,
    right_hand: Landmarks | None = None,
) -> Pose:
    """One person's landmarks as a Pose; what lies outside of the picture is unseen.

    world: the body's points in meters around the hips.
    """
    points = points_of(body, width, height)
    points[:, 2] = [p.visibility for p in body]
    joints = points[list(BODY_FROM_33)]
    shoulders = points[SHOULDERS]
    joints[NECK] = *shoulders[:, :2].mean(axis=0), shoulders[:, 2].min()
    parts, face_3d, face_mesh = {"body": joints}, None, None
    if face:
        flat = points_of(face, width, height)
        parts["face"] = flat[list(FACE_FROM_478)]
        place_head(joints, flat)
        depth = np.array([p.z * width for p in face])
        space = np.column_stack([flat[:, :2], depth]).astype(np.float32)
        face_3d = space[list(FACE_FROM_478)]
        face_mesh = space if len(space) == MESH_POINTS else None  # 468 without the irises
    for side, hand in (("left_hand", left_hand), ("right_hand", right_hand)):
        if hand:
            parts[side] = points_of(hand, width, height)
    guess = joints.astype(np.float32)
    joints[joints[:, 2] < MIN_VISIBILITY, 2] = 0.0
    pose = Pose.of(
        width,
        height,
        body_3d=_body_3d(world) if world else None,
        face_3d=face_3d,
        face_mesh=face_mesh,
        body_guess=guess,
        **parts,
    )
    return within_picture(pose)


def forget_misplaced_face(parts: dict[str, Landmarks], width: int, height: int) -> None:
    """Drop a face that lies elsewhere than the body's nose and eyes; `parts` is changed in place.

    The face model answers with a face for the back of a head, too.
    """
    if "face" not in parts:
        return
    body, mesh = (points_of(parts[part], width, height)[:, :2] for part in ("body", "face"))
    wrong = [body[joint] - mesh[list(at)].mean(0) for joint, at in NOSE_AND_EYES.items()]
    depth = np.array([p.z * width for p in parts["face"]])
    extent = np.sqrt(mesh.var(0).sum() + depth.var())  # in space: a profile is as large
    shoulders = np.linalg.norm(np.subtract(*body[list(SHOULDERS)]))
    sizes = np.multiply(MAX_FACE_DISTANCES, (extent, shoulders))
    if np.linalg.norm(wrong, axis=1).mean() > sizes.max():
        del parts["face"]


def points_of(landmarks: Landmarks, width: int, height: int) -> Floats:
    """(n, 3) x, y in pixels and a score of 1, which MediaPipe does not give for hands and faces."""
    return np.array([(p.x * width, p.y * height, 1.0) for p in landmarks])


def within_picture(pose: Pose) -> Pose:
    """Drop the points outside of the picture, which are MediaPipe's guesses, in space as well.

    The mesh of a face that is partly inside stays whole; guesses of joints may lie GUESS_MARGIN
    outside.
    """
    parts, spaces = {}, {}
    for part in PARTS:
        points, score = getattr(pose, part), getattr(pose, f"{part}_score")
        inside = ((points >= 0) & (points < (pose.width, pose.height))).all(axis=1)
        score = np.where(inside, score, 0.0)
        parts[part] = np.column_stack([points, score])
        space = getattr(pose, f"{part}_3d", None)
        if space is not None:
            spaces[f"{part}_3d"] = np.where(score[:, None] > 0, space, np.float32(np.nan))
    return Pose.of(
        pose.width,
        pose.height,
        **spaces,
        face_mesh=pose.face_mesh if parts["face"][:, 2].any() else None,
        body_guess=_near_picture(pose),
        **parts,
    )


def confidence(pose: Pose) -> float:
    """How sure a pose is: the visibility of its joints; a found face is worth eight of them."""
    return float(pose.body_score.sum() + 8.0 * pose.face_score.max())


def _near_picture(pose: Pose) -> Floats | None:
    """The guesses of the joints; NaN where they are too far outside to be worth anything."""
    if pose.body_guess is None:
        return None
    size = np.array([pose.width, pose.height])
    points, margin = pose.body_guess[:, :2], GUESS_MARGIN * size
    near = ((points >= -margin) & (points < size + margin)).all(axis=1)  # NaN compares false
    return np.where(near[:, None], pose.body_guess, np.float32(np.nan))


def place_head(joints: Floats, mesh: Floats) -> None:
    """Take the head's joints (18, 3) from the mesh, in place; the ear that is hidden is unsure."""
    for joint, point in HEAD_FROM_478.items():
        if point < len(mesh):
            joints[BODY_JOINTS.index(joint)] = mesh[point]
    hidden = _hidden_ear(mesh)
    if hidden is not None:
        joints[BODY_JOINTS.index(hidden), 2] = 0.0


def _body_3d(world: Landmarks) -> Floats:
    points = np.array([(p.x, p.y, p.z) for p in world], dtype=np.float32)
    body = points[list(BODY_FROM_33)]
    body[NECK] = points[SHOULDERS].mean(axis=0)
    return body


def _hidden_ear(mesh: Floats) -> str | None:
    """Name of the ear that the turned head hides, if any."""
    nose, right, left = (mesh[HEAD_FROM_478[n], :2] for n in ("nose", "right_ear", "left_ear"))
    to_right = float((nose - right) @ (left - right))
    to_left = float((left - nose) @ (left - right))
    if to_left < HIDDEN_EAR_SHARE * to_right:
        return "left_ear"
    if to_right < HIDDEN_EAR_SHARE * to_left:
        return "right_ear"
    return None
