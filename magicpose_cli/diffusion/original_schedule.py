"""The original's schedule, as a yardstick: the same networks, nothing shared, nothing batched."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch

from magicpose_cli.diffusion.reference_attention import ReferenceAttention

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
    """What `Sampler` computes, (F, c, h, w) float32, the way the authors' program does.

    One frame after the other; in each step the whole appearance network, whose hidden states the
    denoiser projects anew; the pose network for both passes, though the unconditional one does not
    read it; the passes one after the other. Takes (1, c, h, w) unit noise, the clean reference,
    (F, 3, 8h, 8w) maps in 0..1 and (1, 77, d) text.
    """
    unet, dtype, device = pipeline.unet, pipeline.unet.dtype, pipeline._execution_device
    scheduler = pipeline.scheduler
    noise = latents.to(device, torch.float32)
    reference, maps, text = (
        tensor.to(device, dtype) for tensor in (reference_latents, pose_maps, prompt_embeds)
    )
    done = []
    with ReferenceAttention(unet) as attention:
        for pose_map in maps.split(1):
            scheduler.set_timesteps(steps, device=device)
            x = noise * scheduler.init_noise_sigma
            for t in scheduler.timesteps:
                noisy = scheduler.scale_model_input(x, t).to(dtype)
                passes = []
                for guided in (True, False) if guidance != 1.0 else (True,):
                    down, mid = pipeline.pose_controlnet(
                        noisy, t, text, controlnet_cond=pose_map, return_dict=False
                    )
                    attention.features = (
                        _reference_features(pipeline, reference, t, text) if guided else None
                    )
                    passes.append(
                        unet(
                            noisy,
                            t,
                            text,
                            down_block_additional_residuals=down if guided else None,
                            mid_block_additional_residual=mid if guided else None,
                            return_dict=False,
                        )[0].float()
                    )
                prediction = passes[0]
                if guidance != 1.0:
                    prediction = passes[1] + guidance * (passes[0] - passes[1])
                x = scheduler.step(prediction, t, x, return_dict=False)[0]
            done.append(x)
    return torch.cat(done)


def _reference_features(
    pipeline: MagicPosePipeline, reference: torch.Tensor, t: torch.Tensor, text: torch.Tensor
) -> dict:
    with ReferenceAttention(pipeline.appearance_unet) as attention:
        attention.recorded = {}
        pipeline.appearance_unet(reference, t, text, return_dict=False)
    return attention.recorded
