"""A ControlNet that others have trained as the pose network's beginning: it knows skeletons."""

from __future__ import annotations

from pathlib import Path

from diffusers import ControlNetModel
from torch import Tensor

from magicpose_cli.diffusion.layout import UNetShape, controlnet_modules, renamed
from magicpose_cli.diffusion.options import place_of
from magicpose_cli.diffusion.read import read_checkpoint
from magicpose_cli.diffusion.weights import CHECKPOINTS
from magicpose_cli.errors import ModelError

PREFIX = "control_model."
WANTED = (
    "expected a ControlNet of Stable Diffusion 1.5: control_v11p_sd15_openpose.pth "
    "(`magicpose models fetch openpose-controlnet`), or a diffusers folder"
)


def start_from_controlnet(pose: ControlNetModel, name: str) -> None:
    """Put another ControlNet's weights into the pose network, in place.

    name: a checkpoint with the names of the original code (`control_model.`) or of diffusers, a
    folder of diffusers, `openpose-controlnet`, or a fetched ORG/NAME.

    Raises ModelError where a weight is lacking or of another shape.
    """
    place = place_of(name)
    state = _by_names_of_diffusers(read_checkpoint(_file(place), WANTED), pose)
    shapes = {key: tensor.shape for key, tensor in pose.state_dict().items()}
    if lacking := sorted(shapes.keys() - state.keys()):
        raise ModelError(
            f"model.pose_start {place}: lacks {len(lacking)} of the pose network's {len(shapes)} "
            f"weights ({lacking[0]}, ...); {WANTED}"
        )
    for key, shape in shapes.items():
        if state[key].shape not in (shape, (*shape, 1, 1)):  # a 1x1 convolution is a linear layer
            raise ModelError(
                f"model.pose_start {place}: {key} is {list(state[key].shape)}, the pose network "
                f"has {list(shape)}; {WANTED}"
            )
    pose.load_state_dict({key: state[key].reshape(shape) for key, shape in shapes.items()})


def _file(place: Path) -> Path:
    if not place.is_dir():
        return place
    weights = [file for file in sorted(place.iterdir()) if file.suffix in CHECKPOINTS]
    if len(weights) != 1:
        raise ModelError(f"model.pose_start {place}: holds {len(weights)} checkpoints; {WANTED}")
    return weights[0]


def _by_names_of_diffusers(state: dict[str, Tensor], pose: ControlNetModel) -> dict[str, Tensor]:
    if not any(key.startswith(PREFIX) for key in state):
        return state
    config = pose.config
    shape = UNetShape(
        in_channels=config.in_channels,
        out_channels=config.in_channels,
        channels=tuple(config.block_out_channels),
        layers=config.layers_per_block,
        attention=tuple("CrossAttn" in kind for kind in config.down_block_types),
        text_width=config.cross_attention_dim,
    )
    modules = controlnet_modules(shape, 2 * len(config.conditioning_embedding_out_channels))
    named = {}
    for key, tensor in state.items():
        bare = key.removeprefix(PREFIX)
        named[renamed(bare, modules) or bare] = tensor
    return named
