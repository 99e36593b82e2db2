import numpy as np
import pytest

from magicpose_cli.augmentation.reid_network import (
    ReidPictures,
    find_people,
    rank_people,
    train_network,
)


def pictures_of(people, cameras, pictures=None):
    if pictures is None:
        pictures = np.zeros((len(people), 2, 2, 3), np.uint8)
    return ReidPictures(pictures, np.array(people), np.array(cameras))


def test_measures_of_a_known_ranking():
    query = pictures_of([1], [1])
    gallery = pictures_of([2, 1, 2, 1, 1], [2, 2, 2, 3, 1])
    likeness = np.array([[0.9], [0.8], [0.7], [0.6], [1.0]])
    scores = rank_people(np.ones((1, 1)), likeness, query, gallery)
    # The picture of the query's own camera is left out; the others are second and fourth.
    assert scores.mean_average_precision == pytest.approx((1 / 2 + 2 / 4) / 2)
    assert scores.rank_1 == 0


def test_distractors_of_the_same_camera_stay():
    query, gallery = pictures_of([1], [1]), pictures_of([2, 1], [1, 2])
    scores = rank_people(np.ones((1, 1)), np.array([[0.9], [0.8]]), query, gallery)
    assert scores.rank_1 == 0


@pytest.mark.slow
def test_people_of_different_colors_are_told_apart():
    rng = np.random.default_rng(0)
    colors = rng.integers(30, 225, (12, 2, 3))

    def drawn(people):
        pictures = np.zeros((len(people), 64, 32, 3))
        pictures[:, :32], pictures[:, 32:] = (
            colors[people, part][:, None, None] for part in (0, 1)
        )
        noise = rng.normal(0, 12, pictures.shape)
        return np.clip(pictures + noise, 0, 255).astype(np.uint8)

    own = np.repeat(np.arange(8), 4)
    others = np.repeat(np.arange(8, 12), 4)
    training = pictures_of(own, own % 2, drawn(own))
    test = pictures_of(others, np.tile(np.arange(4), 4), drawn(others))
    networks = [train_network(training, steps=25, seed=0) for _ in range(2)]
    scores = [find_people(n, test.rows(np.arange(0, 16, 4)), test) for n in networks]
    assert scores[0].rank_1 == 1
    assert scores[0] == scores[1]
