"""What the stages differ in: what the networks are shown and what they are asked."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from diffusers.training_utils import EMAModel
from torch import Tensor, nn

from magicpose_cli.diffusion.reference_pose import with_pose
from magicpose_cli.training.autoencoder import DecoderTraining
from magicpose_cli.training.compositor_training import CompositorTraining
from magicpose_cli.training.distillation import ConsistencyDistillation, GuidanceDistillation
from magicpose_cli.training.end_to_end import EndToEnd
from magicpose_cli.training.motion_training import MotionTraining
from magicpose_cli.training.networks import Networks
from magicpose_cli.training.pair_source import PairBatch, PairSource, faces_shown, moved
from magicpose_cli.training.progressive_growing import ProgressiveGrowing
from magicpose_cli.training.recipe import DistillationSettings, StageSettings

UNKNOWN_POSE_SHARE = 0.1  # of the references, whose pose an appearance network is not shown
DECODER_CROP_PX = 64
"""Side of what the decoder is trained on: its sight is short, and crops are cheap."""


class Denoising(nn.Module):
    """Predict the noise (or v) of a target from its reference and pose, as the stage shows them."""

    def __init__(self, networks: Networks, stage: StageSettings):
        super().__init__()
        self.networks = networks
        self._stage = stage
        self._velocity = networks.scheduler.config.prediction_type == "v_prediction"

    def forward(self, batch: PairBatch, dropped: int, t: Tensor, noise: Tensor) -> Tensor:
        """Compute the mean squared error.

        Args:
            batch: Pairs of pictures.
            dropped: The last so many samples have no reference.
            t: Timesteps (n,).
            noise: Unit noise in the shape of `batch.target`.
        """
        kind, target = self._stage.kind, batch.target
        seen = len(target) - dropped
        reference = None if kind == "base" else batch.reference[:seen]
        # the unconditional pass sees neither, and a frozen denoiser knows that already
        posed = seen if "unet" in self._stage.parts else len(target)
        maps = batch.maps[:posed] if kind in ("pose", "joint", "geometry", "identity") else None
        a, s = self.networks.factors(t)
        wanted = a * noise - s * target if self._velocity else noise
        faces = faces_shown(batch, seen) if kind == "identity" else None
        predicted = self.networks(a * target + s * noise, t, reference, maps, faces=faces)
        return F.mse_loss(predicted.float(), wanted)


def task_of(
    networks: Networks,
    stage: StageSettings,
    distillation: DistillationSettings | None = None,
    average: EMAModel | None = None,
) -> nn.Module:
    """The module whose loss the stage lowers.

    Args:
        networks: That are trained.
        stage: Tells which module.
        distillation: For a stage that distills: how.
        average: Of the weights that learn, which a stage of kind consistency learns from.
    """
    if stage.kind == "guidance":
        return GuidanceDistillation(networks, stage, distillation or DistillationSettings())
    if stage.kind == "consistency":
        assert average is not None
        settings = distillation or DistillationSettings()
        return ConsistencyDistillation(networks, stage, settings, average)
    if stage.kind == "autoencoder":
        return DecoderTraining(networks.vae)
    if stage.kind == "growth":
        return ProgressiveGrowing(networks)
    if stage.kind == "end-to-end":
        return EndToEnd(networks, stage)
    if stage.kind == "compositor":
        return CompositorTraining(networks)
    if stage.kind == "motion":
        return MotionTraining(networks, stage)
    return Denoising(networks, stage)


def examples(
    networks: Networks, stage: StageSettings, source: PairSource, seed: tuple[int, ...], first: int
) -> Iterator[tuple[Any, ...]]:
    """Give the arguments of the task, one tuple a batch, without end.

    All chance is drawn from (seed, number of the batch).

    Args:
        networks: Encode the pictures.
        stage: Decides what the arguments are.
        source: Where the pictures come from.
        seed: Of the run and of this process.
        first: Number of the first batch, counted over the whole run.
    """
    device = networks.device
    chance, noises = torch.Generator(), torch.Generator(device)
    if stage.kind == "autoencoder":
        stream: Iterator[Any] = source.pictures(stage.batch, first)
    elif stage.film_frames:
        stream = source.films(stage.batch, stage.film_frames, networks.encode, first)
    else:
        stream = source.pairs(stage.batch, networks.encode, first)
    for number, batch in enumerate(stream, first):
        # seeds of 32 bits, as a CPU generator looks at no more
        for generator, state in zip(
            (chance, noises), np.random.SeedSequence([*seed, number]).generate_state(2), strict=True
        ):
            generator.manual_seed(int(state))
        if stage.kind == "autoencoder":
            target = _crops(batch, chance)
            shape: tuple[int, ...] = (len(target), 4, *(side // 8 for side in target.shape[2:]))
            yield target, torch.randn(shape, generator=noises, device=device)
            continue
        n = len(batch.reference)
        u = torch.rand(n + 1, generator=chance)
        dropped = int(n * stage.cond_dropout + float(u[n])) if stage.kind != "base" else 0
        t = moved((1000 * u[:n] ** (1 / stage.timestep_bias)).long().clamp(max=999), device)
        noise = torch.randn(batch.reference.shape, generator=noises, device=device)
        drawn = (
            torch.rand(n, generator=chance) if stage.kind in ("end-to-end", "compositor") else None
        )
        if networks.reads_reference_pose:
            batch = _with_reference_pose(batch, chance)
        if drawn is None:
            yield batch, dropped, t, noise
        elif stage.kind == "compositor":
            yield batch, noise, moved(drawn, device)
        else:
            yield batch, dropped, t, noise, moved(drawn, device)


def _with_reference_pose(batch: PairBatch, chance: torch.Generator) -> PairBatch:
    """The references' poses beside their latents, but for some of which nothing is known."""
    known = torch.rand(len(batch.reference), generator=chance) >= UNKNOWN_POSE_SHARE
    maps = batch.reference_maps * moved(known, batch.reference.device)[:, None, None, None]
    return replace(batch, reference=with_pose(batch.reference, maps))


def _crops(pictures: Tensor, chance: torch.Generator) -> Tensor:
    """The same window of each picture, on the grid of the 8x8 patches."""
    side = min(DECODER_CROP_PX, pictures.shape[-1])
    places = (pictures.shape[-1] - side) // 8 + 1
    x, y = torch.randint(places, (2,), generator=chance).tolist()
    return pictures[..., 8 * y : 8 * y + side, 8 * x : 8 * x + side]
