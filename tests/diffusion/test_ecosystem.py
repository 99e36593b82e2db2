"""What is saved here loads wherever diffusers is, and a model may come in several forms."""

import os
import subprocess
import sys

import diffusers
import numpy as np
import pytest
import torch
from safetensors.torch import save_file

from magicpose_cli.config.preset import Preset
from magicpose_cli.diffusion.checkpoint.loading import load_pipeline, model_hash, resolve_model
from magicpose_cli.diffusion.checkpoint.random_weights import random_pipeline
from magicpose_cli.diffusion.pipeline import MagicPosePipeline
from magicpose_cli.errors import ModelError
from magicpose_cli.progress import Progress
from magicpose_cli.rendering.local import load_model

ELSEWHERE = """
import sys
import torch
from diffusers import DiffusionPipeline

folder, code, out = sys.argv[1:]
pipe = DiffusionPipeline.from_pretrained(folder, custom_pipeline=code, trust_remote_code=True)
generator = torch.Generator().manual_seed(3)
picture = torch.rand(1, 3, 64, 64, generator=torch.Generator().manual_seed(1))
maps = torch.rand(2, 3, 64, 64, generator=torch.Generator().manual_seed(2))
frames = pipe(picture, maps, num_inference_steps=2, generator=generator, output_type="pt").images
torch.save(frames, out)
"""


@pytest.fixture(scope="module")
def saved(tmp_path_factory):
    folder = tmp_path_factory.mktemp("saved") / "model"
    random_pipeline("tiny").save_pretrained(folder)
    return folder


@pytest.mark.slow
def test_stock_diffusers_loads_it_with_this_pipeline_as_custom(saved, tmp_path):
    from magicpose_cli.diffusion import pipeline as code

    (tmp_path / "elsewhere.py").write_text(ELSEWHERE)
    run = subprocess.run(
        [sys.executable, "elsewhere.py", saved, code.__file__, "frames.pt"],
        cwd=tmp_path, capture_output=True, text=True, timeout=300, check=False,
        env={**os.environ, "HF_MODULES_CACHE": str(tmp_path / "modules")},
    )  # fmt: skip
    assert run.returncode == 0, run.stderr
    picture = torch.rand(1, 3, 64, 64, generator=torch.Generator().manual_seed(1))
    maps = torch.rand(2, 3, 64, 64, generator=torch.Generator().manual_seed(2))
    ours = MagicPosePipeline.from_pretrained(saved)(
        picture, maps, num_inference_steps=2, generator=torch.Generator().manual_seed(3),
        output_type="pt",
    ).images  # fmt: skip
    theirs = torch.load(tmp_path / "frames.pt", weights_only=True)
    assert torch.allclose(theirs, ours, atol=1e-5)


@pytest.mark.parametrize(
    ("part", "kind"),
    [
        ("unet", "UNet2DConditionModel"),
        ("appearance_unet", "UNet2DConditionModel"),
        ("pose_controlnet", "ControlNetModel"),
        ("vae", "AutoencoderTiny"),
        ("scheduler", "DDIMScheduler"),
    ],
)
def test_a_part_loads_alone(saved, part, kind):
    ours = getattr(load_pipeline(saved), part)
    alone = getattr(diffusers, kind).from_pretrained(saved, subfolder=part)
    configs = [{k: v for k, v in x.config.items() if k != "_name_or_path"} for x in (alone, ours)]
    assert configs[0] == configs[1]
    if hasattr(alone, "state_dict"):
        theirs = alone.state_dict()
        assert all(torch.equal(theirs[key], w) for key, w in ours.state_dict().items())


@pytest.mark.slow
@pytest.mark.parametrize("suffix", [".th", ".safetensors"])
def test_a_released_file_is_a_model(small_state, small_model, tmp_path, monkeypatch, suffix):
    monkeypatch.setenv("MAGICPOSE_HOME", str(tmp_path / "home"))
    file = tmp_path / f"model_state{suffix}"
    if suffix == ".th":
        torch.save(small_state, file)
    else:
        save_file(small_state, file)
    told: list[Progress] = []
    folder = resolve_model(str(file), told.append)
    assert model_hash(folder) == model_hash(small_model)
    assert told[0].stage == "convert" and told[-1].done == told[-1].total > 0
    told.clear()
    assert resolve_model(str(file), told.append) == folder and not told  # once is enough
    os.utime(file, ns=(1, 1))
    assert resolve_model(str(file)) != folder  # another file of that name


def test_a_file_that_is_none_leaves_nothing(tmp_path, monkeypatch):
    monkeypatch.setenv("MAGICPOSE_HOME", str(tmp_path / "home"))
    (tmp_path / "film.ckpt").write_bytes(b"no checkpoint at all")
    with pytest.raises(ModelError, match=r"film\.ckpt"):
        resolve_model(str(tmp_path / "film.ckpt"))
    assert not list((tmp_path / "home").rglob("*.*"))


def test_a_fetched_repository_is_a_model(saved, tmp_path, monkeypatch):
    monkeypatch.setenv("MAGICPOSE_HOME", str(tmp_path))
    with pytest.raises(ModelError, match="an-org/dancer"):
        resolve_model("an-org/dancer")
    (tmp_path / "models").mkdir()
    (tmp_path / "models" / "an-org--dancer").symlink_to(saved)
    assert resolve_model("an-org/dancer").resolve() == saved.resolve()


@pytest.mark.slow
def test_all_plug_ins_of_a_preset_reach_the_frames(saved, tmp_path):
    """Base, LoRAs and autoencoder by name in a preset are what a pipeline made by hand has."""
    base, vae = random_pipeline("tiny", seed=5), random_pipeline("tiny", seed=6).vae
    base.unet.save_pretrained(tmp_path / "base")
    vae.save_pretrained(tmp_path / "vae")
    for number, name in enumerate(("one", "two"), 1):
        generator = torch.Generator().manual_seed(number)
        tensors = {
            "lora_unet_mid_block_attentions_0_proj_in.lora_down.weight": (2, 64),
            "lora_unet_mid_block_attentions_0_proj_in.lora_up.weight": (64, 2),
        }
        save_file(
            {key: torch.randn(shape, generator=generator) for key, shape in tensors.items()},
            tmp_path / f"{name}.safetensors",
        )
    preset = Preset().with_options(
        model__name=str(saved), model__device="cpu", model__base=str(tmp_path / "base"),
        model__vae=str(tmp_path / "vae"),
        model__lora=[f"{tmp_path}/one.safetensors:0.5", f"{tmp_path}/two.safetensors"],
    )  # fmt: skip
    loaded = load_model(preset)
    layer = "mid_block.attentions.0.proj_in.weight"
    one, two = (_product(tmp_path / f"{name}.safetensors") for name in ("one", "two"))
    wanted = base.unet.get_parameter(layer) + (0.5 * one + two).reshape(
        base.unet.get_parameter(layer).shape
    )
    assert torch.allclose(loaded.unet.get_parameter(layer), wanted, atol=1e-5)
    for key, weight in base.unet.state_dict().items():
        if key != layer:
            assert torch.equal(loaded.unet.state_dict()[key], weight)
    latents = torch.randn(1, 4, 8, 8, generator=torch.Generator().manual_seed(0))
    pictures = vae.decode(latents).sample / 2 + 0.5
    assert np.allclose(loaded.decode(latents), pictures.clamp(0, 1).detach(), atol=1e-4)


def _product(file):
    from safetensors.torch import load_file

    tensors = load_file(file)
    (up,) = (t for key, t in tensors.items() if "lora_up" in key)
    (down,) = (t for key, t in tensors.items() if "lora_down" in key)
    return up @ down
