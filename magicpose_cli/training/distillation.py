"""The stages that teach a denoiser to do without guidance and without most of its steps.

First the guidance: one pass is to predict what the conditional and the unconditional pass give
together (Meng et al. 2023, "On Distillation of Guided Diffusion Models", arXiv:2210.03142), at one
fixed scale. Then the steps: from any point of a trajectory the denoiser is to jump to where the
next of its few steps begins, as it does from the point that the guided teacher reaches in one small
step of DDIM from there (consistency distillation: Luo et al. 2023, "Latent Consistency Models",
arXiv:2310.04378; jumps to another noisy point instead of to clean latents: Zheng et al. 2024,
"Trajectory Consistency Distillation", arXiv:2402.19159; between fixed points: Wang et al. 2024,
"Phased Consistency Models", arXiv:2405.18407). A jump of no length changes nothing, which is the
boundary condition. The points are those of diffusers' TCDScheduler.

The teacher is the model itself. Reference features and pose residuals are computed by frozen
networks, once for teacher and student.
"""

from __future__ import annotations

import inspect
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import torch
import torch.nn.functional as F
from diffusers import TCDScheduler
from diffusers.training_utils import EMAModel
from torch import Tensor, nn

from magicpose_cli.errors import ConfigError
from magicpose_cli.training.lora_layers import LoraLayers
from magicpose_cli.training.recipe import DistillationSettings, Recipe, StageSettings

if TYPE_CHECKING:
    from magicpose_cli.training.networks import Conditions, Networks
    from magicpose_cli.training.pair_source import PairBatch

HUBER_WIDTH = 1e-3
"""Errors far below this count by their square, those above by their size."""


def prepare_distillation(networks: Networks, recipe: Recipe) -> None:
    """Keep what the teacher knows, and take the scheduler of the model that is to come out.

    Args:
        networks: As they start; here nothing of them has learned yet.
        recipe: Tells the steps, and whether a LoRA learns or the denoiser itself.

    Raises:
        ConfigError: Stages train different parts, or others than the denoiser.
    """
    settings, parts = recipe.distillation, {stage.parts for stage in recipe.stages.values()}
    if parts == {("lora",)}:
        networks.lora = LoraLayers(networks.unet, settings.rank)
    elif parts == {("unet",)}:
        own = (parameter.detach().clone() for parameter in networks.unet.parameters())
        networks.teacher_weights = nn.ParameterList(
            nn.Parameter(weight, requires_grad=False) for weight in own
        )
    else:
        found = " and ".join(sorted("+".join(names) for names in parts))
        raise ConfigError(
            f"a distillation trains either lora or unet in all of its stages, these train {found}; "
            "expected one of them for all"
        )
    networks.scheduler = few_step_scheduler(networks.scheduler, settings)


def few_step_scheduler(scheduler: Any, settings: DistillationSettings) -> TCDScheduler:
    """Make the scheduler of a distilled model, of the same noise as the teacher's."""
    taken = inspect.signature(TCDScheduler.__init__).parameters
    # not by from_config, which leaves out what the other class has by default
    same = {key: value for key, value in scheduler.config.items() if key in taken}
    same["original_inference_steps"] = settings.teacher_steps
    same["timestep_spacing"] = "trailing"  # of others that are asked for in its place
    made = TCDScheduler(**same)
    made.set_timesteps(settings.steps)
    return made


class Distillation(nn.Module):
    """What both stages share: teacher and student are one network with different weights."""

    def __init__(
        self, networks: Networks, stage: StageSettings, settings: DistillationSettings
    ) -> None:
        super().__init__()
        self.networks = networks
        self._guidance = settings.guidance
        (part,) = stage.parts
        self._trained: list[nn.Parameter] = list(networks.part(part).parameters())
        if networks.teacher_weights is not None:
            for own, kept in zip(self._trained, networks.teacher_weights, strict=True):
                if kept.ndim == 4:  # laid out in memory as the denoiser's convolutions are
                    kept.data = torch.empty_like(own).copy_(kept)
            self._teacher: Sequence[Tensor] = [weight.data for weight in networks.teacher_weights]
        else:
            self._teacher = [torch.zeros_like(parameter) for parameter in self._trained]

    @contextmanager
    def weighted(self, weights: Sequence[Tensor]) -> Iterator[None]:
        """Let the denoiser have other weights for a while, without gradients."""
        own = [parameter.data for parameter in self._trained]
        torch.clear_autocast_cache()  # which would go on with weights that it has rounded before
        try:
            with torch.no_grad():
                for parameter, weight in zip(self._trained, weights, strict=True):
                    parameter.data = weight
                yield
        finally:
            for parameter, kept in zip(self._trained, own, strict=True):
                parameter.data = kept
            torch.clear_autocast_cache()

    def conditions(self, noisy: Tensor, t: Tensor, batch: PairBatch) -> Conditions:
        """What the frozen networks tell the denoiser of reference and pose."""
        with torch.no_grad():
            found = self.networks.conditions(noisy, t, batch.reference, batch.maps)
        torch.clear_autocast_cache()
        return found

    def teach(self, noisy: Tensor, t: Tensor, conditions: Conditions) -> Tensor:
        """The teacher's guided prediction: noise or v, as it was trained."""
        with self.weighted(self._teacher):
            bare = self.networks.denoise(noisy, t).float()
            seen = self.networks.denoise(noisy, t, conditions).float()
        return bare + self._guidance * (seen - bare)


