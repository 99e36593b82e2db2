"""Another Stable Diffusion 1.5 in the denoiser's place, as the paper shows it: a plug-in.

MagicPose trains the appearance and the pose network beside a frozen denoiser, so that any relative
of that denoiser can stand in for it. The two networks, the text encoder and the autoencoder stay.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch

from magicpose_cli.diffusion import layout
from magicpose_cli.diffusion.read import fill, read_checkpoint
from magicpose_cli.diffusion.weights import CHECKPOINTS
from magicpose_cli.errors import ModelError

WEIGHTS = "diffusion_pytorch_model"
WANTED = "expected a checkpoint of Stable Diffusion 1.5 or one made from it"
SD15_WIDTH, SD2_WIDTH, SDXL_WIDTH, INPAINTING_CHANNELS = 768, 1024, 2048, 9
FIRST = ("input_blocks.0.0.weight", "conv_in.weight")  # the denoiser's first convolution
TRANSFORMERS = ("joint_blocks", "double_blocks", "transformer_blocks.0.attn.add_")


def swap_denoiser(pipeline: Any, place: Path) -> None:
    """Give the pipeline's denoiser the weights of another one, in its own dtype and place.

    place: a diffusers folder (of a whole pipeline or of its unet), or one file: .safetensors, .ckpt
    and the like with the names of the original code (`model.diffusion_model.*`) or of diffusers.

    Raises ModelError where it is none, or is of another build: Stable Diffusion 2, XL, 3 and
    inpainting are told by name. Nothing is changed then.
    """
    unet = pipeline.unet
    if place.is_dir():
        folder = place / "unet" if (place / "unet" / "config.json").is_file() else place
        _check_prediction(pipeline, place)
        state = _read_folder(place, folder)
    elif place.is_file() and place.suffix.lower() in CHECKPOINTS:
        state = read_checkpoint(place, WANTED)
    else:
        raise ModelError(
            f"base {place}: neither a folder nor a {', '.join(CHECKPOINTS)} file; {WANTED}"
        )
    state = _in_diffusers_names(place, state)
    _check_kind(place, state)
    size = "" if _is_full_size(unet) else " and a model of its size"
    fill(unet, state, f"base {place}", "denoiser", lacking=WANTED, misfit=WANTED + size)


def _read_folder(place: Path, folder: Path) -> dict[str, torch.Tensor]:
    """The weights of a unet's folder; half precision will do where nothing else is there."""
    files = [folder / f"{WEIGHTS}{kind}.safetensors" for kind in ("", ".fp16")]
    file = next((file for file in files if file.is_file()), None)
    if file is None:
        raise ModelError(
            f"base {place}: no {WEIGHTS}.safetensors in {folder}; expected a diffusers folder of "
            "safetensors"
        )
    return read_checkpoint(file, WANTED)


def _check_prediction(pipeline: Any, place: Path) -> None:
    """A denoiser that predicts something else than this model's scheduler takes is of no use."""
    file = place / "scheduler" / "scheduler_config.json"
    if not file.is_file():
        return
    try:
        other = json.loads(file.read_text(encoding="utf-8")).get("prediction_type", "epsilon")
    except (OSError, ValueError, AttributeError, RecursionError) as error:
        raise ModelError(f"base {file}: cannot be read; copy the folder again") from error
    own = pipeline.scheduler.config.get("prediction_type", "epsilon")
    if other != own:
        raise ModelError(f"base {place}: predicts {other}, this model's networks {own}; {WANTED}")


def _in_diffusers_names(place: Path, state: Mapping[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    """The denoiser's tensors alone, by diffusers' names."""
    denoiser = {key: tensor for key, tensor in state.items() if key.startswith(layout.DENOISER)}
    if not denoiser:
        return {key.removeprefix("unet."): tensor for key, tensor in state.items()}
    _check_kind(place, state)
    shape = layout.unet_shape(layout.Tensors(denoiser))
    modules = layout.unet_modules(shape)
    return layout.by_names_of_diffusers(denoiser, layout.DENOISER, modules)


def _check_kind(place: Path, state: Mapping[str, torch.Tensor]) -> None:
    """ModelError with its name for a relative that cannot stand in."""
    if why := _known_stranger(state):
        raise ModelError(
            f"base {place}: is {why}; MagicPose's appearance and pose networks speak to Stable "
            f"Diffusion 1.5 alone; {WANTED}"
        )


def _known_stranger(state: Mapping[str, torch.Tensor]) -> str | None:
    """What a checkpoint is, by the traits that tell the families apart; None where it may fit."""
    if any(trait in key for key in state for trait in TRANSFORMERS):
        return "a diffusion transformer (Stable Diffusion 3, FLUX)"
    xl = ("conditioner.embedders.", "add_embedding.", "label_emb.")
    if any(key.removeprefix(layout.DENOISER).startswith(xl) for key in state):
        return "Stable Diffusion XL"
    first = next((t for key, t in state.items() if key.endswith(FIRST)), None)
    if first is not None and first.ndim == 4 and first.shape[1] == INPAINTING_CHANNELS:
        return "an inpainting model (it takes 9 channels, mask and masked picture among them)"
    text = next((t for key, t in state.items() if key.endswith("attn2.to_k.weight")), None)
    width = 0 if text is None or text.ndim != 2 else text.shape[1]
    return {
        SD2_WIDTH: "Stable Diffusion 2 (its text is 1024 wide, not 768)",
        SDXL_WIDTH: "Stable Diffusion XL (its text is 2048 wide, not 768)",
    }.get(width)


def _is_full_size(unet: Any) -> bool:
    return any(
        key.endswith("attn2.to_k.weight") and weight.shape[1] == SD15_WIDTH
        for key, weight in unet.state_dict().items()
    )
