from dataclasses import replace

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from magicpose_cli.errors import ConfigError, DetectionError
from magicpose_cli.pose.keypoints import BODY_JOINTS, PARTS, Pose
from magicpose_cli.pose.retargeting.retarget import retarget

FIXED_POSES = ("full_body", "half_body", "cut_off_close_up")


def laid(*args, **options):
    return retarget(*args, **options).poses


def only(pose, *parts):
    kept = {p: np.column_stack([getattr(pose, p), getattr(pose, f"{p}_score")]) for p in parts}
    return Pose.of(pose.width, pose.height, **kept)


def scaled(pose, scale, dx=0.0, dy=0.0, width=1920, height=1080):
    shift = np.array([dx, dy])
    return pose.map_points(lambda points: points * scale + shift, width, height)


def assert_close(pose, expected, tolerance=0.1):
    assert (pose.width, pose.height) == (expected.width, expected.height)
    for part in PARTS:
        np.testing.assert_allclose(getattr(pose, part), getattr(expected, part), atol=tolerance)


def dance(pose, frames=12):
    """The pose with its arms and head going up and down and the whole of it side to side."""
    clip = []
    for phase in np.linspace(0, 2 * np.pi, frames):
        moved = scaled(pose, 1.0, 9 * np.sin(phase), 0, pose.width, pose.height)
        for joint in ("right_wrist", "left_wrist", "right_elbow", "nose"):
            moved.body[BODY_JOINTS.index(joint)] += np.float32([0, 6 * np.cos(phase)])
        clip.append(moved)
    return clip


@pytest.mark.parametrize("name", FIXED_POSES)
def test_the_reference_held_is_the_identity(name, request):
    target = request.getfixturevalue(name)
    for pose in laid([target] * 5, target):
        assert_close(pose, target)


@pytest.mark.parametrize("name", FIXED_POSES)
def test_the_reference_seen_at_another_size_comes_home(name, request):
    target = request.getfixturevalue(name)
    (pose,) = laid([scaled(target, 3.7, 400, -90)], target, "align")
    assert_close(pose, target)


@pytest.mark.slow
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=25)
@given(
    scale=st.floats(0.2, 5), dx=st.floats(-500, 2000), dy=st.floats(-500, 2000),
    name=st.sampled_from(FIXED_POSES),
)  # fmt: skip
def test_how_the_driver_is_filmed_changes_nothing(full_body, request, scale, dx, dy, name):
    target = request.getfixturevalue(name)
    clip = dance(full_body)
    straight = laid(clip, target)
    filmed = laid([scaled(pose, scale, dx, dy) for pose in clip], target)
    for a, b in zip(straight, filmed, strict=True):
        assert_close(a, b)


def test_the_motion_is_kept(full_body):
    target = scaled(full_body, 2.0, 30, 40, 600, 600)
    clip = dance(full_body)
    moved = retarget(clip, target, "align")
    result = moved.poses
    step = result[3].body[0] - result[0].body[0]
    np.testing.assert_allclose(step, 2 * (clip[3].body[0] - clip[0].body[0]), rtol=0.02)
    np.testing.assert_allclose(result[moved.anchor].body[1], target.body[1], atol=1.5)


def test_a_face_is_enough(full_body):
    target = scaled(full_body, 2.0, 5, 6, 512, 512)
    (pose,) = laid([only(full_body, "face")], only(target, "face"))
    assert_close(pose, only(target, "face"))
    (pose,) = laid([only(full_body, "face")], target)  # a talking head onto a whole body
    assert_close(only(pose, "face"), only(target, "face"))
    below_head = slice(1, 14)  # the body is kept, the driver's head has no joints
    np.testing.assert_allclose(pose.body[below_head], target.body[below_head], atol=0.1)


