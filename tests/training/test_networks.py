"""The networks under training: built, loaded, and showing each sample what it is to see."""

import pytest
import torch
import torch.nn.functional as F
from diffusers import AutoencoderKL, UNet2DConditionModel
from transformers import CLIPTextConfig, CLIPTextModel, CLIPTokenizer

from magicpose_cli.diffusion.checkpoint.layout import controlnet_modules, renamed, shape_of
from magicpose_cli.diffusion.checkpoint.loading import load_pipeline
from magicpose_cli.errors import ModelError
from magicpose_cli.progress import silent
from magicpose_cli.training.networks import build_networks
from magicpose_cli.training.pair_source import open_source
from magicpose_cli.training.recipe import NETWORK_NAMES, Recipe
from magicpose_cli.training.stages import examples, task_of
from magicpose_cli.training.trained_model import write_model


@pytest.fixture
def networks(toy):
    return build_networks(toy)


def starting_from(recipe: Recipe, folder) -> Recipe:
    model = recipe.model.model_copy(update={"start": str(folder)})
    return recipe.model_copy(update={"model": model})


def arguments(readers: int):
    torch.manual_seed(1)
    noisy, reference = torch.randn(4, 4, 8, 8), torch.randn(4, 4, 8, 8)
    return noisy, torch.full((4,), 500), reference[:readers], torch.rand(readers, 3, 64, 64)


def wake(networks):
    """Zero layers, as the pose network begins with, would hide what it sees."""
    for name, weight in networks.pose_controlnet.named_parameters():
        if "controlnet_" in name:
            torch.nn.init.normal_(weight, std=0.1)


@torch.no_grad()
def test_samples_without_conditions_see_none(networks):
    wake(networks)
    noisy, t, reference, maps = arguments(3)
    one = networks(noisy, t, reference, maps)
    other = networks(noisy, t, reference.flip(0), maps)
    third = networks(noisy, t, reference, maps.flip(0))
    assert torch.equal(one[3], other[3]) and torch.equal(one[3], third[3])
    assert not torch.allclose(one[0], other[0]) and not torch.allclose(one[0], third[0])
    assert torch.allclose(one[3], networks(noisy, t, None, None)[3], atol=1e-5)


@torch.no_grad()
def test_a_part_begins_as_a_copy_of_the_denoiser(networks):
    for weight in networks.unet.parameters():
        weight.add_(1.0)
    for name in ("appearance_unet", "pose_controlnet"):
        networks.start_from_denoiser(name)
        shared = dict(networks.unet.named_parameters())
        copied = [n for n, p in networks.part(name).named_parameters() if n in shared]
        assert len(copied) > 40
        assert all(torch.equal(networks.part(name).get_parameter(n), shared[n]) for n in copied)


@pytest.mark.slow
def test_checkpointing_gradients_changes_none_of_them(toy):
    gradients = []
    for asked in (False, True):
        networks = build_networks(toy.model_copy(update={"gradient_checkpointing": asked}))
        networks.train()
        torch.manual_seed(2)
        wake(networks)
        networks(*arguments(3)).square().mean().backward()
        gradients.append({n: p.grad for n, p in networks.named_parameters() if p.grad is not None})
    assert gradients[0].keys() == gradients[1].keys()
    for name, gradient in gradients[0].items():
        assert torch.allclose(gradient, gradients[1][name], atol=1e-6), name


def test_a_magicpose_model_goes_on_as_it_is(toy, tiny_model):
    networks = build_networks(starting_from(toy, tiny_model))
    pipeline = load_pipeline(tiny_model, "float32")
    assert networks.pretrained == NETWORK_NAMES
    for part in NETWORK_NAMES:
        for name, weight in getattr(pipeline, part).named_parameters():
            assert torch.equal(weight, networks.part(part).get_parameter(name))


