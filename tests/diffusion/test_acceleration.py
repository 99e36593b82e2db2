"""Settings of speed and memory, brought to a pipeline."""

import io
import shutil
import sys

import numpy as np
import pytest
import torch
from diffusers import AutoencoderKL, AutoencoderTiny
from safetensors.torch import load_file, save_file

from magicpose_cli.config.preset import ModelSettings, load_preset
from magicpose_cli.diffusion.acceleration import apply_model_settings, loading_device, offload_parts
from magicpose_cli.diffusion.adapters.decoder import BorrowedDecoder
from magicpose_cli.diffusion.checkpoint.random_weights import TINY_VAE, random_pipeline
from magicpose_cli.errors import ConfigError, ModelError
from magicpose_cli.rendering.local import Renderer

TILE = 512
LOWVRAM_CAP = 7 * 2**30  # bytes: of 8 GB, what CUDA itself, its libraries and a desktop leave


@pytest.fixture
def pipeline():
    return random_pipeline("tiny")


def tiny_vae(folder, **config):
    torch.manual_seed(1)
    vae = AutoencoderTiny(**(TINY_VAE | config)).eval()
    vae.save_pretrained(folder)
    return vae


def apply(pipeline, device="cpu", size=(64, 64), **settings) -> list[str]:
    return apply_model_settings(pipeline, ModelSettings(**settings), device=device, size=size)


def latents() -> torch.Tensor:
    return torch.randn(2, 4, 8, 8, generator=torch.Generator().manual_seed(3))


def test_nothing_asked_changes_no_number(pipeline):
    former = {key: weight.clone() for key, weight in pipeline.unet.state_dict().items()}
    decoded = pipeline.decode(latents())
    assert apply(pipeline) == []
    assert all(torch.equal(former[key], w) for key, w in pipeline.unet.state_dict().items())
    assert torch.allclose(pipeline.decode(latents()), decoded, atol=1e-6)  # in another layout
    assert pipeline.unet.conv_in.weight.is_contiguous(memory_format=torch.channels_last)
    assert not pipeline.vae.use_slicing and not pipeline.vae.use_tiling


def test_another_autoencoder_decodes_and_the_own_one_encodes(pipeline, tmp_path):
    other = tiny_vae(tmp_path)
    pipeline.vae.register_to_config(scaling_factor=4.0, shift_factor=0.5)
    other.register_to_config(scaling_factor=0.5, shift_factor=-0.25)
    other.save_config(tmp_path)
    picture = torch.rand(1, 3, 64, 64) * 2 - 1
    encoded = pipeline.encode_reference(picture)
    apply(pipeline, vae=str(tmp_path))
    assert isinstance(pipeline.vae, BorrowedDecoder)
    assert torch.allclose(pipeline.encode_reference(picture), encoded, atol=1e-5)
    with torch.no_grad():
        wanted = other.decode(latents() / 0.5 - 0.25).sample / 2 + 0.5
    assert torch.allclose(pipeline.decode(latents()), wanted.clamp(0, 1), atol=1e-5)


def test_a_borrowed_decoder_lives_in_a_pipeline(pipeline, tmp_path):
    """What diffusers does with parts: moving, casting, callbacks, whole calls."""
    tiny_vae(tmp_path)
    apply(pipeline, vae=str(tmp_path), slicing="on", size=(1024, 1024))
    assert pipeline.vae.other.use_slicing and pipeline.vae.own.use_tiling
    pipeline.to(torch.bfloat16).to("cpu")
    assert pipeline.vae.dtype == torch.bfloat16 and pipeline.device.type == "cpu"
    maps = torch.rand(2, 3, 64, 64)
    pictures = pipeline(maps[:1], maps, num_inference_steps=1, output_type="np").images
    assert pictures.shape == (2, 64, 64, 3)
    pipeline.enable_model_cpu_offload(device="cpu")  # to where it is: the hooks are the same
    assert pipeline.vae._hf_hook is not None and pipeline.decode(latents()).shape[0] == 2


