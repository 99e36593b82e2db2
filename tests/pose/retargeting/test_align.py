"""Somebody who walks across the picture: the anchor's frame lies on the reference."""

import numpy as np
import pytest

from magicpose_cli.pose.retargeting.align import HEAD_POINTS, NEAR_ANCHOR_FRAMES, shift_at
from magicpose_cli.pose.retargeting.retarget import retarget
from tests.pose.drawn import SIZE, at_rest, exact_poses, motion, two_people

FRAMES = 24
PIXEL = SIZE / 256  # of a picture of 256 pixels
STEP = 7.0


def walking(poses):
    return [
        pose.map_points(lambda points, i=index: points + np.float32([STEP * i, 0]), SIZE, SIZE)
        for index, pose in enumerate(poses)
    ]


@pytest.fixture(scope="module")
def clips():
    """The reference's person in all frames of a motion, and another who walks with it."""
    person, driver = two_people(1)
    moves = motion(1, FRAMES)
    return exact_poses(person, moves), walking(exact_poses(driver, moves))


def apart(pose, target, part: str) -> np.ndarray:
    return getattr(pose, part) - getattr(target, part)


@pytest.mark.parametrize("mode", ["skeleton", "full"])
@pytest.mark.parametrize(("anchor", "frame"), [("best", 9), ("first", 0), ("13", 13)])
def test_bones_lie_on_the_reference_at_the_anchor(clips, mode, anchor, frame):
    standing, walk = clips
    moved = retarget(walk, standing[frame], mode, anchor=anchor)
    assert (moved.anchor, moved.mode) == (frame, mode)
    at = moved.poses[frame]
    assert np.linalg.norm(apart(at, standing[frame], "body"), axis=1).max() < PIXEL
    assert np.linalg.norm(apart(at, standing[frame], "face"), axis=1).max() < PIXEL


@pytest.mark.slow
@pytest.mark.parametrize("mode", ["align", "skeleton", "full"])
@pytest.mark.parametrize("anchor", ["best", "first", "13"])
def test_body_and_head_are_in_place_at_the_anchor(clips, mode, anchor):
    """Also where the two stand differently and no point can lie on its own."""
    target = exact_poses(two_people(1)[0], at_rest())[0]
    moved = retarget(clips[1], target, mode, anchor=anchor)
    at = moved.poses[moved.anchor]
    for part in ("body", "face"):
        assert np.abs(np.median(apart(at, target, part), axis=0)).max() < PIXEL


@pytest.mark.parametrize("mode", ["align", "skeleton", "full"])
def test_the_walk_goes_on_from_there(clips, mode):
    standing, walk = clips
    moved = retarget(walk, standing[9], mode, anchor="9").poses
    hips = np.array([pose.body[[8, 11]].mean(0) for pose in moved])
    own = np.array([pose.body[[8, 11]].mean(0) for pose in walk])
    ways, own_ways = hips - hips[9], own - own[9]
    size = (ways[:, 0] @ own_ways[:, 0]) / (own_ways[:, 0] @ own_ways[:, 0])
    assert 0.5 < size < 2  # of two people whose legs differ
    assert np.abs(ways[:, 0] - size * own_ways[:, 0]).max() < 4 * PIXEL
    assert ways[0, 0] < -30 and ways[-1, 0] > 40


def test_a_wild_anchor_does_not_throw_the_clip(clips):
    standing, walk = clips
    thrown = walk.copy()
    thrown[9] = walk[9].map_points(lambda points: points + np.float32([300, 150]), SIZE, SIZE)
    moved, wild = (retarget(c, standing[9], "align", anchor="9").poses for c in (walk, thrown))
    assert np.nanmax(np.abs(wild[12].body - moved[12].body)) < 3 * STEP
    assert np.nanmax(np.abs(wild[9].body - moved[9].body)) > 200  # it is where the driver had it


@pytest.mark.slow
@pytest.mark.parametrize("mode", ["skeleton", "full"])
def test_a_wild_anchor_does_not_throw_bones(clips, mode):
    standing, walk = clips
    thrown = walk.copy()
    thrown[9] = walk[9].map_points(lambda points: points + np.float32([300, 150]), SIZE, SIZE)
    moved, wild = (retarget(c, standing[9], mode, anchor="9").poses for c in (walk, thrown))
    assert np.nanmax(np.abs(wild[12].body - moved[12].body)) < 3 * STEP


GROUP = [0, 1, 2]
REFERENCE = np.array([(0.0, 0.0), (10.0, 0.0), (0.0, 100.0), (50.0, 50.0)])


def clip_of(*shifts) -> np.ndarray:
    """(frames, 4, 2): the reference, and how far each frame is from it."""
    return REFERENCE - np.array(shifts, float)[:, None]


def test_the_anchors_own_shift_counts():
    moved = clip_of((0, 0), (2, 0), (4, 0), (6, 0), (8, 0))
    for frame in range(5):
        assert np.allclose(shift_at(REFERENCE, moved, frame, GROUP), (2 * frame, 0))


def test_one_wrong_point_of_a_frame_does_not_count():
    moved = clip_of((2, 1), (2, 1))
    moved[0, 1] += 80
    assert np.allclose(shift_at(REFERENCE, moved, 0, GROUP), (2, 1))


def test_an_anchor_far_from_its_neighbors_is_a_mistake():
    shifts = [(float(i), 0.0) for i in range(9)]
    shifts[4] = (90.0, 0.0)
    found = shift_at(REFERENCE, clip_of(*shifts), 4, GROUP)
    assert np.abs(found - (4, 0)).max() <= 1
    shifts[4] = (4 + 0.1 * np.hypot(50, 100), 0.0)  # a quick step is none
    assert np.allclose(shift_at(REFERENCE, clip_of(*shifts), 4, GROUP), shifts[4])


def test_an_anchor_without_the_points_takes_its_neighbors():
    moved = clip_of(*[(float(i), 0.0) for i in range(20)])
    moved[10, GROUP] = np.nan
    assert np.allclose(shift_at(REFERENCE, moved, 10, GROUP), (10, 0))
    moved[10 - NEAR_ANCHOR_FRAMES : 11 + NEAR_ANCHOR_FRAMES, GROUP] = (
        np.nan
    )  # nobody near: the nearest that there are
    assert np.abs(shift_at(REFERENCE, moved, 10, GROUP) - (10, 0)).max() <= 5


def test_without_a_point_in_common_there_is_no_shift():
    moved = clip_of((0, 0), (1, 1))
    moved[:, GROUP] = np.nan
    assert shift_at(REFERENCE, moved, 0, GROUP) is None
    assert shift_at(np.full((200, 2), np.nan), np.zeros((3, 200, 2)), 0, HEAD_POINTS) is None
