"""A LoRA or one of its relatives laid into the denoiser's weights: it costs nothing when it runs.

diffusers reads such files with peft alone and keeps them as layers beside the layers; added once,
there is nothing to read, convert or run any more. What is added stands in `addends.py`.
"""

from __future__ import annotations

import json
import re
from collections import defaultdict
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch

from magicpose_cli.diffusion.adapters.addends import (
    PLAIN_LAYERS,
    SPELLED,
    UNSERVED,
    Scale,
    changed_bias,
    changed_weight,
)
from magicpose_cli.diffusion.adapters.named import PEFT_CONFIG
from magicpose_cli.diffusion.checkpoint import layout
from magicpose_cli.diffusion.checkpoint.kinds import file_in, kind_of
from magicpose_cli.diffusion.checkpoint.loading import unreadable
from magicpose_cli.diffusion.checkpoint.opening import (
    check_tensors,
    metadata_of,
    read_plain,
    require_finite,
)
from magicpose_cli.errors import ModelError

_SUFFIXES = (".safetensors", ".pt", ".pth", ".bin", ".ckpt")
_PREFERRED_FILES = tuple(
    f"{name}{end}"
    for end in (".safetensors", ".bin")
    for name in ("pytorch_lora_weights", "adapter_model", "unet/adapter_model")
)
"""What diffusers and peft call the weights in a folder."""

_EXPECTED = "expected a LoRA or one of its relatives for Stable Diffusion 1.5"
OF_OTHERS = re.compile(
    r"(lora_te|lycoris_te|text_encoder|te\.)|base_model\.model\.text_model\.|lora_text_model"
)
BUNDLED = re.compile(r"bundle_emb\.(.+)\.(string_to_param\.\*|emb_params)")
METADATA = "lora_adapter_metadata"
SERVED_BY_PEFT = ("LORA", "LOHA", "LOKR", "IA3")
MOST_LETTERS = 1000  # of a tensor's name
PART = re.compile(
    "(.+?)(?:" + "|".join(f"(?P<{name}>{ends})" for name, ends in SPELLED.items()) + ")"
)
_TRANSFORMERS = {
    r"double_blocks|single_blocks|single_transformer_blocks": "FLUX",
    r"joint_blocks|^(lora_)?transformer[._]": "a diffusion transformer",
}
WIDTHS = {1024: "Stable Diffusion 2", 2048: "Stable Diffusion XL"}
"""Other families by their layers' names, and by the text that cross-attention takes."""


@dataclass
class Fused:
    """What became of a LoRA's file.

    Attributes:
        notes: Lines for the user, of what is left out.
        words: Vectors of textual inversions that came with the LoRA, by word.
    """

    notes: list[str] = field(default_factory=list)
    words: dict[str, torch.Tensor] = field(default_factory=dict)


def fuse_lora(unet: Any, place: Path, scale: float = 1.0) -> Fused:
    """Add a LoRA, LoCon, LoHa, LoKr, IA3, DoRA or plain differences to a UNet's weights.

    scale: how much of it; 0 is nothing, 1 what it was trained as.
    place: a file in kohya's, LyCORIS', diffusers' (old, new) or peft's naming, or a folder with
        one. What it holds for text encoders stays out: MagicPose is trained on the empty
        prompt, and its prompt is not what a LoRA is used for here.

    Raises ModelError for a file that cannot be read, is none or does not fit.
    """
    file = file_in(place, "LoRA", _SUFFIXES, _PREFERRED_FILES)
    tensors, config = _read(file)
    layers = {name: module for name, module in unet.named_modules() if hasattr(module, "weight")}
    fused, groups, foreign = Fused(), defaultdict[str, dict[str, torch.Tensor]](dict), set()
    spellings = _spellings(unet, layers)
    of_text = place.is_dir() and any(place.glob("text_encoder*/adapter_model.*"))
    for key, tensor in tensors.items():
        part = PART.fullmatch(key)
        if OF_OTHERS.match(key):
            of_text = True
        elif bundled := BUNDLED.fullmatch(key):
            fused.words[bundled[1]] = tensor
        elif part is not None and part[1] in spellings:
            layer, name = spellings[part[1]], str(part.lastgroup)
            if name in groups[layer] and name not in UNSERVED:
                raise ModelError(
                    f"LoRA {file}: holds {name} of {layer} twice, by two names; {_EXPECTED}"
                )
            groups[layer][name] = tensor
        else:
            foreign.add(part[1] if part is not None else key)
    fitting = sum(parts.keys() != {"weight"} for parts in groups.values())
    _check_kind(file, tensors, fitting, foreign, unet)
    for name, parts in groups.items():  # all of them, before anything is changed
        try:
            _check_fits(file, layers[name], parts, config.scale(name))
        except unreadable() as error:
            raise ModelError(
                f"LoRA {file}: what it holds for {name} cannot be added ({error}); {_EXPECTED}"
            ) from error
    for name, parts in groups.items():
        _add(layers[name], parts, scale, config.scale(name), f"LoRA {file}: {name}")
    if of_text:
        fused.notes.append(f"LoRA {file.name}: what it holds for the text encoder is left out")
    if foreign:
        fused.notes.append(
            f"LoRA {file.name}: {len(foreign)} of its layers are none of the denoiser's and are "
            f"left out ({min(foreign)}{', ...' if len(foreign) > 1 else ''})"
        )
    return fused