class GuidanceDistillation(Distillation):
    """Predict in one pass what the teacher predicts in two."""

    def forward(self, batch: PairBatch, dropped: int, t: Tensor, noise: Tensor) -> Tensor:
        """Compute the mean squared error.

        Args:
            batch: Pairs of pictures.
            dropped: Has no effect here: what comes out always sees reference and pose.
            t: Timesteps (n,).
            noise: Unit noise in the shape of `batch.target`.
        """
        a, s = self.networks.factors(t)
        noisy = a * batch.target + s * noise
        conditions = self.conditions(noisy, t, batch)
        wanted = self.teach(noisy, t, conditions)
        return F.mse_loss(self.networks.denoise(noisy, t, conditions).float(), wanted)


class ConsistencyDistillation(Distillation):
    """Jump alike from a point and from the next one on the teacher's trajectory.

    Args:
        average: Of the weights that learn; the second point's jump is made with it.
    """

    def __init__(
        self,
        networks: Networks,
        stage: StageSettings,
        settings: DistillationSettings,
        average: EMAModel,
    ):
        super().__init__(networks, stage, settings)
        self._average = average
        self._velocity = networks.scheduler.config.prediction_type == "v_prediction"
        self._stride = len(networks.sqrt_alphas_cumprod) // settings.teacher_steps
        self._last = settings.teacher_steps - 1
        goals = [*networks.scheduler.timesteps.tolist()[1:], 0]
        self.register_buffer("_goals", torch.tensor(goals), persistent=False)

    def forward(self, batch: PairBatch, dropped: int, t: Tensor, noise: Tensor) -> Tensor:
        """Compute the pseudo-Huber distance of both jumps' ends.

        Args:
            batch: Pairs of pictures.
            dropped: Has no effect here: what comes out always sees reference and pose.
            t: Timesteps (n,), of which the next ones of the teacher's are taken.
            noise: Unit noise in the shape of `batch.target`.
        """
        t = ((t // self._stride).clamp_max(self._last) + 1) * self._stride - 1
        nearer = (t - self._stride).clamp_min(0)
        goal = self.goals(nearer)
        a, s = self.networks.factors(t)
        noisy = a * batch.target + s * noise
        conditions = self.conditions(noisy, t, batch)
        moved = self.jump(noisy, self.teach(noisy, t, conditions), t, nearer)
        beside = self.conditions(moved, nearer, batch)
        with self.weighted(self._average.shadow_params):
            predicted = self.networks.denoise(moved, nearer, beside).float()
        wanted = self.jump(moved, predicted, nearer, goal)
        # last, because gradient checkpointing runs it again during the backward pass
        predicted = self.networks.denoise(noisy, t, conditions).float()
        error = self.jump(noisy, predicted, t, goal) - wanted
        distance = (error.square() + HUBER_WIDTH**2).sqrt() - HUBER_WIDTH
        return distance.mean()

    def goals(self, t: Tensor) -> Tensor:
        """Tell where the few steps' jumps from timesteps end: at the next step's, or at 0."""
        goals: Any = self._goals
        below = goals[None] <= t[:, None]
        reached: Tensor = torch.where(below, goals[None], -1).amax(1)
        return reached

    def jump(self, noisy: Tensor, predicted: Tensor, t: Tensor, to: Tensor) -> Tensor:
        """Move latents from one timestep to another along what was predicted at the first."""
        a, s = self.networks.factors(t)
        if self._velocity:
            clean, noise = a * noisy - s * predicted, a * predicted + s * noisy
        else:
            clean, noise = (noisy - s * predicted) / a, predicted
        a, s = self.networks.factors(to)
        return a * clean + s * noise
