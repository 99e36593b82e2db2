"""The reference's dense face, turned as a body's head turns."""

from __future__ import annotations

import numpy as np
from scipy.spatial.transform import Rotation

from magicpose_cli.arrays import Points
from magicpose_cli.body.filmed_points import NEAREST_M, FilmedPoints
from magicpose_cli.body.reference_body import ReferenceBody
from magicpose_cli.pose.keypoints import MESH_POINTS, Pose
from magicpose_cli.pose.retargeting.mesh import RIGID, as_far_as_shown

MAX_FACE_TURN_DEG = 130.0  # from the camera: a head beyond is seen from behind
_DOWN_AND_AWAY = np.diag([1.0, -1.0, -1.0])  # from x right, y up to x right, y down, z away


def turned_meshes(target: Pose, reference: ReferenceBody, filmed: FilmedPoints) -> Points | None:
    """Carry the face's mesh along with the head as one rigid piece.

    Args:
        target: The person, whose mesh it is.
        reference: The body that was fitted to them.
        filmed: The same body in motion.

    Returns:
        (F, 478, 3) as `Pose.face_mesh`, turned as far as one picture shows of a face; NaN in
        frames that show the head from behind. None where the target has no mesh.
    """
    if target.face_mesh is None or reference.camera.focal_px is None:
        return None
    body, camera = reference.body, reference.camera
    focal_px = reference.camera.focal_px
    world, joints = body.transforms(reference.rest_joints[None], reference.rotations[None])
    head = body.joint("head")
    own_turn = world[0, head].double().numpy()
    own_place = (joints[0, head] + reference.root).double().numpy()
    own_depth = -float(own_place[2])
    mesh = target.face_mesh.astype(np.float64)
    middle = mesh[RIGID].mean(axis=0)
    shape = mesh - middle
    center = np.array([camera.width / 2, camera.height / 2])
    flat = (middle[:2] - center) * own_depth / focal_px
    arm = own_turn.T @ (np.array([flat[0], -flat[1], -own_depth]) - own_place)
    meshes = np.full((len(filmed.heads_m), MESH_POINTS, 3), np.nan, np.float32)
    for frame, (turn, at) in enumerate(zip(filmed.head_turns, filmed.heads_m, strict=True)):
        place = at + turn @ arm
        ahead = -at @ turn[:, 2] / max(float(np.linalg.norm(at)), 1e-9)
        if ahead < np.cos(np.radians(MAX_FACE_TURN_DEG)) or -place[2] < NEAREST_M:
            continue
        change = _DOWN_AND_AWAY @ turn @ own_turn.T @ _DOWN_AND_AWAY
        vector = as_far_as_shown(Rotation.from_matrix(change).as_rotvec())
        size = own_depth / -place[2]
        moved = size * Rotation.from_rotvec(vector).apply(shape)
        pixels = center + np.array([place[0], -place[1]]) * focal_px / -place[2]
        moved[:, :2] += pixels
        moved[:, 2] += middle[2]
        meshes[frame] = moved
    return meshes if np.isfinite(meshes).any() else None
