"""The networks that several ways of making frames share."""

from __future__ import annotations

import copy
from typing import TYPE_CHECKING

from magicpose_cli.config.preset import Preset

if TYPE_CHECKING:
    from magicpose_cli.diffusion.pipeline import MagicPosePipeline

CHANGES = (
    "quantize",
    "base",
    "lora",
    "embedding",
    "vae",
    "slicing",
    "offload",
)  # settings that change the networks


class Weights:
    """One model for all variants: loaded once, and once more for each change that one asks for."""

    def __init__(
        self, random: str | None = None, steps: int | None = None, guidance: float | None = None
    ):
        """Load nothing yet.

        Args:
            random: A size of networks (magicpose, mini or tiny) to draw at random instead.
            steps: Stand as the model's own, so that 40 % of the steps is of these.
            guidance: Stands as the model's own.
        """
        self._random = random
        own = {"default_steps": steps, "default_guidance": guidance}
        self._own = {key: value for key, value in own.items() if value is not None}
        self._loaded: dict[tuple[object, ...], MagicPosePipeline] = {}

    def name(self, preset: Preset) -> str:
        """Tell what is measured, for people."""
        from magicpose_cli.diffusion.checkpoint.loading import resolve_model

        if self._random:
            return f"{self._random}, random weights"
        return str(resolve_model(preset.model.name).name)

    def pipeline(self, preset: Preset) -> MagicPosePipeline:
        """Give the preset's networks, with a scheduler of its own.

        Raises:
            MagicPoseError: The model cannot be loaded.
        """
        from magicpose_cli.rendering.local import load_model

        key = tuple(str(getattr(preset.model, name)) for name in CHANGES)
        if key not in self._loaded:
            self._loaded[key] = (
                _random(self._random, preset) if self._random else load_model(preset)
            )
        pipeline = copy.copy(self._loaded[key])  # the parts are shared, what is set on it is not
        pipeline.register_to_config(**self._own)
        return pipeline


def _random(name: str, preset: Preset) -> MagicPosePipeline:
    """Networks of a known size with random weights, on the preset's device."""
    from magicpose_cli.diffusion.acceleration import apply_model_settings, loading_device
    from magicpose_cli.diffusion.checkpoint.loading import quiet
    from magicpose_cli.rendering.local import pick_device_and_dtype

    with quiet():
        from magicpose_cli.diffusion.checkpoint.random_weights import random_pipeline

    model = preset.model
    device, dtype = pick_device_and_dtype(model)
    pipeline = random_pipeline(name, dtype, loading_device(device, model.offload))
    size = preset.size_for(pipeline.config.sample_size)
    apply_model_settings(pipeline, model, device=device, size=size)
    return pipeline
