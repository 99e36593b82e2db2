"""Another Stable Diffusion 1.5 in the denoiser's place, as the paper shows it: a plug-in.

MagicPose trains the appearance and the pose network beside a frozen denoiser, so that any relative
of that denoiser can stand in for it. The two networks, the text encoder and the autoencoder stay.
"""

from __future__ import annotations

import inspect
import json
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch

from magicpose_cli.diffusion.checkpoint import layout
from magicpose_cli.diffusion.checkpoint.kinds import file_in, kind_of
from magicpose_cli.diffusion.checkpoint.loading import CHECKPOINTS, unreadable
from magicpose_cli.diffusion.checkpoint.opening import fill, metadata_of, read_checkpoint
from magicpose_cli.errors import ModelError

_SUFFIXES = (*CHECKPOINTS, ".bin")
_PREFERRED_FILES = tuple(
    f"diffusion_pytorch_model{kind}"
    for kind in (".safetensors", ".fp16.safetensors", ".bin", ".fp16.bin")
)
SCHEDULE = (
    "prediction_type",
    "rescale_betas_zero_snr",
    "num_train_timesteps",
    "beta_schedule",
    "beta_start",
    "beta_end",
    "trained_betas",
)
"""Settings of a scheduler that belong to the denoiser, and not to how it is sampled."""

UNTOLD = {"rescale_betas_zero_snr": False, "prediction_type": "epsilon"}
PREDICTIONS = ("epsilon", "v_prediction", "sample")
IS_V = re.compile(r"""^\s*parameterization:\s*["']?v["']?\s*(#.*)?$""", re.MULTILINE).search
_EXPECTED = "expected a checkpoint of Stable Diffusion 1.5 or one made from it"
SD15_WIDTH, SD2_WIDTH, SDXL_WIDTH, INPAINTING_CHANNELS = 768, 1024, 2048, 9
FIRST = ("input_blocks.0.0.weight", "conv_in.weight")  # the denoiser's first convolution
_TRANSFORMERS = ("joint_blocks", "double_blocks", "transformer_blocks.0.attn.add_")


def swap_denoiser(pipeline: Any, place: Path) -> list[str]:
    """Give the pipeline's denoiser the weights of another one, in its own dtype and place.

    place: a diffusers folder (of a whole pipeline or of its unet), or one file: .safetensors, .ckpt
    and the like with the names of the original code (`model.diffusion_model.*`) or of diffusers.
    A denoiser that predicts something else than the model's own, such as velocity, brings its
    noise schedule's settings along. Returns lines for the user on that.

    Raises ModelError where it is none, or is of another build: Stable Diffusion 2, XL, 3 and
    inpainting are told by name. Nothing is changed then.
    """
    if not place.exists():
        raise ModelError(
            f"base {place}: neither a folder nor a {', '.join(_SUFFIXES)} file; {_EXPECTED}"
        )
    folder = place / "unet" if (place / "unet" / "config.json").is_file() else place
    file = file_in(folder, "base", _SUFFIXES, _PREFERRED_FILES)
    whole = read_checkpoint(file, _EXPECTED, f"base {place}")
    schedule = _schedule(place, file, whole)
    state = _in_diffusers_names(place, whole)
    _check_kind(place, state)
    unet = pipeline.unet
    if not state.keys() & unet.state_dict().keys():
        kind = kind_of(whole)
        if kind is not None and "--base" not in kind:
            raise ModelError(f"base {place}: is {kind}; {_EXPECTED}")
    scheduler = _scheduled(pipeline.scheduler, schedule, place)
    size = "" if _is_full_size(unet) else " and a model of its size"
    fill(unet, state, f"base {place}", "denoiser", lacking=_EXPECTED, misfit=_EXPECTED + size)
    if scheduler is None:
        return []
    pipeline.register_modules(scheduler=scheduler)
    told = ", ".join(f"{key} {value}" for key, value in schedule.items())
    return [f"base {place.name}: the noise schedule follows it ({told})"]


