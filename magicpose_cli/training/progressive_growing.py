"""A finer level on top of a trained model, for pictures of twice the size.

Most of what a model knows, who wears what and which pose is asked for, does not depend on the
size of its pictures. So the levels of a finished model of half the size become the coarser levels
of the new one, and only a finest level is new (progressive growing, Karras et al. 2018,
arXiv:1710.10196; starting from what was learned, Chen et al. 2016, "Net2Net", arXiv:1511.05641).
The way up begins as an enlargement of what the smaller model says. The way down is fitted in a
stage of its own to give the kept levels what they were used to; then all levels learn on together.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import torch
import torch.nn.functional as F
from diffusers import ControlNetModel, UNet2DConditionModel
from torch import Tensor, nn

from magicpose_cli.diffusion.body_control import split_maps
from magicpose_cli.errors import ConfigError
from magicpose_cli.training.recipe import NETWORK_NAMES

if TYPE_CHECKING:
    from magicpose_cli.training.networks import Networks
    from magicpose_cli.training.pair_source import PairBatch

SHARED_SETTINGS = (
    "layers_per_block",
    "cross_attention_dim",
    "attention_head_dim",
    "norm_num_groups",
    "in_channels",
)
"""Settings that a model of half the size has to share."""


class InputConvs(nn.ModuleDict):
    """What the networks of the smaller model did before their first level, by part."""

    def __init__(self, half: Networks):
        super().__init__({name: half.part(name).conv_in for name in ("unet", "appearance_unet")})
        pose = half.pose_controlnet
        self["pose_controlnet"] = pose.conv_in
        self["hint"] = pose.controlnet_cond_embedding

    def features(self, name: str, latents: Tensor, maps: Tensor) -> Tensor:
        """What the first level of a part was given, (n, width, h, w)."""
        features: Tensor = self[name](latents)
        return features + self["hint"](maps) if name == "pose_controlnet" else features


@torch.no_grad()
def add_level(parts: dict[str, Any], half: Networks) -> None:
    """Fill new parts, one level deeper than those of `half`, with what these have learned.

    Raises:
        ConfigError: The shapes do not belong together.
    """
    _check(parts["unet"], half.unet)
    for name, part in parts.items():
        old = half.part(name)
        weights = {
            _moved(key, old): value
            for key, value in old.state_dict().items()
            if not key.startswith(("conv_in.", "controlnet_cond_embedding."))
        }
        unknown = part.load_state_dict(weights, strict=False).unexpected_keys
        assert not unknown, unknown
    pose, old = parts["pose_controlnet"], half.pose_controlnet
    if pose.config.conditioning_embedding_out_channels == (
        old.config.conditioning_embedding_out_channels
    ):
        hint = old.controlnet_cond_embedding.state_dict()
        pose.controlnet_cond_embedding.load_state_dict(hint)
    for name in ("unet", "appearance_unet"):
        _enlarge_only(parts[name])


def _check(unet: UNet2DConditionModel, old: UNet2DConditionModel) -> None:
    finest, *rest = unet.config.block_out_channels
    widths, types = list(old.config.block_out_channels), list(old.config.down_block_types)
    if rest != widths or finest != widths[0] or list(unet.config.down_block_types[1:]) != types:
        attention = str(["CrossAttn" in kind for kind in types]).lower()
        raise ConfigError(
            f"model.grow_from: that model has widths {widths} and attention {attention}; expected "
            f"network.widths {[widths[0], *widths]} and network.attention [true or false, then "
            "those]"
        )
    for key in SHARED_SETTINGS:
        if unet.config[key] != old.config[key]:
            raise ConfigError(
                f"model.grow_from: that model has {key} {old.config[key]}, [model.network] asks "
                f"for {unet.config[key]}; set it to the same"
            )
    if unet.config.sample_size != 2 * old.config.sample_size:
        raise ConfigError(
            f"model.grow_from: that model makes pictures of {8 * old.config.sample_size} pixels; "
            f"expected model.size {16 * old.config.sample_size}"
        )


def _moved(key: str, old: UNet2DConditionModel | ControlNetModel) -> str:
    """The name of a weight, one level further down."""
    block, _, rest = key.partition(".")
    number, _, rest = rest.partition(".")
    if block == "down_blocks":
        return f"{block}.{int(number) + 1}.{rest}"
    if block == "controlnet_down_blocks":  # one for each input to the way up, the finest first
        return f"{block}.{int(number) + 1 + old.config.layers_per_block}.{rest}"
    return key


def _enlarge_only(unet: UNet2DConditionModel) -> None:
    """Let the way up through the finest level do nothing but enlarge what comes from below."""
    enlarging = unet.up_blocks[-2].upsamplers[0].conv
    nn.init.dirac_(enlarging.weight)
    nn.init.zeros_(enlarging.bias)
    finest = unet.up_blocks[-1]
    for resnet in finest.resnets:
        for layer in (resnet.conv2, resnet.conv_shortcut):
            nn.init.zeros_(layer.weight)
            nn.init.zeros_(layer.bias)
        nn.init.dirac_(resnet.conv_shortcut.weight)  # of the skip, which comes after, nothing
    for transformer in getattr(finest, "attentions", ()):
        nn.init.zeros_(transformer.proj_out.weight)
        nn.init.zeros_(transformer.proj_out.bias)


class ProgressiveGrowing(nn.Module):
    """Make of latents and maps of twice the size what the kept levels were used to."""

    def __init__(self, networks: Networks):
        super().__init__()
        if networks.input_convs is None:
            raise ConfigError(
                "a stage of kind growth needs model.grow_from, a model of half the size; name one, "
                "or leave the stage out"
            )
        self.networks, self._input_convs = networks, networks.input_convs

    def forward(self, batch: PairBatch, dropped: int, t: Tensor, noise: Tensor) -> Tensor:
        """Sum up the squared errors of the features, each part's as a share of their variance.

        The appearance network reads clean latents.

        Args:
            batch: Pairs of pictures.
            dropped: Has no effect here: every sample counts for every part.
            t: Timesteps (n,).
            noise: Unit noise in the shape of `batch.target`.
        """
        networks = self.networks
        a, s = networks.factors(t)
        noisy = a * batch.target + s * noise
        pose, _ = split_maps(batch.maps)
        with torch.no_grad():
            maps = F.avg_pool2d(pose, 2)
            clean = networks.encode(F.avg_pool2d(batch.picture, 2))
            # a mean of four has half the deviation of noise
            seen = a * clean + s * 2 * F.avg_pool2d(noise, 2)
        total = torch.zeros((), device=noisy.device)
        for name in NETWORK_NAMES:
            alone = name == "appearance_unet"
            with torch.no_grad():
                wanted = self._input_convs.features(name, clean if alone else seen, maps)
            latents = batch.target if alone else noisy
            made = _second_level_input(networks.part(name), latents, t, networks.text, pose)
            total = total + F.mse_loss(made.float(), wanted.float()) / wanted.float().var()
        return total


def _second_level_input(
    part: UNet2DConditionModel | ControlNetModel,
    latents: Tensor,
    t: Tensor,
    text: Tensor,
    maps: Tensor,
) -> Tensor:
    """What a part's second level is given."""
    features = part.conv_in(latents)
    if isinstance(part, ControlNetModel):
        features = features + part.controlnet_cond_embedding(maps)
    with torch.no_grad():  # which the kept levels share
        time = part.time_embedding(part.time_proj(t).to(latents.dtype))
    block = part.down_blocks[0]
    options = {}
    if getattr(block, "has_cross_attention", False):
        options["encoder_hidden_states"] = text.expand(len(latents), -1, -1)
    below: Tensor = block(features, time, **options)[0]
    return below
