"""One step from noise to picture, trained on the picture's own error.

Asked at the last timestep, where nothing but noise comes in, a denoiser tells the mean of all
pictures that fit reference and pose. The error of that picture, through the decoder, teaches all
parts at once what an error in latents does not: which latents the decoder makes a sharp person of
(Garcia et al. 2024, "Fine-Tuning Image-Conditional Diffusion Models is Easier Than You Think",
arXiv:2409.11355). Networks whose frames start from the reference are asked where these do, and get
the noised reference for the noise: what does not move is then there from the start. Of large
pictures a window is looked at, which lies where the person is. Some samples of each batch are
denoised as before, so that more steps stay possible. A stage that trains a motion adapter is shown
films, whose frames share window, timestep and noise as they share the sampler's.
"""

from __future__ import annotations

from copy import deepcopy

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from magicpose_cli.diffusion.body_control import split_maps
from magicpose_cli.diffusion.schedulers import able_to_begin_late, set_timesteps_from
from magicpose_cli.errors import ConfigError
from magicpose_cli.training.autoencoder import picture_error
from magicpose_cli.training.networks import Networks
from magicpose_cli.training.pair_source import PairBatch, faces_shown
from magicpose_cli.training.recipe import StageSettings

DENOISED_SHARE = 0.25  # share of a batch that is denoised from any timestep
LATENT_WEIGHT = 0.1  # of the error in latents beside that of the picture
BODY_WEIGHT, FACE_WEIGHT = 2.0, 6.0  # on top of 1, of what lies near a pose's limbs and face
WINDOW_PX = (
    128  # side in pixels of what is decoded: a decoder costs more than the denoiser before it
)


class EndToEnd(nn.Module):
    """The error of pictures made in one step, and for the rest of a batch of v at any timestep.

    Raises:
        ConfigError: The networks predict noise, which from noise alone tells nothing.
    """

    def __init__(self, networks: Networks, stage: StageSettings):
        super().__init__()
        check_predicts_v(networks, "end-to-end")
        self.networks = networks
        self._frames, self._change_weight = stage.film_frames, stage.change_weight
        self._first = first_timestep(networks)

    def forward(
        self, batch: PairBatch, dropped: int, t: Tensor, noise: Tensor, where: Tensor
    ) -> Tensor:
        """Compute the loss.

        Args:
            batch: Pairs of pictures; or n films of F frames, with a reference each.
            dropped: The last so many samples have no reference and no pose.
            t: Timesteps (n,), of which those of the samples to be made in one step are replaced.
            noise: Unit noise (n, c, h, w), one a sample.
            where: Values (n,) in 0..1 that choose the windows.
        """
        each, count = max(1, self._frames), len(batch.reference)
        at_once = count - round(DENOISED_SHARE * count)
        seen = count - min(dropped, count - at_once)
        t = torch.cat([torch.full_like(t[:at_once], self._first), t[at_once:]])
        # the sampler begins with nothing of the target in it
        begun = starting_latents(self.networks, batch, t, noise).repeat_interleave(each, 0)
        t, noise = t.repeat_interleave(each), noise.repeat_interleave(each, 0)
        a, s = self.networks.factors(t)
        target, rows = batch.target, at_once * each
        noisy = torch.cat([begun[:rows], (a * target + s * noise)[rows:]])
        velocity = self.networks(
            noisy, t, batch.reference[:seen], batch.maps[: seen * each],
            frames=self._frames, faces=faces_shown(batch, seen),
        ).float()  # fmt: skip
        made = (a * noisy - s * velocity)[:rows]
        weights = importance(split_maps(batch.maps[:rows])[0])
        of_films = weights.view(-1, each, *weights.shape[1:]).mean(1)
        corners = window_corners(of_films, where[:at_once]).repeat_interleave(each, 0)
        weights = _windows(weights, corners, 8)
        pictures = self.networks.decode(_windows(made, corners, 1))
        wanted = _windows(batch.picture[:rows], corners, 8)
        loss = picture_error(pictures, wanted, weights / weights.mean())
        loss = loss + LATENT_WEIGHT * F.mse_loss(made, target[:rows])
        if self._frames and self._change_weight:
            error = (pictures - wanted).view(-1, each, *wanted.shape[1:])
            loss = loss + self._change_weight * error.diff(dim=1).abs().mean()
        if at_once < count:
            asked = (a * noise - s * target)[rows:]
            loss = loss + (count / at_once - 1) * F.mse_loss(velocity[rows:], asked)
        return loss


