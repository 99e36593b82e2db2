"""The stages that distill: what they begin as, what they lower, and that stopped runs go on."""

import pytest
import torch
from diffusers import DDIMScheduler, TCDScheduler

from magicpose_cli.diffusion.adapters.lora import fuse_lora
from magicpose_cli.diffusion.checkpoint.loading import load_pipeline
from magicpose_cli.errors import ConfigError
from magicpose_cli.progress import silent
from magicpose_cli.training.checkpoints import checkpoints, read_tensors
from magicpose_cli.training.distill_run import (
    DistillationRequest,
    distill,
    distillation_recipe,
    run_folder,
)
from magicpose_cli.training.distillation import (
    ConsistencyDistillation,
    GuidanceDistillation,
    few_step_scheduler,
)
from magicpose_cli.training.lora_layers import LORA_FILE, LoraLayers
from magicpose_cli.training.networks import build_networks
from magicpose_cli.training.pair_source import PairBatch
from magicpose_cli.training.recipe import DistillationSettings, Recipe
from magicpose_cli.training.run import _trainable_parameters
from magicpose_cli.training.stages import task_of

STEPS = 3
TOY = """
sheet_every = 1000
[model]
start = "replaced"
[data]
clips = 8
workers = 1
[optimizer]
ema = 0.9
[distillation]
rank = 4
[stages.guidance]
kind = "guidance"
steps = 3
batch = 2
learning_rate = 1e-3
warmup = 1
cond_dropout = 0.0
[stages.consistency]
kind = "consistency"
steps = 3
batch = 2
learning_rate = 1e-3
warmup = 1
cond_dropout = 0.0
"""


@pytest.fixture(scope="module")
def teacher(tmp_path_factory):
    """A model of 50 steps with random weights, whose poses and references have effects."""
    folder = tmp_path_factory.mktemp("teacher") / "model"
    from diffusers import UNet2DConditionModel

    from magicpose_cli.training.autoencoder import new_autoencoder
    from magicpose_cli.training.network_parts import network_shape, small_scheduler, with_copies
    from magicpose_cli.training.networks import Networks
    from magicpose_cli.training.recipe import NetworkSettings, RecipeModelSettings
    from magicpose_cli.training.trained_model import write_model

    network = NetworkSettings(
        widths=(8, 16), attention=(True, True), heads=2, text_width=4, norm_groups=4,
        hint_widths=(2, 2, 4, 4),
    )  # fmt: skip
    model = RecipeModelSettings(
        name="tiny", size=64, pose_canvas=96, network=network, default_steps=50,
        default_guidance=2.0,
    )  # fmt: skip
    torch.manual_seed(0)
    parts = with_copies(UNet2DConditionModel(**network_shape(model)), network)
    pose = parts["pose_controlnet"]
    for layer in (
        *pose.controlnet_down_blocks,
        pose.controlnet_mid_block,
        pose.controlnet_cond_embedding.conv_out,
    ):
        torch.nn.init.normal_(layer.weight, std=0.1)
    scheduler = DDIMScheduler.from_config(small_scheduler().config, rescale_betas_zero_snr=False)
    networks = Networks(parts, scheduler, new_autoencoder(4, (1, 1, 1, 1)), torch.zeros(1, 1, 4))
    recipe = Recipe(model=model, stages={"pose": {"kind": "pose", "steps": 1}})
    write_model(networks, recipe, folder, (), 2.0)
    return folder


@pytest.fixture(scope="module")
def toy_file(tmp_path_factory):
    path = tmp_path_factory.mktemp("recipe") / "toy.toml"
    path.write_text(TOY)
    return path


@pytest.fixture
def recipe(toy_file, teacher) -> Recipe:
    return distillation_recipe(str(toy_file), teacher, DistillationRequest())


@pytest.fixture
def whole(toy_file, teacher) -> Recipe:
    return distillation_recipe(str(toy_file), teacher, DistillationRequest(whole=True))


