"""A loaded pipeline made faster or smaller, as the settings of a model ask for it."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch

from magicpose_cli.config.preset import UNSLICED_PIXELS
from magicpose_cli.diffusion.adapters.base import swap_denoiser
from magicpose_cli.diffusion.adapters.embedding import add_embedding, add_word, notes_on_prompts
from magicpose_cli.diffusion.adapters.lora import fuse_lora
from magicpose_cli.diffusion.adapters.named import (
    body_maps_read,
    file_and_scale,
    file_and_word,
    identity_place,
    place_of,
)
from magicpose_cli.diffusion.checkpoint.loading import STAYING_PARTS, quiet
from magicpose_cli.errors import ConfigError, ModelError

if TYPE_CHECKING:
    from magicpose_cli.config.preset import ModelSettings
    from magicpose_cli.diffusion.pipeline import MagicPosePipeline

_TRAINED_NETWORKS = ("unet", "appearance_unet", "pose_controlnet")
_ROOMY_BYTES = 16e9  # bytes of memory in which a picture of up to 1024x1024 is decoded whole
_FP8_CAPABILITY = (8, 9)  # compute capability: Ada and Hopper


def loading_device(device: str, offload: str) -> str:
    """Where to load a model's weights to: what is offloaded waits in main memory from the start."""
    return "cpu" if offload != "none" and device.startswith("cuda") else device


def apply_model_settings(
    pipeline: MagicPosePipeline,
    settings: ModelSettings,
    *,
    prompts: Sequence[str] | None = None,
    device: str,
    size: tuple[int, int],
) -> list[str]:
    """Bring a model's settings to its pipeline, once, before the pipeline's first use.

    Args:
        pipeline: As `load_pipeline` gives it.
        settings: Of these everything but the device and the batch size is brought.
        prompts: Texts that the pipeline will be given; None leaves them unchecked.
        device: Where the pipeline is to run.
        size: (width, height) in pixels of the largest picture.

    Returns:
        Lines to show the user: what is left out or cut off, which words were learned, what has no
        effect here.

    Raises:
        ModelError: A file does not fit.
        ConfigError: This machine cannot do what is asked.
    """
    notes = []
    if settings.base is not None:
        notes += swap_denoiser(pipeline, place_of(settings.base))
    words, learned_notes = _learn(pipeline, settings.lora, settings.embedding)
    notes += learned_notes
    if prompts is not None:
        notes += notes_on_prompts(pipeline, words, *prompts)
    if settings.vae is not None:
        swap_decoder(pipeline, place_of(settings.vae))
    notes += _steady(pipeline, settings)
    _read_body_maps(pipeline, settings)
    _identify(pipeline, settings)
    if device == "cpu":  # measured: 15 % faster than the default layout, 20 % in the autoencoder
        networks = (getattr(pipeline, name) for name in _TRAINED_NETWORKS)
        for part in (*networks, pipeline.vae, pipeline.body_controlnet):
            if part is not None:
                part.to(memory_format=torch.channels_last)
    quantize, offload = settings.quantize, settings.offload
    if quantize != "none":
        if offload == "sequential":
            raise ConfigError(
                f"model.quantize: {quantize} does not go with model.offload = sequential, which "
                "takes weights apart; expected offload model or none"
            )
        quantize_linears(pipeline, quantize, device)
    slice_autoencoder(pipeline, settings.slicing, offload, device, size)
    if offload != "none" and not device.startswith("cuda"):
        notes.append(f"model.offload = {offload} has no effect on {device}: it is for CUDA")
    elif offload != "none":
        if pipeline.identity is not None:  # small, and no part that is moved
            pipeline.identity.follow(pipeline.unet)
        offload_parts(pipeline, offload, device)
    return notes


def _learn(
    pipeline: MagicPosePipeline, loras: Sequence[str], embeddings: Sequence[str]
) -> tuple[list[str], list[str]]:
    """Fuse LoRAs and add textual inversions; the words that the prompt has more, and notes."""
    words: list[str] = []
    notes: list[str] = []
    for text in loras:
        file, strength = file_and_scale(text)
        fused = fuse_lora(pipeline.unet, file, strength)
        notes += fused.notes
        for word, vectors in fused.words.items():
            try:
                words.append(add_word(pipeline, vectors, word, f"LoRA {file.name}"))
            except ModelError as error:
                notes.append(f"the word {word!r} is left out: {error}")
    for text in embeddings:
        file, own = file_and_word(text)
        learned = add_embedding(pipeline, file, own)
        words += learned
        if learned != [own or file.stem]:
            notes.append(f"embedding {file.name}: {', '.join(map(repr, learned))} stands for it")
    return words, notes


def _steady(pipeline: MagicPosePipeline, settings: ModelSettings) -> list[str]:
    """Give the pipeline the motion adapter that its settings ask for, or none; and notes."""
    if not settings.is_steady:
        pipeline.set_motion_adapter(None)
        return []
    if settings.motion_adapter is not None:
        with quiet():
            from magicpose_cli.diffusion.adapters.motion import load_motion_adapter

        adapter = load_motion_adapter(place_of(settings.motion_adapter), pipeline.unet)
        pipeline.set_motion_adapter(adapter)
    if pipeline.motion_adapter is None:
        return [
            "steady: this model has no motion adapter, so that its frames are made one by one; "
            "--motion-adapter takes one for models of Stable Diffusion 1.5's size"
        ]
    return []


