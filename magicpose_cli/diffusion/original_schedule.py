"""The original's schedule, as a yardstick: the same networks, nothing shared, nothing batched."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import torch

from magicpose_cli.diffusion.reference_attention import ReferenceAttention, ReferenceFeatures
from magicpose_cli.diffusion.schedulers import noiseless_options

if TYPE_CHECKING:
    from magicpose_cli.diffusion.pipeline import MagicPosePipeline


@torch.no_grad()
def naive_denoise(
    pipeline: MagicPosePipeline,
    latents: torch.Tensor,
    reference_latents: torch.Tensor,
    pose_maps: torch.Tensor,
    prompt_embeds: torch.Tensor,
    steps: int = 50,
    guidance: float = 7.0,
) -> torch.Tensor:
    """Compute what `Sampler` computes the way the authors' program does.

    One frame after the other; in each step the whole appearance network, whose hidden states the
    denoiser projects anew; the pose network for both passes, though the unconditional one does not
    read it; the passes one after the other.

    Args:
        pipeline: Networks and scheduler.
        latents: (1, c, h, w) unit noise.
        reference_latents: (1, c, h, w), clean.
        pose_maps: (F, 3, 8h, 8w) RGB in 0..1.
        prompt_embeds: (1, 77, d).
        steps: Denoising steps.
        guidance: Scale of the image guidance; 1 is none.

    Returns:
        Latents (F, c, h, w) float32.
    """
    dtype, device = pipeline.unet.dtype, pipeline._execution_device
    scheduler = pipeline.scheduler
    noise = latents.to(device, torch.float32)
    reference, maps, text = (
        tensor.to(device, dtype) for tensor in (reference_latents, pose_maps, prompt_embeds)
    )
    noiseless = noiseless_options(scheduler)
    done = []
    with ReferenceAttention(pipeline.unet) as attention:
        for pose_map in maps[:, None]:
            scheduler.set_timesteps(steps, device=device)
            x = noise * scheduler.init_noise_sigma
            for t in scheduler.timesteps:
                noisy = scheduler.scale_model_input(x, t).to(dtype)
                attention.features = _reference_features(pipeline, reference, t, text)
                prediction = _predict(pipeline, noisy, t, text, pose_map, residuals=True)
                if guidance != 1.0:
                    attention.features = None
                    bare = _predict(pipeline, noisy, t, text, pose_map, residuals=False)
                    prediction = bare + guidance * (prediction - bare)
                x = scheduler.step(prediction, t, x, return_dict=False, **noiseless)[0]
            done.append(x)
    return torch.cat(done)


def _predict(
    pipeline: MagicPosePipeline,
    noisy: torch.Tensor,
    t: Any,
    text: torch.Tensor,
    pose_map: torch.Tensor,
    *,
    residuals: bool,
) -> torch.Tensor:
    """The noise in one frame; the pose network runs even where nobody reads its residuals."""
    down, mid = pipeline.pose_controlnet(
        noisy, t, text, controlnet_cond=pose_map, return_dict=False
    )
    prediction: torch.Tensor = pipeline.unet(
        noisy,
        t,
        text,
        down_block_additional_residuals=down if residuals else None,
        mid_block_additional_residual=mid if residuals else None,
        return_dict=False,
    )[0]
    return prediction.float()


def _reference_features(
    pipeline: MagicPosePipeline, reference: torch.Tensor, t: torch.Tensor, text: torch.Tensor
) -> ReferenceFeatures:
    recorded: ReferenceFeatures = {}
    with ReferenceAttention(pipeline.appearance_unet) as attention:
        attention.recorded = recorded
        pipeline.appearance_unet(reference, t, text, return_dict=False)
    return recorded
