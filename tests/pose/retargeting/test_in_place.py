"""A walker stays where they begin, their own motion stays theirs."""

from dataclasses import replace

import numpy as np
import pytest

from magicpose_cli.config.preset import MotionSettings
from magicpose_cli.motion.person_motion import retarget_person
from magicpose_cli.pose.clip import PoseClip
from magicpose_cli.pose.keypoints import Pose
from magicpose_cli.pose.retargeting.in_place import (
    FARTHEST,
    in_place,
    near_own_place,
    neck_strays,
    with_neck_held,
)
from tests.pose.drawn import at_rest, exact_poses, two_people

FPS = 25.0


@pytest.fixture(scope="module")
def standing() -> Pose:
    return exact_poses(two_people(0)[0], at_rest())[0]


def moved(pose: Pose, x: float, y: float = 0.0) -> Pose:
    return pose.map_points(lambda points: points + np.float32((x, y)), pose.width, pose.height)


def test_the_way_is_taken_out_and_the_sway_stays(standing):
    times = np.arange(100) / FPS
    sway = 4 * np.sin(2 * np.pi * 2 * times)
    walking = [moved(standing, 60 * t + s) for t, s in zip(times, sway, strict=True)]
    at = np.stack([pose.body[1] for pose in in_place(walking, FPS)])
    assert np.ptp(at[:, 0]) < 12 < 60 * times[-1] / 10
    assert np.ptp(at[10:-10, 0]) > 6
    assert np.abs(at[0] - walking[0].body[1]).max() < 4


def test_who_sits_down_sinks(standing):
    """The feet tell where the ground is: they stay, so the trunk goes down as it did."""
    feet = [10, 13]  # right and left ankle
    poses = []
    for drop in np.linspace(0, 60, 60):
        lower = moved(standing, 0, drop)
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


def head_of(pose: Pose) -> Pose:
    """The same in a picture of the head alone."""
    body = pose.body.copy()
    body[1:14] = np.nan
    return replace(pose, body=body, body_score=np.where(np.isfinite(body[:, 0]), 1, 0))


def height_of(pose: Pose) -> float:
    return float(np.ptp(pose.face[:, 1]))


def test_a_neck_strays_that_is_often_far_from_where_it_mostly_is(standing):
    step = height_of(standing)
    stays = [standing] * 30
    assert not neck_strays(stays)
    assert not neck_strays([*stays, moved(standing, step)])  # once
    assert neck_strays([*stays, *[moved(standing, step)] * 6])
    assert not neck_strays([*stays, *[moved(standing, 0.3 * step)] * 6])
    heads = [replace(pose, body=np.full_like(pose.body, np.nan)) for pose in stays]
    assert not neck_strays(heads)  # without shoulders nobody knows


def test_with_the_neck_held_the_heads_own_motion_is_left(standing):
    walking = [moved(standing, 3 * i) for i in range(40)]
    nodding = []
    for i, pose in enumerate(walking):
        body = pose.body.copy()
        body[0, 1] += 4 * np.sin(i / 3)
        nodding.append(replace(pose, body=body))
    held = with_neck_held(nodding, FPS)
    necks, noses = (np.stack([pose.body[joint] for pose in held]) for joint in (1, 0))
    assert np.ptp(necks[8:-8, 0]) < 0.5
    assert np.ptp(noses[:, 1]) == pytest.approx(8, abs=0.5)


@pytest.mark.parametrize("far", [0.2, 0.4, 0.6, 3.0])
def test_a_head_goes_freely_and_never_beyond(standing, far):
    height = height_of(standing)
    poses = [standing, moved(standing, 0.8 * far * height, 0.6 * far * height)]
    near = near_own_place(poses, standing)
    if far <= 0.4:
        assert near is None
        return
    assert near is not None and near[0].equals(standing)
    way = (near[1].face - standing.face).mean(0) / height
    assert min(far, FARTHEST) * 0.8 < np.linalg.norm(way) < min(far, FARTHEST + 0.001)
    assert way[0] / way[1] == pytest.approx(4 / 3, rel=0.01)  # the way it went


@pytest.mark.parametrize("follow", [None, False])
def test_a_head_alone_is_kept_near_its_place_unless_it_is_let_go(standing, follow):
    clip = PoseClip.of([moved(standing, 4 * i) for i in range(40)])
    laid = retarget_person(clip, FPS, head_of(standing), MotionSettings(follow=follow))
    faces = np.stack([pose.face.mean(0) for pose in laid.poses])
    away = np.linalg.norm(faces - standing.face.mean(0), axis=1).max() / height_of(standing)
    assert laid.holds_head == (follow is None)
    assert (away < FARTHEST) == (follow is None)
    assert any("--no-follow" in line for line in laid.notes()) == (follow is None)


def test_who_shows_shoulders_is_not_held(standing):
    clip = PoseClip.of([moved(standing, 4 * i) for i in range(40)])
    laid = retarget_person(clip, FPS, standing, MotionSettings())
    assert not laid.holds_head