def _identify(pipeline: MagicPosePipeline, settings: ModelSettings) -> None:
    """Give the pipeline the IP-Adapter that its settings ask for, or none."""
    pipeline.identity = None
    if settings.identity:
        with quiet():
            from magicpose_cli.diffusion.adapters.identity import load_identity_adapter

        folder = Path(pipeline.name_or_path) if pipeline.name_or_path else None
        place = identity_place(settings, folder)
        pipeline.identity = load_identity_adapter(place, pipeline.unet, settings.identity)


def _read_body_maps(pipeline: MagicPosePipeline, settings: ModelSettings) -> None:
    """Give the pipeline the ControlNet for maps of the body that is asked for, or none."""
    if not settings.wants_body_maps:
        pipeline.register_modules(body_controlnet=None)
        return
    pipeline.body_map_scale = settings.body_map_scale
    if settings.body_map_model is not None:
        with quiet():
            from magicpose_cli.diffusion.adapters.controlnet import load_body_controlnet

        network = load_body_controlnet(
            place_of(settings.body_map_model), pipeline.unet, pipeline.pose_controlnet
        )
        pipeline.register_modules(body_controlnet=network)
        pipeline.register_to_config(body_maps=body_maps_read(settings, ()))


def swap_decoder(pipeline: MagicPosePipeline, place: Path) -> None:
    """Decode with another autoencoder; a model that has none of its own takes it for both ways."""
    with quiet():
        from magicpose_cli.diffusion.adapters.decoder import BorrowedDecoder, load_autoencoder

    unet = pipeline.unet
    own = pipeline.vae
    other = load_autoencoder(
        place,
        unet.dtype,
        unet.config.in_channels,
        pipeline.vae_scale_factor,
        decoder_alone=own is not None,
    ).to(unet.device)
    pipeline.register_modules(vae=other if own is None else BorrowedDecoder(own, other))


def quantize_linears(pipeline: MagicPosePipeline, kind: str, device: str) -> None:
    """Keep the weights of the linear layers of all three networks in eight bits, through torchao.

    They are a third of the released model's weights; convolutions stay. int8 is for memory: each
    weight is widened when it is used, which makes it slower, not faster. fp8 multiplies in eight
    bits, too, which pays once it is compiled. Both change the result.
    """
    if kind == "fp8" and not _has_fp8(device):
        raise ConfigError(
            f"model.quantize: fp8 cannot be computed on {device}; expected a CUDA device of "
            "compute capability 8.9 or newer (Ada, Hopper), or quantize int8"
        )
    quantize = _torchao()
    config: Any
    if kind == "fp8":
        config = quantize.Float8DynamicActivationFloat8WeightConfig()
    else:
        config = quantize.Int8WeightOnlyConfig()
    for name in _TRAINED_NETWORKS:
        quantize.quantize_(getattr(pipeline, name), config)


def slice_autoencoder(
    pipeline: MagicPosePipeline, slicing: str, offload: str, device: str, size: tuple[int, int]
) -> None:
    """Let the autoencoder work on one picture at a time, and on tiles of large ones.

    One picture at a time changes nothing but rounding. Tiles are for pictures above 512x512 alone
    and are blended where they overlap: that changes the picture, most at the seams.

    on: both. auto: one at a time for offloaded models, and above 512x512 on GPUs; tiles only there,
    and only where the memory is short.

    The networks' attention needs none of this: on CUDA and the CPU torch computes it in pieces, so
    its memory grows with the number of tokens and not with their square.
    """
    vae = pipeline.vae
    if vae is None or slicing == "off":
        return
    large = size[0] * size[1] > UNSLICED_PIXELS
    large_on_gpu = large and device != "cpu"
    if slicing == "on" or offload != "none" or large_on_gpu:
        vae.enable_slicing()
    if (slicing == "on" and large) or (large_on_gpu and (offload != "none" or _is_small(device))):
        vae.enable_tiling()


def offload_parts(pipeline: MagicPosePipeline, kind: str, device: str) -> None:
    """Keep on the device what is at work, and the rest in main memory. Changes no number.

    model: one of text encoder, appearance network and denoiser at a time; the pose network and the
        motion module, which take turns with the denoiser, and the small autoencoder stay, so that
        nothing moves between frames. sequential: one layer at a time, many times slower.
    """
    if kind == "sequential":
        pipeline.enable_sequential_cpu_offload(device=device)
    else:
        pipeline.model_cpu_offload_seq = "text_encoder->appearance_unet->unet"
        pipeline._exclude_from_cpu_offload = list(STAYING_PARTS)
        pipeline.enable_model_cpu_offload(device=device)


def _has_fp8(device: str) -> bool:
    return device.startswith("cuda") and torch.cuda.get_device_capability(device) >= _FP8_CAPABILITY


def _is_small(device: str) -> bool:
    """Whether the device's memory is short for large pictures; shared memory is taken as short."""
    if not device.startswith("cuda"):
        return True
    return torch.cuda.get_device_properties(device).total_memory < _ROOMY_BYTES


def _torchao() -> Any:
    try:
        with quiet():
            import torchao.quantization
    except ImportError as error:
        raise ConfigError(
            "model.quantize: torchao is not installed; `pip install 'magicpose[quant]'` brings it"
        ) from error
    return torchao.quantization
