"""Windows around hands, what travels of them, and how they are put back."""

from dataclasses import replace

import numpy as np
import pytest

from magicpose_cli.motion.framing import Framing
from magicpose_cli.motion.hand_crops import (
    HAND_CHANNELS,
    OWN_HAND_CHANNELS,
    hand_layers,
    hand_window,
    own_hand_layers,
    pasted,
)
from magicpose_cli.pose.pose_map import pose_map

CANVAS = 96
SIZE = (256, 256)


@pytest.fixture(scope="module")
def pose(people):
    """Of a drawn person whose hands are where they are put."""
    random = np.random.default_rng(2)
    hands = {
        f"{side}_hand": (random.uniform(-12, 12, (21, 2)) + place).astype(np.float32)
        for side, place in (("left", (160, 130)), ("right", (40, 90)))
    }
    return replace(people.poses()[0], **hands)


def without(pose, hand):
    return replace(pose, **{hand: np.full((21, 2), np.nan, np.float32)})


def test_each_hand_is_in_a_window_of_half_the_sides(pose):
    layers = hand_layers(pose, CANVAS)
    assert layers.shape == (*SIZE, HAND_CHANNELS)
    for number, hand in enumerate(("left_hand", "right_hand")):
        mask = layers[..., 4 * number + 3]
        left, top, right, bottom = hand_window(mask)
        assert (right - left, bottom - top) == (128, 128)
        points = getattr(pose, hand)
        assert (points >= (left, top)).all() and (points < (right, bottom)).all()
        x, y = np.rint(points.mean(0)).astype(int)
        assert mask[y, x] > 200 and mask[0, 0] == 0
        closer = Framing((left, top, right, bottom), *SIZE).pose(pose)
        np.testing.assert_array_equal(
            layers[..., 4 * number : 4 * number + 3], pose_map(closer, CANVAS)
        )


def test_a_hand_that_is_not_seen_leaves_nothing(pose):
    layers = hand_layers(without(pose, "left_hand"), CANVAS)
    assert not layers[..., :4].any() and layers[..., 4:].any()
    assert hand_window(layers[..., 3]) is None


@pytest.mark.parametrize("corner", [(0, 0), (255, 255), (0, 255)])
def test_windows_stay_in_the_picture(corner):
    mask = np.zeros(SIZE, np.uint8)
    mask[corner] = 255
    left, top, right, bottom = hand_window(mask)
    assert left >= 0 and top >= 0 and right <= 256 and bottom <= 256
    assert (right - left, bottom - top) == (128, 128)
    assert left <= corner[1] < right and top <= corner[0] < bottom


def test_the_references_hands_come_from_the_picture_as_given(pose):
    """A picture of twice the size shows its hand in the pixels that it has."""
    given = np.random.default_rng(0).integers(0, 255, (512, 512, 3), np.uint8)
    layers = own_hand_layers(given, Framing((0, 0, 512, 512), *SIZE), pose, CANVAS)
    assert layers.shape == (*SIZE, OWN_HAND_CHANNELS)
    left, top, right, bottom = hand_window(hand_layers(pose, CANVAS)[..., 3])
    expected = given[2 * top : 2 * bottom, 2 * left : 2 * right]
    np.testing.assert_array_equal(layers[..., :3], expected)
    np.testing.assert_array_equal(layers[..., 3:6], hand_layers(pose, CANVAS)[..., :3])


def test_a_reference_without_the_hand_is_shown_whole(pose):
    given = np.random.default_rng(0).integers(0, 255, (*SIZE, 3), np.uint8)
    whole = Framing((0, 0, 256, 256), *SIZE)
    layers = own_hand_layers(given, whole, without(pose, "right_hand"), CANVAS)
    np.testing.assert_array_equal(layers[..., 6:9], given)
    assert layers[..., 9:].any()
    unknown = own_hand_layers(given, whole, None, CANVAS)
    np.testing.assert_array_equal(unknown[..., :3], given)
    assert not unknown[..., 3:6].any()


def test_only_the_hand_is_put_back(pose):
    rng = np.random.default_rng(1)
    frame, made = rng.integers(0, 255, (2, *SIZE, 3), np.uint8)
    mask = hand_layers(pose, CANVAS)[..., 3]
    result = pasted(frame, made, mask)
    np.testing.assert_array_equal(result[mask == 0], frame[mask == 0])
    left, top, right, bottom = hand_window(mask)
    smaller = made.reshape(128, 2, 128, 2, 3).mean((1, 3))
    inside = mask[top:bottom, left:right] == 255
    assert inside.any()
    window = result[top:bottom, left:right]
    assert np.abs(window[inside] - smaller[inside]).max() <= 1
    np.testing.assert_array_equal(pasted(frame, made, np.zeros(SIZE, np.uint8)), frame)
