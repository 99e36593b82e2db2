"""The ControlNet for maps of the body: without effect at first, then beside the pose network."""

import pytest
import torch
from diffusers import ControlNetModel

from magicpose_cli.diffusion.adapters.controlnet import load_body_controlnet
from magicpose_cli.diffusion.body_control import added, new_body_controlnet, split_maps
from magicpose_cli.diffusion.checkpoint.layout import controlnet_modules, renamed, shape_of
from magicpose_cli.diffusion.checkpoint.random_weights import random_pipeline
from magicpose_cli.diffusion.sampler import Acceleration, Sampler
from magicpose_cli.errors import ModelError


def learned(network: ControlNetModel, std: float = 0.1) -> ControlNetModel:
    """Give it an effect, as training does."""
    torch.manual_seed(3)
    for name, weight in network.named_parameters():
        if "controlnet_" in name:
            torch.nn.init.normal_(weight, std=std)
    return network.eval()


@pytest.fixture
def tiny():
    pipeline = random_pipeline("tiny")
    body = new_body_controlnet(pipeline.pose_controlnet, 2)
    pipeline.register_modules(body_controlnet=body.eval())
    pipeline.register_to_config(body_maps=["depth", "parts"])
    return pipeline


def sampled(pipeline, maps, acceleration=None, guidance=2.0):
    generator = torch.Generator().manual_seed(0)
    noise, reference = (torch.randn(1, 4, 8, 8, generator=generator) for _ in range(2))
    text = torch.randn(1, 7, 16, generator=generator)
    sampler = Sampler(
        pipeline, noise, reference, text, steps=4, guidance=guidance, acceleration=acceleration
    )
    return sampler.sample(maps)


def maps_of(frames: int, channels: int) -> torch.Tensor:
    return torch.rand(frames, channels, 64, 64, generator=torch.Generator().manual_seed(1))


def test_maps_are_parted_and_what_is_told_is_added():
    pose, body = split_maps(maps_of(2, 9))
    assert (pose.shape[1], body.shape[1]) == (3, 6)
    assert split_maps(maps_of(2, 3))[1] is None
    ones = ([torch.ones(1), torch.ones(2)], torch.ones(3))
    down, mid = added(ones, ones)
    assert [float(row.sum()) for row in (*down, mid)] == [2, 4, 6]


@pytest.mark.slow
@pytest.mark.parametrize("acceleration", [None, Acceleration(cache_every=2)])
def test_a_new_one_changes_no_bit(tiny, acceleration):
    maps = maps_of(3, 9)
    alone = sampled(tiny, maps[:, :3], acceleration)
    assert torch.equal(sampled(tiny, maps, acceleration), alone)


@pytest.mark.slow
def test_it_adds_to_the_pose_network_as_diffusers_several_controlnets_do(tiny):
    from diffusers.models.controlnets.multicontrolnet import MultiControlNetModel

    body = learned(tiny.body_controlnet)
    tiny.body_map_scale = 0.7
    maps = maps_of(2, 9)
    noisy, text = torch.randn(2, 4, 8, 8), torch.randn(2, 7, 16)
    several = MultiControlNetModel([tiny.pose_controlnet, body])
    with torch.no_grad():
        down, mid = several(
            noisy, 500, text, [maps[:, :3], maps[:, 3:]], [1.0, 0.7], return_dict=False
        )
        sampler = Sampler(tiny, noisy[:1], noisy[:1], text[:1], steps=2)
        with sampler._hints(maps) as hints:
            ours, middle = sampler._controlled(noisy, torch.tensor(500), text, hints)
    for one, other in zip((*ours, middle), (*down, mid), strict=True):
        torch.testing.assert_close(one, other)


@pytest.mark.slow
def test_maps_change_frames_each_by_its_own_and_off_is_off(tiny):
    maps = maps_of(3, 9)
    former = sampled(tiny, maps[:, :3])
    learned(tiny.body_controlnet)
    together = sampled(tiny, maps)
    assert not torch.allclose(together, former, atol=1e-2)
    assert torch.equal(sampled(tiny, maps[:, :3]), former)
    torch.testing.assert_close(sampled(tiny, maps[1:2]), together[1:2], atol=1e-4, rtol=1e-4)
    tiny.body_map_scale = 0.0
    torch.testing.assert_close(sampled(tiny, maps), former)


@pytest.mark.slow
def test_a_call_of_the_pipeline_takes_a_picture_for_each_map(tiny):
    learned(tiny.body_controlnet)
    tiny.set_progress_bar_config(disable=True)
    maps = maps_of(2, 9)
    reference = torch.rand(1, 3, 64, 64)

    def frames(bodies):
        return tiny(
            reference, maps[:, :3], num_inference_steps=2, body_maps=bodies, output_type="latent",
            generator=torch.Generator().manual_seed(0),
        ).images  # fmt: skip

    shown = frames([maps[:, 3:6], maps[:, 6:]])
    assert not torch.allclose(shown, frames([]), atol=1e-2)
    assert not torch.allclose(shown, frames([maps[:, 6:], maps[:, 3:6]]), atol=1e-3)


def original_names(network: ControlNetModel) -> dict[str, torch.Tensor]:
    """A ControlNet's weights by the names of the original code."""
    layers = 2 * len(network.config.conditioning_embedding_out_channels)
    modules = controlnet_modules(shape_of(network.config), layers)
    back = {new: old for old, new in modules.items()}
    return {f"control_model.{renamed(key, back)}": w for key, w in network.state_dict().items()}


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["folder", "original"])
def test_one_that_others_have_trained_is_read_whole(kind, tmp_path):
    pipeline = random_pipeline("tiny")
    other = learned(new_body_controlnet(pipeline.pose_controlnet, 1))
    place = tmp_path / "control"
    if kind == "folder":
        other.save_pretrained(place)
    else:
        place = tmp_path / "control_v11f1p_sd15_depth.pth"
        torch.save(original_names(other), place)
    read = load_body_controlnet(place, pipeline.unet, pipeline.pose_controlnet)
    assert read.config.conditioning_channels == 3
    assert not read.training
    for key, weight in other.state_dict().items():
        assert torch.equal(read.state_dict()[key], weight), key


@pytest.mark.slow
def test_one_of_another_denoiser_is_one_line(tmp_path):
    pipeline, wide = random_pipeline("tiny"), random_pipeline("mini")
    other = new_body_controlnet(wide.pose_controlnet, 1)
    other.save_pretrained(tmp_path / "depth")
    with pytest.raises(ModelError, match="expected a ControlNet of Stable Diffusion") as caught:
        load_body_controlnet(tmp_path / "depth", pipeline.unet, pipeline.pose_controlnet)
    assert "\n" not in str(caught.value)
