"""The motion module against diffusers' own, and what it leaves alone."""

import pytest
import torch
from diffusers import UNetMotionModel

from magicpose_cli.diffusion.adapters.lora import _spellings
from magicpose_cli.diffusion.checkpoint.loading import load_pipeline
from magicpose_cli.diffusion.checkpoint.random_weights import random_pipeline
from magicpose_cli.diffusion.motion_module import (
    MotionModule,
    motion_layers,
    new_motion_adapter,
)
from magicpose_cli.diffusion.sampler import Acceleration, Sampler
from magicpose_cli.errors import ModelError

pytestmark = pytest.mark.slow


def moving_adapter(unet, seed=0):
    """An adapter that changes what it is given."""
    torch.manual_seed(seed)
    adapter = new_motion_adapter(unet)
    for layer in motion_layers(adapter).values():
        torch.nn.init.normal_(layer.proj_out.weight, std=0.3)
        torch.nn.init.normal_(layer.proj_out.bias, std=0.1)
    return adapter.eval()


@pytest.fixture
def tiny():
    return random_pipeline("tiny")


def inputs(pipeline, frames, seed=0):
    generator = torch.Generator().manual_seed(seed)
    latents = torch.randn(1, 4, 8, 8, generator=generator)
    noise = torch.randn(1, 4, 8, 8, generator=generator)
    maps = torch.rand(frames, 3, 64, 64, generator=generator)
    return noise, latents, maps, torch.randn(1, 7, 16, generator=generator)


def sampled(pipeline, frames=6, *, steady, acceleration=None, shares=None, guidance=2.0):
    noise, reference, maps, text = inputs(pipeline, frames)
    sampler = Sampler(
        pipeline, noise, reference, text, steps=4, guidance=guidance,
        acceleration=acceleration, steady=steady,
    )  # fmt: skip
    if shares is not None:
        sampler._shares_first = shares
    return sampler.sample(maps)


@torch.no_grad()
def test_a_denoiser_with_it_gives_the_numbers_of_diffusers_own(tiny):
    unet = tiny.unet
    adapter = moving_adapter(unet)
    truth = UNetMotionModel.from_unet2d(unet, adapter).eval()
    generator = torch.Generator().manual_seed(1)
    clips = torch.randn(2, 4, 5, 8, 8, generator=generator)
    text = torch.randn(2, 7, 16, generator=generator)
    each = text.repeat_interleave(5, 0)
    wanted = truth(clips, 500, each, return_dict=False)[0]
    rows = clips.permute(0, 2, 1, 3, 4).flatten(0, 1)
    motion = MotionModule(unet, adapter)
    with motion.together(5):
        ours = unet(rows, 500, each, return_dict=False)[0]
    ours = ours.unflatten(0, (2, 5)).permute(0, 2, 1, 3, 4)
    alone = unet(rows, 500, each, return_dict=False)[0]
    assert (ours - wanted).norm() / wanted.norm() < 1e-5
    assert (alone.unflatten(0, (2, 5)).permute(0, 2, 1, 3, 4) - wanted).norm() > 0.01


@pytest.mark.parametrize("layout", [torch.contiguous_format, torch.channels_last])
@pytest.mark.parametrize("acceleration", [None, Acceleration(cache_every=2)])
def test_a_new_adapter_changes_no_bit(tiny, layout, acceleration):
    for part in (tiny.unet, tiny.appearance_unet, tiny.pose_controlnet):
        part.to(memory_format=layout)
    former = sampled(tiny, steady=False, acceleration=acceleration, shares=False)
    tiny.set_motion_adapter(new_motion_adapter(tiny.unet))
    assert tiny.motion.is_new
    tiny.motion.is_new = False  # or the layers would not even run
    assert torch.equal(sampled(tiny, steady=True, acceleration=acceleration), former)