@dataclass(frozen=True)
class _Config:
    """What a file's metadata or an adapter_config.json beside it tells of scales."""

    told: Mapping[str, Any]

    def scale(self, layer: str) -> Scale:
        """Give alpha / rank of a layer; where nothing is told the product is added as it is.

        Layers are told by the ends of their names. peft takes any regular expression, too, of which
        a stranger's can take forever: ValueError.
        """

        def of_rank(rank: int | None) -> float:
            rank = rank or self._told("r", "rank_pattern", layer, None)
            alpha = self._told("lora_alpha", "alpha_pattern", layer, self.told.get("alpha"))
            if rank is None or alpha is None:
                return 1.0
            return float(alpha) / (rank**0.5 if self.told.get("use_rslora") else rank)

        return of_rank

    def _told(self, name: str, patterns: str, layer: str, otherwise: Any) -> Any:
        for pattern, own in (self.told.get(patterns) or {}).items():
            end = pattern.strip("^$").replace("\\.", ".")
            if not re.fullmatch(r"[\w.]+", end):
                raise ValueError(f"scales for the layers {pattern!r}, which is no name")
            if f".{layer}".endswith(f".{end}"):
                return own
        return self.told.get(name, otherwise)


def _read(file: Path) -> tuple[dict[str, torch.Tensor], _Config]:
    """Tensors, and what diffusers (flat: "unet.lora_alpha": 8, ...) or peft wrote of scales."""
    state = read_plain(file, _EXPECTED, f"LoRA {file}")
    if isinstance(state, list) and any(isinstance(part, torch.Tensor) for part in state):
        raise ModelError(
            f"LoRA {file}: is a list of matrices without names (cloneofsimo's lora); {_EXPECTED}, "
            "with named layers"
        )
    if isinstance(state, dict) and isinstance(state.get("state_dict"), dict):
        state = state["state_dict"]
    if not isinstance(state, dict):
        raise ModelError(f"LoRA {file}: holds a {type(state).__name__}; {_EXPECTED}")
    tensors = {str(key): value for key, value in state.items() if isinstance(value, torch.Tensor)}
    if not tensors and state:
        raise ModelError(f"LoRA {file}: is {kind_of(state) or 'something else'}; {_EXPECTED}")
    check_tensors(file, tensors, _EXPECTED)
    if any(len(key) > MOST_LETTERS for key in tensors):  # no layer's, and slow to look at
        raise ModelError(f"LoRA {file}: has names of over {MOST_LETTERS} letters; {_EXPECTED}")
    beside = file.with_name(PEFT_CONFIG)
    try:
        if beside.is_file() and any(key.startswith("base_model.model.") for key in tensors):
            told = dict(json.loads(beside.read_text(encoding="utf-8")))
        else:
            noted = json.loads(metadata_of(file).get(METADATA, "{}"))
            told = {key.removeprefix("unet."): value for key, value in noted.items()}
    except unreadable() as error:
        raise ModelError(
            f"LoRA {file}: what is told of its scales cannot be read ({error}); copy it again"
        ) from error
    kind = told.get("peft_type", "LORA")
    if kind not in SERVED_BY_PEFT:
        raise ModelError(
            f"LoRA {file}: is peft's {str(kind)[:40]}, which is not applied; {_EXPECTED}"
        )
    return tensors, _Config(told)


