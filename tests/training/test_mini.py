"""The training at toy size: it learns, and goes on where it stopped."""

import numpy as np
import pytest
import torch

from magicpose_cli.diffusion.pipeline import MagicPosePipeline
from magicpose_cli.training import mini
from magicpose_cli.training.autoencoder import decoder_loss, encode, fit_autoencoder, to_tensor
from magicpose_cli.training.pool import Pool, draw_clips, imperfect


@pytest.fixture(scope="module")
def pool():
    pool = Pool(
        clips=8, frames=mini.FRAMES, size=mini.SIZE, canvas=mini.CANVAS, first_seed=0, workers=1
    )
    yield pool
    pool.close()


@pytest.fixture(scope="module")
def vae(pool):
    return fit_autoencoder(pool.images.reshape(-1, mini.SIZE, mini.SIZE, 3))


def test_the_pool_draws_what_its_seeds_say_and_renews_itself(pool):
    images, maps = draw_clips(0, 8, mini.FRAMES, mini.SIZE, mini.CANVAS)
    assert np.array_equal(pool.images, images) and np.array_equal(pool.maps, maps)
    pool.renew()  # orders the next ones
    pool._pending[0].result()
    assert sorted(pool.renew()) == list(range(8))
    assert not np.array_equal(pool.images, images)


def test_an_imperfect_pose_loses_parts_at_times_and_stays_near(people):
    pose = people.poses()[0]
    rng = np.random.default_rng(0)
    tries = [imperfect(pose, rng) for _ in range(200)]
    lost = np.mean([np.isnan(t.left_hand).all() for t in tries])
    assert 0.2 < lost < 0.4
    error = np.nanmedian([np.abs(t.body - pose.body) for t in tries])
    assert 0 < error < 0.01 * pose.height


def test_the_linear_encoder_is_the_projection_on_principal_components(pool, vae):
    images = pool.images.reshape(-1, mini.SIZE, mini.SIZE, 3)
    latents = encode(vae, images, "cpu")
    assert latents.shape == (len(images), 4, mini.SIZE // 8, mini.SIZE // 8)
    inside = latents[..., 1:-1, 1:-1]
    assert inside.std((0, 2, 3))[0] == pytest.approx(1, abs=0.1)
    flat = inside.permute(1, 0, 2, 3).flatten(1)
    correlation = torch.corrcoef(flat) - torch.eye(4)
    assert correlation.abs().max() < 0.15


def test_the_untrained_decoder_already_shows_the_colors(pool, vae):
    _, psnr = decoder_loss(vae, to_tensor(pool.images[:4, 0], "cpu"))
    assert psnr > 14


def test_the_networks_learn_and_go_on(pool, vae, tmp_path):
    minutes = 0.05
    first = mini.train_networks(tmp_path, pool, vae, minutes, 8, "cpu")
    state = torch.load(tmp_path / "networks.pt", weights_only=True)
    assert state["step"] >= 1 and state["used_s"] >= 60 * minutes
    again = mini.train_networks(tmp_path, pool, vae, minutes, 8, "cpu")  # nothing left to do
    for one, other in zip(first["unet"].parameters(), again["unet"].parameters(), strict=True):
        assert torch.equal(one, other)
    mini.export(tmp_path / "model", vae, first)
    pipeline = MagicPosePipeline.from_pretrained(tmp_path / "model", torch_dtype=torch.float32)
    assert (pipeline.config.sample_size, pipeline.config.pose_canvas) == (mini.SIZE, mini.CANVAS)


def test_a_few_steps_lower_the_loss(pool, vae):
    torch.manual_seed(0)
    networks = mini.new_networks()
    optimizer = torch.optim.AdamW([p for n in networks.values() for p in n.parameters()], 1e-3)
    latents = encode(vae, pool.images[:4, 0], "cpu")
    t = torch.full((4,), 600)
    a, s = mini.new_scheduler().alphas_cumprod[600].sqrt(), 0.0
    s = (1 - a * a).sqrt()
    noise = torch.randn_like(latents)
    maps = to_tensor(pool.maps[:3, 0], "cpu")
    text = torch.zeros(1, 1, mini.NETWORK["cross_attention_dim"])
    losses = []
    for _ in range(12):
        v = mini.predict_v(networks, a * latents + s * noise, t, latents, maps, text)
        loss = (v - (a * noise - s * latents)).square().mean()
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    assert losses[-1] < 0.7 * losses[0]


def test_the_last_of_the_batch_is_unconditional(pool, vae):
    networks = mini.new_networks()
    latents = encode(vae, pool.images[:3, 0], "cpu")
    maps, text = to_tensor(pool.maps[:2, 0], "cpu"), torch.zeros(1, 1, 32)
    t = torch.full((3,), 500)
    with torch.no_grad():
        v = mini.predict_v(networks, latents, t, latents, maps, text)
        other = mini.predict_v(networks, latents, t, latents.flip(0), maps, text)
    assert torch.equal(v[2], other[2]) and not torch.allclose(v[0], other[0])
