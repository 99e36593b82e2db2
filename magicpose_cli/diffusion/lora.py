"""A LoRA laid into the denoiser's weights, so that it costs nothing when it runs.

A LoRA file holds for some layers two thin matrices whose product, scaled by alpha / rank, is added
to the layer's weight. diffusers can read such files, but only with peft and as layers beside the
layers; added once, there is nothing to read, convert or run any more.
"""

from __future__ import annotations

import json
import math
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from magicpose_cli.diffusion.weights import unreadable
from magicpose_cli.errors import ModelError

ENDINGS = (
    (".lora_down.weight", ".lora_up.weight", ".alpha"),  # kohya
    (".lora_A.weight", ".lora_B.weight", ".alpha"),  # peft, and diffusers since 0.20
    (".lora.down.weight", ".lora.up.weight", ".alpha"),  # diffusers before
    ("_lora.down.weight", "_lora.up.weight", ".alpha"),  # diffusers' attention processors
)
"""What follows a layer's name, for the first matrix applied, the second and the scale."""

OF_OTHERS = ("lora_te", "text_encoder")
METADATA = "lora_adapter_metadata"


@dataclass(frozen=True)
class _Addend:
    """What is added to one layer: scale * up @ down."""

    down: torch.Tensor
    up: torch.Tensor
    scale: float


def fuse_lora(unet: Any, file: Path, scale: float = 1.0) -> bool:
    """Add a LoRA to a UNet's weights; returns whether it left out something for text encoders.

    scale: how much of it; 0 is nothing, 1 what it was trained as.
    file: .safetensors in kohya's naming or diffusers' (old, new or peft's), for linear layers and
        convolutions. What it holds for text encoders stays out: MagicPose is trained on the empty
        prompt, and its prompt is not what a LoRA is used for here.

    Raises ModelError for a file that cannot be read, fits no layer or asks for more than that.
    """
    tensors, metadata = _read(file)
    layers = {
        name: module
        for name, module in unet.named_modules()
        if isinstance(module, torch.nn.Linear | torch.nn.Conv2d)
    }
    addends = dict(_addends(file, tensors, metadata, _spellings(layers)))
    if not addends:
        raise ModelError(
            f"LoRA {file}: fits no layer of the denoiser (its first keys are: "
            f"{', '.join(sorted(tensors)[:3]) or 'none at all'}); expected one for Stable "
            "Diffusion 1.5"
        )
    for name, addend in addends.items():  # all of them, before anything is changed
        _check_fits(file, name, layers[name].weight, addend)
    for name, addend in addends.items():
        _add(layers[name].weight, addend, scale)
    return any(key.startswith(OF_OTHERS) for key in tensors)


def _read(file: Path) -> tuple[dict[str, torch.Tensor], dict[str, Any]]:
    """Tensors, and what diffusers wrote of their scale (flat: "unet.lora_alpha": 8, ...)."""
    from safetensors import safe_open

    if file.suffix != ".safetensors" or not file.is_file():
        raise ModelError(f"LoRA {file}: no such file; expected a .safetensors file")
    try:
        with safe_open(file, "pt") as opened:
            tensors = {key: opened.get_tensor(key) for key in opened.keys()}  # noqa: SIM118
            noted = json.loads((opened.metadata() or {}).get(METADATA, "{}"))
            metadata = {key.removeprefix("unet."): value for key, value in noted.items()}
    except unreadable() as error:
        reason = " ".join(str(error).split())[:200]
        raise ModelError(f"LoRA {file}: cannot be read ({reason}); copy it again") from error
    return tensors, metadata


def _spellings(layers: Mapping[str, Any]) -> dict[str, str]:
    """Layer by each way in which files name it."""
    known: dict[str, str] = {}
    for name in layers:
        processor = re.sub(r"(attn\d)\.(to_\w+?)(\.0)?$", r"\1.processor.\2", name)
        for spelling in (name, processor):
            known |= {spelling: name, f"unet.{spelling}": name}
        known["lora_unet_" + name.replace(".", "_")] = name
        known[f"base_model.model.{name}"] = name
    return known


def _addends(
    file: Path,
    tensors: Mapping[str, torch.Tensor],
    metadata: Mapping[str, Any],
    spellings: Mapping[str, str],
) -> Iterator[tuple[str, _Addend]]:
    """(layer, what is added to it). ModelError where anything for the denoiser is left over."""
    left = {key for key in tensors if not key.startswith(OF_OTHERS)}
    found = False
    for first, second, scale in ENDINGS:
        for key in [key for key in left if key.endswith(first)]:
            spelling = key.removesuffix(first)
            keys = (key, spelling + second, spelling + scale)
            if spelling not in spellings or keys[1] not in tensors:
                continue
            found = True
            name = spellings[spelling]
            down, up = tensors[key], tensors[keys[1]]
            try:
                rank = _rank(down, up)
                own = tensors.get(keys[2])
                alpha = _alpha(metadata, name, rank) if own is None else float(own)
                if not math.isfinite(alpha):
                    raise ValueError(f"a scale of {alpha}")
            except unreadable() as error:
                raise ModelError(
                    f"LoRA {file}: what it holds for {name} is no LoRA ({error}); copy it again"
                ) from error
            yield name, _Addend(down, up, alpha / rank)
            left -= set(keys)
    if found and left:
        raise ModelError(
            f"LoRA {file}: {len(left)} of its tensors fit nothing in the denoiser "
            f"({min(left)}, ...); expected a plain LoRA for Stable Diffusion 1.5"
        )


def _rank(down: torch.Tensor, up: torch.Tensor) -> int:
    """Rows of the first matrix, columns of the second. ValueError where they are none."""
    real = down.is_floating_point() and up.is_floating_point()
    if not real or min(down.ndim, up.ndim) < 2 or not len(down) == up.shape[1] == up[0].numel() > 0:
        raise ValueError(f"{down.dtype} {list(down.shape)} and {up.dtype} {list(up.shape)}")
    return len(down)


def _alpha(metadata: Mapping[str, Any], name: str, rank: int) -> float:
    """What diffusers noted for a layer; without a note the product is added as it is.

    Layers are noted by the ends of their names. peft takes any regular expression, too, of which a
    stranger's can take forever: ValueError.
    """
    for pattern, alpha in metadata.get("alpha_pattern", {}).items():
        end = pattern.strip("^$").replace("\\.", ".")
        if not re.fullmatch(r"[\w.]+", end):
            raise ValueError(f"scales for the layers {pattern!r}, which is no name")
        if f".{name}".endswith(f".{end}"):
            return float(alpha)
    return float(metadata.get("lora_alpha", rank))


def _check_fits(file: Path, name: str, weight: torch.Tensor, addend: _Addend) -> None:
    out, inside = addend.up.shape[0], addend.down[0].numel()
    if (out, inside) != (weight.shape[0], weight[0].numel()):
        raise ModelError(
            f"LoRA {file}: is for {inside} to {out} values in {name}, where the model has "
            f"{weight[0].numel()} to {weight.shape[0]}; expected one for this model's denoiser"
        )


@torch.no_grad()
def _add(weight: torch.Tensor, addend: _Addend, strength: float) -> None:
    """In float32, whatever the weight's own precision."""
    up, down = (part.to(weight.device).float().flatten(1) for part in (addend.up, addend.down))
    weight.copy_(weight.float() + strength * addend.scale * (up @ down).reshape(weight.shape))
