"""Pairs that are drawn for the refinement network, and a short training on them."""

import numpy as np
import pytest
import torch

from magicpose_cli.errors import ConfigError
from magicpose_cli.training.people import TEST_SEEDS
from magicpose_cli.training.refinement import (
    FRAMES,
    Fit,
    Pairs,
    draw_pairs,
    fit,
    loss_of,
    read_shards,
    sample,
    write_shards,
)
from magicpose_cli.warping.refinement import Refiner, load_refiner

SIZE = 64
TINY = (4, 6, 8)


@pytest.fixture(scope="module")
def pairs() -> Pairs:
    return draw_pairs(5, 1, SIZE)


def test_pairs_show_one_person_before_one_background(pairs):
    assert len(pairs) == FRAMES
    assert pairs.truth.shape == pairs.pose.shape == (FRAMES, 3, SIZE, SIZE)
    assert pairs.cover.shape == pairs.hole.shape == (FRAMES, 1, SIZE, SIZE)
    assert (pairs.reference == pairs.truth[:1]).all()  # the first is the reference itself


def test_the_background_of_a_pair_is_the_references(pairs):
    away = (pairs.cover == 0) & (pairs.hole == 0)
    away = away.expand_as(pairs.picture)
    assert away.any()
    assert (pairs.picture[away] == pairs.reference[away]).all()


def test_pairs_are_fixed_by_the_seed(pairs):
    again = draw_pairs(5, 1, SIZE)
    assert (again.picture == pairs.picture).all()
    assert (again.truth == pairs.truth).all()


def test_people_for_testing_are_not_drawn():
    with pytest.raises(ValueError, match="testing"):
        draw_pairs(TEST_SEEDS, 1, SIZE)


def test_a_new_networks_loss_is_the_warps_own(pairs):
    batch = sample(pairs, Fit(crop=SIZE), np.random.default_rng(0))
    repair = Refiner(TINY)(*batch.inputs())
    assert (repair(batch.picture) == batch.picture).all()
    assert torch.isfinite(loss_of(repair, batch))


def test_training_reduces_the_loss_and_goes_on_where_it_stopped(pairs, tmp_path):
    path = tmp_path / "refiner.safetensors"
    batch = sample(pairs, Fit(batch=4, crop=SIZE), np.random.default_rng(99))
    with torch.no_grad():
        before = float(loss_of(Refiner(TINY)(*batch.inputs()), batch))
    fit(pairs, path, Fit(steps=30, batch=4, crop=SIZE, rate=1e-2, ema=0.8), TINY)
    told = torch.load(path.with_suffix(".state"), weights_only=True)
    assert told["step"] == 30
    fit(pairs, path, Fit(steps=80, batch=4, crop=SIZE, rate=1e-2, ema=0.8), TINY)
    assert torch.load(path.with_suffix(".state"), weights_only=True)["step"] == 80
    with torch.no_grad():
        after = float(loss_of(load_refiner(path)(*batch.inputs()), batch))
    assert after < before


def test_a_folder_without_pairs_is_refused(tmp_path):
    with pytest.raises(ConfigError, match="holds no pairs"):
        read_shards(tmp_path)


def test_shards_are_drawn_once(tmp_path, monkeypatch):
    drawn = []

    def few(seed: int, references: int) -> Pairs:
        drawn.append(seed)
        return draw_pairs(seed, 1, SIZE)

    monkeypatch.setattr("magicpose_cli.training.refinement.draw_pairs", few)
    for _ in range(2):
        write_shards(tmp_path, 61)
    assert drawn == [0, 1]
    assert len(read_shards(tmp_path)) == 2 * FRAMES
