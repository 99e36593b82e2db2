"""LoRA's relatives: each is added as its definition says, written here in another way."""

import math

import pytest
import torch
from safetensors.torch import save_file
from torch.nn.functional import conv2d, linear

from magicpose_cli.diffusion.adapters.lora import fuse_lora
from magicpose_cli.diffusion.checkpoint.random_weights import random_pipeline
from magicpose_cli.errors import ModelError

LINEAR = "down_blocks.0.attentions.0.transformer_blocks.0.ff.net.0.proj"  # 32 -> 256
CONV = "down_blocks.0.resnets.0.conv1"  # 32 -> 32, 3x3
STEM = "conv_in"  # 4 -> 32, 3x3
NORM = "conv_norm_out"
RANK, ALPHA = 2, 3.0
SCALE = ALPHA / RANK


@pytest.fixture
def unet():
    return random_pipeline("tiny").unet


def drawn(*shape: int) -> torch.Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(math.prod(shape)))


def fused(unet, layer: str, folder, strength: float = 1.0, **parts):
    """What a file with these parts of a layer adds to (its weight, its bias)."""
    module = unet.get_submodule(layer)
    bias = torch.zeros(1) if module.bias is None else module.bias
    former = module.weight.clone(), bias.clone()
    key = f"lora_unet_{layer.replace('.', '_')}"
    tensors = {f"{key}.{name.replace('__', '.')}": tensor for name, tensor in parts.items()}
    save_file(tensors, folder / "any.safetensors")
    fuse_lora(unet, folder / "any.safetensors", strength)
    bias = torch.zeros(1) if module.bias is None else module.bias
    return module.weight - former[0], bias - former[1]


def sums(a: torch.Tensor, b: torch.Tensor) -> torch.Tensor:
    """a @ b, a rank at a time."""
    return sum(torch.outer(a[:, r], b[r]) for r in range(a.shape[1]))


def near(found: torch.Tensor, wanted: torch.Tensor) -> bool:
    return torch.allclose(found, wanted, atol=1e-5, rtol=1e-4)


def test_loha_of_a_linear_layer(unet, tmp_path):
    a, b, c, d = drawn(256, RANK), drawn(RANK, 32), drawn(256, RANK) + 1, drawn(RANK, 32) - 1
    parts = {"hada_w1_a": a, "hada_w1_b": b, "hada_w2_a": c, "hada_w2_b": d}
    alpha = torch.tensor(ALPHA)
    found, _ = fused(unet, LINEAR, tmp_path, 0.5, **parts, alpha=alpha)
    assert near(found, 0.5 * SCALE * sums(a, b) * sums(c, d))


def through(unet_input: torch.Tensor, down, core, up) -> torch.Tensor:
    """Three convolutions one after the other."""
    inner = conv2d(unet_input, down[..., None, None])
    return conv2d(conv2d(inner, core, padding=1), up[..., None, None])


@pytest.mark.parametrize("kind", ["LoCon", "LoHa", "LoKr"])
def test_cores_are_convolutions_in_between(kind, unet, tmp_path):
    x, alpha = drawn(1, 32, 6, 6), torch.tensor(ALPHA)
    down, core, up = drawn(RANK, 32), drawn(RANK, RANK, 3, 3), drawn(32, RANK)
    if kind == "LoCon":
        parts = {"lora_down__weight": down[..., None, None], "lora_up__weight": up[..., None, None]}
        found, _ = fused(unet, CONV, tmp_path, **parts, lora_mid__weight=core, alpha=alpha)
        wanted = SCALE * through(x, down, core, up)
        assert near(conv2d(x, found, padding=1), wanted)
    elif kind == "LoHa":  # the second product is 1 everywhere
        one = {"hada_t2": torch.ones(1, 1, 3, 3).expand(RANK, RANK, 3, 3) / RANK**2}
        one |= {"hada_w2_a": torch.ones(RANK, 32), "hada_w2_b": torch.ones(RANK, 32) * 1.0}
        parts = {"hada_w1_a": up.T.contiguous(), "hada_w1_b": down, "hada_t1": core}
        one["hada_t2"] = one["hada_t2"].contiguous()
        found, _ = fused(unet, CONV, tmp_path, **parts, **one, alpha=alpha)
        assert near(conv2d(x, found, padding=1), SCALE * through(x, down, core, up))
    else:  # a first factor of 1 leaves the second
        parts = {"lokr_w1": torch.ones(1, 1), "lokr_t2": core}
        parts |= {"lokr_w2_a": up.T.contiguous(), "lokr_w2_b": down}
        found, _ = fused(unet, CONV, tmp_path, **parts, alpha=alpha)
        assert near(conv2d(x, found, padding=1), SCALE * through(x, down, core, up))