def test_channels_last_frames_have_gradients(tiny):
    """torch's group norm would end the process, were they given to it as they are."""
    unet = tiny.unet.requires_grad_(False).to(memory_format=torch.channels_last)
    adapter = moving_adapter(unet).requires_grad_(True)
    motion = MotionModule(unet, adapter)
    with motion.together(3):
        unet(torch.randn(3, 4, 8, 8), 500, torch.randn(3, 7, 16)).sample.square().mean().backward()
    assert all(weight.grad is not None for weight in adapter.parameters())


def test_off_is_off(tiny):
    former = sampled(tiny, steady=False)
    names = list(tiny.unet.state_dict())
    spelled = _spellings(tiny.unet, dict(tiny.unet.named_modules()))
    tiny.set_motion_adapter(moving_adapter(tiny.unet))
    assert torch.equal(sampled(tiny, steady=False), former)
    assert not torch.allclose(sampled(tiny, steady=True), former, atol=1e-2)
    assert list(tiny.unet.state_dict()) == names
    assert _spellings(tiny.unet, dict(tiny.unet.named_modules())) == spelled
    tiny.set_motion_adapter(None)
    assert torch.equal(sampled(tiny, steady=False), former)


def test_frames_see_each_other_and_clips_of_a_batch_do_not(tiny):
    tiny.set_motion_adapter(moving_adapter(tiny.unet))
    noise, reference, maps, text = inputs(tiny, 6)
    sampler = Sampler(tiny, noise, reference, text, steps=2, guidance=2.0, steady=True)
    one = sampler.sample(maps)
    changed = maps.clone()
    changed[5] = 0
    other = sampler.sample(changed)
    assert not torch.equal(one[0], other[0])
    unguided = Sampler(tiny, noise, reference, text, steps=2, guidance=1.0, steady=True)
    guided = Sampler(
        tiny, noise, reference, text, steps=2, guidance=1.0 + 1e-7, steady=True
    )  # the bare rows are a clip of their own behind the others
    torch.testing.assert_close(unguided.sample(maps), guided.sample(maps), atol=1e-4, rtol=1e-4)


def test_deep_features_are_kept_with_it(tiny):
    tiny.set_motion_adapter(moving_adapter(tiny.unet))
    whole = sampled(tiny, steady=True)
    cached = sampled(tiny, steady=True, acceleration=Acceleration(cache_every=2))
    alone = sampled(tiny, steady=False)
    assert (cached - whole).norm() < (alone - whole).norm()


def test_the_pipeline_makes_long_clips_in_windows(tiny):
    tiny.set_motion_adapter(moving_adapter(tiny.unet))
    noise, reference, maps, text = inputs(tiny, 20)
    made = tiny.denoise(noise, reference, maps, text, 2, 2.0, steady=True, batch_size=3)
    sampler = Sampler(tiny, noise, reference, text, steps=2, guidance=2.0, steady=True)
    first, last = sampler.sample(maps[:16]), sampler.sample(maps[4:])
    assert torch.equal(made[:4], first[:4])
    assert torch.equal(made[16:], last[12:])
    torch.testing.assert_close(made[4], (5 * first[4] + last[0]) / 6)


def test_without_an_adapter_steady_is_an_error(tiny):
    noise, reference, maps, text = inputs(tiny, 2)
    with pytest.raises(ModelError, match="no motion adapter"):
        tiny.denoise(noise, reference, maps, text, 2, 2.0, steady=True)


def test_a_model_folder_holds_one(tiny, tmp_path):
    tiny.set_motion_adapter(moving_adapter(tiny.unet))
    tiny.save_pretrained(tmp_path / "model")
    loaded = load_pipeline(tmp_path / "model")
    assert torch.equal(sampled(loaded, steady=True), sampled(tiny, steady=True))


def test_a_folder_with_an_adapter_of_another_denoiser(tiny, tmp_path, tiny_model):
    other = load_pipeline(tiny_model)
    tiny.register_modules(motion_adapter=new_motion_adapter(other.unet))
    tiny.save_pretrained(tmp_path / "model")
    with pytest.raises(ModelError, match=r"its motion adapter is for \[16, 32\] channels"):
        load_pipeline(tmp_path / "model")
