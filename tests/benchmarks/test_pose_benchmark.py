"""The measuring is measured: mistakes of a known size must come out as that size."""

from dataclasses import replace
from itertools import pairwise

import numpy as np
import pytest

from magicpose_cli.benchmarks import pose_benchmark
from magicpose_cli.benchmarks.pose_benchmark import (
    draw_film,
    exactness,
    hand_error,
    measure_detector,
    measure_poses,
    measure_stages,
)
from magicpose_cli.errors import ConfigError
from magicpose_cli.evaluation.pose_following import body_distance
from magicpose_cli.evaluation.samples import MadeSample, Sample
from magicpose_cli.pose.height import body_height
from magicpose_cli.pose.keypoints import PARTS, Pose

SIZE = 256


@pytest.fixture(scope="module")
def film():
    """A drawn film whose person shows both hands in every frame."""
    for number in range(40):
        samples = draw_film(number, 6, SIZE)
        if all((getattr(c.pose, f"{h}_hand_score") > 0).all() for c in samples for h in SIDES):
            return samples
    raise AssertionError("nobody shows both hands")


SIDES = ("left", "right")


def without(pose, *parts):
    kept = {
        part: np.column_stack([getattr(pose, part), getattr(pose, f"{part}_score")])
        for part in PARTS
        if part not in parts
    }
    return Pose.of(pose.width, pose.height, **kept)


def shifted(pose, dx):
    return pose.map_points(lambda p: p + np.float32((dx, 0)), pose.width, pose.height)


def seen_as(samples, finder):
    return [MadeSample(sample, sample.truth, found=finder(sample.pose)) for sample in samples]


def test_the_truth_itself_is_exact(film):
    exact = exactness(seen_as(film, lambda pose: pose))
    assert exact.body.mean == exact.face.p95 == exact.hands.mean == 0
    assert (exact.people_found, exact.joints_found, exact.hands_found) == (100, 100, 100)


def test_a_shift_of_two_percent_is_two_percent(film):
    exact = exactness(seen_as(film, lambda pose: shifted(pose, 0.02 * body_height(pose))))
    for spread in (exact.body, exact.hands):
        assert (spread.mean, spread.p95) == pytest.approx((2, 2), abs=1e-3)
    eyes = [np.linalg.norm(c.pose.face[42:48].mean(0) - c.pose.face[36:42].mean(0)) for c in film]
    ratio = np.mean([2 * body_height(c.pose) / e for c, e in zip(film, eyes, strict=True)])
    assert exact.face.mean == pytest.approx(ratio, rel=1e-3)


def test_one_wild_picture_shows_in_the_percentile(film):
    samples = film * 3
    seen = seen_as(samples[1:], lambda pose: pose)
    seen += seen_as(samples[:1], lambda pose: shifted(pose, body_height(pose)))
    exact = exactness(seen)
    assert exact.body.mean == pytest.approx(100 / len(samples), rel=1e-3)
    assert exact.body.p95 > exact.body.mean


def test_what_is_not_found_is_counted_and_not_measured(film):
    nobody = exactness(seen_as(film, lambda pose: Pose.of(pose.width, pose.height)))
    assert nobody.body is nobody.face is nobody.hands is None
    assert (nobody.people_found, nobody.joints_found, nobody.hands_found) == (0, 0, 0)
    one_hand = exactness(seen_as(film, lambda pose: without(pose, "left_hand", "face")))
    assert one_hand.hands_found == 50 and one_hand.face is None and one_hand.hands.mean == 0
    half = seen_as(film[:3], lambda pose: without(pose, "body")) + seen_as(film[3:], lambda p: p)
    bodies = [int((sample.pose.body_score > 0).sum()) for sample in film]
    assert exactness(half).joints_found == pytest.approx(100 * sum(bodies[3:]) / sum(bodies))


def test_a_hand_outside_of_the_picture_is_not_asked_for(film):
    samples = [
        replace(sample, pose=without(sample.pose, "left_hand", "right_hand")) for sample in film
    ]
    exact = exactness(seen_as(samples, lambda pose: pose))
    assert exact.hands_found is None and exact.hands is None


def test_swapped_hands_are_an_error(film):
    sample = film[0]
    pose = sample.pose
    swapped = replace(pose, left_hand=pose.right_hand, right_hand=pose.left_hand)
    apart = np.linalg.norm(pose.left_hand - pose.right_hand, axis=1).mean()
    found = MadeSample(sample, sample.truth, found=swapped)
    assert hand_error(found) == pytest.approx(100 * apart / body_height(pose), rel=1e-4)
    assert (
        hand_error(MadeSample(Sample("a", "a", None, sample.truth), sample.truth, found=pose))
        is None
    )


def test_a_film_moves_smoothly_and_is_always_the_same(film):
    steps = [body_distance(a.pose, b.pose) for a, b in pairwise(film)]
    assert 0 < max(steps) < 15
    one, again, other = (draw_film(number, 1, 64)[0].truth for number in (0, 0, 1))
    assert np.array_equal(one, again) and not np.array_equal(one, other)


@pytest.mark.slow
def test_the_detector_at_hand_finds_drawn_people(film):
    result = measure_detector("auto", film[:3], [film])
    assert not result.lack and result.pictures_per_s > 0 and result.frames_per_s > 0
    for exact in (result.pictures, result.films):
        assert exact.people_found == 100 and exact.joints_found > 70
        assert exact.body.mean < 6


def test_a_detector_that_cannot_run_says_why(film):
    result = measure_detector("nonsense", film, [film])
    assert "nonsense" in result.lack and result.pictures is None and result.films is None
    with pytest.raises(ConfigError, match="nonsense"):
        measure_poses(1, 1, ["nonsense"])


def test_every_stage_has_a_speed(film, monkeypatch):
    monkeypatch.setattr(pose_benchmark, "MIN_S", 0.01)
    poses = [sample.pose for sample in film]
    stages = measure_stages(poses, poses[2])
    assert {"track", "retarget, align", "pose maps"} <= stages.keys()
    assert all(0 < speed < float("inf") for speed in stages.values())
