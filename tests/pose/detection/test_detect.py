import sys
from dataclasses import dataclass
from itertools import chain

import numpy as np
import pytest

from magicpose_cli.errors import ConfigError
from magicpose_cli.pose.detection import mediapipe_points as mesh
from magicpose_cli.pose.detection.detect import (
    detect_settled,
    largest_first,
    load_detector,
    pick_detector,
)
from magicpose_cli.pose.detection.views import surest_in_views
from magicpose_cli.pose.keypoints import Pose


def test_an_unknown_detector_lists_the_known():
    with pytest.raises(ConfigError, match="'openpose' is not known; expected one of auto, dwpose"):
        load_detector("openpose")
    with pytest.raises(ConfigError, match="'openpose' is not known"):
        pick_detector("openpose")


def test_a_missing_package_names_what_to_install(monkeypatch):
    monkeypatch.setitem(sys.modules, "mediapipe", None)
    with pytest.raises(ConfigError, match=r"pip install 'mediapipe==0\.10\.21'"):
        load_detector("mediapipe")


@pytest.fixture
def packages(monkeypatch, tmp_path):
    """Says which packages are to be missing; there are no weights but what is put there."""
    monkeypatch.setenv("MAGICPOSE_HOME", str(tmp_path))

    def without(*names):
        for name in names:
            monkeypatch.setitem(sys.modules, name, None)

    return without


def test_auto_takes_the_best_at_hand(packages, monkeypatch):
    pytest.importorskip("mediapipe.python.solutions")
    pytest.importorskip("rtmlib")
    from magicpose_cli import models as catalog

    assert pick_detector("auto") == pick_detector() == "mediapipe"
    assert pick_detector("dwpose") == "dwpose"  # as asked for, at hand or not
    small = catalog.Entry("", "", (catalog.RemoteFile("a", 3, ""),))
    monkeypatch.setitem(catalog.CATALOG, "dwpose", small)
    folder = catalog.weights_folder("dwpose")
    folder.mkdir(parents=True)
    (folder / "a").write_bytes(b"abc")
    assert pick_detector() == "dwpose"
    packages("rtmlib")
    assert pick_detector() == "mediapipe"


def test_auto_without_any_says_what_each_lacks(packages):
    packages("mediapipe", "rtmlib")
    with pytest.raises(ConfigError, match="none can run: 'dwpose' needs the package") as error:
        load_detector()
    for said in ("magicpose[dwpose]", "mediapipe==0.10.21", "'mediapipe-tasks' needs"):
        assert said in str(error.value)
    assert "\n" not in str(error.value)


def test_missing_tasks_name_the_command(packages):
    pytest.importorskip("mediapipe.tasks")
    with pytest.raises(ConfigError, match="run: magicpose models fetch mediapipe-tasks"):
        load_detector("mediapipe-tasks")


def test_the_largest_comes_first_and_nobody_is_dropped():
    def person(size):
        return Pose.of(100, 100, body=np.column_stack([np.eye(18)[:, :2] * size, np.ones(18)]))

    found = largest_first([person(3), Pose.of(100, 100), person(20), person(7)])
    assert [pose.body[0, 0] for pose in found] == [20, 7, 3]


def test_the_face_table_names_the_right_parts_of_the_mesh():
    connections = pytest.importorskip("mediapipe.python.solutions.face_mesh_connections")
    table = mesh.FACE_FROM_478
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
    points = mesh.FACE_FROM_478[start:stop]

    def walk(second):
        path = [points[0], second]
        while len(following := neighbors[path[-1]] - set(path)) == 1:
            path += following
        return [point for point in path if point in points]

    assert list(points) in [walk(second) for second in neighbors[points[0]]]


@dataclass
class Landmark:
    x: float
    y: float
    z: float = 0.0
    visibility: float = 0.9


def test_the_neck_lies_between_the_shoulders_and_guesses_are_dropped():
    body = [Landmark(x=index / 100, y=0.5) for index in range(33)]
    world = [Landmark(x=index, y=2.0 * index, z=-index) for index in range(33)]
    body[11].x = 0.6  # left shoulder
    body[12].x = 0.2
    body[12].visibility = 0.7
    body[28].visibility = 0.2  # right ankle: a guess
    body[27].y = 1.01  # left ankle: below the picture
    pose = mesh.pose_of(200, 100, body=body, world=world)
    np.testing.assert_allclose(pose.body[1], (80, 50), atol=1e-4)
    assert pose.body_score[1] == pytest.approx(0.7)
    np.testing.assert_allclose(pose.body[2], (40, 50), atol=1e-4)
    np.testing.assert_allclose(pose.body[14], (10, 50), atol=1e-4)  # right eye: landmark 5
    assert np.flatnonzero(pose.body_score == 0).tolist() == [10, 13]
    assert np.isnan(pose.body[[10, 13]]).all()
    assert pose.body_score[0] == pytest.approx(0.9)
    assert np.flatnonzero(np.isnan(pose.body_3d).any(axis=1)).tolist() == [10, 13]
    assert pose.body_3d[1].tolist() == [11.5, 23, -11.5]
    assert pose.body_3d[2].tolist() == [12, 24, -12]
    assert pose.face_3d is None


