import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from scipy.spatial.transform import Rotation

from magicpose_cli.body import rotations as r

GENERATOR = torch.Generator().manual_seed(1)
VECTORS = torch.randn(50, 3, generator=GENERATOR, dtype=torch.float64)


def test_axis_angle_agrees_with_scipy():
    expected = torch.from_numpy(Rotation.from_rotvec(VECTORS.numpy()).as_matrix())
    torch.testing.assert_close(r.matrix_from_axis_angle(VECTORS), expected)


@given(st.lists(st.floats(-1.7, 1.7), min_size=3, max_size=3))
def test_axis_angle_comes_back(vector):
    given_vector = torch.tensor(vector, dtype=torch.float64)
    back = r.axis_angle_from_matrix(r.matrix_from_axis_angle(given_vector))
    torch.testing.assert_close(back, given_vector, atol=1e-6, rtol=0)


def test_half_a_turn_has_an_axis():
    turned = r.matrix_from_axis_angle(torch.tensor([0.0, torch.pi, 0.0], dtype=torch.float64))
    assert r.axis_angle_from_matrix(turned).abs()[1].item() == pytest.approx(torch.pi)


def test_quaternions_agree_with_scipy():
    matrices = r.matrix_from_axis_angle(VECTORS)
    found = r.quaternion_from_matrix(matrices)
    expected = Rotation.from_matrix(matrices.numpy()).as_quat()[:, [3, 0, 1, 2]]
    expected *= (expected[:, :1] >= 0) * 2.0 - 1
    torch.testing.assert_close(found, torch.from_numpy(expected))


@pytest.mark.parametrize("scale", [0.0, 1e-5, 1.0])
def test_gradients_of_axis_angle_are_right(scale):
    vector = (scale * VECTORS[:4]).requires_grad_()
    assert torch.autograd.gradcheck(r.matrix_from_axis_angle, vector)