@pytest.fixture
def batch() -> PairBatch:
    chance = torch.Generator().manual_seed(1)
    reference, target = torch.randn(2, 2, 4, 8, 8, generator=chance)
    maps = torch.rand(2, 3, 64, 64, generator=chance)
    return PairBatch(reference, maps, maps, target, maps, maps)


def task(networks, recipe, name):
    stage = recipe.stages[name]
    trainable = _trainable_parameters(networks, stage, recipe.optimizer)
    return task_of(networks, stage, recipe.distillation, trainable.average), trainable


def noise_like(batch, seed=2):
    return torch.randn(batch.target.shape, generator=torch.Generator().manual_seed(seed))


def test_the_recipe_is_the_models(recipe, teacher):
    assert (recipe.model.size, recipe.model.pose_canvas) == (64, 96)
    assert (recipe.model.default_steps, recipe.model.default_guidance) == (4, 1.0)
    assert recipe.distillation.guidance == 2.0
    assert recipe.distillation.teacher_steps == 50
    assert recipe.model.start == str(teacher)


@torch.no_grad()
def test_a_lora_begins_as_the_teacher_to_the_last_bit(recipe, batch, teacher):
    networks = build_networks(recipe)
    plain = build_networks(recipe.model_copy(update={"stages": {"pose": other_stage()}}))
    assert plain.lora is None and networks.lora is not None
    t = torch.tensor([999, 19])
    given = (batch.target, t, batch.reference, batch.maps)
    assert torch.equal(networks(*given), plain(*given))
    for name, weight in networks.plain_state("unet").items():
        assert torch.equal(weight, plain.unet.state_dict()[name])


def other_stage():
    from magicpose_cli.training.recipe import StageSettings

    return StageSettings(kind="pose", steps=1)


@torch.no_grad()
def test_a_lora_counts_in_the_student_and_not_in_the_teacher(recipe, batch):
    networks = build_networks(recipe)
    distilling, trainable = task(networks, recipe, "guidance")
    t, noise = torch.tensor([500, 500]), noise_like(batch)
    conditions = networks.conditions(noise, t, batch.reference, batch.maps)
    before, taught = networks.denoise(noise, t, conditions), distilling.teach(noise, t, conditions)
    for parameter in trainable.parameters:
        parameter += 0.05
    assert not torch.allclose(networks.denoise(noise, t, conditions), before, atol=1e-4)
    assert torch.equal(distilling.teach(noise, t, conditions), taught)


@torch.no_grad()
def test_the_whole_teacher_stays(whole, batch):
    networks = build_networks(whole)
    assert networks.lora is None
    distilling, trainable = task(networks, whole, "guidance")
    t, noise = torch.tensor([500, 500]), noise_like(batch)
    conditions = networks.conditions(noise, t, batch.reference, batch.maps)
    taught = distilling.teach(noise, t, conditions)
    bare, seen = networks.denoise(noise, t), networks.denoise(noise, t, conditions)
    torch.testing.assert_close(taught, bare + 2 * (seen - bare))
    assert not torch.allclose(bare, seen, atol=1e-4)
    for parameter in trainable.parameters:
        parameter *= 1.1
    assert torch.equal(distilling.teach(noise, t, conditions), taught)


@pytest.mark.parametrize("prediction", ["epsilon", "v_prediction"])
@torch.no_grad()
def test_a_jump_is_a_step_of_the_stock_scheduler(recipe, batch, prediction):
    networks = build_networks(recipe)
    networks.scheduler = TCDScheduler.from_config(
        networks.scheduler.config, prediction_type=prediction
    )
    networks.scheduler.set_timesteps(4)
    jumping = task_of_consistency(networks, recipe)
    scheduler = networks.scheduler
    x, predicted = noise_like(batch), noise_like(batch, 3)
    ends = jumping.goals(scheduler.timesteps - 20)
    assert ends.tolist() == [*scheduler.timesteps.tolist()[1:], 0]
    for t, end in zip(scheduler.timesteps, ends, strict=True):
        stepped = scheduler.step(predicted, t, x, eta=0.0, return_dict=False)[0]
        made = jumping.jump(x, predicted, t.expand(2), end.expand(2))
        torch.testing.assert_close(made, stepped, atol=1e-4, rtol=1e-4)
        still = jumping.jump(x, predicted, t.expand(2), t.expand(2))
        torch.testing.assert_close(still, x, atol=1e-5, rtol=1e-5)  # the boundary condition


