"""Stages that teach identity tokens: face encoder, keys and values alone learn, from no effect."""

import numpy as np
import pytest
import torch

from magicpose_cli.diffusion.adapters.identity import load_identity_adapter
from magicpose_cli.diffusion.adapters.named import OWN_IDENTITY_FOLDER
from magicpose_cli.diffusion.checkpoint.loading import load_pipeline
from magicpose_cli.errors import ModelError
from magicpose_cli.training.networks import build_networks
from magicpose_cli.training.recipe import NETWORK_NAMES, Recipe, StageSettings, load_recipe
from magicpose_cli.training.run import train
from magicpose_cli.training.stages import task_of
from tests.ip_adapter import SEEN, attention_state, plus_projection, put, save_encoder
from tests.training.few_steps import falling_losses, first_example

FACE = 32


@pytest.fixture(scope="module")
def recipe(toy) -> Recipe:
    """The toy recipe with a stage of identity alone."""
    model = toy.model.model_copy(update={"face_size": FACE})
    stage = StageSettings(
        kind="identity", steps=4, warmup=1, batch=4, learning_rate=1e-2, cond_dropout=0.25
    )
    return toy.model_copy(update={"model": model, "stages": {"identity": stage}})


@pytest.mark.slow
def test_faces_come_with_the_references_where_a_stage_reads_them(recipe, source, toy):
    batch, *_ = first_example(recipe, build_networks(recipe), source)
    assert batch.reference_face.shape == (4, 3, FACE, FACE)
    assert (batch.reference_face.flatten(1).amax(1) > 0.2).any()
    assert toy.face_size == 0 and recipe.face_size == FACE
    assert recipe.fingerprint() != recipe.model_copy(update={"model": toy.model}).fingerprint()
    without = toy.model.model_copy(update={"face_size": 64})
    assert toy.model_copy(update={"model": without}).fingerprint() == toy.fingerprint()


@pytest.mark.slow
def test_it_begins_with_no_effect_and_a_few_steps_lower_the_loss(recipe, source):
    networks = build_networks(recipe)
    batch, dropped, t, noise = arguments = first_example(recipe, networks, source)
    assert dropped == 1
    with torch.no_grad():
        alone = networks(noise, t, batch.reference, batch.maps)
        shown = networks(noise, t, batch.reference, batch.maps, faces=batch.reference_face)
        assert torch.equal(shown, alone)
    task = task_of(networks, recipe.stages["identity"])
    losses = falling_losses(networks, "identity_adapter", task, arguments)
    assert losses[-1] < 0.97 * losses[0], losses
    with torch.no_grad():
        one = networks(noise, t, batch.reference, batch.maps, faces=batch.reference_face)
        other = networks(noise, t, batch.reference, batch.maps, faces=1 - batch.reference_face)
    assert not torch.allclose(one, other, atol=1e-4)


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["identity", "end-to-end"])
def test_the_loss_reaches_the_encoder(recipe, source, kind):
    """In one pass and, with checkpointing, in two: to the same gradients."""
    stage = StageSettings(kind=kind, train=("identity_adapter",), steps=1, batch=4)
    network = recipe.model.network.model_copy(update={"attention": (True, False)})
    model, found = recipe.model.model_copy(update={"network": network}), []
    for asked in (False, True):
        of_it = recipe.model_copy(
            update={"model": model, "stages": {kind: stage}, "gradient_checkpointing": asked}
        )
        networks = build_networks(of_it)
        networks.train()
        torch.manual_seed(0)
        for processor in networks.identity_adapter.processors:
            torch.nn.init.normal_(processor.to_v_ip[0].weight, std=0.3)
        task_of(networks, stage)(*first_example(of_it, networks, source)).backward()
        patches = networks.identity_adapter.encoder.vision_model.embeddings.patch_embedding
        found.append(patches.weight.grad)
    assert found[0].abs().max() > 0
    torch.testing.assert_close(*found)


@pytest.mark.slow
def test_a_run_trains_it_alone_and_what_it_writes_is_gone_on_with(recipe, tmp_path):
    folder = train(recipe, tmp_path / "run", device="cpu").models["model"]
    made, networks = load_pipeline(folder), build_networks(recipe)
    for name in NETWORK_NAMES:
        for one, other in zip(
            getattr(made, name).parameters(), networks.part(name).parameters(), strict=True
        ):
            torch.testing.assert_close(one, other.half().float())
    own = load_identity_adapter(folder / OWN_IDENTITY_FOLDER, made.unet, 1.0)
    values = [processor.to_v_ip[0].weight for processor in own.processors]
    assert all(value.abs().max() > 0 for value in values)
    begun = recipe.model.model_copy(update={"start": str(folder)})
    again = build_networks(recipe.model_copy(update={"model": begun}))
    assert "identity_adapter" in again.pretrained
    face = np.random.default_rng(0).integers(0, 255, (FACE, FACE, 3), np.uint8)
    for one, other in zip(again.identity_adapter.tokens(face), own.tokens(face), strict=True):
        assert torch.equal(one, other)
    larger = begun.model_copy(update={"face_size": 64})
    with pytest.raises(ModelError, match="reads faces of 32 pixels; expected the same"):
        build_networks(recipe.model_copy(update={"model": larger}))


@pytest.mark.slow
def test_two_steps_and_two_more_are_four(recipe, whole_and_halves):
    one, other = whole_and_halves(recipe)
    assert one.keys() == other.keys()
    assert all(torch.equal(tensor, other[key]) for key, tensor in one.items())


@pytest.mark.parametrize("name", ["magicpose-identity", "mini-identity"])
def test_shipped_recipes_train_it_alone(name):
    assert load_recipe(name).stages["identity"].parts == ("identity_adapter",)


@pytest.mark.slow
def test_other_stages_take_an_adapter_along_that_cannot_be_trained(toy, tmp_path):
    start = train(only(toy, "base"), tmp_path / "start", device="cpu").models["model"]
    unet = load_pipeline(start).unet
    width = unet.config.cross_attention_dim
    state = plus_projection(SEEN, width=width, hidden=32, tokens=4, heads=1)
    encoder = save_encoder(tmp_path / "image_encoder")
    put(state | attention_state(unet, width), encoder, start / OWN_IDENTITY_FOLDER)
    model = toy.model.model_copy(update={"start": str(start)})
    joint = only(toy, "joint").model_copy(update={"model": model})
    made = train(joint, tmp_path / "run", device="cpu").models["model"]
    name = "ip-adapter-plus-face_sd15.safetensors"
    one, other = ((folder / OWN_IDENTITY_FOLDER / name).read_bytes() for folder in (start, made))
    assert one == other
    assert (made / OWN_IDENTITY_FOLDER / "image_encoder" / "config.json").is_file()
    alone = StageSettings(kind="identity", steps=1, batch=2)
    with pytest.raises(ModelError, match="cannot be trained"):
        build_networks(joint.model_copy(update={"stages": {"identity": alone}}))


def only(recipe, kind):
    stage = StageSettings(kind=kind, steps=1, warmup=1, batch=2)
    return recipe.model_copy(update={"stages": {kind: stage}})
