"""How the released checkpoint names its tensors, and what diffusers calls the same modules.

Each table maps a module's name in the checkpoint (below its network's prefix) to its name in
diffusers or transformers; what stands below a named module keeps its name. Sizes are read off the
tensors, so the tables fit every width and depth.
"""

from __future__ import annotations

import itertools
import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import torch

from magicpose_cli.errors import ModelError

DENOISER = "model.diffusion_model."
APPEARANCE = "appearance_control_model."
POSE = "pose_control_model."
VAE = "first_stage_model."
TEXT = "cond_stage_model.transformer."

CHECKPOINT_NETWORKS = (DENOISER, APPEARANCE, POSE)

PART_CLASSES = {
    "unet": ("diffusers", "UNet2DConditionModel"),
    "appearance_unet": ("diffusers", "UNet2DConditionModel"),
    "pose_controlnet": ("diffusers", "ControlNetModel"),
    "scheduler": ("diffusers", "DDIMScheduler"),
    "vae": ("diffusers", "AutoencoderKL"),
    "text_encoder": ("transformers", "CLIPTextModel"),
    "tokenizer": ("transformers", "CLIPTokenizer"),
}
"""Library and class of each part of a converted folder."""

FILLED = {"conv_norm_out": "out.0", "conv_out": "out.2"}
"""Modules that the appearance network lacks; the denoiser's stand in, their output is not used."""

DROPPED = {
    r"(betas|alphas_\w+|sqrt_\w+|log_one_minus_alphas_cumprod|posterior_\w+)": (
        "noise schedule, which the scheduler computes itself"
    ),
    r"logvar": "weight of the training loss",
    re.escape(APPEARANCE) + r"input_hint_block\..*": "the appearance network is shown no hint",
    re.escape(TEXT) + r".*position_ids": "counts 0 to 76, which the text encoder does itself",
}
"""Keys (as regular expressions) that no part needs, and why."""

RESNET = {
    "in_layers.0": "norm1",
    "in_layers.2": "conv1",
    "emb_layers.1": "time_emb_proj",
    "out_layers.0": "norm2",
    "out_layers.3": "conv2",
    "skip_connection": "conv_shortcut",
}
VAE_ATTENTION = {
    "norm": "group_norm",
    "q": "to_q",
    "k": "to_k",
    "v": "to_v",
    "proj_out": "to_out.0",
}
FORMER_VAE_ATTENTION = {
    "query": "to_q",
    "key": "to_k",
    "value": "to_v",
    "proj_attn": "to_out.0",
}
"""What diffusers called the modules of an autoencoder's attention in 2022."""

TEXT_MODULES = {"text_model": "text_model"} | {
    name: f"text_model.{name}" for name in ("embeddings", "encoder", "final_layer_norm")
}
"""Newer transformers dropped the level `text_model.`; they read files that still have it."""

NORM_GROUPS = 32  # of every group norm in SD 1.5; the tensors do not tell


@dataclass(frozen=True)
class UNetShape:
    """What the tensors of a denoiser say of its build.

    channels: width of each level. layers: resnets a level on the way down (one more on the way up).
    attention: which levels have transformer blocks.
    """

    in_channels: int
    out_channels: int
    channels: tuple[int, ...]
    layers: int
    attention: tuple[bool, ...]
    text_width: int

    def common_config(self) -> dict[str, Any]:
        """Constructor arguments that UNet2DConditionModel and ControlNetModel share."""
        return {
            "in_channels": self.in_channels,
            "block_out_channels": self.channels,
            "layers_per_block": self.layers,
            "cross_attention_dim": self.text_width,
            "down_block_types": tuple(
                "CrossAttnDownBlock2D" if attends else "DownBlock2D" for attends in self.attention
            ),
            "attention_head_dim": 8,  # diffusers' name for the number of heads: eight everywhere
            "norm_num_groups": NORM_GROUPS,
        }

    def unet_config(self) -> dict[str, Any]:
        """Constructor arguments of UNet2DConditionModel."""
        return self.common_config() | {
            "out_channels": self.out_channels,
            "sample_size": 64,
            "up_block_types": tuple(
                "CrossAttnUpBlock2D" if attends else "UpBlock2D" for attends in self.attention[::-1]
            ),
        }


