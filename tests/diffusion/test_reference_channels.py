"""Networks that read more than latents: the reference's pose, or all of it beside the noise."""

import numpy as np
import pytest
import torch

from magicpose_cli.config.preset import Preset
from magicpose_cli.diffusion.checkpoint.loading import load_pipeline
from magicpose_cli.diffusion.original_schedule import naive_denoise
from magicpose_cli.diffusion.reference_channels import (
    read_latents_alone,
    reads_more,
    widen_for_pose,
    widen_for_reference,
    with_pose,
    with_reference,
)
from magicpose_cli.diffusion.sampler import Acceleration, Sampler
from magicpose_cli.errors import ModelError
from magicpose_cli.rendering.local import Renderer


@pytest.fixture
def plain(tiny_model):
    return load_pipeline(tiny_model, "float32")


@pytest.fixture
def reading(tiny_model):
    """The same, which has learned to look at the pose."""
    pipeline = load_pipeline(tiny_model, "float32")
    widen_for_pose(pipeline.appearance_unet, pipeline.vae_scale_factor)
    torch.manual_seed(1)
    torch.nn.init.normal_(pipeline.appearance_unet.conv_in.weight[:, 4:], std=0.2)
    return pipeline


def pictures(seed, count=1):
    return np.random.default_rng(seed).integers(0, 255, (count, 64, 64, 3), dtype=np.uint8)


def rendered(pipeline, own):
    maps = pictures(0, 2)
    return Renderer(pipeline, pictures(1)[0], Preset(), own_map=own).make(maps)


def test_each_pixel_of_the_map_stands_in_its_own_cell():
    maps = torch.zeros(1, 3, 32, 64)
    maps[0, 1, 17, 42] = 1
    both = with_pose(torch.zeros(1, 4, 4, 8), maps)
    assert both.shape == (1, 4 + 192, 4, 8)
    [[_, channel, row, column]] = both.nonzero().tolist()
    assert (row, column) == (2, 5) and channel == 4 + 64 + 8 * 1 + 2


def test_what_is_new_begins_without_an_effect(plain):
    before = rendered(plain, None)
    widen_for_pose(plain.appearance_unet, plain.vae_scale_factor)
    assert plain.reads_reference_pose
    assert np.array_equal(rendered(plain, pictures(2)[0]), before)
    read_latents_alone(plain.appearance_unet)
    assert not plain.reads_reference_pose and np.array_equal(rendered(plain, None), before)


def test_the_pose_decides_and_an_unknown_one_is_black(reading):
    own = pictures(2)[0]
    assert not np.array_equal(rendered(reading, own), rendered(reading, own[::-1]))
    assert np.array_equal(rendered(reading, None), rendered(reading, np.zeros_like(own)))


def test_other_models_leave_it_unread(plain):
    assert np.array_equal(rendered(plain, pictures(2)[0]), rendered(plain, None))


def test_it_is_saved_and_loaded_like_any_other_model(reading, tmp_path):
    own = pictures(2)[0]
    reading.save_pretrained(tmp_path)
    again = load_pipeline(tmp_path, "float32")
    assert again.reads_reference_pose and again.appearance_unet.config.in_channels == 196
    assert np.array_equal(rendered(again, own), rendered(reading, own))


def test_a_call_of_the_pipeline_takes_it(reading):
    reading.set_progress_bar_config(disable=True)
    reference, own, maps = (torch.rand(1, 3, 64, 64) for _ in range(3))
    told = {"num_inference_steps": 2, "output_type": "np"}
    noise = reading.initial_noise(64, 64, torch.Generator().manual_seed(0))
    one, other = (
        reading(reference, maps, reference_pose_map=pose, latents=noise, **told).images
        for pose in (own, own.flip(2))
    )
    assert one.shape == (1, 64, 64, 3) and not np.array_equal(one, other)


@pytest.fixture
def concatenating(reading):
    """The same, whose denoiser has learned to look at all that the appearance network reads."""
    widen_for_reference(reading.unet, reading.appearance_unet)
    torch.manual_seed(2)
    torch.nn.init.normal_(reading.unet.conv_in.weight[:, 4:], std=0.2)
    return reading


def test_samples_behind_the_references_see_none():
    noisy, reference = torch.rand(3, 4, 2, 2), torch.rand(2, 6, 2, 2)
    read = with_reference(noisy, reference, 10)
    assert torch.equal(read[:, :4], noisy) and torch.equal(read[:2, 4:], reference)
    assert (read[2, 4:] == 0).all() and (with_reference(noisy, None, 10)[:, 4:] == 0).all()
    assert with_reference(noisy, None, 4) is noisy


def test_a_denoiser_begins_without_looking_beside_its_noise(reading):
    own = pictures(2)[0]
    before = rendered(reading, own)
    widen_for_reference(reading.unet, reading.appearance_unet)
    assert reads_more(reading.unet) and reading.unet.config.in_channels == 4 + 196
    assert np.array_equal(rendered(reading, own), before)


def sampling_inputs(pipeline):
    torch.manual_seed(3)
    reference, own, maps = (
        torch.rand(1, 3, 64, 64),
        torch.rand(1, 3, 64, 64),
        torch.rand(3, 3, 64, 64),
    )
    noise = pipeline.initial_noise(64, 64, torch.Generator().manual_seed(0))
    latents = pipeline.encode_reference(reference * 2 - 1, own)
    return (noise, latents, pipeline.encode_prompt()), maps


def test_it_sees_the_reference_in_the_conditional_pass_alone(concatenating):
    inputs, maps = sampling_inputs(concatenating)
    made = Sampler(concatenating, *inputs, steps=3, guidance=3.0).sample(maps)
    noise, latents, text = inputs
    naive = naive_denoise(concatenating, noise, latents, maps, text, 3, 3.0)
    assert torch.allclose(made, naive, atol=2e-4)
    other = torch.cat([latents[:, :4].flip(3), latents[:, 4:]], 1)
    assert not torch.allclose(
        Sampler(concatenating, noise, other, text, steps=3).sample(maps), made
    )


def test_cached_steps_and_references_of_their_own_see_it_too(concatenating):
    inputs, maps = sampling_inputs(concatenating)
    noise, latents, text = inputs
    every = Acceleration(cache_every=2)
    one = Sampler(concatenating, *inputs, steps=4, guidance=2.0, acceleration=every).sample(maps)
    three = Sampler(
        concatenating, noise, latents.repeat(3, 1, 1, 1), text, steps=4, guidance=2.0,
        acceleration=every,
    ).sample(maps)  # fmt: skip
    assert torch.allclose(one, three, atol=1e-4)


def test_a_concatenating_model_is_saved_and_loaded(concatenating, tmp_path):
    own = pictures(2)[0]
    concatenating.save_pretrained(tmp_path)
    again = load_pipeline(tmp_path, "float32")
    assert reads_more(again.unet)
    assert np.array_equal(rendered(again, own), rendered(concatenating, own))


def test_a_model_of_other_inputs_is_refused(plain, tmp_path):
    widen_for_reference(plain.unet, plain.appearance_unet)
    widen_for_pose(plain.appearance_unet, plain.vae_scale_factor)  # the denoiser's do not follow
    plain.save_pretrained(tmp_path)
    with pytest.raises(ModelError, match="unet reads 8 channels; expected 4 of latents, or 200"):
        load_pipeline(tmp_path, "float32")
