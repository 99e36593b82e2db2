import numpy as np
import pytest

from magicpose_cli.benchmarks import turn_benchmark
from magicpose_cli.benchmarks.turn_benchmark import WAYS, correct_points, measure_turns
from magicpose_cli.pose.keypoints import Pose


def face(off: float = 0.0) -> Pose:
    points = np.random.default_rng(1).uniform(0, 100, (68, 2))
    points[39], points[42] = (40, 50), (60, 50)  # 20 pixels apart: 4 are near
    points[:34, 0] += off
    return Pose.of(100, 100, face=np.column_stack([points, np.ones(68)]))


@pytest.mark.parametrize(("off", "share"), [(0.0, 100.0), (3.9, 100.0), (4.1, 50.0)])
def test_points_are_correct_within_a_fifth_of_the_eyes_distance(off, share):
    assert correct_points(face(off), face()) == share


def test_a_face_elsewhere_is_correct_in_its_place():
    moved = face()
    moved.face[:] += (30, -10)
    assert correct_points(moved, face()) == 0
    assert correct_points(moved, face(), in_place=True) == 100


def test_no_face_has_no_correct_point():
    assert correct_points(None, face()) == 0


@pytest.mark.slow
def test_people_are_turned_and_compared(monkeypatch):
    monkeypatch.setattr(turn_benchmark, "TURNED_PICTURE_PX", 256)
    monkeypatch.setattr(turn_benchmark, "YAWS_DEG", (20.0,))
    monkeypatch.setattr(turn_benchmark, "FIRST_TURN_SEED", 3_000_000_001)
    measured = measure_turns(1)
    assert (measured.people, measured.failed) == (1, 0)
    assert {score.way for score in measured.scores} == set(WAYS)
    assert all(10 < score.psnr < 60 and 0 < score.ssim <= 1 for score in measured.scores)
