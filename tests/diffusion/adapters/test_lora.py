"""LoRA files as they are found, added to the denoiser's weights; what does not fit is one line."""

import json
import re

import pytest
import torch
from safetensors.torch import save_file

from magicpose_cli.config.preset import ModelSettings
from magicpose_cli.diffusion.acceleration import apply_model_settings
from magicpose_cli.diffusion.adapters.lora import fuse_lora
from magicpose_cli.diffusion.checkpoint.random_weights import random_pipeline
from magicpose_cli.errors import ModelError

RANK, ALPHA = 4, 2.0
LAYERS = (
    "down_blocks.0.attentions.0.proj_in",  # a 1x1 convolution
    "down_blocks.0.attentions.0.transformer_blocks.0.attn1.to_q",
    "down_blocks.0.attentions.0.transformer_blocks.0.attn2.to_out.0",
    "up_blocks.1.attentions.1.transformer_blocks.0.ff.net.0.proj",
    "down_blocks.0.resnets.0.conv1",
    "time_embedding.linear_1",
)


@pytest.fixture
def unet():
    return random_pipeline("tiny").unet


def matrices(unet) -> dict[str, tuple[torch.Tensor, torch.Tensor]]:
    """(down, up) of each of LAYERS, shaped as trainers shape them."""
    generator = torch.Generator().manual_seed(2)
    made = {}
    for name in LAYERS:
        shape = unet.get_submodule(name).weight.shape
        down, up = (RANK, *shape[1:]), (shape[0], RANK, *[1] * (len(shape) - 2))
        made[name] = (
            torch.randn(down, generator=generator) * 0.1,
            torch.randn(up, generator=generator) * 0.1,
        )
    return made


def expected(unet, scale: float) -> dict[str, torch.Tensor]:
    """The weights after the addition, by the definition."""
    weights = {}
    for name, (down, up) in matrices(unet).items():
        former = unet.get_submodule(name).weight
        product = torch.einsum("or,ri->oi", up.flatten(1), down.flatten(1))
        weights[f"{name}.weight"] = former + scale * product.view_as(former)
    return weights


def in_naming(kind: str, unet) -> tuple[dict[str, torch.Tensor], dict[str, str]]:
    """A file's tensors and metadata in one of the namings."""
    tensors, metadata, layers = {}, {}, matrices(unet)
    for name, (down, up) in layers.items():
        if kind == "kohya":
            key = "lora_unet_" + name.replace(".", "_")
            tensors[f"{key}.lora_down.weight"], tensors[f"{key}.lora_up.weight"] = down, up
            tensors[f"{key}.alpha"] = torch.tensor(ALPHA)
            tensors["lora_te_text_model_encoder_layers_0_mlp_fc1.alpha"] = torch.tensor(ALPHA)
        elif kind == "diffusers":
            key = f"unet.{name}"
            tensors[f"{key}.lora_A.weight"], tensors[f"{key}.lora_B.weight"] = down, up
            alphas = {"unet.lora_alpha": 16, "unet.alpha_pattern": dict.fromkeys(layers, ALPHA)}
            metadata["lora_adapter_metadata"] = json.dumps(alphas)
        elif kind == "processors":
            key, stop = f"unet.{name}", ".lora"
            if "attn" in name:
                key = re.sub(r"(attn\d)", r"\1.processor", key).removesuffix(".0")
                stop = "_lora"
            tensors[f"{key}{stop}.down.weight"], tensors[f"{key}{stop}.up.weight"] = down, up
    return tensors, metadata


@pytest.mark.parametrize(
    ("kind", "scale"), [("kohya", ALPHA / RANK), ("diffusers", ALPHA / RANK), ("processors", 1.0)]
)
def test_every_naming_adds_the_same(kind, scale, unet, tmp_path):
    tensors, metadata = in_naming(kind, unet)
    save_file(tensors, tmp_path / "few.safetensors", metadata)
    former = {key: weight.clone() for key, weight in unet.state_dict().items()}
    wanted = former | expected(unet, scale)
    told = fuse_lora(unet, tmp_path / "few.safetensors").notes
    assert len(told) == (kind == "kohya")  # what text it held
    for key, weight in unet.state_dict().items():
        assert torch.allclose(weight, wanted[key], atol=1e-6), key
    assert not torch.equal(former[f"{LAYERS[0]}.weight"], unet.get_parameter(f"{LAYERS[0]}.weight"))


