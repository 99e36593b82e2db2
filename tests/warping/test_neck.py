"""What of a head goes behind the clothes, and what hangs down before them."""

import numpy as np
import pytest

from magicpose_cli.pose.keypoints import BODY_JOINTS, Pose
from magicpose_cli.warping.grid import Grid
from magicpose_cli.warping.neck import nodes_behind_collar
from magicpose_cli.warping.warp_points import WarpPoints

GRID = Grid(256, 256)
PARTS = ["trunk", "head"]
CHIN, COLLAR = 120, 140  # rows
EVERYWHERE = np.ones(GRID.padded[::-1], np.float32)


def face(*, turn_deg: float = 0.0) -> WarpPoints:
    """A face of 60 x 80 pixels, its chin at CHIN, and the neck's joint 35 pixels below."""
    angle = np.linspace(0, 2 * np.pi, 68, endpoint=False)
    points = np.column_stack([128 + 30 * np.sin(angle), CHIN - 40 + 40 * np.cos(angle)])
    body = np.zeros((18, 3))
    body[BODY_JOINTS.index("neck")] = 128, CHIN + 35, 1
    pose = Pose.of(256, 256, body=body, face=np.column_stack([points, np.ones(68)]))
    turn = np.deg2rad(turn_deg)
    matrix = np.array([[np.cos(turn), -np.sin(turn)], [np.sin(turn), np.cos(turn)]])
    return WarpPoints.of(pose.map_points(lambda p: (p - 128) @ matrix.T + 128, 256, 256))


def weights(is_head: np.ndarray) -> np.ndarray:
    return np.stack([~is_head, is_head]).astype(np.float32)


def upright(turn_deg: float = 0.0) -> tuple[np.ndarray, np.ndarray]:
    """x and y of the nodes in a picture that has been turned back."""
    turn = np.deg2rad(turn_deg)
    matrix = np.array([[np.cos(turn), -np.sin(turn)], [np.sin(turn), np.cos(turn)]])
    x, y = np.moveaxis((GRID.nodes() - 128) @ matrix + 128, -1, 0)
    return x, y


@pytest.mark.parametrize("turn_deg", [0, 25])
def test_a_neck_is_behind_and_hair_that_hangs_before_the_clothes_is_not(turn_deg):
    x, y = upright(turn_deg)
    hair = (np.abs(x - 90) < 9) & (y < COLLAR + 40)
    head = (y < COLLAR) & (np.abs(x - 128) < 50) | hair
    behind = nodes_behind_collar(PARTS, weights(head), face(turn_deg=turn_deg), EVERYWHERE, GRID)
    neck = head & (y > CHIN) & (np.abs(x - 90) > 14)
    assert behind is not None
    assert np.count_nonzero(behind ^ neck) < 0.2 * np.count_nonzero(neck)
    assert not behind[(np.abs(x - 90) < 5)].any() and not behind[~head].any()


def test_where_nobody_is_nothing_is_behind():
    x, y = upright()
    head = y < COLLAR
    shown = EVERYWHERE.copy()
    shown[:, : GRID.pad + 100] = 0
    behind = nodes_behind_collar(PARTS, weights(head), face(), shown, GRID)
    assert behind is not None and behind.any() and not behind[x < 96].any()


def test_of_a_covered_neck_nothing_is_behind():
    _, y = upright()
    assert nodes_behind_collar(PARTS, weights(y < CHIN), face(), EVERYWHERE, GRID) is None
    assert nodes_behind_collar(["trunk"], weights(y < COLLAR), face(), EVERYWHERE, GRID) is None
