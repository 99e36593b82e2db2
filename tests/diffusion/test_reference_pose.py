"""An appearance network that reads the reference's pose map beside its picture."""

import numpy as np
import pytest
import torch

from magicpose_cli.config.preset import Preset
from magicpose_cli.diffusion.checkpoint.loading import load_pipeline
from magicpose_cli.diffusion.reference_pose import forget_pose, widen_for_pose, with_pose
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
    forget_pose(plain.appearance_unet, 4)
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
