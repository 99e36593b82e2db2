"""A hand that is not found in a frame is where its arm carries it."""

from dataclasses import replace

import numpy as np
import pytest

from magicpose_cli.pose.keypoints import BODY_JOINTS, Pose
from magicpose_cli.warping.carried_hands import carry_hands

HAND = np.random.default_rng(0).uniform((-10, 5), (10, 25), (21, 2))


def pose(angle: float, hand: float | None, *, wrist: bool = True) -> Pose:
    """A left forearm at an angle, with a hand of this size, or none."""
    turn = np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
    body = np.zeros((18, 3))
    body[BODY_JOINTS.index("left_elbow")] = (100, 100, 1)
    if wrist:
        body[BODY_JOINTS.index("left_wrist")] = (*((0, 40) @ turn.T + 100), 1)
    points = np.zeros((21, 3))
    if hand is not None:
        points[:] = np.column_stack([(HAND * hand + (0, 40)) @ turn.T + 100, np.ones(21)])
    return Pose.of(200, 200, body=body, left_hand=points)


def test_it_turns_with_the_forearm_and_keeps_its_shape_at_the_ends():
    found = carry_hands([pose(0.5, None), pose(0, 1.0), pose(-0.7, None)], ["left"])
    for at, angle in ((0, 0.5), (2, -0.7)):
        assert np.allclose(found[at].left_hand, pose(angle, 1.0).left_hand, atol=1e-3)
        assert (found[at].left_hand_score > 0).all()


def test_between_two_hands_it_goes_from_one_to_the_other():
    found = carry_hands([pose(0, 1.0), pose(0.2, None), pose(0.4, None), pose(0, 2.5)], ["left"])
    assert np.allclose(found[1].left_hand, pose(0.2, 1.5).left_hand, atol=1e-3)
    assert np.allclose(found[2].left_hand, pose(0.4, 2.0).left_hand, atol=1e-3)


def in_part(whole: Pose, seen: int) -> Pose:
    points = whole.left_hand.copy()
    points[seen:] = np.nan
    return replace(whole, left_hand=points)


def test_what_is_found_stays_as_it_is():
    poses = [pose(0, 1.0), pose(0.2, 1.3)]
    assert all(one is other for one, other in zip(carry_hands(poses, ["left"]), poses, strict=True))


@pytest.mark.parametrize(("seen", "off"), [(12, 0.0), (12, 9.0), (3, 0.0)])
def test_of_a_hand_that_is_found_in_part_the_rest_is_added(seen, off):
    """Where many of its points are found, the rest goes by them and not by the forearm."""
    whole = pose(0.3, 1.0)
    moved = replace(whole, left_hand=whole.left_hand + np.float32(off))
    found = carry_hands([pose(0, 1.0), in_part(moved, seen)], ["left"])[1]
    assert np.allclose(found.left_hand, moved.left_hand, atol=0.01)
    assert np.array_equal(found.left_hand[:seen], moved.left_hand[:seen])


@pytest.mark.parametrize(
    "poses",
    [
        [pose(0, 1.0), pose(0, None, wrist=False)],
        [pose(0, None), pose(0.3, None)],
        [pose(0, 1.0, wrist=False), pose(0.3, None)],
    ],
    ids=["no wrist", "no hand at all", "no hand at a wrist"],
)
def test_without_wrist_or_hand_nothing_is_made_up(poses):
    assert carry_hands(poses, ["left"]) == poses


def test_the_other_side_is_left_alone():
    poses = [pose(0, 1.0), pose(0, None)]
    assert carry_hands(poses, ["right"]) == poses