def test_a_face_in_space_has_its_depth_in_pixels():
    body = [Landmark(x=0.5, y=0.5)] * 33
    face = [Landmark(x=index / 1000, y=0.5, z=-index / 1000) for index in range(478)]
    pose = mesh.pose_of(200, 100, body=body, face=face)
    points = np.array(mesh.FACE_FROM_478) / 1000
    expected = np.column_stack([200 * points, np.full(68, 50), -200 * points])
    np.testing.assert_allclose(pose.face_3d, expected, rtol=1e-6)
    assert pose.body_3d is None
    np.testing.assert_allclose(pose.body[0], (0.8, 50), rtol=1e-6)  # nose: point 4 of the mesh
    np.testing.assert_array_equal(pose.face_mesh[list(mesh.FACE_FROM_478)], pose.face_3d)
    assert pose.face_mesh.dtype == np.float32
    assert pose.face_mesh[477].tolist() == pytest.approx([95.4, 50, -95.4])  # the last of an iris


def test_a_mesh_may_leave_the_picture_but_not_as_a_whole():
    body = [Landmark(x=0.5, y=0.5)] * 33
    face = [Landmark(x=index / 400 - 0.5, y=0.5) for index in range(478)]
    pose = mesh.pose_of(200, 100, body=body, face=face)
    assert 0 < (pose.face_score > 0).sum() < 68
    assert pose.face_mesh[0].tolist() == [-100, 50, 0] and np.isfinite(pose.face_mesh).all()
    gone = [Landmark(x=1.0 + index / 400, y=0.5) for index in range(478)]
    assert mesh.pose_of(200, 100, body=body, face=gone).face_mesh is None


def test_a_face_without_irises_has_no_mesh():
    body = [Landmark(x=0.25, y=0.5)] * 33
    face = [Landmark(x=index / 1000, y=0.5) for index in range(468)]
    pose = mesh.pose_of(200, 100, body=body, face=face)
    assert pose.face_mesh is None and pose.face_3d is not None
    assert pose.body[14].tolist() == [50, 50]  # an eye is the body model's


def test_guesses_of_joints_are_kept_with_their_low_scores_near_the_picture():
    body = [Landmark(x=index / 100, y=0.5, visibility=0.9) for index in range(33)]
    body[12].visibility = 0.3  # right shoulder, and so the neck
    body[28].visibility = 0.01  # right ankle
    body[27].y = 1.09  # left ankle
    body[26].y = 1.11  # right knee
    body[25].x = -0.11  # left knee
    pose = mesh.pose_of(200, 100, body=body)
    assert np.flatnonzero(pose.body_score == 0).tolist() == [1, 2, 9, 10, 12, 13]
    guess = pose.body_guess
    assert guess.dtype == np.float32
    assert np.flatnonzero(np.isnan(guess).any(axis=1)).tolist() == [9, 12]
    assert np.isnan(guess[[9, 12]]).all()
    np.testing.assert_allclose(guess[1], (23, 50, 0.3), rtol=1e-6)
    np.testing.assert_allclose(guess[10], (56, 50, 0.01), rtol=1e-6)
    np.testing.assert_allclose(guess[13], (54, 109, 0.9), rtol=1e-6)
    seen = pose.body_score > 0
    assert np.array_equal(guess[seen, :2], pose.body[seen])
    assert np.array_equal(guess[seen, 2], pose.body_score[seen])


def test_a_mesh_found_in_a_cut_is_shifted_back():
    """The second view looked at begins at a fifth of the picture and is 0.6 of it large."""
    body = [Landmark(x=0.5, y=0.5, visibility=0.99)] * 33
    face = [Landmark(x=index / 1000, y=0.5, z=index / 1000) for index in range(478)]

    def look(picture):
        if picture.shape[:2] != (60, 120):
            return []
        return [mesh.pose_of(120, 60, body=body, face=face)]

    (pose,) = surest_in_views(np.zeros((100, 200, 3), np.uint8), look)
    index = np.arange(478) / 1000
    expected = np.column_stack([40 + 120 * index, np.full(478, 50), 120 * index])
    np.testing.assert_allclose(pose.face_mesh, expected, rtol=1e-5, atol=1e-4)
    np.testing.assert_allclose(pose.body_guess[2], (100, 50, 0.99), rtol=1e-6)


@pytest.mark.parametrize(
    ("name", "somebody", "looks"),
    [
        ("mediapipe", True, 3),
        ("mediapipe", False, 1),
        ("mediapipe-tasks", True, 1),
        ("dwpose", True, 1),
    ],
)
def test_a_first_picture_is_looked_at_until_it_has_settled(name, somebody, looks):
    class Detector:
        calls = 0

        def detect(self, frame):
            self.calls += 1
            return [Pose.of(self.calls, 9)] if somebody else []

    detector = Detector()
    people = detect_settled(detector, name, np.zeros((9, 9, 3), np.uint8))
    assert detector.calls == looks
    assert [pose.width for pose in people] == [looks] * somebody  # the last look counts
