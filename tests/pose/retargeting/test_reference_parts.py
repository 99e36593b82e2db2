"""What the driver never shows stays as the reference has it."""

import numpy as np
import pytest

from magicpose_cli.pose.keypoints import BODY_JOINTS, PARTS, Pose
from magicpose_cli.pose.retargeting.retarget import retarget
from tests.pose.drawn import at_rest, exact_poses, joined, motion, two_people

HEAD = ("nose", "right_eye", "left_eye", "right_ear", "left_ear")


def joint(poses, name):
    return np.stack([pose.body[BODY_JOINTS.index(name)] for pose in poses])


def showing(pose, joints, parts=("face",)):
    kept = {p: np.column_stack([getattr(pose, p), getattr(pose, f"{p}_score")]) for p in parts}
    seen = [name in joints for name in BODY_JOINTS]
    body = np.column_stack([pose.body, np.where(seen, pose.body_score, 0)])
    return Pose.of(pose.width, pose.height, body=body, **kept)


@pytest.fixture
def clip():
    person, driver = two_people(4)
    (target,) = exact_poses(person, at_rest())
    return target, exact_poses(driver, joined(at_rest(), motion(4, 20)))


def test_a_talking_head_keeps_the_references_body(clip):
    target, driver = clip
    heads = [showing(pose, HEAD) for pose in driver]
    heads[4] = showing(driver[4], (*HEAD, "neck", "left_shoulder"))  # a guess in one frame
    result = retarget(heads, target)
    assert result.mode == "align"
    assert {"shoulders", "hips", "ankles"} <= set(result.held)
    for name in ("neck", "left_shoulder", "right_wrist", "left_ankle"):
        index = BODY_JOINTS.index(name)
        np.testing.assert_allclose(
            joint(result.poses, name), np.tile(target.body[index], (21, 1)), atol=0.01
        )
    np.testing.assert_allclose(result.poses[7].right_hand, target.right_hand, atol=0.01)
    assert np.ptp(joint(result.poses, "nose"), axis=0).max() > 2  # the head moves


def test_arms_hang_on_moving_shoulders_and_legs_stand(clip):
    target, driver = clip
    shown = (*HEAD, "neck", "right_shoulder", "left_shoulder", "left_elbow", "left_wrist")
    result = retarget([showing(pose, shown) for pose in driver], target, "skeleton")
    assert {"right elbow", "right wrist", "hips", "knees", "ankles"} == set(result.held)
    arm = joint(result.poses, "right_wrist") - joint(result.poses, "right_shoulder")
    assert np.ptp(arm, axis=0).max() < 0.01
    assert np.ptp(joint(result.poses, "right_shoulder"), axis=0).max() > 1
    assert np.ptp(joint(result.poses, "left_ankle"), axis=0).max() == 0


def test_legs_go_along_with_somebody_who_walks_through_the_picture(clip):
    target, driver = clip
    walking = [
        showing(pose, (*HEAD, "neck", "right_shoulder", "left_shoulder", "left_elbow")).map_points(
            lambda points, k=k: points + np.float32((20 * k, 0)), pose.width, pose.height
        )
        for k, pose in enumerate(driver)
    ]
    poses = retarget(walking, target, "skeleton").poses
    leg = joint(poses, "left_hip") - joint(poses, "neck")
    assert np.ptp(leg, axis=0).max() < 0.01


def test_what_both_lack_stays_away_and_what_the_driver_shows_is_the_drivers(clip):
    target, driver = clip
    assert retarget(driver, target).held == ()
    heads = [showing(pose, HEAD) for pose in driver]
    result = retarget(heads, showing(target, HEAD))
    assert result.held == ()
    for pose in result.poses:
        assert (pose.body_score > 0).sum() == len(HEAD)
        assert all((np.isfinite(getattr(pose, p)).all(1) == (getattr(pose, f"{p}_score") > 0)).all()
                   for p in PARTS)  # fmt: skip
