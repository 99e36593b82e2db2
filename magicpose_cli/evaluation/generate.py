"""A model at work on cases: every case has a reference of its own."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from magicpose_cli.compositing.background import Background
from magicpose_cli.config.resolved import ModelDefaults, resolve_settings
from magicpose_cli.evaluation.cases import Sample
from magicpose_cli.evaluation.warped_cases import WarpedCases

if TYPE_CHECKING:
    import torch

    from magicpose_cli.config.preset import Preset


class ModelMaker:
    """A loaded model that makes the picture of a case; `facts` says which and with what settings.

    A batch holds as many references as poses: the appearance network reads them all at once, so
    the bank has a row for each. Every picture starts from the same noise.
    """

    def __init__(self, name: str, folder: Path, preset: Preset, size: tuple[int, int]):
        import torch

        from magicpose_cli.diffusion.checkpoint.loading import model_hash
        from magicpose_cli.rendering.local import batch_size_for, load_model

        self.name = name
        self.pipeline = load_model(preset)
        width, height = size
        # every picture begins from noise alone
        sampling = preset.sampling.model_copy(update={"start_from_warp": None})
        preset = preset.model_copy(update={"sampling": sampling})
        resolved = resolve_settings(preset, ModelDefaults.of(self.pipeline.config))
        self._steps, self._guidance = resolved.steps, resolved.guidance
        self._batch = preset.model.batch_size or batch_size_for(self.pipeline, width, height)
        self._noise = self.pipeline.initial_noise(
            height, width, torch.Generator().manual_seed(sampling.seed)
        )
        self._keeps, self._trusts_network = resolved.keep_background, resolved.trusts_network
        self._warped = None
        if resolved.warp:
            self._warped = WarpedCases(self._trusts_network, preset.frame.warp_strength)
        self._prompt = self.pipeline.encode_prompt(sampling.prompt)
        self.facts: dict[str, Any] = {
            "folder": str(folder),
            "sha256": model_hash(folder),
            "steps": self._steps,
            "guidance": self._guidance,
            "scheduler": type(self.pipeline.scheduler).__name__,
            "seed": sampling.seed,
            "keep_background": self._keeps,
            "warp": self._warped is not None,
            "size": [width, height],
            "dtype": str(self.pipeline.unet.dtype).removeprefix("torch."),
            "device": str(self.pipeline._execution_device),
        }

    def make(self, cases: Iterable[Sample]) -> Iterator[tuple[Sample, np.ndarray]]:
        """Each case with its picture (H, W, 3) uint8 RGB, in order."""
        cases = iter(cases)
        while batch := list(islice(cases, self._batch)):
            yield from zip(batch, self.pictures(batch), strict=True)

    def pictures(self, batch: list[Sample]) -> np.ndarray:
        """(n, H, W, 3) uint8 RGB of n cases at once."""
        from magicpose_cli.pose.pose_map import pose_map
        from magicpose_cli.rendering.local import memory_explained

        canvas = self.pipeline.config.pose_canvas
        maps = _tensor([pose_map(case.pose, canvas) for case in batch if case.pose is not None])
        references = [case.reference for case in batch if case.reference is not None]
        if all(reference is references[0] for reference in references):
            references = references[:1]
        with memory_explained():
            latents = self.pipeline.encode_reference(_tensor(references) * 2 - 1)
            made = self.pipeline.denoise(
                self._noise,
                latents,
                maps,
                self._prompt,
                num_inference_steps=self._steps,
                guidance_scale=self._guidance,
            )
            frames = self.pipeline.decode(made)
        pictures = (frames.permute(0, 2, 3, 1) * 255).round().byte().numpy()
        return np.stack([self._finished(*pair) for pair in zip(pictures, batch, strict=True)])

    def _finished(self, made: np.ndarray, case: Sample) -> np.ndarray:
        """The network's picture as `animate` would show it: fused with the warped reference, else
        with its background kept. What a warp shows of a network that it does not trust, a
        background would not change."""
        warp = None if self._warped is None else self._warped.of(case)
        if self._keeps and (warp is None or self._trusts_network):
            made = _kept(made, case)
        return made if warp is None else warp.fused(case, made)


def _kept(picture: np.ndarray, case: Sample) -> np.ndarray:
    """The picture with the reference's background, where both poses are known."""
    if case.reference is None or case.pose is None or case.reference_pose is None:
        return picture
    return Background(case.reference, case.reference_pose).keep(picture, case.pose)


def unique_names(folders: list[Path]) -> list[str]:
    """The shortest ends of the paths that tell them apart: full, or full/model and bare/model."""
    for depth in range(1, max(len(folder.parts) for folder in folders) + 1):
        names = ["/".join(folder.parts[-depth:]) for folder in folders]
        if len(set(names)) == len(names):
            return names
    return [f"{index + 1} {folder.name}" for index, folder in enumerate(folders)]


def _tensor(pictures: list[np.ndarray]) -> torch.Tensor:
    """n pictures (H, W, 3) uint8 -> (n, 3, H, W) float32 in 0..1"""
    import torch

    return torch.from_numpy(np.stack(pictures)).permute(0, 3, 1, 2).float() / 255
