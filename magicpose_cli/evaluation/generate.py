"""A model at work on samples: every sample has a reference of its own."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from functools import partial
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from magicpose_cli.arrays import Picture, Pictures, to_pictures, to_tensor
from magicpose_cli.compositing.background import Background
from magicpose_cli.config.resolved import ModelDefaults, resolve_settings
from magicpose_cli.evaluation.samples import Sample
from magicpose_cli.evaluation.warped_samples import WarpedSamples

if TYPE_CHECKING:
    import torch

    from magicpose_cli.config.preset import Preset
    from magicpose_cli.diffusion.adapters.identity import IdentityTokens


class ModelPredictor:
    """A loaded model that makes the pictures of samples.

    A batch holds as many references as poses: the appearance network reads them all at once, so
    the reference features have a row for each. Every picture starts from the same noise.

    Attributes:
        name: As it stands in the table.
        pipeline: The model.
        metadata: Which model it is and with what settings it runs.
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
        self._keeps = resolved.frames_keep_reference
        self._refines_hands = preset.sampling.refine_hands
        self._warped = None
        if resolved.warp:
            self._warped = WarpedSamples(resolved.trusts_network, preset.frame.warp_strength)
        self._prompt = self.pipeline.encode_prompt(sampling.prompt)
        self.metadata: dict[str, Any] = {
            "folder": str(folder),
            "sha256": model_hash(folder),
            "steps": self._steps,
            "guidance": self._guidance,
            "scheduler": type(self.pipeline.scheduler).__name__,
            "seed": sampling.seed,
            "keep_background": resolved.keep_background,
            "warp": self._warped is not None,
            "refine_hands": self._refines_hands,
            "size": [width, height],
            "dtype": str(self.pipeline.unet.dtype).removeprefix("torch."),
            "device": str(self.pipeline._execution_device),
        }

    def predict(self, samples: Iterable[Sample]) -> Iterator[tuple[Sample, Picture]]:
        """Give each sample with its picture, in order."""
        samples = iter(samples)
        while batch := list(islice(samples, self._batch)):
            yield from zip(batch, self.pictures(batch), strict=True)

    def pictures(self, batch: list[Sample]) -> Pictures:
        """Make the pictures of some samples at once."""
        import torch

        from magicpose_cli.motion.body_control_maps import body_maps_of_pose
        from magicpose_cli.pose.pose_map import pose_map
        from magicpose_cli.rendering.local import memory_explained

        canvas = self.pipeline.config.pose_canvas
        poses = [sample.pose for sample in batch if sample.pose is not None]
        maps = pose_maps = to_tensor(np.stack([pose_map(pose, canvas) for pose in poses]))
        if self.pipeline.body_controlnet is not None:
            names = self.pipeline.config.body_maps
            bodies = to_tensor(np.stack([body_maps_of_pose(pose, names) for pose in poses]))
            maps = torch.cat([maps, bodies], dim=1)
        references = [sample.reference for sample in batch if sample.reference is not None]
        if all(reference is references[0] for reference in references):
            references = references[:1]
        own = None
        if self.pipeline.reads_reference_pose or self.pipeline.compositor is not None:
            drawn = [own_map(sample, canvas) for sample in batch[: len(references)]]
            own = to_tensor(np.stack(drawn))
        pictures = to_tensor(np.stack(references)) * 2 - 1
        with memory_explained():
            latents = self.pipeline.encode_reference(pictures, own)
            made = self.pipeline.denoise(
                self._noise,
                latents,
                maps,
                self._prompt,
                num_inference_steps=self._steps,
                guidance_scale=self._guidance,
                identity_tokens=self._identity_tokens(batch[: len(references)]),
            )
            frames = self.pipeline.decode(made)
            if self._keeps:
                frames = self.pipeline.composite(frames, pictures, own, pose_maps)
            finished = to_pictures(frames)
            if self._refines_hands:
                finished = self._with_hands(finished, batch, len(references), maps[:, 3:])
        pairs = zip(finished, batch, strict=True)
        return np.stack([self._finished(*pair) for pair in pairs])

    def _with_hands(
        self, frames: Pictures, batch: list[Sample], references: int, bodies: torch.Tensor
    ) -> Pictures:
        """Frames whose hands are made again from near."""
        from magicpose_cli.diffusion.sampler import Sampler
        from magicpose_cli.motion.framing import Framing
        from magicpose_cli.motion.hand_crops import hand_layers, own_hand_layers
        from magicpose_cli.rendering.hand_refiner import HandRefiner

        canvas = self.pipeline.config.pose_canvas
        height, width = frames.shape[1:3]
        framing = Framing((0, 0, width, height), width, height)
        own = [
            own_hand_layers(sample.reference, framing, sample.reference_pose, canvas)
            for sample in batch[:references]
            if sample.reference is not None
        ]
        layers = [hand_layers(sample.pose, canvas) for sample in batch if sample.pose is not None]
        new_sampler = partial(
            Sampler, self.pipeline, self._noise, prompt_embeds=self._prompt,
            steps=self._steps, guidance=self._guidance,
        )  # fmt: skip
        refiner = HandRefiner(self.pipeline, np.stack(own), new_sampler, self._keeps)
        return refiner.refine(frames, np.stack(layers), to_pictures(bodies))

    def _identity_tokens(self, samples: list[Sample]) -> IdentityTokens | None:
        """Tokens of the references' faces, where the model is to read them."""
        import torch

        from magicpose_cli.warping.face_crop import face_or_black

        adapter = self.pipeline.identity
        if adapter is None:
            return None
        faces = [
            face_or_black(sample.reference, sample.reference_pose, adapter.picture_size)
            for sample in samples
            if sample.reference is not None
        ]
        with torch.no_grad():
            return adapter.read(to_tensor(np.stack(faces)))

    def _finished(self, made: Picture, sample: Sample) -> Picture:
        """Finish the network's picture as `animate` would.

        It is fused with the warped reference, else its background is kept.
        """
        warp = None if self._warped is None else self._warped.of(sample)
        if self._keeps:
            made = _kept(made, sample)
        return made if warp is None else warp.fused(sample, made)


def own_map(sample: Sample, canvas: int) -> Picture:
    """The reference's pose map, black where its pose is not known."""
    from magicpose_cli.pose.pose_map import pose_map

    assert sample.reference is not None
    if sample.reference_pose is None:
        return np.zeros_like(sample.reference)
    return pose_map(sample.reference_pose, canvas)


def _kept(picture: Picture, sample: Sample) -> Picture:
    """The picture with the reference's background, where both poses are known."""
    if sample.reference is None or sample.pose is None or sample.reference_pose is None:
        return picture
    return Background(sample.reference, sample.reference_pose).keep(picture, sample.pose)


def unique_names(folders: list[Path]) -> list[str]:
    """Take the shortest ends of paths that differ: full, or full/model and bare/model."""
    for depth in range(1, max(len(folder.parts) for folder in folders) + 1):
        names = ["/".join(folder.parts[-depth:]) for folder in folders]
        if len(set(names)) == len(names):
            return names
    return [f"{index + 1} {folder.name}" for index, folder in enumerate(folders)]
