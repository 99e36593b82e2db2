"""Hiding people who touch the one who is to be read."""

import numpy as np
import pytest

pytest.importorskip("cv2")

from magicpose_cli.pose.detection.others_hidden import are_near, hide_others

SIDE = 250.0


@pytest.fixture
def two(full_body):
    person = full_body.map_points(lambda p: p + np.float32([60, 0]), 512, 256)
    return person, person.map_points(lambda p: p + np.float32([70, 0]), 512, 256)


def test_the_other_is_painted_over_and_the_person_stays(two):
    person, other = two
    picture = np.full((256, 512, 3), 60, np.uint8)
    for pose, color in ((other, (250, 0, 0)), (person, (0, 0, 250))):
        for x, y in pose.body.round().astype(int):
            picture[y - 2 : y + 3, x - 2 : x + 3] = color
    shown = hide_others(picture, person, [other], SIDE)
    assert (picture[..., 0] == 250).sum() > 300
    red, blue = (shown[..., 0] > 200).sum(), (shown[..., 2] > 200).sum()
    assert red <= 3 * 25  # but for joints that lie on the person's own limbs
    assert blue == (picture[..., 2] == 250).sum()
    hidden = (shown != picture).any(axis=2)
    assert abs(int(np.median(shown[hidden])) - 60) < 15  # the color of what is around
    assert np.array_equal(hide_others(picture, person, [], SIDE), picture)


def test_who_is_near(two):
    person, other = two
    far = person.map_points(lambda p: p + np.float32([140, 0]), 512, 256)
    assert are_near(person, other, SIDE) and are_near(other, person, SIDE)
    assert not are_near(person, far, SIDE)


def test_a_joint_that_is_guessed_is_hidden_too(two):
    person, other = two
    guess = np.column_stack([other.body, np.full(18, 0.1)]).astype(np.float32)
    unseen = type(other).of(512, 256, body=np.zeros((18, 3)), body_guess=guess)
    picture = np.random.default_rng(0).integers(0, 255, (256, 512, 3), np.uint8)
    guessed, seen = (hide_others(picture, person, [pose], SIDE) for pose in (unseen, other))
    assert np.array_equal(guessed, seen) and not np.array_equal(seen, picture)
