"""The depth of a face comes from the face model, whatever the detector says of it."""

import numpy as np
import pytest
from scipy.spatial.transform import Rotation

from magicpose_cli.body.face_model import load_face_model
from magicpose_cli.pose.keypoints import Pose
from magicpose_cli.views.subject import with_fitted_depth

PIXELS_A_METER = 1500.0


def face_of(yaw_deg: float, depth: float) -> tuple[Pose, np.ndarray]:
    """A mean face whose measured depth is so many times the true one, and the true depth."""
    model = load_face_model()
    turn = Rotation.from_euler("y", yaw_deg, degrees=True).as_matrix()
    shape = model.mean + 0.4 * model.actions[:, :][10] + 0.8 * model.identity[0]
    mesh = PIXELS_A_METER * shape @ turn.T + [256, 256, 0]
    seen = mesh.copy()
    seen[:, 2] = depth * (mesh[:, 2] - mesh[:, 2].mean()) + 30
    return Pose.of(512, 512, face_mesh=seen.astype(np.float32)), mesh[:, 2]


@pytest.mark.parametrize("yaw_deg", [0.0, 20.0])
def test_too_deep_a_face_gets_its_own_depth(yaw_deg):
    pose, truth = face_of(yaw_deg, 1.4)
    assert pose.face_mesh is not None
    fitted_pose, joints = with_fitted_depth(pose)
    fitted = fitted_pose.face_mesh
    assert fitted is not None and joints is not None
    assert np.array_equal(fitted[:, :2], pose.face_mesh[:, :2])

    def wrong(depth):
        return np.std((depth - truth)[:468])

    assert wrong(fitted[:, 2]) < 0.35 * wrong(pose.face_mesh[:, 2])


def test_without_a_dense_face_nothing_is_fitted():
    pose = Pose.of(512, 512)
    assert with_fitted_depth(pose) == (pose, None)