def test_nothing_moves_between_frames(pipeline):
    offload_parts(pipeline, "model", "cpu")
    moving = {name for name, part in pipeline.components.items() if hasattr(part, "_hf_hook")}
    assert moving == {"unet", "appearance_unet"}


def test_a_model_without_autoencoder_takes_it_for_both_ways(pipeline, tmp_path):
    pipeline.register_modules(vae=None)
    tiny_vae(tmp_path)
    apply(pipeline, vae=str(tmp_path))
    assert type(pipeline.vae) is AutoencoderTiny
    assert pipeline.encode_reference(torch.zeros(1, 3, 64, 64)).shape == (1, 4, 8, 8)


def harm(kind: str, folder) -> str:
    """Break an autoencoder's folder; returns what its error must say."""
    file = folder / "diffusion_pytorch_model.safetensors"
    if kind == "channels":
        tiny_vae(folder, latent_channels=16)
        return (
            r"16 latent channels \(Stable Diffusion 3, FLUX\), 8 pixels wide; the model's latents"
        )
    if kind == "factor":
        AutoencoderKL(block_out_channels=(32,), norm_num_groups=8).save_pretrained(folder)
        return "4 latent channels, 1 pixels wide"
    if kind == "class":
        text = (folder / "config.json").read_text().replace("AutoencoderTiny", "AutoencoderDC")
        (folder / "config.json").write_text(text)
        return "is a AutoencoderDC; expected AutoencoderKL or AutoencoderTiny"
    if kind == "no folder":
        shutil.rmtree(folder)
        return "no such file"
    if kind == "no weights":
        file.unlink()
        return "a folder that holds none"
    if kind == "no configuration at all":
        (folder / "config.json").write_text("{")
    elif kind == "not finite":
        stored = load_file(file)
        stored["decoder.layers.0.weight"][0] = torch.inf
        save_file(stored, file)
        return "not finite"
    elif kind == "XL":
        text = (folder / "config.json").read_text()
        (folder / "config.json").write_text(
            text.replace('"scaling_factor": 1.0', '"scaling_factor": 0.13025')
        )
        return "is by its scale for Stable Diffusion XL"
    elif kind == "cut off":
        file.write_bytes(file.read_bytes()[:999])
        return "cannot be read"
    elif kind == "weights lacking":
        stored = load_file(file)
        del stored["encoder.layers.0.weight"]
        save_file(stored, file, {"format": "pt"})
        return r"lacks 1 of the autoencoder's \d+ weights \(encoder\.layers\.0\.weight"
    return "cannot be loaded"


@pytest.mark.parametrize(
    "kind",
    [
        *("channels", "factor", "class", "no folder", "no weights", "no configuration at all"),
        *("weights lacking", "cut off", "not finite", "XL"),
    ],
)
def test_an_autoencoder_that_does_not_fit_is_one_line(kind, pipeline, tmp_path):
    tiny_vae(tmp_path / "vae")
    message = harm(kind, tmp_path / "vae")
    with pytest.raises(ModelError, match=message) as error:
        apply(pipeline, vae=str(tmp_path / "vae"))
    assert "\n" not in str(error.value) and str(tmp_path) in str(error.value)


@pytest.mark.parametrize(
    ("settings", "slices", "tiles"),
    [
        ({"slicing": "auto"}, False, False),
        ({"slicing": "auto", "offload": "model"}, True, False),
        ({"slicing": "auto", "size": (768, 512)}, False, False),  # the CPU has room
        ({"slicing": "on"}, True, False),
        ({"slicing": "on", "size": (768, 512)}, True, True),
        ({"slicing": "off", "offload": "model", "size": (768, 512)}, False, False),
    ],
)
def test_slicing(pipeline, settings, slices, tiles):
    apply(pipeline, **settings)
    assert (pipeline.vae.use_slicing, pipeline.vae.use_tiling) == (slices, tiles)


