"""Files of IP-Adapter's layout with random weights."""

from pathlib import Path

import torch
from safetensors.torch import save_file
from transformers import CLIPVisionConfig, CLIPVisionModelWithProjection

SIDE, SEEN, EMBEDDED = 32, 24, 12  # of the small image encoder
SMALL = {"width": 16, "hidden": 32, "tokens": 4, "heads": 1}
FULL = {"width": 768, "hidden": 768, "tokens": 16, "heads": 12}


def attention_state(unet, width):
    """Names as IP-Adapter numbers them: every other one of all attentions is a cross-attention."""
    state, names = {}, [n for n in unet.attn_processors if n.endswith("attn2.processor")]
    for number, name in enumerate(names):
        channels = unet.get_submodule(name.removesuffix(".processor")).to_k.out_features
        for leaf in ("to_k_ip", "to_v_ip"):
            key = f"ip_adapter.{2 * number + 1}.{leaf}.weight"
            state[key] = 0.3 * torch.randn(channels, width)
    return state


def plus_projection(seen, width, hidden, tokens, heads):
    """The resampler of the plus and plus-face adapters."""
    inner, shapes = 64 * heads, {}
    for at in range(4):
        layer = f"layers.{at}"
        for norm in (f"{layer}.0.norm1", f"{layer}.0.norm2", f"{layer}.1.0"):
            shapes |= {f"{norm}.weight": (hidden,), f"{norm}.bias": (hidden,)}
        shapes |= {
            f"{layer}.0.to_q.weight": (inner, hidden),
            f"{layer}.0.to_kv.weight": (2 * inner, hidden),
            f"{layer}.0.to_out.weight": (hidden, inner),
            f"{layer}.1.1.weight": (4 * hidden, hidden),
            f"{layer}.1.3.weight": (hidden, 4 * hidden),
        }
    shapes |= {
        "latents": (1, tokens, hidden),
        "proj_in.weight": (hidden, seen), "proj_in.bias": (hidden,),
        "proj_out.weight": (width, hidden), "proj_out.bias": (width,),
        "norm_out.weight": (width,), "norm_out.bias": (width,),
    }  # fmt: skip
    return {f"image_proj.{key}": 0.2 * torch.randn(shape) for key, shape in shapes.items()}


def plain_projection(embedded, width, tokens=4):
    """The one layer of the first adapter."""
    shapes = {
        "proj.weight": (tokens * width, embedded), "proj.bias": (tokens * width,),
        "norm.weight": (width,), "norm.bias": (width,),
    }  # fmt: skip
    return {f"image_proj.{key}": 0.3 * torch.randn(shape) for key, shape in shapes.items()}


def full_projection(seen, width):
    """The two layers of the full-face adapter, which keep all patches."""
    shapes = {
        "proj.0.weight": (seen, seen), "proj.0.bias": (seen,),
        "proj.2.weight": (width, seen), "proj.2.bias": (width,),
        "proj.3.weight": (width,), "proj.3.bias": (width,),
    }  # fmt: skip
    return {f"image_proj.{key}": 0.3 * torch.randn(shape) for key, shape in shapes.items()}


def save_encoder(folder: Path) -> Path:
    """A small CLIP vision model of random weights."""
    torch.manual_seed(2)
    config = CLIPVisionConfig(
        hidden_size=SEEN, intermediate_size=32, num_hidden_layers=2, num_attention_heads=2,
        image_size=SIDE, patch_size=8, projection_dim=EMBEDDED,
    )  # fmt: skip
    CLIPVisionModelWithProjection(config).save_pretrained(folder)
    return folder


def put(state, encoder, folder, name="ip-adapter-plus-face_sd15.safetensors"):
    folder.mkdir(exist_ok=True)
    if not (folder / "image_encoder").exists():
        (folder / "image_encoder").symlink_to(encoder)
    if name.endswith(".bin"):
        nested = {"image_proj": {}, "ip_adapter": {}}
        for key, tensor in state.items():
            group, _, rest = key.partition(".")
            nested[group][rest] = tensor
        torch.save(nested, folder / name)
    else:
        save_file(state, folder / name)
    return folder
