import numpy as np
import pytest

from magicpose_cli.evaluation.metrics import METRICS
from magicpose_cli.evaluation.totals import correlation, interval, total, without

PSNR = next(metric for metric in METRICS if metric.key == "psnr")
BODY = next(metric for metric in METRICS if metric.key == "body")


def test_the_interval_is_that_of_a_mean():
    values = np.random.default_rng(0).normal(20, 2, 400)
    low, high = interval(values, [str(i) for i in range(400)])
    assert low < values.mean() < high
    assert high - low == pytest.approx(2 * 1.96 * 2 / 20, rel=0.15)


def test_more_pictures_of_the_same_clips_say_nothing_new():
    values = np.random.default_rng(0).normal(20, 2, 50)
    clips = [str(i) for i in range(50)]
    assert interval(np.repeat(values, 10), list(np.repeat(clips, 10))) == pytest.approx(
        interval(values, clips)
    )
    assert interval(values, ["one"] * 50) == (None, None)


def test_baselines_are_subtracted_or_divided_by_over_common_pictures():
    rows = [{"psnr": 20.0, "body": 3.0}, {"psnr": 22.0, "body": None}, {"psnr": 24.0, "body": 9.0}]
    base = [{"psnr": 15.0, "body": 2.0}, {"psnr": 15.0, "body": 50.0}, {"psnr": None, "body": 4.0}]
    clips = ["a", "b", "c"]
    summed = total(PSNR, rows, clips, base)
    assert (summed.mean, summed.median, summed.count, summed.against) == (22, 22, 3, 6)
    assert total(BODY, rows, clips, base).against == 2
    assert total(BODY, [{}, {}, {}], clips, base) is None


def test_correlation():
    x = np.array([0, 1, 2, 3, np.nan])
    assert correlation(x, 5 - 2 * x) == (pytest.approx(-1), 4)
    y = np.array([2.0, 1, 4, 3, 7])
    assert correlation(without(x + y, y), without(x - y, y))[0] == pytest.approx(1)
    assert np.allclose(without(3 * y + 1, y), 0)
    assert correlation(x, np.array([1, np.nan, np.nan, 2, 3])) == (None, 2)


def test_a_long_clip_may_count_as_much_as_a_short_one():
    rows = [{"psnr": value} for value in (20.0, 20.0, 20.0, 30.0)]
    base = [{"psnr": value} for value in (10.0, 14.0, None, 28.0)]
    clips = ["long"] * 3 + ["short"]
    assert total(PSNR, rows, clips, base).mean == 22.5
    summed = total(PSNR, rows, clips, base, by_clip=True)
    assert (summed.mean, summed.against, summed.count) == (25, 25 - (12 + 28) / 2, 4)
    assert (summed.low, summed.high) == (20, 30)