def test_what_is_left_out_is_told(tmp_path):
    pipeline = random_pipeline("tiny")
    tensors, _ = in_naming("kohya", pipeline.unet)
    save_file(tensors, tmp_path / "few.safetensors")
    settings = ModelSettings(lora=[f"{tmp_path / 'few.safetensors'}:0.5"])
    assert apply_model_settings(pipeline, settings, device="cpu", size=(64, 64)) == [
        "LoRA few.safetensors: what it holds for the text encoder is left out"
    ]


def test_peft_says_the_same(unet, tmp_path):
    """What diffusers makes of the same file beside the weights, for its output."""
    pytest.importorskip("peft")
    from diffusers import UNet2DConditionModel
    from diffusers.loaders import StableDiffusionLoraLoaderMixin

    tensors, _ = in_naming("kohya", unet)
    tensors = {key: tensor for key, tensor in tensors.items() if key.startswith("lora_unet")}
    save_file(tensors, tmp_path / "few.safetensors")
    state, alphas = StableDiffusionLoraLoaderMixin.lora_state_dict(dict(tensors))
    theirs = UNet2DConditionModel.from_config(unet.config).eval()
    theirs.load_state_dict(unet.state_dict())
    theirs.load_lora_adapter(state, prefix="unet", network_alphas=alphas)
    fuse_lora(unet, tmp_path / "few.safetensors")
    inputs = (torch.randn(1, 4, 8, 8), 500, torch.randn(1, 3, 16))
    with torch.no_grad():
        assert torch.allclose(unet(*inputs).sample, theirs(*inputs).sample, atol=1e-5)


def test_half_precision_keeps_the_dtype_and_adds_in_float32(tmp_path):
    unet = random_pipeline("tiny", "float16").unet
    tensors, _ = in_naming("kohya", unet)
    save_file({key: t.half() for key, t in tensors.items()}, tmp_path / "few.safetensors")
    wanted = {key: weight.half() for key, weight in expected(unet.float(), ALPHA / RANK).items()}
    unet.half()
    fuse_lora(unet, tmp_path / "few.safetensors")
    for key, weight in wanted.items():
        assert torch.allclose(unet.get_parameter(key), weight, rtol=2e-3, atol=2e-3), key


def harmed(kind: str, unet, file) -> str:
    """Write a file that must be refused; returns what its error must say."""
    tensors, _ = in_naming("kohya", unet)
    layer = f"lora_unet_{LAYERS[1].replace('.', '_')}"
    if kind == "garbage":
        file.write_bytes(b"garbage" * 99)
        return "cannot be read"
    if kind == "other network":
        tensors = {f"transformer.{key}": weight for key, weight in tensors.items()}
    elif kind == "empty":
        tensors = {}
    elif kind == "half a LoRA":
        tensors["lora_unet_conv_in.lora_up.weight"] = torch.ones(4, 4)
    elif kind == "other width":
        tensors[f"{layer}.lora_down.weight"] = torch.ones(RANK, 320)
    elif kind == "transposed":
        tensors = {f"{layer}.diff": torch.ones(16, 64)}
    elif kind == "not finite":
        tensors[f"{layer}.lora_up.weight"] = torch.full((32, RANK), torch.inf)
    elif kind == "text alone":
        tensors = {key: weight for key, weight in tensors.items() if "_te_" in key}
    elif kind == "GLoRA":
        tensors[f"{layer}.a1.weight"] = torch.ones(4, 4)
    elif kind == "whole checkpoint":
        tensors = {"model.diffusion_model.input_blocks.0.0.weight": torch.ones(2)}
    elif kind == "autoencoder":
        tensors = {"decoder.up.0.block.0.norm1.weight": torch.ones(2)}
    elif kind == "XL":
        tensors["lora_te2_text_model_encoder_layers_0_mlp_fc1.alpha"] = torch.tensor(1.0)
    elif kind == "XL by width":
        tensors = {
            f"lora_unet_{LAYERS[1].replace('attn1.to_q', 'attn2.to_k').replace('.', '_')}{end}": t
            for end, t in (
                (".lora_down.weight", torch.ones(RANK, 2048)),
                (".lora_up.weight", torch.ones(32, RANK)),
            )
        }
    elif kind == "mostly foreign":
        tensors = {f"lora_unet_{i}.lora_up.weight": torch.ones(2, 2) for i in range(9)} | tensors
    save_file(tensors, file)
    return {
        "other network": "is for a diffusion transformer",
        "empty": "fits no layer of the denoiser .*none at all",
        "half a LoRA": r"holds for conv_in cannot be added \(up alone",
        "other width": r"to_q cannot be added \(it is for 320 to 32 values, where the model has 32",
        "transposed": r"to_q cannot be added \(it is for 64 to 16 values",
        "not finite": r"up holds numbers that are not finite",
        "text alone": "is for the text encoder alone",
        "GLoRA": r"to_q cannot be added \(GLoRA, which is not applied here",
        "whole checkpoint": r"is a whole checkpoint or a denoiser \(--base\)",
        "autoencoder": r"is an autoencoder \(--vae\)",
        "XL": "is for Stable Diffusion XL",
        "XL by width": "is for Stable Diffusion XL",
        "mostly foreign": "9 of its 15 layers are none of the denoiser's",
    }[kind]


