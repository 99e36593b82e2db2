"""A model distilled: `magicpose distill`, from a model's folder to one that needs a few steps.

OUT.part/    the training run, until OUT stands; a later call goes on with it
OUT/         a model whose own steps, guidance and scheduler are the few steps', and the LoRA
"""

from __future__ import annotations

import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from magicpose_cli.config.resolved import ModelDefaults
from magicpose_cli.diffusion.checkpoint.loading import read_index
from magicpose_cli.errors import ConfigError
from magicpose_cli.files import check_writable, move_into_place, unwritable
from magicpose_cli.progress import OnProgress, silent
from magicpose_cli.training.lora_layers import LORA_FILE
from magicpose_cli.training.recipe import NETWORK_NAMES, Recipe, load_recipe
from magicpose_cli.training.run import train
from magicpose_cli.training.trained_model import ADDED_PARTS

MODEL_FOLDER_NAMES = "|".join(
    (
        *NETWORK_NAMES, "vae", "scheduler", "text_encoder", "tokenizer", *ADDED_PARTS,
        r"model_index\.json", r"README\.md", LORA_FILE.replace(".", r"\."),
    )
)  # fmt: skip
"""Pattern of the names in a folder that is written here."""


@dataclass(frozen=True)
class DistillationRequest:
    """What is asked for beside the recipe; None leaves it to the recipe or to the model.

    Attributes:
        steps: Denoising steps of the model that comes out.
        guidance: Scale of the teacher's image guidance; by default the model's own.
        rank: Of the LoRA.
        whole: Whether all weights of the denoiser learn, in place of a LoRA.
        data: Where pairs come from, as of `magicpose train`.
    """

    steps: int | None = None
    guidance: float | None = None
    rank: int | None = None
    whole: bool = False
    data: str | None = None


def distillation_recipe(name: str, model: Path, request: DistillationRequest) -> Recipe:
    """Make the recipe of a distillation: a file's, with what the model and the user say.

    Args:
        name: Of a recipe whose stages distill, or a path.
        model: Folder of the teacher.
        request: What the user says.

    Raises:
        ConfigError: The recipe is none of a distillation, or the model takes no more steps than
            are to be left.
        ModelError: The folder is no model's.
    """
    own = ModelDefaults.of(read_index(model))
    options: dict[str, Any] = {
        "model__start": str(model.resolve()),
        "model__name": f"{model.name}-few-steps",
        "model__size": own.sample_size,
        "model__pose_canvas": own.pose_canvas,
        "model__start_from_reference": own.start_from_reference,
        "model__keep_background": own.keep_background,
        "model__warp": own.warp,
        "model__default_guidance": 1.0,
        "data__source": request.data,
        "distillation__steps": request.steps,
        "distillation__teacher_steps": own.default_steps,
        "distillation__rank": request.rank,
        "distillation__guidance": request.guidance or own.default_guidance,
    }
    recipe = _few_steps(load_recipe(name), own, request, model)
    recipe = recipe.with_options(**options)
    model_settings = recipe.model.model_copy(update={"default_steps": recipe.distillation.steps})
    stages = recipe.stages
    if request.whole:
        stages = {
            key: stage.model_copy(update={"train": ("unet",)}) for key, stage in stages.items()
        }
    return recipe.model_copy(update={"model": model_settings, "stages": stages})


def _few_steps(
    recipe: Recipe, own: ModelDefaults, request: DistillationRequest, model: Path
) -> Recipe:
    """Check a recipe against a model.

    Raises:
        ConfigError: See `distillation_recipe`.
    """
    if not recipe.distills:
        raise ConfigError(
            "this recipe has no stage of kind guidance or consistency; expected one that distills, "
            "such as distill"
        )
    steps = request.steps or recipe.distillation.steps
    if own.default_steps <= steps:
        raise ConfigError(
            f"model {model}: takes {own.default_steps} steps by itself, and {steps} are to be "
            "left; expected a model that takes more, such as magicpose, or fewer --steps"
        )
    return recipe


def distill(
    recipe: Recipe,
    out: Path,
    *,
    device: str = "auto",
    minutes: float | None = None,
    overwrite: bool = False,
    on_progress: OnProgress = silent,
) -> bool:
    """Distill a model; the same call goes on where an earlier one stopped.

    Args:
        recipe: Of `distillation_recipe`.
        out: Folder of the model that comes out.
        device: A device of torch, or auto.
        minutes: When to stop, with a checkpoint.
        overwrite: Whether an earlier result, or what is left of an earlier run, is replaced.
        on_progress: Is told the steps.

    Returns:
        Whether the model stands; else the time ran out.

    Raises:
        MagicPoseError: Something is wrong that the user can mend; see `train`.
    """
    check_writable(out, overwrite, MODEL_FOLDER_NAMES)
    run = run_folder(out)
    trained = train(
        recipe, run, device=device, minutes=minutes, overwrite=overwrite, on_progress=on_progress
    )
    if not trained.complete:
        return False
    try:
        move_into_place(trained.models["model"], out, overwrite)
    except OSError as error:
        raise unwritable(out, error) from error
    shutil.rmtree(run, ignore_errors=True)
    return True


def run_folder(out: Path) -> Path:
    """Where the training run of a distillation lies until its result stands."""
    return out.with_name(f"{out.name}.part")
