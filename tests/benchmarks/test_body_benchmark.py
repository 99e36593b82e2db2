import dataclasses

import numpy as np
import pytest

from magicpose_cli.benchmarks import body_benchmark
from magicpose_cli.benchmarks.body_benchmark import (
    ALL_MOVES,
    DETECTOR_POINTS,
    FITTED_BODY,
    SOURCES,
    BodyErrors,
    measure_bodies,
    measure_errors,
)
from magicpose_cli.benchmarks.known_motion import KNOWN_FPS, KnownMotion

FRAMES = 20
LEVEL = np.array([0.0, -1.0, 0.0])


@pytest.fixture
def truth():
    """Points that drift about; their hips move, too."""
    generator = np.random.default_rng(3)
    still = generator.normal(0, 0.4, (1, 18, 3))
    way = np.linspace(0, 1, FRAMES)[:, None, None] * generator.normal(0, 0.3, (1, 18, 3))
    none = np.zeros((0, 4, 4, 3), np.uint8)
    return KnownMotion(none, still + way + [0, 0, 4.0], np.zeros((FRAMES, 18, 2)), LEVEL, 1.7, 500)


def every(truth):
    return np.ones(truth.joints_m.shape[:2], bool)


def about_x(degrees):
    cosine, sine = np.cos(np.radians(degrees)), np.sin(np.radians(degrees))
    return np.array([[1, 0, 0], [0, cosine, -sine], [0, sine, cosine]])


def test_the_truth_has_no_error(truth):
    found = measure_errors(truth.joints_m, truth, every(truth))
    assert found.hips_mm == found.angle_deg == found.lean_deg == 0
    assert max(found.aligned_mm, found.scaled_mm, found.upright_mm) < 1e-6


def test_a_larger_person_who_is_turned_differs_as_far_as_is_told(truth):
    larger = measure_errors(1.2 * truth.joints_m, truth, every(truth))
    assert larger.hips_mm > 50 and larger.scaled_mm < 1e-6
    turned = measure_errors(truth.joints_m @ about_x(20).T, truth, every(truth))
    assert turned.scaled_mm > 50 and turned.aligned_mm < 1e-6


def test_a_mirrored_person_is_not_laid_on_the_truth(truth):
    assert measure_errors(truth.joints_m * [-1, 1, 1], truth, every(truth)).aligned_mm > 50


def test_jitter_goes_with_smoothing_and_an_offset_stays(truth):
    shaken = truth.joints_m.copy()
    shaken[::2, 4] += [0.0, 0.0, 0.05]
    shaken[1::2, 4] -= [0.0, 0.0, 0.05]
    found = measure_errors(shaken, truth, every(truth))
    assert found.calm_scaled_mm < 0.3 * found.scaled_mm and found.jitter_m_s2 > 5
    moved = truth.joints_m.copy()
    moved[:, 4] += [0.0, 0.0, 0.05]
    found = measure_errors(moved, truth, every(truth))
    assert found.calm_scaled_mm == pytest.approx(found.scaled_mm, rel=0.01)


def test_a_tilted_camera_counts_in_the_world(truth):
    up = about_x(10) @ LEVEL  # the camera looks down: heads lean toward it
    tilted = dataclasses.replace(truth, joints_m=truth.joints_m @ about_x(10).T, up=up)
    assert up[2] < 0
    level = measure_errors(tilted.joints_m, tilted, every(truth))
    found = measure_errors(tilted.joints_m, tilted, every(truth), 10.0)
    assert level.lean_deg == pytest.approx(10, abs=5) and level.upright_mm > 20
    assert found.lean_deg < 1e-6 and found.upright_mm < 1e-6


def test_unseen_joints_do_not_count(truth):
    shown, wrong = every(truth), truth.joints_m.copy()
    wrong[:, 7] += 1.0
    shown[:, 7] = False
    assert measure_errors(wrong, truth, shown).hips_mm == 0
    wrong[:, 7] = np.nan
    assert measure_errors(wrong, truth, every(truth)).hips_mm == 0


def test_feet_that_stand_and_slide_are_told(truth):
    standing = dataclasses.replace(truth, joints_m=np.repeat(truth.joints_m[:1], FRAMES, axis=0))
    sliding = standing.joints_m.copy()
    sliding[:, :, 0] += 0.3 * np.arange(FRAMES)[:, None] / KNOWN_FPS
    found = measure_errors(sliding, standing, every(truth))
    assert found.skate_m_s == pytest.approx(0.3) and found.bone_mm < 1e-6
    from_hips = standing.joints_m - standing.joints_m[:, [8, 11]].mean(axis=1, keepdims=True)
    assert np.isnan(measure_errors(from_hips, standing, every(truth)).skate_m_s)


def test_means_leave_out_what_is_unknown():
    one, other = BodyErrors(*[1.0] * 11), BodyErrors(*[3.0] * 10, float("nan"))
    mean = BodyErrors.mean([one, other])
    assert mean.hips_mm == 2 and mean.skate_m_s == 1


@pytest.mark.slow
def test_a_film_is_made_and_measured(monkeypatch):
    monkeypatch.setattr(body_benchmark, "KNOWN_FRAMES", 4)
    monkeypatch.setattr(body_benchmark, "KNOWN_PICTURE_PX", 256)
    measured = measure_bodies(1)
    assert (measured.films, measured.failed, measured.frames) == (1, 0, 4)
    assert set(measured.errors) == set(SOURCES)
    own, their = (measured.errors[source][ALL_MOVES] for source in (FITTED_BODY, DETECTOR_POINTS))
    assert own.bone_mm < 1e-3 < their.bone_mm
    assert 5 < own.aligned_mm < 200 and 5 < their.aligned_mm < 200
