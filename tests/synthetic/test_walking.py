import numpy as np
import pytest
import torch

from magicpose_cli.body.laid_motion import SOLES
from magicpose_cli.body.layout import POSE_POINTS, POSE_SLICES
from magicpose_cli.body.model import Body
from magicpose_cli.synthetic.rendered.walking import sample_walk, with_planted_feet

FPS = 25


@pytest.fixture(scope="module")
def walk():
    """A body, 50 frames of its walk to its own left, and (50, 128 + 6, 3) points of it."""
    body = Body.load()
    shape = torch.zeros(1, body.component_count)
    rng = np.random.default_rng(5)
    clip = with_planted_feet(body, shape, sample_walk(body, rng, np.arange(50) / FPS, 90.0))
    found = body.key_points(*body(shape, None, clip.rotations, clip.root))
    soles = found.coco[:, [row - POSE_POINTS for row in SOLES]]
    return clip, torch.cat([found.pose, soles], dim=1)


def test_a_walk_goes_where_it_heads(walk):
    way = walk[0].root[-1] - walk[0].root[0]
    assert 1.2 < way[0] < 4.0 and abs(way[2]) < 0.3 * way[0] and way[1] == 0


def test_the_foot_that_carries_stays(walk):
    soles = walk[1][:, -len(SOLES) :]
    lowest = (soles[1:, :, 1] + soles[:-1, :, 1]).argmin(dim=1)
    steps = (soles[1:] - soles[:-1])[torch.arange(len(lowest)), lowest]
    assert steps[:, [0, 2]].abs().max() < 1e-4


def test_legs_alternate_and_arms_swing_against_them(walk):
    points = walk[1][:, POSE_SLICES["body"]]
    left, right = points[:, 13, 0] - points[:, 11, 0], points[:, 10, 0] - points[:, 8, 0]
    assert np.corrcoef(left, right)[0, 1] < -0.7
    arm = points[:, 7, 0] - points[:, 5, 0]
    assert np.corrcoef(left, arm)[0, 1] < -0.5
