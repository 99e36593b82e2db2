"""A walker stays where they begin, their own motion stays theirs."""

import numpy as np
import pytest

from magicpose_cli.pose.keypoints import Pose
from magicpose_cli.pose.retargeting.in_place import in_place
from tests.warping.people import shifted

FPS = 25.0


def test_the_way_is_taken_out_and_the_sway_stays(standing):
    times = np.arange(100) / FPS
    sway = 4 * np.sin(2 * np.pi * 2 * times)
    walking = [shifted(standing, 60 * t + s) for t, s in zip(times, sway, strict=True)]
    at = np.stack([pose.body[1] for pose in in_place(walking, FPS)])
    assert np.ptp(at[:, 0]) < 12 < 60 * times[-1] / 10
    assert np.ptp(at[10:-10, 0]) > 6
    assert np.abs(at[0] - walking[0].body[1]).max() < 4


def test_who_sits_down_sinks(standing):
    """The feet tell where the ground is: they stay, so the trunk goes down as it did."""
    feet = [10, 13]  # right and left ankle
    poses = []
    for drop in np.linspace(0, 60, 60):
        lower = shifted(standing, 0, drop)
        lower.body[feet] = standing.body[feet]
        poses.append(lower)
    at = np.stack([pose.body for pose in in_place(poses, FPS)])
    assert np.ptp(at[:, 1, 1]) == pytest.approx(60, abs=1)
    assert np.ptp(at[:, feet, 1]) == pytest.approx(standing.body[feet, 1].ptp(), abs=1)


def test_one_frame_and_nobody_are_left_alone(standing):
    (alone,) = in_place([standing], FPS)
    assert alone.equals(standing)
    nobody = [Pose.of(64, 48)] * 4
    assert [pose.equals(nobody[0]) for pose in in_place(nobody, FPS)] == [True] * 4