def shape_of(config: Mapping[str, Any]) -> UNetShape:
    """The build that the configuration of a UNet2DConditionModel or a ControlNetModel tells."""
    return UNetShape(
        in_channels=config["in_channels"],
        out_channels=config.get("out_channels", config["in_channels"]),
        channels=tuple(config["block_out_channels"]),
        layers=config["layers_per_block"],
        attention=tuple("CrossAttn" in kind for kind in config["down_block_types"]),
        text_width=config["cross_attention_dim"],
    )


def by_names_of_diffusers(
    state: Mapping[str, torch.Tensor], prefix: str, modules: Mapping[str, str]
) -> dict[str, torch.Tensor]:
    """Tensors whose keys lose a prefix and take diffusers' names, where they have one."""
    bare = {key.removeprefix(prefix): tensor for key, tensor in state.items()}
    return {renamed(key, modules) or key: tensor for key, tensor in bare.items()}


class Tensors:
    """The tensors of one checkpoint by key, asked for shapes with a clear error."""

    def __init__(self, state: Mapping[str, torch.Tensor]):
        self.state = state

    def shape(self, key: str, dims: int) -> tuple[int, ...]:
        """ModelError where the key is lacking or has another number of dimensions."""
        if key not in self.state:
            raise ModelError(f"the checkpoint lacks {key!r}; expected a released MagicPose model")
        shape = tuple(self.state[key].shape)
        if len(shape) != dims or not all(shape):
            raise ModelError(f"{key!r} has the shape {list(shape)}; expected {dims} dimensions")
        return shape

    def count(self, key: str) -> int:
        """How many keys there are of a numbered kind; the number's place in `key` is a {}."""
        return next(n for n in itertools.count() if key.format(n) not in self.state)


@contextmanager
def errors_of(place: str, wanted: str) -> Iterator[None]:
    """What a walk through tensors finds lacking, told of another kind of file."""
    try:
        yield
    except ModelError as error:
        raise ModelError(f"{place}: {str(error).partition('; ')[0]}; {wanted}") from error


def unet_shape(tensors: Tensors) -> UNetShape:
    """Walk the denoiser's way down: each `op` is a downsampler and ends a level."""
    top, in_channels = tensors.shape(f"{DENOISER}input_blocks.0.0.weight", 4)[:2]
    levels: list[list[tuple[int, bool]]] = [[]]
    for i in itertools.count(1):
        block, resnet = f"{DENOISER}input_blocks.{i}", "0.out_layers.3.weight"
        if f"{block}.0.op.weight" in tensors.state:
            levels.append([])
        elif f"{block}.{resnet}" in tensors.state:
            attends = f"{block}.1.proj_in.weight" in tensors.state
            levels[-1].append((tensors.shape(f"{block}.{resnet}", 4)[0], attends))
        else:
            break
    depths = [len(level) for level in levels]
    widths = [width for level in levels for width, _ in level]
    if 0 in depths or any(width % NORM_GROUPS for width in [top, *widths]):
        raise ModelError(
            f"{DENOISER}input_blocks.* are {widths or 'no blocks'} channels wide in {len(levels)} "
            f"levels; expected multiples of {NORM_GROUPS} in at least one block each"
        )
    middle = f"{DENOISER}middle_block.1.transformer_blocks.0.attn2.to_k.weight"
    return UNetShape(
        in_channels=in_channels,
        out_channels=tensors.shape(f"{DENOISER}out.2.weight", 4)[0],
        channels=tuple(level[0][0] for level in levels),
        layers=depths[0],
        attention=tuple(level[0][1] for level in levels),
        text_width=tensors.shape(middle, 2)[1],
    )


def unet_modules(shape: UNetShape) -> dict[str, str]:
    """Names of the denoiser's and the appearance network's modules."""
    names = _encoder_modules(shape) | {"out.0": "conv_norm_out", "out.2": "conv_out"}
    last = len(shape.channels) - 1
    for level in range(last + 1):
        attends = shape.attention[last - level]
        for layer in range(shape.layers + 1):
            source = f"output_blocks.{level * (shape.layers + 1) + layer}"
            names |= _resnet(f"{source}.0", f"up_blocks.{level}.resnets.{layer}")
            if attends:
                names[f"{source}.1"] = f"up_blocks.{level}.attentions.{layer}"
        if level < last:
            names[f"{source}.{1 + attends}.conv"] = f"up_blocks.{level}.upsamplers.0.conv"
    return names