def task_of_consistency(networks, recipe) -> ConsistencyDistillation:
    made = task(networks, recipe, "consistency")[0]
    assert isinstance(made, ConsistencyDistillation)
    return made


@torch.no_grad()
def test_a_goal_is_never_behind_the_nearer_point(recipe):
    jumping = task_of_consistency(build_networks(recipe), recipe)
    nearer = torch.arange(0, 980)
    goals = jumping.goals(nearer)
    assert (goals <= nearer).all()
    assert set(goals.tolist()) == {0, 259, 499, 759}


@pytest.mark.slow
@pytest.mark.parametrize("name", ["guidance", "consistency"])
@pytest.mark.parametrize("trained", ["recipe", "whole"])
def test_a_few_steps_lower_the_loss_of_a_batch(request, batch, name, trained):
    recipe = request.getfixturevalue(trained)
    networks = build_networks(recipe)
    distilling, trainable = task(networks, recipe, name)
    assert isinstance(distilling, GuidanceDistillation | ConsistencyDistillation)
    optimizer = torch.optim.AdamW(trainable.parameters, lr=2e-4 if trained == "whole" else 2e-3)
    losses = []
    for _ in range(12):
        loss = distilling(batch, 0, torch.tensor([990, 300]), noise_like(batch))
        loss.backward()
        optimizer.step()
        optimizer.zero_grad()
        losses.append(float(loss.detach()))
    assert losses[-1] < 0.9 * losses[0], losses
    frozen = [p for n, p in networks.named_parameters() if not p.requires_grad]
    assert all(parameter.grad is None for parameter in frozen)


@pytest.mark.slow
def test_gradient_checkpointing_changes_no_gradient(recipe, batch):
    found = []
    for asked in (False, True):
        networks = build_networks(recipe.model_copy(update={"gradient_checkpointing": asked}))
        networks.train()
        distilling, trainable = task(networks, recipe, "consistency")
        with torch.no_grad():
            for parameter in trainable.parameters:
                parameter += 0.01
        distilling(batch, 0, torch.tensor([990, 300]), noise_like(batch)).backward()
        found.append([parameter.grad for parameter in trainable.parameters])
    for plain, checkpointed in zip(*found, strict=True):
        torch.testing.assert_close(checkpointed, plain)


@pytest.mark.slow
@pytest.mark.parametrize("trained", ["recipe", "whole"])
def test_a_stopped_run_goes_on_to_the_same_numbers(request, tmp_path, trained, monkeypatch):
    recipe = request.getfixturevalue(trained)
    assert distill(recipe, tmp_path / "once", device="cpu")
    from magicpose_cli.training import loop

    step, taken = loop.TrainingLoop._step, []

    def stopping(self, *arguments):
        taken.append(1)
        if len(taken) == STEPS + 2:  # within the second stage
            raise KeyboardInterrupt
        return step(self, *arguments)

    monkeypatch.setattr(loop.TrainingLoop, "_step", stopping)
    with pytest.raises(KeyboardInterrupt):
        distill(recipe, tmp_path / "twice", device="cpu")
    monkeypatch.undo()
    assert not (tmp_path / "twice").exists()
    stage = run_folder(tmp_path / "twice") / "stages" / "guidance-consistency"
    assert [path.name for path in checkpoints(stage)] == ["step-00000001"]
    assert any(key.startswith("exp_avg/") for key in read_tensors(checkpoints(stage)[0]))
    assert distill(recipe, tmp_path / "twice", device="cpu")
    once, twice = (load_pipeline(tmp_path / name).unet.state_dict() for name in ("once", "twice"))
    assert all(torch.equal(weight, twice[name]) for name, weight in once.items())
    assert not run_folder(tmp_path / "twice").exists()


