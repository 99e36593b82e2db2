"""Autoencoders in the forms in which people have them: each decodes as diffusers' own loading."""

import pytest
import torch
from diffusers import AutoencoderKL, AutoencoderTiny
from safetensors.torch import save_file

from magicpose_cli.diffusion.adapters.decoder import load_autoencoder
from magicpose_cli.diffusion.checkpoint import layout
from magicpose_cli.diffusion.checkpoint.loading import load_pipeline
from magicpose_cli.errors import ModelError

FORMER = {new: old for old, new in layout.FORMER_VAE_ATTENTION.items()}


@pytest.fixture(scope="module")
def kl() -> AutoencoderKL:
    torch.manual_seed(0)
    return AutoencoderKL(
        block_out_channels=(32, 32, 32, 64), layers_per_block=2, latent_channels=4,
        down_block_types=("DownEncoderBlock2D",) * 4, up_block_types=("UpDecoderBlock2D",) * 4,
    ).eval()  # fmt: skip


@pytest.fixture(scope="module")
def taesd() -> AutoencoderTiny:
    torch.manual_seed(0)
    return AutoencoderTiny().eval()


def originals(vae) -> dict[str, torch.Tensor]:
    """By the names of the original code, in which attention is made of 1x1 convolutions."""
    modules = {new: old for old, new in layout.vae_modules(vae.config).items()}
    state = {layout.renamed(key, modules): weight for key, weight in vae.state_dict().items()}
    assert None not in state
    return {
        key: t[..., None, None] if ".attn_1." in key and t.ndim == 2 else t
        for key, t in state.items()
    }


def of_2022(vae) -> dict[str, torch.Tensor]:
    """By diffusers' first names of the attention."""
    names = {}
    for key, tensor in vae.state_dict().items():
        stem, dot, rest = key.partition(".attentions.0.")
        names[f"{stem}{dot}{layout.renamed(rest, FORMER) or rest}"] = tensor
    return names


def numbered(half, vae) -> dict[str, torch.Tensor]:
    """TAESD's own names: the decoder's begin after a clamp."""
    found = {}
    for key, tensor in getattr(vae, half).state_dict().items():
        _, number, rest = key.split(".", 2)
        found[f"{int(number) + (half == 'decoder')}.{rest}"] = tensor
    return found


def place(kind: str, kl, taesd, folder):
    """One form of an autoencoder."""
    if kind in ("folder", "folder of 2022", "folder with a pickle", "folder in half precision"):
        kl.save_pretrained(folder, variant="fp16" if "half" in kind else None)
        file = folder / "diffusion_pytorch_model.safetensors"
        if kind == "folder of 2022":
            save_file(of_2022(kl), file)
        elif kind == "folder with a pickle":
            file.unlink()
            torch.save(kl.state_dict(), file.with_suffix(".bin"))
        return folder
    if kind.startswith("taesd"):
        halves = {half: numbered(half, taesd) for half in ("encoder", "decoder")}
        if kind == "taesd of diffusers":
            save_file(taesd.state_dict(), folder / "taesd.safetensors")
            return folder / "taesd.safetensors"
        if kind == "taesd in one file":
            state = {f"{half}.{k}": t for half, own in halves.items() for k, t in own.items()}
            torch.save(state, folder / "taesd.pth")
            return folder / "taesd.pth"
        torch.save(halves["decoder"], folder / "taesd_decoder.pth")
        return folder / "taesd_decoder.pth"
    state = of_2022(kl) if "2022" in kind else originals(kl)
    state = kl.state_dict() if "of diffusers" in kind else state
    if "in a checkpoint" in kind:
        state = {f"first_stage_model.{key}": tensor for key, tensor in state.items()}
        state["model.diffusion_model.input_blocks.0.0.weight"] = torch.zeros(2)
    file = folder / ("ft-mse.vae.pt" if "pickle" in kind else "ft-mse.safetensors")
    if "pickle" in kind:
        torch.save({"state_dict": {**state, "loss.logvar": torch.zeros(())}, "epoch": 1}, file)
    else:
        save_file({key: tensor.contiguous() for key, tensor in state.items()}, file)
    return file