@pytest.fixture
def stable_diffusion(tmp_path):
    """A diffusers folder with the parts of Stable Diffusion 1.5, at toy size."""
    torch.manual_seed(0)
    UNet2DConditionModel(
        block_out_channels=(16, 32), layers_per_block=1, cross_attention_dim=8,
        down_block_types=("CrossAttnDownBlock2D", "DownBlock2D"),
        up_block_types=("UpBlock2D", "CrossAttnUpBlock2D"),
        attention_head_dim=2, norm_num_groups=8, sample_size=8,
    ).save_pretrained(tmp_path / "unet")  # fmt: skip
    AutoencoderKL(
        block_out_channels=(8, 8, 8, 8), norm_num_groups=4, latent_channels=4,
        down_block_types=("DownEncoderBlock2D",) * 4, up_block_types=("UpDecoderBlock2D",) * 4,
    ).save_pretrained(tmp_path / "vae")  # fmt: skip
    text = CLIPTextConfig(
        vocab_size=100, hidden_size=8, intermediate_size=16, num_hidden_layers=1,
        num_attention_heads=2, bos_token_id=98, eos_token_id=99,
    )  # fmt: skip
    CLIPTextModel(text).save_pretrained(tmp_path / "text_encoder")
    words = {"!": 0, "<|startoftext|>": 98, "<|endoftext|>": 99}
    CLIPTokenizer(vocab=words, merges=[], model_max_length=77).save_pretrained(
        tmp_path / "tokenizer"
    )
    return tmp_path


@pytest.mark.slow
def test_stable_diffusion_gives_denoiser_autoencoder_and_language(toy, stable_diffusion, tmp_path):
    recipe = starting_from(toy, stable_diffusion)
    networks = build_networks(recipe)
    assert networks.pretrained == () and networks.text.shape == (1, 77, 8)
    assert networks.encode(torch.rand(2, 3, 64, 64)).shape == (2, 4, 8, 8)
    write_model(networks, recipe, tmp_path / "model", ("pose",), 7.0)
    pipeline = load_pipeline(tmp_path / "model", "float32")
    told = pipeline.encode_prompt("")
    assert torch.allclose(told, networks.text, atol=1e-2)


def test_a_folder_that_is_neither_is_refused_in_one_line(toy, tmp_path):
    with pytest.raises(ModelError, match="unet, vae, text_encoder and tokenizer") as caught:
        build_networks(starting_from(toy, tmp_path))
    assert "\n" not in str(caught.value)
    with pytest.raises(ModelError, match="no folder"):
        build_networks(starting_from(toy, tmp_path / "none"))


def test_a_written_model_names_no_path_and_halves_its_weights(toy, networks, tmp_path):
    write_model(networks, toy, tmp_path / "model", ("joint",), 1.5)
    pipeline = load_pipeline(tmp_path / "model", "float32")
    config = pipeline.config
    assert (config.sample_size, config.default_steps, config.default_guidance) == (64, 4, 1.5)
    for name, weight in networks.unet.named_parameters():
        assert torch.equal(weight.half(), pipeline.unet.get_parameter(name).half())
    assert str(tmp_path) not in (tmp_path / "model" / "unet" / "config.json").read_text()


def test_what_is_written_may_be_the_mean_of_two_models(toy, networks, tiny_model, tmp_path):
    write_model(networks, toy, tmp_path / "one", ("joint",), 1.5)
    before = load_pipeline(tmp_path / "one", "float32")
    torch.manual_seed(3)
    for weight in networks.parameters():
        weight.data = weight.data.half().float() + torch.randn_like(weight).half().float()
    average = {"average_with": str(tmp_path / "one")}
    recipe = toy.model_copy(update={"model": toy.model.model_copy(update=average)})
    write_model(networks, recipe, tmp_path / "mean", ("joint",), 1.5)
    mean = load_pipeline(tmp_path / "mean", "float32")
    for part in (*NETWORK_NAMES, "vae"):
        for name, weight in getattr(mean, part).named_parameters():
            own, other = (getattr(m, part).get_parameter(name) for m in (networks, before))
            assert torch.allclose(weight, (own + other) / 2, atol=2e-3), name
    average = {"average_with": str(tiny_model)}
    recipe = toy.model_copy(update={"model": toy.model.model_copy(update=average)})
    with pytest.raises(ModelError, match="has other weights than the one that is trained"):
        write_model(networks, recipe, tmp_path / "none", ("joint",), 1.5)
    average = {"average_with": str(tmp_path / "nowhere")}
    recipe = toy.model_copy(update={"model": toy.model.model_copy(update=average)})
    with pytest.raises(ModelError, match=r"model.average_with .*: no MagicPose model in"):
        build_networks(recipe)