def test_a_shoulder_seen_in_few_frames_does_not_move_a_talking_head(full_body):
    target = scaled(full_body, 2.0, 5, 6, 512, 512)
    head = only(full_body, "face")
    head.body[0] = full_body.body[0]
    glimpse = only(full_body, "face")
    glimpse.body[:6] = full_body.body[:6] + np.float32([30, 10])  # a careless guess
    result = laid([glimpse] + [head] * 9, target)
    np.testing.assert_allclose(result[5].face, target.face, atol=0.1)


def test_one_good_frame_is_enough(full_body):
    empty = Pose.of(256, 256)
    result = laid([empty, scaled(full_body, 2.0), empty], full_body)
    assert_close(result[1], full_body)
    assert result[0].is_empty


def test_a_few_wild_frames_change_little(full_body):
    clip = dance(full_body, 30)
    for index in (4, 17):
        clip[index] = scaled(clip[index], 6.0, -700, 300, 256, 256)
    result = laid(clip, full_body)
    straight = laid(dance(full_body, 30), full_body)
    assert_close(result[0], straight[0], tolerance=3.0)


def test_none_leaves_the_poses_as_they_are(full_body, half_body):
    result = laid([full_body, half_body], None, "none")
    assert result[0].equals(full_body)
    assert result[1].equals(half_body)


@pytest.mark.parametrize("target", [None, Pose.of(64, 64)])
def test_an_empty_reference_is_an_error_that_knows_the_way_out(target, full_body):
    with pytest.raises(DetectionError, match="--retarget none") as caught:
        laid([full_body], target, "align")
    assert "\n" not in str(caught.value)


def test_nothing_in_common_is_an_error(full_body):
    with pytest.raises(DetectionError, match=r"no two points.*--retarget none"):
        laid([only(full_body, "body")], only(full_body, "face"))


def test_an_unknown_mode_lists_the_known(full_body):
    with pytest.raises(
        ConfigError, match="'bones' is not known; expected one of auto, none, align"
    ):
        laid([full_body], full_body, "bones")


@pytest.mark.parametrize("mode", ["auto", "align", "skeleton", "full"])
def test_the_other_arm_is_nothing_in_common(full_body, mode):
    """Both have an upper arm, of different sides."""

    def arm(side):
        score = [0.9 * (name in (f"{side}_shoulder", f"{side}_elbow")) for name in BODY_JOINTS]
        return Pose.of(256, 256, body=np.column_stack([full_body.body, score]))

    with pytest.raises(DetectionError, match="no two points"):
        retarget([arm("left")], arm("right"), mode)


def test_a_face_near_the_camera_is_no_larger_than_the_references(full_body):
    """A selfie: the head is twice as large beside the shoulders, and its hips are a guess."""
    near = full_body.face[8].copy()
    head = [0, 14, 15, 16, 17]
    body, score = full_body.body.copy(), full_body.body_score.copy()
    body[head] = near + 2 * (body[head] - near)
    score[[4, 7, 9, 10, 12, 13]] = 0
    selfie = Pose.of(
        256, 256,
        body=np.column_stack([body, score]),
        face=np.column_stack([near + 2 * (full_body.face - near), full_body.face_score]),
    )  # fmt: skip
    clip = [scaled(selfie, 2.0, -128, -40, 256, 256)] * 3
    found = retarget(clip, full_body)
    assert found.mode == "align"
    placed = found.poses[0]
    high = float(np.ptp(full_body.face[:, 1]))
    assert np.ptp(placed.face[:, 1]) == pytest.approx(high, rel=0.25)
    for joint in (14, 15):
        assert abs(placed.body[joint, 1] - full_body.body[joint, 1]) < 0.15 * high
    np.testing.assert_allclose(placed.body[[1, 2, 5]], full_body.body[[1, 2, 5]], atol=1)


def test_a_face_that_the_reference_lacks_is_said(full_body):
    faceless = replace(
        full_body, face=np.full_like(full_body.face, np.nan), face_score=np.zeros(68, np.float32)
    )
    assert "shows no face points" in str(retarget([full_body], faceless).notes())
    assert "face points" not in str(retarget([full_body], full_body).notes())
