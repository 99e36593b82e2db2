"""MagicPosePipeline's promises: batches, guidance, the bank, and the diffusers manner."""

from functools import partial

import numpy as np
import PIL.Image
import pytest
import torch
from diffusers import AutoencoderKL

from magicpose_cli.diffusion.pipeline import MagicPosePipeline
from magicpose_cli.diffusion.reference_attention import ReferenceAttention
from magicpose_cli.errors import ModelError


@pytest.fixture
def inputs(golden) -> dict[str, torch.Tensor]:
    """Three frames at 8x8 latents, drawn from the golden file's tensors."""
    return {
        "latents": golden["x_T"][..., :8, :8],
        "reference_latents": golden["reference_latent"][..., 4:12, 4:12],
        "pose_maps": golden["pose_map"][..., 32:96, 32:96],
        "prompt_embeds": golden["text_embedding"],
    }


@pytest.fixture
def with_vae(pipeline) -> MagicPosePipeline:
    torch.manual_seed(0)
    levels = 4
    pipeline.register_modules(
        vae=AutoencoderKL(
            block_out_channels=(32,) * levels,
            down_block_types=("DownEncoderBlock2D",) * levels,
            up_block_types=("UpDecoderBlock2D",) * levels,
            layers_per_block=1,
        ).eval()
    )
    return pipeline


@pytest.fixture
def reference() -> PIL.Image.Image:
    return PIL.Image.radial_gradient("L").resize((64, 64)).convert("RGB")


@pytest.fixture
def maps() -> list[PIL.Image.Image]:
    return [PIL.Image.new("RGB", (64, 64), color) for color in ("black", "red")]


def calls(module: torch.nn.Module) -> list[int]:
    """A list that grows by the batch size whenever the module runs."""
    sizes: list[int] = []
    module.register_forward_hook(lambda _, args, __: sizes.append(len(args[0])))
    return sizes


@pytest.mark.slow
@pytest.mark.parametrize("batch_size", [1, 2, 3])
def test_batches_change_nothing_and_the_bank_is_made_once_a_timestep(pipeline, inputs, batch_size):
    whole = pipeline.denoise(**inputs, num_inference_steps=2)
    assert len({frame.sum().item() for frame in whole}) == 3  # the poses tell the frames apart
    appearance = calls(pipeline.appearance_unet)
    split = pipeline.denoise(**inputs, num_inference_steps=2, batch_size=batch_size)
    assert appearance == [2]  # both timesteps at once
    assert (split - whole).norm() / whole.norm() <= 1e-5


@pytest.mark.slow
def test_a_model_takes_its_own_steps_and_guidance(with_vae, reference, maps):
    with_vae.register_to_config(default_steps=3, default_guidance=1.0)
    denoiser = calls(with_vae.unet)
    generator = torch.Generator().manual_seed(0)
    own = with_vae(reference, maps, generator=generator, output_type="pt").images
    assert denoiser == [2, 2, 2]  # three steps, no unconditional pass
    told = with_vae(
        reference, maps, num_inference_steps=3, guidance_scale=1.0,
        generator=generator.manual_seed(0), output_type="pt",
    ).images  # fmt: skip
    assert torch.equal(own, told)


def test_guidance_1_skips_the_unconditional_pass(pipeline, inputs):
    denoiser = calls(pipeline.unet)
    pipeline.denoise(**inputs, num_inference_steps=2, guidance_scale=1.0)
    pipeline.denoise(**inputs, num_inference_steps=2, guidance_scale=7.0)
    assert denoiser == [3, 3, 1, 3, 6]  # the first step's unconditional pass is one frame's


def test_guidance_0_is_the_bare_denoiser(pipeline, inputs):
    ours = pipeline.denoise(**inputs, num_inference_steps=2, guidance_scale=0.0)
    x = inputs["latents"]
    with torch.no_grad():
        for t in pipeline.scheduler.timesteps:
            noise = pipeline.unet(x, t, inputs["prompt_embeds"]).sample
            x = pipeline.scheduler.step(noise, t, x).prev_sample
    assert (ours - x).norm() / ours.norm() <= 1e-5


