"""Checkpoints: a usable model, `training.json`, and in `state/` what it takes to go on.

Everything is safetensors or JSON; nothing is unpickled. A checkpoint appears in one step, by
renaming a finished folder.
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import torch
from diffusers.training_utils import EMAModel
from huggingface_hub import save_torch_state_dict
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor

from magicpose_cli.errors import OutputError, TrainingError
from magicpose_cli.files import new_folder
from magicpose_cli.training.networks import Networks, write_model
from magicpose_cli.training.recipe import Recipe

NAME = "training.json"


@dataclass
class TrainState:
    """How far a run has come."""

    stages: tuple[str, ...] = ()
    """Stages up to the present one."""
    step: int = 0
    """Of the present stage."""
    tick: int = 0
    """Batches taken since the run began, over all stages."""
    used_s: float = 0.0
    """Time spent in the present stage."""
    done: bool = False
    trained: tuple[str, ...] = ()
    """Parts that any stage has trained."""
    loss: float | None = None
    samples_per_s: float | None = None
    data_wait_share: float | None = None
    recipe: dict[str, Any] = field(default_factory=dict)
    fingerprint: str = ""


@dataclass
class Moving:
    """What a stage changes: parameters by name, their optimizer and their moving average."""

    names: list[str]
    parameters: list[torch.nn.Parameter]
    optimizer: torch.optim.Optimizer
    average: EMAModel


def save_checkpoint(
    folder: Path, networks: Networks, moving: Moving, standing: TrainState, recipe: Recipe
) -> None:
    """Write a checkpoint to `folder`. Raises OutputError where the disk does not take it."""
    standing.recipe = recipe.model_dump(mode="json")
    with whole_folder(folder) as partial:
        moving.average.store(moving.parameters)
        moving.average.copy_to(moving.parameters)
        try:
            guidance = recipe.model.default_guidance
            write_model(networks, recipe, partial, standing.stages, guidance)
        finally:
            moving.average.restore(moving.parameters)
        (partial / "state").mkdir()
        save_torch_state_dict(
            _state(networks, moving, standing),
            partial / "state",
            filename_pattern="state{suffix}.safetensors",
            max_shard_size=f"{recipe.max_file_mb}MB",
        )
        text = json.dumps(asdict(standing), indent=2)
        (partial / NAME).write_text(text, encoding="utf-8")


@contextmanager
def whole_folder(folder: Path) -> Iterator[Path]:
    """A hidden folder to fill, that takes this name once it is whole.

    Raises OutputError where the disk does not take what is written.
    """
    try:
        with new_folder(folder, partial=folder.with_name(f".{folder.name}.partial")) as partial:
            yield partial
    except (OSError, SafetensorError) as error:
        raise OutputError(
            f"{folder}: cannot be written ({reason_of(error)}); make room and run the same "
            "command again, it goes on from the last checkpoint"
        ) from error


def reason_of(error: Exception) -> str:
    """What the system says, in one line; safetensors wraps it in words of its own."""
    return " ".join(str(getattr(error, "strerror", None) or error).split())


def _state(networks: Networks, moving: Moving, standing: TrainState) -> dict[str, Tensor]:
    """Tensors by name: full-precision weights, averages, and AdamW's moments where it has some."""
    state = {
        f"weight/{name}": p.detach()
        for name, p in zip(moving.names, moving.parameters, strict=True)
    }
    for name, mean in zip(moving.names, moving.average.shadow_params, strict=True):
        state[f"average/{name}"] = mean
    if not standing.done:  # the next stage begins with moments of its own
        for name, p in zip(moving.names, moving.parameters, strict=True):
            for key, value in moving.optimizer.state.get(p, {}).items():
                state[f"{key}/{name}"] = value
    # what former stages trained is in the model, but in half precision only
    for part in {name.split(".")[0] for name in standing.trained}:
        for name, value in networks.part(part).state_dict().items():
            state.setdefault(f"weight/{part}.{name}", value)
    return {name: value.contiguous().cpu() for name, value in state.items()}


def load_weights(folder: Path, networks: Networks) -> None:
    """Full-precision weights of a checkpoint into the networks; averages win over the last step.

    For the start of a stage: the former one's result is its moving average.
    """
    state = read_state(folder)
    weights = {k.removeprefix("weight/"): v for k, v in state.items() if k.startswith("weight/")}
    weights |= {k.removeprefix("average/"): v for k, v in state.items() if k.startswith("average/")}
    _put(networks, weights, folder)


def load_moving(folder: Path, networks: Networks, moving: Moving, standing: TrainState) -> None:
    """Everything that `save_checkpoint` kept, to go on within a stage."""
    state = read_state(folder)
    weights = {k.removeprefix("weight/"): v for k, v in state.items() if k.startswith("weight/")}
    _put(networks, weights, folder)
    moving.average.optimization_step = standing.step
    fused = moving.optimizer.defaults["fused"]
    for name, mean in zip(moving.names, moving.average.shadow_params, strict=True):
        mean.copy_(state[f"average/{name}"])
    for name, p in zip(moving.names, moving.parameters, strict=True):
        if f"exp_avg/{name}" in state:
            moving.optimizer.state[p] = {
                "step": state[f"step/{name}"].to(p.device if fused else "cpu"),
                # laid out in memory as the parameter is, which the fused AdamW asks for
                **{
                    key: torch.empty_like(p).copy_(state[f"{key}/{name}"])
                    for key in ("exp_avg", "exp_avg_sq")
                },
            }


def _put(networks: Networks, weights: dict[str, Tensor], folder: Path) -> None:
    unknown = networks.load_state_dict(weights, strict=False).unexpected_keys
    if unknown:
        raise TrainingError(
            f"checkpoint {folder}: holds {unknown[0]}, which these networks lack; expected a "
            "checkpoint of the same recipe"
        )


def read_state(folder: Path) -> dict[str, Tensor]:
    """All tensors of `state/`. Raises TrainingError for a damaged checkpoint."""
    state: dict[str, Tensor] = {}
    try:
        for file in sorted((folder / "state").glob("*.safetensors")):
            state |= load_file(file)
    except (OSError, SafetensorError) as error:
        raise TrainingError(
            f"checkpoint {folder}: {file.name} is damaged ({reason_of(error)}); delete this folder "
            "and run the same command again, it goes on from the one before"
        ) from error
    return state


def read_standing(folder: Path) -> TrainState:
    """`training.json` of a checkpoint."""
    try:
        data = json.loads((folder / NAME).read_text(encoding="utf-8"))
        standing = TrainState(**data)
    except (OSError, ValueError, TypeError) as error:
        raise TrainingError(
            f"checkpoint {folder}: no readable {NAME} ({error}); delete this folder and run the "
            "same command again, it goes on from the one before"
        ) from error
    standing.stages, standing.trained = tuple(standing.stages), tuple(standing.trained)
    return standing


def checkpoints(folder: Path) -> list[Path]:
    """Finished checkpoints of a stage, oldest first."""
    return sorted(path.parent for path in folder.glob(f"step-*/{NAME}"))


def keep_last(folder: Path, count: int) -> None:
    """Delete all checkpoints of a stage but the last ones."""
    for path in checkpoints(folder)[:-count]:
        shutil.rmtree(path, ignore_errors=True)
