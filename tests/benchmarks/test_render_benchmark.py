"""Ways to make frames held against each other, on a network that takes milliseconds."""

import numpy as np
import pytest
import torch

from magicpose_cli.benchmarks import arithmetic
from magicpose_cli.benchmarks.original import NaiveRenderer
from magicpose_cli.benchmarks.render_benchmark import (
    NAIVE_FRAMES,
    Variant,
    measure_rendering,
    named_variants,
)
from magicpose_cli.benchmarks.shared_networks import Weights
from magicpose_cli.config.preset import Preset
from magicpose_cli.errors import ConfigError
from magicpose_cli.rendering.local import Renderer


@pytest.fixture
def base(tiny_model) -> Preset:
    return Preset().with_options(model__name=str(tiny_model), model__batch_size=3)


@pytest.fixture(autouse=True)
def short(monkeypatch):
    monkeypatch.setattr(arithmetic, "MATRIX_S", 0.02)


@pytest.mark.slow
def test_naive_exact_and_a_preset_on_the_same_weights(base):
    events = []
    measured = measure_rendering(
        named_variants(["naive", "exact", "fast"], base),
        Weights(steps=10),
        frames=4,
        repeat=2,
        on_progress=events.append,
    )
    naive, exact, fast = measured.ways
    assert (measured.width, measured.height, measured.dtype) == (64, 64, "float32")
    assert (naive.frames, naive.batch_size) == (NAIVE_FRAMES, 1)
    assert (exact.frames, exact.batch_size) == (6, 3)  # whole batches
    assert [way.settings["steps"] for way in measured.ways] == [10, 10, 4]
    assert fast.settings["scheduler"] == "UniPCMultistepScheduler"
    assert exact.settings["scheduler"] == "DDIMScheduler"
    assert naive.flops > 1.2 * exact.flops > 1.5 * fast.flops
    # naive only encodes the reference beforehand
    assert naive.reference_flops < fast.reference_flops < exact.reference_flops
    assert naive.faster == 1 and exact.faster == exact.frames_per_s / naive.frames_per_s
    for way in measured.ways:
        assert len(way.turns_s) == 2 and way.peak_memory > 100e6
        assert way.frames_per_s == pytest.approx(way.frames / min(way.turns_s))
        assert sum(way.seconds.values()) == pytest.approx(1 / way.frames_per_s)
        assert way.share == pytest.approx(way.flops * way.frames_per_s / measured.matrix_rate)
    assert set(measured.stages) == {"draw", "encode"}
    assert events[-1].done == events[-1].total


@pytest.mark.slow
def test_a_step_costs_the_same_each_time(base):
    """What is counted once for all frames does not depend on them; a frame's part on the steps."""
    once, twice = (
        measure_rendering(
            [Variant("exact", base.with_options(sampling__steps=steps))],
            Weights(),
            frames=1,
            repeat=1,
        ).ways[0]
        for steps in (2, 4)
    )
    assert once.flops < twice.flops < 2 * once.flops  # decoding is done once
    assert 1.5 < twice.reference_flops / once.reference_flops < 2.1


@pytest.mark.slow
def test_naive_makes_the_same_frames(base):
    maps = np.random.default_rng(0).integers(0, 255, (3, 64, 64, 3), np.uint8)
    pipeline = Weights().pipeline(base)
    exact = Renderer(pipeline, maps[0], base).make(maps)
    naive = NaiveRenderer(pipeline, maps[0], base).make(maps)
    assert np.abs(exact.astype(int) - naive).max() <= 1


def test_ways_share_weights_but_not_schedulers(base):
    weights = Weights(steps=8, guidance=3.0)
    one, other = weights.pipeline(base), weights.pipeline(base)
    assert one.unet is other.unet
    other.scheduler = None
    assert one.scheduler is not None
    assert (one.config.default_steps, one.config.default_guidance) == (8, 3.0)
    assert weights.name(base) and "random" not in weights.name(base)


@pytest.mark.slow
def test_random_networks_need_no_model(base):
    preset = base.with_options(model__name="not installed")
    ways = [Variant("exact", preset)]
    measured = measure_rendering(ways, Weights("tiny"), frames=2, repeat=1)
    assert measured.model == "tiny, random weights" and measured.ways[0].flops > 0


@pytest.mark.slow
def test_a_driver_gives_its_poses_and_times_their_detection(base, media):
    ways = named_variants(["exact"], base)
    measured = measure_rendering(
        ways, Weights(), frames=9, repeat=1, driver=media / "dance.mp4"
    )  # one more than the driver has
    assert 0.001 < measured.stages["detect"] < 10
    assert measured.ways[0].frames == 9


def test_unknown_names_are_one_line():
    with pytest.raises(ConfigError, match=r"'nonsense'.*expected one of"):
        named_variants(["exact", "nonsense"], Preset())


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs CUDA")
def test_a_device_tells_its_own_memory(base):
    ways = named_variants(["exact"], base.with_options(model__device="cuda"))
    (exact,) = measure_rendering(ways, Weights(), frames=2, repeat=1).ways
    assert 1e5 < exact.peak_memory < 1e9
