"""LoRA files as they are found, added to the denoiser's weights; what does not fit is one line."""

import json
import re

import pytest
import torch
from safetensors.torch import save_file

from magicpose_cli.diffusion.lora import fuse_lora
from magicpose_cli.diffusion.options import apply_model_settings
from magicpose_cli.diffusion.random_weights import random_pipeline
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
    assert fuse_lora(unet, tmp_path / "few.safetensors") == (kind == "kohya")  # what text it held
    for key, weight in unet.state_dict().items():
        assert torch.allclose(weight, wanted[key], atol=1e-6), key
    assert not torch.equal(former[f"{LAYERS[0]}.weight"], unet.get_parameter(f"{LAYERS[0]}.weight"))


def test_what_is_left_out_is_told(tmp_path):
    pipeline = random_pipeline("tiny")
    tensors, _ = in_naming("kohya", pipeline.unet)
    save_file(tensors, tmp_path / "few.safetensors")
    given = {"lora": [f"{tmp_path / 'few.safetensors'}:0.5"], "device": "cpu", "size": (64, 64)}
    assert apply_model_settings(pipeline, **given) == [
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
    if kind == "pickle":
        torch.save(tensors, file.with_suffix(".pt"))
        return r"few\.safetensors: no such file; expected a \.safetensors file"
    if kind == "garbage":
        file.write_bytes(b"garbage" * 99)
        return "cannot be read"
    if kind == "other network":
        tensors = {f"transformer.{key}": weight for key, weight in tensors.items()}
    elif kind == "empty":
        tensors = {}
    elif kind == "more than a LoRA":
        tensors["lora_unet_conv_in.dora_scale"] = torch.ones(1)
    elif kind == "other width":
        key = f"lora_unet_{LAYERS[1].replace('.', '_')}.lora_down.weight"
        tensors[key] = torch.ones(RANK, 320)
    save_file(tensors, file)
    return {
        "other network": r"fits no layer of the denoiser \(its first keys are: transformer\.lora",
        "empty": "fits no layer of the denoiser .*none at all",
        "more than a LoRA": r"1 of its tensors fit nothing in the denoiser \(lora_unet_conv_in",
        "other width": r"is for 320 to 32 values in down_blocks\.0\S+to_q, where the model has 32",
    }[kind]


@pytest.mark.parametrize(
    "kind", ["pickle", "garbage", "other network", "empty", "more than a LoRA", "other width"]
)
def test_what_does_not_fit_is_one_line_and_changes_nothing(kind, unet, tmp_path):
    file = tmp_path / "few.safetensors"
    former = {key: weight.clone() for key, weight in unet.state_dict().items()}
    message = harmed(kind, unet, file)
    with pytest.raises(ModelError, match=message) as error:
        fuse_lora(unet, file)
    assert "\n" not in str(error.value) and str(file) in str(error.value)
    assert all(torch.equal(former[key], weight) for key, weight in unet.state_dict().items())