def _schedule(place: Path, file: Path, state: Mapping[str, torch.Tensor]) -> dict[str, Any]:
    """What a base tells of the noise that it was trained on, by the names of diffusers' schedulers.

    A folder has a scheduler's configuration. A file may hold the empty tensors `v_pred` and
    `ztsnr`, tell it in its metadata, or have a YAML of the original code beside it.
    """
    whole = place.parent if place.name == "unet" else place
    config = whole / "scheduler" / "scheduler_config.json"
    told: dict[str, Any] = {}
    try:
        if config.is_file():
            read = json.loads(config.read_text(encoding="utf-8"))
            told = {key: read[key] for key in SCHEDULE if read.get(key) is not None}
            told.setdefault("prediction_type", "epsilon")
        else:
            metadata = metadata_of(file)
            of_spec = metadata.get("modelspec.prediction_type", "")
            beside = [file.with_suffix(end) for end in (".yaml", ".yml")]
            texts = [f.read_text(encoding="utf-8", errors="replace") for f in beside if f.is_file()]
            if "v_pred" in state or of_spec in ("v", "v_prediction") or any(map(IS_V, texts)):
                told["prediction_type"] = "v_prediction"
            if "ztsnr" in state:
                told["rescale_betas_zero_snr"] = True
    except (OSError, ValueError, AttributeError, RecursionError) as error:
        raise ModelError(f"base {config}: cannot be read; copy the folder again") from error
    return told


def _scheduled(scheduler: Any, schedule: Mapping[str, Any], place: Path) -> Any:
    """The scheduler with the settings of a base; None where it has them already."""
    other = {
        key: v for key, v in schedule.items() if scheduler.config.get(key, UNTOLD.get(key)) != v
    }
    if not other:
        return None
    taken = inspect.signature(type(scheduler).__init__).parameters
    kind = other.get("prediction_type", "epsilon")
    if not other.keys() <= taken.keys() or kind not in PREDICTIONS:
        told = ", ".join(f"{key} {value}"[:80] for key, value in other.items())
        raise ModelError(
            f"base {place}: its noise schedule ({told}) is not one that {type(scheduler).__name__} "
            f"has; {_EXPECTED}"
        )
    try:
        return type(scheduler).from_config(scheduler.config, **other)
    except unreadable() as error:
        reason = " ".join(str(error).split())[:120]
        raise ModelError(
            f"base {place}: its noise schedule cannot be used ({reason}); {_EXPECTED}"
        ) from error


def _in_diffusers_names(place: Path, state: Mapping[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    """The denoiser's tensors alone, by diffusers' names."""
    for prefix in (layout.DENOISER, "diffusion_model.", ""):
        if f"{prefix}input_blocks.0.0.weight" in state:
            denoiser = {
                layout.DENOISER + key.removeprefix(prefix): tensor
                for key, tensor in state.items()
                if key.startswith(prefix)
            }
            break
    else:
        _check_kind(place, state)
        return {key.removeprefix("unet."): tensor for key, tensor in state.items()}
    _check_kind(place, state)
    with layout.errors_of(f"base {place}", _EXPECTED):
        shape = layout.unet_shape(layout.Tensors(denoiser))
    modules = layout.unet_modules(shape)
    return layout.by_names_of_diffusers(denoiser, layout.DENOISER, modules)


def _check_kind(place: Path, state: Mapping[str, torch.Tensor]) -> None:
    """ModelError with its name for a relative that cannot stand in."""
    if why := _known_stranger(state):
        raise ModelError(
            f"base {place}: is {why}; MagicPose's appearance and pose networks speak to Stable "
            f"Diffusion 1.5 alone; {_EXPECTED}"
        )


def _known_stranger(state: Mapping[str, torch.Tensor]) -> str | None:
    """What a checkpoint is, by the traits that tell the families apart; None where it may fit."""
    if any(trait in key for key in state for trait in _TRANSFORMERS):
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