def controlnet_modules(shape: UNetShape, hint_layers: int) -> dict[str, str]:
    """Names of the pose network's modules; hint_layers: convolutions in its hint encoder."""
    names = _encoder_modules(shape) | {"middle_block_out.0": "controlnet_mid_block"}
    for i in range(len(shape.channels) * (shape.layers + 1)):
        names[f"zero_convs.{i}.0"] = f"controlnet_down_blocks.{i}"
    hint = ["conv_in", *(f"blocks.{i}" for i in range(hint_layers - 2)), "conv_out"]
    for i, name in enumerate(hint):  # every other layer of the source is an activation
        names[f"input_hint_block.{2 * i}"] = f"controlnet_cond_embedding.{name}"
    return names


def hint_config(tensors: Tensors) -> tuple[dict[str, Any], int]:
    """ControlNetModel's arguments for the hint encoder, and the number of its convolutions.

    The encoder is conv_in, then pairs of (same width, next width at half the size), then conv_out.
    """
    layers = 1
    while f"{POSE}input_hint_block.{2 * layers}.weight" in tensors.state:
        layers += 1
    shapes = [tensors.shape(f"{POSE}input_hint_block.{2 * i}.weight", 4) for i in range(layers)]
    config = {
        "conditioning_channels": shapes[0][1],
        "conditioning_embedding_out_channels": tuple(shape[0] for shape in shapes[:-1:2]),
    }
    return config, layers


def _encoder_modules(shape: UNetShape) -> dict[str, str]:
    names = {
        "time_embed.0": "time_embedding.linear_1",
        "time_embed.2": "time_embedding.linear_2",
        "input_blocks.0.0": "conv_in",
        "middle_block.1": "mid_block.attentions.0",
        **_resnet("middle_block.0", "mid_block.resnets.0"),
        **_resnet("middle_block.2", "mid_block.resnets.1"),
    }
    for level, attends in enumerate(shape.attention):
        for layer in range(shape.layers):
            source = f"input_blocks.{1 + level * (shape.layers + 1) + layer}"
            names |= _resnet(f"{source}.0", f"down_blocks.{level}.resnets.{layer}")
            if attends:
                names[f"{source}.1"] = f"down_blocks.{level}.attentions.{layer}"
        if level < len(shape.channels) - 1:
            source = f"input_blocks.{(level + 1) * (shape.layers + 1)}"
            names[f"{source}.0.op"] = f"down_blocks.{level}.downsamplers.0.conv"
    return names


def _resnet(source: str, target: str) -> dict[str, str]:
    return {f"{source}.{old}": f"{target}.{new}" for old, new in RESNET.items()}


def vae_config(tensors: Tensors) -> dict[str, Any]:
    """Constructor arguments of AutoencoderKL."""
    encoder, decoder = f"{VAE}encoder.", f"{VAE}decoder."
    resnet = encoder + "down.{}.block.0.conv1.weight"
    levels = tensors.count(resnet)
    channels = tuple(tensors.shape(resnet.format(i), 4)[0] for i in range(levels))
    if not channels or any(width % NORM_GROUPS for width in channels):
        raise ModelError(
            f"{encoder}down.* are {list(channels)} channels wide; expected multiples of "
            f"{NORM_GROUPS}"
        )
    return {
        "in_channels": tensors.shape(f"{encoder}conv_in.weight", 4)[1],
        "out_channels": tensors.shape(f"{decoder}conv_out.weight", 4)[0],
        "latent_channels": tensors.shape(f"{decoder}conv_in.weight", 4)[1],
        "block_out_channels": channels,
        "layers_per_block": tensors.count(encoder + "down.0.block.{}.conv1.weight"),
        "down_block_types": ("DownEncoderBlock2D",) * levels,
        "up_block_types": ("UpDecoderBlock2D",) * levels,
        "norm_num_groups": NORM_GROUPS,
        "sample_size": 512,
        "scaling_factor": 0.18215,
    }


