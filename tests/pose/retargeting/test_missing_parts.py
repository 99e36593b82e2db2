"""What the reference's picture ends before never grows in the result."""

import numpy as np
import pytest

from magicpose_cli.pose.keypoints import BODY_JOINTS, PARTS, Pose
from magicpose_cli.pose.retargeting.retarget import retarget
from tests.pose.drawn import at_rest, exact_poses, joined, motion, two_people

LEGS = ("right_knee", "right_ankle", "left_knee", "left_ankle")


def without(pose, *joints, parts=tuple(PARTS)):
    kept = {p: np.column_stack([getattr(pose, p), getattr(pose, f"{p}_score")]) for p in parts}
    for joint in joints:
        kept["body"][BODY_JOINTS.index(joint), 2] = 0.0
    return Pose.of(pose.width, pose.height, **kept)


def cut_below(pose, height):
    """The picture ends at this height."""
    kept = {}
    for part in PARTS:
        points, score = getattr(pose, part), getattr(pose, f"{part}_score")
        kept[part] = np.column_stack([points, np.where(points[:, 1] < height, score, 0)])
    return Pose.of(pose.width, int(height), **kept)


@pytest.fixture
def standing():
    person, driver = two_people(2)
    (target,) = exact_poses(person, at_rest())
    return target, exact_poses(driver, joined(at_rest(), motion(2, 20)))


def seen_joints(result):
    seen = np.stack([pose.body_score > 0 for pose in result.poses]).any(axis=0)
    return {name for name, found in zip(BODY_JOINTS, seen, strict=True) if found}


@pytest.mark.parametrize("mode", ["align", "skeleton"])
def test_a_reference_cut_at_the_waist_never_grows_legs(standing, mode):
    target, clip = standing
    waist = target.body[BODY_JOINTS.index("right_hip"), 1] + 5
    result = retarget(clip, cut_below(target, waist), mode)
    assert not seen_joints(result) & set(LEGS)
    assert "knees" in result.dropped and "ankles" in result.dropped
    assert {"nose", "right_elbow", "left_hip"} <= seen_joints(result)


def test_cut_at_the_chest_it_has_no_hips_either(standing):
    target, clip = standing
    result = retarget(clip, cut_below(target, target.body[1, 1] + 30), "skeleton")
    assert not seen_joints(result) & {*LEGS, "right_hip", "left_hip", "right_wrist", "left_wrist"}
    assert {"hips", "knees", "ankles", "wrists", "hands"} <= set(result.dropped)
    for pose in result.poses:
        assert not (pose.right_hand_score > 0).any()


def test_an_arm_behind_the_back_may_come_out(standing):
    target, clip = standing
    hidden = without(target, "right_elbow", "right_wrist", parts=("body", "face"))
    result = retarget(clip, hidden, "skeleton")
    assert {"right_elbow", "right_wrist"} <= seen_joints(result)
    assert (result.poses[3].right_hand_score > 0).all()  # a hand is often just not found
    whole = retarget(clip, target, "skeleton")
    wrist = BODY_JOINTS.index("right_wrist")
    for one, other in zip(result.poses, whole.poses, strict=True):  # as long as the other arm
        np.testing.assert_allclose(one.body[wrist], other.body[wrist], atol=3)
    assert result.dropped == ()


def test_a_hand_shows_its_wrist(standing):
    """The wrist is hidden in a picture that ends where the arm, hanging down, would be longer."""
    target, clip = standing
    above = without(target, "right_wrist")
    above = above.map_points(lambda points: points, above.width, int(target.body[3, 1]) + 10)
    lost = without(above, "right_wrist", parts=("body", "face", "left_hand"))
    wrist = BODY_JOINTS.index("right_wrist")
    for reference, seen in ((above, True), (lost, False)):
        result = retarget(clip, reference, "skeleton")
        assert all((pose.body_score[wrist] > 0) == seen for pose in result.poses)


def test_nobody_has_legs_in_front_of_a_table(standing):
    target, clip = standing
    seated = without(target, *LEGS, "right_hip", "left_hip")
    assert not seen_joints(retarget(clip, seated, "skeleton")) & set(LEGS)


def test_seen_from_behind_there_is_no_face(standing):
    target, clip = standing
    head = ("nose", "right_eye", "left_eye", "right_ear", "left_ear")
    behind = without(target, *head, parts=("body", "right_hand", "left_hand"))
    result = retarget(clip, behind, "skeleton")
    assert "face" in result.dropped
    assert not any((pose.face_score > 0).any() for pose in result.poses)


def test_a_whole_reference_lacks_nothing_and_a_missing_driver_part_is_not_named(standing):
    target, clip = standing
    assert retarget(clip, target, "skeleton").dropped == ()
    legless = [without(pose, *LEGS) for pose in clip]
    half = cut_below(target, target.body[BODY_JOINTS.index("right_hip"), 1] + 5)
    assert "knees" not in retarget(legless, half, "skeleton").dropped
