"""The shipped adult, and one person in a pose that no symmetry hides."""

import pytest
import torch

from magicpose_cli.body.model import Body
from magicpose_cli.body.rotations import matrix_from_axis_angle


@pytest.fixture(scope="session")
def body():
    return Body.load()


@pytest.fixture(scope="session")
def rotations(body):
    """(2, J, 3, 3): two people, every joint turned a little."""
    generator = torch.Generator().manual_seed(3)
    turns = 0.2 * torch.randn(2, body.joint_count, 3, generator=generator)
    return matrix_from_axis_angle(turns)


@pytest.fixture(scope="session")
def shape(body):
    generator = torch.Generator().manual_seed(4)
    return torch.randn(2, body.component_count, generator=generator)


@pytest.fixture(scope="session")
def posed(body, rotations, shape):
    return body(shape, torch.full((2, 52), 0.1), rotations, torch.tensor([[0.0, 1, 0], [1, 0, 2]]))
