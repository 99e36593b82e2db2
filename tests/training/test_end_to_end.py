"""One step from noise to picture: what counts, what learns, and that it learns."""

from dataclasses import replace

import pytest
import torch
from diffusers import DDIMScheduler

from magicpose_cli.errors import ConfigError
from magicpose_cli.progress import silent
from magicpose_cli.training.end_to_end import (
    DENOISED_SHARE,
    WINDOW_PX,
    EndToEnd,
    importance,
    window_corners,
)
from magicpose_cli.training.networks import build_networks
from magicpose_cli.training.pair_source import open_source
from magicpose_cli.training.recipe import StageSettings

STAGE = StageSettings(kind="end-to-end", steps=1)


@pytest.fixture(scope="module")
def networks(toy):
    from magicpose_cli.synthetic.people import draw_people
    from magicpose_cli.training.autoencoder import fit_autoencoder

    networks = build_networks(toy)
    pictures = (draw_people(3, 8, 2, 64).images.permute(0, 2, 3, 1) * 255).byte().numpy()
    fit_autoencoder(networks.vae, pictures)
    return networks


@pytest.fixture(scope="module")
def batch(toy, networks):
    source = open_source(toy, 0, torch.device("cpu"), silent)
    yield next(source.pairs(8, networks.encode, 0))
    source.close()


def test_face_and_limbs_count_more(batch):
    weights = importance(batch.maps)
    assert weights.shape == (8, 1, 64, 64)
    assert torch.allclose(weights.mean((1, 2, 3)).mean(), torch.tensor(1.0))
    white = batch.maps.amin(1, keepdim=True) > 0.9
    black = batch.maps.amax(1, keepdim=True) == 0
    colored = ~white & ~black
    assert weights[white].mean() > 1.5 * weights[colored].mean() > 1.5 * weights[black].mean() > 0


def test_windows_lie_where_it_counts():
    weights = torch.ones(2000, 1, 256, 256)
    weights[:, :, 64:72, 200:208] = 1e4  # row 8, column 25 of the patches
    corners = window_corners(weights, torch.linspace(0, 1, 2000))
    most = (256 - WINDOW_PX) // 8
    assert corners.min() == 0 and corners.max() == most
    near = (corners == torch.tensor([0, most])).all(1)  # as far as the picture goes
    assert 0.88 < near.float().mean() < 0.96  # 10,000 of 11,023, and neighbors


def test_small_pictures_are_looked_at_whole():
    assert window_corners(torch.rand(3, 1, 64, 64), torch.rand(3)).tolist() == [[0, 0]] * 3


def test_a_window_alone_is_decoded(networks, batch, monkeypatch):
    """What lies outside of the window has no part in the loss of the picture."""
    monkeypatch.setattr("magicpose_cli.training.end_to_end.WINDOW_PX", 32)
    monkeypatch.setattr("magicpose_cli.training.end_to_end.LATENT_WEIGHT", 0.0)
    weights = importance(batch.maps)
    corners = window_corners(weights, torch.full((8,), 0.5)).tolist()
    assert len({tuple(corner) for corner in corners}) > 1
    outside = batch.picture.clone()
    for picture, (y, x) in zip(outside, corners, strict=True):
        inside = picture[:, 8 * y : 8 * y + 32, 8 * x : 8 * x + 32].clone()
        picture.zero_()
        picture[:, 8 * y : 8 * y + 32, 8 * x : 8 * x + 32] = inside
    task, t = EndToEnd(networks, STAGE), torch.full((8,), 500)
    noise, where = torch.randn(batch.target.shape), torch.full((8,), 0.5)
    with torch.no_grad():
        loss = task(batch, 0, t, noise, where)
        assert torch.equal(task(replace(batch, picture=outside), 0, t, noise, where), loss)
        assert task(replace(batch, picture=outside), 0, t, noise, where * 0.1) != loss


def test_the_pictures_own_error_reaches_every_part(networks, batch):
    networks.requires_grad_(True)
    task = EndToEnd(networks, STAGE)
    t = torch.full((8,), 500)
    loss = task(batch, 1, t, torch.randn(batch.target.shape), torch.rand(8))
    loss.backward()
    for part in ("unet", "appearance_unet", "pose_controlnet", "vae.decoder"):
        assert any(
            p.grad is not None and p.grad.abs().sum() > 0 for p in networks.part(part).parameters()
        ), part
    assert all(p.grad is None for p in networks.vae.encoder.parameters())
    networks.zero_grad()


def test_pictures_begin_with_nothing_of_the_target(networks, batch):
    """Of the latents of the target, only those of the denoised rest are an input."""
    seen = []
    hook = networks.register_forward_pre_hook(lambda module, inputs: seen.append(inputs))
    noise, t = torch.randn(batch.target.shape), torch.full((8,), 300)
    with torch.no_grad():
        EndToEnd(networks, STAGE)(batch, 2, t, noise, torch.rand(8))
    hook.remove()
    ((noisy, times, reference, maps),) = seen
    at_once = 8 - round(8 * DENOISED_SHARE)
    assert torch.equal(noisy[:at_once], noise[:at_once])
    assert not torch.equal(noisy[at_once:], noise[at_once:])
    assert (times[:at_once] == 999).all() and (times[at_once:] == 300).all()
    assert len(reference) == len(maps) == 6


def test_pictures_may_start_from_the_reference(networks, batch):
    seen = []
    hook = networks.register_forward_pre_hook(lambda module, inputs: seen.append(inputs))
    noise, t = torch.randn(batch.target.shape), torch.full((8,), 300)
    networks.start_from_reference = 0.25
    try:
        with torch.no_grad():
            EndToEnd(networks, STAGE)(batch, 2, t, noise, torch.rand(8))
    finally:
        networks.start_from_reference = 0.0
        hook.remove()
    ((noisy, times, _, _),) = seen
    at_once = 8 - round(8 * DENOISED_SHARE)
    scheduler = networks.scheduler
    assert (times[at_once:] == 300).all()
    assert len(set(times[:at_once].tolist())) == 1 and 240 <= times[0] <= 260
    expected = scheduler.add_noise(batch.reference, noise, times)
    assert torch.allclose(noisy[:at_once], expected[:at_once], atol=1e-5)


@pytest.mark.slow
def test_its_loss_falls(networks, batch):
    networks.requires_grad_(False)
    parameters = [
        p.requires_grad_(True)
        for part in ("unet", "appearance_unet", "pose_controlnet", "vae.decoder")
        for p in networks.part(part).parameters()
    ]
    optimizer = torch.optim.AdamW(parameters, 2e-3)
    task, t = EndToEnd(networks, STAGE), torch.full((8,), 500)
    noise = torch.randn(batch.target.shape)
    losses = []
    for _ in range(25):
        loss = task(batch, 0, t, noise, torch.rand(8))
        loss.backward()
        optimizer.step()
        optimizer.zero_grad()
        losses.append(loss.item())
    assert losses[-1] < 0.7 * losses[0]


def test_networks_that_predict_noise_are_refused(networks):
    shown = networks.scheduler
    networks.scheduler = DDIMScheduler()
    try:
        with pytest.raises(ConfigError, match="predict v, these predict epsilon"):
            EndToEnd(networks, STAGE)
    finally:
        networks.scheduler = shown
