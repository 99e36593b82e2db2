"""Where pairs come from: the same step sees the same pairs, from memory or from a folder."""

import numpy as np
import pytest
import torch

from magicpose_cli.dataset.build import make_dataset
from magicpose_cli.dataset.clips import open_clips, sample_film
from magicpose_cli.dataset.dataset_config import DatasetSettings
from magicpose_cli.errors import InputError
from magicpose_cli.progress import silent
from magicpose_cli.training.pair_source import open_source
from magicpose_cli.training.recipe import Recipe
from magicpose_cli.training.run import train

CPU = torch.device("cpu")


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    """Three drawn people in eight poses each, as a folder."""
    folder = tmp_path_factory.mktemp("data")
    settings = DatasetSettings().with_options(frames__size=64)
    make_dataset([], folder / "data", settings, synthetic=3, workers=1)
    return folder / "data"


def reading(recipe: Recipe, source: str) -> Recipe:
    data = recipe.data.model_copy(update={"source": source})
    return recipe.model_copy(update={"data": data})


def halved(pictures):
    """Stands for an encoder, whose place is elsewhere: it keeps what can be compared."""
    return pictures[..., ::8, ::8]


@pytest.fixture(params=["drawn", "folder"])
def source(request, toy, data):
    recipe = reading(toy, "drawn" if request.param == "drawn" else str(data))
    opened = open_source(recipe, 0, CPU, silent)
    yield opened
    opened.close()


def take(stream, count):
    return [next(stream) for _ in range(count)]


@pytest.mark.slow
def test_a_resumed_stream_is_the_rest_of_the_first(source):
    whole = take(source.pairs(4, halved, 0), 5)
    rest = take(source.pairs(4, halved, 3), 2)
    for one, other in zip(whole[3:], rest, strict=True):
        assert torch.equal(one.reference, other.reference)
        assert torch.equal(one.target, other.target) and torch.equal(one.maps, other.maps)
    assert not torch.equal(whole[0].reference, whole[1].reference)


@pytest.mark.slow
def test_a_pair_is_two_pictures_of_one_person_and_the_targets_pose(source):
    (batch,) = take(source.pairs(8, lambda pictures: pictures, 0), 1)
    assert batch.reference.shape == batch.target.shape == batch.maps.shape == (8, 3, 64, 64)
    assert batch.target.min() >= 0 and batch.target.max() <= 1
    same = (batch.reference - batch.target).square().mean((1, 2, 3))
    other = (batch.reference - batch.target.roll(4, 0)).square().mean((1, 2, 3))
    assert (same > 0).all() and same.mean() < other.mean()
    lit = batch.maps.amax(1) > 0.2
    assert (lit.float().mean((1, 2)) > 0.01).all() and (lit.float().mean((1, 2)) < 0.6).all()


@pytest.mark.slow
def test_single_pictures_are_targets_too(source):
    (pictures,) = take(source.pictures(5, 2), 1)
    assert pictures.shape == (5, 3, 64, 64) and pictures.std() > 0.05
    assert source.examples(6).shape == (6, 64, 64, 3)
    assert source.examples(6).dtype == np.uint8


@pytest.mark.slow
def test_training_on_a_folder_goes_through(toy, data, tmp_path):
    stages = {"pose": toy.stages["pose"].model_copy(update={"steps": 2})}
    recipe = reading(toy.model_copy(update={"stages": stages}), str(data))
    result = train(recipe, tmp_path / "run", device="cpu")
    assert (result.models["model"] / "model_index.json").is_file()


def test_a_folder_without_data_is_refused(toy, tmp_path):
    with pytest.raises(InputError) as caught:
        open_source(reading(toy, str(tmp_path)), 0, CPU, silent)
    assert "\n" not in str(caught.value)


@pytest.mark.slow
def test_a_film_is_frames_in_a_row_under_one_crop(data):
    clips = open_clips(data)
    rng = np.random.default_rng(1)
    reference, _, frames, maps, _ = sample_film(clips, rng, 64, 192, 4, min_crop=1.0)
    assert frames.shape == maps.shape == (4, 64, 64, 3)
    (clip,) = [c for c in clips if any(np.array_equal(c.frame(i), frames[0]) for i in range(8))]
    (start,) = [i for i in range(8) if np.array_equal(clip.frame(i), frames[0])]
    for at, frame in enumerate(frames):
        np.testing.assert_array_equal(clip.frame(start + at), frame)
    assert any(np.array_equal(clip.frame(i), reference) for i in range(8))


@pytest.mark.slow
def test_films_of_a_folder_go_on_and_need_frames_enough(toy, data):
    source = open_source(reading(toy, str(data)), 0, CPU, silent)
    whole = take(source.films(2, 4, halved, 0), 3)
    assert whole[0].reference.shape[0] == 2
    assert whole[0].target.shape[0] == whole[0].maps.shape[0] == 8
    again = next(source.films(2, 4, halved, 2))
    assert torch.equal(again.target, whole[2].target)
    with pytest.raises(InputError, match="no clip has 20 frames in a row"):
        next(source.films(2, 20, halved, 0))
