"""Stages that teach a ControlNet to read maps of the body: it alone learns, from no effect."""

import numpy as np
import pytest
import torch

from magicpose_cli.body.maps import BODY_PART_COLORS
from magicpose_cli.diffusion.checkpoint.loading import load_pipeline
from magicpose_cli.errors import ModelError
from magicpose_cli.synthetic.people import TEST_SEEDS
from magicpose_cli.synthetic.rendered.rendered_people import render_people
from magicpose_cli.training import clip_pool, pair_source
from magicpose_cli.training.networks import build_networks
from magicpose_cli.training.recipe import NETWORK_NAMES, Recipe, StageSettings, load_recipe
from magicpose_cli.training.run import train
from magicpose_cli.training.stages import task_of
from tests.training.few_steps import falling_losses, first_example

MAPS = ("depth", "parts")


@pytest.fixture(scope="module", autouse=True)
def few_people():
    """Two are made at a time: rendering one takes a second."""
    with pytest.MonkeyPatch.context() as patch:
        for module in (clip_pool, pair_source):
            patch.setattr(module, "CHUNK_CLIPS", 2)
        yield


@pytest.fixture(scope="module")
def recipe(toy) -> Recipe:
    """The toy recipe with rendered people and a stage of geometry alone."""
    data = {"source": "rendered", "clips": 2, "frames": 2, "resample_every": 100}
    data = toy.data.model_copy(update=data)
    model = toy.model.model_copy(update={"body_maps": MAPS})
    stage = StageSettings(kind="geometry", steps=4, warmup=1, batch=4, learning_rate=1e-2)
    return toy.model_copy(update={"data": data, "model": model, "stages": {"geometry": stage}})


@pytest.mark.slow
def test_maps_of_rendered_people_show_the_body_under_the_clothes():
    people = render_people(TEST_SEEDS + 11, 1, 2, 128, body_maps=("parts", "silhouette"))
    same = render_people(TEST_SEEDS + 11, 1, 2, 128)
    assert torch.equal(people.images, same.images) and same.body_maps is None
    assert people.body_maps.shape == (2, 128, 128, 6)
    table = np.array([*BODY_PART_COLORS.values(), (0, 0, 0)])
    for maps, labels in zip(people.body_maps, people.labels.numpy(), strict=True):
        parts, covered = maps[..., :3].astype(int), maps[..., 3] > 0
        assert (np.abs(parts[:, :, None] - table).max(axis=3).min(axis=2) == 0).all()
        assert (parts.any(axis=2) == covered).all()
        person = labels > 0
        assert (covered & person).sum() > 0.7 * covered.sum()


@pytest.mark.slow
def test_it_begins_with_no_effect_and_a_few_steps_lower_the_loss(recipe, source):
    networks = build_networks(recipe)
    arguments = first_example(recipe, networks, source)
    batch, _, t, noise = arguments
    assert batch.maps.shape == (4, 9, 64, 64)
    assert batch.reference_maps.shape == (4, 3, 64, 64)
    with torch.no_grad():
        alone = networks(noise, t, batch.reference, batch.maps[:, :3])
        assert torch.equal(networks(noise, t, batch.reference, batch.maps), alone)
    task = task_of(networks, recipe.stages["geometry"])
    losses = falling_losses(networks, "body_controlnet", task, arguments)
    assert losses[-1] < 0.95 * losses[0], losses


@pytest.mark.slow
def test_a_run_trains_it_alone_and_what_it_writes_is_gone_on_with(recipe, tmp_path):
    folder = train(recipe, tmp_path / "run", device="cpu").models["model"]
    made, networks = load_pipeline(folder), build_networks(recipe)
    assert made.config.body_maps == list(MAPS)
    assert made.body_controlnet.controlnet_mid_block.weight.abs().max() > 0
    for name in NETWORK_NAMES:
        for one, other in zip(
            getattr(made, name).parameters(), networks.part(name).parameters(), strict=True
        ):
            torch.testing.assert_close(one, other.half().float())
    begun = recipe.model_copy(
        update={"model": recipe.model.model_copy(update={"start": str(folder)})}
    )
    again = build_networks(begun)
    assert "body_controlnet" in again.pretrained
    assert torch.equal(
        again.body_controlnet.controlnet_mid_block.weight,
        made.body_controlnet.controlnet_mid_block.weight,
    )
    other = begun.model.model_copy(update={"body_maps": ("parts", "depth")})
    with pytest.raises(ModelError, match="reads depth, parts; expected the same"):
        build_networks(begun.model_copy(update={"model": other}))


@pytest.mark.slow
def test_gradient_checkpointing_changes_no_gradient(recipe, source):
    network = recipe.model.network.model_copy(update={"attention": (True, False)})
    model, found = recipe.model.model_copy(update={"network": network}), []
    for asked in (False, True):
        options = {"model": model, "gradient_checkpointing": asked}
        networks = build_networks(recipe.model_copy(update=options))
        assert networks.body_controlnet.is_gradient_checkpointing is asked
        networks.train()
        task = task_of(networks, recipe.stages["geometry"])
        task(*first_example(recipe, networks, source)).backward()
        found.append(networks.body_controlnet.controlnet_mid_block.weight.grad)
    assert found[0].abs().max() > 0
    torch.testing.assert_close(*found)


@pytest.mark.slow
def test_two_steps_and_two_more_are_four(recipe, whole_and_halves):
    one, other = whole_and_halves(recipe)
    assert one.keys() == other.keys()
    assert all(torch.equal(tensor, other[key]) for key, tensor in one.items())


@pytest.mark.slow
def test_every_stage_of_two_parts_takes_the_maps(recipe, source, toy):
    """The body's maps are no part of what tells where a face or a limb is."""
    networks = build_networks(recipe)
    for name in ("end-to-end", "compositor"):
        stage = StageSettings(kind=name, steps=1, batch=4)
        if name == "compositor":
            from magicpose_cli.diffusion.compositor import new_compositor

            networks.compositor = new_compositor()
        recipe_of_it = recipe.model_copy(update={"stages": {name: stage}})
        loss = task_of(networks, stage)(*first_example(recipe_of_it, networks, source))
        assert torch.isfinite(loss)


@pytest.mark.parametrize(
    ("source", "maps", "said"),
    [
        ("drawn", ["depth"], r"expected data\.source rendered"),
        ("rendered", ["deep"], "names 'deep'; expected some of depth"),
        ("rendered", [], r"expected model\.body_maps to name"),
    ],
)
def test_what_a_recipe_of_geometry_needs(source, maps, said):
    stages = {"geometry": {"kind": "geometry", "steps": 1}}
    with pytest.raises(ValueError, match=said):
        Recipe.model_validate(
            {"data": {"source": source}, "model": {"body_maps": tuple(maps)}, "stages": stages}
        )


@pytest.mark.parametrize("name", ["magicpose-geometry", "mini-geometry"])
def test_shipped_recipes_train_it_alone(name):
    assert load_recipe(name).stages["geometry"].parts == ("body_controlnet",)
