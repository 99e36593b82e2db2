"""The stage that teaches a motion module: it alone learns, from no effect, on films."""

import pytest
import torch

from magicpose_cli.config.sections import presets_folder
from magicpose_cli.diffusion.checkpoint.loading import load_pipeline
from magicpose_cli.training.motion_training import MotionTraining
from magicpose_cli.training.networks import build_networks
from magicpose_cli.training.recipe import Recipe, StageSettings, load_recipe
from magicpose_cli.training.run import train
from magicpose_cli.training.stages import task_of
from tests.training.few_steps import falling_losses, first_example

pytestmark = pytest.mark.slow

FORMER_FINGERPRINT = "7311ac723f85ef06"
"""Of the toy recipe, before there was a stage of motion."""


@pytest.fixture(scope="module")
def recipe(toy) -> Recipe:
    """The toy recipe's data as films, and a stage of motion alone."""
    data = toy.data.model_copy(update={"frames": 6, "rate": 25.0})
    stage = StageSettings(
        kind="motion", steps=4, warmup=1, batch=2, frames=4, learning_rate=1e-2, cond_dropout=0.5
    )
    return toy.model_copy(update={"data": data, "stages": {"motion": stage}})


def test_films_are_frames_in_a_row(recipe, source):
    networks = build_networks(recipe)
    batch, _dropped, t, noise = first_example(recipe, networks, source)
    assert batch.target.shape == (8, *batch.reference.shape[1:])
    assert batch.maps.shape == batch.picture.shape == (8, 3, 64, 64)
    assert t.shape == (2,)
    assert noise.shape == batch.reference.shape
    films = batch.picture.unflatten(0, (2, 4))
    near = (films[:, 1:] - films[:, :-1]).abs().mean()
    far = (films[0] - films[1]).abs().mean()
    assert 0 < near < far / 3


def test_it_begins_with_no_effect(recipe, source):
    networks = build_networks(recipe)
    batch, _, t, _noise = first_example(recipe, networks, source)
    noisy, times = batch.target, t.repeat_interleave(4)
    with torch.no_grad():
        films = networks(noisy, times, batch.reference, batch.maps, frames=4)
        apart = networks(noisy, times, batch.reference.repeat_interleave(4, 0), batch.maps)
    torch.testing.assert_close(films, apart, atol=1e-5, rtol=1e-5)


def test_a_few_steps_lower_the_loss_of_a_batch(recipe, source):
    networks = build_networks(recipe)
    arguments = first_example(recipe, networks, source)
    stage = recipe.stages["motion"].model_copy(update={"change_weight": 1.0})
    task = task_of(networks, stage)
    assert isinstance(task, MotionTraining)
    losses = falling_losses(networks, "motion_adapter", task, arguments)
    assert losses[-1] < 0.9 * losses[0], losses


@pytest.mark.parametrize("change_weight", [0.0, 2.0])
def test_pictures_of_films_that_are_made_in_one_step(recipe, source, change_weight):
    stage = StageSettings(
        kind="end-to-end", train=("motion_adapter",), frames=4, steps=1, batch=2,
        cond_dropout=0.0, change_weight=change_weight,
    )  # fmt: skip
    films = recipe.model_copy(update={"stages": {"motion": stage}})
    networks = build_networks(films)
    networks.start_from_reference = 0.25
    batch, *rest = first_example(films, networks, source)
    assert batch.target.shape[0] == 8 and len(rest[-1]) == 2
    seen = []
    hook = networks.register_forward_pre_hook(
        lambda module, inputs, named: seen.append((inputs, named)), with_kwargs=True
    )
    task = task_of(networks, stage)
    losses = falling_losses(networks, "motion_adapter", task, (batch, *rest))
    hook.remove()
    (noisy, times, reference, _), named = seen[0]
    assert named["frames"] == 4 and len(reference) == 2 and len(set(times.tolist())) == 1
    for film in noisy.unflatten(0, (2, 4)):  # all frames begin from the noised reference
        assert all(torch.equal(frame, film[0]) for frame in film)
    assert losses[-1] < 0.99 * losses[0], losses


def test_gradient_checkpointing_changes_no_gradient(recipe, source):
    found = []
    network = recipe.model.network.model_copy(update={"attention": (True, False)})
    model = recipe.model.model_copy(update={"network": network})
    for asked in (False, True):
        options = {"model": model, "gradient_checkpointing": asked}
        networks = build_networks(recipe.model_copy(update=options))
        networks.train()
        torch.manual_seed(0)
        for weight in networks.motion_adapter.parameters():
            torch.nn.init.normal_(weight, std=0.1)
        task = task_of(networks, recipe.stages["motion"])
        task(*first_example(recipe, networks, source)).backward()
        found.append([p.grad for p in networks.motion_adapter.parameters()])
    for plain, checkpointed in zip(*found, strict=True):
        torch.testing.assert_close(checkpointed, plain)


def test_a_run_trains_it_alone_and_writes_it(recipe, tmp_path):
    whole = train(recipe, tmp_path / "whole", device="cpu").models["model"]
    made = load_pipeline(whole)
    moved = [
        layer.proj_out.weight.abs().max()
        for block in made.motion_adapter.down_blocks
        for layer in block.motion_modules
    ]
    assert all(weight > 0 for weight in moved)
    networks = build_networks(recipe)
    for name in ("unet", "appearance_unet", "pose_controlnet"):
        for one, other in zip(
            getattr(made, name).parameters(), networks.part(name).parameters(), strict=True
        ):
            torch.testing.assert_close(one, other.half().float())


def test_two_steps_and_two_more_are_four(recipe, whole_and_halves):
    one, other = whole_and_halves(recipe)
    assert one.keys() == other.keys()
    assert all(torch.equal(tensor, other[key]) for key, tensor in one.items())


def test_what_a_recipe_of_motion_needs():
    data = {"source": "drawn", "frames": 4}
    stages = {"motion": {"kind": "motion", "steps": 1, "frames": 8}}
    with pytest.raises(ValueError, match=r"expected a data\.rate above 0"):
        Recipe.model_validate({"data": data, "stages": stages})
    with pytest.raises(ValueError, match=r"takes 8 frames in a row: expected data\.frames"):
        Recipe.model_validate({"data": {**data, "rate": 25.0}, "stages": stages})


@pytest.mark.parametrize("name", ["magicpose-motion", "mini-motion"])
def test_shipped_recipes(name):
    assert (presets_folder() / "training" / f"{name}.toml").is_file()
    shipped = load_recipe(name)
    assert shipped.stages["motion"].parts == ("motion_adapter",)


def test_fingerprints_of_earlier_recipes_stay(toy):
    recipe = load_recipe("toy")
    former = {name: stage for name, stage in recipe.stages.items() if name != "compositor"}
    assert recipe.model_copy(update={"stages": former}).fingerprint() == FORMER_FINGERPRINT
    changed = toy.model_copy(update={"data": toy.data.model_copy(update={"rate": 5.0})})
    assert changed.fingerprint() != toy.fingerprint()
