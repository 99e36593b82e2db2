"""Which tensor of a checkpoint becomes which tensor of which part, before anything is written.

Total: every key of the checkpoint goes somewhere or is named as dropped, every key of the parts is
set or named as filled. The parts' real classes, built on the meta device, say what they need.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import torch
from diffusers import AutoencoderKL, ControlNetModel, UNet2DConditionModel
from transformers import CLIPTextConfig, CLIPTextModel

from magicpose_cli.diffusion.checkpoint import layout
from magicpose_cli.errors import ModelError

EXPECTED_CHECKPOINT = "a MagicPose checkpoint such as model_state-110000.th"


@dataclass(frozen=True)
class PlannedPart:
    """One part of the target folder.

    model: the part's real class on the meta device: its configuration, keys and shapes.
    sources: source key of every target key. filled: the target keys among them whose value is
        another network's, since the source has none.
    """

    name: str
    model: Any
    sources: dict[str, str]
    filled: dict[str, str]

    @property
    def parameters(self) -> int:
        """Number of weights."""
        return sum(parameter.numel() for parameter in self.model.parameters())


@dataclass(frozen=True)
class ConversionPlan:
    """parts: what is written. dropped: source keys that no part needs, with the reason."""

    parts: dict[str, PlannedPart]
    dropped: dict[str, str]


def plan_conversion(state: Mapping[str, torch.Tensor]) -> ConversionPlan:
    """Where each tensor goes. Looks at keys, shapes and dtypes only (meta tensors will do).

    Raises ModelError naming the first keys that do not fit.
    """
    lacking = [p for p in layout.CHECKPOINT_NETWORKS if not any(key.startswith(p) for key in state)]
    if lacking:
        raise ModelError(
            f"no key begins with {' or '.join(lacking)} (the first keys are: "
            f"{', '.join(list(state)[:3]) or 'none at all'}); expected {EXPECTED_CHECKPOINT}"
        )
    dropped = {
        key: why
        for key in state
        for pattern, why in layout.DROPPED.items()
        if re.fullmatch(pattern, key)
    }
    used = {key: tensor for key, tensor in state.items() if key not in dropped}
    parts, misfits = {}, []
    known: list[str] = []
    for name, model, prefix, modules in _empty_parts(used):
        keys = [key for key in used if key.startswith(prefix)]
        known += keys
        parts[name], wrong = _plan_part(name, model, prefix, modules, used, keys)
        misfits += wrong
    misfits += [f"{key} belongs to no part" for key in sorted(used.keys() - set(known))]
    if misfits:
        more = f" and {len(misfits) - 3} more" if len(misfits) > 3 else ""
        raise ModelError(
            f"keys do not fit: {'; '.join(misfits[:3])}{more}; expected {EXPECTED_CHECKPOINT}"
        )
    return ConversionPlan(parts, dropped)


def _empty_parts(
    state: Mapping[str, torch.Tensor],
) -> Iterator[tuple[str, Any, str, dict[str, str]]]:
    """(name, model on the meta device, prefix of its keys, names of its modules) of each part."""
    tensors = layout.Tensors(state)
    shape = layout.unet_shape(tensors)
    names = layout.unet_modules(shape)
    hint, hint_layers = layout.hint_config(tensors)
    with torch.device("meta"):
        unet = UNet2DConditionModel(**shape.unet_config())
        controlnet = ControlNetModel(**shape.common_config(), **hint)
    yield "unet", unet, layout.DENOISER, names
    yield "appearance_unet", unet, layout.APPEARANCE, names
    yield (
        "pose_controlnet",
        controlnet,
        layout.POSE,
        layout.controlnet_modules(shape, hint_layers),
    )
    if any(key.startswith(layout.VAE) for key in state):
        config = layout.vae_config(tensors)
        with torch.device("meta"):
            vae = AutoencoderKL(**config)
        yield "vae", vae, layout.VAE, layout.vae_modules(config)
    if any(key.startswith(layout.TEXT) for key in state):
        with torch.device("meta"):
            text_encoder = CLIPTextModel(CLIPTextConfig(**layout.text_config(tensors)))
        yield "text_encoder", text_encoder, layout.TEXT, layout.TEXT_MODULES


def _plan_part(
    name: str,
    model: Any,
    prefix: str,
    modules: Mapping[str, str],
    state: Mapping[str, torch.Tensor],
    keys: list[str],
) -> tuple[PlannedPart, list[str]]:
    """The part, and what is wrong with it: keys unknown, of a wrong shape, or lacking."""
    shapes = {
        portable_key(name, target): tensor.shape for target, tensor in model.state_dict().items()
    }
    sources: dict[str, str] = {}
    wrong = []
    for key in keys:
        target = layout.renamed(key.removeprefix(prefix), modules)
        if target is None or target not in shapes or target in sources:
            wrong.append(f"{key} is unknown")
            continue
        sources[target] = key
        found, wanted = state[key], shapes[target]
        if not found.is_floating_point() or not _same_but_for_ones(found.shape, wanted):
            wrong.append(
                f"{key} is {found.dtype} {list(found.shape)}, {name} takes floats {list(wanted)}"
            )
    filled = {}
    if prefix == layout.APPEARANCE:
        for module, other in layout.FILLED.items():
            for leaf in ("weight", "bias"):
                target, key = f"{module}.{leaf}", f"{layout.DENOISER}{other}.{leaf}"
                if target not in sources and key in state:
                    filled[target] = key
    lacking = shapes.keys() - sources.keys() - filled.keys()
    wrong += [f"{name} gets nothing for {target}" for target in sorted(lacking)]
    return PlannedPart(name, model, sources | filled, filled), wrong


def portable_key(part: str, target: str) -> str:
    """A part's key as its file holds it: the text encoder's are those of every transformers."""
    if part != "text_encoder":
        return target
    return layout.renamed(target, layout.TEXT_MODULES) or target


def _same_but_for_ones(found: torch.Size, wanted: torch.Size) -> bool:
    """Equal, or a 1x1 convolution where a linear layer stands now."""
    return found == wanted or (len(wanted) == 2 and found == (*wanted, 1, 1))
