import numpy as np
import pytest
import torch

from magicpose_cli.augmentation.pose_library import (
    LIBRARY_FILE,
    built_in_poses,
    describe_poses,
    facing_ahead,
    read_target_poses,
)
from magicpose_cli.body.model import Body
from magicpose_cli.body.reference_body import REFERENCE_LAYERS
from magicpose_cli.body.rotations import matrix_from_axis_angle
from magicpose_cli.errors import InputError


@pytest.fixture(scope="module")
def body():
    return Body.load(REFERENCE_LAYERS)


def test_a_few_hundred_poses_in_a_small_file(body):
    poses = built_in_poses(body)
    assert 200 <= len(poses) <= 1000
    assert LIBRARY_FILE.stat().st_size < 100_000
    eye = poses.rotations @ poses.rotations.mT
    assert torch.allclose(eye, torch.eye(3).expand_as(eye), atol=1e-3)
    assert len(set(poses.names)) == len(poses)


def test_poses_differ(body):
    described = describe_poses(body, built_in_poses(body).rotations)
    apart = np.linalg.norm(described[:, None] - described[None], axis=-1)
    nearest = (apart + 9 * np.eye(len(described))).min(axis=1)
    assert np.median(nearest) > 0.03  # meters over all joints


def test_the_turn_about_the_vertical_does_not_describe_a_pose(body):
    rotations = built_in_poses(body).rotations[:3]
    turned = rotations.clone()
    turned[:, 0] = matrix_from_axis_angle(torch.tensor([0.0, 2.0, 0.0])) @ rotations[:, 0]
    same = describe_poses(body, turned) - describe_poses(body, rotations)
    assert np.abs(same).max() < 1e-4
    ahead = facing_ahead(turned)[:, 0, :, 2]
    assert torch.allclose(ahead[:, 0], torch.zeros(3), atol=1e-5)


def test_unknown_poses_are_one_line(body, tmp_path):
    with pytest.raises(InputError, match="does not exist"):
        read_target_poses([str(tmp_path / "walk.bvh")], body)