@pytest.mark.parametrize("split", ["neither", "second", "both"])
@pytest.mark.parametrize("layer", [LINEAR, CONV])
def test_lokr(layer, split, unet, tmp_path):
    """Blocks of the second factor, each times a number of the first; whole ones have no scale."""
    shape = unet.get_submodule(layer).weight.shape
    kernel = shape[2:]
    one, two = drawn(4, 8), drawn(shape[0] // 4, shape[1] // 8, *kernel)
    parts = {"lokr_w1": one, "lokr_w2": two}
    if split != "neither":
        a, b = drawn(shape[0] // 4, RANK), drawn(RANK, two[0].numel())
        two = sums(a, b).view(two.shape)
        parts = {"lokr_w1": one, "lokr_w2_a": a, "lokr_w2_b": b}
    if split == "both":
        c, d = drawn(4, RANK), drawn(RANK, 8)
        one = sums(c, d)
        parts = {"lokr_w1_a": c, "lokr_w1_b": d, "lokr_w2_a": a, "lokr_w2_b": b}
    found, _ = fused(unet, layer, tmp_path, **parts, alpha=torch.tensor(ALPHA))
    rows = [torch.cat([one[i, j] * two for j in range(8)], dim=1) for i in range(4)]
    assert near(found, (1.0 if split == "neither" else SCALE) * torch.cat(rows))


@pytest.mark.parametrize("by_input", [True, False])
def test_ia3(by_input, unet, tmp_path):
    weight = unet.get_submodule(LINEAR).weight.clone()
    factor, x = drawn(1, 32) if by_input else drawn(256, 1), drawn(3, 32)
    parts = {"weight": factor, "on_input": torch.tensor(by_input)}
    fused(unet, LINEAR, tmp_path, 0.5, **parts)
    found, plain = linear(x, unet.get_submodule(LINEAR).weight), linear(x, weight)
    grown = 1 + 0.5 * factor.flatten()
    assert near(found, linear(x * grown, weight) if by_input else plain * grown)


def test_differences_are_added(unet, tmp_path):
    whole, bias = drawn(32, 4, 3, 3), drawn(32)
    found = fused(unet, STEM, tmp_path, 0.5, diff=whole, diff_b=bias, alpha=torch.tensor(9.0))
    assert near(found[0], 0.5 * whole) and near(found[1], 0.5 * bias)
    found = fused(unet, NORM, tmp_path, w_norm=drawn(32), b_norm=drawn(32) + 1)
    assert near(found[0], drawn(32)) and near(found[1], drawn(32) + 1)
    found = fused(unet, STEM, tmp_path, diff_b=bias)
    assert not found[0].any() and near(found[1], bias)


@pytest.mark.parametrize("lengths_of", ["rows", "columns"])
def test_dora(lengths_of, unet, tmp_path):
    """The weight's rows, or columns, are as long as the file says; half of it is half the way."""
    layer = unet.get_submodule(LINEAR)
    former, down, up = layer.weight.clone(), drawn(RANK, 32), drawn(256, RANK)
    lengths = drawn(256, 1).abs() if lengths_of == "rows" else drawn(1, 32).abs()
    parts = {"lora_down__weight": down, "lora_up__weight": up, "dora_scale": lengths}
    alpha = torch.tensor(ALPHA)
    whole, _ = fused(unet, LINEAR, tmp_path, **parts, alpha=alpha)
    axis = 1 if lengths_of == "rows" else 0
    assert near(layer.weight.norm(dim=axis), lengths.flatten())
    direction = former + SCALE * sums(up, down)
    turned = torch.nn.functional.cosine_similarity(layer.weight, direction, dim=axis)
    assert near(turned, torch.ones_like(turned))
    layer.weight.data.copy_(former)
    half, _ = fused(unet, LINEAR, tmp_path, 0.5, **parts, alpha=alpha)
    assert near(half, 0.5 * whole)


def test_what_is_not_served_is_named(unet, tmp_path):
    for parts, said in (
        ({"a1__weight": drawn(2, 32), "b1__weight": drawn(2, 32)}, "GLoRA"),
        ({"oft_blocks": drawn(4, 8, 8)}, "OFT or BOFT"),
        ({"set_weight": drawn(256, 32)}, "replaced weights"),
        ({"lora_up__weight": drawn(256, 2)}, "up alone"),
        ({"lokr_w1": drawn(4, 8)}, "LoKr without lokr_w2"),
        ({"lokr_w1": drawn(4, 8), "lokr_w2": drawn(8, 8)}, "factors of 32 and 64 numbers"),
        ({"diff": drawn(32, 256)}, "it is for 256 to 32 values, where the model has 32 to 256"),
        ({"diff": drawn(256, 32) / 0}, "not finite"),
        ({"diff": torch.ones(256, 32, dtype=torch.int32)}, r"torch\.int32 for diff"),
    ):
        with pytest.raises(ModelError, match=said):
            fused(unet, LINEAR, tmp_path, **parts)
