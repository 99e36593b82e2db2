"""A model of half the size out of mini: its coarser levels, for many steps."""

import pytest
import torch

from magicpose_cli.errors import ConfigError, ModelError
from magicpose_cli.training.level_removal import without_finest_level
from magicpose_cli.training.networks import build_networks
from magicpose_cli.training.recipe import load_recipe


@pytest.mark.slow
def test_the_coarser_levels_of_mini_are_kept():
    recipe = load_recipe("mini-steps")
    networks = build_networks(recipe)
    whole = build_networks(load_recipe("toy", model__start="mini"))
    assert tuple(networks.unet.config.block_out_channels) == (48, 96, 144)
    kept = whole.unet.down_blocks[1].state_dict()
    for name, weight in networks.unet.down_blocks[0].state_dict().items():
        assert torch.equal(weight, kept[name])
    t, latents = torch.tensor([500]), torch.randn(1, 4, 16, 16)
    with torch.no_grad():
        predicted = networks(latents, t, latents, torch.rand(1, 3, 128, 128))
    assert predicted.shape == latents.shape
    scheduler = networks.scheduler
    assert scheduler.config.prediction_type == "v_prediction"
    assert scheduler.alphas_cumprod[-1] > 0 and not scheduler.config.rescale_betas_zero_snr


def test_levels_that_do_not_allow_it_are_refused():
    networks = build_networks(load_recipe("toy"))
    with pytest.raises(ConfigError, match="levels of the widths"):
        without_finest_level(networks)


def test_a_model_that_is_not_there_is_one_line():
    with pytest.raises(ModelError, match="expected one of twice the size"):
        build_networks(load_recipe("mini-steps", model__shrink_from="nobody"))