def check_predicts_v(networks: Networks, kind: str) -> None:
    """Raise ConfigError for networks that predict noise: from noise alone that tells nothing.

    Args:
        networks: That are to make pictures in one step.
        kind: Of the stage that asks for it.
    """
    if (asked := networks.scheduler.config.prediction_type) != "v_prediction":
        raise ConfigError(
            f"a stage of kind {kind} needs networks that predict v, these predict {asked}; leave "
            "it out of the recipe, it is for models made from nothing"
        )


def first_timestep(networks: Networks) -> int:
    """Tell where frames that are made in one step begin."""
    if not networks.start_from_reference:
        return len(networks.sqrt_alphas_cumprod) - 1
    scheduler = able_to_begin_late(deepcopy(networks.scheduler))
    return int(set_timesteps_from(scheduler, 1, networks.start_from_reference)[0][0])


def starting_latents(networks: Networks, batch: PairBatch, t: Tensor, noise: Tensor) -> Tensor:
    """Give what frames begin as, (n, c, h, w): noise, or the noised reference.

    Args:
        networks: That make them.
        batch: Whose references are looked at.
        t: The first timestep of each, (n,).
        noise: Unit noise (n, c, h, w).
    """
    if not networks.start_from_reference:
        return noise
    a, s = networks.factors(t)
    return a * batch.reference[:, : noise.shape[1]] + s * noise


def importance(maps: Tensor) -> Tensor:
    """Tell how much each pixel counts: more near limbs, most near the face.

    Args:
        maps: Pose maps (n, 3, S, S) in 0..1. A face is what small white dots stand for.

    Returns:
        Weights (n, 1, S, S) with mean 1.
    """
    reach = maps.shape[-1] // 32
    body = _near(maps.amax(1, keepdim=True), reach)
    face = _near((maps.amin(1, keepdim=True) > 0.6).float(), max(1, reach // 2))
    weights = 1 + BODY_WEIGHT * body + FACE_WEIGHT * face
    return weights / weights.mean()


def window_corners(weights: Tensor, where: Tensor) -> Tensor:
    """Choose a window of each picture, whose center falls on a pixel as often as the pixel counts.

    Args:
        weights: How much each pixel counts, (n, 1, S, S).
        where: Values (n,) in 0..1, one a window.

    Returns:
        The upper left corners (row, column) in patches of 8 pixels, (n, 2). Windows stay in the
        picture.
    """
    counts = F.avg_pool2d(weights, 8).squeeze(1)  # (n, S / 8, S / 8)
    places = counts.shape[-1]
    sums = counts.flatten(1).cumsum(1)
    centers = torch.searchsorted(sums, where[:, None] * sums[:, -1:]).clamp(max=places**2 - 1)
    corners = torch.cat([centers // places, centers % places], 1) - WINDOW_PX // 16
    return corners.clamp(0, max(0, places - WINDOW_PX // 8))


def _windows(pictures: Tensor, corners: Tensor, patch: int) -> Tensor:
    """Square pieces of (n, c, S, S) pictures (patch 8) or of their latents (patch 1)."""
    count, channels, _, width = pictures.shape
    side = min(WINDOW_PX // 8 * patch, width)
    along = torch.arange(side, device=corners.device)
    rows, columns = (patch * corner[:, None] + along for corner in corners.unbind(1))
    places = (width * rows[:, :, None] + columns[:, None]).reshape(count, 1, -1)
    pieces = pictures.flatten(2).gather(2, places.expand(-1, channels, -1))
    return pieces.view(count, channels, side, side)


def _near(marks: Tensor, reach: int) -> Tensor:
    """Marks, widened by some pixels and with soft edges."""
    side = 2 * reach + 1
    for pool in (F.max_pool2d, F.avg_pool2d):  # of a square, as a row's after a column's: cheaper
        marks = pool(marks, (side, 1), 1, (reach, 0))
        marks = pool(marks, (1, side), 1, (0, reach))
    return marks
