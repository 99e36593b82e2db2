import sys
from dataclasses import dataclass
from itertools import chain

import numpy as np
import pytest

from magicpose_cli.errors import ConfigError
from magicpose_cli.pose.detection import mediapipe_points as mesh
from magicpose_cli.pose.detection.detect import (
    largest_first,
    load_detector,
    pick_detector,
)
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
    from magicpose_cli import catalog

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
