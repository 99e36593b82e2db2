"""Operations of a frame and of a reference: by running them, or beforehand by their shapes."""

from __future__ import annotations

import copy
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from magicpose_cli.arrays import Picture, Pictures
from magicpose_cli.benchmarks.arithmetic import counted

if TYPE_CHECKING:
    from magicpose_cli.config.preset import Preset
    from magicpose_cli.diffusion.pipeline import MagicPosePipeline

MakeRenderer = Callable[["MagicPosePipeline", Picture, "Preset"], Any]
_FIRST_CACHED = 5  # steps from which `rendering.local` caches deep features


@dataclass(frozen=True)
class Operations:
    """Floating-point operations, 2 a multiply-add.

    Attributes:
        frame: Of each frame.
        reference: Once for all frames of a reference.
    """

    frame: int
    reference: int


def renderer_class(*, naive: bool) -> MakeRenderer:
    """Who makes the frames of a benchmark: the schedule of the original code, or ours."""
    if naive:
        from magicpose_cli.benchmarks.original import NaiveRenderer

        return NaiveRenderer
    from magicpose_cli.rendering.local import Renderer

    return Renderer


def count_operations(
    make_renderer: MakeRenderer,
    pipeline: MagicPosePipeline,
    reference: Picture,
    preset: Preset,
    maps: Pictures,
) -> Operations:
    """Count the operations of a first and of a second frame with torch's counter.

    Args:
        make_renderer: Class of the renderer.
        pipeline: Not compiled and not quantized: such operations are not seen.
        reference: (H, W, 3) uint8 RGB.
        preset: All settings, with a batch of one frame.
        maps: (1, H, W, 3) uint8 RGB, one pose map.
    """
    renderers: list[Any] = []

    def first_frame() -> None:
        renderers.append(make_renderer(pipeline, reference, preset))
        renderers[0].make(maps)

    both = counted(first_frame)
    frame = counted(lambda: renderers[0].make(maps))
    return Operations(frame, both - frame)


def operations_by_shape(random: str, preset: Preset, steps: int, *, naive: bool) -> Operations:
    """Count operations without a device for them, on networks that are shapes alone.

    Few steps are run, since each takes seconds, and the rest is reckoned from how many operations
    further steps bring.

    Args:
        random: Size of the networks, as for `random_pipeline`.
        preset: All settings; `frame.size` is the network's.
        steps: The model's own, of which a preset may take a share.
        naive: Whether to count the schedule of the original code.
    """
    from magicpose_cli.config.resolved import ModelDefaults, resolve_settings
    from magicpose_cli.diffusion.checkpoint.random_weights import random_pipeline

    shapes = random_pipeline(random, "bfloat16", "meta")
    shapes.register_to_config(default_steps=steps)
    taken = resolve_settings(preset, ModelDefaults.of(shapes.config)).steps
    cached = preset.sampling.cache_every
    few = 1 if cached == 1 else _FIRST_CACHED + (taken - _FIRST_CACHED) % cached
    if taken <= few + cached:
        return _by_shape(shapes, preset, taken, naive=naive)
    low, high = (_by_shape(shapes, preset, n, naive=naive) for n in (few, few + cached))
    rounds = (taken - few) // cached
    return Operations(
        frame=low.frame + rounds * (high.frame - low.frame),
        reference=low.reference + rounds * (high.reference - low.reference),
    )


def _by_shape(shapes: MagicPosePipeline, preset: Preset, steps: int, *, naive: bool) -> Operations:
    from magicpose_cli.diffusion.schedulers import scheduler_by_name

    scheduler = copy.deepcopy(shapes.scheduler)
    if preset.sampling.scheduler is not None:
        scheduler = scheduler_by_name(preset.sampling.scheduler, scheduler)
    pipeline = _without_numbers(shapes, scheduler)
    one = preset.with_options(
        model__batch_size=1, model__compile="off", model__quantize="none", sampling__steps=steps
    )
    one = one.model_copy(update={"sampling": one.sampling.model_copy(update={"scheduler": None})})
    width, height = preset.size_for(pipeline.config.sample_size)
    maps = np.zeros((1, height, width, 3), np.uint8)
    return count_operations(renderer_class(naive=naive), pipeline, maps[0], one, maps)


def _without_numbers(shapes: MagicPosePipeline, scheduler: Any) -> MagicPosePipeline:
    """A pipeline whose networks have shapes alone, made so that a renderer can run it.

    What a renderer reads as numbers has them: the scheduler's timesteps and the decoded pictures.
    """
    import torch

    pipeline: Any = copy.copy(shapes)
    set_timesteps, decode = scheduler.set_timesteps, pipeline.vae.decode

    def decode_shapes(latents: torch.Tensor, batch_size: int | None = None) -> torch.Tensor:
        with torch.no_grad():
            decoded = decode(latents.to(pipeline.vae.dtype), return_dict=False)[0]
        return torch.zeros(decoded.shape)

    scheduler.set_timesteps = lambda steps, device=None: set_timesteps(steps)
    pipeline.scheduler, pipeline.decode = scheduler, decode_shapes
    shaped: MagicPosePipeline = pipeline
    return shaped
