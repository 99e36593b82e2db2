"""Frames that begin from a picture with its share of the noise, not from noise alone."""

import pytest
import torch

from magicpose_cli.diffusion.pipeline import MagicPosePipeline
from magicpose_cli.diffusion.sampler import Acceleration, Sampler
from magicpose_cli.diffusion.schedulers import (
    RANDOM,
    SHORT_NAMES,
    able_to_begin_late,
    scheduler_by_name,
    set_last_timesteps,
)

USUAL = ["ddim", "unipc", "dpm++2m", "euler"]
FEW = {"KDPM2DiscreteScheduler", "LMSDiscreteScheduler", "DPMSolverSinglestepScheduler"}


@pytest.fixture
def pipeline(tiny_model) -> MagicPosePipeline:
    pipeline = MagicPosePipeline.from_pretrained(tiny_model)
    pipeline.set_progress_bar_config(disable=True)
    return pipeline


@pytest.fixture(scope="module")
def inputs() -> dict[str, torch.Tensor]:
    return {
        "noise": drawn(1, 4, 8, 8, seed=0),
        "reference_latents": drawn(1, 4, 8, 8, seed=1),
        "prompt_embeds": torch.zeros(1, 77, 8),
    }


@pytest.fixture(scope="module")
def maps() -> torch.Tensor:
    return torch.rand(2, 3, 64, 64, generator=torch.Generator().manual_seed(2))


@pytest.fixture(scope="module")
def start() -> torch.Tensor:
    return drawn(2, 4, 8, 8, seed=3)


def drawn(*shape: int, seed: int) -> torch.Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed))


def sizes(module: torch.nn.Module) -> list[int]:
    """A list that grows by the batch size whenever the module runs."""
    seen: list[int] = []
    module.register_forward_hook(lambda _, args, __: seen.append(len(args[0])))
    return seen


@pytest.mark.slow
@pytest.mark.parametrize("strength", [0.15, 0.25, 0.5, 0.8, 1.0])
@pytest.mark.parametrize("name", sorted({*SHORT_NAMES, *FEW}))
def test_a_denoiser_that_knows_the_noise_leads_back_to_the_start(
    pipeline, inputs, start, name, strength
):
    """Only where sample, noise level and every timestep belong together."""
    scheduler = able_to_begin_late(scheduler_by_name(name, pipeline.scheduler))
    for _ in range(2):  # the second run finds nothing of the first
        timesteps, skipped = set_last_timesteps(scheduler, 12, strength)
        x = scheduler.add_noise(start, inputs["noise"], timesteps[:1])
        assert (x - start).abs().mean() > 0.05
        for t in timesteps:
            scheduler.scale_model_input(x, t)
            x = scheduler.step(inputs["noise"].expand_as(x), t, x, return_dict=False)[0]
        assert (x - start).abs().max() < 0.05
    every = len(set_last_timesteps(scheduler, 12, 1.0)[0])
    assert every == skipped + len(timesteps)
    taken = round(strength * 12)
    asked = {1: taken, 2: 2 * taken - 1}[scheduler.order]  # of two, the last one asks once
    assert len(timesteps) == asked + (name == "pndm" and taken > 1)


def test_no_usable_scheduler_is_left_out_of_the_test_above(pipeline):
    usable = {
        c.__name__
        for c in [type(pipeline.scheduler), *pipeline.scheduler.compatibles]
        if not any(word in c.__name__ for word in RANDOM)
    }
    # EDMEuler's own scale of the noise is none of a Stable Diffusion
    assert usable - {"EDMEulerScheduler"} == {*SHORT_NAMES.values(), *FEW}


@pytest.mark.parametrize("name", ["ddim", "euler"])
def test_a_run_goes_on_from_its_own_middle(pipeline, inputs, maps, name):
    """Begun where a whole run was at its third step, without its history, it ends the same."""
    pipeline.scheduler = scheduler_by_name(name, pipeline.scheduler)
    options = {"steps": 5, "guidance": 3.0, "acceleration": Acceleration(guidance_until=0.7)}
    at = []
    whole = Sampler(pipeline, **inputs, **options).sample(
        maps, on_step=lambda i, t, x: at.append(x) or x
    )
    late = Sampler(pipeline, **inputs, **options, strength=0.6)
    scheduler = late._late_scheduler
    [t, *_], _ = late._begin(late=True)
    noise, nothing = inputs["noise"], torch.zeros(1, 4, 8, 8)
    kept = scheduler.add_noise(nothing + 1, nothing, t[None])
    start = (at[1] - scheduler.add_noise(nothing, noise, t[None])) / kept
    assert float((late.sample(maps, start=start) - whole).norm() / whole.norm()) < 1e-5


@pytest.mark.slow
@pytest.mark.parametrize("name", [*USUAL, "pndm"])
def test_without_a_start_nothing_changes(pipeline, inputs, maps, start, name):
    pipeline.scheduler = scheduler_by_name(name, pipeline.scheduler)
    sampler = Sampler(pipeline, **inputs, steps=6, guidance=3.0)
    truth = sampler.sample(maps)
    sampler.sample(maps, start=start)
    assert torch.equal(sampler.sample(maps), truth)
    # the reference is read at other timesteps together: the same but for rounding
    late = Sampler(pipeline, **inputs, steps=6, guidance=3.0, strength=0.5)
    begun = late.sample(maps, start=start)
    assert float((late.sample(maps) - truth).norm() / truth.norm()) < 1e-5
    assert torch.equal(late.sample(maps, start=start), begun)
    assert float((begun - truth).norm() / truth.norm()) > 0.1


