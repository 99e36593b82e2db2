"""The sampler: the original's numbers with much left out, and shortcuts that leave out more."""

import pytest
import torch
from diffusers import ControlNetModel, DDIMScheduler, UNet2DConditionModel

from magicpose_cli.diffusion.original_schedule import naive_denoise
from magicpose_cli.diffusion.pipeline import MagicPosePipeline
from magicpose_cli.diffusion.sampler import Acceleration, Sampler
from magicpose_cli.diffusion.schedulers import scheduler_by_name

BAR = 1e-5


@pytest.fixture
def inputs(golden) -> dict[str, torch.Tensor]:
    return {
        "noise": golden["x_T"][:1, :, :8, :8],
        "reference_latents": golden["reference_latent"][..., 4:12, 4:12],
        "prompt_embeds": golden["text_embedding"],
    }


@pytest.fixture
def maps(golden) -> torch.Tensor:
    return golden["pose_map"][..., 32:96, 32:96]


def error(ours: torch.Tensor, truth: torch.Tensor) -> float:
    return float((ours - truth).norm() / truth.norm())


def naive(pipeline, inputs, maps, **options):
    return naive_denoise(
        pipeline,
        inputs["noise"],
        inputs["reference_latents"],
        maps,
        inputs["prompt_embeds"],
        **options,
    )


def calls(module: torch.nn.Module) -> list[int]:
    """A list that grows by the batch size whenever the module runs."""
    sizes: list[int] = []
    module.register_forward_hook(lambda _, args, __: sizes.append(len(args[0])))
    return sizes


@pytest.mark.slow
def test_the_original_schedule_is_the_golden_one(pipeline, golden):
    ours = naive_denoise(
        pipeline,
        golden["x_T"][:1],
        golden["reference_latent"],
        golden["pose_map"][:1],
        golden["text_embedding"],
        steps=5,
        guidance=7.0,
    )
    if torch.equal(golden["x_T"], golden["x_T"][:1].expand_as(golden["x_T"])):
        assert error(ours, golden["sampled_latents"][:1]) <= BAR
    assert ours.shape == golden["sampled_latents"][:1].shape


@pytest.mark.slow
@pytest.mark.parametrize("scheduler", ["ddim", "unipc", "dpm++2m", "euler"])
def test_what_is_shared_changes_nothing(pipeline, inputs, maps, scheduler):
    pipeline.scheduler = scheduler_by_name(scheduler, pipeline.scheduler)
    maps = maps[:2]
    truth = naive(pipeline, inputs, maps, steps=3, guidance=7.0)
    sampler = Sampler(pipeline, **inputs, steps=3, guidance=7.0)
    assert error(sampler.sample(maps), truth) <= BAR
    apart = torch.cat([sampler.sample(maps[:1]), sampler.sample(maps[1:])])
    assert error(apart, truth) <= BAR


@pytest.mark.slow
@pytest.mark.parametrize(("scheduler", "steps"), [("heun", 2), ("pndm", 4)])
def test_a_scheduler_may_ask_twice_at_a_timestep(pipeline, inputs, maps, scheduler, steps):
    pipeline.scheduler = scheduler_by_name(scheduler, pipeline.scheduler)
    truth = naive(pipeline, inputs, maps[:1], steps=steps, guidance=7.0)
    assert error(Sampler(pipeline, **inputs, steps=steps).sample(maps[:1]), truth) <= BAR


@pytest.mark.slow
def test_without_guidance(pipeline, inputs, maps):
    truth = naive(pipeline, inputs, maps[:2], steps=2, guidance=1.0)
    sampler = Sampler(pipeline, **inputs, steps=2, guidance=1.0)
    assert error(sampler.sample(maps[:2]), truth) <= BAR


@pytest.mark.slow
def test_a_bank_is_read_once_for_all_samplers_of_a_reference(pipeline, inputs, maps):
    read = calls(pipeline.appearance_unet)
    features = {}
    first = Sampler(pipeline, **inputs, steps=2, features=features).sample(maps[:1])
    second = Sampler(pipeline, **inputs, steps=2, features=features).sample(maps[:1])
    assert read == [2]
    assert torch.equal(first, second)


@pytest.mark.slow
def test_what_runs_how_often(pipeline, inputs, maps):
    counted = {
        name: calls(getattr(pipeline, name))
        for name in ("appearance_unet", "pose_controlnet", "unet")
    }
    hints = calls(pipeline.pose_controlnet.controlnet_cond_embedding)
    keys = calls(pipeline.unet.mid_block.attentions[0].transformer_blocks[0].attn1.to_k)
    sampler = Sampler(pipeline, **inputs, steps=5, guidance=7.0)
    assert counted == {"appearance_unet": [4, 1], "pose_controlnet": [], "unet": []}
    assert keys == [1] * 5  # of the reference, once a timestep
    sampler.sample(maps)
    sampler.sample(maps)
    assert counted["appearance_unet"] == [4, 1]
    assert counted["pose_controlnet"] == [3] * 10 and hints == [3, 3]
    # the first step's unconditional pass is one frame's, for all batches
    assert counted["unet"] == [1, 3, 6, 6, 6, 6, 3, 6, 6, 6, 6]