def test_attention_processors_are_given_back(pipeline, inputs):
    former = dict(pipeline.unet.attn_processors), dict(pipeline.appearance_unet.attn_processors)
    pipeline.denoise(**inputs, num_inference_steps=1)
    with pytest.raises(ZeroDivisionError), ReferenceAttention(pipeline.unet):
        assert pipeline.unet.attn_processors != former[0]
        raise ZeroDivisionError
    assert (pipeline.unet.attn_processors, pipeline.appearance_unet.attn_processors) == former


@pytest.mark.slow
def test_saved_and_loaded_it_is_the_same(with_vae, inputs, tmp_path):
    with_vae.save_pretrained(tmp_path)
    loaded = MagicPosePipeline.from_pretrained(tmp_path)
    assert (loaded.config.pose_canvas, loaded.config.sample_size) == (604, 512)
    assert loaded.text_encoder is None and loaded.tokenizer is None
    for name, part in with_vae.components.items():
        if isinstance(part, torch.nn.Module):
            assert_equal(part, loaded.components[name])


def assert_equal(one: torch.nn.Module, other: torch.nn.Module) -> None:
    ours, theirs = one.state_dict(), other.state_dict()
    assert ours.keys() == theirs.keys()
    assert all(torch.equal(ours[key], theirs[key]) for key in ours)


@pytest.mark.slow
def test_pictures_in_pictures_out(with_vae, reference, maps):
    def draw(**options):
        return with_vae(
            reference,
            maps,
            num_inference_steps=2,
            generator=torch.Generator().manual_seed(7),
            **options,
        ).images

    pictures = draw()
    assert [picture.size for picture in pictures] == [(64, 64)] * 2
    assert [p.tobytes() for p in pictures] == [p.tobytes() for p in draw()]
    assert draw(output_type="np").shape == (2, 64, 64, 3)
    tensor = draw(output_type="pt")
    assert tensor.shape == (2, 3, 64, 64) and tensor.min() >= 0 and tensor.max() <= 1
    latents = draw(output_type="latent")
    assert latents.shape == (2, 4, 8, 8)
    assert torch.allclose(with_vae.decode(latents), tensor, atol=1e-5)


@pytest.mark.slow
def test_pictures_of_other_modes_are_taken_as_rgb(with_vae):
    random = np.random.default_rng(0)
    rgb, drawn = (
        PIL.Image.fromarray(random.integers(0, 255, (64, 64, 3), np.uint8)) for _ in range(2)
    )
    gray = drawn.convert("L")
    draw = partial(with_vae, num_inference_steps=1, output_type="np")
    noise = torch.randn(1, 4, 8, 8, generator=torch.Generator().manual_seed(7))
    plain = draw(rgb, [drawn, gray.convert("RGB")], latents=noise).images
    others = draw(rgb.convert("RGBA"), [drawn.convert("RGBA"), gray], latents=noise).images
    np.testing.assert_array_equal(others, plain)


def test_the_seed_decides(with_vae, reference, maps):
    one, other = (
        with_vae(
            reference,
            maps[0],
            num_inference_steps=1,
            generator=torch.Generator().manual_seed(seed),
            output_type="latent",
            return_dict=False,
        )[0]
        for seed in (1, 2)
    )
    assert not torch.allclose(one, other)


def test_callback_sees_each_step_and_may_change_the_latents(with_vae, reference, maps):
    seen = []

    def callback(pipe, step, timestep, tensors):
        seen.append((step, int(timestep), tensors["latents"].shape))
        return {"latents": torch.zeros_like(tensors["latents"])}

    latents = with_vae(
        reference, maps, num_inference_steps=2, output_type="latent", callback_on_step_end=callback
    ).images
    assert seen == [(0, 501, (2, 4, 8, 8)), (1, 1, (2, 4, 8, 8))]
    assert not latents.any()
    with pytest.raises(ValueError, match="only latents"):
        with_vae(reference, maps, callback_on_step_end_tensor_inputs=["noise"])


def test_what_is_absent_is_said(pipeline, reference, maps):
    with pytest.raises(ModelError, match="no text encoder"):
        pipeline.encode_prompt("a dancer")
    assert not pipeline.encode_prompt("").any()
    with pytest.raises(ModelError, match="no vae"):
        pipeline(reference, maps, num_inference_steps=1)
