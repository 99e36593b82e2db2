import json

import pytest

from magicpose_cli.augmentation.reid_network import ReidScores
from magicpose_cli.benchmarks.augment_benchmark import (
    ARMS,
    AugmentBenchmark,
    BenchScale,
    measure_augmenting,
)
from magicpose_cli.config.preset import Preset


def scored(**values: float) -> AugmentBenchmark:
    result = AugmentBenchmark(BenchScale(seeds=2))
    for name, value in values.items():
        result.scores[name] = [ReidScores(value - 0.01, 0.5), ReidScores(value + 0.01, 0.5)]
    return result


def test_the_order_is_told_by_the_means():
    result = scored(none=0.3, real=0.4, viewpoint=0.35, pose=0.36, both=0.38)
    assert result.means()["both"] == pytest.approx((38, 50, 1))
    order = result.order()
    assert order.pop("both > real at equal count") is False
    assert all(order.values())


@pytest.mark.slow
def test_all_sets_are_compared_at_a_tiny_scale(tmp_path):
    scale = BenchScale(
        people=2, test_people=2, pictures=2, test_pictures=4, made=1, steps=2, seeds=1
    )
    preset = Preset().with_options(model__name="mini")
    result = measure_augmenting(tmp_path, scale, preset)
    assert tuple(result.scores) == ARMS
    assert result.counts["none"] == 4
    assert result.counts["real"] == result.counts["everything"] == 6
    assert all(
        0 <= one.mean_average_precision <= 1 for own in result.scores.values() for one in own
    )
    saved = json.loads((tmp_path / "benchmark.json").read_text())
    assert set(saved["order"]) == set(result.order())