@pytest.mark.slow
def test_frames_with_noise_of_their_own(pipeline, inputs, maps, golden):
    noise = torch.randn(3, *inputs["noise"].shape[1:], generator=torch.Generator().manual_seed(1))
    together = Sampler(pipeline, **inputs, steps=3, guidance=2.0).sample(maps, noise)
    for i in range(3):
        alone = naive(
            pipeline, {**inputs, "noise": noise[i : i + 1]}, maps[i : i + 1], steps=3, guidance=2.0
        )
        assert error(together[i : i + 1], alone) <= BAR


@pytest.mark.slow
def test_a_reference_for_each_frame(pipeline, inputs, maps):
    references = torch.cat([inputs["reference_latents"] * scale for scale in (1, 0.5, -1)])
    sampler = Sampler(pipeline, inputs["noise"], references, inputs["prompt_embeds"], steps=2)
    together = sampler.sample(maps)
    for i in range(3):
        one = {**inputs, "reference_latents": references[i : i + 1]}
        assert error(together[i : i + 1], naive(pipeline, one, maps[i : i + 1], steps=2)) <= BAR


@pytest.mark.slow
def test_half_precision_is_near(pipeline, inputs, maps):
    truth = naive(pipeline, inputs, maps, steps=5, guidance=7.0)
    pipeline.to(torch.bfloat16)
    ours = Sampler(pipeline, **inputs, steps=5, guidance=7.0).sample(maps)
    assert ours.dtype == torch.float32
    assert 1e-4 < error(ours, truth) < 0.2


@pytest.mark.slow
def test_guidance_only_where_it_is_asked_for(pipeline, inputs, maps):
    denoiser = calls(pipeline.unet)
    acceleration = Acceleration(guidance_from=0.25, guidance_until=0.75)
    some = Sampler(pipeline, **inputs, steps=4, guidance=7.0, acceleration=acceleration).sample(
        maps
    )
    assert denoiser == [3, 6, 6, 3]
    none = Sampler(
        pipeline, **inputs, steps=4, guidance=7.0, acceleration=Acceleration(guidance_until=0.0)
    ).sample(maps)
    assert error(none, naive(pipeline, inputs, maps, steps=4, guidance=1.0)) <= BAR
    assert error(some, none) > 0.01


@pytest.mark.slow
def test_cached_steps_leave_out_the_deep_layers(pipeline, inputs, maps):
    exact = Sampler(pipeline, **inputs, steps=6, guidance=3.0).sample(maps)
    counted = {
        "pose": calls(pipeline.pose_controlnet),
        "deep": calls(pipeline.unet.mid_block.resnets[0]),
        "last": calls(pipeline.unet.up_blocks[-1].resnets[-1]),
    }
    sampler = Sampler(
        pipeline, **inputs, steps=6, guidance=3.0, acceleration=Acceleration(cache_every=2)
    )
    near = sampler.sample(maps)
    assert counted == {"pose": [3] * 3, "deep": [1, 3, 6, 6], "last": [1, 3, 6, 6, 6, 6, 6]}
    assert 1e-3 < error(near, exact) < 0.5
    rough = Sampler(
        pipeline, **inputs, steps=6, guidance=3.0, acceleration=Acceleration(cache_every=6)
    ).sample(maps)
    assert error(rough, exact) > error(near, exact)


def test_a_cached_step_on_its_own_features_is_the_whole_step(pipeline, inputs, maps):
    """With nothing changed in between, first convolution and last layer give the same."""
    sampler = Sampler(
        pipeline, **inputs, steps=2, guidance=3.0, acceleration=Acceleration(cache_every=2)
    )
    x = inputs["noise"].expand(3, -1, -1, -1)
    t = pipeline.scheduler.timesteps[0]
    watched = sampler._last_input_recorded()
    with torch.no_grad(), sampler._attention, watched, sampler._hints(maps) as hints:
        sampler._attention.features = sampler._features[float(t)]
        whole, deep = sampler._whole(x, t, hints, True)
        assert error(sampler._shallow(x, t, True, deep), whole) <= BAR
        alone, deep = sampler._whole(x, t, hints, False)
        assert error(sampler._shallow(x, t, False, deep), alone) <= BAR


