"""The compositor learns from frames and references alone; the other networks stay as they are."""

import pytest
import torch

from magicpose_cli.errors import ConfigError
from magicpose_cli.training.compositor_training import CompositorTraining, softened
from magicpose_cli.training.networks import build_networks
from magicpose_cli.training.pair_source import PairBatch


@pytest.fixture
def networks(toy):
    networks = build_networks(toy)
    networks.requires_grad_(False)
    networks.compositor.requires_grad_(True)
    return networks


def pairs() -> tuple[PairBatch, torch.Tensor]:
    """References that are their targets in the left half, and something else in the right one."""
    chance = torch.Generator().manual_seed(3)
    picture, other, maps = torch.rand(3, 4, 3, 64, 64, generator=chance)
    reference = torch.cat([picture[..., :32], other[..., 32:]], 3)
    latents, noise = torch.randn(2, 4, 4, 8, 8, generator=chance)
    return PairBatch(latents, reference, maps, latents, picture, maps), noise


def test_it_learns_where_the_reference_is_right(networks):
    task, (batch, noise) = CompositorTraining(networks), pairs()
    optimizer = torch.optim.AdamW(networks.compositor.parameters(), lr=1e-2)
    losses = []
    for _ in range(25):
        loss = task(batch, noise, torch.zeros(4))
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    assert losses[-1] < 0.7 * losses[0]
    assert all(p.grad is None for p in networks.unet.parameters())


def test_networks_that_predict_noise_are_refused(networks):
    networks.scheduler.register_to_config(prediction_type="epsilon")
    with pytest.raises(ConfigError, match="of kind compositor needs networks that predict v"):
        CompositorTraining(networks)


def test_frames_are_softened_by_steps():
    frames = torch.rand(5, 3, 64, 64, generator=torch.Generator().manual_seed(4))
    frames = frames[:1].expand(5, -1, -1, -1)
    made = softened(frames, torch.tensor([0.0, 0.19, 0.21, 0.6, 1.0]))
    assert torch.equal(made[0], frames[0]) and torch.equal(made[1], frames[1])
    left = made.diff(dim=-1).abs().mean((1, 2, 3))
    assert left[2] < 0.3 * left[1] and left[3] < 0.6 * left[2] and left[4] < 0.6 * left[3]
