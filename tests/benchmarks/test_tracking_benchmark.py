"""What tracking must show, on drawn people whose joints are known exactly."""

from dataclasses import replace

import numpy as np
import pytest

from magicpose_cli.benchmarks.tracking_benchmark import (
    TRACKED_FPS,
    Mistakes,
    compare_tracking,
    drawn_motions,
    lag,
    measure_tracking,
    plant,
)
from magicpose_cli.pose.tracking.track import Detection, track
from magicpose_cli.synthetic.people import TEST_SEEDS

NOTHING = Mistakes(
    noise=0, fine_noise=0, dropouts=0, hidden=0, swaps=0, jumps=0
)  # what a perfect detector would do wrong
SEED = TEST_SEEDS + 4711


def restored(mistakes, clips=3):
    """Mean numbers over some clips with these mistakes."""
    rng = np.random.default_rng(0)
    numbers = []
    for truth, height in drawn_motions(clips, 100, SEED):
        found = plant(truth, height, mistakes, rng)
        poses, report = track(
            [[Detection(p)] if not p.is_empty else [] for p in found], TRACKED_FPS
        )
        numbers.append(compare_tracking(truth, found, poses, height, report))
    return {name: np.mean([n[name] for n in numbers]) for name in numbers[0]}


@pytest.mark.slow
def test_all_mistakes_at_once():
    numbers = measure_tracking(4, SEED)
    assert numbers["body_error_before"] > 1.4
    assert numbers["body_error_after"] < 0.75
    assert numbers["face_error_after"] < 0.7
    assert numbers["hands_error_after"] < 0.75
    assert numbers["body_jitter_after"] < 0.1 * numbers["body_jitter_before"]
    assert numbers["face_jitter_after"] < 0.5 * numbers["face_jitter_before"]
    assert numbers["hands_jitter_after"] < 0.4 * numbers["hands_jitter_before"]
    assert abs(numbers["lag_frames"]) < 0.05


def test_what_is_right_is_left_alone():
    numbers = restored(NOTHING)
    assert numbers["flips_found"] == numbers["jumps_found"] == 0
    assert numbers["body_error_after"] < 0.02  # of smoothing alone
    assert numbers["face_error_after"] < 0.02
    assert numbers["hands_error_after"] < 0.08


@pytest.mark.parametrize(
    ("mistake", "value", "error"),
    [("noise", 0.01, 0.60), ("dropouts", 0.1, 0.03), ("hidden", 6, 0.05),
     ("swaps", 0.1, 0.05), ("jumps", 0.1, 0.05)],
)  # fmt: skip
def test_one_mistake_at_a_time(mistake, value, error):
    numbers = restored(replace(NOTHING, **{mistake: value}))
    assert numbers["body_error_after"] < error
    assert abs(numbers["lag_frames"]) < 0.05
    if mistake == "swaps":
        assert numbers["flips_found"] >= 5


def test_lag_is_measured():
    rng = np.random.default_rng(0)
    path = np.cumsum(rng.normal(size=(120, 3, 2)), axis=0)
    assert lag(path[3:], path[:-3]) == pytest.approx(3, abs=0.1)
    assert lag(path[:-2], path[2:]) == pytest.approx(-2, abs=0.1)
    assert lag(path, path) == pytest.approx(0, abs=0.01)
