"""The training run: its models, their stages, and where each goes on.

RUN/recipe.json                   the settings; other ones are refused here
RUN/stages/appearance-pose/       a stage, by the names of all stages up to it
    step-00000500/                a checkpoint: a usable model, training.json, state/
    sheet-00000500.png            reference | pose | truth | result
RUN/tensorboard/                  loss, learning rate, samples a second
RUN/model/                        what came out (or a folder for each variant)
"""

from __future__ import annotations

import json
import math
import shutil
import time
from dataclasses import dataclass, replace
from pathlib import Path

import torch
from accelerate import Accelerator, DistributedDataParallelKwargs
from diffusers.training_utils import EMAModel

from magicpose_cli.errors import ConfigError, OutputError
from magicpose_cli.progress import OnProgress, silent
from magicpose_cli.training.autoencoder import fit_autoencoder
from magicpose_cli.training.checkpoints import (
    TrainableParameters,
    TrainState,
    checkpoint_folder,
    checkpoints,
    load_trainable,
    load_weights,
    read_train_state,
)
from magicpose_cli.training.loop import TrainingLoop, TrainingRun
from magicpose_cli.training.networks import Networks, build_networks, compile_blocks
from magicpose_cli.training.pair_source import open_source
from magicpose_cli.training.recipe import NETWORK_NAMES, OptimizerSettings, Recipe, StageSettings
from magicpose_cli.training.trained_model import write_model


@dataclass(frozen=True)
class Trained:
    """What a run has made.

    Attributes:
        models: Folders of the finished models by name.
        complete: Whether all of them are there.
    """

    models: dict[str, Path]
    complete: bool


def train(
    recipe: Recipe,
    folder: Path,
    *,
    device: str = "auto",
    minutes: float | None = None,
    overwrite: bool = False,
    on_progress: OnProgress = silent,
) -> Trained:
    """Train what is not trained yet; the same call goes on where an earlier one stopped.

    Args:
        recipe: What to train, on what and how.
        folder: Of the run.
        device: A device of torch, or auto.
        minutes: When to stop, with a checkpoint.
        overwrite: Whether to begin anew where the folder holds a run.
        on_progress: Is told the steps.

    Raises:
        ConfigError: The folder holds a run of another recipe.
        TrainingError: The loss is no finite number, or a checkpoint is damaged.
        OutputError: A checkpoint cannot be written.
    """
    accelerator = _accelerator(recipe, device)
    deadline = math.inf if minutes is None else time.monotonic() + 60 * minutes
    if accelerator.is_main_process:
        _claim(folder, recipe, overwrite)
    accelerator.wait_for_everyone()
    source = open_source(recipe, accelerator.process_index, accelerator.device, on_progress)
    run = TrainingRun(recipe, folder, accelerator, source, on_progress, deadline)
    finished: dict[str, Path] = {}
    cudnn = torch.backends.cudnn
    before, cudnn.benchmark = cudnn.benchmark, True  # shapes come again: what is fastest is tried
    try:
        for name, variant in recipe.models().items():
            guidance = variant.default_guidance or recipe.model.default_guidance
            if not (folder / name / "model_index.json").is_file():
                networks = _all_stages(run, variant.order)
                if networks is None:
                    return Trained(finished, complete=False)
                if accelerator.is_main_process:
                    with checkpoint_folder(folder / name) as partial:
                        write_model(networks, recipe, partial, variant.order, guidance)
            finished[name] = folder / name
    finally:
        source.close()
        cudnn.benchmark = before
    return Trained(finished, complete=True)


def _all_stages(run: TrainingRun, order: tuple[str, ...]) -> Networks | None:
    """One model through its stages; None where the time ran out."""
    networks, model = build_networks(run.recipe), run.recipe.model
    fresh = not (model.start or model.grow_from or model.shrink_from)
    begun = any(checkpoints(_stage_folder(run, order[:i])) for i in range(1, len(order) + 1))
    if fresh and not begun:
        fit_autoencoder(networks.vae, run.source.examples(200))
    networks.to(run.accelerator.device)
    for part in (*NETWORK_NAMES, "vae"):
        networks.part(part).to(memory_format=torch.channels_last)
    if run.recipe.compile:
        compile_blocks(networks)
    state = TrainState(trained=("vae",) if fresh else (), done=True)
    for depth in range(1, len(order) + 1):
        state = _stage(run, networks, order[:depth], state)
        if not state.done:
            return None
    return networks


