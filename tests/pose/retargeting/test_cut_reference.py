"""A head or bust is not carried away from the edge at which its picture ends."""

from dataclasses import replace

import numpy as np
import pytest

from magicpose_cli.config.preset import MotionSettings
from magicpose_cli.motion.person_motion import retarget_person
from magicpose_cli.pose.clip import PoseClip
from magicpose_cli.pose.keypoints import Pose
from magicpose_cli.pose.retargeting.cut_reference import (
    BUST_REACH,
    HALF_BODY_RISE,
    NECK_REACH,
    is_cut,
    is_own_frame,
    near_own_place,
    neck_held,
    neck_strays,
)
from tests.warping.people import shifted

FPS = 25.0


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
    assert not neck_strays([*stays, shifted(standing, step)])  # once
    assert neck_strays([*stays, *[shifted(standing, step)] * 6])
    assert not neck_strays([*stays, *[shifted(standing, 0.3 * step)] * 6])
    heads = [replace(pose, body=np.full_like(pose.body, np.nan)) for pose in stays]
    assert not neck_strays(heads)  # without shoulders nobody knows


def test_with_the_neck_held_the_heads_own_motion_is_left(standing):
    walking = [shifted(standing, 3 * i) for i in range(40)]
    nodding = []
    for i, pose in enumerate(walking):
        body = pose.body.copy()
        body[0, 1] += 4 * np.sin(i / 3)
        nodding.append(replace(pose, body=body))
    held = neck_held(nodding, FPS)
    necks, noses = (np.stack([pose.body[joint] for pose in held]) for joint in (1, 0))
    assert np.ptp(necks[8:-8, 0]) < 0.5
    assert np.ptp(noses[:, 1]) == pytest.approx(8, abs=0.5)


@pytest.mark.parametrize("far", [0.2, 0.4, 0.6, 3.0])
def test_a_head_goes_freely_and_never_beyond(standing, far):
    height = height_of(standing)
    poses = [standing, shifted(standing, 0.8 * far * height, 0.6 * far * height)]
    near = near_own_place(poses, head_of(standing))
    if far <= 0.4:
        assert near is None
        return
    assert near is not None and near[0].equals(standing)
    way = (near[1].face - standing.face).mean(0) / height
    assert min(far, BUST_REACH[0]) * 0.8 < np.linalg.norm(way) < min(far, BUST_REACH[0] + 0.001)
    assert way[0] / way[1] == pytest.approx(4 / 3, rel=0.01)  # the way it went


def bust_of(pose: Pose) -> Pose:
    """The same in a picture that ends above the hips."""
    body = pose.body.copy()
    body[8:14] = np.nan
    return replace(pose, body=body, body_score=np.where(np.isfinite(body[:, 0]), 1, 0))


def test_a_bust_does_not_rise_from_its_picture(standing):
    """Sideways and down it goes as far as a head."""
    height, target = height_of(standing), bust_of(standing)
    assert near_own_place([standing, shifted(standing, 0.3 * height, 0.2 * height)], target) is None
    ways = [(0, -2), (2, 0), (0, 2), (0, -0.05), (1, -1)]
    poses = [shifted(standing, height * x, height * y) for x, y in ways]
    near = near_own_place(poses, target)
    assert near is not None
    off = (np.stack([pose.body[1] for pose in near]) - standing.body[1]) / height
    assert off[0] == pytest.approx((0, -BUST_REACH[1]), abs=0.001)
    assert off[1] == pytest.approx((BUST_REACH[0], 0), abs=0.01)
    assert off[2] == pytest.approx((0, BUST_REACH[0]), abs=0.01)
    assert off[3] == pytest.approx((0, -0.05), abs=1e-4)
    assert 0 < off[4, 0] < BUST_REACH[0] and -BUST_REACH[1] < off[4, 1] < 0


