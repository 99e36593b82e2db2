from pathlib import Path

import cv2
import numpy as np
import pytest

from magicpose_cli.pose.draw import StickSizes, draw, overlay
from magicpose_cli.pose.keypoints import BODY_JOINTS, PARTS, Pose

DATA = Path(__file__).parent / "data"
FIXED_POSES = ("full_body", "half_body", "cut_off_close_up")


@pytest.mark.parametrize("name", FIXED_POSES)
def test_picture_is_the_stored_one(name, request):
    stored = cv2.cvtColor(cv2.imread(str(DATA / f"{name}.png")), cv2.COLOR_BGR2RGB)
    np.testing.assert_array_equal(draw(request.getfixturevalue(name)), stored)


@pytest.mark.parametrize("name", FIXED_POSES)
def test_picture_is_what_controlnet_aux_draws(name, request):
    dwpose = pytest.importorskip("controlnet_aux.dwpose", exc_type=ImportError)
    pose = request.getfixturevalue(name)

    def normalized(points):
        return np.where(np.isnan(points), -1.0, points.astype(float) / (pose.width, pose.height))

    seen = np.where(np.isnan(pose.body[:, 0]), -1, np.arange(18))
    theirs = dwpose.draw_pose(
        {
            "bodies": {"candidate": normalized(pose.body), "subset": [seen]},
            "hands": [normalized(pose.left_hand), normalized(pose.right_hand)],
            "faces": [normalized(pose.face)],
        },
        pose.height,
        pose.width,
    )
    np.testing.assert_array_equal(draw(pose), theirs)


def test_nobody_is_black():
    picture = draw(Pose.of(40, 30))
    assert picture.shape == (30, 40, 3)
    assert picture.dtype == np.uint8
    assert not picture.any()


def test_one_unseen_joint_takes_its_limbs_and_its_dot_along(full_body):
    before = draw(full_body)
    full_body.body[BODY_JOINTS.index("left_knee")] = np.nan
    picture = draw(full_body)
    assert before[150:217, 138:162].any(axis=(1, 2)).all()  # thigh, knee and shin
    assert not picture[150:217, 138:162].any()
    assert tuple(picture[221, 157]) == (85, 0, 255)  # the ankle's dot stays


def test_limbs_are_dark_and_joints_bright():
    body = np.zeros((18, 3))
    body[BODY_JOINTS.index("right_hip")] = 50.5, 20.5, 1
    body[BODY_JOINTS.index("right_knee")] = 50.5, 80.5, 1
    picture = draw(Pose.of(100, 100, body=body))
    assert tuple(picture[50, 50]) == (0, 153, 51)
    assert tuple(picture[20, 50]) == (0, 255, 170)
    assert tuple(picture[80, 50]) == (0, 255, 255)
    assert picture[50, 46:55].any(axis=1).all()  # half-width 4
    assert not picture[50, 45].any()
    assert not picture[50, 55].any()


def test_the_face_lies_over_hands_over_the_body():
    parts = {part: np.tile((20.5, 20.5, 1.0), (count, 1)) for part, count in PARTS.items()}
    assert tuple(draw(Pose.of(40, 40, **parts))[20, 20]) == (255, 255, 255)
    del parts["face"]
    assert tuple(draw(Pose.of(40, 40, **parts))[20, 20]) == (0, 0, 255)


def test_canvas_moves_the_points_and_keeps_the_dots(full_body):
    big = draw(full_body, (512, 768))
    assert big.shape == (768, 512, 3)
    ankle = full_body.body[BODY_JOINTS.index("right_ankle")] * (2, 3)
    x, y = ankle.astype(int)
    assert tuple(big[y, x]) == (0, 170, 255)
    assert tuple(big[y, x + 4]) == (0, 170, 255)
    assert not big[y, x + 5].any()


def test_overlay_shows_the_pose_over_the_frame(full_body):
    frame = np.full((512, 512, 3), 200, np.uint8)
    shown = overlay(frame, full_body)
    drawn = draw(full_body, (512, 512))
    where = drawn.any(axis=2)
    np.testing.assert_array_equal(shown[where], drawn[where])
    assert (shown[~where] == 100).all()
    assert (frame == 200).all()


def test_an_overlay_is_drawn_in_proportion(full_body):
    """The same person on a film of twice the size has lines twice as wide."""
    sizes = [(512, 512), (1024, 1024)]
    drawn = [overlay(np.zeros((h, w, 3), np.uint8), full_body).any(axis=2).sum() for w, h in sizes]
    assert drawn[1] / drawn[0] == pytest.approx(4, rel=0.1)


def test_the_first_of_an_overlay_is_in_front(full_body):
    other = full_body.map_points(lambda p: p + np.float32(3), full_body.width, full_body.height)
    frame = np.zeros((full_body.height, full_body.width, 3), np.uint8)
    both, alone = overlay(frame, full_body, other), overlay(frame, full_body)
    drawn = alone.any(axis=2)
    assert np.array_equal(both[drawn], alone[drawn]) and both.any(axis=2).sum() > drawn.sum()


def test_sizes_of_sticks_are_the_callers(full_body):
    usual, thin = draw(full_body), draw(full_body, sizes=StickSizes(1, 1, 1, 0, 1))
    assert 0 < thin.any(axis=2).sum() < 0.5 * usual.any(axis=2).sum()
    white = (usual == 255).all(axis=2)
    assert white.any() and not (thin == 255).all(axis=2).any()  # the face's dots are gone