def _stage_folder(run: TrainingRun, order: tuple[str, ...]) -> Path:
    return run.folder / "stages" / "-".join(order)


def _stage(
    run: TrainingRun, networks: Networks, order: tuple[str, ...], before: TrainState
) -> TrainState:
    """Bring the networks to the end of this stage, or as far as the time allows."""
    folder, stage = _stage_folder(run, order), run.recipe.stages[order[-1]]
    saved = checkpoints(folder)
    state = read_train_state(saved[-1]) if saved else None
    if state and state.done:
        load_weights(saved[-1], networks)
        return state
    if state is None:
        state = replace(before, stages=order, step=0, used_s=0.0, done=False, loss=None)
        for part in stage.parts:
            if part not in before.trained and part not in networks.pretrained:
                networks.start_from_denoiser(part)
    trainable = _trainable_parameters(networks, stage, run.recipe.optimizer)
    if saved:
        load_trainable(saved[-1], networks, trainable, state)
    state.trained = tuple(dict.fromkeys((*before.trained, *stage.parts)))
    state.fingerprint = run.recipe.fingerprint()
    loop = TrainingLoop(run, networks, stage, trainable, state, folder)
    try:
        loop.fit()
    except KeyboardInterrupt:
        loop.save()
        raise
    if state.done:  # what comes next, and what is published, is the average
        trainable.average.copy_to(trainable.parameters)
    return state


def _trainable_parameters(
    networks: Networks, stage: StageSettings, settings: OptimizerSettings
) -> TrainableParameters:
    """Parameters of the stage's parts, set to be trained, everything else frozen."""
    networks.requires_grad_(False)
    names, parameters = [], []
    for part in stage.parts:
        for name, parameter in networks.part(part).named_parameters():
            names.append(f"{part}.{name}")
            parameters.append(parameter.requires_grad_(True))
    optimizer = torch.optim.AdamW(
        parameters,
        lr=stage.learning_rate,
        betas=settings.betas,
        weight_decay=settings.weight_decay,
        fused=parameters[0].is_cuda,
    )
    average = EMAModel(parameters, decay=settings.ema, use_ema_warmup=False, foreach=True)
    return TrainableParameters(names, parameters, optimizer, average)


def _accelerator(recipe: Recipe, device: str) -> Accelerator:
    """bf16 where the device has it; Accelerate finds several GPUs by `accelerate launch`."""
    from magicpose_cli.rendering.local import pick_device

    name = pick_device(device)
    precision = recipe.precision
    if precision == "auto":
        has_bf16 = name.startswith("cuda") and torch.cuda.is_bf16_supported()
        precision = "bf16" if has_bf16 else "no"
    # the appearance network's last layers feed nothing
    ddp = DistributedDataParallelKwargs(find_unused_parameters=True)
    return Accelerator(mixed_precision=precision, cpu=name == "cpu", kwargs_handlers=[ddp])


def _claim(folder: Path, recipe: Recipe, overwrite: bool) -> None:
    """Make the run's folder, or find it to be of the same recipe."""
    recipe_file = folder / "recipe.json"
    try:
        if overwrite and recipe_file.is_file():
            shutil.rmtree(folder)
        if recipe_file.is_file():
            if (
                json.loads(recipe_file.read_text(encoding="utf-8"))["fingerprint"]
                == recipe.fingerprint()
            ):
                return
            raise ConfigError(
                f"{folder} holds a run of another recipe; choose another folder, or give "
                "--overwrite to begin anew"
            )
        if folder.exists() and any(folder.iterdir()):
            raise OutputError(f"{folder} holds other files; choose an empty or a new folder")
        folder.mkdir(parents=True, exist_ok=True)
        data = {"fingerprint": recipe.fingerprint(), "recipe": recipe.model_dump(mode="json")}
        recipe_file.write_text(json.dumps(data, indent=2), encoding="utf-8")
    except OSError as error:
        raise OutputError(
            f"{folder} cannot be written: {error.strerror}; choose another folder"
        ) from error
    except (ValueError, KeyError) as error:
        raise ConfigError(f"{recipe_file} is damaged; give --overwrite to begin anew") from error