@pytest.mark.slow
def test_what_comes_out_runs_in_its_few_steps(recipe, teacher, tmp_path):
    assert distill(recipe, tmp_path / "out", device="cpu", on_progress=silent)
    made, own = load_pipeline(tmp_path / "out"), load_pipeline(teacher)
    assert isinstance(made.scheduler, TCDScheduler)
    assert (made.config.default_steps, made.config.default_guidance) == (4, 1.0)
    assert made.config.pose_canvas == own.config.pose_canvas
    for name in ("appearance_unet", "pose_controlnet"):
        for one, other in zip(
            getattr(made, name).parameters(), getattr(own, name).parameters(), strict=True
        ):
            assert torch.equal(one, other)
    fused = fuse_lora(own.unet, tmp_path / "out")  # the LoRA beside it is the same change
    assert not fused.notes and (tmp_path / "out" / LORA_FILE).is_file()
    changed = [
        (one - other).abs().max()
        for one, other in zip(own.unet.parameters(), made.unet.parameters(), strict=True)
    ]
    assert max(changed) < 2e-3
    start = load_pipeline(teacher).unet.parameters()
    assert any(not torch.equal(a, b) for a, b in zip(start, made.unet.parameters(), strict=True))


def test_a_model_of_few_steps_is_refused(toy_file):
    from magicpose_cli.diffusion.checkpoint.loading import MINI

    with pytest.raises(ConfigError, match="takes 1 steps by itself, and 4 are to be left"):
        distillation_recipe(str(toy_file), MINI, DistillationRequest())


def test_a_recipe_without_distilling_is_refused(teacher):
    with pytest.raises(ConfigError, match="no stage of kind guidance or consistency"):
        distillation_recipe("toy", teacher, DistillationRequest())


def test_stages_that_train_different_parts_are_refused(recipe, whole):
    stages = {"guidance": recipe.stages["guidance"], "consistency": whole.stages["consistency"]}
    with pytest.raises(ConfigError, match="these train lora and unet"):
        build_networks(recipe.model_copy(update={"stages": stages}))


def test_the_scheduler_is_of_the_teachers_noise():
    settings = DistillationSettings(steps=4, teacher_steps=25)
    own = DDIMScheduler(beta_schedule="scaled_linear", prediction_type="v_prediction")
    made = few_step_scheduler(own, settings)
    assert torch.equal(made.alphas_cumprod, own.alphas_cumprod)
    assert made.config.prediction_type == "v_prediction"
    assert made.timesteps.tolist() == [999, 759, 519, 279]


@pytest.mark.slow
def test_at_full_size_every_weight_of_a_lora_has_its_layer():
    """Shapes only: all linear layers and convolutions of the blocks, by names that are read."""
    from magicpose_cli.diffusion.adapters.lora import PART, _spellings
    from magicpose_cli.diffusion.checkpoint.random_weights import random_pipeline

    unet = random_pipeline("magicpose", device="meta").unet
    with torch.device("meta"):
        lora = LoraLayers(unet, 64)
    layers = {name: module for name, module in unet.named_modules() if hasattr(module, "weight")}
    known = _spellings(unet, layers)
    written = {key: factor.shape for key, factor in lora.tensors().items()}
    named = {known[PART.fullmatch(key)[1]] for key in written}
    kinds = (torch.nn.Linear, torch.nn.Conv2d)
    inside = {
        name for name, layer in layers.items() if isinstance(layer, kinds) and "_blocks." in name
    }
    inside |= {
        name for name, layer in layers.items()
        if isinstance(layer, kinds) and name.startswith("mid_block.")
    }  # fmt: skip
    assert named == inside and len(written) == 2 * len(inside)
    state = dict(unet.state_dict())
    fused = lora.fused(state)
    assert fused.keys() == state.keys()
    assert all(fused[name].shape == weight.shape for name, weight in state.items())
