"""Hands built from points: where they are, what they look like, and what they leave alone."""

import numpy as np
import pytest

from magicpose_cli.warping.modeled_hand import FINGER_CHAINS, model_hand

SKIN = np.array((220.0, 170.0, 150.0))
PALM_PX = 40.0


def open_hand(side: str, palm_seen: bool, bend: float = 0.0) -> np.ndarray:
    """(21, 2) fingers up; bend: by how much the fingers look shorter."""
    mirror = 1 if (side == "right") == palm_seen else -1  # where the thumb is
    points = np.zeros((21, 2))
    for chain, across in zip(FINGER_CHAINS, (0.8, 0.35, 0.05, -0.22, -0.45), strict=True):
        root = np.array((mirror * across * 0.9, -0.45 if across == 0.8 else -0.95))
        along = np.array((mirror * across * 0.5, -1)) * 0.3 * (1 - bend)
        points[list(chain)] = [root + k * along for k in range(4)]
    return PALM_PX * points + (100, 150)


def values(hand, points):
    x, y = np.rint(points - hand.corner).astype(int).T
    return hand.cover[y, x], hand.picture[y, x]


@pytest.mark.parametrize("side", ["left", "right"])
@pytest.mark.parametrize("palm_seen", [True, False])
def test_every_bone_lies_in_the_hand_and_has_the_color_of_the_skin(side, palm_seen):
    points = open_hand(side, palm_seen)
    hand = model_hand(points, side, PALM_PX, SKIN)
    bones = [points[[i, i + 1]].mean(0) for chain in FINGER_CHAINS for i in chain[:-1]]
    cover, colors = values(hand, np.array(bones))
    assert cover.min() > 0.95
    assert np.abs(colors - SKIN).mean() < 30
    brightness = colors / SKIN
    assert brightness.min() > 0.4 and brightness.max() < 1.2


def test_between_spread_fingers_nothing_is_there():
    points = open_hand("right", True)
    hand = model_hand(points, "right", PALM_PX, SKIN)
    between = (points[[4, 8]].mean(0) + points[[8]])[0] / 2 + (8, 0)
    assert values(hand, between[None])[0][0] == 0
    assert 0.1 < (hand.cover > 0.5).mean() < 0.6


def test_a_mirrored_hand_has_the_mirrored_outline():
    points = open_hand("right", True, bend=0.4)
    hand = model_hand(points, "right", PALM_PX, SKIN)
    other = model_hand((200, 0) + (-1, 1) * points, "left", PALM_PX, SKIN)
    assert np.abs(hand.cover[:, ::-1] - other.cover).mean() < 0.02


def test_fingers_that_come_toward_the_viewer_hide_the_palm_those_that_go_away_do_not():
    """Bent fingers of an open palm rise before it; of a hand seen from behind they fall."""
    from magicpose_cli.warping.modeled_hand import _heights

    bent = {seen: open_hand("left", seen, bend=0.5) for seen in (True, False)}
    toward, away = (_heights(bent[seen], "left", PALM_PX) for seen in (True, False))
    tips = [8, 12, 16, 20]
    assert toward[tips].min() > 0.3 * PALM_PX and away[tips].max() < -0.3 * PALM_PX
    assert np.allclose(_heights(open_hand("left", True), "left", PALM_PX)[5:9], 0, atol=12)


@pytest.mark.parametrize("palm_px", [4.0, 300.0])
def test_any_size(palm_px):
    points = (open_hand("right", True) - 100) * palm_px / PALM_PX
    hand = model_hand(points, "right", palm_px, SKIN)
    assert np.isfinite(hand.picture).all() and hand.cover.max() == 1