def vae_modules(config: Mapping[str, Any]) -> dict[str, str]:
    """Names of the autoencoder's modules."""
    levels, layers = len(config["block_out_channels"]), config["layers_per_block"]
    names = {"quant_conv": "quant_conv", "post_quant_conv": "post_quant_conv"}
    for side in ("encoder", "decoder"):
        names |= {
            f"{side}.conv_in": f"{side}.conv_in",
            f"{side}.norm_out": f"{side}.conv_norm_out",
            f"{side}.conv_out": f"{side}.conv_out",
            f"{side}.mid.block_1": f"{side}.mid_block.resnets.0",
            f"{side}.mid.block_2": f"{side}.mid_block.resnets.1",
        }
        for old, new in VAE_ATTENTION.items():
            names[f"{side}.mid.attn_1.{old}"] = f"{side}.mid_block.attentions.0.{new}"
    for level in range(levels):
        down, up = f"encoder.down_blocks.{level}", f"decoder.up_blocks.{levels - 1 - level}"
        names[f"encoder.down.{level}.downsample.conv"] = f"{down}.downsamplers.0.conv"
        names[f"decoder.up.{level}.upsample.conv"] = f"{up}.upsamplers.0.conv"
        for layer in range(layers + 1):
            for source, target in (
                (f"encoder.down.{level}.block.{layer}", f"{down}.resnets.{layer}"),
                (f"decoder.up.{level}.block.{layer}", f"{up}.resnets.{layer}"),
            ):
                names |= {source: target, f"{source}.nin_shortcut": f"{target}.conv_shortcut"}
    return names


def current_vae_name(key: str) -> str:
    """An autoencoder's key as diffusers names it today."""
    stem, dot, rest = key.partition(".attentions.0.")
    return f"{stem}{dot}{renamed(rest, FORMER_VAE_ATTENTION) or rest}"


def vae_config_of_diffusers(tensors: Tensors) -> dict[str, Any]:
    """Constructor arguments of AutoencoderKL, of tensors by diffusers' names; for SD 1.5's."""
    resnet = "decoder.up_blocks.{}.resnets.0.conv1.weight"
    levels = tensors.count(resnet)
    channels = tuple(tensors.shape(resnet.format(i), 4)[0] for i in reversed(range(levels)))
    return {
        "in_channels": tensors.shape("decoder.conv_out.weight", 4)[0],
        "out_channels": tensors.shape("decoder.conv_out.weight", 4)[0],
        "latent_channels": tensors.shape("decoder.conv_in.weight", 4)[1],
        "block_out_channels": channels,
        "layers_per_block": tensors.count("decoder.up_blocks.0.resnets.{}.conv1.weight") - 1,
        "down_block_types": ("DownEncoderBlock2D",) * levels,
        "up_block_types": ("UpDecoderBlock2D",) * levels,
        "norm_num_groups": NORM_GROUPS,
        "scaling_factor": 0.18215,
    }


def text_config(tensors: Tensors) -> dict[str, Any]:
    """Constructor arguments of CLIPTextConfig, for a text encoder of CLIP ViT-L/14's family."""
    nested = any(key.startswith(f"{TEXT}text_model.") for key in tensors.state)
    root = f"{TEXT}text_model." if nested else TEXT
    words, width = tensors.shape(f"{root}embeddings.token_embedding.weight", 2)
    return {
        "vocab_size": words,
        "hidden_size": width,
        "projection_dim": width,
        "intermediate_size": tensors.shape(f"{root}encoder.layers.0.mlp.fc1.weight", 2)[0],
        "num_hidden_layers": tensors.count(root + "encoder.layers.{}.mlp.fc1.weight"),
        "num_attention_heads": max(1, width // 64),  # heads of CLIP are 64 wide
        "max_position_embeddings": tensors.shape(f"{root}embeddings.position_embedding.weight", 2)[
            0
        ],
        "hidden_act": "quick_gelu",
        "bos_token_id": words - 2,  # the vocabulary ends with <|startoftext|>, <|endoftext|>
        "eos_token_id": words - 1,
        "pad_token_id": words - 1,
    }


def renamed(key: str, modules: Mapping[str, str]) -> str | None:
    """The key's name after the longest module name in the table that it begins with."""
    parts = key.split(".")
    for length in range(len(parts), 0, -1):
        name = modules.get(".".join(parts[:length]))
        if name is not None:
            return ".".join([name, *parts[length:]])
    return None
