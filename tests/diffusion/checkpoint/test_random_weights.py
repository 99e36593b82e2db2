"""Random networks: of the sizes they are named after, drawn alike, and alive."""

import pytest
import torch

from magicpose_cli.diffusion.checkpoint.loading import MINI, MODEL_SETTINGS, load_pipeline
from magicpose_cli.diffusion.checkpoint.random_weights import random_pipeline
from magicpose_cli.errors import ModelError

NETWORKS = ("unet", "appearance_unet", "pose_controlnet", "vae")


def tensors(pipeline) -> dict[str, torch.Tensor]:
    return {
        f"{name}.{key}": tensor
        for name in NETWORKS
        for key, tensor in getattr(pipeline, name).state_dict().items()
    }


def denoised(pipeline, *, reference=1.0, maps=None) -> torch.Tensor:
    """Latents of two frames after three steps."""
    side = pipeline.config.sample_size
    generator = torch.Generator().manual_seed(1)
    noise = pipeline.initial_noise(side, side, generator)
    picture = torch.rand(1, 3, side, side, generator=generator) * 2 - 1
    maps = torch.rand(2, 3, side, side, generator=generator) if maps is None else maps
    latents = pipeline.encode_reference(picture) * reference
    return pipeline.denoise(noise, latents, maps, pipeline.encode_prompt(""), 3, 7.0)


@pytest.mark.slow
def test_the_released_models_shapes(manifest):
    """As many numbers as the released file has, but for the norm and convolution it lacks."""
    pipeline = random_pipeline("magicpose", "float16", "meta")
    prefixes = {
        "unet": "model.diffusion_model.",
        "appearance_unet": "appearance_control_model.",
        "pose_controlnet": "pose_control_model.",
        "vae": "first_stage_model.",
        "text_encoder": "cond_stage_model.transformer.",
    }
    for name, prefix in prefixes.items():
        part = getattr(pipeline, name)
        stored = sum(
            torch.Size(shape).numel()
            for key, shape in manifest.items()
            if key.startswith(prefix)
            and not key.endswith("position_ids")
            and not key.startswith("appearance_control_model.input_hint_block")
        )
        filled = 320 * 2 + 320 * 4 * 9 + 4 if name == "appearance_unet" else 0
        assert sum(parameter.numel() for parameter in part.parameters()) == stored + filled, name
        assert {parameter.dtype for parameter in part.parameters()} == {torch.float16}
    assert pipeline.vae_scale_factor == 8 and pipeline.config.default_steps == 50


@pytest.mark.slow
def test_the_embedded_models_shapes():
    ours, stored = random_pipeline("mini"), load_pipeline(MINI)
    assert {k: t.shape for k, t in tensors(ours).items()} == {
        k: t.shape for k, t in tensors(stored).items()
    }
    for setting in MODEL_SETTINGS:
        assert ours.config[setting] == stored.config[setting]
    assert ours.vae.config.scaling_factor == stored.vae.config.scaling_factor


def test_the_seed_decides():
    one, again, other = (tensors(random_pipeline("tiny", seed=seed)) for seed in (5, 5, 6))
    assert all(torch.equal(one[key], again[key]) for key in one)
    assert not torch.equal(one["unet.conv_in.weight"], other["unet.conv_in.weight"])


@pytest.mark.slow
@pytest.mark.parametrize("name", ["tiny", "mini"])
def test_reference_and_poses_matter_and_nothing_overflows(name):
    pipeline = random_pipeline(name, "bfloat16")
    latents = denoised(pipeline)
    side = pipeline.config.sample_size
    blank = denoised(pipeline, maps=torch.zeros(2, 3, side, side))
    assert (latents - denoised(pipeline, reference=-1.0)).std() > 0.1 * latents.std()
    assert (latents - blank).std() > 0.1 * latents.std()
    pictures = pipeline.decode(latents)
    assert latents.isfinite().all() and pictures.std() > 0.05


def test_unknown_names_are_one_line():
    with pytest.raises(ModelError, match="'huge': expected one of magicpose, mini, tiny"):
        random_pipeline("huge")
    with pytest.raises(ModelError, match="'int4': expected one of float32"):
        random_pipeline("tiny", "int4")
