import json
from dataclasses import replace

import numpy as np
import pytest

from magicpose_cli.augmentation.reid_names import market_name
from magicpose_cli.augmentation.reid_network import ReidPictures, ReidScores
from magicpose_cli.benchmarks import augment_benchmark
from magicpose_cli.benchmarks.augment_benchmark import (
    ARMS,
    BENCHMARK_FILE,
    IDENTITY_ARMS,
    MADE_ARMS,
    AugmentBenchmark,
    identity_kept,
    measure_augmenting,
)
from magicpose_cli.benchmarks.augment_sets import BenchScale, source_cameras
from magicpose_cli.cli.bench_tables import print_augmenting
from magicpose_cli.config.preset import Preset
from magicpose_cli.errors import OutputError

TINY = BenchScale(people=2, test_people=2, pictures=2, test_pictures=4, made=1, steps=2, seeds=1)


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
    assert len(order) == 4 and all(order.values())
    assert set(scored(none=0.3, pose=0.36).order()) == {"pose > none"}


def test_the_camera_of_a_made_picture_is_its_sources():
    class Made:
        kept = ({"source": f"base/{market_name(7, 2, 3)}", "camera": 4},)

    assert source_cameras(Made).tolist() == [2]


@pytest.mark.slow
def test_pictures_that_show_somebody_else_do_not_keep_their_person():
    rng = np.random.default_rng(0)
    colors = rng.integers(30, 225, (20, 2, 3))

    def drawn(people: np.ndarray, shown: np.ndarray, camera: int) -> ReidPictures:
        pictures = np.zeros((len(people), 64, 32, 3))
        pictures[:, :32], pictures[:, 32:] = (colors[shown, part][:, None, None] for part in (0, 1))
        noisy = np.clip(pictures + rng.normal(0, 12, pictures.shape), 0, 255).astype(np.uint8)
        return ReidPictures(noisy, people, np.full(len(people), camera))

    known, own = np.repeat(np.arange(10), 4), np.repeat(np.arange(10, 20), 2)
    right, wrong = drawn(own, own, 1), drawn(own, np.roll(own, 2), 1)
    # Pictures of those who trained the network are not asked for: they would all be wrong.
    right = right.joined(drawn(known, np.roll(known, 4), 1))
    asking = dict.fromkeys(IDENTITY_ARMS, right) | {"both": wrong}
    gallery = drawn(own, own, 2)
    real = gallery.joined(drawn(known, known, 2))
    found = identity_kept(real, asking, gallery, replace(TINY, steps=25))
    assert tuple(found) == IDENTITY_ARMS
    assert found["everything"].rank_1 == found["pose"].rank_1 > 0.9
    assert found["both"].rank_1 < 0.1


def test_nobody_asks():
    nobody = ReidPictures(np.zeros((0, 64, 32, 3), np.uint8), np.zeros(0, int), np.zeros(0, int))
    pictures = np.zeros((4, 64, 32, 3), np.uint8)
    real = ReidPictures(pictures, np.array([1, 1, 2, 2]), np.array([1, 2, 1, 2]))
    found = identity_kept(real, dict.fromkeys(IDENTITY_ARMS, nobody), real, TINY)
    assert found["both"] == ReidScores(0.0, 0.0)


@pytest.fixture(scope="module")
def measured(tmp_path_factory):
    folder = tmp_path_factory.mktemp("bench")
    return folder, measure_augmenting(folder, TINY, Preset().with_options(model__name="mini"))


@pytest.mark.slow
def test_all_sets_are_compared_at_a_tiny_scale(measured, capsys):
    folder, result = measured
    assert tuple(result.scores) == ARMS
    assert result.counts["none"] == 4
    assert result.counts["real"] == result.counts["everything"] == 6
    for one in [*(one for own in result.scores.values() for one in own), *result.identity.values()]:
        assert 0 <= one.mean_average_precision <= 1
    assert set(result.identity) == {"none", *MADE_ARMS, "everything"}
    saved = json.loads((folder / BENCHMARK_FILE).read_text())
    assert set(saved["order"]) == set(result.order())
    assert set(saved["identity"]) == set(result.identity)
    print_augmenting(result)
    assert "person kept" in capsys.readouterr().out


@pytest.mark.slow
def test_a_finished_comparison_is_neither_made_nor_trained_again(measured, monkeypatch):
    folder, result = measured
    path = folder / BENCHMARK_FILE
    saved = json.loads(path.read_text())
    trained = []
    train = augment_benchmark.train_network

    def counted(training, *, seed, **settings):
        trained.append((len(training), seed))
        return train(training, seed=seed, **settings)

    monkeypatch.setattr(augment_benchmark, "train_network", counted)
    preset = Preset().with_options(model__name="mini")
    again = measure_augmenting(folder, TINY, preset)
    assert not trained
    assert again.as_dict() == result.as_dict()
    # A file of an earlier version tells nothing of identity; one of a stopped run lacks a set.
    saved.pop("identity")
    saved["scores"].pop("everything")
    path.write_text(json.dumps(saved))
    assert measure_augmenting(folder, TINY, preset).as_dict() == result.as_dict()
    assert trained == [(6, 0), (4, 0)]  # everything; all real pictures of one person
    trained.clear()
    more = measure_augmenting(folder, replace(TINY, seeds=2), preset)
    assert [seed for _, seed in trained] == [1] * len(ARMS)
    assert more.scores["both"][0] == result.scores["both"][0]


@pytest.mark.parametrize(
    ("text", "message"),
    [('{"scale": {}}', "cannot be read"), ("[]", "cannot be read"), ("", "cannot be read")],
)
def test_figures_that_cannot_be_read(tmp_path, text, message):
    (tmp_path / BENCHMARK_FILE).write_text(text)
    with pytest.raises(OutputError, match=message):
        measure_augmenting(tmp_path, TINY, Preset())


def test_a_folder_of_another_scale_is_left_alone(tmp_path):
    other = AugmentBenchmark(replace(TINY, made=2)).as_dict()
    (tmp_path / BENCHMARK_FILE).write_text(json.dumps(other))
    with pytest.raises(OutputError, match="another scale"):
        measure_augmenting(tmp_path, TINY, Preset())