@pytest.mark.slow
@pytest.mark.parametrize("name", USUAL)
def test_the_less_noise_the_nearer_to_the_start(pipeline, inputs, maps, start, name):
    pipeline.scheduler = scheduler_by_name(name, pipeline.scheduler)
    far = [
        float(
            (Sampler(pipeline, **inputs, steps=8, strength=strength).sample(maps, start=start))
            .sub(start)
            .abs()
            .mean()
        )
        for strength in (0.125, 0.375, 0.625, 1.0)
    ]
    assert far == sorted(far) and far[0] < far[-1] / 2


@pytest.mark.slow
def test_frames_share_the_noise_and_not_the_start(pipeline, inputs, maps, start):
    sampler = Sampler(pipeline, **inputs, steps=4, guidance=3.0, strength=0.75)
    twice = sampler.sample(maps[:1].repeat(2, 1, 1, 1), start=start[:1].repeat(2, 1, 1, 1))
    assert torch.equal(twice[0], twice[1])
    together = sampler.sample(maps, start=start)
    apart = [sampler.sample(maps[i : i + 1], start=start[i : i + 1]) for i in range(2)]
    assert torch.allclose(together, torch.cat(apart), atol=1e-4)
    assert not torch.allclose(together, sampler.sample(maps, start=start.flip(0)), atol=0.1)


@pytest.mark.parametrize("name", USUAL)
@pytest.mark.parametrize(("steps", "strength", "taken"), [(10, 0.3, 3), (10, 0.04, 1), (3, 1.0, 3)])
def test_only_the_last_steps_are_taken(pipeline, inputs, maps, start, name, steps, strength, taken):
    pipeline.scheduler = scheduler_by_name(name, pipeline.scheduler)
    denoiser, read = sizes(pipeline.unet), sizes(pipeline.appearance_unet)
    sampler = Sampler(pipeline, **inputs, steps=steps, guidance=1.0, strength=strength)
    told = []
    sampler.sample(maps, on_step=lambda i, t, x: told.append(i) or x, start=start)
    assert denoiser == [2] * taken and told == list(range(taken))
    assert sum(read) == taken  # the reference is read at no other timestep


def test_guidance_windows_are_shares_of_all_steps(pipeline, inputs, maps, start):
    denoiser = sizes(pipeline.unet)
    for window, rows in [((0.0, 0.5), [2, 2]), ((0.75, 1.0), [2, 4]), ((0.25, 0.75), [4, 2])]:
        acceleration = Acceleration(*window)
        Sampler(pipeline, **inputs, steps=4, acceleration=acceleration, strength=0.5).sample(
            maps, start=start
        )
        assert denoiser == rows
        denoiser.clear()


def test_the_first_step_taken_runs_whole_and_every_second_after_it(pipeline, inputs, maps, start):
    sampler = Sampler(
        pipeline, **inputs, steps=6, acceleration=Acceleration(cache_every=2), strength=0.5
    )
    pose, last = sizes(pipeline.pose_controlnet), sizes(pipeline.unet.up_blocks[-1].resnets[-1])
    sampler.sample(maps, start=start)
    assert pose == [2, 2] and last == [4, 4, 4]


def test_a_model_of_one_step_takes_it(pipeline, inputs, maps, start):
    denoiser = sizes(pipeline.unet)
    few = Sampler(pipeline, **inputs, steps=1, strength=0.1).sample(maps, start=start)
    assert len(denoiser) == 1
    assert torch.equal(few, Sampler(pipeline, **inputs, steps=1).sample(maps, start=start))


@pytest.mark.parametrize("name", USUAL)
def test_a_model_may_start_all_frames_from_the_reference(pipeline, inputs, maps, name):
    """Its steps are then those of a schedule of which the share is the end."""
    pipeline.scheduler = scheduler_by_name(name, pipeline.scheduler)
    reference = inputs["reference_latents"]
    late = Sampler(pipeline, **inputs, steps=6, guidance=3.0, strength=1 / 3)
    expected = late.sample(maps, start=reference)
    pipeline.register_to_config(start_from_reference=1 / 3)
    sampler = Sampler(pipeline, **inputs, steps=2, guidance=3.0)
    assert sampler.evaluations == 2
    assert torch.allclose(sampler.sample(maps), expected, atol=1e-5)
    both = {**inputs, "reference_latents": reference.repeat(2, 1, 1, 1)}
    each = Sampler(pipeline, **both, steps=2, guidance=3.0)
    assert torch.allclose(each.sample(maps), expected, atol=1e-5)


def test_such_a_model_starts_from_other_pictures_where_there_are_some(
    pipeline, inputs, maps, start
):
    plain = Sampler(pipeline, **inputs, steps=4, guidance=1.0, strength=0.5)
    expected = plain.sample(maps, start=start)
    pipeline.register_to_config(start_from_reference=0.25)
    sampler = Sampler(pipeline, **inputs, steps=4, guidance=1.0, strength=0.5)
    own = sampler.sample(maps)
    assert torch.equal(sampler.sample(maps, start=start), expected)
    assert torch.equal(sampler.sample(maps), own)
    assert not torch.allclose(own, expected, atol=0.1)


def test_the_bar_of_such_a_model_counts_the_steps_that_are_taken(pipeline, inputs, maps):
    pipeline.register_to_config(start_from_reference=0.25)
    told = []
    pipeline.denoise(
        inputs["noise"], inputs["reference_latents"], maps, inputs["prompt_embeds"], 3, 1.0,
        batch_size=1, callback_on_step_end=lambda pipeline, i, t, kept: told.append(i),
    )  # fmt: skip
    assert told == [0, 1, 2] * 2
