"""The stage that teaches a motion module: films of people, everything else frozen.

As Guo et al. ("AnimateDiff", ICLR 2024) the module begins with no effect and learns to predict the
noise of all frames of a film together. The frames of a film share one noise, because the sampler
draws all frames from one; AnimateDiff draws one for each.
"""

from __future__ import annotations

import torch.nn.functional as F
from torch import Tensor, nn

from magicpose_cli.training.networks import Networks
from magicpose_cli.training.pair_source import PairBatch
from magicpose_cli.training.recipe import StageSettings


class MotionTraining(nn.Module):
    """Predict the noise (or v) of the frames of films from a reference and the frames' poses."""

    def __init__(self, networks: Networks, stage: StageSettings):
        super().__init__()
        self.networks = networks
        self._frames = stage.frames
        self._change_weight = stage.change_weight
        self._velocity = networks.scheduler.config.prediction_type == "v_prediction"

    def forward(self, batch: PairBatch, dropped: int, t: Tensor, noise: Tensor) -> Tensor:
        """Compute the mean squared error, and that of what changes from frame to frame.

        Args:
            batch: References (n, c, h, w), and F frames in a row for each of them.
            dropped: The last so many films have no reference and no pose, as the unconditional
                pass of the guidance.
            t: Timesteps (n,), one a film.
            noise: Unit noise (n, c, h, w), one a film.
        """
        frames, seen = self._frames, len(batch.reference) - dropped
        t, noise = t.repeat_interleave(frames), noise.repeat_interleave(frames, 0)
        a, s = self.networks.factors(t)
        wanted = a * noise - s * batch.target if self._velocity else noise
        predicted = self.networks(
            a * batch.target + s * noise,
            t,
            batch.reference[:seen],
            batch.maps[: seen * frames],
            frames=frames,
        )
        error = (predicted.float() - wanted).unflatten(0, (-1, frames))
        loss: Tensor = error.square().mean()
        if self._change_weight:
            loss = loss + self._change_weight * F.mse_loss(error[:, 1:], error[:, :-1])
        return loss
