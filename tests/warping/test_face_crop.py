"""Faces cut out upright."""

from dataclasses import replace

import numpy as np

from magicpose_cli.pose.keypoints import PARTS, Pose
from magicpose_cli.warping.face_crop import upright_face

SIDE = 64


def pose_of_face(points, size=200):
    parts = {part: np.full((count, 3), 0.0) for part, count in PARTS.items()}
    parts["face"] = np.column_stack([points, np.ones(68)])
    return Pose.of(size, size, **parts)


def face_points():
    """A face whose eyes, nose and mouth are what is looked at."""
    points = np.tile([100.0, 100.0], (68, 1))
    points[36:42], points[42:48] = (80, 90), (120, 90)
    points[30], points[48], points[54] = (100, 110), (85, 130), (115, 130)
    return points


def marked(points):
    picture = np.zeros((200, 200, 3), np.uint8)
    for at, color in ((36, (255, 0, 0)), (42, (0, 255, 0)), (48, (0, 0, 255))):
        x, y = points[at].round().astype(int)
        picture[y - 4 : y + 5, x - 4 : x + 5] = color
    return picture


def places(picture):
    """(x, y) of the three marks, as shares of the side."""
    found = []
    for channel in range(3):
        rows, columns = np.nonzero(picture[..., channel] > 128)
        found.append((columns.mean() / len(picture), rows.mean() / len(picture)))
    return np.array(found)


def test_eyes_are_level_and_the_head_fits_in():
    points = face_points()
    found = places(upright_face(marked(points), pose_of_face(points), SIDE))
    np.testing.assert_allclose(found[:2], [(0.36, 0.44), (0.64, 0.44)], atol=0.06)
    assert 0.6 < found[2, 1] < 0.8


def test_a_turned_face_comes_out_upright():
    points, picture = face_points(), marked(face_points())
    turned = np.rot90(picture, 1)
    around = np.stack([points[:, 1], 199 - points[:, 0]], 1)
    upright = places(upright_face(picture, pose_of_face(points), SIDE))
    np.testing.assert_allclose(
        places(upright_face(turned, pose_of_face(around), SIDE)), upright, atol=0.03
    )


def test_without_a_face_there_is_none():
    pose = pose_of_face(face_points())
    nobody = replace(pose, face=np.full((68, 2), np.nan, np.float32))
    assert upright_face(np.zeros((200, 200, 3), np.uint8), nobody, SIDE) is None
    tiny = pose_of_face(100 + face_points() / 100)
    assert upright_face(np.zeros((200, 200, 3), np.uint8), tiny, SIDE) is None
