import numpy as np
import pytest

from magicpose_cli.warping.interpolation import affine, apply_map, push_pull, similarity, upsample

RANDOM = np.random.default_rng(4)


@pytest.mark.parametrize("shape", [(1, 1), (1, 7), (2, 2), (5, 3), (37, 53), (64, 64), (3, 200)])
@pytest.mark.parametrize("channels", [1, 3])
def test_what_is_known_stays_and_what_is_not_lies_between(shape, channels):
    values = RANDOM.uniform(20, 220, (*shape, channels)).astype(np.float32)
    known = RANDOM.random(shape) < 0.4
    known[0, 0] = True
    filled = push_pull(np.where(known[..., None], values, 1e4), known.astype(np.float32))
    assert filled.shape == values.shape and filled.dtype == np.float32
    assert np.array_equal(filled[known], values[known])
    low, high = values[known].min(0), values[known].max(0)
    assert (filled >= low - 1e-2).all() and (filled <= high + 1e-2).all()


def test_a_hole_in_a_ramp_is_filled_smoothly():
    ramp = np.broadcast_to(np.arange(64, dtype=np.float32)[None, :, None], (64, 64, 1)).copy()
    known = np.ones((64, 64), np.float32)
    known[20:44, 20:44] = 0
    filled = push_pull(ramp, known)[..., 0]
    assert np.abs(np.diff(filled, axis=1)).max() < 5 and np.abs(np.diff(filled, axis=0)).max() < 5
    assert np.abs(filled - ramp[..., 0]).max() < 12
    assert filled[20:44, 22].mean() < filled[20:44, 32].mean() < filled[20:44, 41].mean()


def test_the_nearest_decides_the_most():
    values = np.zeros((65, 65, 1), np.float32)
    known = np.zeros((65, 65), np.float32)
    values[:, 60:], known[:, 60:] = 100, 1
    known[:, :5] = 1
    filled = push_pull(values, known)[32, :, 0]
    assert filled[8] < 25 and filled[56] > 75


def test_half_a_weight_is_half_of_the_value():
    values = np.full((33, 33, 1), 100, np.float32)
    weight = np.ones((33, 33), np.float32)
    values[16, 16], weight[16, 16] = 0, 0.5
    assert push_pull(values, weight)[16, 16, 0] == pytest.approx(45, abs=8)


def test_what_is_known_nowhere_is_nothing():
    assert not push_pull(RANDOM.random((9, 20, 2)), np.zeros((9, 20), np.float32)).any()


def test_upsampled_corners_are_exact():
    grid = RANDOM.uniform(-50, 300, (7, 11, 2)).astype(np.float32)
    fine = upsample(grid, (90, 41))
    assert fine.shape == (41, 90, 2)
    for row in (0, -1):
        for column in (0, -1):
            assert np.array_equal(fine[row, column], grid[row, column])


@pytest.mark.parametrize("size", [(90, 41), (6, 4), (200, 3)])
def test_upsampled_linear_fields_stay_linear(size):
    def field(columns, rows):
        x, y = np.meshgrid(np.linspace(0, 10, columns), np.linspace(0, 6, rows))
        return np.stack([3 * x - 2 * y + 7, y], 2).astype(np.float32)

    error = upsample(field(11, 7), size) - field(*size)
    assert np.abs(error).max() <= 5 / 64 + 1e-3  # OpenCV looks up at 32nds of a node


def test_a_mirrored_grid_is_upsampled_to_the_mirrored_field():
    grid = RANDOM.uniform(0, 100, (6, 9, 1)).astype(np.float32)
    one, other = upsample(grid, (50, 31)), upsample(grid[:, ::-1].copy(), (50, 31))
    assert np.abs(one - other[:, ::-1]).max() < 100 / 32 + 1e-3


def turn_of(dimension: int) -> np.ndarray:
    """A proper rotation."""
    turn, _ = np.linalg.qr(RANDOM.normal(size=(dimension, dimension)))
    turn[:, 0] *= np.linalg.det(turn)
    return turn


@pytest.mark.parametrize("dimension", [2, 3])
@pytest.mark.parametrize("scale", [0.02, 1.0, 40.0])
def test_a_similarity_is_found_again(dimension, scale):
    points = RANDOM.normal(100, 30, (9, dimension))
    turn, shift = scale * turn_of(dimension), RANDOM.normal(0, 500, dimension)
    found = similarity(points, points @ turn.T + shift)
    assert np.allclose(found[:, :-1], turn, atol=1e-9 * scale)
    assert np.allclose(apply_map(found, points), points @ turn.T + shift, atol=1e-6)


@pytest.mark.parametrize("dimension", [2, 3])
def test_a_mirrored_set_is_turned_and_never_mirrored(dimension):
    points = RANDOM.normal(0, np.arange(1, dimension + 1) * 10, (20, dimension))
    mirrored = points * np.eye(dimension)[0] * -2 + points
    found = similarity(points, mirrored)
    assert np.linalg.det(found[:, :-1]) > 0


def test_points_in_one_place_are_shifted():
    found = similarity(np.full((4, 2), 7.0), np.full((4, 2), 9.0))
    assert np.isfinite(found).all()
    assert np.allclose(apply_map(found, np.full((4, 2), 7.0)), 9)


@pytest.mark.parametrize("dimension", [2, 3])
def test_an_affine_map_is_found_again(dimension):
    points = RANDOM.normal(0, 30, (12, dimension))
    linear, shift = RANDOM.normal(0, 1, (dimension, dimension)), RANDOM.normal(0, 50, dimension)
    found = affine(points, points @ linear.T + shift)
    assert np.allclose(found, np.column_stack([linear, shift]), atol=1e-8)


def test_a_map_is_applied_to_any_shape():
    map_ = np.array([[2.0, 0, 0, 5], [0, 1, 3, -1]])  # three dimensions to two
    points = RANDOM.normal(size=(4, 5, 3))
    expected = np.stack([2 * points[..., 0] + 5, points[..., 1] + 3 * points[..., 2] - 1], -1)
    assert np.allclose(apply_map(map_, points), expected)
