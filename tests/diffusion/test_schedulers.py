"""Schedulers that are asked for, and the stock one of distilled models."""

import pytest
import torch
from diffusers import DDIMScheduler, TCDScheduler

from magicpose_cli.diffusion.original_schedule import naive_denoise
from magicpose_cli.diffusion.schedulers import asked_scheduler
from magicpose_cli.errors import ConfigError


@pytest.fixture
def few_steps(pipeline):
    """The pipeline with the scheduler of distilled models."""
    former = pipeline.scheduler
    pipeline.scheduler = TCDScheduler(set_alpha_to_one=False)
    yield pipeline
    pipeline.scheduler = former


@pytest.fixture
def inputs(golden):
    return {
        "latents": golden["x_T"][:1, :, :8, :8],
        "reference_latents": golden["reference_latent"][..., 4:12, 4:12],
        "pose_maps": golden["pose_map"][..., 32:96, 32:96],
        "prompt_embeds": golden["text_embedding"],
    }


def denoised(pipeline, inputs, batch_size=None):
    return pipeline.denoise(
        **inputs, num_inference_steps=4, guidance_scale=1.0, batch_size=batch_size
    )


@pytest.mark.slow
def test_the_sampler_takes_the_stock_schedulers_steps_without_its_noise(few_steps, inputs):
    made = denoised(few_steps, inputs)
    torch.testing.assert_close(denoised(few_steps, inputs), made, rtol=0, atol=0)
    naive = naive_denoise(few_steps, *inputs.values(), steps=4, guidance=1.0)
    assert (made - naive).norm() / naive.norm() < 1e-5
    apart = denoised(few_steps, inputs, batch_size=1)
    torch.testing.assert_close(apart, made, rtol=1e-4, atol=1e-4)


def test_the_first_trailing_timestep_is_the_last_of_the_schedule():
    own = DDIMScheduler(timestep_spacing="leading", steps_offset=1)
    found = []
    for spacing in (None, "trailing"):
        scheduler = asked_scheduler("ddim", spacing, own)
        scheduler.set_timesteps(8)
        found.append(scheduler.timesteps.tolist()[0])
    assert found == [876, 999]
    assert asked_scheduler(None, None, own) is own


def test_a_distilled_model_takes_other_schedulers():
    unipc = asked_scheduler("unipc", None, TCDScheduler(timestep_spacing="trailing"))
    unipc.set_timesteps(4)
    assert unipc.timesteps.tolist() == [999, 749, 499, 249]


def test_fixed_timesteps_have_no_spacing():
    with pytest.raises(ConfigError, match="cannot be had of TCDScheduler"):
        asked_scheduler(None, "trailing", TCDScheduler())
