"""Motion adapters out of files: AnimateDiff's own layout, and that of diffusers.

Every key of a file is used or the file is refused. What a file holds is told by its tensors alone;
of diffusers' folders the number of heads is read, which tensors do not tell.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import torch
from diffusers import MotionAdapter, UNet2DConditionModel

from magicpose_cli.diffusion.checkpoint.configs import check_configs
from magicpose_cli.diffusion.checkpoint.kinds import file_in, kind_of
from magicpose_cli.diffusion.checkpoint.loading import quiet, unreadable
from magicpose_cli.diffusion.checkpoint.opening import fill, read_checkpoint
from magicpose_cli.diffusion.motion_module import (
    MOST_POSITIONS,
    adapter_shape,
    holds_windows,
    positions_of,
)
from magicpose_cli.diffusion.motion_windows import FRAMES_TOGETHER
from magicpose_cli.errors import ModelError

_SUFFIXES = (".safetensors", ".ckpt", ".pt", ".pth", ".bin")
_PREFERRED_FILES = tuple(
    f"diffusion_pytorch_model{kind}"
    for kind in (".safetensors", ".fp16.safetensors", ".bin", ".fp16.bin")
)
_EXPECTED = (
    "expected a motion module of AnimateDiff for Stable Diffusion 1.5: its .ckpt or .safetensors, "
    "or a folder of a MotionAdapter as diffusers saves it"
)
_ORIGINAL_HEADS = 8  # of every motion module that AnimateDiff's authors released
_RENAMED: dict[str, str | Callable[[re.Match[str]], str]] = {
    r"\.temporal_transformer\.": ".",
    r"\.attention_blocks\.(\d)\.": lambda m: f".attn{int(m[1]) + 1}.",
    r"\.norms\.(\d)\.": lambda m: f".norm{int(m[1]) + 1}.",
    r"\.ff_norm\.": ".norm3.",
}
"""What AnimateDiff calls the modules of a layer, and what diffusers calls them."""
_LAYER = r"(down_blocks\.\d+|up_blocks\.\d+|mid_block)\.motion_modules\.\d+\."
_POSITIONS = re.compile(r"(.+\.transformer_blocks\.\d+)\.attn\d\.pos_encoder\.pe")


def load_motion_adapter(place: Path, unet: UNet2DConditionModel) -> MotionAdapter:
    """Load a motion adapter for a denoiser, in the denoiser's number format and on its device.

    Args:
        place: A file, or a folder with one.
        unet: The denoiser.

    Raises:
        ModelError: The file is none, is incomplete, holds more, or is for another denoiser.
    """
    at = f"motion adapter {place}"
    file = file_in(place, "motion adapter", _SUFFIXES, _PREFERRED_FILES)
    heads = _told_heads(file.with_name("config.json"), at) if place.is_dir() else None
    config, state = plan_motion_adapter(read_checkpoint(file, _EXPECTED, at), unet, at, heads)
    try:
        with quiet():
            adapter = MotionAdapter(**config)
    except unreadable() as error:
        reason = " ".join(str(error).split())[:120]
        raise ModelError(f"{at}: cannot be built ({reason}); {_EXPECTED}") from error
    own = {key: t for key, t in adapter.state_dict().items() if key.endswith("pos_embed.pe")}
    adapter.to(unet.dtype)
    fill(adapter, own | state, at, "motion module", lacking=_EXPECTED, misfit=_EXPECTED)
    return adapter.to(unet.device).eval().requires_grad_(False)


def plan_motion_adapter(
    state: Mapping[str, torch.Tensor],
    unet: UNet2DConditionModel,
    at: str,
    heads: int | None = None,
) -> tuple[dict[str, Any], dict[str, torch.Tensor]]:
    """Tell the adapter that a file holds; looks at keys and shapes only (meta tensors will do).

    Args:
        state: Tensors of the file, by AnimateDiff's or by diffusers' names.
        unet: The denoiser that the adapter is for.
        at: How a message begins.
        heads: Of the attention; those of the released modules by default.

    Returns:
        Arguments of `MotionAdapter`, and its tensors by their names. Positions that the file does
        not tell are left out.

    Raises:
        ModelError: Keys are unknown or lacking, or shapes are of another denoiser.
    """
    named = _by_names_of_diffusers(state, at)
    tables = [t for key, t in named.items() if key.endswith("pos_embed.pe")]
    if any(table.ndim != 3 for table in tables):
        raise ModelError(f"{at}: its positions are no (1, frames, channels); {_EXPECTED}")
    config = adapter_shape(unet) | {
        "motion_num_attention_heads": heads or _ORIGINAL_HEADS,
        "motion_max_seq_length": tables[0].shape[1] if tables else MOST_POSITIONS,
        "use_motion_mid_block": any(key.startswith("mid_block.") for key in named),
        "motion_transformer_layers_per_block": _depth(named),
        "motion_transformer_layers_per_mid_block": _depth(named),
    }
    _check_widths(named, config, at)
    try:
        with quiet(), torch.device("meta"):
            adapter = MotionAdapter(**config)
    except unreadable() as error:
        reason = " ".join(str(error).split())[:120]
        raise ModelError(f"{at}: cannot be built ({reason}); {_EXPECTED}") from error
    _check_complete(named, adapter, at)
    if not holds_windows(adapter):
        raise ModelError(
            f"{at}: tells {positions_of(adapter)} frames apart; expected at least {FRAMES_TOGETHER}"
        )
    return config, named


def _check_complete(named: Mapping[str, torch.Tensor], adapter: MotionAdapter, at: str) -> None:
    """ModelError for a weight that is unknown, lacking or of another shape."""
    has_positions = any(key.endswith("pos_embed.pe") for key in named)
    wanted = {key: tensor.shape for key, tensor in adapter.state_dict().items()}
    if unknown := sorted(named.keys() - wanted.keys()):
        raise ModelError(
            f"{at}: {len(unknown)} of its {len(named)} weights are none of this model's motion "
            f"module ({unknown[0][:120]}, ...); {_EXPECTED}"
        )
    lacking = sorted(
        key
        for key in wanted.keys() - named.keys()
        if has_positions or not key.endswith("pos_embed.pe")
    )
    if lacking:
        raise ModelError(
            f"{at}: lacks {len(lacking)} of the {len(wanted)} weights of a motion module "
            f"({lacking[0]}, ...); {_EXPECTED}"
        )
    for key, tensor in named.items():
        if tensor.shape != wanted[key]:
            raise ModelError(
                f"{at}: {key} is {list(tensor.shape)}, this model's motion module has "
                f"{list(wanted[key])}; {_EXPECTED}"
            )


def _by_names_of_diffusers(state: Mapping[str, torch.Tensor], at: str) -> dict[str, torch.Tensor]:
    """Tensors of a file by the names that diffusers has for them.

    Raises:
        ModelError: Nothing of a motion module is in the file, or what is beside it.
    """
    bare = {key.removeprefix("module."): tensor for key, tensor in state.items()}
    if any("lora" in key for key in bare) or not any(re.match(_LAYER, key) for key in bare):
        kind = kind_of(bare) or "something else"
        if any("motion_modules." in key and "lora" in key for key in bare):
            kind = "a motion LoRA"
        raise ModelError(f"{at}: is {kind}; {_EXPECTED}")
    named: dict[str, torch.Tensor] = {}
    for key, tensor in bare.items():
        for pattern, name in _RENAMED.items():
            key = re.sub(pattern, name, key)
        if match := _POSITIONS.fullmatch(key):  # each attention's own copy of the same table
            key = f"{match[1]}.pos_embed.pe"
            former = named.get(key)
            if former is not None and not _same(former, tensor):
                raise ModelError(f"{at}: {key} differs from one attention to another; {_EXPECTED}")
        elif key in named:
            raise ModelError(f"{at}: holds {key[:120]} twice; {_EXPECTED}")
        named[key] = tensor
    return named


def _same(one: torch.Tensor, other: torch.Tensor) -> bool:
    return one.shape == other.shape and (one.is_meta or torch.equal(one, other))


def _depth(named: Mapping[str, torch.Tensor]) -> int:
    """Transformer blocks of a layer, one in the released modules."""
    numbers = [int(m[1]) for key in named if (m := re.search(r"transformer_blocks\.(\d+)\.", key))]
    return min(max(numbers, default=0) + 1, 8)


def _check_widths(named: Mapping[str, torch.Tensor], config: Mapping[str, Any], at: str) -> None:
    """ModelError with the family's name for a module of a denoiser of other widths."""
    levels = len({key.split(".")[1] for key in named if key.startswith("down_blocks.")})
    found = [
        tuple(named[key].shape)
        for level in range(levels)
        if (key := f"down_blocks.{level}.motion_modules.0.norm.weight") in named
    ]
    widths = [shape[0] for shape in found if len(shape) == 1]
    wanted = list(config["block_out_channels"])
    if widths == wanted or not widths:
        return
    family = " (Stable Diffusion XL)" if widths == [320, 640, 1280] else ""
    raise ModelError(
        f"{at}: is for a denoiser of {widths} channels{family}; this model's has {wanted}; "
        f"{_EXPECTED}"
    )


def _told_heads(file: Path, at: str) -> int | None:
    """Heads of the attention that a folder's config.json tells; None where it tells none."""
    if not file.is_file():
        return None
    try:
        check_configs(file.parent)
        told = json.loads(file.read_text(encoding="utf-8"))
        if told.get("_class_name") != "MotionAdapter":
            raise ValueError(f"it is of a {str(told.get('_class_name'))[:40]}")
        if told.get("conv_in_channels"):
            raise ValueError("it has a first convolution of its own, as PIA has")
        heads = told.get("motion_num_attention_heads", _ORIGINAL_HEADS)
        if type(heads) is not int or heads < 1:
            raise ValueError(f"motion_num_attention_heads is {str(heads)[:40]}")
    except unreadable() as error:
        reason = " ".join(str(error).split())[:120]
        raise ModelError(f"{at}: its {file.name} cannot be used ({reason}); {_EXPECTED}") from error
    return heads
