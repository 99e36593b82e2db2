"""The converted checkpoint says what the original network and sampler say."""

import pytest
import torch

from magicpose_cli.diffusion.pipeline import MagicPosePipeline
from magicpose_cli.diffusion.reference_attention import ReferenceAttention
from magicpose_cli.diffusion.reference_features import reference_features

BAR = 1e-5


def error(ours: torch.Tensor, golden: torch.Tensor) -> float:
    assert ours.shape == golden.shape
    return float((ours - golden).norm() / golden.norm())


@torch.no_grad()
def outputs_of_a_step(
    pipeline: MagicPosePipeline, inputs: dict[str, torch.Tensor]
) -> dict[str, torch.Tensor]:
    """What the networks say at timestep 481, from first layers to last."""
    t, x, maps = torch.tensor(481), inputs["x"], inputs["pose_map"]
    text = inputs["text_embedding"].expand(len(x), -1, -1)
    [features] = reference_features(pipeline, inputs["reference_latent"], text[:1], [481])
    down, mid = pipeline.pose_controlnet(x, t, text, controlnet_cond=maps, return_dict=False)
    with ReferenceAttention(pipeline.unet) as attention:
        attention.features = features
        conditional = pipeline.unet(
            x,
            t,
            text,
            down_block_additional_residuals=down,
            mid_block_additional_residual=mid,
        ).sample
    return {
        "bank_first": features["down_blocks.0.attentions.0.transformer_blocks.0"],
        "bank_mid": features["mid_block.attentions.0.transformer_blocks.0"],
        "bank_last": features["up_blocks.3.attentions.2.transformer_blocks.0"],
        "pose_residual_first": down[0],
        "pose_residual_mid": mid,
        "eps_cond_t481": conditional,
        "eps_uncond_t481": pipeline.unet(x, t, text).sample,
    }


def test_one_step(pipeline, golden):
    ours = outputs_of_a_step(pipeline, golden)
    errors = {name: error(tensor, golden[name]) for name, tensor in ours.items()}
    assert max(errors.values()) <= BAR, errors


@pytest.mark.slow
def test_sampling(pipeline, golden):
    ours = pipeline.denoise(
        golden["x_T"],
        golden["reference_latent"],
        golden["pose_map"],
        golden["text_embedding"],
        num_inference_steps=5,
        guidance_scale=7.0,
    )
    assert sorted(pipeline.scheduler.timesteps.tolist()) == golden["ddim_timesteps"].tolist()
    assert error(ours, golden["sampled_latents"]) <= BAR
