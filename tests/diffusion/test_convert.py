"""Conversion is total, strict, safe and leaves nothing half done."""

import json
import os
import pickle

import pytest
import torch
from diffusers import AutoencoderKL, ControlNetModel, UNet2DConditionModel
from safetensors.torch import load_file, save_file
from transformers import CLIPTextConfig, CLIPTextModel

from magicpose_cli.diffusion import layout
from magicpose_cli.diffusion.convert import convert_checkpoint
from magicpose_cli.diffusion.pipeline import MagicPosePipeline
from magicpose_cli.diffusion.plan import plan_conversion, portable_key
from magicpose_cli.errors import ModelError, OutputError


def test_every_key_of_the_released_file_goes_somewhere(manifest):
    state = {key: torch.empty(shape, device="meta") for key, shape in manifest.items()}
    plan = plan_conversion(state)
    taken = [key for part in plan.parts.values() for key in part.sources.values()]
    filled = [key for part in plan.parts.values() for key in part.filled.values()]
    assert sorted([*taken, *plan.dropped]) == sorted([*manifest, *filled])
    assert filled == [
        f"model.diffusion_model.out.{i}.{n}" for i in (0, 2) for n in ("weight", "bias")
    ]
    assert set(plan.dropped.values()) == set(layout.DROPPED.values())
    assert list(plan.parts) == ["unet", "appearance_unet", "pose_controlnet", "vae", "text_encoder"]
    for name, part in plan.parts.items():
        wanted = {portable_key(name, key): t for key, t in part.model.state_dict().items()}
        assert part.sources.keys() == wanted.keys()
        for target, key in part.sources.items():
            assert tuple(wanted[target].shape) in (tuple(manifest[key]), tuple(manifest[key][:2]))
    assert round(sum(part.parameters for part in plan.parts.values()) / 1e6) == 2287


def test_the_released_build_is_stable_diffusion_1_5(manifest):
    state = {key: torch.empty(shape, device="meta") for key, shape in manifest.items()}
    parts = plan_conversion(state).parts
    stock = UNet2DConditionModel.config_name and dict(parts["unet"].model.config)
    assert stock["block_out_channels"] == (320, 640, 1280, 1280)
    assert stock["cross_attention_dim"] == 768 and stock["attention_head_dim"] == 8
    assert stock["down_block_types"] == (*("CrossAttnDownBlock2D",) * 3, "DownBlock2D")
    assert isinstance(parts["pose_controlnet"].model, ControlNetModel)
    assert parts["vae"].model.config.block_out_channels == (128, 256, 512, 512)
    text = parts["text_encoder"].model.config
    assert (text.hidden_size, text.num_hidden_layers, text.num_attention_heads) == (768, 12, 12)
    assert (text.vocab_size, text.intermediate_size) == (49408, 3072)