@pytest.mark.parametrize(
    "kind",
    ["garbage", "other network", "empty", "half a LoRA", "other width", "transposed", "not finite",
     "text alone", "GLoRA", "whole checkpoint", "autoencoder", "XL", "XL by width",
     "mostly foreign"],
)  # fmt: skip
def test_what_does_not_fit_is_one_line_and_changes_nothing(kind, unet, tmp_path):
    file = tmp_path / "few.safetensors"
    former = {key: weight.clone() for key, weight in unet.state_dict().items()}
    message = harmed(kind, unet, file)
    with pytest.raises(ModelError, match=message) as error:
        fuse_lora(unet, file)
    assert "\n" not in str(error.value) and str(file) in str(error.value)
    assert all(torch.equal(former[key], weight) for key, weight in unet.state_dict().items())


def product(unet, kind="kohya", scale=ALPHA / RANK):
    """(a sound file's tensors, the weights that it must make)."""
    former = {key: weight.clone() for key, weight in unet.state_dict().items()}
    return in_naming(kind, unet)[0], former | expected(unet, scale)


def same(unet, wanted) -> bool:
    return all(torch.allclose(w, wanted[k], atol=1e-5) for k, w in unet.state_dict().items())


@pytest.mark.parametrize("name", ["ink.pt", "ink.bin", "ink.CKPT", "ink.SAFETENSORS", "renamed.pt"])
def test_every_ending_is_read(name, unet, tmp_path):
    tensors, wanted = product(unet)
    if "SAFETENSORS" in name or "renamed" in name:
        save_file(tensors, tmp_path / name)
    else:
        torch.save({"state_dict": tensors} if "CKPT" in name else tensors, tmp_path / name)
    fuse_lora(unet, tmp_path / name)
    assert same(unet, wanted)


def test_a_folder_with_one_file(unet, tmp_path):
    with pytest.raises(ModelError, match="a folder that holds none"):
        fuse_lora(unet, tmp_path)
    with pytest.raises(ModelError, match=r"ink\.zip: no such file"):
        fuse_lora(unet, tmp_path / "ink.zip")
    (tmp_path / "ink.zip").touch()
    with pytest.raises(ModelError, match=r"\.zip is not read; expected \.safetensors, \.pt"):
        fuse_lora(unet, tmp_path / "ink.zip")
    tensors, wanted = product(unet)
    save_file(tensors, tmp_path / "one.safetensors")
    save_file(tensors, tmp_path / "two.safetensors")
    with pytest.raises(ModelError, match=r"holds 2: one\.safetensors, two\.safetensors"):
        fuse_lora(unet, tmp_path)
    (tmp_path / "two.safetensors").unlink()
    fuse_lora(unet, tmp_path)
    assert same(unet, wanted)


PEFT = {"peft_type": "LORA", "r": RANK, "lora_alpha": ALPHA}


