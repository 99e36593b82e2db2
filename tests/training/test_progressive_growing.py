"""A model of twice the size that begins with what a smaller one has learned."""

import pytest
import torch

from magicpose_cli.diffusion.checkpoint.loading import load_pipeline
from magicpose_cli.errors import ConfigError, ModelError
from magicpose_cli.progress import silent
from magicpose_cli.training.checkpoints import checkpoints, read_tensors
from magicpose_cli.training.networks import build_networks
from magicpose_cli.training.pair_source import open_source
from magicpose_cli.training.progressive_growing import ProgressiveGrowing
from magicpose_cli.training.recipe import NETWORK_NAMES, Recipe, StageSettings
from magicpose_cli.training.run import train
from magicpose_cli.training.trained_model import write_model

pytestmark = pytest.mark.slow  # each test needs what takes seconds to make


@pytest.fixture(scope="module")
def half(toy, tmp_path_factory):
    """The toy model at 32 pixels, its zero layers awake, as a folder."""
    model = toy.model.model_copy(update={"size": 32})
    recipe = toy.model_copy(update={"model": model})
    networks = build_networks(recipe)
    for name, weight in networks.pose_controlnet.named_parameters():
        if "controlnet_" in name:
            torch.nn.init.normal_(weight, std=0.1)
    folder = tmp_path_factory.mktemp("half") / "model"
    write_model(networks, recipe, folder, ("base",), 1.0)
    return folder


def grown(toy: Recipe, half, attention=(True, True, True), **changes) -> Recipe:
    network = toy.model.network.model_copy(
        update={"widths": (16, 16, 32), "attention": attention, **changes}
    )
    model = toy.model.model_copy(update={"grow_from": str(half), "network": network})
    stages = {
        "growth": StageSettings(kind="growth", steps=4, batch=4, learning_rate=2e-3, warmup=1),
        "end-to-end": toy.stages["end-to-end"],
    }
    return toy.model_copy(update={"model": model, "stages": stages})


@pytest.fixture(scope="module")
def batch(toy, half):
    recipe = grown(toy, half)
    source = open_source(recipe, 0, torch.device("cpu"), silent)
    yield next(source.pairs(8, build_networks(recipe).encode, 0))
    source.close()


@pytest.mark.parametrize("attention", [(True, True, True), (False, True, True)])
@torch.no_grad()
def test_kept_levels_answer_as_before(toy, half, attention):
    """Given what they were used to, and on the way up nothing but enlarged."""
    small = build_networks(toy.model_copy(update={
        "model": toy.model.model_copy(update={"start": str(half)})
    }))  # fmt: skip
    large = build_networks(grown(toy, half, attention))
    torch.manual_seed(0)
    noisy, clean, t = torch.randn(2, 4, 4, 4), torch.randn(2, 4, 4, 4), torch.full((2,), 600)
    maps = torch.rand(2, 3, 32, 32)
    seen = {"unet": noisy, "appearance_unet": clean, "pose_controlnet": noisy}
    for name in NETWORK_NAMES:  # in place of the new level's way down
        features = large.input_convs.features(name, seen[name], maps)
        down = large.part(name).down_blocks[0]
        down.register_forward_hook(
            lambda module, inputs, output, features=features: (
                features, (*output[1][:-1], features)
            )
        )  # fmt: skip
    outputs = []
    for networks in (small, large):
        networks.unet.conv_norm_out.register_forward_pre_hook(
            lambda module, inputs: outputs.append(inputs[0])
        )
    small(noisy, t, clean, maps)
    large(torch.randn(2, 4, 8, 8), t, torch.randn(2, 4, 8, 8), torch.rand(2, 3, 64, 64))
    before, after = outputs
    assert before.std() > 0.1
    enlarged = before.repeat_interleave(2, 2).repeat_interleave(2, 3)
    assert torch.allclose(after, enlarged, atol=1e-5)


def test_growing_changes_the_new_level_alone(toy, half, batch):
    networks = build_networks(grown(toy, half))
    networks.requires_grad_(True)
    noise = torch.randn(batch.target.shape)
    task, t = ProgressiveGrowing(networks), torch.full((8,), 900)
    optimizer = torch.optim.AdamW(networks.parameters(), 4e-3)
    losses = []
    for _ in range(40):
        loss = task(batch, 0, t, noise)
        optimizer.zero_grad()
        loss.backward()
        if not losses:
            moved = {n for n, p in networks.named_parameters() if p.grad is not None}
        losses.append(loss.item())
        optimizer.step()
    assert losses[-1] < 0.5 * losses[0]
    assert {name.partition(".")[0] for name in moved} == set(NETWORK_NAMES)
    new = ("conv_in.", "down_blocks.0.", "controlnet_cond_embedding.")
    for name in moved:
        assert name.partition(".")[2].startswith(new), name


def test_a_grown_model_trains_and_goes_on(toy, half, tmp_path):
    recipe = grown(toy, half)

    def stop(progress):
        if progress.stage == "growth":
            raise KeyboardInterrupt

    once = train(recipe, tmp_path / "once", device="cpu").models["model"]
    with pytest.raises(KeyboardInterrupt):
        train(recipe, tmp_path / "stopped", device="cpu", on_progress=stop)
    again = train(recipe, tmp_path / "stopped", device="cpu").models["model"]
    for stage in ("growth", "growth-end-to-end"):
        first, second = (
            read_tensors(checkpoints(tmp_path / run / "stages" / stage)[-1])
            for run in ("once", "stopped")
        )
        assert first.keys() == second.keys()
        assert all(torch.equal(value, second[key]) for key, value in first.items())
    one, other = (load_pipeline(folder, "float32") for folder in (once, again))
    assert len(one.unet.config.block_out_channels) == 3
    for part in (*NETWORK_NAMES, "vae"):
        first, second = (getattr(pipeline, part).state_dict() for pipeline in (one, other))
        assert all(torch.equal(value, second[key]) for key, value in first.items())


@pytest.mark.parametrize(
    ("changes", "complaint"),
    [
        ({"widths": (16, 32)}, r"widths \[16, 32\].*expected network.widths \[16, 16, 32\]"),
        ({"widths": (8, 16, 32)}, r"expected network.widths \[16, 16, 32\]"),
        ({"attention": (True, True, False)}, r"attention \[true, true\]"),
        ({"heads": 4}, "attention_head_dim 2.* asks for 4"),
        ({"text_width": 16}, "cross_attention_dim 8"),
    ],
)
def test_shapes_that_do_not_belong_together(toy, half, changes, complaint):
    asked = {"attention": (True,) * len(changes.get("widths", (0,) * 3))} | changes
    with pytest.raises(ConfigError, match=complaint):
        build_networks(grown(toy, half, **asked))


def test_the_size_is_twice_that_of_the_model(toy, half):
    recipe = grown(toy, half)
    model = recipe.model.model_copy(update={"size": 128})
    with pytest.raises(ConfigError, match=r"32 pixels; expected model\.size 64"):
        build_networks(recipe.model_copy(update={"model": model}))


def test_what_growth_needs(toy, half, tmp_path):
    with pytest.raises(ModelError, match=r"model\.grow_from .*nowhere"):
        build_networks(grown(toy, tmp_path / "nowhere"))
    with pytest.raises(ConfigError, match=r"growth needs model\.grow_from"):
        ProgressiveGrowing(build_networks(toy))
