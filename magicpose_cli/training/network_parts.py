"""Parts of networks before their first step: the denoiser's shape, its copies, its schedule."""

from __future__ import annotations

from typing import Any

from diffusers import ControlNetModel, DDIMScheduler, UNet2DConditionModel
from torch import Tensor

from magicpose_cli.training.recipe import NetworkSettings, RecipeModelSettings


def small_scheduler() -> DDIMScheduler:
    """DDIM for a small model: v, few steps, the first of them from pure noise."""
    return DDIMScheduler(
        beta_schedule="scaled_linear",
        beta_start=0.00085,
        beta_end=0.012,
        timestep_spacing="trailing",
        prediction_type="v_prediction",
        rescale_betas_zero_snr=True,
        set_alpha_to_one=True,
        clip_sample=False,
    )


def network_shape(model: RecipeModelSettings) -> dict[str, Any]:
    """Give the configuration of a denoiser as a recipe asks for it, in diffusers' words."""
    network = model.network
    down = ["CrossAttnDownBlock2D" if a else "DownBlock2D" for a in network.attention]
    up = ["CrossAttnUpBlock2D" if a else "UpBlock2D" for a in reversed(network.attention)]
    return {
        "sample_size": model.size // 8,
        "block_out_channels": network.widths,
        "layers_per_block": network.resnets,
        "down_block_types": tuple(down),
        "up_block_types": tuple(up),
        "cross_attention_dim": network.text_width,
        "attention_head_dim": network.heads,  # diffusers' name for the number of heads
        "norm_num_groups": network.norm_groups,
    }


def with_copies(unet: UNet2DConditionModel, network: NetworkSettings | None) -> dict[str, Any]:
    """Give a denoiser with an appearance network and a pose network that begin as its copies."""
    appearance = UNet2DConditionModel.from_config(unet.config)
    appearance.load_state_dict(unet.state_dict())
    hint = network.hint_widths if network else (16, 32, 96, 256)
    pose = ControlNetModel.from_unet(unet, conditioning_embedding_out_channels=hint)
    return {"unet": unet, "appearance_unet": appearance, "pose_controlnet": pose}


def pose_network_weights(unet: UNet2DConditionModel, pose: ControlNetModel) -> dict[str, Tensor]:
    """Give the weights of a pose network that begins as the encoder of a denoiser."""
    hint = pose.config.conditioning_embedding_out_channels
    fresh = ControlNetModel.from_unet(unet, conditioning_embedding_out_channels=hint)
    weights: dict[str, Tensor] = fresh.state_dict()
    return weights