def controlnet_of(networks) -> tuple[dict, dict]:
    """Other numbers for the pose network, by diffusers' names and by the original code's."""
    pose = networks.pose_controlnet
    config = pose.config
    modules = controlnet_modules(
        shape_of(config), 2 * len(config.conditioning_embedding_out_channels)
    )
    back = {new: old for old, new in modules.items()}
    state = {key: torch.randn_like(weight) for key, weight in pose.state_dict().items()}
    original = {f"control_model.{renamed(key, back)}": value for key, value in state.items()}
    assert len(original) == len(state) and not any("None" in key for key in original)
    return state, original


@pytest.mark.parametrize("kind", ["original", "file of diffusers", "folder", "fetched"])
def test_the_pose_network_begins_as_a_controlnet_of_others(
    toy, networks, kind, tmp_path, monkeypatch
):
    state, original = controlnet_of(networks)
    place = tmp_path / "control.pth"
    if kind == "original":
        torch.save({"state_dict": original}, place)
    elif kind == "fetched":
        monkeypatch.setenv("MAGICPOSE_HOME", str(tmp_path))
        place = tmp_path / "models" / "an-org--control"
        place.mkdir(parents=True)
        torch.save(original, place / "control.pth")
    else:
        networks.pose_controlnet.load_state_dict(state)
        networks.pose_controlnet.save_pretrained(tmp_path / "control")
        inside = tmp_path / "control" / "diffusion_pytorch_model.safetensors"
        place = inside.parent if kind == "folder" else inside
    name = "an-org/control" if kind == "fetched" else str(place)
    model = toy.model.model_copy(update={"pose_start": name})
    begun = build_networks(toy.model_copy(update={"model": model}))
    assert begun.pretrained == ("pose_controlnet",)
    for key, weight in begun.pose_controlnet.state_dict().items():
        assert torch.equal(weight, state[key])


@pytest.mark.parametrize(
    ("harm", "said"), [("cut", "lacks 1 of"), ("shape", "has \\[4"), ("two", "holds 2: ")]
)
def test_a_controlnet_that_does_not_fit_is_one_line(toy, networks, harm, said, tmp_path):
    _, original = controlnet_of(networks)
    first = "control_model.input_hint_block.0.bias"
    place = tmp_path / "control.pth"
    if harm == "cut":
        del original[first]
    elif harm == "shape":
        original[first] = torch.zeros(5)
    else:
        torch.save(original, tmp_path / "other.pth")
    torch.save(original, place)
    model = toy.model.model_copy(update={"pose_start": str(tmp_path if harm == "two" else place)})
    with pytest.raises(ModelError, match=said) as caught:
        build_networks(toy.model_copy(update={"model": model}))
    assert "\n" not in str(caught.value)


def reading(recipe: Recipe) -> Recipe:
    model = recipe.model.model_copy(update={"reference_pose": True})
    return recipe.model_copy(update={"model": model})


def test_a_recipe_lets_the_appearance_network_read_the_reference_pose(toy):
    networks = build_networks(reading(toy))
    assert networks.reads_reference_pose
    networks.unet.conv_in.weight.data.fill_(0.5)
    networks.start_from_denoiser("appearance_unet")
    weight = networks.appearance_unet.conv_in.weight
    assert (weight[:, :4] == 0.5).all() and (weight[:, 4:] == 0).all()


def test_the_stages_show_it_the_poses_of_most_references(toy):
    networks, stage = build_networks(reading(toy)), toy.stages["joint"]
    stage = stage.model_copy(update={"batch": 32})
    source = open_source(toy, 0, torch.device("cpu"), silent)
    try:
        batch, dropped, t, noise = next(examples(networks, stage, source, (0,), 0))
    finally:
        source.close()
    maps = F.pixel_shuffle(batch.reference[:, 4:], 8)
    known = maps.flatten(1).amax(1) > 0
    assert 20 < known.sum() < 32 and noise.shape == batch.target.shape
    assert torch.equal(maps[known], batch.reference_maps[known])
    loss = task_of(networks, stage)(batch, dropped, t, noise)
    loss.backward()
    assert networks.appearance_unet.conv_in.weight.grad[:, 4:].abs().max() > 0
