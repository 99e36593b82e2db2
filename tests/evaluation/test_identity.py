"""Faces told apart by a network, where it is installed."""

from importlib.util import find_spec

import numpy as np
import pytest
from skimage import data

from magicpose_cli.evaluation import identity
from magicpose_cli.evaluation.identity import FaceIdentity, weights_folder_of_faces
from magicpose_cli.evaluation.samples import MadeSample, Sample
from magicpose_cli.pose.keypoints import Pose

FACE_BOX = (180, 85, 260, 170)  # of the astronaut


@pytest.fixture(scope="module")
def astronaut() -> np.ndarray:
    return data.astronaut()


def pose_of_face(box, size=512) -> Pose:
    """A pose whose face's points lie on a grid in the box."""
    left, top, right, bottom = box
    grid = np.stack(np.meshgrid(np.linspace(left, right, 17), np.linspace(top, bottom, 4)), -1)
    return Pose.of(size, size, face=np.column_stack([grid.reshape(68, 2), np.ones(68)]))


def made(truth, picture, found, truth_found):
    return MadeSample(Sample("a", "a", None, truth), picture, None, found, truth_found)


def test_what_is_missing_is_one_line(monkeypatch):
    assert "it needs a detector" in FaceIdentity(detector=False).missing["identity"]
    monkeypatch.setattr(identity, "WEIGHTS_PACKAGE", "no_such_package")
    assert weights_folder_of_faces() is None
    without = FaceIdentity(detector=True)
    assert "pip install 'magicpose[identity]'" in without.missing["identity"]
    assert without.metrics == () and "\n" not in without.missing["identity"]


@pytest.mark.slow
@pytest.mark.skipif(
    find_spec("dlib") is None or weights_folder_of_faces() is None, reason="needs dlib"
)
def test_a_face_is_itself_in_other_light_and_nobody_where_none_is(astronaut):
    faces = FaceIdentity(detector=True)
    distance, same = (metric.function for metric in faces.metrics)
    assert faces.missing == {}
    pose = pose_of_face(FACE_BOX)
    darker = (0.8 * astronaut).astype(np.uint8)
    assert 0 < distance(made(astronaut, darker, pose, pose)) < 0.3
    assert same(made(astronaut, darker, pose, pose)) == 100
    shifted = np.roll(astronaut, 40, axis=1)
    there = pose_of_face(np.add(FACE_BOX, (40, 0, 40, 0)))
    assert distance(made(astronaut, shifted, there, pose)) < 0.1
    gray = np.full_like(astronaut, 128)
    assert distance(made(astronaut, gray, pose, pose)) is None
    assert same(made(astronaut, gray, pose, pose)) == 0
    assert same(made(gray, astronaut, pose, pose)) is None
    assert faces.face_numbers(gray, None) is None
    outside = pose_of_face(np.add(FACE_BOX, 600))
    assert faces.face_numbers(astronaut.copy(), outside) is None
    numbers = faces.face_numbers(astronaut, pose)
    assert numbers.shape == (128,) and faces.face_numbers(astronaut, pose) is numbers
