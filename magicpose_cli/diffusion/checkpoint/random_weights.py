"""Networks of known sizes with random weights: what a model costs, without a model."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import torch
from accelerate import init_empty_weights
from diffusers import (
    AutoencoderKL,
    AutoencoderTiny,
    ControlNetModel,
    DDIMScheduler,
    UNet2DConditionModel,
)
from transformers import CLIPTextConfig, CLIPTextModel

from magicpose_cli.diffusion.checkpoint.conversion import SCHEDULER
from magicpose_cli.diffusion.checkpoint.layout import UNetShape
from magicpose_cli.diffusion.checkpoint.loading import (
    DTYPES,
    MINI,
    MODEL_SETTINGS,
    quiet,
    read_index,
)
from magicpose_cli.diffusion.pipeline import MagicPosePipeline
from magicpose_cli.errors import ModelError

SD15_SHAPE = UNetShape(
    in_channels=4,
    out_channels=4,
    channels=(320, 640, 1280, 1280),
    layers=2,
    attention=(True, True, True, False),
    text_width=768,
)
TINY = UNetShape(
    in_channels=4,
    out_channels=4,
    channels=(32, 64),
    layers=1,
    attention=(True, False),
    text_width=16,
)
SD15_VAE = {
    "block_out_channels": (128, 256, 512, 512),
    "down_block_types": ("DownEncoderBlock2D",) * 4,
    "up_block_types": ("UpDecoderBlock2D",) * 4,
    "layers_per_block": 2,
    "latent_channels": 4,
    "sample_size": 512,
}
SD15_TEXT = {
    "vocab_size": 49408,
    "hidden_size": 768,
    "intermediate_size": 3072,
    "num_hidden_layers": 12,
    "num_attention_heads": 12,
}
TINY_VAE = {
    "encoder_block_out_channels": (8,) * 4,
    "num_encoder_blocks": (0, 0, 0, 1),
    "decoder_block_out_channels": (8,) * 4,
    "num_decoder_blocks": (1, 1, 1, 1),
}
GAINS = {
    "controlnet_cond_embedding": 1.7,  # SiLU after SiLU without a norm, each takes 0.6
    "controlnet_down_blocks": 0.3,  # zero in a new network, which would hide the pose
    "controlnet_mid_block": 0.3,
}


def random_pipeline(
    name: str = "magicpose", dtype: str = "float32", device: str = "cpu", seed: int = 0
) -> MagicPosePipeline:
    """Networks of a known size whose weights are drawn on the device itself, in their own dtype.

    name: "magicpose" has the released model's shapes, with SD 1.5's autoencoder and text encoder;
        "mini" has the embedded model's; "tiny" takes milliseconds for a 64x64 frame.
    dtype: float32, float16 or bfloat16. device: as torch names it; on "meta" there are shapes only.
    seed: the same numbers again on the same kind of device in the same dtype; devices and dtypes
        draw differently.

    Every layer keeps the scale of what it is given, so that half precision does not overflow.
    Raises ModelError for a name or dtype that is not known.
    """
    builders: dict[str, Callable[[], dict[str, Any]]] = {
        "magicpose": _released,
        "mini": _embedded,
        "tiny": _tiny,
    }
    if name not in builders:
        raise ModelError(f"random weights {name!r}: expected one of {', '.join(builders)}")
    if dtype not in DTYPES:
        raise ModelError(f"dtype {dtype!r}: expected one of {', '.join(DTYPES)}")
    with quiet(), _without_weights():
        arguments = builders[name]()
    generator = None if device == "meta" else torch.Generator(device).manual_seed(seed)
    for part in arguments.values():
        if isinstance(part, torch.nn.Module):
            _fill(part, {"dtype": getattr(torch, dtype), "device": device}, generator)
            part.to(device).eval().requires_grad_(False)  # buffers are on the CPU yet
    pipeline = MagicPosePipeline(**arguments)
    pipeline.set_progress_bar_config(disable=True)
    return pipeline


def _released() -> dict[str, Any]:
    return {
        **_networks(SD15_SHAPE, (16, 32, 96, 256)),
        "vae": AutoencoderKL(**SD15_VAE),
        "text_encoder": CLIPTextModel(CLIPTextConfig(**SD15_TEXT)),
        "scheduler": DDIMScheduler(**SCHEDULER),
    }


def _tiny() -> dict[str, Any]:
    return {
        **_networks(TINY, (8, 8, 8, 8)),
        "vae": AutoencoderTiny(**TINY_VAE),
        "scheduler": DDIMScheduler(**SCHEDULER),
        "sample_size": 64,
        "pose_canvas": 256,
        "default_steps": 4,
        "default_guidance": 1.5,
    }


def _embedded() -> dict[str, Any]:
    """As mini's own folder describes it."""
    index = read_index(MINI)
    classes = {
        "unet": UNet2DConditionModel,
        "appearance_unet": UNet2DConditionModel,
        "pose_controlnet": ControlNetModel,
        "vae": AutoencoderTiny,
        "scheduler": DDIMScheduler,
    }
    parts = {
        part: kind.from_config(kind.load_config(MINI / part)) for part, kind in classes.items()
    }
    return parts | {setting: index[setting] for setting in MODEL_SETTINGS}


def _networks(shape: UNetShape, hint: tuple[int, ...]) -> dict[str, Any]:
    common = shape.common_config()
    return {
        "unet": UNet2DConditionModel(**shape.unet_config()),
        "appearance_unet": UNet2DConditionModel(**shape.unet_config()),
        "pose_controlnet": ControlNetModel(**common, conditioning_embedding_out_channels=hint),
    }


@contextmanager
def _without_weights() -> Iterator[None]:
    """Modules built inside hold no numbers yet: drawing 2.3 G of them on the CPU takes a minute."""
    with init_empty_weights(include_buffers=False):
        yield


def _fill(part: torch.nn.Module, where: dict[str, Any], generator: torch.Generator | None) -> None:
    """Draw all parameters: norms pass on what they get, matrices keep its variance."""
    for path, module in part.named_modules():
        for name, empty in module.named_parameters(recurse=False):
            weight = torch.empty(empty.shape, **where)
            if empty.ndim > 1:
                gain = GAINS.get(path.partition(".")[0], 1.0)
                weight.normal_(std=gain * empty[0].numel() ** -0.5, generator=generator)
            else:
                weight.fill_(1.0 if name == "weight" else 0.0)
            setattr(module, name, torch.nn.Parameter(weight))
