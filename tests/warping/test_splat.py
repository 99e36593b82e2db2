"""A layer's pixels at their new places: no more of them than there are, and no holes."""

import numpy as np
import pytest

from magicpose_cli.warping.grid import Grid
from magicpose_cli.warping.layers import Layer
from magicpose_cli.warping.splat import Splatter

GRID = Grid(128, 96)
CENTER = np.array([63.5, 47.5])


def shown(layer: Layer, field: np.ndarray) -> np.ndarray:
    """(96, 128): the layer's alpha in the frame."""
    window = GRID.window(np.ones(GRID.field_size[::-1], bool))
    alpha = np.zeros((GRID.height, GRID.width), np.float32)
    moved = Splatter(layer, GRID, window)(field.astype(np.float32))
    if moved is not None:
        alpha[moved.box] = moved.alpha[..., 0]
    return alpha


@pytest.fixture
def disc() -> Layer:
    """Of 25 pixels around the middle, with a soft edge of two."""
    alpha = np.clip((26 - away(*GRID.padded, GRID.pad)) / 2, 0, 1).astype(np.float32)
    colors = np.full((*alpha.shape, 3), (200, 90, 40), np.uint8)
    return Layer("body", alpha, colors, np.zeros(GRID.shape, np.uint8))


def away(width: int, height: int, pad: int = 0) -> np.ndarray:
    """(height, width): pixels from the middle."""
    x, y = np.meshgrid(np.arange(width) - pad, np.arange(height) - pad)
    return np.hypot(x - CENTER[0], y - CENTER[1])


@pytest.mark.parametrize("degrees", [0, 60, 120, 180])
def test_what_turns_has_no_rim(disc, degrees):
    """A map that went on beyond the disc as it ended would lead into it again."""
    angle = np.radians(degrees)
    turn = np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
    points = GRID.field_points() - CENTER
    alpha, distance = shown(disc, points @ turn.T - points), away(GRID.width, GRID.height)
    assert alpha[distance < 21].min() > 0.98
    assert alpha[distance > 29].max() < 0.1


@pytest.mark.parametrize("factor", [1.3, 1.7])
def test_what_is_stretched_has_no_holes(disc, factor):
    field = (factor - 1) * (GRID.field_points() - CENTER)
    alpha, distance = shown(disc, field), away(GRID.width, GRID.height)
    assert alpha[distance < factor * 22].min() > 0.98
    assert alpha[distance > factor * 28 + 2].max() < 0.02


def test_what_leaves_the_picture_is_not_there(disc):
    field = np.broadcast_to([500, 0], (*GRID.field_size[::-1], 2))
    assert not shown(disc, field).any()


@pytest.mark.parametrize(("between", "hidden"), [(1.0, True), (0.15, False)])
def test_what_is_transparent_in_front_hides_nothing(between, hidden):
    """Two bars close in on each other; the gap beside the front one comes over the other."""
    x = np.arange(GRID.padded[0]) - GRID.pad
    front, gap, behind = ((a <= x) & (x < b) for a, b in ((20, 44), (44, 64), (64, 88)))
    alpha = np.zeros((GRID.padded[1], GRID.padded[0]), np.float32)
    alpha[:, front | behind] = 1
    alpha[:, gap] = between
    colors = np.zeros((*alpha.shape, 3), np.uint8)
    colors[:, front], colors[:, gap], colors[:, behind] = (200, 0, 0), (0, 0, 0), (0, 0, 200)
    nodes = GRID.nodes()[..., 0]
    rank = (nodes < 64).astype(np.uint8)
    field = np.zeros((*GRID.field_size[::-1], 2), np.float32)
    field[GRID.field_points()[..., 0] >= 64] = (-16, 0)
    window = GRID.window(np.ones(GRID.field_size[::-1], bool))
    moved = Splatter(Layer("body", alpha, colors, rank), GRID, window)(field)
    frame = np.zeros((GRID.height, GRID.width, 3))
    frame[moved.box] = moved.colors * moved.alpha
    blue = frame[40:56, 53:60, 2].mean()  # where both arrive
    assert (blue < 20) == hidden
    assert (blue > 150) != hidden


@pytest.mark.parametrize("way", [-28, -36])
def test_along_the_edge_of_a_fold_nothing_shines_through(way):
    """A bar goes behind another one: the gap between them is in no frame where both overlap."""
    x = np.arange(GRID.padded[0]) - GRID.pad
    front, behind = ((a <= x) & (x < b) for a, b in ((20, 44), (60, 92)))
    alpha = np.zeros((GRID.padded[1], GRID.padded[0]), np.float32)
    alpha[:, front | behind] = 1
    colors = np.zeros((*alpha.shape, 3), np.uint8)
    colors[:, front], colors[:, behind] = (200, 0, 0), (0, 0, 200)
    rank = (GRID.nodes()[..., 0] < 52).astype(np.uint8)
    field = np.zeros((*GRID.field_size[::-1], 2), np.float32)
    field[GRID.field_points()[..., 0] >= 52] = (way, 0)
    window = GRID.window(np.ones(GRID.field_size[::-1], bool))
    moved = Splatter(Layer("body", alpha, colors, rank), GRID, window)(field)
    frame, there = np.zeros((GRID.height, GRID.width, 3)), np.zeros((GRID.height, GRID.width))
    frame[moved.box], there[moved.box] = moved.colors * moved.alpha, moved.alpha[..., 0]
    assert there[40:56, 24 : 88 + way].min() > 0.97
    assert frame[40:56, 24:41, 0].mean() > 190 and frame[40:56, 48 : 88 + way, 2].mean() > 190
