"""mini's autoencoder: the encoder is a projection, the decoder starts from colors and learns."""

import numpy as np
import pytest
import torch

from magicpose_cli.synthetic.people import draw_people
from magicpose_cli.training.autoencoder import DecoderTraining, fit_autoencoder, new_autoencoder


@pytest.fixture(scope="module")
def pictures() -> np.ndarray:
    """(32, 64, 64, 3) uint8"""
    images = draw_people(3, 16, 2, 64).images
    return (images.permute(0, 2, 3, 1) * 255).round().byte().numpy()


@pytest.fixture
def vae(pictures):
    torch.manual_seed(0)
    vae = new_autoencoder(8, (1, 1, 1, 1))
    fit_autoencoder(vae, pictures)
    return vae


def tensor(pictures):
    return torch.from_numpy(pictures).permute(0, 3, 1, 2).float() / 255


def test_the_encoder_is_the_projection_on_principal_components(vae, pictures):
    with torch.no_grad():
        latents = vae.encode(tensor(pictures) * 2 - 1).latents * vae.config.scaling_factor
    assert latents.shape == (32, 4, 8, 8)
    assert latents.std((0, 2, 3))[0] == pytest.approx(1, abs=0.1)
    flat = latents.permute(1, 0, 2, 3).flatten(1)
    assert (torch.corrcoef(flat) - torch.eye(4)).abs().max() < 0.05


def test_the_untrained_decoder_already_shows_the_colors(vae, pictures):
    target = tensor(pictures)
    with torch.no_grad():
        latents = vae.encode(target * 2 - 1).latents
        error = (vae.decode(latents).sample + 1) / 2 - target
    assert -10 * error.square().mean().log10() > 13


@pytest.mark.slow
def test_training_the_decoder_lowers_its_loss(vae, pictures):
    task = DecoderTraining(vae)
    target, noise = tensor(pictures[:8]), torch.randn(8, 4, 8, 8)
    before = [p.clone() for p in vae.encoder.parameters()]
    optimizer = torch.optim.AdamW(vae.decoder.parameters(), 2e-3)
    losses = []
    for _ in range(60):
        loss = task(target, noise)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    assert losses[-1] < 0.85 * losses[0]
    assert all(map(torch.equal, before, vae.encoder.parameters()))
