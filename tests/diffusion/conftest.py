"""A checkpoint in the released layout, rebuilt at 1/10 of its width from its list of keys."""

import gzip
import json
import math
import zlib
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import load_file

from magicpose_cli.diffusion.checkpoint.conversion import convert_checkpoint
from magicpose_cli.diffusion.pipeline import MagicPosePipeline

HERE = Path(__file__).parent
NETWORKS = ("appearance_control_model.", "pose_control_model.", "model.diffusion_model.")


@pytest.fixture(scope="session")
def manifest() -> dict[str, list[int]]:
    """Every key of the released file with its shape."""
    with gzip.open(HERE / "checkpoint_manifest.json.gz") as file:
        return json.load(file)


@pytest.fixture(scope="session")
def golden() -> dict[str, torch.Tensor]:
    """Inputs and outputs of the original network and sampler on the rebuilt weights."""
    return load_file(HERE / "golden.safetensors")


@pytest.fixture(scope="session")
def small_state(manifest) -> dict[str, torch.Tensor]:
    """The three networks with 32 channels for 320, the schedule's buffers and position_ids."""
    state = {}
    for key, shape in manifest.items():
        if key.startswith(NETWORKS):
            state[key] = weight(key, small_shape(key, shape))
        elif "." not in key:
            state[key] = weight(key, shape)
        elif key.endswith("position_ids"):
            state[key] = torch.arange(77)[None]
    return state


@pytest.fixture(scope="session")
def small_model(small_state, tmp_path_factory) -> Path:
    """The folder that the rebuilt checkpoint is converted to; not to be written to."""
    folder = tmp_path_factory.mktemp("small")
    torch.save(small_state, folder / "model_state.th")
    convert_checkpoint(folder / "model_state.th", folder / "model")
    return folder / "model"


@pytest.fixture
def pipeline(small_model) -> MagicPosePipeline:
    pipe = MagicPosePipeline.from_pretrained(small_model)
    pipe.set_progress_bar_config(disable=True)
    return pipe


def small_shape(key: str, shape: list[int]) -> tuple[int, ...]:
    if key.endswith(("attn2.to_k.weight", "attn2.to_v.weight")):
        return (shape[0] // 10, 64)
    return tuple(size // 10 if size % 320 == 0 else size for size in shape)


def weight(key: str, shape: tuple[int, ...]) -> torch.Tensor:
    """The rule by which golden.safetensors was made: a weight is drawn from its own name."""
    x = np.random.default_rng(zlib.crc32(key.encode())).standard_normal(shape).astype(np.float32)
    if len(shape) >= 2:
        x /= math.sqrt(np.prod(shape[1:]))
    elif key.endswith("weight"):
        x = 1 + 0.1 * x
    else:
        x *= 0.05
    return torch.from_numpy(np.asarray(x, dtype=np.float32))