@pytest.mark.parametrize(
    ("config", "scale"),
    [
        (PEFT, ALPHA / RANK),
        (PEFT | {"use_rslora": True}, ALPHA / RANK**0.5),
        (PEFT | {"lora_alpha": 9, "alpha_pattern": dict.fromkeys(LAYERS, ALPHA)}, ALPHA / RANK),
    ],
)
@pytest.mark.parametrize("inside", ["", "unet"])
def test_a_folder_of_peft(config, scale, inside, unet, tmp_path):
    """Its scale stands in the configuration beside the weights."""
    wanted = product(unet, scale=scale)[1]
    folder = tmp_path / inside
    folder.mkdir(exist_ok=True)
    (folder / "adapter_config.json").write_text(json.dumps(config))
    save_file(
        {
            f"base_model.model.{name}.lora_{letter}.weight": tensor
            for name, pair in matrices(unet).items()
            for letter, tensor in zip("AB", pair, strict=True)
        },
        folder / "adapter_model.safetensors",
    )
    fuse_lora(unet, tmp_path)
    assert same(unet, wanted)
    (folder / "adapter_config.json").write_text(json.dumps(config | {"peft_type": "VERA"}))
    with pytest.raises(ModelError, match="is peft's VERA"):
        fuse_lora(unet, tmp_path)


def test_names_of_the_original_code(unet, tmp_path):
    wanted = product(unet)[1]
    names = (
        "input_blocks.1.1.proj_in",
        "input_blocks.1.1.transformer_blocks.0.attn1.to_q",
        "input_blocks.1.1.transformer_blocks.0.attn2.to_out.0",
        "output_blocks.3.1.transformer_blocks.0.ff.net.0.proj",
        "input_blocks.1.0.in_layers.2",
        "time_embed.0",
    )
    tensors = {}
    for name, (down, up) in zip(names, matrices(unet).values(), strict=True):
        tensors[f"diffusion_model.{name}.lora_down.weight"] = down
        tensors[f"diffusion_model.{name}.lora_up.weight"] = up
        tensors[f"diffusion_model.{name}.alpha"] = torch.tensor(ALPHA)
    save_file(tensors, tmp_path / "comfy.safetensors")
    assert not fuse_lora(unet, tmp_path / "comfy.safetensors").notes
    assert same(unet, wanted)


def test_a_foreign_layer_and_bundled_words_are_told(unet, tmp_path):
    tensors, wanted = product(unet)
    tensors["lora_unet_some_layer.lora_up.weight"] = torch.ones(2, 2)
    tensors["bundle_emb.ink.string_to_param.*"] = torch.ones(2, 16)
    save_file(tensors, tmp_path / "few.safetensors")
    fused = fuse_lora(unet, tmp_path / "few.safetensors")
    assert same(unet, wanted)
    assert fused.words["ink"].shape == (2, 16)
    assert fused.notes[1:] == [
        "LoRA few.safetensors: 1 of its layers are none of the denoiser's and are left out "
        "(lora_unet_some_layer)"
    ]
    settings = ModelSettings(lora=[str(tmp_path / "few.safetensors")])
    told = apply_model_settings(random_pipeline("tiny"), settings, device="cpu", size=(64, 64))
    assert any(
        "word 'ink' is left out: LoRA few.safetensors: this model has no text" in t for t in told
    )


def test_a_scale_that_half_precision_cannot_hold(tmp_path):
    unet = random_pipeline("tiny", "float16").unet
    save_file(in_naming("kohya", unet)[0], tmp_path / "few.safetensors")
    with pytest.raises(
        ModelError, match=r"at 1e\+08 of it, weights are larger than torch\.float16"
    ):
        fuse_lora(unet, tmp_path / "few.safetensors", 1e8)


def test_one_layer_by_two_names_is_refused(unet, tmp_path):
    tensors, _ = in_naming("kohya", unet)
    tensors |= in_naming("diffusers", unet)[0]
    save_file(tensors, tmp_path / "few.safetensors")
    with pytest.raises(ModelError, match="twice, by two names"):
        fuse_lora(unet, tmp_path / "few.safetensors")


def test_a_list_without_names(unet, tmp_path):
    torch.save([torch.ones(4, 16), torch.ones(16, 4)], tmp_path / "few.pt")
    with pytest.raises(ModelError, match="list of matrices without names"):
        fuse_lora(unet, tmp_path / "few.pt")
