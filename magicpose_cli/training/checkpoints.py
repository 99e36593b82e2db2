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
from magicpose_cli.training.networks import Networks
from magicpose_cli.training.recipe import Recipe
from magicpose_cli.training.trained_model import write_model

TRAIN_STATE_FILE = "training.json"


@dataclass
class TrainState:
    """How far a run has come; the fields are the keys of `training.json`.

    Attributes:
        stages: Names of the stages up to the present one.
        step: Updates made in the present stage.
        tick: Batches taken since the run began, over all stages.
        used_s: Seconds spent in the present stage.
        done: Whether the present stage is at its end.
        trained: Parts that any stage has trained.
        loss: Mean of the last steps.
        samples_per_s: Speed over the last steps.
        data_wait_share: Share 0..1 of the last steps' time that was spent waiting for data.
        recipe: Settings of the run, as JSON.
        fingerprint: Of the recipe, see `Recipe.fingerprint`.
    """

    stages: tuple[str, ...] = ()
    step: int = 0
    tick: int = 0
    used_s: float = 0.0
    done: bool = False
    trained: tuple[str, ...] = ()
    loss: float | None = None
    samples_per_s: float | None = None
    data_wait_share: float | None = None
    recipe: dict[str, Any] = field(default_factory=dict)
    fingerprint: str = ""


@dataclass
class TrainableParameters:
    """What a stage changes.

    Attributes:
        names: Of the parameters, `part.name`, in the same order.
        parameters: Weights that the optimizer updates.
        optimizer: AdamW over the parameters.
        average: Exponential moving average of the parameters.
    """

    names: list[str]
    parameters: list[torch.nn.Parameter]
    optimizer: torch.optim.Optimizer
    average: EMAModel


def save_checkpoint(
    folder: Path,
    networks: Networks,
    trainable: TrainableParameters,
    state: TrainState,
    recipe: Recipe,
) -> None:
    """Write a checkpoint, whose model holds the averaged weights.

    Raises:
        OutputError: The disk does not take it.
    """
    state.recipe = recipe.model_dump(mode="json")
    with checkpoint_folder(folder) as partial:
        trainable.average.store(trainable.parameters)
        trainable.average.copy_to(trainable.parameters)
        try:
            guidance = recipe.model.default_guidance
            write_model(networks, recipe, partial, state.stages, guidance)
        finally:
            trainable.average.restore(trainable.parameters)
        (partial / "state").mkdir()
        save_torch_state_dict(
            _state_tensors(networks, trainable, state),
            partial / "state",
            filename_pattern="state{suffix}.safetensors",
            max_shard_size=f"{recipe.max_file_mb}MB",
        )
        text = json.dumps(asdict(state), indent=2)
        (partial / TRAIN_STATE_FILE).write_text(text, encoding="utf-8")


@contextmanager
def checkpoint_folder(folder: Path) -> Iterator[Path]:
    """Give a hidden folder to fill, which takes this name once it is whole.

    Raises:
        OutputError: The disk does not take what is written.
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


def _state_tensors(
    networks: Networks, trainable: TrainableParameters, state: TrainState
) -> dict[str, Tensor]:
    """Tensors by name: full-precision weights, averages, and AdamW's moments where it has some."""
    tensors = {
        f"weight/{name}": p.detach()
        for name, p in zip(trainable.names, trainable.parameters, strict=True)
    }
    for name, mean in zip(trainable.names, trainable.average.shadow_params, strict=True):
        tensors[f"average/{name}"] = mean
    if not state.done:  # the next stage begins with moments of its own
        for name, p in zip(trainable.names, trainable.parameters, strict=True):
            for key, value in trainable.optimizer.state.get(p, {}).items():
                tensors[f"{key}/{name}"] = value
    # what former stages trained is in the model, but in half precision only
    for part in {name.split(".")[0] for name in state.trained}:
        for name, value in networks.part(part).state_dict().items():
            tensors.setdefault(f"weight/{part}.{name}", value)
    return {name: value.contiguous().cpu() for name, value in tensors.items()}


def load_weights(folder: Path, networks: Networks) -> None:
    """Load the full-precision weights of a checkpoint; averages win over the last step.

    This is for the start of a stage: the result of the former one is its moving average.
    """
    tensors = read_tensors(folder)
    _put(networks, _group(tensors, "weight") | _group(tensors, "average"), folder)


def load_trainable(
    folder: Path, networks: Networks, trainable: TrainableParameters, state: TrainState
) -> None:
    """Put back everything that `save_checkpoint` kept, to go on within a stage."""
    tensors = read_tensors(folder)
    _put(networks, _group(tensors, "weight"), folder)
    trainable.average.optimization_step = state.step
    fused = trainable.optimizer.defaults["fused"]
    for name, mean in zip(trainable.names, trainable.average.shadow_params, strict=True):
        mean.copy_(tensors[f"average/{name}"])
    for name, p in zip(trainable.names, trainable.parameters, strict=True):
        if f"exp_avg/{name}" in tensors:
            trainable.optimizer.state[p] = {
                "step": tensors[f"step/{name}"].to(p.device if fused else "cpu"),
                # laid out in memory as the parameter is, which the fused AdamW asks for
                **{
                    key: torch.empty_like(p).copy_(tensors[f"{key}/{name}"])
                    for key in ("exp_avg", "exp_avg_sq")
                },
            }


def _group(tensors: dict[str, Tensor], kind: str) -> dict[str, Tensor]:
    """Those of a kind ("weight", "average"), by the names of their parameters."""
    prefix = f"{kind}/"
    return {k.removeprefix(prefix): v for k, v in tensors.items() if k.startswith(prefix)}


def _put(networks: Networks, weights: dict[str, Tensor], folder: Path) -> None:
    unknown = networks.load_state_dict(weights, strict=False).unexpected_keys
    if unknown:
        raise TrainingError(
            f"checkpoint {folder}: holds {unknown[0]}, which these networks lack; expected a "
            "checkpoint of the same recipe"
        )


def read_tensors(folder: Path) -> dict[str, Tensor]:
    """Read all tensors of a checkpoint's `state/`, by name.

    Raises:
        TrainingError: A file is damaged.
    """
    tensors: dict[str, Tensor] = {}
    try:
        for file in sorted((folder / "state").glob("*.safetensors")):
            tensors |= load_file(file)
    except (OSError, SafetensorError) as error:
        raise TrainingError(
            f"checkpoint {folder}: {file.name} is damaged ({reason_of(error)}); delete this folder "
            "and run the same command again, it goes on from the one before"
        ) from error
    return tensors


def read_train_state(folder: Path) -> TrainState:
    """Read `training.json` of a checkpoint.

    Raises:
        TrainingError: The file cannot be read or lacks a key.
    """
    try:
        data = json.loads((folder / TRAIN_STATE_FILE).read_text(encoding="utf-8"))
        state = TrainState(**data)
    except (OSError, ValueError, TypeError) as error:
        raise TrainingError(
            f"checkpoint {folder}: no readable {TRAIN_STATE_FILE} ({error}); delete this folder "
            "and run the same command again, it goes on from the one before"
        ) from error
    state.stages, state.trained = tuple(state.stages), tuple(state.trained)
    return state


def checkpoints(folder: Path) -> list[Path]:
    """Finished checkpoints of a stage, oldest first."""
    return sorted(path.parent for path in folder.glob(f"step-*/{TRAIN_STATE_FILE}"))


def keep_last(folder: Path, count: int) -> None:
    """Delete all checkpoints of a stage but the last ones."""
    for path in checkpoints(folder)[:-count]:
        shutil.rmtree(path, ignore_errors=True)
