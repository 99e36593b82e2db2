"""A drawn person on a plain wall, all of it known exactly."""

from typing import NamedTuple

import numpy as np
import pytest

from magicpose_cli.pose.keypoints import Pose
from magicpose_cli.warping.matte import Matte
from magicpose_cli.warping.warp import ReferenceWarp
from tests.pose.drawn import at_rest
from tests.warping.people import SIZE, drawn, matte_of


class Drawn(NamedTuple):
    """picture (256, 256, 3) uint8; pose; shown (256, 256) bool, who is there; matte, the exact one;
    wall: the picture without the person."""

    picture: np.ndarray
    pose: Pose
    shown: np.ndarray
    matte: Matte
    wall: np.ndarray


def on_a_wall(picture: np.ndarray, pose: Pose, shown: np.ndarray) -> Drawn:
    across, down = np.meshgrid(np.linspace(0, 1, SIZE), np.linspace(0, 1, SIZE))
    wall = np.stack([60 + 40 * across, 90 + 50 * down, 150 - 30 * across], 2)
    wall = np.rint(wall).astype(np.uint8)
    placed = np.where(shown[..., None], picture, wall)
    return Drawn(placed, pose, shown, matte_of(placed, shown), wall)


def somebody_dotted() -> Drawn:
    """Somebody in a dotted shirt, which a flow can follow."""
    return on_a_wall(*drawn(at_rest(), seed=0)[0])


@pytest.fixture(scope="session")
def both() -> list[Drawn]:
    """The same person with arms hanging and with the right forearm raised."""
    raised = at_rest()
    raised.elbow[0, 0] = 1.6
    return [on_a_wall(*one) for one in drawn(at_rest(), raised)]


@pytest.fixture(scope="session")
def standing(both) -> Drawn:
    return both[0]


@pytest.fixture(scope="session")
def raised(both) -> Drawn:
    return both[1]


@pytest.fixture(scope="session")
def portrait() -> Drawn:
    """Head and shoulders, the face some 77 pixels wide."""
    return on_a_wall(*drawn(at_rest(), framing="portrait")[0])


@pytest.fixture(scope="session")
def warp(standing) -> ReferenceWarp:
    return ReferenceWarp(standing.picture, standing.pose, standing.matte)
