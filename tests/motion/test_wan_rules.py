"""Sizes, boxes and masks as Wan-Animate's generator expects them."""

import numpy as np
import pytest

from magicpose_cli.errors import ConfigError
from magicpose_cli.motion.wan_rules import grown_mask, wan_face_boxes, wan_size, wan_sticks
from magicpose_cli.pose.clip import PoseClip
from magicpose_cli.pose.keypoints import Pose


@pytest.mark.parametrize(
    ("picture", "expected"),
    [
        ((1920, 1080), (1280, 720)),
        ((1080, 1920), (720, 1280)),
        ((512, 512), (960, 960)),
        ((64, 64), (960, 960)),
    ],
)
def test_sizes_keep_the_shape(picture, expected):
    assert wan_size(*picture) == expected


@pytest.mark.parametrize("picture", [(576, 768), (811, 720), (1000, 1001), (3000, 333), (117, 900)])
@pytest.mark.parametrize("area", [(1280, 720), (832, 480), (100, 100)])
def test_sides_are_divisible_and_within_the_area(picture, area):
    width, height = wan_size(*picture, area)
    assert width % 16 == height % 16 == 0
    assert 0 < width * height <= area[0] * area[1]
    ideal = (area[0] * area[1] * picture[0] / picture[1]) ** 0.5
    assert abs(width - ideal) <= 16


def test_an_area_without_room_is_refused():
    with pytest.raises(ConfigError, match="an area of 10x10 pixels has no room"):
        wan_size(512, 512, (10, 10))


def test_sticks_grow_with_the_frame():
    assert wan_sticks(1280, 720) == (2, 2, 1, 0, 1)
    assert wan_sticks(200, 100) == (1, 1, 1, 0, 1)
    assert wan_sticks(1440, 2000) == (6, 6, 3, 0, 3)


def faced(left, top, right, bottom, size=(200, 100)):
    """A pose whose face's points fill this box."""
    corners = np.array([[left, top], [right, bottom]], float)
    points = np.concatenate([corners, np.tile(corners.mean(axis=0), (66, 1))])
    return Pose.of(*size, face=np.column_stack([points, np.ones(68)]))


def test_a_face_box_has_room_above_all():
    ((rows, columns),) = wan_face_boxes(PoseClip.of([faced(80, 40, 120, 60)]))
    gain = 1.3**0.5 - 1
    assert (columns.start, columns.stop) == (int(80 - 20 * gain), int(120 + 20 * gain))
    assert (rows.start, rows.stop) == (int(40 - 15 * gain), int(60 + 5 * gain))
    assert (rows.stop - rows.start) * (columns.stop - columns.start) > 1.2 * 40 * 20


def test_a_face_box_ends_at_the_picture():
    ((rows, columns),) = wan_face_boxes(PoseClip.of([faced(-30, -20, 220, 130)]))
    assert (rows, columns) == (slice(0, 100), slice(0, 200))


def test_a_face_far_outside_has_a_box_nevertheless():
    ((rows, columns),) = wan_face_boxes(PoseClip.of([faced(300, 150, 320, 170)]))
    assert rows.start < rows.stop <= 100 and columns.start < columns.stop <= 200


def test_frames_without_a_face_lie_between_their_neighbors():
    nobody = Pose.of(200, 100)
    first, last = faced(20, 40, 40, 60), faced(120, 40, 140, 60)
    boxes = list(wan_face_boxes(PoseClip.of([nobody, first, nobody, last])))
    starts = [columns.start for _, columns in boxes]
    assert starts[0] == starts[1] and starts[2] == (starts[1] + starts[3]) // 2
    assert list(wan_face_boxes(PoseClip.of([nobody, nobody]))) == [None, None]


def test_a_mask_fills_its_box():
    mask = np.zeros((100, 120), bool)
    mask[40, 50] = mask[60, 80] = True
    grown = grown_mask(mask)
    expected = np.zeros_like(mask)
    expected[31:70, 41:90] = True
    np.testing.assert_array_equal(grown, expected)
    assert mask.sum() == 2  # what was given stays


def test_a_mask_in_blocks_is_between_grown_and_box():
    mask = np.zeros((100, 120), bool)
    mask[40, 50] = mask[60, 80] = True
    fine, coarse = grown_mask(mask, (100, 100)), grown_mask(mask, (4, 4))
    assert fine.sum() == 2 * 19 * 19  # of one pixel each: the grown mask itself
    assert (fine <= coarse).all() and fine.sum() < coarse.sum() < grown_mask(mask).sum()


def test_an_empty_mask_stays_empty():
    assert not grown_mask(np.zeros((20, 20), bool)).any()
