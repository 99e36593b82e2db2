"""Operations counted on shapes alone are those of real frames."""

import numpy as np
import pytest

from magicpose_cli.benchmarks.operations import (
    count_operations,
    operations_by_shape,
    renderer_class,
)
from magicpose_cli.benchmarks.render_benchmark import named_variants
from magicpose_cli.config.preset import Preset
from magicpose_cli.diffusion.checkpoint.random_weights import random_pipeline


@pytest.mark.slow
@pytest.mark.parametrize(
    ("name", "steps"),
    [("naive", 6), ("exact", 6), ("fast", 20)],  # of which fast takes 8
)
def test_shapes_count_as_frames_do(name, steps):
    base = Preset().with_options(frame__size="64", model__batch_size=1)
    (variant,) = named_variants([name], base)
    pipeline = random_pipeline("tiny")
    pipeline.register_to_config(default_steps=steps)
    maps = np.zeros((1, 64, 64, 3), np.uint8)
    real = count_operations(
        renderer_class(naive=variant.naive), pipeline, maps[0], variant.preset, maps
    )
    shaped = operations_by_shape("tiny", variant.preset, steps, naive=variant.naive)
    assert shaped == real
    assert real.frame > 0 and real.reference > 0


@pytest.mark.slow
def test_few_steps_are_counted_as_they_are():
    (variant,) = named_variants(["exact"], Preset().with_options(frame__size="64"))
    one, two, nine = (
        operations_by_shape("tiny", variant.preset, steps, naive=False) for steps in (1, 2, 9)
    )
    assert nine.frame - two.frame == 7 * (two.frame - one.frame) > 0
