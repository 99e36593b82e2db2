"""torch.compile for a step of the sampler: settings that pay, and a cache that outlives the run."""

from __future__ import annotations

import os
from collections.abc import Callable
from contextlib import nullcontext
from typing import Any, TypeVar

import torch

from magicpose_cli.models import models_home

Function = TypeVar("Function", bound=Callable[..., Any])
CACHE = "TORCHINDUCTOR_CACHE_DIR"
HOPPER = (9, 0)


def as_one_graph(function: Function) -> Function:
    """One graph of all networks that the function calls, for batches of one shape.

    What was compiled is kept beside the installed models for later runs. On CUDA the graph is
    captured once more as a CUDA graph; its outputs are copied, since the next run overwrites them.
    """
    _keep_between_runs()
    options: dict[str, Any] = {}
    if torch.cuda.is_available():
        options = {
            "triton.cudagraphs": True,
            "conv_1x1_as_mm": True,
            "coordinate_descent_tuning": True,
            "coordinate_descent_check_all_directions": True,
            "epilogue_fusion": False,
        }
    graph = torch.compile(function, options=options, dynamic=False)
    compiler: Any = torch.compiler

    def run(*args: Any) -> Any:
        if torch.cuda.is_available():
            compiler.cudagraph_mark_step_begin()
        with best_attention():
            return _copied(graph(*args))

    return run  # type: ignore[return-value]


def _keep_between_runs() -> None:
    """Name inductor's folder, unless the user has: what torch names itself is lost on restart."""
    from torch._inductor.runtime.cache_dir_utils import default_cache_dir

    # diffusers' import already has torch write its default into the environment
    if os.environ.get(CACHE, default_cache_dir()) == default_cache_dir():
        os.environ[CACHE] = str(models_home().parent / "compiled")


def best_attention() -> Any:
    """Prefer cuDNN's attention on Hopper, where it is the fastest; elsewhere torch's own choice."""
    if not torch.cuda.is_available() or torch.cuda.get_device_capability() != HOPPER:
        return nullcontext()
    from torch.nn.attention import SDPBackend, sdpa_kernel

    order = [
        SDPBackend.CUDNN_ATTENTION,
        SDPBackend.FLASH_ATTENTION,
        SDPBackend.EFFICIENT_ATTENTION,
        SDPBackend.MATH,
    ]
    return sdpa_kernel(order, set_priority=True)


def _copied(value: Any) -> Any:
    from torch.utils._pytree import tree_map_only

    return tree_map_only(torch.Tensor, torch.clone, value)
