"""The networks under training, written as a model that `magicpose animate --model` takes."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

from torch import Tensor

from magicpose_cli.diffusion.adapters.named import OWN_IDENTITY_FOLDER
from magicpose_cli.diffusion.adapters.own_identity import write_identity_adapter
from magicpose_cli.diffusion.checkpoint.loading import found_folder, load_pipeline, quiet
from magicpose_cli.diffusion.pipeline import MagicPosePipeline
from magicpose_cli.errors import ModelError
from magicpose_cli.training.networks import Networks
from magicpose_cli.training.recipe import NETWORK_NAMES, Recipe, TrainedPart

ADDED_PARTS: tuple[TrainedPart, ...] = ("motion_adapter", "compositor", "body_controlnet")
"""That a model may lack."""

MODEL_CARD = """# {name}

MagicPose's architecture, trained by `magicpose train` ({stages}) at {size}x{size} pixels.
{description}.
"""


def write_model(
    networks: Networks, recipe: Recipe, folder: Path, stages: tuple[str, ...], guidance: float
) -> None:
    """A diffusers folder that `magicpose --model FOLDER` takes; floats in half precision."""
    model = recipe.model
    states = {name: networks.plain_state(name) for name in (*NETWORK_NAMES, "vae")}
    if model.average_with:
        states = _averaged(states, model.average_with)
    with quiet():
        halved = {
            name: _halved(networks.part(name), model.name, state) for name, state in states.items()
        }
        for name in ADDED_PARTS:
            if name in networks.pretrained or recipe.trains(name, stages):
                weights = networks.plain_state(name)
                halved[name] = _halved(networks.part(name), model.name, weights)
    pipeline = MagicPosePipeline(
        **halved,
        **networks.language,
        scheduler=networks.scheduler,
        pose_canvas=model.pose_canvas,
        sample_size=model.size,
        default_steps=model.default_steps,
        default_guidance=guidance,
        start_from_reference=model.start_from_reference,
        body_maps=list(networks.body_maps),
        keep_background=model.keep_background,
        warp=model.warp,
    )
    pipeline.save_pretrained(folder, max_shard_size=f"{recipe.max_file_mb}MB")
    if networks.lora is not None:
        networks.lora.write(folder)
    if (adapter := networks.identity_adapter) is not None:
        own = folder / OWN_IDENTITY_FOLDER
        if recipe.trains("identity_adapter", stages):
            write_identity_adapter(adapter, own)
        else:  # whatever its projection is
            shutil.copytree(found_folder(model.start) / OWN_IDENTITY_FOLDER, own)
    card = MODEL_CARD.format(
        name=model.name,
        stages=", ".join(stages),
        size=model.size,
        description=recipe.description,
    )
    (folder / "README.md").write_text(card, encoding="utf-8")


def _averaged(states: dict[str, dict[str, Tensor]], name: str) -> dict[str, dict[str, Tensor]]:
    """The mean of the parts' weights and those of a model.

    What training has taught is then there with what it has made forget (Wortsman et al. 2022,
    "Robust fine-tuning of zero-shot models").
    """
    pipeline = load_pipeline(found_folder(name), "float32")
    averaged = {}
    for part, own in states.items():
        other = getattr(pipeline, part).state_dict()
        if {key: own[key].shape for key in own} != {key: other[key].shape for key in other}:
            raise ModelError(
                f"model.average_with {name!r}: its {part} has other weights than the one that is "
                "trained; expected the model that it started from"
            )
        averaged[part] = {key: (own[key].cpu().float() + other[key]) / 2 for key in own}
    return averaged


def _halved(part: Any, name: str, weights: dict[str, Tensor]) -> Any:
    copy = type(part).from_config(part.config).half()
    copy.load_state_dict(weights)
    copy.register_to_config(_name_or_path=name)  # where it was read from is nobody's business
    return copy
