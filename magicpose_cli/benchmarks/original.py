"""The schedule of the original code, as a renderer: what everything is compared with."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING

import numpy as np

from magicpose_cli.arrays import Picture, Pictures, to_pictures
from magicpose_cli.config.resolved import ModelDefaults, resolve_settings

if TYPE_CHECKING:
    from magicpose_cli.config.preset import Preset
    from magicpose_cli.diffusion.pipeline import MagicPosePipeline


class NaiveRenderer:
    """One frame after the other; nothing that frames or passes share is kept."""

    batch_size = 1

    def __init__(self, pipeline: MagicPosePipeline, reference: Picture, preset: Preset):
        import torch

        height, width = reference.shape[:2]
        self.pipeline = pipeline
        resolved = resolve_settings(preset, ModelDefaults.of(pipeline.config))
        self.steps, self.guidance = resolved.steps, resolved.guidance
        self.notes: list[str] = []
        self._size = {"height": height, "width": width}
        self._noise = pipeline.initial_noise(
            height, width, torch.Generator().manual_seed(preset.sampling.seed)
        )
        self._prompt = pipeline.encode_prompt(preset.sampling.prompt)
        self._reference = pipeline.encode_reference(
            pipeline.image_processor.preprocess(reference[None] / 255, **self._size)
        )

    def render(self, batches: Iterable[Pictures]) -> Iterator[Pictures]:
        """Make the frames of each of many batches, in order."""
        return map(self.make, batches)

    def make(self, maps: Pictures) -> Pictures:
        """Make of pose maps as many frames of their size."""
        return np.concatenate([self._make(maps[index : index + 1]) for index in range(len(maps))])

    def _make(self, one: Pictures) -> Pictures:
        from magicpose_cli.diffusion.original_schedule import naive_denoise

        latents = naive_denoise(
            self.pipeline,
            self._noise,
            self._reference,
            self.pipeline.pose_processor.preprocess(one / 255, **self._size),
            self._prompt,
            self.steps,
            self.guidance,
        )
        return to_pictures(self.pipeline.decode(latents))