@pytest.mark.parametrize(
    "kind",
    ["folder", "folder of 2022", "folder with a pickle", "folder in half precision", "file",
     "file, pickle", "file in a checkpoint", "file of diffusers", "file of diffusers of 2022",
     "taesd of diffusers", "taesd in one file", "taesd decoder alone"],
)  # fmt: skip
def test_every_form_decodes_the_same(kind, kl, taesd, tmp_path):
    wanted = taesd if "taesd" in kind else kl
    found = load_autoencoder(place(kind, kl, taesd, tmp_path), torch.float32, 4, 8)
    latents = torch.randn(1, 4, 4, 4, generator=torch.Generator().manual_seed(3))
    with torch.no_grad():
        pictures = [vae.decode(latents).sample for vae in (found, wanted)]
        assert torch.allclose(*pictures, atol=1e-6)
        if kind != "taesd decoder alone":
            read = [vae.encode(pictures[0])[0] for vae in (found, wanted)]
            read = read if "taesd" in kind else [of.mean for of in read]
            assert torch.allclose(*read, atol=1e-6)
    assert found.config.scaling_factor == wanted.config.scaling_factor


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["folder of 2022", "file", "file, pickle"])
def test_stock_diffusers_says_the_same(kind, kl, taesd, tmp_path):
    """from_pretrained renames what 2022 wrote; from_single_file reads the original names."""
    where = place(kind, kl, taesd, tmp_path / "vae" if "folder" in kind else tmp_path)
    if where.is_dir():
        theirs = AutoencoderKL.from_pretrained(where)
    else:
        (tmp_path / "config").mkdir()
        kl.save_config(tmp_path / "config")
        theirs = AutoencoderKL.from_single_file(
            str(where), config=str(tmp_path / "config"), local_files_only=True
        )
    ours = load_autoencoder(where, torch.float32, 4, 8)
    for key, weight in theirs.state_dict().items():
        assert torch.equal(ours.state_dict()[key], weight), key


@pytest.mark.slow
def test_a_model_whose_own_autoencoder_is_of_2022(tiny_model, kl, tmp_path):
    from diffusers import DiffusionPipeline

    pipeline = load_pipeline(tiny_model)
    pipeline.register_modules(vae=kl)
    assert isinstance(pipeline, DiffusionPipeline)
    pipeline.save_pretrained(tmp_path / "model")
    save_file(of_2022(kl), tmp_path / "model" / "vae" / "diffusion_pytorch_model.safetensors")
    loaded = load_pipeline(tmp_path / "model").vae
    assert all(torch.equal(loaded.state_dict()[k], w) for k, w in kl.state_dict().items())


def test_what_is_none_is_named(kl, taesd, tmp_path):
    for tensors, said in (
        ({"lora_unet_conv_in.lora_up.weight": torch.ones(1)}, "is a LoRA or one of its relatives"),
        ({"model.diffusion_model.x": torch.ones(1)}, r"is a whole checkpoint or a denoiser"),
        (numbered("encoder", taesd), "is an encoder alone"),
        ({"decoder.conv_in.weight": torch.ones(4)}, "lacks 'decoder.conv_out.weight'; expected an"),
        (
            {"decoder.mid.x": torch.ones(4)},
            r"any\.safetensors: first_stage_model\.encoder\S+ are \[\]",
        ),
        ({"x": torch.ones(4)}, "is something else"),
    ):
        save_file(tensors, tmp_path / "any.safetensors")
        with pytest.raises(ModelError, match=said):
            load_autoencoder(tmp_path / "any.safetensors", torch.float32, 4, 8)
    file = place("taesd decoder alone", kl, taesd, tmp_path)
    with pytest.raises(ModelError, match=r"lacks \d+ of the autoencoder's"):
        load_autoencoder(file, torch.float32, 4, 8, decoder_alone=False)
    with pytest.raises(ModelError, match="is by its name for Stable Diffusion XL"):
        load_autoencoder(tmp_path / "sdxl_vae.safetensors", torch.float32, 4, 8)
