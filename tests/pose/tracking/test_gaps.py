import numpy as np
import pytest

from magicpose_cli.pose.clip import PoseClip
from magicpose_cli.pose.keypoints import BODY_JOINTS, Pose
from magicpose_cli.pose.tracking.gaps import hold_last, interpolate_gaps

EMPTY = Pose.of(256, 256)


def fill_gaps(poses, max_gap_frames):
    """Interpolated and held poses, and the frames that were held."""
    clip = PoseClip.of(poses)
    interpolate_gaps(clip, max_gap_frames)
    held = hold_last(clip)
    return clip, np.flatnonzero(held).tolist()


def moved(pose, dx):
    return pose.map_points(lambda points: points + np.float32([dx, 0]), pose.width, pose.height)


def without(pose, part):
    everything = {
        name: np.column_stack([getattr(pose, name), getattr(pose, f"{name}_score")])
        for name in ("body", "face", "left_hand", "right_hand")
        if name != part
    }
    return Pose.of(pose.width, pose.height, **everything)


def test_a_clip_without_gaps_is_left_alone(full_body, half_body):
    poses = [full_body, half_body, full_body]
    filled, held = fill_gaps(poses, max_gap_frames=0)
    assert held == []
    assert [a.equals(b) for a, b in zip(poses, filled, strict=True)] == [True] * 3


def test_a_short_gap_is_interpolated(full_body):
    filled, held = fill_gaps([full_body, EMPTY, EMPTY, EMPTY, moved(full_body, 8)], 3)
    assert held == []
    for index, dx in enumerate((0, 2, 4, 6, 8)):
        expected = moved(full_body, dx)
        for part in ("body", "face", "left_hand", "right_hand"):
            np.testing.assert_allclose(
                getattr(filled[index], part), getattr(expected, part), atol=1e-3
            )
    assert filled[2].body_score[0] < full_body.body_score[0]
    assert filled[4].equals(moved(full_body, 8))


def test_a_longer_gap_and_the_ends_are_held(full_body):
    later = moved(full_body, 8)
    filled, held = fill_gaps([EMPTY, full_body, EMPTY, EMPTY, EMPTY, later, EMPTY, EMPTY], 2)
    assert held == [0, 2, 3, 4, 6, 7]
    shown = [float(pose.body[0, 0] - full_body.body[0, 0]) for pose in filled]
    assert shown == pytest.approx([0, 0, 0, 0, 0, 8, 8, 8])
    assert 0 < filled[4].body_score[0] == filled[2].body_score[0] < full_body.body_score[0]


def test_what_stays_unseen_is_not_invented(half_body):
    filled, _ = fill_gaps([half_body, EMPTY, half_body], 5)
    knee = BODY_JOINTS.index("left_knee")
    assert np.isnan(filled[1].body[knee]).all()
    assert filled[1].body_score[knee] == 0
    assert np.isnan(filled[1].left_hand).all()


def test_a_missing_hand_follows_its_wrist(full_body):
    handless = without(full_body, "left_hand")
    jump = moved(handless, 40)  # the wrist does not move evenly
    filled, held = fill_gaps([full_body, jump, moved(full_body, 10)], 4)
    assert held == []
    np.testing.assert_allclose(filled[1].left_hand, moved(full_body, 40).left_hand, atol=1e-3)
    assert (filled[1].left_hand_score > 0).all()
    assert filled[1].left_hand_score[0] < full_body.left_hand_score[0]


def test_a_hand_missing_for_long_stays_missing(full_body):
    handless = without(full_body, "left_hand")
    filled, _ = fill_gaps([full_body, handless, handless, handless, full_body], 2)
    assert not any(pose.left_hand_score.any() for pose in filled[1:4])


def test_the_way_across_a_gap_keeps_the_speed_at_its_ends(full_body):
    frames = np.arange(30)
    height = 0.08 * (frames - 15.0) ** 2  # thrown up, seen but at the top
    clip = [full_body.map_points(lambda p, y=y: p + np.float32([0, y]), 256, 256) for y in height]
    gappy = [EMPTY if 11 <= i < 20 else pose for i, pose in enumerate(clip)]
    filled, _ = fill_gaps(gappy, 9)
    straight = height[10] + (height[20] - height[10]) * 0.5 - height[15]
    assert straight > 1.9
    assert abs(filled[15].body[1, 1] - clip[15].body[1, 1]) < 0.4 * straight


def test_who_leaves_the_picture_is_held_whole_not_as_the_arm_seen_last(full_body):
    arm = ("left_elbow", "left_wrist")
    score = [0.9 * (joint in arm) for joint in BODY_JOINTS]
    last = Pose.of(256, 256, body=np.column_stack([full_body.body, score]))
    clip = [moved(full_body, -4), full_body, last, *[EMPTY] * 3, full_body]
    filled, held = fill_gaps(clip, 0)
    assert held == [3, 4, 5]
    np.testing.assert_allclose(filled[4].body, full_body.body)
    np.testing.assert_allclose(filled[4].face, full_body.face)
