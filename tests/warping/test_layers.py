"""The person in layers: where the trunk goes on behind an arm."""

import numpy as np
import pytest

from magicpose_cli.pose.keypoints import BODY_JOINTS, Pose
from magicpose_cli.warping.grid import Grid
from magicpose_cli.warping.layers import trunk_behind_arms
from magicpose_cli.warping.warp_points import WarpPoints

GRID = Grid(128, 160)
ROWS, COLUMNS = np.indices(GRID.padded[::-1]) - GRID.pad


def points(turn_deg: float = 0.0) -> WarpPoints:
    """Shoulders and hips of somebody who stands in the middle, turned about it."""
    turn = np.deg2rad(turn_deg)
    turned = np.array([[np.cos(turn), np.sin(turn)], [-np.sin(turn), np.cos(turn)]])
    body = np.zeros((18, 3))
    for name, place in {
        "right_shoulder": (-24, -40), "left_shoulder": (24, -40),
        "right_hip": (-16, 40), "left_hip": (16, 40),
    }.items():  # fmt: skip
        body[BODY_JOINTS.index(name)] = *(np.array(place) @ turned + (64, 80)), 1
    return WarpPoints.of(Pose.of(128, 160, body=body))


def along_and_across(turn_deg: float) -> tuple[np.ndarray, np.ndarray]:
    turn = np.deg2rad(turn_deg)
    x, y = COLUMNS - 64, ROWS - 80
    return np.cos(turn) * y - np.sin(turn) * x, np.cos(turn) * x + np.sin(turn) * y


@pytest.mark.parametrize("turn_deg", [0, 30, -75])
def test_a_waist_is_straight_behind_a_hand(turn_deg):
    along, across = along_and_across(turn_deg)
    edge = 16 + 0.4 * np.maximum(along - 16, 0)  # a skirt goes out below
    whole = (np.abs(along) < 44) & (np.abs(across) < edge)
    hand = (np.abs(along) < 12) & (np.abs(across + 18) < 14)
    everywhere = np.hypot(along, across) < 60
    behind = trunk_behind_arms(whole & ~hand, hand, everywhere, points(turn_deg), GRID)
    hidden = hand & behind
    assert np.count_nonzero(hidden ^ (hand & whole)) < 0.1 * np.count_nonzero(hand & whole)


def test_a_trunk_of_which_no_edge_is_seen_is_as_wide_as_it_may_be():
    trunk = np.abs(COLUMNS - 64) < 30
    nothing = np.zeros_like(trunk)
    assert np.array_equal(trunk_behind_arms(nothing, trunk, trunk, points(), GRID), trunk)
    assert not trunk_behind_arms(trunk, nothing, nothing, points(), GRID).any()
