import sys
from itertools import chain

import numpy as np
import pytest

from magicpose_cli.errors import ConfigError
from magicpose_cli.pose import mediapipe_holistic as holistic
from magicpose_cli.pose.detect import DETECTORS, detect_one, load_detector


def test_an_unknown_detector_lists_the_known():
    with pytest.raises(ConfigError, match="'openpose' is not known; expected one of auto, media"):
        load_detector("openpose")


def test_a_missing_package_names_what_to_install(monkeypatch):
    monkeypatch.setitem(sys.modules, "mediapipe", None)
    with pytest.raises(ConfigError, match=r"pip install 'mediapipe==0\.10\.21'"):
        load_detector("mediapipe")


@pytest.mark.parametrize("name", DETECTORS)
@pytest.mark.parametrize("still", [True, False])
def test_a_picture_without_anybody_gives_an_empty_pose_in_silence(name, still, capfd):
    detector = load_detector(name, still=still)
    for width, height in ((320, 240), (97, 161)):
        picture = np.full((height, width, 3), 127, np.uint8)
        assert detector.detect(picture) == []
        pose = detect_one(detector, picture)
        assert pose.is_empty
        assert (pose.width, pose.height) == (width, height)
    detector.close()
    assert capfd.readouterr() == ("", "")


def test_the_face_table_names_the_right_parts_of_the_mesh():
    connections = pytest.importorskip("mediapipe.python.solutions.face_mesh_connections")
    table = holistic.FACE_FROM_478
    assert len(set(table)) == 68
    groups = {
        "FACE_OVAL": table[0:17], "RIGHT_EYEBROW": table[17:22], "LEFT_EYEBROW": table[22:27],
        "NOSE": table[27:36], "RIGHT_EYE": table[36:42], "LEFT_EYE": table[42:48],
        "LIPS": table[48:68],
    }  # fmt: skip
    for name, points in groups.items():
        assert set(points) <= set(chain(*getattr(connections, f"FACEMESH_{name}"))), name


@pytest.mark.parametrize(
    ("group", "start", "stop", "closed"),
    [
        ("FACE_OVAL", 0, 17, False),
        ("RIGHT_EYE", 36, 42, True),
        ("LEFT_EYE", 42, 48, True),
        ("LIPS", 48, 60, True),
        ("LIPS", 60, 68, True),
    ],
)
def test_points_follow_their_outline(group, start, stop, closed):
    """Walking the mesh's own outline from the first point meets the others in our order."""
    connections = pytest.importorskip("mediapipe.python.solutions.face_mesh_connections")
    neighbors: dict[int, set[int]] = {}
    for a, b in getattr(connections, f"FACEMESH_{group}"):
        neighbors.setdefault(a, set()).add(b)
        neighbors.setdefault(b, set()).add(a)
    points = holistic.FACE_FROM_478[start:stop]

    def walk(second):
        path = [points[0], second]
        while len(following := neighbors[path[-1]] - set(path)) == 1:
            path += following
        return [point for point in path if point in points]

    assert list(points) in [walk(second) for second in neighbors[points[0]]]


def test_the_neck_lies_between_the_shoulders_and_guesses_are_dropped():
    landmark_pb2 = pytest.importorskip("mediapipe.framework.formats.landmark_pb2")

    class Found:
        pose_landmarks = landmark_pb2.NormalizedLandmarkList()
        face_landmarks = left_hand_landmarks = right_hand_landmarks = None

    for index in range(33):
        Found.pose_landmarks.landmark.add(x=index / 100, y=0.5, visibility=0.9)
    Found.pose_landmarks.landmark[11].x = 0.6  # left shoulder
    Found.pose_landmarks.landmark[12].x = 0.2
    Found.pose_landmarks.landmark[12].visibility = 0.7
    Found.pose_landmarks.landmark[28].visibility = 0.2  # right ankle: a guess
    Found.pose_landmarks.landmark[27].y = 1.01  # left ankle: below the picture
    pose = holistic._to_pose(Found, 200, 100)
    np.testing.assert_allclose(pose.body[1], (80, 50), atol=1e-4)
    assert pose.body_score[1] == pytest.approx(0.7)
    np.testing.assert_allclose(pose.body[2], (40, 50), atol=1e-4)
    np.testing.assert_allclose(pose.body[14], (10, 50), atol=1e-4)  # right eye: landmark 5
    assert np.flatnonzero(pose.body_score == 0).tolist() == [10, 13]
    assert np.isnan(pose.body[[10, 13]]).all()
    assert pose.body_score[0] == pytest.approx(0.9)
