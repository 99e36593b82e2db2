"""Where a person may be: all of them lies in the region, and not everything does."""

import numpy as np
import pytest

from magicpose_cli.pose.keypoints import Pose
from magicpose_cli.pose.region import person_region
from magicpose_cli.synthetic.people import TEST_SEEDS, draw_people


@pytest.mark.slow
def test_drawn_people_lie_in_their_region():
    people = draw_people(TEST_SEEDS + 900, 64, 1, 128)
    shares, missed = [], []
    for pose, labels in zip(people.poses(), people.labels.numpy(), strict=True):
        region = person_region(pose)
        assert region.shape == (128, 128) and region.dtype == np.uint8
        assert set(np.unique(region)) <= {0, 1}
        shares.append(region.mean() - (labels > 0).mean())
        missed.append((region == 0)[labels > 0].mean())
    assert np.mean(missed) < 0.025 and np.max(missed) < 0.1
    assert np.mean(shares) < 0.3  # of the picture, beyond the person


def test_a_larger_picture_has_the_same_region():
    (pose,) = draw_people(TEST_SEEDS + 901, 1, 1, 64).poses()
    large = pose.map_points(lambda points: points * 4, 256, 256)
    assert np.mean(person_region(large)[2::4, 2::4] != person_region(pose)) < 0.04


def test_of_nobody_it_is_everywhere():
    assert person_region(Pose.of(20, 10)).shape == (10, 20)
    assert person_region(Pose.of(20, 10)).all()


def test_points_far_outside_do_no_harm():
    (pose,) = draw_people(TEST_SEEDS + 902, 1, 1, 64).poses()
    away = pose.map_points(lambda points: points + 1e6, 64, 64)
    assert not person_region(away).any()


def test_of_smaller_widths_it_is_a_part():
    for pose in draw_people(TEST_SEEDS + 903, 8, 1, 128).poses():
        core, whole = person_region(pose, 0.4), person_region(pose)
        assert not (core & ~whole & 1).any()
        assert 0 < core.sum() < 0.95 * whole.sum()
