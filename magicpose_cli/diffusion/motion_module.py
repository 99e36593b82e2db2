"""The motion module: attention along time in the denoiser, in AnimateDiff's place and layout.

Guo et al., "AnimateDiff", ICLR 2024: behind each pair of a residual block and a transformer of the
denoiser, and behind each residual block where there is no transformer, every place of the latent
attends to the same place in the other frames of a window. The layers are those of diffusers'
`MotionAdapter`. They run by hooks, so that the denoiser keeps its own layers and names: LoRAs,
reference attention and what is saved see no difference.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from typing import Any

import torch
from diffusers import MotionAdapter, UNet2DConditionModel
from diffusers.models.unets.unet_motion_model import AnimateDiffTransformer3D
from torch import nn
from torch.utils.checkpoint import checkpoint

from magicpose_cli.diffusion.motion_windows import FRAMES_TOGETHER

MOST_POSITIONS = 32  # frames that a new adapter can tell apart, as AnimateDiff's later ones


class MotionModule:
    """A motion adapter at work in a denoiser; idle unless `together` says otherwise.

    Args:
        unet: Denoiser of the adapter's shape.
        adapter: Layers to run; they stay where they are, on the same device as the denoiser.

    Attributes:
        frames: How many rows of the denoiser's batch in a row are one clip; 0 leaves all as it is.
        is_new: Whether the adapter changed nothing when it was put in, not being trained yet.
        checkpointing: Whether a training keeps the layers' inputs alone, and runs them again for
            the gradients.

    Raises:
        ValueError: The adapter is for another denoiser, or for windows of fewer frames.
    """

    def __init__(self, unet: UNet2DConditionModel, adapter: MotionAdapter):
        if list(adapter.config["block_out_channels"]) != list(unet.config["block_out_channels"]):
            raise ValueError(
                f"its motion adapter is for {list(adapter.config['block_out_channels'])} channels, "
                f"its denoiser has {list(unet.config['block_out_channels'])}"
            )
        if not holds_windows(adapter):
            raise ValueError(
                f"its motion adapter tells {positions_of(adapter)} frames apart; expected at least "
                f"{FRAMES_TOGETHER}"
            )
        self.adapter = adapter
        self.frames = 0
        self.checkpointing = False
        self.is_new = _changes_nothing(adapter)
        places = _motion_places(unet)
        self._handles = [
            places[name].register_forward_hook(partial(self._run, layer))
            for name, layer in motion_layers(adapter).items()
        ]

    @contextmanager
    def together(self, frames: int) -> Iterator[None]:
        """Let the frames of each clip attend to each other.

        Args:
            frames: Rows of a clip; the denoiser's batch holds whole clips.
        """
        former, self.frames = self.frames, frames
        try:
            yield
        finally:
            self.frames = former

    def remove(self) -> None:
        """Take the layers out of the denoiser."""
        for handle in self._handles:
            handle.remove()

    def _run(self, layer: nn.Module, place: nn.Module, given: Any, output: Any) -> Any:
        """Put a layer behind a module of the denoiser, whatever that returns its states in."""
        if not self.frames:
            return None
        hidden = output[0] if isinstance(output, tuple) else output
        # torch's group norm ends the process in a backward pass over channels-last frames that need
        # no gradient themselves, such as those of a frozen denoiser
        frames = hidden.contiguous()
        if self.checkpointing and torch.is_grad_enabled():
            run = partial(layer, num_frames=self.frames)
            steadied: torch.Tensor = checkpoint(run, frames, use_reentrant=False)
        else:
            steadied = layer(frames, num_frames=self.frames)
        if hidden.is_contiguous(memory_format=torch.channels_last):
            # or the convolutions behind would take other kernels, which round otherwise
            steadied = steadied.contiguous(memory_format=torch.channels_last)
        return (steadied, *output[1:]) if isinstance(output, tuple) else steadied


def motion_layers(adapter: MotionAdapter) -> dict[str, AnimateDiffTransformer3D]:
    """List the layers of an adapter by their names in it."""
    blocks = {f"{side}.{i}": block for side in ("down_blocks", "up_blocks")
              for i, block in enumerate(getattr(adapter, side))}  # fmt: skip
    if adapter.mid_block is not None:
        blocks["mid_block"] = adapter.mid_block
    return {
        f"{name}.{j}": layer
        for name, block in blocks.items()
        for j, layer in enumerate(block.motion_modules)
    }


def new_motion_adapter(unet: UNet2DConditionModel) -> MotionAdapter:
    """Make an adapter of a denoiser's shape that changes nothing yet.

    The layers' last projections are zero, as Guo et al. begin their training.
    """
    adapter = MotionAdapter(
        **adapter_shape(unet),
        motion_num_attention_heads=_heads(unet),
        motion_max_seq_length=MOST_POSITIONS,
        use_motion_mid_block=True,
    )
    for layer in motion_layers(adapter).values():
        nn.init.zeros_(layer.proj_out.weight)
        nn.init.zeros_(layer.proj_out.bias)
    return adapter


def _changes_nothing(adapter: MotionAdapter) -> bool:
    """Whether all last projections are zero, as those of a new adapter are."""
    layers = motion_layers(adapter).values()
    weights = [weight for layer in layers for weight in layer.proj_out.parameters()]
    return not any(weight.is_meta or bool(weight.any()) for weight in weights)


def adapter_shape(unet: UNet2DConditionModel) -> dict[str, Any]:
    """The arguments of a `MotionAdapter` that a denoiser's shape decides."""
    config = unet.config
    return {
        "block_out_channels": tuple(config["block_out_channels"]),
        "motion_layers_per_block": config["layers_per_block"],
        "motion_norm_num_groups": config["norm_num_groups"],
    }


def positions_of(adapter: MotionAdapter) -> int:
    """How many frames an adapter can tell apart."""
    return int(adapter.config["motion_max_seq_length"])


def holds_windows(adapter: MotionAdapter) -> bool:
    """Whether an adapter can tell the frames of a window apart."""
    return positions_of(adapter) >= FRAMES_TOGETHER


def _heads(unet: UNet2DConditionModel) -> int:
    """Heads of the denoiser's attention; the name is diffusers' own mistake."""
    heads: int = unet.config["attention_head_dim"]
    return heads


def _motion_places(unet: UNet2DConditionModel) -> dict[str, nn.Module]:
    """The modules of a denoiser behind which a layer stands, by the layer's name in an adapter."""
    places: dict[str, nn.Module] = {}
    for side in ("down_blocks", "up_blocks"):
        for i, block in enumerate(getattr(unet, side)):
            behind = getattr(block, "attentions", None) or block.resnets
            places |= {f"{side}.{i}.{j}": module for j, module in enumerate(behind)}
    places |= {f"mid_block.{j}": module for j, module in enumerate(unet.mid_block.attentions)}
    return places
