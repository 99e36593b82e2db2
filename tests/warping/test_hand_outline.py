"""How far a hand may reach is told by its points, else by its skin."""

from dataclasses import replace

import numpy as np
import pytest

from magicpose_cli.warping.hand_outline import FINGER_CHAINS, hand_room
from magicpose_cli.warping.warp_points import JOINT_INDEX, WarpPoints
from tests.warping.people import SIZE

HEIGHT_PX = 400.0
SKIN, DRESS = (230, 180, 150), (40, 110, 60)


def spread_hand(wrist: np.ndarray) -> np.ndarray:
    """(21, 2) of a hand that points down, its fingers spread."""
    hand = np.empty((21, 2))
    hand[0] = wrist
    for finger, chain in enumerate(FINGER_CHAINS):
        away = np.array([0.35 * (finger - 2), 1.0]) * 22
        hand[list(chain)] = wrist + away + np.linspace(0, 0.8, 4)[:, None] * away
    return hand


@pytest.fixture
def reference(both):
    """The points of somebody whose right forearm goes down at (100, 60) to (100, 120)."""
    points = WarpPoints.of(both[0].pose)
    body = points.body.copy()
    body[JOINT_INDEX["right_elbow"]], body[JOINT_INDEX["right_wrist"]] = (100, 60), (100, 120)
    hands = {side: np.full((21, 2), np.nan) for side in points.hands}
    return replace(points, body=body, hands=hands, wrists=("right",))


@pytest.fixture
def picture():
    """A dress, and before it a bare forearm with a hand of 20 by 40 pixels."""
    dress = np.empty((SIZE, SIZE, 3), np.uint8)
    dress[:] = DRESS
    dress[60:160, 90:110] = SKIN
    return dress


def test_a_known_hand_has_room_for_its_fingers_and_no_further(reference, picture):
    hand = spread_hand(np.array([100.0, 120.0]))
    room = hand_room(picture, replace(reference, hands={"right": hand}), "right", HEIGHT_PX)
    x, y = np.rint(hand).astype(int).T
    assert (room[y, x] == 1).all()
    assert room[120:124, 97:104].all()
    assert not room[:, :60].any() and not room[:, 140:].any() and not room[:100].any()


def test_a_hand_without_points_is_where_its_skin_is(reference, picture):
    room = hand_room(picture, reference, "right", HEIGHT_PX)
    assert room[125:158, 92:108].all()
    assert not room[:, :85].any() and not room[:, 115:].any()


def test_outlines_and_highlights_are_of_the_skin(reference, picture):
    picture[140:142, 90:110] = 0
    picture[150:152, 98:102] = 255
    assert hand_room(picture, reference, "right", HEIGHT_PX)[125:158, 92:108].all()


def test_of_a_hidden_hand_nothing_is_told(reference, picture):
    assert hand_room(picture, replace(reference, wrists=()), "right", HEIGHT_PX) is None
    assert hand_room(picture, reference, "left", HEIGHT_PX) is None


def test_a_forearm_beyond_the_picture_tells_nothing(reference, picture):
    body = reference.body.copy()
    body[JOINT_INDEX["right_elbow"]], body[JOINT_INDEX["right_wrist"]] = (300, 300), (300, 400)
    assert hand_room(picture, replace(reference, body=body), "right", HEIGHT_PX) is None
