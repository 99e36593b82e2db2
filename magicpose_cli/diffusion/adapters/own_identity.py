"""The identity adapter of a model's own: made anew for a training, and kept in the model's folder.

The folder has the layout of a released IP-Adapter with its image encoder beside it, so that it is
read as any other is.
"""

from __future__ import annotations

from pathlib import Path

import torch
from diffusers import UNet2DConditionModel
from safetensors.torch import save_file
from torch import nn
from transformers import CLIPVisionConfig, CLIPVisionModelWithProjection

from magicpose_cli.diffusion.adapters.identity import (
    ENCODER_FOLDER,
    IdentityAdapter,
    cross_attentions,
    plan_identity,
)
from magicpose_cli.diffusion.checkpoint.loading import quiet
from magicpose_cli.errors import ModelError

_FILE = "ip-adapter_sd15.safetensors"
_PATCH_PX = 8
_WIDTH, _LAYERS, _HEADS = 128, 3, 4  # of the small image encoder; its last layer is not read
_RENAMED = {"ff.net.0.proj": "proj.0", "ff.net.2": "proj.2", "norm": "proj.3"}
"""Modules of diffusers' projection that keeps all patches, and what IP-Adapter calls them."""


def new_identity_adapter(unet: UNet2DConditionModel, picture_size: int) -> IdentityAdapter:
    """Make a small adapter of a denoiser's shape that changes nothing yet.

    Each patch of the face becomes a token. Keys begin as random, values as zero.

    Args:
        unet: The denoiser.
        picture_size: Side in pixels of the faces that it reads, a multiple of 8.
    """
    width = int(unet.config["cross_attention_dim"])
    attention = {}
    for number, attn in enumerate(cross_attentions(unet).values()):
        key = nn.Linear(width, attn.to_k.out_features, bias=False).weight
        attention[f"ip_adapter.{2 * number + 1}.to_k_ip.weight"] = key.detach()
        attention[f"ip_adapter.{2 * number + 1}.to_v_ip.weight"] = torch.zeros_like(key)
    inner, outer = nn.Linear(_WIDTH, _WIDTH), nn.Linear(_WIDTH, width)
    layers = {"proj.0": inner, "proj.2": outer, "proj.3": nn.LayerNorm(width)}
    projection = {
        f"image_proj.{name}.{leaf}": tensor
        for name, layer in layers.items()
        for leaf, tensor in layer.state_dict().items()
    }
    encoder = CLIPVisionModelWithProjection(
        CLIPVisionConfig(
            hidden_size=_WIDTH, intermediate_size=2 * _WIDTH, projection_dim=_WIDTH,
            num_hidden_layers=_LAYERS, num_attention_heads=_HEADS,
            image_size=picture_size, patch_size=_PATCH_PX,
        )
    )  # fmt: skip
    plan = plan_identity(projection | attention, unet, "a new identity adapter")
    return IdentityAdapter(unet, plan, encoder, scale=1.0)


def check_writable(adapter: IdentityAdapter) -> None:
    """Raise ModelError for an adapter of another projection than that of new ones."""
    modules = {name.rpartition(".")[0] for name in adapter.projection.state_dict()}
    if unknown := sorted(modules - _RENAMED.keys()):
        raise ModelError(
            f"an identity adapter with {unknown[0]} cannot be trained; expected one whose "
            "projection keeps all patches, such as ip-adapter-full-face_sd15"
        )


def write_identity_adapter(adapter: IdentityAdapter, folder: Path) -> None:
    """Write an adapter into a folder, in half precision.

    Args:
        adapter: One whose projection keeps all patches, as that of a new one does.
        folder: To be made.

    Raises:
        ModelError: Its projection is another, see `check_writable`.
    """
    check_writable(adapter)
    state = {}
    for name, tensor in adapter.projection.state_dict().items():
        module, _, leaf = name.rpartition(".")
        state[f"image_proj.{_RENAMED[module]}.{leaf}"] = tensor
    for number, processor in enumerate(adapter.processors):
        for name, tensor in processor.state_dict().items():
            leaf = name.removesuffix(".0.weight")
            state[f"ip_adapter.{2 * number + 1}.{leaf}.weight"] = tensor
    folder.mkdir(parents=True)
    halved = {name: tensor.detach().cpu().half().contiguous() for name, tensor in state.items()}
    save_file(halved, folder / _FILE)
    encoder = CLIPVisionModelWithProjection(adapter.encoder.config).half()
    encoder.load_state_dict(adapter.encoder.state_dict())
    with quiet():
        encoder.save_pretrained(folder / ENCODER_FOLDER)
