"""What the appearance network sees of a reference at each timestep."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import torch

from magicpose_cli.diffusion.reference_attention import ReferenceAttention, ReferenceFeatures

if TYPE_CHECKING:
    from magicpose_cli.diffusion.pipeline import MagicPosePipeline

_TIMESTEPS_PER_BATCH = 4  # that the appearance network reads in one batch


@torch.no_grad()
def reference_features(
    pipeline: MagicPosePipeline,
    latents: torch.Tensor,
    prompt_embeds: torch.Tensor,
    timesteps: Sequence[float],
) -> list[ReferenceFeatures]:
    """Record the hidden states of the appearance network for references at each timestep.

    They depend on the reference, the timestep and the text, never on a frame.

    Args:
        pipeline: Its appearance network is run.
        latents: (R, c, h, w), clean.
        prompt_embeds: (1 or R, 77, d).
        timesteps: As the scheduler counts them.

    Returns:
        For each timestep (R, tokens, channels) for each self-attention.
    """
    unet, device = pipeline.appearance_unet, pipeline._execution_device
    latents, prompt = (tensor.to(device, unet.dtype) for tensor in (latents, prompt_embeds))
    at_once = _TIMESTEPS_PER_BATCH if len(latents) == 1 else 1
    kind = pipeline.scheduler.timesteps.dtype
    features: list[ReferenceFeatures] = []
    for start in range(0, len(timesteps), at_once):
        some = torch.tensor(timesteps[start : start + at_once], device=device, dtype=kind)
        rows = max(len(latents), len(some))
        with ReferenceAttention(unet) as attention:
            attention.recorded = {}
            unet(
                latents.expand(rows, -1, -1, -1),
                some,
                prompt.expand(rows, -1, -1),
                return_dict=False,
            )
        parts = {name: hidden.chunk(len(some)) for name, hidden in attention.recorded.items()}
        features += [{name: part[i] for name, part in parts.items()} for i in range(len(some))]
    return features
