"""Retargeting through a body in space, where the truth is known: two shapes, one motion."""

import numpy as np
import pytest
import torch

from magicpose_cli.body.model import Body
from magicpose_cli.config.preset import Preset
from magicpose_cli.motion.chain import retarget_in_space
from magicpose_cli.motion.person_motion import retarget_person
from magicpose_cli.pose.clip import PoseClip
from magicpose_cli.pose.keypoints import Pose
from tests.body.motion import dance, seen_poses


@pytest.fixture(scope="module")
def people():
    """The same six poses of two people."""
    body = Body.load()
    shape, rotations, root = dance(body, 6)
    other = torch.tensor([[-0.8, 0.6, 0.2]])
    return (
        PoseClip.of(seen_poses(body, shape, rotations, root)),
        PoseClip.of(seen_poses(body, other, rotations, root)),
    )


def test_onto_oneself_is_the_identity(people):
    driver, _ = people
    moved = retarget_in_space(driver[:1], driver[0], 30.0)
    np.testing.assert_allclose(moved.poses.points, driver.points[:1], atol=0.5, equal_nan=True)


@pytest.mark.slow
def test_another_person_stands_as_the_truth_does(people):
    driver, truth = people
    moved = retarget_in_space(driver, truth[0], 30.0)
    assert moved.mode == "chain"
    apart = np.linalg.norm(moved.poses.points - truth.points, axis=2)[:, :18]
    height = np.ptp(truth.points[0, :18, 1])
    assert np.nanmean(apart) < 0.03 * height


def test_where_no_body_fits_the_points_alone_are_moved(people):
    known = people[0][0]
    points = np.column_stack([known.face, known.face_score])
    face = Pose.of(known.width, known.height, face=points)
    chain = Preset().with_options(motion__retarget="chain").motion
    moved = retarget_person(PoseClip.of([face]), 25.0, face, chain)
    assert moved.mode == "align"
    np.testing.assert_allclose(moved.poses[0].face, face.face, atol=0.1)
