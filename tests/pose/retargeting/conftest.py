"""Somebody who stands, with every point known."""

import pytest

from magicpose_cli.pose.keypoints import Pose
from tests.pose.drawn import at_rest, exact_poses, two_people


@pytest.fixture(scope="session")
def standing() -> Pose:
    return exact_poses(two_people(0)[0], at_rest())[0]
