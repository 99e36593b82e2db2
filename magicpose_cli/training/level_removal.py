"""A model of half the size out of a trained one, whose finest level is left out.

The reverse of `progressive_growing`: the coarser levels have learned who wears what and which pose
is asked for, at the same resolutions. What comes out has to learn to read and write them directly.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

from diffusers import ControlNetModel, DDIMScheduler, UNet2DConditionModel
from torch import Tensor

from magicpose_cli.errors import ConfigError
from magicpose_cli.training.recipe import NETWORK_NAMES

if TYPE_CHECKING:
    from magicpose_cli.training.networks import Networks

_NUMBERED = re.compile(r"(down_blocks|up_blocks|controlnet_down_blocks)\.(\d+)\.(.*)")
_LISTS = ("block_out_channels", "down_block_types", "up_block_types")


def without_finest_level(networks: Networks) -> dict[str, Any]:
    """Give the three networks without the level of the highest resolution.

    Args:
        networks: Whose two finest levels have one width, so that the first and last convolutions
            fit the second level as well.

    Raises:
        ConfigError: The levels do not allow it.
    """
    widths = networks.unet.config.block_out_channels
    if len(widths) < 3 or widths[0] != widths[1]:
        raise ConfigError(
            f"model.shrink_from: that model has levels of the widths {list(widths)}; expected at "
            "least three, the first two alike, as mini has them"
        )
    return {name: _without_level(networks.part(name)) for name in NETWORK_NAMES}


def _without_level(
    part: UNet2DConditionModel | ControlNetModel,
) -> UNet2DConditionModel | ControlNetModel:
    config = dict(part.config)
    for key in _LISTS:
        if key in config:
            kept = config[key][:-1] if key == "up_block_types" else config[key][1:]
            config[key] = tuple(kept)
    if config.get("sample_size"):
        config["sample_size"] //= 2
    smaller: UNet2DConditionModel | ControlNetModel = type(part).from_config(config)
    wanted = smaller.state_dict()
    dropped = 1 + config["layers_per_block"]  # residuals of the level, its last one stays
    weights: dict[str, Tensor] = {}
    for name, weight in part.state_dict().items():
        new = _new_name(name, dropped)
        if new is not None and new in wanted:
            weights[new] = weight
    smaller.load_state_dict(weights)
    return smaller


def _new_name(name: str, dropped: int) -> str | None:
    """The name of a weight without the finest level; None for one of that level's."""
    numbered = _NUMBERED.match(name)
    if numbered is None or numbered[1] == "up_blocks":  # the last of these is the finest
        return name
    number = int(numbered[2]) - (dropped if numbered[1] == "controlnet_down_blocks" else 1)
    return None if number < 0 else f"{numbered[1]}.{number}.{numbered[3]}"


def many_step_scheduler(scheduler: DDIMScheduler) -> DDIMScheduler:
    """DDIM over Stable Diffusion's noise, which never ends in noise alone: for many steps."""
    return DDIMScheduler(
        beta_schedule="scaled_linear",
        beta_start=0.00085,
        beta_end=0.012,
        timestep_spacing="leading",
        steps_offset=1,
        set_alpha_to_one=False,
        clip_sample=False,
        prediction_type=scheduler.config.prediction_type,
    )
