from dataclasses import replace

import numpy as np
import pytest

from magicpose_cli.errors import ConfigError
from magicpose_cli.pose.keypoints import Pose
from magicpose_cli.pose.retargeting.anchor import find_anchor, stance_differences
from tests.pose.drawn import exact_poses, motion, two_people


@pytest.mark.slow
def test_the_best_frame_stands_as_the_reference_whatever_its_size():
    person, driver = two_people(1)
    moves = motion(1, 40)
    clip = exact_poses(driver, moves)
    for frame in (3, 22, 39):
        target = exact_poses(person, moves)[frame]
        small = target.map_points(lambda points: points * 0.4 + (10, 20), 300, 300)
        assert abs(find_anchor(clip, small) - frame) <= 1
        assert find_anchor(clip, clip[frame]) == frame
        assert stance_differences(clip, clip[frame])[frame] < 1e-6


def test_a_frame_that_shows_more_of_what_the_reference_shows_is_better(full_body, half_body):
    clip = [half_body, full_body, half_body]
    assert find_anchor(clip, full_body) == 1


def test_equal_frames_give_the_first(full_body):
    shifted = full_body.map_points(lambda points: points + np.float32(3.7), 256, 256)
    assert find_anchor([Pose.of(256, 256), shifted, full_body, shifted], full_body) == 1


def test_the_face_decides_between_equal_stances(full_body):
    smiling = Pose.of(
        256, 256,
        body=np.column_stack([full_body.body, full_body.body_score]),
        face=np.column_stack([full_body.face * (1.05, 1.0), full_body.face_score]),
    )  # fmt: skip
    assert find_anchor([smiling, full_body], full_body) == 1


def test_first_is_the_first_with_anybody_and_a_number_is_that_frame(full_body):
    clip = [Pose.of(256, 256), full_body, full_body]
    assert find_anchor(clip, full_body, "first") == 1
    assert find_anchor(clip, full_body, "2") == 2


@pytest.mark.parametrize(
    ("anchor", "message"),
    [
        ("0", "anchor: frame 0 shows nobody"),
        ("9", "anchor: frame 9 is beyond the last, 1"),
        ("-1", "anchor: '-1' is not known; expected best, first or the number of a frame"),
        ("²", "anchor: '²' is not known"),
        ("last", "anchor: 'last' is not known"),
    ],
)
def test_a_wrong_anchor_is_one_clear_line(anchor, message, full_body):
    with pytest.raises(ConfigError, match="expected best, first or the number") as caught:
        find_anchor([Pose.of(256, 256), full_body], full_body, anchor)
    assert str(caught.value).startswith(message)
    assert "\n" not in str(caught.value)


def bowed(pose, share=0.7):
    """The same person with the head sunk towards the neck."""
    body, face = pose.body.copy(), pose.face.copy()
    sink = np.float32((1 - share) * (body[1, 1] - body[[14, 15], 1].mean()))
    body[[0, 14, 15, 16, 17], 1] += sink
    return replace(pose, body=body, face=face + np.float32((0, sink)))


def with_arm(pose, dx):
    """The same person with a wrist elsewhere."""
    body = pose.body.copy()
    body[4] += np.float32((dx, 0))
    return replace(pose, body=body)


def test_a_bowed_head_is_no_anchor_though_the_limbs_are_nearest(full_body):
    reference = with_arm(full_body, 0)
    clip = [bowed(with_arm(full_body, 4)), *[with_arm(full_body, 30)] * 3]
    assert find_anchor(clip, reference) == 1


def test_onto_a_bowed_reference_the_bowed_frame_is_laid(full_body):
    clip = [*[with_arm(full_body, 4)] * 4, bowed(full_body)]
    assert find_anchor(clip, bowed(full_body)) == 4