@pytest.mark.parametrize(
    ("way", "kept"), [((0.2, -0.05), True), ((1.5, 0), False), ((0, -1), False), ((0, 0.4), True)]
)
def test_a_busts_head_stays_over_its_neck(standing, way, kept):
    """A driver's shoulders turn, and their neck is then elsewhere below the head."""
    height, target = height_of(standing), bust_of(standing)
    body = standing.body.copy()
    body[[0, 14, 15, 16, 17]] += height * np.float32(way)
    away = replace(standing, body=body, face=standing.face + height * np.float32(way))
    near = near_own_place([standing, away], target)
    if kept:
        assert near is None
        return
    assert near is not None and near[0].equals(standing)
    off = (near[1].face - standing.face) / height
    reach = NECK_REACH[0] if way[0] else NECK_REACH[1]
    assert np.linalg.norm(off.mean(0)) == pytest.approx(reach, abs=0.01)
    assert np.ptp(off, axis=0).max() < 1e-4  # the whole head
    assert (near[1].body[0] - standing.body[0]) / height == pytest.approx(off[0], abs=1e-4)
    assert np.array_equal(near[1].body[1:8], standing.body[1:8])


def half_body_of(pose: Pose) -> Pose:
    """The same in a picture that ends at the thighs."""
    body = pose.body.copy()
    body[[9, 10, 12, 13]] = np.nan
    return replace(pose, body=body, body_score=np.where(np.isfinite(body[:, 0]), 1, 0))


def test_a_half_body_goes_anywhere_but_up(standing):
    target = half_body_of(standing)
    most = HALF_BODY_RISE * min(target.width, target.height)
    assert is_cut(target) and not is_cut(standing)
    away = [shifted(standing, 60, 40), shifted(standing, -60, -0.4 * most)]
    assert near_own_place(away, target) is None
    poses = [*away, shifted(standing, 60, -5 * most), shifted(standing, 0, -0.8 * most)]
    near = near_own_place(poses, target)
    assert near is not None and [near[i].equals(away[i]) for i in (0, 1)] == [True, True]
    off = np.stack([pose.body[8] for pose in near]) - standing.body[8]
    assert off[2] == pytest.approx((60, -most), abs=0.01)
    assert off[3, 0] == 0 and 0.5 * most < -off[3, 1] < 0.8 * most


def test_a_reference_out_of_the_film_is_known_in_any_size(standing):
    clip = PoseClip.of([shifted(standing, 4 * i) for i in range(40)])
    large = clip[17].map_points(lambda points: 2 * points + 1.5, 1024, 1024)
    assert is_own_frame(clip, head_of(large))
    assert not is_own_frame(clip, shifted(head_of(large), 0, 40))
    assert not is_own_frame(PoseClip.of([Pose.of(512, 512)] * 3), large)


@pytest.mark.parametrize("cut", [head_of, bust_of])
@pytest.mark.parametrize("follow", [None, False])
def test_who_is_cut_off_is_kept_near_their_place_unless_let_go(standing, cut, follow):
    clip = PoseClip.of([shifted(standing, 4 * i, -2 * i) for i in range(40)])
    target = shifted(cut(standing), 0, 50)
    assert is_cut(target)
    laid = retarget_person(clip, FPS, target, MotionSettings(follow=follow))
    faces = np.stack([pose.face.mean(0) for pose in laid.poses])
    away = np.linalg.norm(faces - target.face.mean(0), axis=1).max() / height_of(standing)
    assert laid.is_held == (follow is None)
    assert (away < BUST_REACH[0]) == (follow is None)
    assert any("--no-follow" in line for line in laid.notes()) == (follow is None)


def test_a_frame_of_the_film_goes_where_the_film_goes(standing):
    clip = PoseClip.of([shifted(standing, 4 * i) for i in range(40)])
    assert not retarget_person(clip, FPS, bust_of(standing), MotionSettings()).is_held


def test_of_a_faceless_one_the_body_tells(standing):
    nothing = np.full_like(standing.face, np.nan)
    faceless = replace(standing, face=nothing, face_score=np.zeros(68), face_mesh=None)
    clip = PoseClip.of([shifted(faceless, 4 * i) for i in range(40)])
    assert is_own_frame(clip, shifted(faceless, 40, 0.5))
    assert not is_own_frame(clip, shifted(faceless, 40, 20))


def test_who_shows_legs_goes_where_they_like_inside_the_picture(standing):
    clip = PoseClip.of([shifted(standing, 2 * i, -2 * i) for i in range(40)])
    target = shifted(standing, 0, 50)
    assert not is_cut(target)
    assert not retarget_person(clip, FPS, target, MotionSettings()).is_held