def test_slices_change_nothing_and_tiles_little():
    pipeline = random_pipeline("tiny")
    large = torch.randn(2, 4, TILE // 8 + 8, 8, generator=torch.Generator().manual_seed(1))
    whole = pipeline.decode(large)
    apply(pipeline, slicing="on")
    assert torch.allclose(pipeline.decode(large), whole, atol=1e-5)
    apply(pipeline, slicing="on", size=(1024, 1024))
    tiled = pipeline.decode(large)
    assert not torch.allclose(tiled, whole, atol=1e-5)
    assert (tiled - whole).abs().mean() < 0.01


def test_offload_says_where_it_has_no_effect(pipeline):
    assert apply(pipeline, offload="model") == [
        "model.offload = model has no effect on cpu: it is for CUDA"
    ]
    assert loading_device("cpu", "model") == "cpu" == loading_device("cuda:1", "sequential")
    assert loading_device("cuda:1", "none") == "cuda:1" and loading_device("mps", "model") == "mps"


def test_quantizing_where_it_cannot_be_done(pipeline, monkeypatch):
    with pytest.raises(ConfigError, match="fp8 cannot be computed on cpu; expected a CUDA device"):
        apply(pipeline, quantize="fp8")
    with pytest.raises(ConfigError, match=r"int8 does not go with model\.offload = sequential"):
        apply(pipeline, quantize="int8", offload="sequential")
    for name in ("torchao", "torchao.quantization"):
        monkeypatch.setitem(sys.modules, name, None)
    with pytest.raises(ConfigError, match=r"pip install 'magicpose\[quant\]'"):
        apply(pipeline, quantize="int8")


def test_int8_is_smaller_and_close(capfd):
    pytest.importorskip("torchao")
    pipeline, exact = random_pipeline("mini"), random_pipeline("mini")
    apply(pipeline, quantize="int8")
    inputs = (torch.randn(1, 4, 16, 16), 500, torch.zeros(1, 77, 32))
    with torch.no_grad():
        ours, theirs = (p.unet(*inputs).sample for p in (pipeline, exact))
    assert 0 < (ours - theirs).norm() / theirs.norm() < 0.02
    assert weights_of(pipeline.unet) < 0.85 * weights_of(exact.unet)
    assert capfd.readouterr().err == ""


def weights_of(module: torch.nn.Module) -> int:
    """Bytes in a file: nothing else counts a tensor that is made of others."""
    file = io.BytesIO()
    torch.save(module.state_dict(), file)
    return file.tell()


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")
@pytest.mark.parametrize(("offload", "steps"), [("model", 50), ("sequential", 2)])
def test_the_released_size_fits_8_gb(offload, steps, record_property, capsys):
    """512x512 frames of the released model's shapes under lowvram, with the memory capped."""
    device = "cuda:0"
    total = torch.cuda.get_device_properties(device).total_memory
    preset = load_preset("lowvram").with_options(model__offload=offload, sampling__steps=steps)
    drawn = np.random.default_rng(0).integers(0, 256, (3, 512, 512, 3), np.uint8)
    torch.cuda.empty_cache()
    torch.cuda.set_per_process_memory_fraction(min(1.0, LOWVRAM_CAP / total), device)
    try:
        pipeline = random_pipeline("magicpose", "float16", device)
        apply(pipeline, device, (512, 512), offload=offload)
        torch.cuda.empty_cache()
        torch.cuda.reset_peak_memory_stats(device)
        frames = []
        for reference in drawn[:2]:  # the second finds the first one's networks on the device
            renderer = Renderer(pipeline, reference, preset)
            frames += [renderer.make(drawn[i : i + 1]) for i in (1, 2)]
        peak = torch.cuda.max_memory_allocated(device)
        reserved = torch.cuda.max_memory_reserved(device)
    finally:
        torch.cuda.set_per_process_memory_fraction(1.0, device)
    record_property("peak_bytes", peak)
    with capsys.disabled():
        sys.stdout.write(
            f"\n{offload}: peak {peak / 1e9:.2f} GB, reserved {reserved / 1e9:.2f} GB\n"
        )
    assert [frame.shape for frame in frames] == [(1, 512, 512, 3)] * 4
    assert np.std(frames) > 1 and len({frame.tobytes() for frame in frames}) == 4
    assert reserved <= LOWVRAM_CAP
