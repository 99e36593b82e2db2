from dataclasses import replace

import numpy as np
import pytest

from magicpose_cli.evaluation.flicker import flicker, flicker_error, flow_sources


def test_a_still_film_with_changing_light_flickers_by_the_change(made_sample, texture):
    brighter, darker = texture + np.uint8(10), texture - np.uint8(10)
    still = made_sample(brighter, before=texture)
    assert flicker(replace(still, before=darker)) == pytest.approx(20, abs=1e-4)
    assert flicker(replace(still, before=brighter)) == pytest.approx(0, abs=1e-4)


def test_what_moves_along_does_not_flicker(made_sample, texture):
    truth = np.roll(texture, 3, axis=1)
    sources, valid = flow_sources(texture, truth)
    inner = np.zeros((96, 96), bool)
    inner[16:-16, 16:-16] = True
    assert valid[inner].mean() > 0.9
    assert np.median(np.arange(96)[None, :] - sources[..., 0]) == pytest.approx(3, abs=0.2)
    moved = replace(made_sample(truth, truth, before=texture), before=texture)
    standing = np.abs(truth.astype(float) - texture).mean()
    assert flicker(moved) < 0.3 * standing
    lit = replace(moved, picture=truth + np.uint8(15))
    assert flicker(lit) == pytest.approx(15, abs=1)


def test_a_clip_starts_without(made_sample, texture):
    assert flicker(made_sample()) is None
    assert flicker(made_sample(before=texture)) is None


def test_standing_still_is_as_wrong_as_flickering(made_sample, texture):
    truth = np.roll(texture, 3, axis=1)
    moves = made_sample(truth, truth, before=texture)
    assert flicker_error(replace(moves, before=texture)) == 0
    own = flicker(replace(moves, before=texture))
    still = replace(moves, picture=texture, before=texture)
    assert flicker_error(still) == pytest.approx(flicker(still) - own)
    assert flicker(still) > 5 * own
    lit = replace(moves, picture=truth + np.uint8(15), before=texture)
    assert flicker_error(lit) == pytest.approx(15, abs=1)
    assert flicker_error(moves) is None and flicker_error(made_sample(before=texture)) is None