@pytest.mark.slow
def test_both_shortcuts_together(pipeline, inputs, maps):
    acceleration = Acceleration(guidance_from=0.5, cache_every=2)
    sampler = Sampler(pipeline, **inputs, steps=6, guidance=3.0, acceleration=acceleration)
    deep = calls(pipeline.unet.mid_block.resnets[0])
    assert torch.isfinite(sampler.sample(maps)).all()
    # step 3 is guided, but step 2 left nothing of the bare denoiser: it runs whole
    assert deep == [3, 3, 6, 6]


def test_the_pose_network_is_given_back(pipeline, inputs, maps):
    layers = pipeline.pose_controlnet.controlnet_cond_embedding
    sampler = Sampler(pipeline, **inputs, steps=1)
    with pytest.raises(ZeroDivisionError):
        sampler.sample(maps, on_step=lambda i, t, x: 1 / 0)
    assert pipeline.pose_controlnet.controlnet_cond_embedding is layers


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device")
def test_compiled_is_eager_on_cuda(pipeline, inputs, maps):
    pipeline.to("cuda")
    eager = Sampler(pipeline, **inputs, steps=3).sample(maps)
    graph = Sampler(pipeline, **inputs, steps=3, compiled=True)
    assert error(graph.sample(maps), eager) <= 1e-3
    assert error(graph.sample(maps), eager) <= 1e-3  # from the captured graph


@pytest.fixture
def smallest() -> MagicPosePipeline:
    """Networks of one level that attend in their middle: compiling takes as long as layers do."""
    torch.manual_seed(0)
    shape = {
        "block_out_channels": (8,),
        "layers_per_block": 1,
        "down_block_types": ("DownBlock2D",),
        "cross_attention_dim": 8,
        "attention_head_dim": 2,
        "norm_num_groups": 4,
    }
    unets = [UNet2DConditionModel(**shape, up_block_types=("UpBlock2D",)) for _ in range(2)]
    pose = ControlNetModel(
        **shape, mid_block_type="UNetMidBlock2D", conditioning_embedding_out_channels=(8, 8)
    )
    for name, weight in pose.named_parameters():
        if "controlnet_" in name:  # zero in a new network, which would hide the pose
            torch.nn.init.normal_(weight, std=0.1)
    return MagicPosePipeline(
        unet=unets[0], appearance_unet=unets[1], pose_controlnet=pose, vae=None,
        scheduler=DDIMScheduler(clip_sample=False),
    )  # fmt: skip


@pytest.fixture
def small_inputs() -> dict[str, torch.Tensor]:
    generator = torch.Generator().manual_seed(0)
    return {
        "noise": torch.randn(1, 4, 8, 8, generator=generator),
        "reference_latents": torch.randn(1, 4, 8, 8, generator=generator),
        "prompt_embeds": torch.zeros(1, 77, 8),
    }


@pytest.mark.slow
def test_compiled_is_eager(smallest, small_inputs, tmp_path, monkeypatch):
    import torch._inductor.config as inductor

    monkeypatch.setenv("MAGICPOSE_HOME", str(tmp_path))
    monkeypatch.delenv("TORCHINDUCTOR_CACHE_DIR", raising=False)
    pipeline, inputs = smallest, small_inputs
    maps = torch.rand(2, 3, 16, 16, generator=torch.Generator().manual_seed(1))
    options = {"steps": 4, "guidance": 3.0}
    eager = Sampler(pipeline, **inputs, **options).sample(maps)
    graph = Sampler(pipeline, **inputs, **options, compiled=True)
    with inductor.patch({"cpp.vec_isa_ok": True}):  # else it compiles programs to find that out
        assert error(graph.sample(maps), eager) <= BAR
    assert any((tmp_path / "compiled").iterdir())
    torch._dynamo.reset()


@pytest.mark.slow
def test_one_graph_serves_all_steps_and_batches(smallest, small_inputs, monkeypatch):
    """Traced, not compiled: what a step changes must not make torch trace it anew."""
    from torch._dynamo.testing import CompileCounter

    graphs = CompileCounter()
    monkeypatch.setattr(
        "magicpose_cli.diffusion.sampler.as_one_graph",
        lambda function: torch.compile(function, backend=graphs, dynamic=False),
    )
    torch._dynamo.reset()
    acceleration = Acceleration(cache_every=2)
    options = {"steps": 3, "acceleration": acceleration, "compiled": True}
    sampler = Sampler(smallest, **small_inputs, **options)
    maps = torch.rand(3, 3, 16, 16, generator=torch.Generator().manual_seed(1))
    once = sampler.sample(maps)
    assert torch.equal(sampler.sample(maps), once)
    sampler.sample(maps, start=once)
    assert graphs.frame_count == 1
    torch._dynamo.reset()
