"""Another autoencoder's decoder in a model, such as a tiny one for previews."""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any

import torch
from diffusers import AutoencoderKL, AutoencoderTiny
from diffusers.utils.accelerate_utils import apply_forward_hook

from magicpose_cli.diffusion.configs import check_configs
from magicpose_cli.diffusion.weights import CLASSES, lacking_weights, quiet, unreadable
from magicpose_cli.errors import ModelError

KINDS = {"AutoencoderKL": AutoencoderKL, "AutoencoderTiny": AutoencoderTiny}


class BorrowedDecoder(torch.nn.Module):
    """An autoencoder that encodes as the model's own and decodes as another one.

    The reference is encoded once, so a cheaper encoder would win nothing; and its latents are what
    the appearance network reads who somebody is from, so they stay what it was trained on. Decoding
    is what every frame pays for, and it only has to show what the latents hold.

    Latents come and go as the model's own autoencoder has them: `config` is that one's. Each
    autoencoder's scale and shift lead to the denoiser's own latents, where the two meet: a tiny
    autoencoder such as TAESD is made for those and has a scale of 1, SD 1.5's has 0.18215.
    """

    def __init__(self, own: Any, other: Any):
        super().__init__()
        self.own = own
        self.other = other
        self.config = own.config

    @property
    def dtype(self) -> torch.dtype:
        """Of both."""
        return self.other.dtype

    @property
    def device(self) -> torch.device:
        """Of both."""
        return self.other.device

    @apply_forward_hook
    def encode(self, pictures: torch.Tensor) -> Any:
        """What the model's own autoencoder makes of pictures (n, 3, H, W) in -1..1."""
        return self.own.encode(pictures)

    @apply_forward_hook
    def decode(self, latents: torch.Tensor, return_dict: bool = True) -> Any:
        """The other's pictures (n, 3, H, W) of the own's latents (n, c, h, w)."""
        own, other = self.config, self.other.config
        of_denoiser = (latents - (own.shift_factor or 0.0)) * own.scaling_factor
        of_other = of_denoiser / other.scaling_factor + (other.shift_factor or 0.0)
        return self.other.decode(of_other, return_dict=return_dict)

    def enable_slicing(self) -> None:
        """One picture at a time."""
        self.own.enable_slicing()
        self.other.enable_slicing()

    def enable_tiling(self) -> None:
        """One tile of a picture at a time."""
        self.own.enable_tiling()
        self.other.enable_tiling()


def load_autoencoder(folder: Path, dtype: torch.dtype, channels: int, factor: int) -> Any:
    """An autoencoder's folder: local, safetensors, a stock class.

    channels: of the latents that it must understand. factor: pixels that a latent is wide.

    Raises ModelError for a folder that is none, is incomplete or does not fit.
    """
    kinds = " or ".join(sorted(CLASSES["vae"][1]))
    try:
        config = json.loads((folder / "config.json").read_text(encoding="utf-8"))
        kind = str(config["_class_name"])
    except (OSError, ValueError, LookupError, TypeError, RecursionError) as error:
        raise ModelError(
            f"autoencoder {folder}: no readable config.json in it; expected a folder of an {kinds} "
            "as diffusers saves it"
        ) from error
    if kind not in CLASSES["vae"][1]:
        raise ModelError(f"autoencoder {folder}: is a {kind}; expected {kinds}")
    try:
        check_configs(folder)
        with quiet():
            vae = KINDS[kind].from_pretrained(
                folder, torch_dtype=dtype, local_files_only=True, use_safetensors=True
            )
        lacking = lacking_weights(vae, folder)
        own_factor = 2 ** (len(vae.config.block_out_channels) - 1)
        scale, shift = float(vae.config.scaling_factor), float(vae.config.shift_factor or 0)
        if not (math.isfinite(shift) and 0 < scale < math.inf):
            raise ValueError(f"its scaling_factor is {scale}, its shift_factor {shift}")
    except unreadable() as error:
        reason = " ".join(str(error).split())[:200]
        raise ModelError(
            f"autoencoder {folder}: cannot be loaded ({reason}); copy or save it again"
        ) from error
    if lacking:
        raise ModelError(
            f"autoencoder {folder}: lacks {len(lacking)} weights ({lacking[0]}, ...); copy or save "
            "it again"
        )
    if (vae.config.latent_channels, own_factor) != (channels, factor):
        raise ModelError(
            f"autoencoder {folder}: {vae.config.latent_channels} latent channels, {own_factor} "
            f"pixels wide; the model's latents have {channels} and are {factor} pixels wide"
        )
    return vae.eval()