def _spellings(unet: Any, layers: Mapping[str, Any]) -> dict[str, str]:
    """Layer by each way in which files name it."""
    shape = layout.shape_of(unet.config)
    original = {new: old for old, new in layout.unet_modules(shape).items()}
    known: dict[str, str] = {}
    for name in layers:
        processor = re.sub(r"(attn\d)\.(to_\w+?)(\.0)?$", r"\1.processor.\2", name)
        for spelling in (name, processor):
            known |= {spelling: name, f"unet.{spelling}": name}
        flat, old = name.replace(".", "_"), layout.renamed(name, original) or name
        for spelling in (
            f"lora_unet_{flat}",
            f"lycoris_{flat}",
            f"base_model.model.{name}",
            f"unet.base_model.model.{name}",
            f"diffusion_model.{old}",
            f"model.diffusion_model.{old}",
            f"lora_unet_{old.replace('.', '_')}",
        ):
            known[spelling] = name
    return known


def _check_kind(
    file: Path, tensors: Mapping[str, torch.Tensor], fitting: int, foreign: set[str], unet: Any
) -> None:
    """ModelError, with its name where it is known, for a file that is not for this denoiser."""
    if why := _known_stranger(tensors, unet):
        raise ModelError(f"LoRA {file}: is for {why}; {_EXPECTED}")
    if fitting > len(foreign):
        return
    kind = kind_of(tensors)
    if kind is not None and "LoRA or" not in kind:
        raise ModelError(f"LoRA {file}: is {kind}; {_EXPECTED}")
    if fitting:
        raise ModelError(
            f"LoRA {file}: {len(foreign)} of its {fitting + len(foreign)} layers are none of the "
            f"denoiser's ({min(foreign)}, ...); {_EXPECTED}"
        )
    if tensors and all(OF_OTHERS.match(key) for key in tensors):
        raise ModelError(
            f"LoRA {file}: is for the text encoder alone, and the denoiser takes none of it; "
            f"{_EXPECTED}"
        )
    raise ModelError(
        f"LoRA {file}: fits no layer of the denoiser (its first keys are: "
        f"{', '.join(sorted(tensors)[:3]) or 'none at all'}); {_EXPECTED}"
    )


def _known_stranger(tensors: Mapping[str, torch.Tensor], unet: Any) -> str | None:
    """The family that a LoRA is for, by its names and its text's width; None where it may fit."""
    if any(key.startswith(("lora_te2_", "text_encoder_2.")) for key in tensors):
        return "Stable Diffusion XL"
    for trait, family in _TRANSFORMERS.items():
        if any(re.search(trait, key) for key in tensors):
            return family
    for key, tensor in tensors.items():
        takes_text = re.search(r"attn2[._](processor\.)?to_k.*(down|lora_A|w\d_b|diff)", key)
        width = tensor.shape[1] if takes_text and tensor.ndim >= 2 else 0
        if width in WIDTHS and width != unet.config.cross_attention_dim:
            return f"{WIDTHS[width]} (its text is {width} wide)"
    return None


def _check_fits(file: Path, layer: Any, parts: Mapping[str, torch.Tensor], scale: Scale) -> None:
    """ValueError, or what torch raises, unless it can be added; on shapes alone, without memory."""
    for name, part in parts.items():
        if name not in PLAIN_LAYERS and not part.is_floating_point():
            raise ValueError(f"{part.dtype} for {name}")
        require_finite(f"LoRA {file}", name, part)
    shapes = {name: p if name in PLAIN_LAYERS else p.to("meta") for name, p in parts.items()}
    changed_weight(layer.weight.to("meta"), shapes, 1.0, scale)
    if "bias_diff" in parts or "up_bias" in parts:
        if getattr(layer, "bias", None) is None:
            raise ValueError("a bias for a layer without one")
        changed_bias(layer.bias.to("meta"), shapes, 1.0, scale)


@torch.no_grad()
def _add(
    layer: Any, parts: Mapping[str, torch.Tensor], strength: float, scale: Scale, place: str
) -> None:
    """In float32, whatever the weight's own precision. place: of the layer, for a message."""
    here = {n: p if n in PLAIN_LAYERS else p.to(layer.weight.device) for n, p in parts.items()}
    changed = {layer.weight: changed_weight(layer.weight, here, strength, scale)}
    if "bias_diff" in parts or "up_bias" in parts:
        changed[layer.bias] = changed_bias(layer.bias, here, strength, scale)
    for weight, value in changed.items():
        if not torch.isfinite(value.to(weight.dtype)).all():
            raise ModelError(
                f"{place}: at {strength:g} of it, weights are larger than {weight.dtype} holds; "
                "expected a smaller scale"
            )
        weight.copy_(value)
