"""A LoRA under training: thin layers beside the denoiser's, whose own weights stay as they are.

LoRA (Hu et al., 2021, arXiv:2106.09685) adds a product of two thin matrices to a weight. The second
of them begins at zero, so that the denoiser begins as it came, to the last bit. What is saved has
the names that diffusers gives such files.
"""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import Any

import torch
from diffusers import UNet2DConditionModel
from safetensors.torch import save_file
from torch import Tensor, nn

LORA_FILE = "pytorch_lora_weights.safetensors"
"""What diffusers looks for in a folder."""
ADAPTED_BLOCKS = ("down_blocks.", "mid_block.", "up_blocks.")


class LoraLayers(nn.Module):
    """The thin layers of a denoiser's linear layers and convolutions.

    They act through forward hooks, which stay for the denoiser's life.
    """

    def __init__(self, unet: UNet2DConditionModel, rank: int):
        super().__init__()
        self._pairs = nn.ModuleDict()
        for name, layer in unet.named_modules():
            if not name.startswith(ADAPTED_BLOCKS) or not isinstance(layer, nn.Linear | nn.Conv2d):
                continue
            key = name.replace(".", "-")  # a dictionary of modules takes no dots
            self._pairs[key] = nn.Sequential(*_thin_layers(layer, rank))
            layer.register_forward_hook(partial(self._add, key))

    def _add(self, key: str, _layer: nn.Module, given: tuple[Tensor, ...], made: Tensor) -> Tensor:
        added: Tensor = self._pairs[key](given[0])
        return made + added

    def factors(self) -> dict[str, tuple[Tensor, Tensor]]:
        """Give (down, up) of each of the denoiser's layers by its name."""
        return {
            key.replace("-", "."): (
                pair.get_parameter("0.weight").detach(),
                pair.get_parameter("1.weight").detach(),
            )
            for key, pair in self._pairs.items()
        }

    def fused(self, state: dict[str, Tensor]) -> dict[str, Tensor]:
        """Give the denoiser's weights with what these layers add to them."""
        whole = dict(state)
        for name, (down, up) in self.factors().items():
            weight = state[f"{name}.weight"]
            product = up.flatten(1) @ down.flatten(1)
            whole[f"{name}.weight"] = weight + product.view_as(weight)
        return whole

    def tensors(self) -> dict[str, Tensor]:
        """Give what diffusers calls the factors of a LoRA, in half precision."""
        found = {}
        for name, (down, up) in self.factors().items():
            found[f"unet.{name}.lora_A.weight"] = down.half().contiguous()
            found[f"unet.{name}.lora_B.weight"] = up.half().contiguous()
        return found

    def write(self, folder: Path) -> None:
        """Write the file that `animate --lora` and diffusers take."""
        tensors = {name: factor.cpu() for name, factor in self.tensors().items()}
        save_file(tensors, folder / LORA_FILE, metadata={"format": "pt"})


def _thin_layers(layer: nn.Linear | nn.Conv2d, rank: int) -> tuple[nn.Module, nn.Module]:
    """Layers from the input to the rank, and from there to the output, which begins at zero."""
    down: nn.Linear | nn.Conv2d
    up: nn.Linear | nn.Conv2d
    if isinstance(layer, nn.Linear):
        rank = min(rank, layer.in_features, layer.out_features)
        down = nn.Linear(layer.in_features, rank, bias=False)
        up = nn.Linear(rank, layer.out_features, bias=False)
    else:
        rank = min(rank, layer.in_channels, layer.out_channels)
        window: Any = {
            "kernel_size": layer.kernel_size, "stride": layer.stride, "padding": layer.padding,
        }  # fmt: skip
        down = nn.Conv2d(layer.in_channels, rank, **window, bias=False)
        up = nn.Conv2d(rank, layer.out_channels, 1, bias=False)
    with torch.no_grad():
        nn.init.kaiming_uniform_(down.weight, a=5**0.5)
        nn.init.zeros_(up.weight)
    return down, up
