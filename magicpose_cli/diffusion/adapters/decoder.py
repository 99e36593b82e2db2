"""Another autoencoder's decoder in a model, such as a tiny one for previews."""

from __future__ import annotations

import json
import math
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from diffusers import AutoencoderKL, AutoencoderTiny
from diffusers.utils.accelerate_utils import apply_forward_hook

from magicpose_cli.diffusion.checkpoint import layout
from magicpose_cli.diffusion.checkpoint.configs import check_configs
from magicpose_cli.diffusion.checkpoint.kinds import file_in, kind_of
from magicpose_cli.diffusion.checkpoint.loading import quiet, unreadable
from magicpose_cli.diffusion.checkpoint.opening import fill, read_checkpoint
from magicpose_cli.errors import ModelError

_KINDS = {"AutoencoderKL": AutoencoderKL, "AutoencoderTiny": AutoencoderTiny}
_SUFFIXES = (".safetensors", ".pt", ".pth", ".ckpt", ".bin")
_PREFERRED_FILES = tuple(
    f"diffusion_pytorch_model{kind}"
    for kind in (".safetensors", ".fp16.safetensors", ".bin", ".fp16.bin")
)
XL_SCALE = 0.13025  # of its latents; the build is that of SD 1.5's, the latents are others
_EXPECTED = (
    "expected an autoencoder of Stable Diffusion 1.5: a folder of an AutoencoderKL or "
    "AutoencoderTiny as diffusers saves it, or one file"
)


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
        """Number format of both autoencoders."""
        dtype: torch.dtype = self.other.dtype
        return dtype

    @property
    def device(self) -> torch.device:
        """Device of both autoencoders."""
        device: torch.device = self.other.device
        return device

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


def load_autoencoder(
    place: Path, dtype: torch.dtype, channels: int, factor: int, *, decoder_alone: bool = True
) -> Any:
    """An autoencoder out of a folder of diffusers, or out of one file: a stock class.

    place: a file may hold it bare or within a checkpoint, by the names of the original code, of
    diffusers (of any year) or of TAESD. channels: of the latents that it must understand. factor:
    pixels that a latent is wide. decoder_alone: whether a file with no encoder will do.

    Raises ModelError for what is none, is incomplete or does not fit.
    """
    at = f"autoencoder {place}"
    if "sdxl" in place.name.lower():
        raise ModelError(f"{at}: is by its name for Stable Diffusion XL; {_EXPECTED}")
    has_config = (place / "config.json").is_file()
    file = file_in(place, "autoencoder", _SUFFIXES, _PREFERRED_FILES)
    state = autoencoder_state(read_checkpoint(file, _EXPECTED, at), at)
    if not any(key.startswith("decoder.") for key in state):
        alone = any(key.startswith("encoder.") for key in state)
        kind = "an encoder alone" if alone else kind_of(state) or "something else"
        raise ModelError(f"{at}: is {kind}; {_EXPECTED}")
    try:
        check_configs(place)
        kind, config = _read_config(place) if has_config else _told_by(state, at)
        if kind not in _KINDS:
            raise ModelError(f"{at}: is a {kind}; expected {' or '.join(sorted(_KINDS))}")
        with quiet():
            vae = _KINDS[kind].from_config(config)
        own_factor = 2 ** (len(vae.config.block_out_channels) - 1)
        scale, shift = float(vae.config.scaling_factor), float(vae.config.shift_factor or 0)
        if not (math.isfinite(shift) and 0 < scale < math.inf):
            raise ValueError(f"its scaling_factor is {scale}, its shift_factor {shift}")
    except unreadable() as error:
        reason = " ".join(str(error).split())[:200]
        raise ModelError(f"{at}: cannot be loaded ({reason}); {_EXPECTED}") from error
    if scale == XL_SCALE:
        raise ModelError(f"{at}: is by its scale for Stable Diffusion XL; {_EXPECTED}")
    if (vae.config.latent_channels, own_factor) != (channels, factor):
        family = " (Stable Diffusion 3, FLUX)" if vae.config.latent_channels == 16 else ""
        raise ModelError(
            f"{at}: {vae.config.latent_channels} latent channels{family}, {own_factor} "
            f"pixels wide; the model's latents have {channels} and are {factor} pixels wide"
        )
    vae.to(dtype)
    if decoder_alone and not any(key.startswith("encoder.") for key in state):
        vae.encoder = torch.nn.Identity()
        if getattr(vae, "quant_conv", None) is not None:
            vae.quant_conv = None
    fill(vae, state, at, "autoencoder", lacking=_EXPECTED, misfit=_EXPECTED)
    return vae.eval()


def autoencoder_state(state: Mapping[str, torch.Tensor], at: str) -> dict[str, torch.Tensor]:
    """An autoencoder's tensors by the names that diffusers has for them today. at: for messages."""
    for prefix in (layout.VAE, "vae."):
        if own := {k.removeprefix(prefix): t for k, t in state.items() if k.startswith(prefix)}:
            state = own
    if any(re.match(r"(encoder|decoder)\.(mid\.|down\.|up\.)", key) for key in state):
        original = layout.Tensors({f"{layout.VAE}{k}": t for k, t in state.items()})
        with layout.errors_of(at, _EXPECTED):
            config = layout.vae_config(original)
        return layout.by_names_of_diffusers(state, "", layout.vae_modules(config))
    if taesd := _taesd(state):
        return taesd
    return {layout.current_vae_name(key): tensor for key, tensor in state.items()}


def _taesd(state: Mapping[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    """Rename the layers of the original TAESD, which are numbered.

    Its decoder counts a clamp that diffusers does not. A file of one of its halves does not tell
    which: the first layer does.
    """
    found = {re.fullmatch(r"((?:taesd_)?(?:en|de)coder\.)?(\d+)\.(.+)", key): key for key in state}
    if None in found or not found:
        return {}
    whole = {}
    for match, key in found.items():
        assert match is not None
        half = match[1] or ("encoder." if "0.weight" in state else "decoder.")
        half = half.removeprefix("taesd_")
        number = int(match[2]) - (half == "decoder.")
        whole[f"{half}layers.{number}.{match[3]}"] = state[key]
    return whole


def _read_config(folder: Path) -> tuple[str, dict[str, Any]]:
    config = json.loads((folder / "config.json").read_text(encoding="utf-8"))
    return str(config["_class_name"]), config


def _told_by(state: Mapping[str, torch.Tensor], at: str) -> tuple[str, dict[str, Any]]:
    """Class and arguments by the tensors: SD 1.5's scale, and TAESD's one build."""
    if any(key.startswith("decoder.layers.") for key in state):
        return "AutoencoderTiny", {}
    with layout.errors_of(at, _EXPECTED):
        return "AutoencoderKL", layout.vae_config_of_diffusers(layout.Tensors(state))
