import numpy as np
import pytest
import torch

from magicpose_cli.body.fit import FittedClip
from magicpose_cli.body.fit_level import TILT_DEG, found_tilt_deg, turned_level
from magicpose_cli.body.rotations import matrix_from_axis_angle
from tests.body.motion import CAMERA

FRAMES = 3


def standing(body, tilt_deg):
    """Somebody who stands upright, 4 m before a camera that looks down."""
    turn = matrix_from_axis_angle(torch.tensor([float(np.radians(tilt_deg)), 0.0, 0.0]))
    rotations = body.identity(FRAMES)
    rotations[:, 0] = turn
    root = torch.tensor([0.0, 0.0, -4.0]).expand(FRAMES, 3)
    shape = torch.zeros(1, body.component_count)
    return FittedClip(shape, rotations, root, CAMERA, torch.zeros(FRAMES))


@pytest.mark.parametrize("tilt_deg", [-15.0, 0.0, 15.0])
def test_the_tilt_is_found_by_who_stands(body, tilt_deg):
    fitted = standing(body, tilt_deg)
    found = found_tilt_deg(body, fitted, np.ones(FRAMES, bool))
    believed = TILT_DEG**2 / (TILT_DEG**2 + 9)
    assert found == pytest.approx(believed * tilt_deg, abs=2.5)
    level = turned_level(body, fitted, tilt_deg)
    posed = body(level.shape, None, level.rotations, level.root)
    before = body(fitted.shape, None, fitted.rotations, fitted.root)
    torch.testing.assert_close(level.rotations[:, 0], torch.eye(3).expand(FRAMES, 3, 3))
    far = [each.joints.norm(dim=-1) for each in (posed, before)]  # from the camera
    torch.testing.assert_close(*far, atol=1e-4, rtol=0)
    assert torch.equal(level.rotations[:, 1:], fitted.rotations[:, 1:])


def test_who_lies_or_shows_no_feet_tells_no_tilt(body):
    lying = standing(body, 85.0)
    assert found_tilt_deg(body, lying, np.ones(FRAMES, bool)) == 0
    assert found_tilt_deg(body, standing(body, 15.0), np.zeros(FRAMES, bool)) == 0
