"""The reference's own pixels in frames that a small denoiser has made."""

import numpy as np
import pytest
import torch
from diffusers import UNet2DModel

from magicpose_cli.config.preset import Preset
from magicpose_cli.diffusion.checkpoint.loading import MINI, load_pipeline
from magicpose_cli.diffusion.compositor import composited, kept_share, new_compositor
from magicpose_cli.diffusion.pipeline import MagicPosePipeline
from magicpose_cli.errors import ModelError
from magicpose_cli.pose.pose_map import pose_map
from magicpose_cli.rendering.local import Renderer


@pytest.fixture(scope="module")
def seen() -> tuple[torch.Tensor, ...]:
    """Two frames, their reference, its pose map and theirs; of sides that no level divides."""
    chance = torch.Generator().manual_seed(0)
    return tuple(torch.rand(n, 3, 72, 83, generator=chance) for n in (2, 1, 1, 2))


def decided(value: float):
    """A compositor that says the same of every pixel."""
    compositor = new_compositor()
    torch.nn.init.zeros_(compositor.conv_out.weight)
    torch.nn.init.constant_(compositor.conv_out.bias, value)
    return compositor


@torch.no_grad()
def test_a_share_for_each_pixel(seen):
    share = kept_share(new_compositor(), *seen)
    assert share.shape == (2, 1, 72, 83)
    assert share.min() > 0 and share.max() < 1 and share.std() > 0


@torch.no_grad()
def test_all_and_nothing(seen):
    frames, reference, *_ = seen
    assert torch.allclose(composited(decided(50.0), *seen), reference.expand(2, -1, -1, -1))
    assert torch.allclose(composited(decided(-50.0), *seen), frames)
    half = composited(decided(0.0), *seen)
    assert torch.allclose(half, (frames + reference) / 2, atol=1e-6)


@torch.no_grad()
def test_frames_do_not_depend_on_each_other(seen):
    frames, reference, own, maps = seen
    compositor = new_compositor()
    both = composited(compositor, *seen)
    alone = [
        composited(compositor, frames[i : i + 1], reference, own, maps[i : i + 1]) for i in (0, 1)
    ]
    assert torch.allclose(both, torch.cat(alone), atol=1e-6)


def test_a_pipeline_that_has_one(tiny_model, tmp_path):
    plain = MagicPosePipeline.from_pretrained(tiny_model)
    chance = torch.Generator().manual_seed(1)
    reference, maps = torch.rand(1, 3, 64, 64, generator=chance), torch.rand(2, 3, 64, 64)
    noise = plain.initial_noise(64, 64, torch.Generator().manual_seed(2))

    def frames(pipeline):
        pipeline.set_progress_bar_config(disable=True)
        return pipeline(reference, maps, latents=noise, num_inference_steps=1, output_type="pt")[0]

    made = frames(plain)
    plain.register_modules(compositor=decided(50.0))
    plain.save_pretrained(tmp_path / "model")
    loaded = load_pipeline(tmp_path / "model", "float32")
    kept = frames(loaded)
    assert torch.allclose(kept, reference.expand(2, -1, -1, -1), atol=1e-5)
    assert not torch.allclose(made, kept, atol=0.05)


def test_a_compositor_of_another_kind_is_refused(tiny_model, tmp_path):
    other = UNet2DModel(
        in_channels=3, block_out_channels=(8,), norm_num_groups=4,
        down_block_types=("DownBlock2D",), up_block_types=("UpBlock2D",),
    )  # fmt: skip
    pipeline = MagicPosePipeline.from_pretrained(tiny_model)
    pipeline.register_modules(compositor=other)
    pipeline.save_pretrained(tmp_path / "model")
    with pytest.raises(
        ModelError, match="compositor reads 3 channels and gives 3; expected 12 and"
    ):
        load_pipeline(tmp_path / "model")


@pytest.mark.slow
def test_mini_shows_the_reference_where_nothing_moves(people, frames):
    pose, reference = people.poses()[0], frames[0]
    own = pose_map(pose, 384)
    pipeline = load_pipeline(MINI, "float32")
    errors = []
    for keeps in (False, True):
        preset = Preset().with_options(frame__warp="off", frame__keep_background=keeps)
        renderer = Renderer(pipeline, reference, preset, own_map=own)
        made = renderer.make(own[None])[0]
        errors.append(np.abs(made.astype(int) - reference).mean())
    assert errors[1] < 0.4 * errors[0]
