import numpy as np
import pytest

from magicpose_cli.framing import frame, person_box
from magicpose_cli.pose.keypoints import Pose


def spot(width, height, x, y):
    """A black picture with one white square around a point, and a pose with its nose there."""
    picture = np.zeros((height, width, 3), np.uint8)
    picture[y - 6 : y + 6, x - 6 : x + 6] = 255
    body = np.zeros((18, 3))
    body[0] = x, y, 1
    return picture, Pose.of(width, height, body=body)


@pytest.mark.parametrize("fit", ["crop", "pad", "stretch"])
@pytest.mark.parametrize(("width", "height"), [(200, 100), (100, 200), (96, 96)])
@pytest.mark.parametrize("target", [(64, 64), (64, 96), (128, 32)])
def test_picture_and_pose_stay_together(fit, width, height, target):
    picture, pose = spot(width, height, width // 2 + 4, height // 2 - 3)
    framing = frame((width, height), target, fit)
    framed, moved = framing.picture(picture), framing.pose(pose)
    assert framed.shape == (target[1], target[0], 3)
    assert (moved.width, moved.height) == target
    ys, xs = np.nonzero(framed[..., 0] > 127)
    center = np.array([xs.mean() + 0.5, ys.mean() + 0.5])
    assert np.abs(center - moved.body[0]).max() < 1.0


def test_crop_follows_the_person_and_keeps_the_head():
    tall = frame((100, 300), (64, 64), "crop", person=(10, 40, 90, 280))
    assert tall.window == (0, 40, 100, 140)
    side = frame((300, 100), (64, 64), "crop", person=(220, 10, 280, 90))
    assert side.window == (200, 0, 300, 100)
    assert frame((300, 100), (64, 64), "crop").window == (100, 0, 200, 100)


def test_pad_keeps_everything_and_is_black_outside():
    framing = frame((200, 100), (64, 64), "pad")
    framed = framing.picture(np.full((100, 200, 3), 255, np.uint8))
    assert framed[:12].max() == 0 and framed[20:44].min() == 255 and framed[-12:].max() == 0


def test_a_picture_of_the_right_size_is_untouched():
    picture = np.random.default_rng(0).integers(0, 255, (64, 64, 3), dtype=np.uint8)
    assert np.array_equal(frame((64, 64), (64, 64), "crop").picture(picture), picture)


def test_nobody_has_no_box():
    assert person_box([Pose.of(10, 10)]) is None
