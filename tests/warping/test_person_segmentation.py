"""Somebody seen whole is looked at twice, their upper half from near."""

from __future__ import annotations

import numpy as np
import pytest

from magicpose_cli.pose.keypoints import Pose
from magicpose_cli.synthetic.people import TEST_SEEDS
from magicpose_cli.warping import person_segmentation
from magicpose_cli.warping.person_segmentation import segment
from tests.warping.people import rendered

pytest.importorskip("mediapipe.python.solutions.selfie_segmentation")


@pytest.fixture(scope="module")
def gesturing() -> list[tuple[np.ndarray, Pose, np.ndarray]]:
    """Twelve rendered people seen whole, who raise their hands: picture, pose, who is there."""
    return [rendered(TEST_SEEDS + 4001 + 2 * n, 384) for n in range(12)]


def _errors(people: list[tuple[np.ndarray, Pose, np.ndarray]]) -> tuple[float, float]:
    """What is taken for the people and is not, and what is missed, as shares of them."""
    extra = missed = 0.0
    for picture, pose, shown in people:
        mask = segment(picture, pose)
        assert mask is not None and mask.dtype == np.float32
        extra += float(mask[~shown].sum() / shown.sum())
        missed += float((1 - mask)[shown].sum() / shown.sum())
    return extra / len(people), missed / len(people)


@pytest.mark.slow
def test_the_upper_half_is_seen_better_from_near(gesturing, monkeypatch):
    extra, missed = _errors(gesturing)
    monkeypatch.setattr(person_segmentation, "MAX_UPPER_SHARE", 0.0)
    from_afar, missed_from_afar = _errors(gesturing)
    assert extra < 0.9 * from_afar and missed < missed_from_afar + 0.02


@pytest.fixture
def looks(monkeypatch):
    """How often the network is asked."""
    asked = []
    seen_in = person_segmentation._seen_in
    monkeypatch.setattr(
        person_segmentation, "_seen_in", lambda *what: asked.append(what) or seen_in(*what)
    )
    return asked


def test_a_portrait_is_looked_at_once(portrait, looks):
    segment(portrait.picture, portrait.pose)
    assert len(looks) == 1


def test_who_stands_on_their_hands_is_looked_at_once(standing, looks):
    segment(standing.picture, standing.pose)
    assert len(looks) == 2
    over = standing.pose.map_points(lambda points: 255 - points, 256, 256)
    segment(np.ascontiguousarray(standing.picture[::-1, ::-1]), over)
    assert len(looks) == 3


def test_where_nobody_is_seen_from_near_the_first_look_counts(standing, monkeypatch):
    first = segment(standing.picture, standing.pose)
    seen_in, nobody = person_segmentation._seen_in, iter((1.0, 0.0))
    monkeypatch.setattr(
        person_segmentation, "_seen_in", lambda *what: next(nobody) * seen_in(*what)
    )
    again = segment(standing.picture, standing.pose)
    assert first is not None and again is not None
    assert (again > 0.5).sum() >= 0.95 * (first > 0.5).sum() > 0
