"""Hands made again in crops of their own, and pasted into the frames."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

import numpy as np

from magicpose_cli.arrays import Pictures, to_pictures, to_tensor
from magicpose_cli.motion.framing import Framing
from magicpose_cli.motion.hand_crops import HANDS, hand_window, pasted

if TYPE_CHECKING:
    import torch

    from magicpose_cli.diffusion.pipeline import MagicPosePipeline
    from magicpose_cli.diffusion.sampler import Sampler

CODED_AT_ONCE = 4  # pictures by the autoencoder; more are no faster anywhere
HAND_STRENGTH = 0.5
"""Share of the steps that a hand is made again with, where the model has no start of its own."""


class HandRefiner:
    """Makes the hands of frames again from near: begun from the frame, as in SDEdit.

    Args:
        pipeline: With an autoencoder.
        own: (n, H, W, OWN_HAND_CHANNELS) uint8 of the references, see `own_hand_layers`; n is 1, or
            the number of frames of every call.
        new_sampler: Makes a sampler of reference latents, with the settings of the frames.
        keeps_reference: Whether frames keep the reference's pixels, where there is a compositor.
    """

    def __init__(
        self,
        pipeline: MagicPosePipeline,
        own: Pictures,
        new_sampler: Callable[..., Sampler],
        keeps_reference: bool,
    ):
        self._pipeline, self._keeps_reference = pipeline, keeps_reference
        self._seen: list[tuple[torch.Tensor, torch.Tensor]] = []
        self._samplers: list[Sampler] = []
        strength = None if pipeline.config.start_from_reference else HAND_STRENGTH
        for number in range(len(HANDS)):
            at = 6 * number
            picture, drawn = (to_tensor(own[..., i : i + 3]) for i in (at, at + 3))
            self._seen.append((picture * 2 - 1, drawn))
            latents = pipeline.encode_reference(picture * 2 - 1, drawn)
            self._samplers.append(new_sampler(latents, strength=strength))

    def refine(self, frames: Pictures, layers: Pictures, bodies: Pictures) -> Pictures:
        """Make the hands of frames again.

        Args:
            frames: (n, H, W, 3) uint8 RGB.
            layers: (n, H, W, HAND_CHANNELS) uint8, see `hand_layers`.
            bodies: (n, H, W, 3k) uint8, the maps of the body that the model reads.
        """
        height, width = frames.shape[1:3]
        whole = frames
        for number, sampler in enumerate(self._samplers):
            maps, masks = layers[..., 4 * number :][..., :3], layers[..., 4 * number + 3]
            windows = [hand_window(mask) for mask in masks]
            if not any(windows):
                continue
            # frames without the hand run along whole: all samplers see batches of one size
            closer = [Framing(window or (0, 0, width, height), width, height) for window in windows]
            drawn = np.stack([
                np.concatenate([maps[i], *_enlarged(bodies[i], framing)], axis=2)
                for i, framing in enumerate(closer)
            ])  # fmt: skip
            starts = np.stack([framing.picture(whole[i]) for i, framing in enumerate(closer)])
            start = self._pipeline.encode(to_tensor(starts) * 2 - 1, batch_size=CODED_AT_ONCE)
            latents = sampler.sample(to_tensor(drawn), start=start)
            made = self._pipeline.decode(latents, batch_size=CODED_AT_ONCE)
            if self._keeps_reference:
                made = self._pipeline.composite(made, *self._seen[number], to_tensor(maps))
            hands = zip(whole, to_pictures(made), masks, strict=True)
            whole = np.stack([pasted(*each) for each in hands])
        return whole


def _enlarged(bodies: Pictures, framing: Framing) -> list[Pictures]:
    """The same window of each map of the body, (H, W, 3) uint8."""
    return [framing.picture(bodies[..., i : i + 3]) for i in range(0, bodies.shape[-1], 3)]
